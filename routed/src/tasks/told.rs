//! What the log is told of one peer: ups, downs, failures, malformed messages;
//! each at most a few times, however often it happens.

use std::time::Instant;

use bgp::conn::Up;
use bgp::peer::{Down, Why};
use bgp::wire::{Message, WireError};
use net::Family;
use tracing::{info, warn};

use super::report::Malformed;
use crate::config::Peer;
use crate::observe::damp::Damper;

/// So much of a malformed message is logged and shown.
const SHOWN: usize = 512;

/// The dampers of one peer's log lines.
#[derive(Default)]
pub(super) struct Told {
    up: Damper,
    down: Damper,
    failed: Damper,
    malformed: Damper,
    last_malformed: Option<Malformed>,
    /// When the failure was that has been looked at.
    failure: Option<Instant>,
}

impl Told {
    /// A session is up.
    pub(super) fn up(&mut self, peer: &Peer, up: &Up) {
        if let Some(unsaid) = self.up.admit(Instant::now(), "") {
            let families = up.families.iter().map(Family::to_string).collect::<Vec<_>>().join(",");
            let (asn, router_id, hold_time) = (up.peer_as, up.router_id, up.hold_time.as_secs());
            info!(peer = %peer.name(), %asn, %router_id, families, hold_time, unsaid, "peer up");
        }
    }

    /// A session is down; `at` as the machine has it, so that this is not told
    /// as a failed attempt too.
    pub(super) fn down(&mut self, peer: &Peer, down: &Down, at: Option<Instant>) {
        self.failure = at;
        let why = down.why.to_string();
        if let Some(unsaid) = self.down.admit(Instant::now(), &why) {
            warn!(peer = %peer.name(), why, kept = down.graceful.is_some(), unsaid, "peer down");
        }
    }

    /// Tells why an attempt came to nothing, if it has just done so. A peer
    /// that is not there yet is no event: `routectl peers` shows it.
    pub(super) fn attempt(&mut self, peer: &Peer, (why, at): (&Why, Option<Instant>)) {
        if at == self.failure {
            return;
        }
        self.failure = at;
        if matches!(why, Why::Refused(_) | Why::Sent(_) | Why::Received(_)) {
            let why = why.to_string();
            if let Some(unsaid) = self.failed.admit(Instant::now(), &why) {
                warn!(peer = %peer.name(), why, unsaid, "no session");
            }
        }
    }

    /// Tells what is wrong with a message, if something is, and keeps the
    /// beginning of the last such one.
    pub(super) fn malformed(&mut self, peer: &Peer, message: &Result<Message, WireError>, octets: &[u8]) {
        let now = Instant::now();
        let faults = match message {
            Ok(Message::Update(update)) => &update.faults[..],
            Ok(_) => return,
            Err(error) => {
                let what = error.to_string();
                if let Some(unsaid) = self.malformed.admit(now, &what) {
                    warn!(peer = %peer.name(), what, octets = hex(octets), length = octets.len(), unsaid, "malformed message");
                }
                self.last_malformed = Some(kept(now, what, 0, octets));
                return;
            }
        };
        for fault in faults {
            if let Some(unsaid) = self.malformed.admit(now, fault.what) {
                let (attribute, treatment, what) = (fault.attribute, fault.treatment, fault.what);
                let (octets, length) = (hex(octets), octets.len());
                warn!(peer = %peer.name(), attribute, ?treatment, what, octets, length, unsaid, "malformed attribute");
            }
        }
        if let Some(fault) = faults.first() {
            self.last_malformed = Some(kept(now, fault.what.into(), fault.attribute, octets));
        }
    }

    /// The last malformed message, if there was one.
    pub(super) fn last_malformed(&self) -> Option<&Malformed> {
        self.last_malformed.as_ref()
    }
}

fn kept(at: Instant, what: String, attribute: u8, octets: &[u8]) -> Malformed {
    Malformed { at, what, attribute, octets: beginning(octets).into(), length: octets.len() }
}

/// As much of a message as is shown.
fn beginning(octets: &[u8]) -> &[u8] {
    &octets[..octets.len().min(SHOWN)]
}

fn hex(octets: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    beginning(octets).iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_the_last_malformed_message_is_kept() {
        let mut told = Told::default();
        let source = "[bgp]\nasn = 1\n[[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 1\n";
        let config = crate::config::parse("test", source).unwrap().0.bgp.unwrap();
        let peer = &config.peers[0];
        told.malformed(peer, &Ok(Message::Keepalive), &[1]);
        assert!(told.last_malformed().is_none());
        let fault = |what| bgp::wire::Fault { attribute: 4, treatment: bgp::wire::Treatment::Discard, what };
        let update =
            bgp::wire::Update { faults: vec![fault("first"), fault("second")], ..Default::default() };
        told.malformed(peer, &Ok(Message::Update(update)), &[0xab; 4096]);
        let last = told.last_malformed().unwrap();
        assert_eq!((&*last.what, last.attribute, last.length), ("first", 4, 4096));
        assert_eq!(*last.octets, [0xab; SHOWN]);
        assert_eq!(hex(&[0, 0xab]), "00ab");
        let error = WireError { code: 3, subcode: 1, data: [].into(), what: "the lengths do not fit" };
        told.malformed(peer, &Err(error), &[7; 23]);
        let last = told.last_malformed().unwrap();
        assert!(last.what.starts_with("the lengths do not fit") && *last.octets == [7; 23]);
    }
}
