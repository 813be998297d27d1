//! What goes into a [`Peer`](super::Peer) and what comes out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use net::Family;

use super::graceful;
use crate::conn::{CloseReason, ConnId, Endpoints, Refused, Up, notify};
use crate::wire::{Communication, Message, Notification, Update};

/// The state of a peer: that of the connection that is furthest
/// (RFC 4271 §8.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Refuses connections: stopped, or held back after a failure.
    Idle,
    /// Dials, and accepts.
    Connect,
    /// Waits to dial, and accepts.
    Active,
    /// A connection stands; waits for the peer's OPEN.
    OpenSent,
    /// The peer's OPEN is accepted; waits for its KEEPALIVE.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl fmt::Display for State {
    /// As RFC 4271 §8.2.2 spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        })
    }
}

/// What happens to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Begin, or stop waiting in Idle (`ManualStart`).
    Start,
    /// End the session and do as [`Admin`] says.
    Stop(Admin),
    /// The dial succeeded.
    Dialled(ConnId, Endpoints),
    /// The dial failed; the words of the system.
    DialFailed(ConnId, String),
    /// The peer has connected. The shell gives it a number of its own.
    Accepted(ConnId, Endpoints),
    /// A connection that we did not close is gone.
    Closed(ConnId, CloseReason),
    /// A message has come, or bytes that are none: then the NOTIFICATION that
    /// the codec asks for.
    Received(ConnId, Result<Message, Notification>),
    /// The shell has written so many UPDATE messages (counted, and the next
    /// KEEPALIVE moves).
    UpdatesSent(ConnId, u64),
    /// The shell has written so many ROUTE-REFRESH messages (counted).
    RefreshesSent(ConnId, u64),
    /// The socket takes no more although bytes wait (RFC 9687).
    Blocked(ConnId),
    /// The socket took bytes again.
    Writable(ConnId),
}

/// Why a session is ended by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// Shut down, with the operator's words for the peer (RFC 9003); stays so.
    Shutdown(Option<String>),
    /// The peer is no longer configured; stays so.
    Deconfigured,
    /// The peer sent more prefixes than allowed (RFC 4486 §4); stays so.
    MaxPrefixes {
        /// The family.
        family: Family,
        /// The limit that was passed.
        limit: u32,
    },
    /// The daemon stops and will be back: with graceful restart the connection
    /// just closes, so that the peer keeps our routes (RFC 4724 §4.1); stays so.
    Restart,
    /// Reset, with the operator's words for the peer; connects anew.
    Reset(Option<String>),
    /// The configuration changed in a way that needs a new session; connects anew.
    ConfigChange,
    /// BFD says that the peer is not reachable (RFC 9384); connects anew.
    BfdDown,
}

impl Admin {
    /// True when the peer stays down until the next [`Event::Start`].
    pub fn stays(&self) -> bool {
        !matches!(self, Self::Reset(_) | Self::ConfigChange | Self::BfdDown)
    }

