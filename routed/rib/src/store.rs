//! Paths come and go: the one place that changes a `Dest` and its counters.

use net::Prefix;

use crate::dest::{Key, Put, Slot};
use crate::{Path, PeerId, Source, Table, Via};

/// So many prefixes inside an own one are marked one by one; if there are
/// more, all are looked at.
const FEW: usize = 1024;

impl Table {
    /// Puts a path in its place. One that says the same keeps its age, and
    /// nothing has to be decided.
    pub(crate) fn put(&mut self, prefix: Prefix, slot: Slot) {
        let dest = self.dests.get_or_default(prefix);
        let put = dest.put(slot, &mut self.paths);
        if put == Put::Same {
            return;
        }
        let fresh = dest.soil();
        self.pending.add(prefix, fresh);
        let via = self.count(prefix, slot.path, Counted::In);
        self.touch(prefix, via);
        if let Put::Instead(before) = put {
            let via = self.count(prefix, before, Counted::Out);
            self.touch(prefix, via);
            self.paths.release(before);
        }
    }

    /// Takes a path away, if it is there.
    pub(crate) fn take(&mut self, prefix: Prefix, key: Key) {
        let Self { dests, paths, pending, .. } = self;
        let Some(dest) = dests.get_mut(prefix) else { return };
        let mut taken = None;
        dest.take(paths, |slot, path| {
            let goes = (path.source, path.protocol, slot.path_id) == key;
            if goes {
                taken = Some((path.via, path.imported.is_ok()));
            }
            goes
        });
        let Some((via, accepted)) = taken else { return };
        if dest.is_nothing() {
            dests.remove(prefix);
        } else {
            let fresh = dest.soil();
            pending.add(prefix, fresh);
        }
        self.uncount(prefix, key.0, accepted);
        self.touch(prefix, via);
    }

    /// Takes away the paths of a peer that meet a condition, in one walk and
    /// in place; returns how many.
    pub(crate) fn remove_where(&mut self, id: PeerId, goes: impl Fn(Prefix, &Slot) -> bool) -> usize {
        let Self { dests, paths, pending, peers, .. } = self;
        let Some(peer) = peers.get_mut(&id) else { return 0 };
        let mut removed = 0;
        dests.retain(|prefix, dest| {
            let counts = &mut peer.counts[prefix.family().index()];
            let took = dest.take(paths, |slot, path| {
                let goes = path.source == Source::Peer(id) && goes(prefix, slot);
                if goes {
                    removed += 1;
                    counts.received -= 1;
                    counts.accepted -= usize::from(path.imported.is_ok());
                }
                goes
            });
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
            let received = std::sync::Arc::clone(&path.received);
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

    /// Other prefixes may resolve their next hops through this one, unless it
    /// is of BGP.
    fn touch(&mut self, prefix: Prefix, via: Via) {
        if via != Via::NextHop {
            self.touched.insert(prefix);
        }
    }

    fn count(&mut self, prefix: Prefix, path: crate::shared::Id<Path>, counted: Counted) -> Via {
        let path = self.paths.get(path);
        let (source, accepted, via) = (path.source, path.imported.is_ok(), path.via);
        match counted {
            Counted::In => {
                if let Source::Peer(id) = source
                    && let Some(peer) = self.peers.get_mut(&id)
                {
                    let counts = &mut peer.counts[prefix.family().index()];
                    counts.received += 1;
                    counts.accepted += usize::from(accepted);
                }
            }
            Counted::Out => self.uncount(prefix, source, accepted),
        }
        via
    }

    fn uncount(&mut self, prefix: Prefix, source: Source, accepted: bool) {
        if let Source::Peer(id) = source
            && let Some(peer) = self.peers.get_mut(&id)
        {
            let counts = &mut peer.counts[prefix.family().index()];
            counts.received -= 1;
            counts.accepted -= usize::from(accepted);
        }
    }
}

#[derive(Clone, Copy)]
enum Counted {
    In,
    Out,
}
