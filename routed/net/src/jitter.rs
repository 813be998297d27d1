//! What keeps many nodes from doing the same thing at the same time.

use std::time::Duration;

/// The shortest wait, so that no setting can make a machine spin.
const SHORTEST: Duration = Duration::from_millis(100);

/// A reproducible source of jitter (splitmix64).
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Starts the sequence that belongs to a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 0.75 to 1.0 times `base` (RFC 4271 §10).
    pub fn spread(&mut self, base: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let part = u32::try_from(z % 257).unwrap_or(0);
        (base * 3 / 4 + base / 1024 * part).max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
