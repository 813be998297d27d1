//! Walks over a [`PrefixMap`](super::PrefixMap), in the order of prefixes.

use super::trie::{Node, STRIDE, Trie, above_in, child_in, next_place, place_in};
use crate::{Family, Prefix};

/// A node on the way, and which of its places are left.
#[derive(Clone, Copy, Debug)]
struct Frame {
    node: Node,
    left: u64,
    bits: u128,
    depth: u8,
}

/// The entries of one family from some place on.
#[derive(Clone, Debug)]
struct Walk<'a, V> {
    trie: &'a Trie<V>,
    stack: Vec<Frame>,
}

impl<'a, V> Walk<'a, V> {
    fn all(trie: &'a Trie<V>) -> Self {
        let root = trie.root().map(|node| Frame { node, left: node.map, bits: 0, depth: 0 });
        Self { trie, stack: root.into_iter().collect() }
    }

    /// Goes down to a prefix: the frames on the way with all places left that
    /// come after it, and last the frame of its own node, if there is one,
    /// with the places left that `here` selects.
    fn towards(trie: &'a Trie<V>, (bits, len): (u128, u8), here: impl Fn(u8) -> u64) -> Self {
        let mut walk = Self { trie, stack: Vec::new() };
        let Some(mut node) = trie.root() else { return walk };
        let mut depth = 0;
        loop {
            let known = if depth == 0 { 0 } else { bits & (u128::MAX << (128 - u32::from(depth))) };
            let frame = |left| Frame { node, left: node.map & left, bits: known, depth };
            if len - depth < STRIDE {
                walk.stack.push(frame(here(place_in(bits, len, depth))));
                return walk;
            }
            let place = child_in(bits, depth);
            walk.stack.push(frame(u64::MAX << (place + 1)));
            if node.map & (1 << place) == 0 {
                return walk;
            }
            node = trie.node(node.child(place));
            depth += STRIDE;
        }
    }

    /// The entries inside a prefix.
    fn inside(trie: &'a Trie<V>, at: (u128, u8)) -> Self {
        let own = at.1 / STRIDE * STRIDE;
        let range = |place: u8| {
            let inside = (1_u8 << (STRIDE + 1 - (at.1 - own))) - 1;
            ((1_u64 << inside) - 1) << place
        };
        let mut walk = Self::towards(trie, at, range);
        walk.stack.retain(|frame| frame.depth == own);
        walk
    }

    fn next(&mut self) -> Option<(u128, u8, &'a V)> {
        while let Some(frame) = self.stack.last_mut() {
            let Some((place, length, bits)) = next_place(&mut frame.left, frame.bits, frame.depth) else {
                self.stack.pop();
                continue;
            };
            if length < STRIDE {
                return Some((bits, frame.depth + length, self.trie.value(frame.node.value(place))));
            }
            let node = self.trie.node(frame.node.child(place));
            let depth = frame.depth + STRIDE;
            self.stack.push(Frame { node, left: node.map, bits, depth });
        }
        None
    }
}

/// Entries in the order of prefixes: IPv4 first, by address, the shorter first.
#[derive(Clone, Debug)]
pub struct Iter<'a, V> {
    family: Family,
    walk: Walk<'a, V>,
    /// IPv6, where it follows.
    then: Option<&'a Trie<V>>,
}

impl<'a, V> Iter<'a, V> {
    pub(super) fn all(v4: &'a Trie<V>, v6: &'a Trie<V>) -> Self {
        Self { family: Family::Ipv4Unicast, walk: Walk::all(v4), then: Some(v6) }
    }

    pub(super) fn of(trie: &'a Trie<V>, family: Family) -> Self {
        Self { family, walk: Walk::all(trie), then: None }
    }

    /// From a prefix on, itself included or not.
    pub(super) fn from(v4: &'a Trie<V>, v6: &'a Trie<V>, prefix: Prefix, included: bool) -> Self {
        let family = prefix.family();
        let (trie, then) = match family {
            Family::Ipv4Unicast => (v4, Some(v6)),
            Family::Ipv6Unicast => (v6, None),
        };
        let skip = u8::from(!included);
        let rest = |place: u8| u64::MAX << (place + skip);
        Self { family, walk: Walk::towards(trie, prefix.key(), rest), then }
    }

    pub(super) fn inside(trie: &'a Trie<V>, prefix: Prefix) -> Self {
        Self { family: prefix.family(), walk: Walk::inside(trie, prefix.key()), then: None }
    }
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (Prefix, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((bits, len, value)) = self.walk.next() {
                return Some((Prefix::from_key(self.family, bits, len), value));
            }
            self.walk = Walk::all(self.then.take()?);
            self.family = Family::Ipv6Unicast;
        }
    }
}

/// The entries that hold a prefix, the shortest first.
#[derive(Clone, Debug)]
pub struct Covering<'a, V> {
    trie: &'a Trie<V>,
    family: Family,
    of: (u128, u8),
    /// The node that is looked at, with the places left.
    frame: Option<Frame>,
}

impl<'a, V> Covering<'a, V> {
    pub(super) fn new(trie: &'a Trie<V>, prefix: Prefix) -> Self {
        let of = prefix.key();
        let frame = trie.root().map(|node| {
            let left = node.map & above_in(of.0, of.1, 0);
            Frame { node, left, bits: 0, depth: 0 }
        });
        Self { trie, family: prefix.family(), of, frame }
    }

    fn descend(&self, frame: &Frame) -> Option<Frame> {
        let (bits, len) = self.of;
        let place = child_in(bits, frame.depth);
        if len - frame.depth < STRIDE || frame.node.map & (1 << place) == 0 {
            return None;
        }
        let node = self.trie.node(frame.node.child(place));
        let depth = frame.depth + STRIDE;
        let known = bits & (u128::MAX << (128 - u32::from(depth)));
        Some(Frame { node, left: node.map & above_in(bits, len, depth), bits: known, depth })
    }
}

impl<'a, V> Iterator for Covering<'a, V> {
    type Item = (Prefix, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut frame = self.frame?;
            if let Some((place, length, bits)) = next_place(&mut frame.left, frame.bits, frame.depth) {
                self.frame = Some(frame);
                let prefix = Prefix::from_key(self.family, bits, frame.depth + length);
                return Some((prefix, self.trie.value(frame.node.value(place))));
            }
            self.frame = self.descend(&frame);
        }
    }
}
