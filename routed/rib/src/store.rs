//! Paths come and go: the one place that changes a `Dest` and its counters.

use std::sync::Arc;

use ipnetwork::IpNetwork;
use net::Prefix;

use crate::nexthop::word;
use crate::{Path, PeerId, Protocol, Source, Table, Via};

/// What tells the paths of one prefix apart.
type Key = (Source, Protocol, u32);

impl Table {
    /// Puts a path in its place. One that says the same keeps its age, and
    /// nothing has to be decided.
    pub(crate) fn put(&mut self, prefix: Prefix, mut path: Path) {
        self.count(prefix, &path, Counted::In);
        let via = path.via;
        let dest = self.dests.entry(prefix.network()).or_default();
        let before = if let Some(slot) = dest.paths.iter_mut().find(|other| other.key() == path.key()) {
            if slot.same(&path) {
                path.since = slot.since;
            }
            Some(std::mem::replace(slot, Arc::new(path)))
        } else {
            dest.paths.push(Arc::new(path));
            None
        };
        if let Some(before) = &before {
            self.count(prefix, before, Counted::Out);
            self.mark(prefix, before.via);
        }
        self.mark(prefix, via);
    }

    /// Takes a path away, if it is there.
    pub(crate) fn take(&mut self, prefix: Prefix, key: Key) {
        let Some(dest) = self.dests.get_mut(&prefix.network()) else { return };
        let Some(index) = dest.paths.iter().position(|path| path.key() == key) else { return };
        let path = dest.paths.remove(index);
        self.count(prefix, &path, Counted::Out);
        self.mark(prefix, path.via);
    }

    /// Takes away the paths of a peer that meet a condition; returns how many.
    pub(crate) fn remove_where(&mut self, id: PeerId, goes: impl Fn(Prefix, &Path) -> bool) -> usize {
        let doomed = self.paths_of(id, goes);
        for (prefix, path) in &doomed {
            self.take(*prefix, path.key());
        }
        doomed.len()
    }

    /// Imports every path of a peer anew, from what was received.
    pub(crate) fn reimport(&mut self, id: PeerId) {
        for (prefix, path) in self.paths_of(id, |_, _| true) {
            let imported = self.import(id, prefix, &path.received);
            let distance = self
                .peers
                .get(&id)
                .map_or(path.distance, |peer| Protocol::Bgp.default_distance(peer.info.external()));
            self.put(prefix, Path { imported, distance, ..Path::clone(&path) });
        }
    }

    /// An own prefix came or went: whatever lies inside is decided anew.
    pub(crate) fn own_changed(&mut self, own: Prefix) {
        let inside: Vec<(Prefix, Vec<PeerId>)> = self
            .dests
            .children(&own.network())
            .filter_map(|(network, dest)| {
                let peers = dest.paths.iter().filter_map(|path| match path.source {
                    Source::Peer(id) => Some(id),
                    Source::Local => None,
                });
                Some((word(network)?, peers.collect()))
            })
            .collect();
        for (prefix, peers) in inside {
            self.dirty.insert(prefix);
            for id in peers {
                self.note_conflict(prefix, id);
            }
        }
    }

    /// Remembers that a peer announces what this node owns.
    pub(crate) fn note_conflict(&mut self, prefix: Prefix, id: PeerId) {
        if self.own.get_lpm(&prefix.network()).is_some() {
            self.conflicts.insert((prefix, id));
        }
    }

    fn paths_of(&self, id: PeerId, meets: impl Fn(Prefix, &Path) -> bool) -> Vec<(Prefix, Arc<Path>)> {
        let of_peer = |(network, dest): (IpNetwork, &crate::table::Dest)| {
            let prefix = word(network)?;
            let path = |path: &&Arc<Path>| path.source == Source::Peer(id) && meets(prefix, path);
            Some(dest.paths.iter().filter(path).map(|path| (prefix, Arc::clone(path))).collect::<Vec<_>>())
        };
        self.dests.iter().filter_map(of_peer).flatten().collect()
    }

    /// Says that a prefix is to be decided anew; other prefixes may resolve
    /// their next hops through it, unless it is of BGP.
    fn mark(&mut self, prefix: Prefix, via: Via) {
        self.dirty.insert(prefix);
        if via != Via::NextHop {
            self.touched.insert(prefix);
        }
    }

    fn count(&mut self, prefix: Prefix, path: &Path, counted: Counted) {
        let Source::Peer(id) = path.source else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let counts = &mut peer.counts[prefix.family().index()];
        let step = |number: &mut usize| match counted {
            Counted::In => *number += 1,
            Counted::Out => *number -= 1,
        };
        step(&mut counts.received);
        if path.imported.is_ok() {
            step(&mut counts.accepted);
        }
    }
}

#[derive(Clone, Copy)]
enum Counted {
    In,
    Out,
}
