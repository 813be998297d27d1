use std::sync::Arc;

use net::{Attrs, ExtCommunity};
use proptest::prelude::*;

use super::*;
use crate::fixture::ip;
use crate::{Protocol, Source, Via};

/// A path of a weight, with a bandwidth if one is told.
fn path(weight: u16, bandwidth: Option<f32>) -> Path {
    let told = |octets: f32| ExtCommunity(0x4004_fc00 << 32 | u64::from(octets.to_bits()));
    let ext_communities = bandwidth.map(told).into_iter().collect();
    let attrs = Arc::new(Attrs { ext_communities, ..Attrs::default() });
    Path {
        source: Source::Local,
        protocol: Protocol::Static,
        received: Arc::clone(&attrs),
        imported: Ok(attrs),
        distance: 1,
        metric: 0,
        via: Via::NextHop,
        weight,
    }
}

/// Next hops 192.0.2.n with their weights.
fn hops(of: &[(u8, u16)]) -> Target {
    let hop = |(n, weight): &(u8, u16)| Hop { weight: *weight, ..Hop::via(ip(&format!("192.0.2.{n}")), 2) };
    Target::Hops(of.iter().map(hop).collect())
}

/// A path: its weight, its bandwidth and its next hops.
type Told<'a> = (u16, Option<f32>, &'a [(u8, u16)]);

/// What paths give together.
fn together(paths: &[Told<'_>]) -> Target {
    let paths: Vec<(Path, Target)> =
        paths.iter().map(|(weight, bandwidth, to)| (path(*weight, *bandwidth), hops(to))).collect();
    share(&paths.iter().map(|(path, target)| (path, target)).collect::<Vec<_>>())
}

#[test]
fn configured_weights_are_kept() {
    assert_eq!(together(&[(1, None, &[(1, 1)]), (1, None, &[(2, 1)])]), hops(&[(1, 1), (2, 1)]));
    assert_eq!(together(&[(2, None, &[(2, 1)]), (1, None, &[(1, 1)])]), hops(&[(1, 1), (2, 2)]));
    assert_eq!(together(&[(20, None, &[(1, 1)]), (256, None, &[(2, 1)])]), hops(&[(1, 20), (2, 256)]));
}

#[test]
fn bandwidths_count_where_every_path_tells_one() {
    let (fast, slow) = (Some(12.5e9), Some(1.25e9));
    assert_eq!(together(&[(1, fast, &[(1, 1)]), (1, slow, &[(2, 1)])]), hops(&[(1, 10), (2, 1)]));
    assert_eq!(together(&[(1, fast, &[(1, 1)]), (1, fast, &[(2, 1)])]), hops(&[(1, 1), (2, 1)]));
    assert_eq!(together(&[(1, fast, &[(1, 1)]), (1, None, &[(2, 1)])]), hops(&[(1, 1), (2, 1)]));
}

#[test]
fn a_path_divides_its_share_among_its_next_hops() {
    let divided = together(&[(1, None, &[(1, 1), (2, 3)]), (1, None, &[(3, 1)])]);
    assert_eq!(divided, hops(&[(1, 1), (2, 3), (3, 4)]));
    let twice = together(&[(1, None, &[(1, 1)]), (3, None, &[(1, 1)]), (3, None, &[(2, 1)])]);
    assert_eq!(twice, hops(&[(1, 3), (2, 3)]), "one next hop counts once");
}

proptest! {
    #[test]
    fn weights_are_what_the_kernel_takes_and_near_the_proportion(
        shares in prop::collection::vec(1.0f64..1e12, 1..9)
    ) {
        let weights = whole(&shares);
        let most = shares.iter().copied().fold(0.0, f64::max);
        let unit = f64::from(*weights.iter().max().unwrap());
        for (share, weight) in shares.iter().zip(&weights) {
            prop_assert!((1..=MOST).contains(weight));
            let exact = share / most * unit;
            prop_assert!((exact - f64::from(*weight)).abs() <= 1.0, "{exact} became {weight}");
        }
        let mut reversed = whole(&shares.iter().rev().copied().collect::<Vec<_>>());
        reversed.reverse();
        prop_assert_eq!(reversed, weights, "in any order");
    }
}
