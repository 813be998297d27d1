//! How long to wait: the growing hold in Idle.

use std::time::Duration;

/// The shortest wait, so that no setting can make a machine spin.
const SHORTEST: Duration = Duration::from_millis(100);

/// How often a peer may lose its session and come back at once, without a
/// stable session in between.
const QUICK_RETURNS: u32 = 5;

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
}
