//! Paths come and go: the one place that changes a `Dest` and its counters.

use std::sync::Arc;

use net::{Attrs, Community, Family, Prefix};

use crate::dest::{Key, Put, Slot};
use crate::shared::Id;
use crate::{Path, PeerId, Source, Table, Via};

/// So many prefixes inside an own one are marked one by one; if there are
/// more, all are looked at.
const FEW: usize = 1024;

impl Table {
    /// Puts a path in its place. One that says the same keeps its age, and
    /// nothing has to be decided.
    pub(crate) fn put(&mut self, prefix: Prefix, slot: Slot) -> Put {
        self.note(prefix, slot);
        let dest = self.dests.get_or_default(prefix);
        let put = dest.put(slot, &mut self.paths);
        if put == Put::Same {
            return put;
        }
        let fresh = dest.soil();
        self.pending.add(prefix, fresh);
        self.arrived(prefix, slot.path);
        if let Put::Instead(before) = put {
            let path = Arc::clone(self.paths.get(before));
            self.left(prefix, &path);
            self.paths.release(before);
        }
        put
    }

    /// Takes a path away; false when it is not there.
    pub(crate) fn take(&mut self, prefix: Prefix, key: Key) -> bool {
        let Self { dests, paths, pending, .. } = self;
        let Some(dest) = dests.get_mut(prefix) else { return false };
        let mut taken = None;
        dest.take(paths, |slot, path| {
            let goes = (path.source, path.protocol, slot.path_id) == key;
            if goes {
                taken = Some(Arc::clone(path));
            }
            goes
        });
        let Some(path) = taken else { return false };
        if let (Some(observed), Source::Peer(id)) = (&mut self.observed, key.0) {
            observed.insert((id, prefix, key.2));
        }
        if dest.is_nothing() {
            dests.remove(prefix);
        } else {
            let fresh = dest.soil();
            pending.add(prefix, fresh);
        }
        self.left(prefix, &path);
        true
    }

    /// Keeps what is stale of a peer and a family for long (RFC 9494 §4.2):
    /// marked as such, and so the least preferred; what does not want it goes.
    /// Returns how many paths are kept and how many went.
    pub fn keep_long_lived(&mut self, id: PeerId, family: Family) -> (usize, usize) {
        let Some(cycle) = self.peers.get(&id).map(|peer| peer.cycle[family.index()]) else { return (0, 0) };
        let mut kept: Vec<(Prefix, Slot)> = Vec::new();
        for (prefix, dest) in self.dests.iter().filter(|(prefix, _)| prefix.family() == family) {
            let ours = |slot: &Slot| self.paths.get(slot.path).source == Source::Peer(id);
            kept.extend(
                dest.slots()
                    .into_iter()
                    .filter(|slot| slot.cycle != cycle && ours(slot))
                    .map(|slot| (prefix, slot)),
            );
        }
        let (mut marked, mut gone) = (0, 0);
        for (prefix, slot) in kept {
            let path = self.paths.get(slot.path);
            let mut attrs = Attrs::clone(&path.received);
            if attrs.communities.contains(&Community::NO_LLGR) {
                let key = (path.source, path.protocol, slot.path_id);
                self.take(prefix, key);
                gone += 1;
                continue;
            }
            if !attrs.communities.contains(&Community::LLGR_STALE) {
                attrs.communities.push(Community::LLGR_STALE);
            }
            let received = self.attrs.intern(attrs);
            let Some(mut batch) = self.begin_import(id, received) else { continue };
            let path = self.import(&mut batch, prefix);
            self.put(prefix, Slot { path, ..slot });
            self.end_import(batch);
            marked += 1;
        }
        (marked, gone)
    }

    /// Takes away the paths of a peer that meet a condition, in one walk and
    /// in place; returns how many.
    pub(crate) fn remove_where(&mut self, id: PeerId, goes: impl Fn(Prefix, &Slot) -> bool) -> usize {
        let Self { dests, paths, pending, peers, of_protocol, observed, resolver, touched, .. } = self;
        let Some(peer) = peers.get_mut(&id) else { return 0 };
        let mut removed = 0;
        dests.retain(|prefix, dest| {
            let counts = &mut peer.counts[prefix.family().index()];
            let took = dest.take(paths, |slot, path| {
                let goes = path.source == Source::Peer(id) && goes(prefix, slot);
                if goes {
                    removed += 1;
                    if let Some(observed) = observed {
                        observed.insert((id, prefix, slot.path_id));
                    }
                    counts.remove(path);
                    of_protocol[path.protocol.index()] -= 1;
                }
                goes
            });
            if took && resolver.concerns(prefix) {
                touched.insert(prefix);
            }
            if took && !dest.is_nothing() {
                let fresh = dest.soil();
                pending.add(prefix, fresh);
            }
            !dest.is_nothing()
        });
        removed
    }

    /// Imports the paths of some peers to a prefix anew, from what was received.
    pub(crate) fn reimport(&mut self, prefix: Prefix, of: &[PeerId]) {
        let Some(dest) = self.dests.get(prefix) else { return };
        for slot in dest.slots() {
            let path = self.paths.get(slot.path);
            let Some(id) = path.peer().filter(|id| of.contains(id)) else { continue };
            let received = Arc::clone(&path.received);
            let Some(mut batch) = self.begin_import(id, received) else { continue };
            let path = self.import(&mut batch, prefix);
            self.put(prefix, Slot { path, ..slot });
            self.end_import(batch);
        }
    }

    /// An own prefix came or went: whatever lies inside is decided anew.
    pub(crate) fn own_changed(&mut self, own: Prefix) {
        let mut inside = Vec::new();
        for (prefix, dest) in self.dests.covered(own) {
            let peers = dest.slots().into_iter().filter_map(|slot| self.paths.get(slot.path).peer());
            let announcers: Vec<PeerId> = peers.collect();
            if !announcers.is_empty() || dest.told().is_some() {
                inside.push((prefix, announcers));
            }
        }
        let many = inside.len() > FEW;
        if many {
            self.pending.decide_all();
        }
        for (prefix, peers) in inside {
            self.pending.add(prefix, !many);
            for id in peers {
                self.note_conflict(prefix, id);
            }
        }
    }

    /// Remembers that a peer announces what this node owns.
    pub(crate) fn note_conflict(&mut self, prefix: Prefix, id: PeerId) {
        if self.own.longest(prefix).is_some() {
            self.conflicts.insert((prefix, id));
        }
    }

    /// Counts a path that has come.
    fn arrived(&mut self, prefix: Prefix, path: Id<Path>) {
        let path = self.paths.get(path);
        self.of_protocol[path.protocol.index()] += 1;
        if let Some(peer) = path.peer().and_then(|id| self.peers.get_mut(&id)) {
            peer.counts[prefix.family().index()].add(path);
        }
        // Other prefixes may resolve their next hops through this one.
        if path.via != Via::NextHop || self.resolver.concerns(prefix) {
            self.touched.insert(prefix);
        }
    }

    /// Counts a path that has gone.
    fn left(&mut self, prefix: Prefix, path: &Path) {
        self.of_protocol[path.protocol.index()] -= 1;
        if let Some(peer) = path.peer().and_then(|id| self.peers.get_mut(&id)) {
            peer.counts[prefix.family().index()].remove(path);
        }
        if path.via != Via::NextHop || self.resolver.concerns(prefix) {
            self.touched.insert(prefix);
        }
    }
}
