//! What the log is told of one peer: ups, downs, failures, malformed messages;
//! each at most a few times, however often it happens.

use std::net::IpAddr;
use std::time::Instant;

use bgp::conn::Up;
use bgp::peer::{Down, Why};
use bgp::wire::{Message, WireError};
use net::Family;
use tracing::{info, warn};

use crate::observe::damp::Damper;

/// The dampers of one peer's log lines.
#[derive(Default)]
pub(super) struct Told {
    up: Damper,
    down: Damper,
    failed: Damper,
    malformed: Damper,
    /// When the failure was that has been looked at.
    failure: Option<Instant>,
}

impl Told {
    /// A session is up.
    pub(super) fn up(&mut self, peer: IpAddr, up: &Up) {
        if let Some(unsaid) = self.up.admit(Instant::now(), "") {
            let families = up.families.iter().map(Family::to_string).collect::<Vec<_>>().join(",");
            let (asn, router_id, hold_time) = (up.peer_as, up.router_id, up.hold_time.as_secs());
            info!(%peer, %asn, %router_id, families, hold_time, unsaid, "peer up");
        }
    }

    /// A session is down; `at` as the machine has it, so that this is not told
    /// as a failed attempt too.
    pub(super) fn down(&mut self, peer: IpAddr, down: &Down, at: Option<Instant>) {
        self.failure = at;
        let why = down.why.to_string();
        if let Some(unsaid) = self.down.admit(Instant::now(), &why) {
            warn!(%peer, why, kept = down.graceful.is_some(), unsaid, "peer down");
        }
    }

    /// Tells why an attempt came to nothing, if it has just done so. A peer
    /// that is not there yet is no event: `routectl peers` shows it.
    pub(super) fn attempt(&mut self, peer: IpAddr, (why, at): (&Why, Option<Instant>)) {
        if at == self.failure {
            return;
        }
        self.failure = at;
        if matches!(why, Why::Refused(_) | Why::Sent(_) | Why::Received(_)) {
            let why = why.to_string();
            if let Some(unsaid) = self.failed.admit(Instant::now(), &why) {
                warn!(%peer, why, unsaid, "no session");
            }
        }
    }

    /// Tells what is wrong with a message, if something is.
    pub(super) fn malformed(&mut self, peer: IpAddr, message: &Result<Message, WireError>) {
        match message {
            Ok(Message::Update(update)) => {
                for fault in &update.faults {
                    if let Some(unsaid) = self.malformed.admit(Instant::now(), fault.what) {
                        let (attribute, what) = (fault.attribute, fault.what);
                        warn!(%peer, attribute, treatment = ?fault.treatment, what, unsaid, "malformed attribute");
                    }
                }
            }
            Ok(_) => {}
            Err(error) => {
                let what = error.to_string();
                if let Some(unsaid) = self.malformed.admit(Instant::now(), &what) {
                    warn!(%peer, what, unsaid, "malformed message");
                }
            }
        }
    }
}
