//! What a peer's route must pass before it can become a path (RFC 4271 §9.1.1,
//! §9.1.2). These checks depend on the route, the peer and the configuration
//! only; what depends on the rest of the table is asked when deciding.

use std::sync::Arc;

use net::{Asn, Attrs, Community, Prefix};
use smallvec::SmallVec;

use crate::filter::{Action, Route, Verdict};
use crate::shared::Id;
use crate::{Path, PeerId, PeerInfo, Protocol, Rules, Table, Via, Why, roles};

/// What import depends on besides the attributes: routes of one batch that
/// met the same become the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    /// The prefix is none for unicast.
    Martian,
    /// The attributes cannot be.
    Unsound,
    /// The rule at this place accepts.
    Rule(usize),
    /// This rule rejects; 0 for the end of the filter.
    Refused(u16),
}

/// A route that import has accepted.
struct Imported {
    /// Its attributes where they differ from those received.
    edited: Option<Attrs>,
    /// Where its packets go: to its next hop, or nowhere where a filter says so.
    via: Via,
}

/// The routes of a peer with the same attributes: what does not depend on the
/// prefix is worked out once.
#[derive(Debug)]
pub(crate) struct Batch {
    id: PeerId,
    received: Arc<Attrs>,
    sound: Result<(), Why>,
    /// The filter asks for the prefix.
    by_prefix: bool,
    /// What the routes met so far, and the path that came of it.
    known: SmallVec<[(Met, Id<Path>); 2]>,
}

impl Table {
    /// Begins to import routes of a peer with these attributes.
    pub(crate) fn begin_import(&self, id: PeerId, received: Arc<Attrs>) -> Option<Batch> {
        let peer = &self.peers.get(&id)?.info;
        let sound = sound(&received, peer, &self.rules);
        let by_prefix = peer.import.looks_at_prefix();
        Some(Batch { id, received, sound, by_prefix, known: SmallVec::new() })
    }

    /// The path that one of the routes is; the batch is its user.
    pub(crate) fn import(&mut self, batch: &mut Batch, prefix: Prefix) -> Id<Path> {
        if !self.own.is_empty() {
            self.note_conflict(prefix, batch.id);
        }
        let met = match batch.known.first() {
            Some((Met::Rule(rule), _)) if !batch.by_prefix && !prefix.is_martian() => Met::Rule(*rule),
            _ => self.met(batch, prefix),
        };
        if let Some((_, path)) = batch.known.iter().find(|(known, _)| *known == met) {
            return *path;
        }
        let path = self.path_of(batch, prefix);
        batch.known.push((met, path));
        path
    }

    /// Ends it; the paths are used by the table now, or by nobody.
    pub(crate) fn end_import(&mut self, batch: Batch) {
        batch.known.into_iter().for_each(|(_, path)| self.paths.release(path));
    }

    fn met(&self, batch: &Batch, prefix: Prefix) -> Met {
        if prefix.is_martian() {
            return Met::Martian;
        }
        if batch.sound.is_err() {
            return Met::Unsound;
        }
        match self.verdict(batch, prefix) {
            Some(Verdict::Accept(rule)) => Met::Rule(std::ptr::from_ref(rule).addr()),
            Some(Verdict::Reject(Why::FilterRule { rule, .. })) => Met::Refused(rule),
            Some(Verdict::Reject(_)) | None => Met::Refused(0),
        }
    }

