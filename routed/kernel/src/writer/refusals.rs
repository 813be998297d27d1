//! What the kernel does not take: telling it, and trying it again.

use net::Prefix;
use rustc_hash::FxHashSet;

use super::Writer;
use super::ways::Side;
use crate::Refusal;

impl Writer {
    /// The kernel does not take a route.
    pub(super) fn refuse(&mut self, prefix: Prefix, refusal: Refusal) {
        if let Some(mut side) = self.sides.get(prefix).copied() {
            self.tell(prefix, &mut side, refusal.clone());
            *self.sides.get_or_default(prefix) = side;
        }
        self.refused.insert(prefix, refusal);
    }

    /// A refusal, if there was one, holds no more.
    pub(super) fn clear(&mut self, prefix: Prefix) {
        self.refused.remove(&prefix);
        let Some(old) = self.sides.get(prefix).copied().filter(|side| side.told()) else { return };
        let mut side = old;
        self.take_back(prefix, &mut side);
        self.put(prefix, old, side);
    }

    /// Tells that the kernel does not take a route.
    pub(super) fn tell(&mut self, prefix: Prefix, side: &mut Side, refusal: Refusal) {
        self.told += usize::from(!side.told());
        side.set_told(true);
        self.results.insert(prefix, Some(refusal));
    }

    /// Tells that it does, where the opposite was told.
    pub(super) fn take_back(&mut self, prefix: Prefix, side: &mut Side) {
        if side.told() {
            self.told -= 1;
            side.set_told(false);
            self.results.insert(prefix, None);
        }
    }

    /// Tries again what was refused.
    pub(super) fn retry_refused(&mut self) {
        self.retry(|_| true);
        self.mend();
    }

    /// A gateway may be reachable by a route that was written after the one
    /// that needs it.
    pub(super) fn retry_unreachable(&mut self) {
        self.retry(|refusal| matches!(refusal, Refusal::NoWay { .. }));
    }

    pub(super) fn retry(&mut self, again: impl Fn(&Refusal) -> bool) {
        let prefixes: Vec<Prefix> =
            self.refused.iter().filter(|(_, refusal)| again(refusal)).map(|(prefix, _)| *prefix).collect();
        for prefix in prefixes {
            self.enqueue(prefix);
        }
        let mut wants = FxHashSet::default();
        for (number, want) in self.ways.wants.iter_mut() {
            if want.refused.take_if(|refusal| again(refusal)).is_some() {
                wants.insert(number);
            }
        }
        if wants.is_empty() {
            return;
        }
        let queue = &mut self.queue;
        self.sides.retain(|prefix, side| {
            if wants.contains(&side.want()) && side.told() && !side.queued() {
                side.set_queued(true);
                queue.push(prefix);
            }
            true
        });
    }
}
