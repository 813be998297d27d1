//! What a session is to be like: types of which only values that can be
//! exist.

use std::num::NonZeroU8;
use std::time::Duration;

use thiserror::Error;

use crate::auth::Auth;

/// What a session is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The least interval at which we send and can receive.
    pub interval: Interval,
    /// After how many missing packets we are lost.
    pub multiplier: NonZeroU8,
    /// The least TTL on arrival over many hops, where the 255 of one hop
    /// cannot be asked for; ours, for RFC 5883 leaves it open.
    pub least_ttl: u8,
    /// How packets are authenticated; `None`: not.
    pub auth: Option<Auth>,
}

/// The least time between packets, from 50 ms to a minute: a busy node loses
/// sessions below it that are well, and above it the protocols are as fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(Duration);

/// A time that is no [`Interval`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("from {} to {} milliseconds", Interval::LEAST.0.as_millis(), Interval::MOST.0.as_millis())]
pub struct BadInterval;

impl Interval {
    /// 50 ms.
    pub const LEAST: Self = Self(Duration::from_millis(50));
    /// 60 s.
    pub const MOST: Self = Self(Duration::from_secs(60));

    /// An interval, if it is neither too short nor too long.
    pub fn new(time: Duration) -> Result<Self, BadInterval> {
        let interval = Self(time);
        if (Self::LEAST..=Self::MOST).contains(&interval) { Ok(interval) } else { Err(BadInterval) }
    }

    /// The time.
    pub fn get(self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_from_50_ms_to_a_minute() {
        let bad = |ms| Interval::new(Duration::from_millis(ms)).is_err();
        assert_eq!([0, 49, 50, 60_000, 60_001].map(bad), [true, true, false, false, true]);
        assert_eq!(BadInterval.to_string(), "from 50 to 60000 milliseconds");
    }
}