    fn verdict(&self, batch: &Batch, prefix: Prefix) -> Option<Verdict<'_>> {
        let peer = &self.peers.get(&batch.id)?.info;
        let attrs = &batch.received;
        Some(peer.import.eval(&Route { prefix, attrs, protocol: Protocol::Bgp, peer: Some(peer.address) }))
    }

    fn path_of(&mut self, batch: &Batch, prefix: Prefix) -> Id<Path> {
        let (imported, via) = match self.imported(batch, prefix) {
            Ok(Imported { edited: Some(attrs), via }) => (Ok(self.attrs.intern(attrs)), via),
            Ok(Imported { edited: None, via }) => (Ok(Arc::clone(&batch.received)), via),
            Err(why) => (Err(why), Via::NextHop),
        };
        let external = self.peers.get(&batch.id).is_some_and(|peer| peer.info.external());
        self.paths.intern(Path {
            source: crate::Source::Peer(batch.id),
            protocol: Protocol::Bgp,
            received: Arc::clone(&batch.received),
            imported,
            distance: Protocol::Bgp.default_distance(external),
            metric: 0,
            via,
            weight: 1,
        })
    }

    /// What import makes of a route, or why it is refused.
    fn imported(&self, batch: &Batch, prefix: Prefix) -> Result<Imported, Why> {
        if prefix.is_martian() {
            return Err(Why::Martian);
        }
        batch.sound.clone()?;
        let (Some(peer), Some(verdict)) = (self.peers.get(&batch.id), self.verdict(batch, prefix)) else {
            return Ok(Imported { edited: None, via: Via::NextHop });
        };
        let rule = match verdict {
            Verdict::Reject(why) => return Err(why),
            Verdict::Accept(rule) => rule,
        };
        let blackhole = rule.action == Action::Blackhole;
        let via = if blackhole { Via::Discard } else { Via::NextHop };
        // RFC 4271 §5.1.5: LOCAL_PREF of an external peer says nothing here.
        let external = peer.info.external();
        let strip = external && batch.received.local_pref.is_some();
        let only_to_customer = roles::mark_received(&batch.received, &peer.info);
        let leaving = |attrs: &Attrs| external && attrs.communities.contains(&Community::GRACEFUL_SHUTDOWN);
        if !strip && !rule.edits() && only_to_customer.is_none() && !leaving(&batch.received) {
            return Ok(Imported { edited: None, via });
        }
        let mut attrs = Attrs::clone(&batch.received);
        if strip {
            attrs.local_pref = None;
        }
        attrs.only_to_customer = attrs.only_to_customer.or(only_to_customer);
        rule.edit(&mut attrs, peer.info.local_asn);
        attrs.next_hop = rule.next_hop_for(prefix.family(), true).or(attrs.next_hop);
        // RFC 8326 §4.1: what the peer is about to lose is the last choice,
        // whatever preference the filter gives. A filter that does not want
        // that deletes the community.
        if leaving(&attrs) {
            attrs.local_pref = Some(0);
        }
        if blackhole {
            stay_here(&mut attrs.communities);
        }
        Ok(Imported { edited: Some(attrs), via })
    }
}

/// RFC 7999 §3.2: what is dropped here is dropped for nobody else's sake.
fn stay_here(communities: &mut Vec<Community>) {
    if !communities.iter().any(|one| [Community::NO_EXPORT, Community::NO_ADVERTISE].contains(one)) {
        communities.push(Community::NO_EXPORT);
    }
}

/// The checks that no filter can turn off.
fn sound(attrs: &Attrs, peer: &PeerInfo, rules: &Rules) -> Result<(), Why> {
    if peer.external() {
        // RFC 4271 §6.3: an external peer MAY be held to its own AS. Malformed
        // by that is as good as withdrawn (RFC 7606 §7.2); it is kept to be shown.
        match attrs.as_path.first() {
            Some(first) if first == peer.asn => {}
            Some(first) => return Err(Why::FirstAs { first, peer: peer.asn }),
            None => return Err(Why::EmptyAsPath(peer.asn)),
        }
    }
    // RFC 5065 §5: so must another member of our confederation.
    if peer.carries.confederation && !attrs.as_path.begins_inside(peer.asn) {
        return Err(Why::NotFromMember(peer.asn));
    }
    // RFC 9774 §3: as good as withdrawn.
    if rules.reject_as_sets && attrs.as_path.has_set() {
        return Err(Why::AsSet);
    }
    limits(attrs, rules)?;
    loops(attrs, peer, rules)?;
    roles::check_received(attrs, peer)?;
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

/// What a route may be made of at most, as the operator says.
fn limits(attrs: &Attrs, rules: &Rules) -> Result<(), Why> {
    let length = attrs.as_path.asns().count();
    if let Some(most) = rules.max_as_path.filter(|most| length > *most) {
        return Err(Why::LongAsPath { length, most });
    }
    let count = attrs.communities.len()
        + attrs.ext_communities.len()
        + attrs.ipv6_ext_communities.len()
        + attrs.large_communities.len();
    match rules.max_communities.filter(|most| count > *most) {
        Some(most) => Err(Why::ManyCommunities { count, most }),
        None => Ok(()),
    }
}

/// RFC 4271 §9.1.2: a route with our own AS in its path MUST NOT be used, be it
/// that of the session or that of the node. RFC 5065 §4: in a confederation
/// that is the member AS in the segments of the confederation, and the
/// confederation's own AS in the others.
fn loops(attrs: &Attrs, peer: &PeerInfo, rules: &Rules) -> Result<(), Why> {
    let (path, most) = (&attrs.as_path, usize::from(peer.allow_own_asn));
    let own = [Some(peer.local_asn), rules.asn].into_iter().flatten();
    let found = match rules.confederation {
        None => own.into_iter().find(|asn| path.count(*asn) > most),
        Some(id) => {
            let outside = |asn: Asn| path.count(asn) - path.count_inside(asn);
            let session = Some(peer.local_asn).filter(|_| peer.external());
            let mut visible = [Some(id), session].into_iter().flatten();
            own.into_iter()
                .find(|asn| path.count_inside(*asn) > most)
                .or_else(|| visible.find(|asn| outside(*asn) > most))
        }
    };
    found.map_or(Ok(()), |asn| Err(Why::AsLoop(asn)))
}

#[cfg(test)]
mod tests;
