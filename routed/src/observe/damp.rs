//! Log lines about one peer, few however often something happens.
//!
//! The first few events of a kind are told as they come; then one line a
//! minute, two minutes, four, up to an hour, each with the number of those
//! that were kept back. Something new is told within ten seconds. After ten
//! quiet minutes all begins anew. The counters of `routectl peers ADDR` count
//! everything.

use std::time::{Duration, Instant};

/// So many are told at once.
const BURST: u32 = 5;
/// The first pause after them; it doubles with each line.
const PAUSE: Duration = Duration::from_secs(60);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(3600);
/// After so long without an event all begins anew.
const QUIET: Duration = Duration::from_secs(600);
/// Other words than the last ones may be told this long after them.
const NEWS: Duration = Duration::from_secs(10);

/// What events of one kind have been told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damper {
    told: u32,
    kept_back: u64,
    times: Option<Times>,
    words: String,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    /// The last event.
    event: Instant,
    /// The last line.
    line: Instant,
    pause: Duration,
}

impl Damper {
    /// An event has happened: `Some` when it is to be told, with how many
    /// before it were not.
    pub(crate) fn admit(&mut self, now: Instant, words: &str) -> Option<u64> {
        let quiet = |times: &Times| now.saturating_duration_since(times.event) >= QUIET.max(times.pause);
        if self.times.as_ref().is_none_or(quiet) {
            let kept_back = std::mem::take(&mut self.kept_back);
            *self = Self { told: 1, ..Self::default() };
            return Some(self.tell(now, words, PAUSE) + kept_back);
        }
        let mut times = self.times?;
        let since = now.saturating_duration_since(times.line);
        if self.told < BURST {
            self.told += 1;
            return Some(self.tell(now, words, PAUSE));
        }
        if since >= times.pause {
            return Some(self.tell(now, words, LONGEST.min(times.pause * 2)));
        }
        if since >= NEWS && self.words != words {
            return Some(self.tell(now, words, times.pause));
        }
        self.kept_back += 1;
        times.event = now;
        self.times = Some(times);
        None
    }

    fn tell(&mut self, now: Instant, words: &str, pause: Duration) -> u64 {
        self.times = Some(Times { event: now, line: now, pause });
        words.clone_into(&mut self.words);
        std::mem::take(&mut self.kept_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `count` events, one each `step`, are told.
    fn told(count: u32, step: Duration) -> usize {
        let start = Instant::now();
        let mut damper = Damper::default();
        (0..count).filter(|i| damper.admit(start + step * *i, "x").is_some()).count()
    }

    #[test]
    fn a_flood_is_a_handful_of_lines_and_nothing_is_lost_count_of() {
        assert_eq!(told(100_000, Duration::from_micros(1)), 5);
        // A failure a minute for ten days.
        assert!(told(14_400, Duration::from_secs(60)) < 260);
        let start = Instant::now();
        let mut damper = Damper::default();
        for _ in 0..105 {
            damper.admit(start, "x");
        }
        assert_eq!(damper.admit(start + PAUSE, "x"), Some(100));
    }

    #[test]
    fn news_is_told_soon_and_quiet_makes_all_new() {
        let start = Instant::now();
        let mut damper = Damper::default();
        for _ in 0..10 {
            damper.admit(start, "x");
        }
        assert_eq!(damper.admit(start + Duration::from_secs(1), "y"), None);
        assert_eq!(damper.admit(start + NEWS, "y"), Some(6));
        assert_eq!(damper.admit(start + NEWS, "y"), None);
        assert_eq!(damper.admit(start + NEWS + QUIET, "y"), Some(1));
        assert_eq!(damper.admit(start + NEWS + QUIET, "y"), Some(0));
    }
}
