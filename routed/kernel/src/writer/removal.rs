//! Routes that are to go. They wait until what has another path has moved, and
//! while the table says that there is more to come. When all routes on a
//! nexthop object are among them, the object is deleted instead, and the
//! kernel deletes its routes: one message for a million.

use net::Prefix;
use nix::errno::Errno;
use rustc_hash::{FxHashMap, FxHashSet};

use super::ways::{NONE, Place};
use super::{CHUNK, Writer};

/// Routes that go one by one, at most, without a look at their object.
const FEW: u32 = 64;
/// Batches after which removals wait no longer for the end of a storm.
const PATIENCE: u32 = 1024;

/// What waits to be removed.
#[derive(Debug, Default)]
pub(super) struct Removals {
    prefixes: Vec<Prefix>,
    /// More is to come.
    held: bool,
    /// Batches since something began to wait.
    batches: u32,
    random: u32,
}

impl Removals {
    pub(super) fn len(&self) -> usize {
        self.prefixes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    pub(super) fn push(&mut self, prefix: Prefix) {
        self.prefixes.push(prefix);
    }

    /// A batch came, and another follows at once or not.
    pub(super) fn hold(&mut self, more: bool) {
        self.batches = if self.is_empty() { 0 } else { self.batches + 1 };
        self.held = more && self.batches < PATIENCE;
    }

    /// Waits no longer.
    pub(super) fn release(&mut self) {
        self.held = false;
    }

    /// True while more is to come.
    pub(super) fn held(&self) -> bool {
        self.held
    }

    /// Nothing is to go any more.
    fn clear(&mut self) {
        *self = Self { random: self.random, ..Self::default() };
    }

    /// Some of them, in no order: the kernel is slowest in deleting a large
    /// table in its order.
    fn some(&mut self, count: usize) -> Vec<Prefix> {
        let count = count.min(self.prefixes.len());
        let mut some = Vec::with_capacity(count);
        for _ in 0..count {
            self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let place = (self.random >> 4) as usize % self.prefixes.len();
            some.push(self.prefixes.swap_remove(place));
        }
        if self.prefixes.is_empty() {
            self.clear();
        }
        some
    }
}

impl Writer {
    /// Removes some of what is to go.
    pub(super) fn remove(&mut self) {
        self.remove_objects();
        let mut work = Vec::new();
        for prefix in self.removals.some(CHUNK) {
            let Some(side) = self.sides.get(prefix).copied() else { continue };
            if side.want() == NONE && side.is_there() {
                work.push((prefix, side.have));
            }
        }
        let mut rest = &work[..];
        while !rest.is_empty() {
            let (some, later) = rest.split_at(rest.len().min(self.send));
            self.remove_each(some);
            rest = later;
            self.alarms();
        }
    }

    /// Deletes objects all of whose routes are to go.
    fn remove_objects(&mut self) {
        let mut objects: FxHashMap<u32, u32> = FxHashMap::default();
        for (_, have) in self.ways.haves.iter() {
            if let Place::Object(object) = have.shape.place {
                *objects.entry(object).or_default() += have.routes - have.leaving;
            }
        }
        let mut gone = FxHashSet::default();
        for (object, _) in objects.into_iter().filter(|(_, stay)| *stay == 0) {
            let routes: u32 = self.ways.on_object(object).map(|(_, have)| have.routes).sum();
            if routes > FEW && !self.objects.is_member(object) && self.delete_object(object) {
                gone.insert(object);
            }
        }
        if !gone.is_empty() {
            self.objects_gone(&gone);
        }
        if self.ways.leaving() == 0 {
            self.removals.clear();
        }
    }

    /// Deletes routes one by one.
    pub(super) fn remove_each(&mut self, routes: &[(Prefix, u32)]) {
        self.messages.clear();
        let mut asked = Vec::with_capacity(routes.len());
        for (prefix, have) in routes {
            if let Some(have) = self.ways.haves.get(*have) {
                let owner = have.shape.owner;
                self.messages.delete(self.config.table, self.key(*prefix), owner);
                asked.push(*prefix);
            }
        }
        if asked.is_empty() {
            return;
        }
        let answers = match self.line.socket().exchange(&mut self.messages) {
            Ok(answers) => answers,
            Err(error) => {
                self.removals.prefixes.extend(asked);
                return self.fail(&format!("removing routes: {error}"));
            }
        };
        self.stats.written += asked.len() as u64;
        if !answers.complete {
            // They are read back first, and then removed where that is still needed.
            self.removals.prefixes.extend(asked);
            return self.overrun();
        }
        let mut errors = answers.errors.into_iter().peekable();
        for (place, prefix) in asked.into_iter().enumerate() {
            match errors.next_if(|(at, ..)| *at == place) {
                Some((_, errno, said)) if !matches!(errno, Errno::ESRCH | Errno::ENOENT) => {
                    self.refuse(prefix, crate::Refusal::from_errno(errno, said));
                }
                _ => {
                    let Some(old) = self.sides.get(prefix).copied() else { continue };
                    let mut side = old;
                    side.have = NONE;
                    self.put(prefix, old, side);
                }
            }
        }
    }
}
