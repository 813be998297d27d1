//! How the paths that are as good as each other share the traffic.
//!
//! The share of a path is the bandwidth that its peer tells of it
//! (draft-ietf-idr-link-bandwidth), where every one of them has one; else what
//! was configured for it, which is 1 for all that peers tell. A path that
//! leads to several next hops divides its share among them.
//!
//! The kernel takes whole numbers up to 256. What is none of these becomes the
//! smallest that stand in the same proportion, and where there are none, the
//! nearest.

use std::net::IpAddr;

use crate::{Hop, Path, Target};

/// The largest weight.
const MOST: u16 = 256;
/// The largest weight where it is not exact anyway: groups of next hops take
/// more on recent kernels only.
const NEAR: u16 = 255;
/// What a whole number may be off, in parts of itself: bandwidths are told in
/// 24 bits, and operators think in ratios.
const EXACT: f64 = 1.0 / 1024.0;

/// Where the packets of a prefix go that has these paths, with their targets.
/// A next hop that several of them lead to has the largest of its shares.
pub(crate) fn share(paths: &[(&Path, &Target)]) -> Target {
    let mut shares: Vec<(Hop, f64)> = Vec::new();
    for ((_, target), share) in paths.iter().zip(of_paths(paths)) {
        match target {
            Target::Hops(hops) => {
                let all: f64 = hops.iter().map(|hop| f64::from(hop.weight)).sum();
                shares.extend(hops.iter().map(|hop| (*hop, share * f64::from(hop.weight) / all)));
            }
            nowhere if shares.is_empty() => return Target::clone(nowhere),
            _ => {}
        }
    }
    let place = |hop: &Hop| (hop.gateway, hop.ifindex);
    shares.sort_by(|(a, x), (b, y)| place(a).cmp(&place(b)).then(y.total_cmp(x)));
    shares.dedup_by_key(|(hop, _)| place(hop));
    let weights = whole(&shares.iter().map(|(_, share)| *share).collect::<Vec<_>>());
    Target::Hops(shares.into_iter().zip(weights).map(|((hop, _), weight)| Hop { weight, ..hop }).collect())
}

/// What each path gets of the traffic, in any unit.
fn of_paths(paths: &[(&Path, &Target)]) -> Vec<f64> {
    let told: Option<Vec<f64>> =
        paths.iter().map(|(path, _)| path.attrs().link_bandwidth().map(f64::from)).collect();
    told.unwrap_or_else(|| paths.iter().map(|(path, _)| f64::from(path.weight)).collect())
}

/// The shares as weights: as they are, or small numbers in their proportion.
fn whole(shares: &[f64]) -> Vec<u16> {
    if shares.iter().all(|share| f64::from(nearest(*share)).total_cmp(share).is_eq()) {
        return shares.iter().copied().map(nearest).collect();
    }
    let most = shares.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let scaled = |to: u16| shares.iter().map(move |share| share / most * f64::from(to));
    let fits = |to: &u16| scaled(*to).all(|share| (share - share.round()).abs() <= share * EXACT);
    let to = (1..=MOST).find(fits).unwrap_or(NEAR);
    scaled(to).map(nearest).collect()
}

/// The whole number next to a share, 1 at least: who shares gets something.
fn nearest(share: f64) -> u16 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to MOST")]
    let whole = share.round().clamp(1.0, f64::from(MOST)) as u16;
    whole
}

impl Hop {
    /// Through a router on a link, alone.
    pub fn via(gateway: IpAddr, ifindex: u32) -> Self {
        Self { gateway: Some(gateway), ifindex, weight: 1, onlink: false }
    }
}

#[cfg(test)]
mod tests;
