//! Whose the routes are that are in the way of ours.

use net::{Family, Prefix};
use nix::errno::Errno;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Writer;
use super::reconcile::Dumped;
use crate::Refusal;
use crate::msg::Seen;

impl Writer {
    /// Finds out whose the routes are that were in the way. Where the first of
    /// a prefix is ours it is taken over; a stranger's stays.
    pub(super) fn settle(&mut self, conflicts: &[Prefix]) {
        let (known, unknown): (Vec<_>, Vec<_>) = conflicts
            .iter()
            .copied()
            .partition(|prefix| matches!(self.refused.get(prefix), Some(Refusal::Foreign { .. })));
        for prefix in known {
            if let Some(refusal) = self.refused.get(&prefix).cloned() {
                self.refuse(prefix, refusal);
            }
        }
        for family in Family::ALL {
            let wanted: FxHashSet<Prefix> =
                unknown.iter().copied().filter(|prefix| prefix.family() == family).collect();
            if wanted.is_empty() {
                continue;
            }
            let mut seen: Vec<Seen> = Vec::new();
            let read = self.dump(family, |writer, dumped| match dumped {
                Dumped::Begin => seen.clear(),
                Dumped::Route(route) => {
                    let concerns =
                        wanted.contains(&route.key.prefix) && route.key == writer.key(route.key.prefix);
                    seen.extend(concerns.then_some(route));
                }
            });
            match read {
                Ok(()) => self.settle_with(&wanted, &seen),
                Err(error) => {
                    self.fail(&format!("reading routes: {error}"));
                    for prefix in wanted {
                        self.refuse(prefix, exists());
                    }
                }
            }
        }
    }

    fn settle_with(&mut self, wanted: &FxHashSet<Prefix>, seen: &[Seen]) {
        let mut first: FxHashMap<Prefix, &Seen> = FxHashMap::default();
        self.messages.clear();
        for seen in seen {
            let first = first.entry(seen.key.prefix).or_insert(seen);
            // Ours behind a stranger's cannot be replaced without hitting the stranger's.
            if let (None, Some(ours)) = (first.owner(), seen.owner()) {
                self.messages.delete(self.config.table, seen.key, ours);
            }
        }
        if self.messages.len() > 0
            && let Err(error) = self.line.socket().exchange(&mut self.messages)
        {
            self.fail(&format!("deleting routes behind another owner's: {error}"));
        }
        for prefix in wanted {
            match first.get(prefix) {
                Some(seen) if seen.owner().is_some() => self.found(*prefix, seen),
                Some(seen) => self.refuse(*prefix, Refusal::Foreign { protocol: seen.protocol }),
                // It went meanwhile; its going is an event that brings us back.
                None => self.refuse(*prefix, exists()),
            }
        }
    }
}

/// Something is in the way and nobody can say what.
fn exists() -> Refusal {
    Refusal::Invalid { errno: Errno::EEXIST, said: String::new() }
}
