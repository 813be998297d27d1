//! Peers are told a route when the kernel has it (`suppress_fib_pending`).
//!
//! ```text
//!  rib::Change ─┬─► batch N ─► FIB writer ── Settled(N), Refused ─┐
//!               └─► AdjOut holds what was told ◄── release, retract
//! ```
//! Without the key nothing of this is there, and nothing is held.

use std::collections::VecDeque;

use kernel::FibEvent;
use net::Prefix;
use rib::Change;
use rustc_hash::FxHashMap;

use super::{TableTask, fib};

/// Which routes are on the way to the kernel, by the batches they are in.
#[derive(Debug, Default)]
pub(super) struct Confirm {
    /// The last batch with a route of each prefix.
    latest: FxHashMap<Prefix, u64>,
    batches: VecDeque<(u64, Vec<Prefix>)>,
    /// Of these it is known now what became of them.
    known: Vec<Prefix>,
}

impl Confirm {
    /// The route of a prefix went into a batch; `None`: there is none now.
    pub(super) fn written(&mut self, prefix: Prefix, batch: Option<u64>) {
        let Some(batch) = batch else {
            self.latest.remove(&prefix);
            return;
        };
        self.latest.insert(prefix, batch);
        match self.batches.back_mut().filter(|(number, _)| *number == batch) {
            Some((_, prefixes)) => prefixes.push(prefix),
            None => self.batches.push_back((batch, vec![prefix])),
        }
    }

    /// True while the route of a prefix is on the way.
    pub(super) fn waits(&self, prefix: Prefix) -> bool {
        self.latest.contains_key(&prefix)
    }

    /// The writer is done with all batches up to this one.
    pub(super) fn settled(&mut self, batch: u64) {
        while self.batches.front().is_some_and(|(number, _)| *number <= batch) {
            let Some((number, prefixes)) = self.batches.pop_front() else { break };
            for prefix in prefixes {
                if self.latest.get(&prefix) == Some(&number) {
                    self.latest.remove(&prefix);
                    self.known.push(prefix);
                }
            }
        }
    }

    /// The writer has said anew whether the kernel takes the route of a prefix.
    pub(super) fn looked_at(&mut self, prefix: Prefix) {
        if !self.waits(prefix) {
            self.known.push(prefix);
        }
    }
}

impl TableTask {
    /// Has a change written, and peers told: now, or when it is. What is told
    /// after all that the table says at once goes to `free`.
    pub(super) fn write_and_tell(&mut self, change: &Change, free: &mut Vec<Prefix>) {
        let waits = self.fib.change(change);
        if !waits && !self.adj_out.holds(change.prefix) {
            self.adj_out.change(&self.table, change);
            return;
        }
        self.adj_out.hold(change);
        if !waits {
            free.push(change.prefix);
        }
    }

    /// Tells peers what holds of a prefix.
    pub(super) fn release(&mut self, prefix: Prefix) {
        if let Some(offered) = self.adj_out.release(&self.table, prefix) {
            self.monitors.offered(&offered);
        }
        self.monitors.change(prefix);
    }

    /// Takes what the FIB writer tells, and tells peers what follows from it.
    pub(super) fn fib_event(&mut self, event: FibEvent) {
        self.fib.event(event);
        let known = self.fib.confirm.as_mut().map(|confirm| std::mem::take(&mut confirm.known));
        for prefix in known.into_iter().flatten() {
            // The kernel may have it by itself now.
            let written = self.table.best(prefix).is_some_and(|best| fib::is_written(&best));
            if !written || self.fib.refusal(prefix).is_none() {
                self.release(prefix);
                continue;
            }
            let offered = self.adj_out.retract(&self.table, prefix);
            self.monitors.offered(&offered);
            self.monitors.change(prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_is_known_when_the_last_batch_that_has_it_is_settled() {
        let (one, two) = (p("10.1.0.0/24"), p("10.2.0.0/24"));
        let mut confirm = Confirm::default();
        confirm.written(one, Some(1));
        confirm.written(two, Some(1));
        confirm.written(one, Some(2));
        confirm.settled(1);
        assert_eq!((confirm.known.as_slice(), confirm.waits(one)), ([two].as_slice(), true));
        // What is heard of a route that is on the way is of the one before it.
        confirm.looked_at(one);
        assert_eq!(confirm.known, [two]);
        confirm.settled(3);
        assert_eq!((confirm.known.as_slice(), confirm.waits(one)), ([two, one].as_slice(), false));
        assert!(confirm.batches.is_empty() && confirm.latest.is_empty());
    }

    #[test]
    fn twice_in_a_batch_is_known_once_and_what_nobody_wants_never() {
        let (one, two) = (p("10.1.0.0/24"), p("10.2.0.0/24"));
        let mut confirm = Confirm::default();
        confirm.written(one, Some(1));
        confirm.written(one, Some(1));
        confirm.written(two, Some(1));
        confirm.written(two, None);
        confirm.settled(1);
        assert_eq!(confirm.known, [one]);
        confirm.looked_at(two);
        assert_eq!(confirm.known, [one, two]);
    }
}
