//! A neighbour: when it was heard, and what was wrong with what it sent.

use std::time::{Duration, Instant};

use crate::auth::{AuthFailure, Replay, Stamp};
use crate::status::{Faults, NeighborStatus};
use crate::table::Via;
use crate::wire::{BadPacket, BadRoute};

/// What is known of one host that speaks RIP.
#[derive(Debug)]
pub(crate) struct Neighbor {
    /// The last good response; `None`: it is not up.
    heard: Option<Instant>,
    /// The last packet of any kind.
    seen: Instant,
    version: u8,
    replay: Replay,
    faults: Faults,
}

impl Neighbor {
    pub(crate) fn new(now: Instant) -> Self {
        Self { heard: None, seen: now, version: 0, replay: Replay::default(), faults: Faults::default() }
    }

    /// A packet has come.
    pub(crate) fn saw(&mut self, now: Instant) {
        self.seen = now;
    }

    /// A good response has come; true when the neighbour was not up.
    pub(crate) fn heard(&mut self, now: Instant, version: u8, stamp: Option<Stamp<'_>>) -> bool {
        self.version = version;
        if let Some(stamp) = stamp {
            self.replay.note(stamp);
        }
        self.heard.replace(now).is_none()
    }

    /// Refuses what was sent before. A request changes nothing, so one with
    /// sequence number zero passes: that is how some routers begin.
    pub(crate) fn fresh(&self, stamp: Option<Stamp<'_>>, request: bool) -> Result<(), AuthFailure> {
        match stamp {
            None => Ok(()),
            Some(Stamp { sequence: 0, .. }) if request => Ok(()),
            Some(stamp) => self.replay.check(stamp),
        }
    }

    pub(crate) fn bad_packet(&mut self, why: BadPacket) {
        self.faults.bad_packets += 1;
        self.faults.last_bad_packet = Some(why);
    }

    pub(crate) fn bad_route(&mut self, why: BadRoute) {
        self.faults.bad_routes += 1;
        self.faults.last_bad_route = Some(why);
    }

    /// Counts as a bad packet too (RFC 1724: discarded for any reason); a mere
    /// copy does not.
    pub(crate) fn auth_failure(&mut self, why: AuthFailure) {
        if why == AuthFailure::Copy {
            self.faults.copies += 1;
        } else {
            self.faults.bad_packets += 1;
            self.faults.auth_failures += 1;
            self.faults.last_auth_failure = Some(why);
        }
    }

    pub(crate) fn filtered(&mut self) {
        self.faults.filtered += 1;
    }

    pub(crate) fn over_limit(&mut self, now: Instant) {
        self.faults.over_limit += 1;
        self.faults.last_over_limit = Some(now);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.heard.is_some()
    }

    /// Takes it down; its sequence numbers are forgotten with its routes
    /// (RFC 2082 §3.2.2), because it may begin anew. True when it was up.
    pub(crate) fn down(&mut self) -> bool {
        self.replay = Replay::default();
        self.heard.take().is_some()
    }

    /// When it is down, or if it is, when it is forgotten.
    pub(crate) fn deadline(&self, timeout: Duration) -> Instant {
        self.heard.unwrap_or(self.seen) + timeout
    }

    pub(crate) fn status(&self, via: Via, routes: usize) -> NeighborStatus {
        NeighborStatus {
            interface: via.interface,
            address: via.address,
            last_heard: self.heard,
            version: self.version,
            routes,
            faults: self.faults,
        }
    }
}
