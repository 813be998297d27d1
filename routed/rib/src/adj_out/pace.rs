//! How often a group is told (RFC 4271 §9.2.1.1, `MinRouteAdvertisementInterval`).
//!
//! What changes after a rest is told at once, and begins the next rest; what
//! changes while it lasts is told at its end, together, and what took itself
//! back not at all. Withdrawals never wait: a peer that goes on sending
//! packets to where there is no way is worse than one message more.

use std::time::{Duration, Instant};

use indexmap::IndexSet;
use net::{Jitter, Nlri};
use rustc_hash::FxBuildHasher;

/// When a group may be told; see the module's page.
#[derive(Debug)]
pub(super) struct Pace {
    /// Zero: at any time, and nothing is kept here.
    interval: Duration,
    /// Nothing is announced before.
    rest: Option<Instant>,
    /// Something was announced since the last rest.
    announced: bool,
    /// Paths with news that do not wait.
    urgent: IndexSet<Nlri, FxBuildHasher>,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, rest: None, announced: false, urgent: IndexSet::default() }
    }

    /// True when the group is told at intervals.
    pub(super) fn is_on(&self) -> bool {
        !self.interval.is_zero()
    }

    /// A path has news, or none any more; `urgent` when somebody is to hear that it is gone.
    pub(super) fn note(&mut self, nlri: Nlri, urgent: bool) {
        if urgent {
            self.urgent.insert(nlri);
        } else {
            self.urgent.swap_remove(&nlri);
        }
    }

    /// News were told.
    pub(super) fn told(&mut self, nlri: Nlri) {
        self.urgent.swap_remove(&nlri);
    }

    /// Forgets all news.
    pub(super) fn clear(&mut self) {
        self.urgent.clear();
    }

    /// True while nothing may be announced.
    pub(super) fn rests(&mut self, now: Instant) -> bool {
        self.rest = self.rest.filter(|end| now < *end);
        self.rest.is_some()
    }

    /// A path that is to be told even now.
    pub(super) fn urgent(&self) -> Option<Nlri> {
        self.urgent.last().copied()
    }

    /// Something was announced.
    pub(super) fn announced(&mut self) {
        self.announced = true;
    }

    /// All that there was is told: the rest begins (jitter: RFC 4271 §10).
    pub(super) fn all_told(&mut self, now: Instant, jitter: &mut Jitter) {
        if std::mem::take(&mut self.announced) && self.is_on() {
            self.rest = Some(now + jitter.spread(self.interval));
        }
    }

    /// When the rest is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.rest
    }
}
