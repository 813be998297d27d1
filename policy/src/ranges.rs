//! Sets of numbers as ranges that neither overlap nor touch.
//!
//! nft is strict about intervals that overlap, so sets are merged here before
//! it sees them. Addresses are the numbers of their bits, ports are ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::{Family, Prefix};

/// A set of numbers: ranges in ascending order, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// The numbers that are in any of the ranges.
    pub(crate) fn new(ranges: impl IntoIterator<Item = (u128, u128)>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// The addresses of a family that are in any of the prefixes.
    pub(crate) fn of_prefixes<'a>(family: Family, prefixes: impl IntoIterator<Item = &'a Prefix>) -> Self {
        let own = prefixes.into_iter().filter(|prefix| prefix.family() == family);
        Self::new(own.map(|prefix| (number(prefix.address()), number(prefix.last_address()))))
    }

    /// The addresses of a family among these.
    pub(crate) fn of_addresses(family: Family, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let own = addresses.into_iter().filter(|address| Family::of(*address) == family);
        Self::new(own.map(|address| (number(address), number(address))))
    }

    /// What is in either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&other.0).copied())
    }

    /// What is in this and not in the other.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut left = Vec::with_capacity(self.0.len());
        let mut holes = other.0.iter().copied().peekable();
        for &(first, last) in &self.0 {
            let mut start = Some(first);
            while let (Some(from), Some(&(hole, end))) = (start, holes.peek()) {
                if hole > last {
                    break;
                }
                if end >= from {
                    if hole > from {
                        left.push((from, hole - 1));
                    }
                    start = end.checked_add(1).filter(|next| *next <= last);
                }
                if end > last {
                    break;
                }
                holes.next();
            }
            left.extend(start.map(|from| (from, last)));
        }
        Self(left)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u128, u128)> {
        self.0.iter().copied()
    }
}

/// The bits of an address.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address with these bits. Bits over 32 of an IPv4 address are cut off;
/// no number that [`number`] made has any.
pub(crate) fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::Ipv4Unicast => {
            Ipv4Addr::from(u32::try_from(number & u128::from(u32::MAX)).unwrap_or(u32::MAX)).into()
        }
        Family::Ipv6Unicast => Ipv6Addr::from(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(ranges: &Ranges) -> Vec<u128> {
        ranges.iter().flat_map(|(first, last)| first..=last).collect()
    }

    fn some_ranges() -> impl Strategy<Value = Vec<(u128, u128)>> {
        prop::collection::vec((0u128..60, 0u128..8).prop_map(|(first, more)| (first, first + more)), 0..8)
    }

    #[test]
    fn the_ends_of_the_number_line_are_kept() {
        let all = Ranges::new([(0, u128::MAX)]);
        assert_eq!(all.without(&Ranges::new([(5, u128::MAX)])), Ranges::new([(0, 4)]));
        assert_eq!(all.without(&Ranges::new([(0, 4)])), Ranges::new([(5, u128::MAX)]));
        assert!(all.without(&all).is_empty());
        assert_eq!(Ranges::new([(5, u128::MAX), (7, 9)]).iter().count(), 1);
    }

    proptest! {
        #[test]
        fn ranges_are_sets(a in some_ranges(), b in some_ranges()) {
            let has = |ranges: &[(u128, u128)], n: u128| ranges.iter().any(|(f, l)| (*f..=*l).contains(&n));
            let (left, right) = (Ranges::new(a.clone()), Ranges::new(b.clone()));
            let expect = |keep: &dyn Fn(u128) -> bool| (0..80).filter(|n| keep(*n)).collect::<Vec<_>>();
            prop_assert_eq!(members(&left), expect(&|n| has(&a, n)));
            prop_assert_eq!(members(&left.union(&right)), expect(&|n| has(&a, n) || has(&b, n)));
            prop_assert_eq!(members(&left.without(&right)), expect(&|n| has(&a, n) && !has(&b, n)));
            let apart = left.without(&right);
            let all: Vec<_> = apart.iter().collect();
            prop_assert!(all.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
