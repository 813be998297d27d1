//! What a peer task tells of its peer.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::conn::Up;
use bgp::peer::{Counters, DisabledFamily, Noted, State, Status, TimersDue, Why};
use kernel::sockopt::TcpInfo;

use super::table::post::Sent;
use crate::config;

/// A peer as it was at one moment.
#[derive(Clone, Debug)]
pub(crate) struct PeerReport {
    /// When it was looked at.
    pub(crate) now: Instant,
    /// What is configured.
    pub(crate) config: config::Peer,
    /// Which TCP-MD5 key of the configured ones is in use, from 1; 0: none.
    pub(crate) key: usize,
    /// The state.
    pub(crate) state: State,
    /// How long it has been in the state.
    pub(crate) state_for: Option<Duration>,
    /// What was negotiated.
    pub(crate) negotiated: Option<Arc<Up>>,
    /// The timers.
    pub(crate) timers: TimersDue,
    /// Kept down by the operator.
    pub(crate) disabled: bool,
    /// The counters.
    pub(crate) counters: Counters,
    /// Why there is, or last was, no session; `None` before the first attempt failed.
    pub(crate) last_error: Option<String>,
    /// Since when.
    pub(crate) last_error_at: Option<Instant>,
    /// When the last message came.
    pub(crate) last_heard: Option<Instant>,
    /// When the last message went out.
    pub(crate) last_said: Option<Instant>,
    /// Octets that passed.
    pub(crate) traffic: Traffic,
    /// What has been sent over the session beside OPEN and KEEPALIVE.
    pub(crate) told: Sent,
    /// What TCP says of the session's connection.
    pub(crate) tcp: Option<TcpInfo>,
    /// The families that a malformed message has disabled.
    pub(crate) disabled_families: Vec<DisabledFamily>,
    /// Why no session may be had, whatever the peer does.
    pub(crate) obstacle: Option<String>,
    /// The last malformed message.
    pub(crate) malformed: Option<Malformed>,
    /// The last NOTIFICATION sent.
    pub(crate) sent: Option<Noted>,
    /// The last NOTIFICATION received.
    pub(crate) received: Option<Noted>,
    /// A second router on the peer's link.
    pub(crate) rival: Option<Ipv6Addr>,
}

/// Octets of messages, since the peer was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Read.
    pub(crate) received: u64,
    /// Written.
    pub(crate) sent: u64,
    /// Waiting to be written.
    pub(crate) unsent: u64,
}

/// A malformed message, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Malformed {
    /// When.
    pub(crate) at: Instant,
    /// What was wrong; the first thing if there were several.
    pub(crate) what: String,
    /// The type code of the attribute, or 0.
    pub(crate) attribute: u8,
    /// The beginning of the message.
    pub(crate) octets: Box<[u8]>,
    /// How many octets it had.
    pub(crate) length: usize,
}

impl PeerReport {
    pub(crate) fn new(config: &config::Peer, status: &Status<'_>, now: Instant) -> Self {
        let (why, at) = status.last_error;
        Self {
            now,
            config: config.clone(),
            key: 0,
            state: status.state,
            state_for: status.since.map(|since| now.saturating_duration_since(since)),
            negotiated: status.negotiated.cloned(),
            timers: status.timers,
            disabled: matches!(why, Why::Stopped(admin) if admin.stays()),
            counters: *status.counters,
            last_error: at.map(|_| why.to_string()),
            last_error_at: at,
            last_heard: status.last_heard,
            last_said: status.last_said,
            traffic: Traffic::default(),
            told: Sent::default(),
            tcp: None,
            disabled_families: status.disabled.to_vec(),
            obstacle: None,
            malformed: None,
            sent: status.last_sent.cloned(),
            received: status.last_received.cloned(),
            rival: None,
        }
    }

    /// True when the session is up.
    pub(crate) fn is_up(&self) -> bool {
        self.state == State::Established
    }
}
