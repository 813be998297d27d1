//! The trie of one family: nodes of five bits, each a bitmap.
//!
//! A node at depth *d* (a multiple of 5) has a place for each prefix of
//! lengths *d* to *d*+4 below it, 31 of them, and for each child at depth
//! *d*+5, 32 of them. The 63 places are numbered in preorder:
//!
//! ```text
//!   place of the l bits b:  l + (b << (6 - l)) - ones(b)
//!
//!            0                    length d
//!       1         32              length d+1
//!     2   17    33   48           ...
//!    ...                          length d+5: the children
//! ```
//!
//! So the order of places is the order of prefixes, what lies inside a prefix
//! is a range of places, and where a value or a child is kept in its block is
//! the number of those set before it. /24 and /64, of which there are most,
//! fall on the last length of a node, where up to 16 of them share one.

use std::mem;

use super::pool::Pool;

/// Bits of a node.
pub(super) const STRIDE: u8 = 5;
/// The root, the first block of its pool.
const ROOT: u32 = 0;

/// Places of children, and of values.
pub(super) const CHILDREN: u64 = children();
pub(super) const VALUES: u64 = !CHILDREN & (u64::MAX >> 1);

/// Depth within the node, and the bits, of each place.
pub(super) const PLACES: [(u8, u8); 63] = places();

/// The places of the values that hold a child, from the shortest.
const ABOVE: [u64; 32] = above();

const fn place(length: u8, bits: u8) -> u8 {
    // No place is over 62, so nothing is cut off.
    #[expect(clippy::cast_possible_truncation, reason = "`count_ones` of a u8 is at most 8")]
    let ones = bits.count_ones() as u8;
    length + (bits << (STRIDE + 1 - length)) - ones
}

const fn children() -> u64 {
    let (mut map, mut bits) = (0, 0);
    while bits < 32 {
        map |= 1 << place(STRIDE, bits);
        bits += 1;
    }
    map
}

const fn places() -> [(u8, u8); 63] {
    let mut places = [(0, 0); 63];
    let mut length = 0;
    while length <= STRIDE {
        let mut bits = 0;
        while bits < 1 << length {
            places[place(length, bits) as usize] = (length, bits);
            bits += 1;
        }
        length += 1;
    }
    places
}

const fn above() -> [u64; 32] {
    let mut above = [0; 32];
    let mut bits = 0;
    while bits < 32 {
        let mut length = 0;
        while length < STRIDE {
            above[bits as usize] |= 1 << place(length, bits >> (STRIDE - length));
            length += 1;
        }
        bits += 1;
    }
    above
}

/// A node: what it has, and where.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Node {
    /// One bit for each place.
    pub(super) map: u64,
    /// The block of its values.
    values: u32,
    /// The block of its children.
    children: u32,
}

impl Node {
    /// Where the value of a place is kept.
    pub(super) fn value(&self, place: u8) -> u32 {
        self.values + self.before(place, VALUES)
    }

    /// Where the child of a place is kept.
    pub(super) fn child(&self, place: u8) -> u32 {
        self.children + self.before(place, CHILDREN)
    }

    fn has(&self, place: u8) -> bool {
        self.map & (1 << place) != 0
    }

    fn before(&self, place: u8, of: u64) -> u32 {
        (self.map & of & ((1 << place) - 1)).count_ones()
    }

    fn count(&self, of: u64) -> usize {
        (self.map & of).count_ones() as usize
    }
}

/// A node as it is kept. Most have no children, and are half as large then.
#[derive(Clone, Copy, Debug, Default)]
struct Packed {
    /// One bit for each value, in the order of their places; or [`BRANCH`].
    map: u32,
    /// The block of its values; or where the node is kept in full.
    at: u32,
}

/// The node has children.
const BRANCH: u32 = 1 << 31;

/// The places of values, in their order.
const SPREAD: [u8; 31] = spread();

