//! One allocation for equal values.
//!
//! A full table has a million paths and a hundred thousand different
//! attributes. Values that nobody but the interner holds are dropped in a
//! sweep when the set has doubled since the last one, so garbage is never
//! more than what is alive and the cost of a sweep is spread over the inserts.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

/// No sweep below this many values.
const SMALL: usize = 1024;

/// A set of shared values; see the module's page.
#[derive(Debug)]
pub struct Interner<T> {
    values: HashSet<Arc<T>, FxBuildHasher>,
    sweep_at: usize,
}

impl<T: Eq + Hash> Default for Interner<T> {
    fn default() -> Self {
        Self { values: HashSet::default(), sweep_at: SMALL }
    }
}

impl<T: Eq + Hash> Interner<T> {
    /// The one allocation that is equal to `value`: an earlier one, or this.
    pub fn intern(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        if let Some(known) = self.values.get(&value) {
            return Arc::clone(known);
        }
        if self.values.len() >= self.sweep_at {
            self.sweep();
        }
        self.values.insert(Arc::clone(&value));
        value
    }

    /// Drops what nobody else holds.
    pub fn sweep(&mut self) {
        self.values.retain(|value| Arc::strong_count(value) > 1);
        self.sweep_at = (2 * self.values.len()).max(SMALL);
    }

    /// How many values are kept, garbage included.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True when nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use net::Attrs;

    use super::*;

    fn attrs(med: u32) -> Attrs {
        Attrs { med: Some(med), ..Attrs::default() }
    }

    #[test]
    fn equal_attributes_are_one_allocation() {
        let mut interner = Interner::default();
        let first = interner.intern(attrs(1));
        assert!(Arc::ptr_eq(&first, &interner.intern(attrs(1))));
        assert!(!Arc::ptr_eq(&first, &interner.intern(attrs(2))));
    }

    #[test]
    fn what_nobody_holds_does_not_pile_up() {
        let mut interner = Interner::default();
        let kept = interner.intern(attrs(u32::MAX));
        for med in 0..100_000 {
            interner.intern(attrs(med));
        }
        assert!(interner.len() <= SMALL);
        assert!(Arc::ptr_eq(&kept, &interner.intern(attrs(u32::MAX))));
    }
}
