//! What a peer's route must pass before it can become a path (RFC 4271 §9.1.1,
//! §9.1.2). These checks depend on the route, the peer and the configuration
//! only; what depends on the rest of the table is asked when deciding.

use std::sync::Arc;

use net::{Attrs, Community, Prefix};

use crate::filter::{Route, Verdict};
use crate::{PeerId, PeerInfo, Protocol, Rules, Table, Why};

impl Table {
    /// The attributes as the table keeps them, or why the route is refused.
    pub(crate) fn import(
        &mut self,
        id: PeerId,
        prefix: Prefix,
        received: &Arc<Attrs>,
    ) -> Result<Arc<Attrs>, Why> {
        self.note_conflict(prefix, id);
        let Some(peer) = self.peers.get(&id).map(|peer| &peer.info) else {
            return Ok(Arc::clone(received));
        };
        sound(prefix, received, peer, &self.rules)?;
        let external = peer.external();
        let route = Route { prefix, attrs: received, protocol: Protocol::Bgp, peer: Some(peer.address) };
        let rule = match peer.import.eval(&route) {
            Verdict::Reject(why) => return Err(why),
            Verdict::Accept(rule) => rule,
        };
        // RFC 4271 §5.1.5: LOCAL_PREF of an external peer says nothing here.
        let strip = external && received.local_pref.is_some();
        let leaving = |attrs: &Attrs| external && attrs.communities.contains(&Community::GRACEFUL_SHUTDOWN);
        if !strip && !rule.edits() && !leaving(received) {
            return Ok(Arc::clone(received));
        }
        let mut attrs = Attrs::clone(received);
        if strip {
            attrs.local_pref = None;
        }
        rule.edit(&mut attrs, peer.local_asn);
        // RFC 8326 §4.1: what the peer is about to lose is the last choice,
        // whatever preference the filter gives. A filter that does not want
        // that deletes the community.
        if leaving(&attrs) {
            attrs.local_pref = Some(0);
        }
        Ok(self.attrs.intern(attrs))
    }
}

/// The checks that no filter can turn off.
fn sound(prefix: Prefix, attrs: &Attrs, peer: &PeerInfo, rules: &Rules) -> Result<(), Why> {
    if prefix.is_martian() {
        return Err(Why::Martian);
    }
    if peer.external() {
        // RFC 4271 §6.3: an external peer MAY be held to its own AS. Malformed
        // by that is as good as withdrawn (RFC 7606 §7.2); it is kept to be shown.
        match attrs.as_path.first() {
            Some(first) if first == peer.asn => {}
            Some(first) => return Err(Why::FirstAs { first, peer: peer.asn }),
            None => return Err(Why::EmptyAsPath(peer.asn)),
        }
    }
    // RFC 4271 §9.1.2: a route with our own AS in its path MUST NOT be used.
    if attrs.as_path.count(peer.local_asn) > usize::from(peer.allow_own_asn) {
        return Err(Why::AsLoop(peer.local_asn));
    }
    // RFC 4456 §8.
    if attrs.originator_id == Some(rules.router_id) {
        return Err(Why::OriginatorLoop);
    }
    if attrs.cluster_list.contains(&rules.cluster_id) {
        return Err(Why::ClusterLoop(rules.cluster_id));
    }
    if attrs.next_hop.is_none() {
        return Err(Why::NoNextHop);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
