//! Which prefixes are to be decided anew.
//!
//! What comes one by one waits in a queue of bounded length; each destination
//! knows that it is in there. What concerns very many prefixes at once - a
//! peer that has gone, a next hop that moved, other filters or rules - and
//! what the queue has no room for is found by a *scan* of the table, in steps
//! and in place. So nobody ever holds a list of a million prefixes.
//!
//! A reason for a scan that comes while one is under way begins it again, with
//! the reasons of both: to decide a prefix twice changes nothing.

use std::collections::VecDeque;

use net::Prefix;
use rustc_hash::FxHashSet;

use crate::dest::Dest;
use crate::shared::Id;
use crate::{Path, PeerId, Table};

/// How many prefixes the queue holds.
const QUEUE: usize = 32 * 1024;
/// How many prefixes one step of a scan looks at.
const STEP: usize = 4096;

/// Where a scan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Scan {
    /// There is none.
    #[default]
    Idle,
    /// All that comes after this prefix is yet to be looked at; `None`: all.
    After(Option<Prefix>),
}

/// The queue, and the scan with its reasons; see the module's page.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    queue: VecDeque<Prefix>,
    scan: Scan,
    /// Every prefix.
    all: bool,
    /// Those with a path of these, which lead elsewhere now.
    moved: FxHashSet<Id<Path>>,
    /// Those with a path of these peers, which are imported anew.
    reimport: Vec<PeerId>,
}

impl Pending {
    /// A prefix is to be decided anew; `fresh` when it does not wait yet.
    pub(crate) fn add(&mut self, prefix: Prefix, fresh: bool) {
        if !fresh {
            return;
        }
        if self.queue.len() < QUEUE {
            self.queue.push_back(prefix);
        } else {
            self.scan = Scan::After(None);
        }
    }

    /// Every prefix is to be decided anew.
    pub(crate) fn decide_all(&mut self) {
        self.all = true;
        self.scan = Scan::After(None);
    }

    /// The prefixes with one of these paths are to be decided anew.
    pub(crate) fn moved(&mut self, paths: FxHashSet<Id<Path>>) {
        if !paths.is_empty() {
            self.moved.extend(paths);
            self.scan = Scan::After(None);
        }
    }

    /// The paths of a peer are to be imported anew.
    pub(crate) fn reimport(&mut self, id: PeerId) {
        if !self.reimport.contains(&id) {
            self.reimport.push(id);
        }
        self.scan = Scan::After(None);
    }

    /// A peer has no paths any more.
    pub(crate) fn forget(&mut self, id: PeerId) {
        self.reimport.retain(|other| *other != id);
    }

    /// True when there is nothing to decide.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.scan == Scan::Idle
    }

    /// How many prefixes wait in the queue.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    fn concerns(&self, dest: &Dest) -> bool {
        self.all
            || dest.is_dirty()
            || (!self.moved.is_empty() && dest.has(|slot| self.moved.contains(&slot.path)))
    }
}

impl Table {
    /// The next prefix to decide.
    pub(crate) fn next_pending(&mut self) -> Option<Prefix> {
        loop {
            if let Some(prefix) = self.pending.queue.pop_front() {
                return Some(prefix);
            }
            let Scan::After(after) = self.pending.scan else {
                // What a burst took is given back.
                self.pending.queue.shrink_to(STEP);
                return None;
            };
            self.scan_on(after);
        }
    }

    /// Looks at the next prefixes, and puts into the queue what is to be decided.
    fn scan_on(&mut self, after: Option<Prefix>) {
        let rest = after.map_or_else(|| self.dests.iter(), |after| self.dests.iter_after(after));
        let (mut seen, mut last, mut again) = (0, after, Vec::new());
        for (prefix, dest) in rest.take(STEP) {
            (seen, last) = (seen + 1, Some(prefix));
            if self.pending.concerns(dest) {
                self.pending.queue.push_back(prefix);
            }
            if dest.has(|slot| self.of_reimported(slot.path)) {
                again.push(prefix);
            }
        }
        let peers = std::mem::take(&mut self.pending.reimport);
        for prefix in again {
            self.reimport(prefix, &peers);
        }
        if seen < STEP {
            self.pending.scan = Scan::Idle;
            self.pending.all = false;
            self.pending.moved = FxHashSet::default();
        } else {
            self.pending.scan = Scan::After(last);
            self.pending.reimport = peers;
        }
    }

    fn of_reimported(&self, path: Id<Path>) -> bool {
        !self.pending.reimport.is_empty()
            && self.paths.get(path).peer().is_some_and(|id| self.pending.reimport.contains(&id))
    }
}
