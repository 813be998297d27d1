//! What is advertised, by whom, and since when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use net::Prefix;

use super::By;

/// Who has which prefix.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// Prefix and owner -> when it appeared.
    owners: BTreeMap<Prefix, BTreeMap<By, Instant>>,
    /// Those that are this node's.
    here: BTreeSet<Prefix>,
}

impl Heard {
    /// Takes it in; true when it is new.
    pub(super) fn insert(&mut self, prefix: Prefix, by: By, now: Instant) -> bool {
        if by == By::Here {
            self.here.insert(prefix);
        }
        let owners = self.owners.entry(prefix).or_default();
        let new = !owners.contains_key(&by);
        owners.entry(by).or_insert(now);
        new
    }

    pub(super) fn remove(&mut self, prefix: Prefix, by: By) {
        if by == By::Here {
            self.here.remove(&prefix);
        }
        if let Some(owners) = self.owners.get_mut(&prefix) {
            owners.remove(&by);
            if owners.is_empty() {
                self.owners.remove(&prefix);
            }
        }
    }

    /// Everything that shares addresses with `prefix` and is no wider than
    /// `widest` bits: first what covers it, then what lies inside.
    pub(super) fn overlapping(
        &self,
        prefix: Prefix,
        widest: u8,
    ) -> impl Iterator<Item = (Prefix, By, Instant)> + '_ {
        let wider = (widest..prefix.len()).filter_map(move |length| Prefix::new(prefix.address(), length));
        let covering = wider.filter_map(|wider| self.owners.get_key_value(&wider));
        // Ordered by address, then length: what is inside follows at once.
        let inside = self.owners.range(prefix..=Prefix::host(prefix.last_address()));
        covering
            .chain(inside)
            .flat_map(|(prefix, owners)| owners.iter().map(|(by, since)| (*prefix, *by, *since)))
    }

    /// The prefixes that are this node's, not by a claim.
    pub(super) fn by_here(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.here.iter().copied()
    }
}