const fn spread() -> [u8; 31] {
    let (mut spread, mut place, mut count) = ([0; 31], 0, 0);
    while place < 63 {
        if VALUES & (1 << place) != 0 {
            spread[count] = place;
            count += 1;
        }
        place += 1;
    }
    spread
}

impl Packed {
    /// A node without children.
    fn leaf(node: &Node) -> Self {
        let (mut left, mut map) = (node.map, 0);
        while left != 0 {
            let lowest = left & left.wrapping_neg();
            map |= 1 << (VALUES & (lowest - 1)).count_ones();
            left ^= lowest;
        }
        Self { map, at: node.values }
    }

    /// The bit of a place.
    fn bit(place: u8) -> u32 {
        1 << (VALUES & ((1 << place) - 1)).count_ones()
    }

    /// Where the value of a place is kept in a node without children.
    fn value(self, place: u8) -> Option<u32> {
        let bit = Self::bit(place);
        (self.map & bit != 0).then(|| self.at + (self.map & (bit - 1)).count_ones())
    }

    /// The reverse of [`Packed::leaf`].
    fn unpack(self) -> Node {
        let (mut left, mut map) = (self.map, 0);
        while left != 0 {
            map |= 1_u64 << SPREAD[left.trailing_zeros() as usize];
            left &= left - 1;
        }
        Node { map, values: self.at, children: 0 }
    }
}

/// The prefixes of a family, as bits from the left and a length.
#[derive(Clone, Debug)]
pub(super) struct Trie<V> {
    nodes: Pool<Packed>,
    /// The nodes that have children.
    branches: Pool<Node>,
    values: Pool<V>,
    len: usize,
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { nodes: Pool::default(), branches: Pool::default(), values: Pool::default(), len: 0 }
    }
}

/// The next five bits at a depth.
fn chunk(bits: u128, depth: u8) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "five bits are left")]
    let chunk = ((bits << depth) >> (128 - u32::from(STRIDE))) as u8;
    chunk
}

/// The place of a prefix in its node, which is at `depth`.
pub(super) fn place_in(bits: u128, len: u8, depth: u8) -> u8 {
    let length = len - depth;
    place(length, chunk(bits, depth) >> (STRIDE - length))
}

/// The place of the child that leads to a prefix.
pub(super) fn child_in(bits: u128, depth: u8) -> u8 {
    place(STRIDE, chunk(bits, depth))
}

/// The places of the values of a node that hold a prefix, or are it.
pub(super) fn above_in(bits: u128, len: u8, depth: u8) -> u64 {
    let above = ABOVE[usize::from(chunk(bits, depth))];
    if len - depth >= STRIDE { above } else { above & (u64::MAX >> (63 - place_in(bits, len, depth))) }
}

