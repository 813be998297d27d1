//! A table of timers: which are armed, and which is due first.

use std::time::Instant;

/// `N` timers, each armed with the instant at which it is due, or not armed.
///
/// The engine that owns the table names its timers by an enum whose variants
/// convert to an index below `N`. Nothing here reads a clock.
#[derive(Clone, Debug)]
pub struct Deadlines<const N: usize>([Option<Instant>; N]);

impl<const N: usize> Default for Deadlines<N> {
    fn default() -> Self {
        Self([None; N])
    }
}

impl<const N: usize> Deadlines<N> {
    /// Arms a timer, or moves it.
    pub fn arm(&mut self, timer: impl Into<usize>, at: Instant) {
        self.0[timer.into()] = Some(at);
    }

    /// Disarms a timer.
    pub fn stop(&mut self, timer: impl Into<usize>) {
        self.0[timer.into()] = None;
    }

    /// Disarms all of them.
    pub fn stop_all(&mut self) {
        self.0 = [None; N];
    }

    /// When a timer is due, if it is armed.
    pub fn at(&self, timer: impl Into<usize>) -> Option<Instant> {
        self.0[timer.into()]
    }

    /// The earliest deadline of all armed timers.
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Disarms a timer that is due at `now` and says whether it was.
    pub fn expire(&mut self, timer: impl Into<usize>, now: Instant) -> bool {
        let slot = &mut self.0[timer.into()];
        let due = slot.is_some_and(|at| at <= now);
        if due {
            *slot = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timer_fires_once_and_not_before_its_time() {
        let start = Instant::now();
        let mut timers = Deadlines::<2>::default();
        timers.arm(0usize, start + Duration::from_secs(3));
        timers.arm(1usize, start + Duration::from_secs(1));
        assert_eq!(timers.next(), Some(start + Duration::from_secs(1)));
        assert!(!timers.expire(0usize, start + Duration::from_secs(2)));
        assert!(timers.expire(1usize, start + Duration::from_secs(2)));
        assert!(!timers.expire(1usize, start + Duration::from_secs(2)));
        assert_eq!(timers.next(), timers.at(0usize));
    }
}
