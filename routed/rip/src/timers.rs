//! Random spread of times, and deadlines of many things at once.

use std::time::{Duration, Instant};

/// The source of all randomness of an instance: a small generator with a seed
/// (splitmix64), so that a run can be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A time between two others, both included, to the millisecond.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_millis()).unwrap_or(u64::MAX);
        low + Duration::from_millis(self.next() % span.saturating_add(1))
    }

    /// The update period and up to a sixth more or less: 30 s becomes 25 to
    /// 35 s (RFC 2453 §3.8). Never less than a second.
    pub(crate) fn around(&mut self, period: Duration) -> Duration {
        let period = period.max(Duration::from_secs(1));
        self.between(period * 5 / 6, period * 7 / 6)
    }
}

/// A lower bound of many deadlines of which each mostly moves into the future
/// before it comes. Whoever owns the deadlines looks through all of them when
/// the bound is reached, which is rare, and need not keep them in order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Earliest(Option<Instant>);

impl Earliest {
    /// There is a deadline at this time.
    pub(crate) fn note(&mut self, at: Instant) {
        self.0 = Some(self.0.map_or(at, |known| known.min(at)));
    }

    /// When to look.
    pub(crate) fn at(self) -> Option<Instant> {
        self.0
    }

    /// True when it is time to look; the bound is then forgotten and every
    /// deadline that stays has to be noted again.
    pub(crate) fn reached(&mut self, now: Instant) -> bool {
        let reached = self.0.is_some_and(|at| at <= now);
        if reached {
            self.0 = None;
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_spread_by_a_sixth_and_a_seed_repeats_them() {
        let (mut one, mut two) = (Jitter::new(7), Jitter::new(7));
        let period = Duration::from_secs(30);
        for _ in 0..1000 {
            let spread = one.around(period);
            assert_eq!(spread, two.around(period));
            assert!((25_000..=35_000).contains(&spread.as_millis()), "{spread:?}");
        }
    }

    #[test]
    fn a_bound_is_reached_once_and_never_late() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut earliest = Earliest::default();
        earliest.note(at(3));
        earliest.note(at(2));
        assert_eq!(earliest.at(), Some(at(2)));
        assert!(!earliest.reached(at(1)));
        assert!(earliest.reached(at(2)));
        assert!(!earliest.reached(at(9)));
    }
}
