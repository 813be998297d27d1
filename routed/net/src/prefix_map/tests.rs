use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn map(texts: &[&str]) -> PrefixMap<u32> {
    texts.iter().zip(1..).map(|(text, value)| (p(text), value)).collect()
}

fn keys<'a>(entries: impl Iterator<Item = (Prefix, &'a u32)>) -> Vec<String> {
    entries.map(|(prefix, _)| prefix.to_string()).collect()
}

#[test]
fn the_most_specific_prefix_is_found() {
    let map = map(&["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "fd00::/8", "::/0"]);
    let found = |address: &str| map.lookup(address.parse().unwrap()).map(|(prefix, _)| prefix.to_string());
    assert_eq!(found("10.1.2.3").as_deref(), Some("10.1.2.0/24"));
    assert_eq!(found("10.1.3.3").as_deref(), Some("10.1.0.0/16"));
    assert_eq!(found("11.1.3.3").as_deref(), Some("0.0.0.0/0"));
    assert_eq!(found("fd00::1").as_deref(), Some("fd00::/8"));
    assert_eq!(found("2001:db8::1").as_deref(), Some("::/0"));
    assert_eq!(map.longest(p("10.0.0.0/15")).unwrap().0, p("10.0.0.0/8"));
}

#[test]
fn what_holds_and_what_lies_inside() {
    let map = map(&["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.4/32", "10.128.0.0/9"]);
    assert_eq!(
        keys(map.covering(p("10.1.2.0/24"))),
        ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"]
    );
    assert_eq!(keys(map.covered(p("10.1.0.0/16"))), ["10.1.0.0/16", "10.1.2.0/24", "10.1.2.4/32"]);
    assert_eq!(keys(map.covered(p("10.1.2.4/30"))), ["10.1.2.4/32"]);
    assert!(keys(map.covered(p("10.1.2.8/30"))).is_empty());
}

#[test]
fn a_walk_may_begin_after_a_prefix_that_is_not_there() {
    let map = map(&["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "fd00::/8"]);
    assert_eq!(keys(map.iter_after(p("10.1.0.0/16"))), ["192.0.2.0/24", "fd00::/8"]);
    assert_eq!(keys(map.iter_from(p("10.1.0.0/16"))), ["10.1.0.0/16", "192.0.2.0/24", "fd00::/8"]);
    assert_eq!(keys(map.iter_after(p("11.0.0.0/8"))), ["192.0.2.0/24", "fd00::/8"]);
    assert_eq!(keys(map.iter_after(p("::/0"))), ["fd00::/8"]);
    assert!(keys(map.iter_after(p("fd00::/8"))).is_empty());
}

#[test]
fn an_emptied_map_holds_no_memory() {
    let mut map: PrefixMap<u64> = internet(10_000).into_iter().map(|prefix| (prefix, 1)).collect();
    assert!(map.bytes() > 0);
    map.retain(|_, _| false);
    assert_eq!((map.len(), map.bytes()), (0, 0));
}

/// A table like that of the Internet in its lengths: three in five are /24,
/// most of the rest /20 to /23, spread over unicast space.
fn internet(count: usize) -> Vec<Prefix> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut seen = rustc_hash::FxHashSet::default();
    while seen.len() < count {
        let bits = random();
        let length = match bits % 100 {
            0..60 => 24,
            60..72 => 22,
            72..82 => 23,
            82..92 => 20 + u8::try_from(bits >> 8 & 1).unwrap(),
            92..99 => 16 + u8::try_from(bits >> 8 & 3).unwrap(),
            _ => 12 + u8::try_from(bits >> 8 & 3).unwrap(),
        };
        let address = std::net::Ipv4Addr::from(u32::try_from(bits >> 32).unwrap());
        let prefix = Prefix::new(address.into(), length).unwrap();
        if !prefix.is_martian() {
            seen.insert(prefix);
        }
    }
    seen.into_iter().collect()
}

#[test]
fn an_internet_like_table_costs_under_twelve_bytes_a_prefix() {
    const COUNT: usize = 1_000_000;
    let prefixes = internet(COUNT);
    let mut map: PrefixMap<u32> = PrefixMap::new();
    for prefix in &prefixes {
        map.insert(*prefix, 7);
    }
    assert_eq!(map.len(), COUNT);
    let bytes = map.bytes() - COUNT * size_of::<u32>();
    assert!(bytes < 12 * COUNT, "{bytes} bytes");
    // In order, as many tell it, it is smaller.
    let sorted: PrefixMap<u32> = map.iter().map(|(prefix, value)| (prefix, *value)).collect();
    assert!(sorted.len() == COUNT && sorted.bytes() <= map.bytes());
}

/// Prefixes that often lie inside each other: few different bits, any length.
fn prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (0_u32..64, 0_u8..=32, any::<bool>()).prop_map(|(bits, length, low)| {
            let bits = if low { bits } else { bits.reverse_bits() };
            Prefix::new(std::net::Ipv4Addr::from(bits).into(), length).unwrap()
        }),
        (0_u128..64, 0_u8..=128, 0_u32..120).prop_map(|(bits, length, shift)| {
            Prefix::new(std::net::Ipv6Addr::from(bits << shift).into(), length).unwrap()
        }),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Prefix, u32),
    Remove(Prefix),
    /// Leaves those whose value is no multiple.
    Retain(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (prefix(), any::<u32>()).prop_map(|(prefix, value)| Op::Insert(prefix, value)),
        10 => prefix().prop_map(Op::Remove),
        1 => (1_u32..5).prop_map(Op::Retain),
    ]
}

type Model = BTreeMap<Prefix, u32>;

fn check_reads(map: &PrefixMap<u32>, model: &Model, at: Prefix) {
    let own = |entries: Vec<(Prefix, &u32)>| -> Vec<(Prefix, u32)> {
        entries.into_iter().map(|(prefix, value)| (prefix, *value)).collect()
    };
    let of = |keep: &dyn Fn(Prefix) -> bool| -> Vec<(Prefix, u32)> {
        model.iter().map(|(prefix, value)| (*prefix, *value)).filter(|(prefix, _)| keep(*prefix)).collect()
    };
    assert_eq!(map.get(at), model.get(&at));
    assert_eq!(own(map.covering(at).collect()), of(&|prefix| prefix.covers(at)));
    assert_eq!(own(map.covered(at).collect()), of(&|prefix| at.covers(prefix)));
    assert_eq!(own(map.iter_from(at).collect()), of(&|prefix| prefix >= at));
    assert_eq!(own(map.iter_after(at).collect()), of(&|prefix| prefix > at));
    assert_eq!(own(map.longest(at).into_iter().collect()).last(), of(&|prefix| prefix.covers(at)).last());
}

proptest! {
    #[test]
    fn a_map_is_a_sorted_map(
        ops in proptest::collection::vec(op(), 0..300),
        probes in proptest::collection::vec(prefix(), 20),
    ) {
        let (mut map, mut model) = (PrefixMap::new(), Model::new());
        for op in ops {
            match op {
                Op::Insert(prefix, value) => assert_eq!(map.insert(prefix, value), model.insert(prefix, value)),
                Op::Remove(prefix) => assert_eq!(map.remove(prefix), model.remove(&prefix)),
                Op::Retain(modulus) => {
                    map.retain(|prefix, value| {
                        assert_eq!(model.get(&prefix), Some(&*value));
                        *value % modulus != 0
                    });
                    model.retain(|_, value| *value % modulus != 0);
                }
            }
            assert_eq!(map.len(), model.len());
        }
        assert!(map.iter().eq(model.iter().map(|(prefix, value)| (*prefix, value))));
        for family in Family::ALL {
            assert_eq!(map.iter_of(family).count(), map.len_of(family));
        }
        for probe in probes.into_iter().chain(model.keys().copied()) {
            check_reads(&map, &model, probe);
        }
    }
}