    /// The NOTIFICATION for it (RFC 4486 §4), wrapped as Hard Reset where the
    /// peer would keep routes that must go (RFC 8538 §4).
    pub(crate) fn notification(&self, graceful_notification: bool) -> Notification {
        let (notification, hard) = match self {
            Self::Shutdown(text) => (notify::administrative_shutdown(text.as_deref()), true),
            Self::Deconfigured => (notify::deconfigured(), true),
            Self::MaxPrefixes { family, limit } => (notify::max_prefixes(*family, *limit), true),
            Self::BfdDown => (notify::bfd_down(), true),
            Self::Reset(text) => (notify::administrative_reset(text.as_deref()), false),
            Self::Restart => (notify::administrative_reset(None), false),
            Self::ConfigChange => (notify::configuration_change(), false),
        };
        if hard && graceful_notification { notify::hard_reset(&notification) } else { notification }
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown(None) => f.write_str("shut down by the operator"),
            Self::Shutdown(Some(text)) => write!(f, "shut down by the operator: {text}"),
            Self::Deconfigured => f.write_str("removed from the configuration"),
            Self::MaxPrefixes { family, limit } => {
                write!(f, "more than {limit} {family} prefixes; raise max_prefixes, or filter at the peer")
            }
            Self::Restart => f.write_str("routed restarts"),
            Self::Reset(None) => f.write_str("reset by the operator"),
            Self::Reset(Some(text)) => write!(f, "reset by the operator: {text}"),
            Self::ConfigChange => f.write_str("the configuration changed"),
            Self::BfdDown => f.write_str("BFD says that the peer is not reachable"),
        }
    }
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dial the peer; answer with [`Event::Dialled`] or [`Event::DialFailed`].
    Dial(ConnId),
    /// Give up the dial that is under way.
    CancelDial(ConnId),
    /// Send a message, after all that was sent on this connection before.
    Send(ConnId, Message),
    /// Write what was sent, then close. No event about it is needed any more.
    Close(ConnId),
    /// The session is up. Always before the first `Update`.
    Up(Arc<Up>),
    /// The session is down: once for each `Up`.
    Down(Down),
    /// Routes of the peer. An End-of-RIB alone comes as [`Action::EndOfRib`] only.
    Update(Update),
    /// A malformed message has put the routes of a family in doubt: all that
    /// the peer has told of it go, and [`Rx::disabled`](crate::wire::Rx) is to
    /// be set, so that the messages that follow are read without it (RFC 4760 §7).
    FamilyDisabled {
        /// The family.
        family: Family,
        /// What was wrong, in one clause.
        what: &'static str,
    },
    /// The peer has told all its routes of a family (RFC 4724 §2).
    EndOfRib(Family),
    /// The peer wants all our routes of a family again (RFC 2918 §4).
    RefreshRequest(Family),
    /// The peer begins to tell all its routes again (RFC 7313 §4).
    RefreshBegin(Family),
    /// The peer has told them all; what it did not repeat is gone (RFC 7313 §4).
    RefreshEnd(Family),
    /// The state is now this one; the last action of an event, if it changed.
    StateChanged(State),
}

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Why it ended.
    pub why: Why,
    /// The routes that may be kept as stale; `None`: all go now.
    pub graceful: Option<Graceful>,
}

/// What a graceful loss leaves standing (RFC 4724 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graceful {
    /// The peer must be back within this time.
    pub restart_time: Duration,
    /// The families whose routes may be kept.
    pub families: Vec<Family>,
    /// How long routes may be kept beyond that, as the least preferred ones
    /// (RFC 9494 §4.2); of a family that is only here, from now on.
    pub long_lived: Vec<(Family, Duration)>,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Never started.
    NotStarted,
    /// The connection could not be made; the words of the system.
    DialFailed(String),
    /// The connection went away.
    Closed(CloseReason),
    /// The peer's OPEN does not suit us.
    Refused(Refused),
    /// We ended it with this NOTIFICATION.
    Sent(Notification),
    /// The peer ended it with this NOTIFICATION.
    Received(Notification),
    /// The peer did not read for the send hold time (RFC 9687).
    SendHoldExpired,
    /// The peer has opened a new connection (RFC 4724 §5).
    Replaced,
    /// We were told to.
    Stopped(Admin),
}

impl Why {
    /// The NOTIFICATION with which we ended a session, if there was one.
    pub fn sent(&self, up: &Up) -> Option<Notification> {
        match self {
            Self::Stopped(admin) if graceful::leaves_silently(up, admin) => None,
            Self::Stopped(admin) => Some(admin.notification(up.graceful_notification)),
            _ => self.notification(),
        }
    }

    /// The NOTIFICATION that tells the peer, if one does.
    pub(crate) fn notification(&self) -> Option<Notification> {
        match self {
            Self::Refused(refused) => Some(refused.notification()),
            Self::Sent(notification) => Some(notification.clone()),
            _ => None,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("not started"),
            Self::DialFailed(what) => write!(f, "cannot connect: {what}"),
            Self::Closed(reason) => reason.fmt(f),
            Self::Sent(n) if notify::is_hold_expiry(n) => {
                f.write_str("hold timer expired: the peer was silent for the hold time")
            }
            Self::Sent(n) => write!(f, "sent NOTIFICATION {n}"),
            Self::Refused(refused) => refused.fmt(f),
            Self::Received(n) => match n.communication() {
                Communication::Text(text) => write!(f, "received NOTIFICATION {n}: {}", text.escape_debug()),
                Communication::None | Communication::Malformed => write!(f, "received NOTIFICATION {n}"),
            },
            Self::SendHoldExpired => {
                f.write_str("send hold timer expired: the peer has stopped reading (RFC 9687)")
            }
            Self::Replaced => f.write_str("the peer has restarted and opened a new connection"),
            Self::Stopped(admin) => admin.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_peer_cannot_break_a_log_line() {
        let data: &[u8] = b"\x06bye\n\x1b[";
        let said = Why::Received(Notification { code: 6, subcode: 2, data: data.into() }).to_string();
        assert_eq!(said, "received NOTIFICATION Administrative Shutdown (6/2): bye\\n\\u{1b}[");
    }
}
