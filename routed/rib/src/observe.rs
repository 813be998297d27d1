//! What peers have told, for those who show it to others as it changes.
//!
//! While somebody observes, the table notes which paths of peers came, changed
//! or went. That is a set, not a queue, and taken in often: what a path says
//! is asked when it is to be shown.

use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexSet;
use net::Prefix;
use rustc_hash::FxBuildHasher;

use crate::dest::Slot;
use crate::{Page, Path, PeerId, Source, Table};

/// The paths that changed; `None`: nobody observes.
pub(crate) type Observed = Option<IndexSet<Told, FxBuildHasher>>;

/// Which path: who told it, of which prefix, with which path identifier.
pub type Told = (PeerId, Prefix, u32);

/// A path of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The prefix.
    pub prefix: Prefix,
    /// The path identifier (RFC 7911 §3); 0 where there is only one.
    pub path_id: u32,
    /// Since when it says the same.
    pub since: Option<Instant>,
    /// What was told, and what import made of it.
    pub path: Arc<Path>,
}

impl Table {
    /// Begins to note what peers tell, or ends that.
    pub fn observe(&mut self, on: bool) {
        if on != self.observed.is_some() {
            self.observed = on.then(IndexSet::default);
        }
    }

    /// Which paths came, changed or went since the last call. Those of a peer
    /// that is forgotten as a whole are not among them.
    pub fn take_observed(&mut self) -> impl Iterator<Item = Told> + use<> {
        let observed = self.observed.as_mut().map(std::mem::take);
        observed.unwrap_or_default().into_iter()
    }

    /// What a peer has told in its present session, by `max` prefixes of the
    /// table after a cursor: there may be none of the peer among them.
    pub fn heard(&self, id: PeerId, after: Option<Prefix>, max: usize) -> Page<Heard> {
        let rest = after.map_or_else(|| self.dests.iter(), |after| self.dests.iter_after(after));
        let (mut items, mut seen, mut last) = (Vec::new(), 0, after);
        for (prefix, dest) in rest.take(max) {
            (seen, last) = (seen + 1, Some(prefix));
            items.extend(dest.slots().iter().filter_map(|slot| self.heard_as(id, prefix, slot)));
        }
        Page { items, next: last.filter(|_| seen == max) }
    }

    /// One path that a peer has told in its present session.
    pub fn heard_of(&self, (id, prefix, path_id): Told) -> Option<Heard> {
        let slots = self.dests.get(prefix)?.slots();
        let mut heard = slots.iter().filter_map(|slot| self.heard_as(id, prefix, slot));
        heard.find(|heard| heard.path_id == path_id)
    }

    fn heard_as(&self, id: PeerId, prefix: Prefix, slot: &Slot) -> Option<Heard> {
        let path = self.paths.get(slot.path);
        let present = path.source == Source::Peer(id) && !self.is_stale(prefix, slot, path);
        present.then(|| Heard {
            prefix,
            path_id: slot.path_id,
            since: self.instant(slot.since),
            path: Arc::clone(path),
        })
    }

    /// A path came, or was told again.
    pub(crate) fn note(&mut self, prefix: Prefix, slot: Slot) {
        if let Some(observed) = &mut self.observed
            && let Some(id) = self.paths.get(slot.path).peer()
        {
            observed.insert((id, prefix, slot.path_id));
        }
    }

    /// A peer is forgotten as a whole.
    pub(crate) fn forget_observed(&mut self, id: PeerId) {
        if let Some(observed) = &mut self.observed {
            observed.retain(|(other, ..)| *other != id);
        }
    }
}

#[cfg(test)]
mod tests;