impl<V> Trie<V> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.nodes.bytes() + self.branches.bytes() + self.values.bytes()
    }

    /// The root, unless the trie is empty.
    pub(super) fn root(&self) -> Option<Node> {
        (self.len > 0).then(|| self.node(ROOT))
    }

    pub(super) fn node(&self, at: u32) -> Node {
        let packed = *self.nodes.get(at);
        if packed.map & BRANCH == 0 { packed.unpack() } else { *self.branches.get(packed.at) }
    }

    pub(super) fn value(&self, at: u32) -> &V {
        self.values.get(at)
    }

    /// The child of a node at a place.
    #[inline]
    fn child_of(&self, at: u32, place: u8) -> Option<u32> {
        let packed = self.nodes.get(at);
        if packed.map & BRANCH == 0 {
            return None;
        }
        let node = self.branches.get(packed.at);
        node.has(place).then(|| node.child(place))
    }

    /// The slot of the value of a node at a place.
    #[inline]
    fn value_in(&self, at: u32, place: u8) -> Option<u32> {
        let packed = *self.nodes.get(at);
        if packed.map & BRANCH == 0 {
            return packed.value(place);
        }
        let node = self.branches.get(packed.at);
        node.has(place).then(|| node.value(place))
    }

    /// True when a node has nothing.
    fn is_bare(&self, at: u32) -> bool {
        self.nodes.get(at).map == 0
    }

    /// The slot of a prefix.
    fn find(&self, bits: u128, len: u8) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let (mut at, mut depth) = (ROOT, 0);
        while len - depth >= STRIDE {
            at = self.child_of(at, child_in(bits, depth))?;
            depth += STRIDE;
        }
        self.value_in(at, place_in(bits, len, depth))
    }

    pub(super) fn get(&self, bits: u128, len: u8) -> Option<&V> {
        self.find(bits, len).map(|slot| self.values.get(slot))
    }

    pub(super) fn get_mut(&mut self, bits: u128, len: u8) -> Option<&mut V> {
        self.find(bits, len).map(|slot| self.values.get_mut(slot))
    }

    /// The most specific entry that holds a prefix, with its length.
    pub(super) fn longest(&self, bits: u128, len: u8) -> Option<(u8, &V)> {
        let mut node = self.root()?;
        let (mut depth, mut found) = (0, None);
        loop {
            let holding = node.map & above_in(bits, len, depth);
            if holding != 0 {
                #[expect(clippy::cast_possible_truncation, reason = "a place is at most 62")]
                let place = holding.ilog2() as u8;
                found = Some((depth + PLACES[usize::from(place)].0, node.value(place)));
            }
            if len - depth < STRIDE || !node.has(child_in(bits, depth)) {
                return found.map(|(len, slot)| (len, self.values.get(slot)));
            }
            node = self.node(node.child(child_in(bits, depth)));
            depth += STRIDE;
        }
    }
}

impl<V: Default> Trie<V> {
    fn set_node(&mut self, at: u32, node: Node) {
        let packed = *self.nodes.get(at);
        let was_branch = packed.map & BRANCH != 0;
        if node.map & CHILDREN == 0 {
            *self.nodes.get_mut(at) = Packed::leaf(&node);
            if was_branch {
                *self.branches.get_mut(packed.at) = Node::default();
                self.branches.free(packed.at, 1);
            }
            return;
        }
        let branch = if was_branch { packed.at } else { self.branches.alloc(1) };
        *self.branches.get_mut(branch) = node;
        *self.nodes.get_mut(at) = Packed { map: BRANCH, at: branch };
    }

    /// The value of a prefix; where there is none, the default is put there.
    pub(super) fn get_or_default(&mut self, bits: u128, len: u8) -> &mut V {
        if self.len == 0 {
            // The pool is empty, so the block is at the root's place.
            self.nodes.alloc(1);
        }
        let (mut at, mut depth) = (ROOT, 0);
        while len - depth >= STRIDE {
            at = self.child_or_new(at, child_in(bits, depth));
            depth += STRIDE;
        }
        let slot = self.value_or_new(at, place_in(bits, len, depth));
        self.values.get_mut(slot)
    }

    fn value_or_new(&mut self, at: u32, place: u8) -> u32 {
        let packed = self.nodes.get_mut(at);
        if packed.map & BRANCH == 0 {
            let bit = Packed::bit(place);
            let index = (packed.map & (bit - 1)).count_ones();
            if packed.map & bit == 0 {
                let count = packed.map.count_ones() as usize;
                packed.at = self.values.grow(packed.at, count, index as usize, V::default());
                packed.map |= bit;
                self.len += 1;
            }
            return packed.at + index;
        }
        let node = self.branches.get_mut(packed.at);
        if !node.has(place) {
            let index = node.before(place, VALUES) as usize;
            node.values = self.values.grow(node.values, node.count(VALUES), index, V::default());
            node.map |= 1 << place;
            self.len += 1;
        }
        node.value(place)
    }

    fn child_or_new(&mut self, at: u32, place: u8) -> u32 {
        let packed = self.nodes.get(at);
        if packed.map & BRANCH != 0 {
            let node = self.branches.get(packed.at);
            if node.has(place) {
                return node.child(place);
            }
        }
        let mut node = self.node(at);
        if !node.has(place) {
            let index = node.before(place, CHILDREN) as usize;
            node.children = self.nodes.grow(node.children, node.count(CHILDREN), index, Packed::default());
            node.map |= 1 << place;
            self.set_node(at, node);
        }
        node.child(place)
    }

