//! One block: which of its addresses are taken, and where the next search
//! begins.
//!
//! The bitmap is sparse, a word for each 64 addresses of which at least one
//! is taken, so a /64 of IPv6 costs no more than what is allocated in it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::Prefix;

/// The addresses of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    prefix: Prefix,
    /// Word number -> its bits; no word is zero.
    words: BTreeMap<u128, u64>,
    used: u64,
    /// Offset where the next search begins.
    next: u128,
    /// Offset that was released last: given out again only after all others.
    released: Option<u128>,
}

/// Which part of a block to search. A caller with several blocks goes through
/// all of them with one part before it takes the next part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From behind the address that was given out last, to the end.
    Ahead,
    /// From the beginning to there.
    Behind,
    /// The address that was released last.
    Released,
}

impl Part {
    /// In the order in which addresses are given out.
    pub const ORDER: [Self; 3] = [Self::Ahead, Self::Behind, Self::Released];
}

impl Block {
    /// A block with nothing taken.
    pub fn new(prefix: Prefix) -> Self {
        Self { prefix, words: BTreeMap::new(), used: 0, next: 0, released: None }
    }

    /// How many addresses are taken.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// True when the address is taken. The address must lie in the block.
    pub fn is_taken(&self, address: IpAddr) -> bool {
        let offset = self.offset(address);
        self.words.get(&(offset / 64)).is_some_and(|word| word & bit(offset) != 0)
    }

    /// Marks an address of the block as taken.
    pub fn take(&mut self, address: IpAddr) {
        let offset = self.offset(address);
        let word = self.words.entry(offset / 64).or_default();
        self.used += u64::from(*word & bit(offset) == 0);
        *word |= bit(offset);
        if self.released == Some(offset) {
            self.released = None;
        }
    }

    /// Marks an address of the block as free.
    pub fn free(&mut self, address: IpAddr) {
        let offset = self.offset(address);
        let Some(word) = self.words.get_mut(&(offset / 64)) else { return };
        self.used -= u64::from(*word & bit(offset) != 0);
        *word &= !bit(offset);
        if *word == 0 {
            self.words.remove(&(offset / 64));
        }
        self.released = Some(offset);
    }

    /// The next search begins behind this address of the block.
    pub fn advance(&mut self, address: IpAddr) {
        self.next = self.offset(address).checked_add(1).filter(|next| *next <= self.last()).unwrap_or(0);
    }

    /// The lowest free address in one part of the block. `reserved_until`
    /// tells the last address of the reserved range that holds an address.
    pub fn search(&self, part: Part, reserved_until: impl Fn(IpAddr) -> Option<IpAddr>) -> Option<IpAddr> {
        let (mut offset, last) = match part {
            Part::Ahead => (self.next, self.last()),
            Part::Behind => (0, self.next.checked_sub(1)?),
            Part::Released => (self.released?, self.released?),
        };
        loop {
            offset = self.first_clear(offset, last)?;
            let address = self.address(offset);
            if let Some(end) = reserved_until(address) {
                offset = self.offset(end);
            } else if part == Part::Released || self.released != Some(offset) {
                return Some(address);
            }
            offset = offset.checked_add(1)?;
        }
    }

    /// The first offset in `from..=last` whose bit is clear.
    fn first_clear(&self, mut from: u128, last: u128) -> Option<u128> {
        while from <= last {
            let below = bit(from) - 1;
            let taken = self.words.get(&(from / 64)).copied().unwrap_or(0) | below;
            if taken != u64::MAX {
                let offset = from / 64 * 64 + u128::from(taken.trailing_ones());
                return (offset <= last).then_some(offset);
            }
            from = (from / 64 + 1).checked_mul(64)?;
        }
        None
    }

    fn last(&self) -> u128 {
        self.offset(self.prefix.last_address())
    }

    /// Offset inside the block; an address beyond its end counts as its end,
    /// as a reserved range may reach further than the block.
    fn offset(&self, address: IpAddr) -> u128 {
        let base = bits(self.prefix.address());
        bits(address).min(bits(self.prefix.last_address())).saturating_sub(base)
    }

    fn address(&self, offset: u128) -> IpAddr {
        address_in(self.prefix, offset)
    }
}

/// How many addresses a prefix has; 2^128 counts as one less.
pub(crate) fn size(prefix: Prefix) -> u128 {
    (bits(prefix.last_address()) - bits(prefix.address())).saturating_add(1)
}

/// The address at an offset inside a prefix.
pub(crate) fn address_in(prefix: Prefix, offset: u128) -> IpAddr {
    let bits = bits(prefix.address()) + offset;
    match prefix.address() {
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

/// An address as a number.
pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn bit(offset: u128) -> u64 {
    1 << (offset % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn give(block: &mut Block) -> Option<IpAddr> {
        let found = Part::ORDER.into_iter().find_map(|part| block.search(part, |_| None))?;
        block.take(found);
        block.advance(found);
        Some(found)
    }

    #[test]
    fn lowest_first_then_round() {
        let mut block = Block::new("10.0.0.0/30".parse().unwrap());
        assert_eq!(give(&mut block), Some(a("10.0.0.0")));
        assert_eq!(give(&mut block), Some(a("10.0.0.1")));
        block.free(a("10.0.0.1"));
        block.free(a("10.0.0.0"));
        assert_eq!(give(&mut block), Some(a("10.0.0.2")));
        assert_eq!(give(&mut block), Some(a("10.0.0.3")));
        assert_eq!(give(&mut block), Some(a("10.0.0.1")), "the one released last comes last");
        assert_eq!(give(&mut block), Some(a("10.0.0.0")));
        assert_eq!(give(&mut block), None);
        assert_eq!(block.used(), 4);
    }

    #[test]
    fn the_ends_of_the_address_space_are_ordinary() {
        for (prefix, last) in
            [("255.255.255.254/31", "255.255.255.255"), ("::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]
        {
            let mut block = Block::new(prefix.parse().unwrap());
            block.take(a(last));
            block.advance(a(last));
            assert!(block.is_taken(a(last)));
            assert_eq!(give(&mut block), Some(block.prefix.address()));
        }
        assert_eq!(size("::/0".parse().unwrap()), u128::MAX);
    }

    #[test]
    fn reserved_ranges_are_stepped_over_in_one_step() {
        let block = Block::new("fd00::/64".parse().unwrap());
        let steps = std::cell::Cell::new(0);
        let found = block.search(Part::Ahead, |address| {
            steps.set(steps.get() + 1);
            (address < a("fd00::1:0:0:0")).then(|| a("fd00::ffff:ffff:ffff"))
        });
        assert_eq!(found, Some(a("fd00::1:0:0:0")));
        assert_eq!(steps.get(), 2);
        assert_eq!(block.search(Part::Ahead, |_| Some(a("fd00:0:0:1::"))), None, "beyond the block");
    }

    #[test]
    fn full_words_are_stepped_over() {
        let mut block = Block::new("10.0.0.0/24".parse().unwrap());
        for last in 0..200 {
            block.take(IpAddr::from([10, 0, 0, last]));
        }
        assert_eq!(block.search(Part::Ahead, |_| None), Some(a("10.0.0.200")));
    }
}
