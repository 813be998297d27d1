//! What a peer remembers for those who look at it.

use std::sync::Arc;
use std::time::Instant;

use net::Family;

use super::event::{State, Why};
use crate::conn::Up;
use crate::wire::{Fault, Message, Notification, Treatment};

/// How many messages of each type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl Messages {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }

    pub(crate) fn count(&mut self, message: &Message) {
        *match message {
            Message::Open(_) => &mut self.open,
            Message::Update(_) => &mut self.update,
            Message::Notification(_) => &mut self.notification,
            Message::Keepalive => &mut self.keepalive,
            Message::RouteRefresh(_) => &mut self.route_refresh,
        } += 1;
    }
}

/// How many malformed messages, by what was done about them (RFC 7606 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Malformed {
    /// Faults for which routes were withdrawn.
    pub treat_as_withdraw: u64,
    /// Faults for which an attribute was dropped.
    pub attribute_discard: u64,
    /// Faults for which a family was disabled.
    pub family_disable: u64,
    /// Messages that ended their connection.
    pub reset: u64,
}

impl Malformed {
    pub(crate) fn count(&mut self, fault: &Fault) {
        match fault.treatment {
            Treatment::Discard => self.attribute_discard += 1,
            Treatment::TreatAsWithdraw => self.treat_as_withdraw += 1,
            Treatment::Disable(_) => self.family_disable += 1,
            Treatment::Reset => self.reset += 1,
        }
    }
}

/// Counters since the peer was made; they survive its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages received.
    pub received: Messages,
    /// Messages sent.
    pub sent: Messages,
    /// Malformed messages received.
    pub malformed: Malformed,
    /// Sessions that came up.
    pub established: u64,
    /// Sessions that ended.
    pub lost: u64,
    /// Attempts to dial.
    pub dials: u64,
    /// Dials that failed.
    pub dial_failures: u64,
    /// Connections that lost a collision, or were refused.
    pub refused: u64,
    /// Connections that were one too many, for both sides had dialled
    /// (RFC 4271 §6.8), as far as this side has seen it.
    pub collisions: u64,
    /// ROUTE-REFRESH messages for what was not negotiated, ignored.
    pub refreshes_ignored: u64,
}

/// A NOTIFICATION and when it passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// When.
    pub at: Instant,
    /// What.
    pub notification: Notification,
}

/// A family of which the session takes no routes any more (RFC 4760 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisabledFamily {
    /// The family.
    pub family: Family,
    /// What was wrong, in one clause.
    pub what: &'static str,
    /// Since when.
    pub since: Instant,
}

/// When each timer is due; `None`: it does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimersDue {
    /// The next attempt to connect.
    pub connect_retry: Option<Instant>,
    /// The end of the hold in Idle.
    pub idle_hold: Option<Instant>,
    /// The peer counts as dead.
    pub hold: Option<Instant>,
    /// The next KEEPALIVE.
    pub keepalive: Option<Instant>,
    /// A peer that does not read is given up (RFC 9687); only while it does not.
    pub send_hold: Option<Instant>,
}

/// A look at a peer.
#[derive(Clone, Debug)]
pub struct Status<'a> {
    /// The state.
    pub state: State,
    /// When the peer came into it; `None`: it was never told the time.
    pub since: Option<Instant>,
    /// What was negotiated, in `OpenConfirm` and `Established`.
    pub negotiated: Option<&'a Arc<Up>>,
    /// The timers.
    pub timers: TimersDue,
    /// The counters.
    pub counters: &'a Counters,
    /// Why there is, or last was, no session, and since when.
    pub last_error: (&'a Why, Option<Instant>),
    /// The last NOTIFICATION that we sent.
    pub last_sent: Option<&'a Noted>,
    /// The last NOTIFICATION that we received.
    pub last_received: Option<&'a Noted>,
    /// When the last message came.
    pub last_heard: Option<Instant>,
    /// When the last message went out.
    pub last_said: Option<Instant>,
    /// The families that this session has lost.
    pub disabled: &'a [DisabledFamily],
}

/// The memory behind [`Status`].
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) counters: Counters,
    pub(super) state: State,
    pub(super) since: Option<Instant>,
    pub(super) last_error: (Why, Option<Instant>),
    pub(super) last_sent: Option<Noted>,
    pub(super) last_received: Option<Noted>,
    pub(super) last_heard: Option<Instant>,
    pub(super) last_said: Option<Instant>,
    /// Of the session that is up.
    pub(super) disabled: Vec<DisabledFamily>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            counters: Counters::default(),
            state: State::Idle,
            since: None,
            last_error: (Why::NotStarted, None),
            last_sent: None,
            last_received: None,
            last_heard: None,
            last_said: None,
            disabled: vec![],
        }
    }
}

impl Record {
    /// A message has come.
    pub(super) fn heard(&mut self, now: Instant, message: &Message) {
        self.last_heard = Some(now);
        self.counters.received.count(message);
        match message {
            Message::Notification(notification) => {
                self.last_received = Some(Noted { at: now, notification: notification.clone() });
            }
            Message::Update(update) => {
                for fault in &update.faults {
                    self.counters.malformed.count(fault);
                }
            }
            _ => {}
        }
    }

    /// A message goes out.
    pub(super) fn said(&mut self, now: Instant, message: &Message) {
        self.counters.sent.count(message);
        self.last_said = Some(now);
        if let Message::Notification(notification) = message {
            self.last_sent = Some(Noted { at: now, notification: notification.clone() });
        }
    }
}