    /// Removes a prefix and the nodes that have nothing else.
    pub(super) fn remove(&mut self, bits: u128, len: u8) -> Option<V> {
        if self.len == 0 {
            return None;
        }
        let mut at = ROOT;
        let levels = usize::from(len / STRIDE);
        let mut path = [ROOT; 27];
        let mut depth = 0;
        for level in 0..levels {
            at = self.child_of(at, child_in(bits, depth))?;
            path[level + 1] = at;
            depth += STRIDE;
        }
        let place = place_in(bits, len, depth);
        let slot = self.value_in(at, place)?;
        let value = mem::take(self.values.get_mut(slot));
        self.drop_places(at, 1 << place);
        for level in (0..levels).rev() {
            if !self.is_bare(path[level + 1]) {
                break;
            }
            depth -= STRIDE;
            self.drop_places(path[level], 1 << child_in(bits, depth));
        }
        self.forget_root();
        Some(value)
    }

    /// Leaves in the trie what `keep` wants, which may change it.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u128, u8, &mut V) -> bool) {
        if self.len > 0 {
            self.retain_below(ROOT, 0, 0, &mut keep);
            self.forget_root();
        }
    }

    /// An empty trie has no root and no memory.
    fn forget_root(&mut self) {
        if self.len == 0 {
            *self = Self::default();
        }
    }

    fn retain_below(
        &mut self,
        at: u32,
        bits: u128,
        depth: u8,
        keep: &mut impl FnMut(u128, u8, &mut V) -> bool,
    ) {
        let node = self.node(at);
        let (mut left, mut gone) = (node.map, 0_u64);
        while let Some((place, length, inside)) = next_place(&mut left, bits, depth) {
            let stays = if length < STRIDE {
                keep(inside, depth + length, self.values.get_mut(node.value(place)))
            } else {
                let child = node.child(place);
                self.retain_below(child, inside, depth + STRIDE, keep);
                self.node(child).map != 0
            };
            if !stays {
                gone |= 1 << place;
            }
        }
        if gone != 0 {
            self.drop_places(at, gone);
        }
    }

    /// Takes places out of a node, with what is kept there.
    fn drop_places(&mut self, at: u32, gone: u64) {
        let mut node = self.node(at);
        if gone & VALUES != 0 {
            node.values = self.values.shrink(node.values, node.count(VALUES), stays(node.map & VALUES, gone));
            self.len -= (gone & VALUES).count_ones() as usize;
        }
        if gone & CHILDREN != 0 {
            node.children =
                self.nodes.shrink(node.children, node.count(CHILDREN), stays(node.map & CHILDREN, gone));
        }
        node.map &= !gone;
        self.set_node(at, node);
    }
}

/// Which of the set places stay, by their rank.
fn stays(map: u64, gone: u64) -> impl Fn(usize) -> bool {
    let (mut ranks, mut left, mut rank) = (0_u64, map, 0);
    while left != 0 {
        let lowest = left & left.wrapping_neg();
        if gone & lowest == 0 {
            ranks |= 1 << rank;
        }
        left ^= lowest;
        rank += 1;
    }
    move |rank| ranks & (1 << rank) != 0
}

/// The next of the places left of a node: its number, its depth in the node,
/// and its bits.
pub(super) fn next_place(left: &mut u64, bits: u128, depth: u8) -> Option<(u8, u8, u128)> {
    if *left == 0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a place is at most 62")]
    let place = left.trailing_zeros() as u8;
    *left &= *left - 1;
    let (length, below) = PLACES[usize::from(place)];
    // The last node of IPv6 has three bits only, so nothing is shifted out.
    let end = u32::from(depth + length);
    let inside = if end == 0 { bits } else { bits | (u128::from(below) << (128 - end)) };
    Some((place, length, inside))
}
