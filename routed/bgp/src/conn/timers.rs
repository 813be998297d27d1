//! The timers of one connection.

use std::time::{Duration, Instant};

use net::{Deadlines, Jitter};

use super::negotiate::Up;

/// The hold time until the OPEN of the peer has told another one
/// (RFC 4271 §8.2.2: "a large value", 4 minutes suggested).
pub(crate) const LARGE_HOLD: Duration = Duration::from_secs(240);

#[derive(Clone, Copy)]
enum Timer {
    /// The peer must have been heard by then (RFC 4271 §10).
    Hold,
    /// When to send the next KEEPALIVE (RFC 4271 §4.4).
    Keepalive,
    /// The peer must have read something by then (RFC 9687 §3.1).
    SendHold,
}

impl From<Timer> for usize {
    fn from(timer: Timer) -> Self {
        timer as Self
    }
}

/// What time has made due on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// A KEEPALIVE is to be sent.
    Keepalive,
    /// The peer has been silent for the hold time (RFC 4271 §6.5).
    HoldExpired,
    /// The peer has read nothing for the send hold time (RFC 9687 §3).
    SendHoldExpired,
}

/// Hold, Keepalive and `SendHold` of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers(Deadlines<3>);

impl Timers {
    /// The timers of a connection whose peer has said nothing yet.
    pub(crate) fn before_open(now: Instant) -> Self {
        let mut timers = Self::default();
        timers.0.arm(Timer::Hold, now + LARGE_HOLD);
        timers
    }

    /// Starts the negotiated times (RFC 4271 §8.2.2, `OpenSent`, Event 19).
    pub(crate) fn negotiated(&mut self, now: Instant, up: &Up, jitter: &mut Jitter) {
        self.0.stop_all();
        self.heard(now, up);
        self.sent(now, up, jitter);
    }

    /// The peer was heard. A hold time of zero never expires (RFC 4271 §4.2).
    pub(crate) fn heard(&mut self, now: Instant, up: &Up) {
        if !up.hold_time.is_zero() {
            self.0.arm(Timer::Hold, now + up.hold_time);
        }
    }

    /// KEEPALIVE or UPDATE was sent: the next KEEPALIVE is due later
    /// (RFC 4271 §8.2.2, Established; jitter §10).
    pub(crate) fn sent(&mut self, now: Instant, up: &Up, jitter: &mut Jitter) {
        if !up.keepalive.is_zero() {
            self.0.arm(Timer::Keepalive, now + jitter.spread(up.keepalive));
        }
    }

    /// The socket takes no more; says by when it must.
    pub(crate) fn blocked(&mut self, until: Instant) {
        if self.0.at(Timer::SendHold).is_none() {
            self.0.arm(Timer::SendHold, until);
        }
    }

    /// The socket took something.
    pub(crate) fn writable(&mut self) {
        self.0.stop(Timer::SendHold);
    }

    /// What is due; a timer is reported once.
    pub(crate) fn expire(&mut self, now: Instant) -> Due {
        if self.0.expire(Timer::Hold, now) {
            Due::HoldExpired
        } else if self.0.expire(Timer::SendHold, now) {
            Due::SendHoldExpired
        } else if self.0.expire(Timer::Keepalive, now) {
            Due::Keepalive
        } else {
            Due::Nothing
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.next()
    }

    /// When the peer counts as dead.
    pub(crate) fn hold_due(&self) -> Option<Instant> {
        self.0.at(Timer::Hold)
    }

    /// When a peer that reads nothing is given up.
    pub(crate) fn send_hold_due(&self) -> Option<Instant> {
        self.0.at(Timer::SendHold)
    }

    /// When the next KEEPALIVE goes out.
    pub(crate) fn keepalive_due(&self) -> Option<Instant> {
        self.0.at(Timer::Keepalive)
    }
}
