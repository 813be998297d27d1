//! A map from prefixes, made for a million of them.
//!
//! Two tries, one a family, whose nodes are bitmaps over five bits (the page
//! of `trie` draws one), in arenas that grow without copying. An Internet-like
//! table costs some 8 bytes a prefix besides the values. Entries come in the
//! order of prefixes, and a walk can begin after any prefix, whether it is
//! there or not: so a reader needs nothing but a cursor.
//!
//! *Ours*: values must have a default, which stands in what is not in use, for
//! without `unsafe` there are no empty slots. Make it one that owns nothing.

mod iter;
mod pool;
mod trie;

use std::fmt;
use std::mem;
use std::net::IpAddr;

pub use self::iter::{Covering, Iter};
use self::trie::Trie;
use crate::{Family, Prefix};

/// A map from prefixes to values; see the module's page.
#[derive(Clone)]
pub struct PrefixMap<V> {
    v4: Trie<V>,
    v6: Trie<V>,
}

/// A set of prefixes.
pub type PrefixSet = PrefixMap<()>;

impl<V> Default for PrefixMap<V> {
    fn default() -> Self {
        Self { v4: Trie::default(), v6: Trie::default() }
    }
}

impl<V: fmt::Debug> fmt::Debug for PrefixMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V> PrefixMap<V> {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many prefixes there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// How many prefixes of a family there are.
    pub fn len_of(&self, family: Family) -> usize {
        self.trie(family).len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that is held, in bytes, without what the values own elsewhere.
    pub fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes()
    }

    /// The value of a prefix.
    pub fn get(&self, prefix: Prefix) -> Option<&V> {
        let (bits, len) = prefix.key();
        self.trie(prefix.family()).get(bits, len)
    }

    /// The value of a prefix, to be changed.
    pub fn get_mut(&mut self, prefix: Prefix) -> Option<&mut V> {
        let (bits, len) = prefix.key();
        self.trie_mut(prefix.family()).get_mut(bits, len)
    }

    /// True when the prefix is there.
    pub fn contains(&self, prefix: Prefix) -> bool {
        self.get(prefix).is_some()
    }

    /// The most specific entry that is the prefix or holds it.
    pub fn longest(&self, prefix: Prefix) -> Option<(Prefix, &V)> {
        let (bits, len) = prefix.key();
        let (len, value) = self.trie(prefix.family()).longest(bits, len)?;
        Some((prefix.shortened(len), value))
    }

    /// The most specific entry that holds an address.
    pub fn lookup(&self, address: IpAddr) -> Option<(Prefix, &V)> {
        self.longest(Prefix::host(address))
    }

    /// The entries that are the prefix or hold it, the least specific first.
    pub fn covering(&self, prefix: Prefix) -> Covering<'_, V> {
        Covering::new(self.trie(prefix.family()), prefix)
    }

    /// The entries that are the prefix or lie inside, in order.
    pub fn covered(&self, prefix: Prefix) -> Iter<'_, V> {
        Iter::inside(self.trie(prefix.family()), prefix)
    }

    /// Every entry, in order.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter::all(&self.v4, &self.v6)
    }

    /// The entries of a family, in order.
    pub fn iter_of(&self, family: Family) -> Iter<'_, V> {
        Iter::of(self.trie(family), family)
    }

    /// The entries from a prefix on, itself included, in order. It need not be there.
    pub fn iter_from(&self, prefix: Prefix) -> Iter<'_, V> {
        Iter::from(&self.v4, &self.v6, prefix, true)
    }

    /// The entries after a prefix, in order. It need not be there.
    pub fn iter_after(&self, prefix: Prefix) -> Iter<'_, V> {
        Iter::from(&self.v4, &self.v6, prefix, false)
    }

    /// Every prefix, in order.
    pub fn keys(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.iter().map(|(prefix, _)| prefix)
    }

    /// Every value, in the order of prefixes.
    pub fn values(&self) -> impl Iterator<Item = &V> + '_ {
        self.iter().map(|(_, value)| value)
    }

    /// Removes everything, and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn trie(&self, family: Family) -> &Trie<V> {
        match family {
            Family::Ipv4Unicast => &self.v4,
            Family::Ipv6Unicast => &self.v6,
        }
    }

    fn trie_mut(&mut self, family: Family) -> &mut Trie<V> {
        match family {
            Family::Ipv4Unicast => &mut self.v4,
            Family::Ipv6Unicast => &mut self.v6,
        }
    }
}

impl<V: Default> PrefixMap<V> {
    /// Puts a value; returns what was there before.
    pub fn insert(&mut self, prefix: Prefix, value: V) -> Option<V> {
        let before = self.len();
        let slot = self.get_or_default(prefix);
        let old = mem::replace(slot, value);
        (self.len() == before).then_some(old)
    }

    /// The value of a prefix; where there is none, the default is put there.
    pub fn get_or_default(&mut self, prefix: Prefix) -> &mut V {
        let (bits, len) = prefix.key();
        self.trie_mut(prefix.family()).get_or_default(bits, len)
    }

    /// Removes a prefix; returns its value.
    pub fn remove(&mut self, prefix: Prefix) -> Option<V> {
        let (bits, len) = prefix.key();
        self.trie_mut(prefix.family()).remove(bits, len)
    }

    /// Walks over all entries in order, in place: each may be changed, and
    /// goes where `keep` says false.
    pub fn retain(&mut self, mut keep: impl FnMut(Prefix, &mut V) -> bool) {
        for family in Family::ALL {
            let each = |bits, len, value: &mut V| keep(Prefix::from_key(family, bits, len), value);
            self.trie_mut(family).retain(each);
        }
    }
}

impl<V: Default> Extend<(Prefix, V)> for PrefixMap<V> {
    fn extend<I: IntoIterator<Item = (Prefix, V)>>(&mut self, entries: I) {
        for (prefix, value) in entries {
            self.insert(prefix, value);
        }
    }
}

impl<V: Default> FromIterator<(Prefix, V)> for PrefixMap<V> {
    fn from_iter<I: IntoIterator<Item = (Prefix, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<'a, V> IntoIterator for &'a PrefixMap<V> {
    type Item = (Prefix, &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
