//! One allocation for equal values, and a number for it.
//!
//! What a million routes share is named by 32 bits in each of them. How many
//! name it is counted, so a value goes with its last user.

use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxHashMap;

/// The number of a value in a [`Shared`].
#[derive(Debug)]
pub(crate) struct Id<T>(u32, std::marker::PhantomData<fn() -> T>);

impl<T> Id<T> {
    const fn new(number: u32) -> Self {
        Self(number, std::marker::PhantomData)
    }

    /// Stands for no value.
    pub(crate) const NONE: Self = Self::new(u32::MAX);

    fn index(self) -> usize {
        self.0 as usize
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Id<T> {}

impl<T> Hash for Id<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Why a slot is never empty when it is asked for.
const HELD: &str = "a number is given back once, by the last who uses it";

#[derive(Debug)]
struct Slot<T> {
    value: Option<Arc<T>>,
    users: u32,
}

/// Values by number; see the module's page.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    slots: Vec<Slot<T>>,
    numbers: FxHashMap<Arc<T>, Id<T>>,
    free: Vec<Id<T>>,
}

impl<T: Eq + Hash> Default for Shared<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), numbers: FxHashMap::default(), free: Vec::new() }
    }
}

impl<T: Eq + Hash> Shared<T> {
    /// The number of a value; the caller is one more user of it.
    pub(crate) fn intern(&mut self, value: T) -> Id<T> {
        if let Some(id) = self.numbers.get(&value).copied() {
            self.hold(id);
            return id;
        }
        let value = Arc::new(value);
        let slot = Slot { value: Some(Arc::clone(&value)), users: 1 };
        let id = if let Some(id) = self.free.pop() {
            self.slots[id.index()] = slot;
            id
        } else {
            let number = u32::try_from(self.slots.len()).expect("memory ends before 2^32 values");
            self.slots.push(slot);
            Id::new(number)
        };
        self.numbers.insert(value, id);
        id
    }

    /// One more user of a value.
    pub(crate) fn hold(&mut self, id: Id<T>) {
        self.slots[id.index()].users += 1;
    }

    /// One user less; the last takes the value away.
    pub(crate) fn release(&mut self, id: Id<T>) {
        let slot = &mut self.slots[id.index()];
        slot.users -= 1;
        if slot.users == 0
            && let Some(value) = slot.value.take()
        {
            self.numbers.remove(&value);
            self.free.push(id);
        }
    }

    /// The value of a number.
    pub(crate) fn get(&self, id: Id<T>) -> &Arc<T> {
        self.slots[id.index()].value.as_ref().expect(HELD)
    }

    /// Every value that has a user.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id<T>, &Arc<T>)> {
        self.numbers.iter().map(|(value, id)| (*id, value))
    }

    /// How many values there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lives_as_long_as_somebody_uses_it() {
        let mut shared = Shared::default();
        let first = shared.intern("a");
        assert_eq!(shared.intern("a"), first);
        let other = shared.intern("b");
        assert_ne!(first, other);
        shared.release(first);
        assert_eq!(**shared.get(first), "a");
        shared.release(first);
        assert_eq!(shared.len(), 1);
        assert_eq!(shared.intern("c"), first, "a free number is used again");
    }
}
