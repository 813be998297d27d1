//! From dirty prefixes to changes.

use std::sync::Arc;

use net::Prefix;
use smallvec::SmallVec;

use crate::decide::{Candidate, Decided, decide};
use crate::nexthop::{Hop, Resolved};
use crate::table::{Best, Change, Table};
use crate::{Path, PeerInfo, Source, Target, Via, Why};

impl Table {
    /// True when [`Table::take_changes`] has work to do.
    pub fn has_changes(&self) -> bool {
        !self.dirty.is_empty() || !self.touched.is_empty() || self.local_changed
    }

    /// Decides up to `max` prefixes and returns those whose best path is not
    /// what it was when last returned. A prefix that changed ten times since
    /// is one change; one that came back to what it was is none, so fewer
    /// than `max` changes do not mean that no work is left:
    /// ask [`Table::has_changes`].
    pub fn take_changes(&mut self, max: usize) -> Vec<Change> {
        self.settle_next_hops();
        let mut changes = Vec::new();
        for _ in 0..max {
            let Some(prefix) = self.dirty.pop() else { break };
            changes.extend(self.redecide(prefix));
        }
        changes
    }

    /// Marks the prefixes whose next hops resolve otherwise than before.
    fn settle_next_hops(&mut self) {
        if self.touched.is_empty() && !self.local_changed {
            return;
        }
        let touched = std::mem::take(&mut self.touched);
        let all = std::mem::take(&mut self.local_changed);
        let affected = self.resolver.changed(&self.dests, touched, all);
        self.dirty.extend(affected);
        if all {
            // A link-local next hop is not looked up, so nothing tells that it is ours now.
            let ours = self.dests.iter().filter(|(_, dest)| {
                dest.paths.iter().any(|path| {
                    matches!(
                        path.attrs().next_hop,
                        Some(net::NextHop::V6 { .. }) if path.via == Via::NextHop
                    )
                })
            });
            self.dirty.extend(ours.filter_map(|(network, _)| crate::nexthop::word(network)));
        }
    }

    /// Decides one prefix; a change if the best is not what it was.
    fn redecide(&mut self, prefix: Prefix) -> Option<Change> {
        let new = self.best_of(prefix);
        let dest = self.dests.get_mut(&prefix.network())?;
        if dest.paths.is_empty() {
            let old = dest.best.take();
            self.dests.remove(&prefix.network());
            return old.map(|old| Change { prefix, old: Some(old), new: None });
        }
        let old = std::mem::replace(&mut dest.best, new.clone());
        (old != new).then_some(Change { prefix, old, new })
    }

    fn best_of(&mut self, prefix: Prefix) -> Option<Best> {
        let paths = self.dests.get(&prefix.network())?.paths.clone();
        let mut usable: SmallVec<[(Arc<Path>, Resolved); 4]> = SmallVec::new();
        for path in paths {
            if let Ok(resolved) = self.usable(prefix, &path) {
                usable.push((path, resolved));
            }
        }
        let candidates: SmallVec<[Candidate<'_>; 4]> =
            usable.iter().map(|(path, resolved)| self.candidate(path, resolved.metric)).collect();
        let decided = decide(&candidates, &self.rules)?;
        let targets: Vec<&Target> =
            decided.ecmp.iter().map(|index| usable[*index].1.target.as_ref()).collect();
        let target = match targets.as_slice() {
            [_] => Arc::clone(&usable[decided.best].1.target),
            many => {
                let target = merge(many);
                self.resolver.intern(target)
            }
        };
        Some(Best { path: Arc::clone(&usable[decided.best].0), target, at: decided.at })
    }

    /// Where a path leads, or why it cannot be used.
    fn usable(&mut self, prefix: Prefix, path: &Path) -> Result<Resolved, Why> {
        self.admissible(prefix, path)?;
        let peer = peer_of(&self.peers, path);
        self.resolver.resolve(&self.dests, path, peer)
    }

    /// The same for readers.
    pub(crate) fn judge(&self, prefix: Prefix, path: &Path) -> Result<(Target, u32), Why> {
        self.admissible(prefix, path)?;
        self.resolver.peek(&self.dests, path, peer_of(&self.peers, path))
    }

    /// Asks what import could not know: who owns the prefix now.
    fn admissible(&self, prefix: Prefix, path: &Path) -> Result<(), Why> {
        path.imported.as_ref().map_err(Why::clone)?;
        if path.source == Source::Local {
            return Ok(());
        }
        match self.own.get_lpm(&prefix.network()).and_then(|(own, ())| crate::nexthop::word(own)) {
            Some(own) => Err(Why::OwnPrefix(own)),
            None => Ok(()),
        }
    }

    /// A path as the decision sees it.
    pub(crate) fn candidate<'a>(&self, path: &'a Path, igp_metric: u32) -> Candidate<'a> {
        let peer = peer_of(&self.peers, path);
        Candidate {
            path,
            external: peer.is_some_and(PeerInfo::external),
            router_id: peer.map_or(0, |peer| peer.router_id.into()),
            address: peer.map(|peer| peer.address),
            igp_metric,
        }
    }

    /// Decides among candidates by the table's rules, for readers.
    pub(crate) fn decide(&self, candidates: &[Candidate<'_>]) -> Option<Decided> {
        decide(candidates, &self.rules)
    }
}

fn peer_of<'a>(
    peers: &'a rustc_hash::FxHashMap<crate::PeerId, crate::table::Peer>,
    path: &Path,
) -> Option<&'a PeerInfo> {
    match path.source {
        Source::Local => None,
        Source::Peer(id) => peers.get(&id).map(|peer| &peer.info),
    }
}

/// The ways of several paths: in order, without doubles.
pub(crate) fn merge(targets: &[&Target]) -> Target {
    let mut hops: Vec<Hop> = Vec::new();
    for target in targets {
        match target {
            Target::Hops(more) => hops.extend(more),
            Target::Kernel | Target::Discard if hops.is_empty() => return Target::clone(target),
            Target::Kernel | Target::Discard => {}
        }
    }
    hops.sort_unstable();
    hops.dedup();
    Target::Hops(hops)
}
