//! Intervals, the poll sequence that changes them, and random spread.

use std::time::{Duration, Instant};

/// The source of all randomness: a small generator with a seed (splitmix64),
/// so that a run can be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 32 random bits.
    pub(crate) fn word(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).expect("32 of 64 bits")
    }

    /// 75 to 100 % of an interval, to 90 % with a multiplier of 1 (§6.8.7).
    pub(crate) fn spread(&mut self, interval: Duration, multiplier: u8) -> Duration {
        let room = if multiplier == 1 { 15_000 } else { 25_000 };
        let part = 75_000 + self.word() % (room + 1);
        interval * part / 100_000
    }
}

/// The least intervals at which a session wants to send and can receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) tx: Duration,
    pub(crate) rx: Duration,
}

/// A poll sequence (§6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    No,
    /// The next packet begins one.
    Due,
    /// A packet with P has been sent.
    Running,
    /// Values have changed meanwhile: another one has to follow.
    Again,
    /// One has ended and another one follows. A packet without P goes between
    /// them, so that what still comes with F is not taken for its answer.
    Gap,
}

/// What a session tells of its intervals, and what it uses until the other
/// end has answered (§6.8.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) told: Timing,
    pub(crate) used: Timing,
    poll: Poll,
    /// When the next periodic packet is due.
    pub(crate) next_tx: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant, timing: Timing) -> Self {
        Self { told: timing, used: timing, poll: Poll::No, next_tx: now }
    }

    /// Something is still to be answered: packets have to go.
    pub(crate) fn polls(&self) -> bool {
        self.poll != Poll::No
    }

    /// Tells other intervals. In Up we send no slower and expect no faster
    /// before the other end has answered a poll.
    pub(crate) fn retime(&mut self, up: bool, timing: Timing) {
        if !up {
            (self.told, self.used, self.poll) = (timing, timing, Poll::No);
        } else if timing != self.told {
            self.poll = match self.poll {
                Poll::No | Poll::Due => Poll::Due,
                Poll::Running | Poll::Again => Poll::Again,
                Poll::Gap => Poll::Gap,
            };
            self.told = timing;
            self.used = Timing { tx: self.used.tx.min(timing.tx), rx: self.used.rx.max(timing.rx) };
        }
    }

    /// A packet goes out that is no answer; whether it has P.
    pub(crate) fn begin(&mut self) -> bool {
        match self.poll {
            Poll::No => return false,
            Poll::Due => self.poll = Poll::Running,
            Poll::Running | Poll::Again => {}
            Poll::Gap => {
                self.poll = Poll::Due;
                return false;
            }
        }
        true
    }

    /// The F bit has come. One that comes before P was sent answers nothing.
    pub(crate) fn answered(&mut self) {
        match self.poll {
            Poll::No | Poll::Due | Poll::Gap => {}
            Poll::Again => self.poll = Poll::Gap,
            Poll::Running => (self.poll, self.used) = (Poll::No, self.told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_shrink_by_a_quarter_at_most_and_by_a_tenth_at_least_with_multiplier_one() {
        let (mut jitter, interval) = (Jitter::new(7), Duration::from_millis(100));
        let spread = |jitter: &mut Jitter, multiplier| -> Vec<u128> {
            (0..2000).map(|_| jitter.spread(interval, multiplier).as_micros()).collect()
        };
        let (three, one) = (spread(&mut jitter, 3), spread(&mut jitter, 1));
        assert!(three.iter().all(|time| (75_000..=100_000).contains(time)));
        assert!(three.iter().any(|time| *time > 95_000), "the whole range is used");
        assert!(one.iter().all(|time| (75_000..=90_000).contains(time)));
    }
}
