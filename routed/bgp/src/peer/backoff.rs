//! How long to wait: jitter, and the growing hold in Idle.

use std::time::Duration;

/// The shortest wait, so that no setting can make a machine spin.
const SHORTEST: Duration = Duration::from_millis(100);

/// How often a peer may lose its session and come back at once, without a
/// stable session in between.
const QUICK_RETURNS: u32 = 5;

/// A reproducible source of jitter (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    /// Starts the sequence that belongs to a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 0.75 to 1.0 times `base` (RFC 4271 §10).
    pub(crate) fn spread(&mut self, base: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let part = u32::try_from(z % 257).unwrap_or(0);
        (base * 3 / 4 + base / 1024 * part).max(SHORTEST)
    }
}

/// The hold in Idle after failures: doubles with each, up to a cap
/// (`DampPeerOscillations`, RFC 4271 §8.1.1).
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self { first: first.max(SHORTEST), most: most.max(first), failures: 0 }
    }

    /// The hold after one more failure, before jitter.
    pub(crate) fn next(&mut self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(factor).min(self.most)
    }

    /// True when failures follow each other so fast that a peer is no longer
    /// believed to be merely restarting.
    pub(crate) fn flaps(&self) -> bool {
        self.failures >= QUICK_RETURNS
    }

    /// Forgets all failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// A session that lasted this long is stable.
    pub(crate) fn stable_after(&self) -> Duration {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hold_doubles_to_its_cap_and_starts_again_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let holds: Vec<u64> = (0..8).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(holds, [1, 2, 4, 8, 16, 32, 60, 60]);
        for _ in 0..100 {
            assert_eq!(backoff.next().as_secs(), 60);
        }
        backoff.reset();
        assert_eq!(backoff.next().as_secs(), 1);
    }

    #[test]
    fn jitter_stays_between_three_quarters_and_the_whole_and_uses_both_ends() {
        let mut jitter = Jitter::new(7);
        let base = Duration::from_secs(100);
        let spread: Vec<Duration> = (0..1000).map(|_| jitter.spread(base)).collect();
        assert!(spread.iter().all(|wait| (75..=100).contains(&wait.as_secs())));
        assert!(spread.iter().any(|wait| *wait < Duration::from_secs(78)));
        assert!(spread.iter().any(|wait| *wait > Duration::from_secs(97)));
    }
}
