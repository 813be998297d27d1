//! Desired and installed state, and what differs.
//!
//! One map holds both sides of every key; a set names the keys whose sides
//! differ. Ten changes of one key before the next flush are one step, and
//! what is already as it should be costs nothing. The FIB writer, nft sets,
//! what a peer has yet to hear and watchers all keep their work in this type.
//!
//! ```text
//!  want(k, v) ──► desired ─┐
//!                          ├─ differ? ──► pending ──► next_batch() ──► Step
//!  have(k, v) ──► installed┘                 ▲                          │
//!                                            └── have / gone / refused ◄┘
//! ```

use std::hash::Hash;

use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};

/// What must be done to one key to make it as desired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<V> {
    /// Put `value` there; `replaces` is what is installed now.
    Install {
        /// The desired value.
        value: V,
        /// The installed value, if any.
        replaces: Option<V>,
    },
    /// Take it away; the value is what is installed now.
    Remove(V),
}

#[derive(Clone, Debug)]
struct Sides<V> {
    desired: Option<V>,
    installed: Option<V>,
}

/// Desired and installed values by key; see the module's page.
#[derive(Clone, Debug)]
pub struct Delta<K, V> {
    sides: FxHashMap<K, Sides<V>>,
    pending: IndexSet<K, FxBuildHasher>,
}

impl<K, V> Default for Delta<K, V> {
    fn default() -> Self {
        Self { sides: FxHashMap::default(), pending: IndexSet::default() }
    }
}

impl<K: Copy + Eq + Hash, V: Clone + PartialEq> Delta<K, V> {
    /// Says what is desired for a key.
    pub fn want(&mut self, key: K, value: V) {
        self.update(key, |sides| sides.desired = Some(value));
    }

    /// Says that nothing is desired for a key.
    pub fn unwant(&mut self, key: K) {
        self.update(key, |sides| sides.desired = None);
    }

    /// Says what is installed for a key: read back, or just written.
    pub fn have(&mut self, key: K, value: V) {
        self.update(key, |sides| sides.installed = Some(value));
    }

    /// Says that nothing is installed for a key: removed, or found missing.
    pub fn gone(&mut self, key: K) {
        self.update(key, |sides| sides.installed = None);
    }

    /// Takes a key off the pending set without installing it, because the
    /// other side refused. It comes back with the next change of the key, or
    /// with [`Delta::retry`].
    pub fn refused(&mut self, key: K) {
        self.pending.swap_remove(&key);
    }

    /// Makes a key pending again if its sides differ.
    pub fn retry(&mut self, key: K) {
        self.update(key, |_| {});
    }

    /// The desired value of a key.
    pub fn desired(&self, key: &K) -> Option<&V> {
        self.sides.get(key)?.desired.as_ref()
    }

    /// The installed value of a key.
    pub fn installed(&self, key: &K) -> Option<&V> {
        self.sides.get(key)?.installed.as_ref()
    }

    /// Every key with its desired and installed value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, Option<&V>, Option<&V>)> {
        self.sides.iter().map(|(key, sides)| (key, sides.desired.as_ref(), sides.installed.as_ref()))
    }

    /// How many keys are to be flushed.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// True when nothing is known of any key.
    pub fn is_empty(&self) -> bool {
        self.sides.is_empty()
    }

    /// Up to `max` steps, taken off the pending set. The caller answers each
    /// with [`Delta::have`], [`Delta::gone`] or [`Delta::refused`]; a step
    /// that is never answered is lost until the key changes or is retried.
    pub fn next_batch(&mut self, max: usize) -> Vec<(K, Step<V>)> {
        let mut steps = Vec::with_capacity(max.min(self.pending.len()));
        while steps.len() < max {
            let Some(key) = self.pending.pop() else { break };
            let Some(sides) = self.sides.get(&key) else { continue };
            let step = match (&sides.desired, &sides.installed) {
                (Some(value), replaces) => Step::Install { value: value.clone(), replaces: replaces.clone() },
                (None, Some(installed)) => Step::Remove(installed.clone()),
                (None, None) => continue,
            };
            steps.push((key, step));
        }
        steps
    }

    /// Changes the sides of a key and keeps the pending set true.
    fn update(&mut self, key: K, change: impl FnOnce(&mut Sides<V>)) {
        let sides = self.sides.entry(key).or_insert(Sides { desired: None, installed: None });
        change(sides);
        if sides.desired == sides.installed {
            self.pending.swap_remove(&key);
            if sides.desired.is_none() {
                self.sides.remove(&key);
            }
        } else {
            self.pending.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_flaps_of_one_key_are_one_step() {
        let mut delta = Delta::default();
        for round in 0..10 {
            delta.unwant("a");
            delta.want("a", round);
        }
        assert_eq!(delta.next_batch(100), [("a", Step::Install { value: 9, replaces: None })]);
    }

    #[test]
    fn what_returns_to_the_installed_value_needs_no_step() {
        let mut delta = Delta::default();
        delta.have("a", 1);
        delta.want("a", 2);
        delta.want("a", 1);
        assert_eq!(delta.pending(), 0);
    }

    #[test]
    fn withdraw_of_what_was_never_installed_needs_no_step() {
        let mut delta = Delta::default();
        delta.want("a", 1);
        delta.unwant("a");
        assert!(delta.next_batch(1).is_empty());
        assert!(delta.is_empty());
    }

    #[test]
    fn a_refused_key_waits_for_a_change_or_a_retry() {
        let mut delta = Delta::default();
        delta.want("a", 1);
        delta.refused("a");
        assert!(delta.next_batch(1).is_empty());
        delta.retry("a");
        assert_eq!(delta.next_batch(1).len(), 1);
    }

    proptest! {
        #[test]
        fn flushing_makes_installed_equal_desired(ops in prop::collection::vec((0u8..5, 0u8..8, 0u8..4), 0..200)) {
            let mut delta = Delta::default();
            let mut desired = BTreeMap::new();
            let mut installed = BTreeMap::new();
            for (op, key, value) in ops {
                match op {
                    0 => { delta.want(key, value); desired.insert(key, value); }
                    1 => { delta.unwant(key); desired.remove(&key); }
                    2 => { delta.have(key, value); installed.insert(key, value); }
                    3 => { delta.gone(key); installed.remove(&key); }
                    _ => {
                        for (key, step) in delta.next_batch(2) {
                            apply(&mut delta, &mut installed, key, &step);
                        }
                    }
                }
            }
            for (key, step) in delta.next_batch(usize::MAX) {
                apply(&mut delta, &mut installed, key, &step);
            }
            prop_assert_eq!(desired, installed);
            prop_assert_eq!(delta.pending(), 0);
        }
    }

    fn apply(delta: &mut Delta<u8, u8>, world: &mut BTreeMap<u8, u8>, key: u8, step: &Step<u8>) {
        match step {
            Step::Install { value, replaces } => {
                assert_eq!(world.insert(key, *value), *replaces);
                delta.have(key, *value);
            }
            Step::Remove(installed) => {
                assert_eq!(world.remove(&key).as_ref(), Some(installed));
                delta.gone(key);
            }
        }
    }
}
