//! Waiting: the one place of the lab where time passes.
//!
//! Nothing here sleeps for a fixed time: a condition is polled until it holds
//! or its time is over, and then the failure tells everything that the lab
//! knows: what was awaited, what the condition saw last, the daemons' last log
//! lines, routes and rules of every host.

use std::{
    fmt,
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// Pause between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(50);

/// A condition that did not come true.
#[derive(Debug)]
pub struct Timeout {
    /// What was awaited.
    pub what: String,
    /// How long.
    pub limit: Duration,
    /// What the condition saw the last time.
    pub last: String,
    /// Logs, routes and rules of all hosts; empty if no lab was asked.
    pub evidence: String,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "not within {:.1} s: {}", self.limit.as_secs_f32(), self.what)?;
        write!(f, "  last seen: {}", self.last)?;
        if !self.evidence.is_empty() {
            write!(f, "\n{}", self.evidence)?;
        }
        Ok(())
    }
}

/// Polls `look` until it gives a value, at most for `limit`.
///
/// `look` says in its error what it sees instead. It is looked once more after
/// the limit, so that a busy machine is no failure.
///
/// # Errors
/// [`Error::Timeout`] with the last thing seen and what `evidence` collects.
pub fn wait_until_with<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, String>,
    evidence: impl FnOnce() -> String,
) -> Result<T> {
    let end = now() + limit;
    loop {
        let over = now() >= end;
        match look() {
            Ok(value) => return Ok(value),
            Err(last) if over => {
                let timeout = Timeout { what: what.to_owned(), limit, last, evidence: evidence() };
                return Err(Error::Timeout(Box::new(timeout)));
            }
            Err(_) => pause(INTERVAL),
        }
    }
}

/// [`wait_until_with`] without evidence from a lab; `Lab::wait_until` collects it.
pub fn wait_until<T>(what: &str, limit: Duration, look: impl FnMut() -> Result<T, String>) -> Result<T> {
    wait_until_with(what, limit, look, String::new)
}

/// Lets `time` go by: between two looks at what cannot call, or where the
/// length of time is what is measured.
pub(crate) fn pause(time: Duration) {
    let (_never, pause) = mpsc::channel::<()>();
    // Nobody sends: the pause is over when its time is.
    let _ = pause.recv_timeout(time);
}

/// The monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_that_holds_ends_the_wait() {
        let mut looks = 0;
        let seen = wait_until("third look", Duration::from_secs(5), || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(format!("look {looks}")) }
        });
        assert_eq!(seen.ok(), Some(3));
    }

    #[test]
    fn timeout_tells_what_was_awaited_and_seen() {
        let never = || Err::<(), _>("two routes".to_owned());
        let error = wait_until_with("three routes", Duration::ZERO, never, || "log of n1".to_owned());
        let text = error.map_err(|e| e.to_string()).expect_err("it cannot hold");
        assert_eq!(text, "not within 0.0 s: three routes\n  last seen: two routes\nlog of n1");
    }
}
