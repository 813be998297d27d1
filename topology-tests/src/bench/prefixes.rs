//! Sets of prefixes, the same in every run.

use std::{collections::HashSet, net::Ipv4Addr};

/// An IPv4 prefix: host bits are 0.
pub(super) type Prefix = (u32, u8);

/// How often each length stands in a table of the Internet, out of a thousand.
const LENGTHS: [(u8, u64); 9] =
    [(24, 590), (23, 100), (22, 125), (21, 55), (20, 50), (19, 30), (18, 20), (17, 15), (16, 15)];

/// First octets that tests leave alone: this network, private, shared,
/// loopback, link-local, documentation and benchmark addresses lie there.
const LEFT_OUT: [u32; 8] = [0, 10, 100, 127, 169, 172, 192, 198];

/// First address of [`plain`].
pub(super) const PLAIN: u32 = 10 << 24;

/// A small generator of numbers that look random (`SplitMix64`): what it gives
/// depends on the seed alone.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Starts at `seed`.
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    /// The same number as an index.
    pub(super) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap_or(0)
    }
}

/// `count` prefixes of lengths as on the Internet, /16 to /24, in random order
/// and without duplicates; they overlap as they do there.
pub(super) fn mix(count: usize) -> Vec<Prefix> {
    let mut random = Random::new(7);
    let mut seen = HashSet::with_capacity(count);
    let mut prefixes = Vec::with_capacity(count);
    while prefixes.len() < count {
        let mut at = random.below(1000);
        let length = LENGTHS.iter().find_map(|&(length, share)| {
            let here = at < share;
            at = at.saturating_sub(share);
            here.then_some(length)
        });
        let length = length.unwrap_or(24);
        let address = u32::try_from(random.below(224 << 24)).unwrap_or(0);
        let prefix = (masked(address, length), length);
        if !LEFT_OUT.contains(&(prefix.0 >> 24)) && seen.insert(prefix) {
            prefixes.push(prefix);
        }
    }
    prefixes
}

/// `count` consecutive /24 from the `first`-th on: a number can be read off each.
pub(super) fn plain(first: usize, count: usize) -> Vec<Prefix> {
    (first..first + count).map(|n| (PLAIN + (u32::try_from(n).unwrap_or(0) << 8), 24)).collect()
}

/// At most `wanted` addresses, each inside one prefix of the set and no other:
/// whether the kernel has a route to it tells whether it has that prefix.
pub(super) fn samples(prefixes: &[Prefix], wanted: usize) -> Vec<Ipv4Addr> {
    let set: HashSet<Prefix> = prefixes.iter().copied().collect();
    let mut random = Random::new(11);
    let mut found = Vec::with_capacity(wanted);
    for _ in 0..wanted * 20 {
        let (address, length) = prefixes[random.index(prefixes.len())];
        let covered = (8..length).any(|shorter| set.contains(&(masked(address, shorter), shorter)));
        // The last address of a prefix lies in the last of those inside it.
        let last = address | (u32::MAX >> length);
        let covers = (length + 1..=32).any(|longer| set.contains(&(masked(last, longer), longer)));
        if !covered && !covers {
            found.push(Ipv4Addr::from(last - 1));
        }
        if found.len() == wanted {
            break;
        }
    }
    found
}

/// The address without its host bits.
fn masked(address: u32, length: u8) -> u32 {
    address & (u32::MAX << (32 - u32::from(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_the_same_each_time_without_duplicates_or_host_bits() {
        let set = mix(20_000);
        assert_eq!(set, mix(20_000));
        assert_eq!(set.iter().collect::<HashSet<_>>().len(), set.len());
        assert!(set.iter().all(|&(address, length)| address == masked(address, length)));
        assert!((16..=24).all(|length| set.iter().any(|prefix| prefix.1 == length)));
    }

    #[test]
    fn a_sample_lies_in_exactly_one_prefix() {
        let set = mix(20_000);
        let samples = samples(&set, 100);
        assert_eq!(samples.len(), 100);
        for sample in samples {
            let holders = set.iter().filter(|&&(address, length)| masked(sample.into(), length) == address);
            assert_eq!(holders.count(), 1, "{sample}");
        }
    }
}
