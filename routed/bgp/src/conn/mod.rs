//! The state machine of one TCP connection, from the moment that it stands.
//!
//! *In*: messages and time. *Out*: a [`Step`] for the arbiter in `peer`, which
//! alone decides between two connections, sends and closes. *Must not know*:
//! other connections, how connections come about, administrative state.
//!
//! ```text
//!            promote            OPEN, accepted         KEEPALIVE
//!  Tracked ──────────► OpenSent ──────────► OpenConfirm ─────────► Established
//!     │  OPEN, accepted                         ▲
//!     └─────────────────────────────────────────┘
//! ```
//! RFC 4271 §8.2.2, RFC 6608 (subcodes of FSM errors), RFC 9687 (send hold).
//!
//! Ours: `Tracked` is `OpenSent` without an OPEN of ours, for a connection
//! that the peer makes while another is further on. We answer there only when
//! the peer's OPEN has shown that it means it.

pub mod negotiate;
pub(crate) mod notify;
mod refused;
pub(crate) mod timers;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::Jitter;

use self::timers::{Due, Timers};
use crate::peer::{PeerConfig, State};
use crate::wire::{Message, Notification, Open, RouteRefresh, Update};

pub use self::negotiate::Up;
pub use self::refused::Refused;

/// Names one TCP connection of a peer. A number is never used twice, so what
/// arrives late for a closed connection cannot meet another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnId {
    /// We dialled it; the number comes with [`Action::Dial`](crate::peer::Action::Dial).
    Dialled(u32),
    /// The peer dialled it; the shell counts.
    Accepted(u32),
}

impl ConnId {
    /// True when we dialled.
    pub fn is_dialled(self) -> bool {
        matches!(self, Self::Dialled(_))
    }
}

/// The two ends of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

/// Why a connection is no more, when we did not close it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed it (end of stream).
    Eof,
    /// Reading or writing failed; the words of the system.
    Failed(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("the peer closed the connection"),
            Self::Failed(what) => write!(f, "the connection failed: {what}"),
        }
    }
}

/// What stood when a tracked connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// An attempt with an OPEN from the peer: an ordinary collision.
    Attempt,
    /// An established session: the peer may have restarted (RFC 4724 §5).
    Session,
}

/// Where a connection stands, and what exists only there.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// Nothing said yet on either side.
    Tracked(Beside),
    /// Our OPEN is out.
    OpenSent(Open),
    /// The peer's OPEN is accepted.
    OpenConfirm(Arc<Up>),
    /// The session is up since then.
    Established(Arc<Up>, Instant),
}

/// What a message means for the arbiter.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing more to do.
    Stay,
    /// The OPEN is acceptable; [`Conn::confirm`] goes on with it.
    Opened { up: Box<Up>, ours: Open },
    /// The session is up.
    Established(Arc<Up>),
    /// Routes.
    Update(Update),
    /// A refresh, of whichever subtype.
    Refresh(RouteRefresh, Arc<Up>),
    /// The peer ended it.
    Notified(Notification),
    /// The OPEN does not suit us.
    Unsuitable(Refused),
    /// We end it with this.
    Refuse(Notification),
}

/// One TCP connection.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    pub(crate) id: ConnId,
    pub(crate) endpoints: Endpoints,
    pub(crate) phase: Phase,
    pub(crate) timers: Timers,
}

impl Conn {
    /// A connection on which `ours` is being sent.
    pub(crate) fn open_sent(now: Instant, id: ConnId, endpoints: Endpoints, ours: Open) -> Self {
        Self { id, endpoints, phase: Phase::OpenSent(ours), timers: Timers::before_open(now) }
    }

    /// A connection that waits for the peer's OPEN before we say anything.
    pub(crate) fn tracked(now: Instant, id: ConnId, endpoints: Endpoints, beside: Beside) -> Self {
        Self { id, endpoints, phase: Phase::Tracked(beside), timers: Timers::before_open(now) }
    }

    /// The state as RFC 4271 names it.
    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Tracked(_) | Phase::OpenSent(_) => State::OpenSent,
            Phase::OpenConfirm(_) => State::OpenConfirm,
            Phase::Established(..) => State::Established,
        }
    }

    /// What was negotiated, from `OpenConfirm` on.
    pub(crate) fn up(&self) -> Option<&Arc<Up>> {
        match &self.phase {
            Phase::Tracked(_) | Phase::OpenSent(_) => None,
            Phase::OpenConfirm(up) | Phase::Established(up, _) => Some(up),
        }
    }

    /// Takes a message (RFC 4271 §8.2.2, Events 19 to 27). `open` makes our
    /// OPEN where none is out yet.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        config: &PeerConfig,
        open: impl FnOnce() -> Open,
        message: Message,
    ) -> Step {
        if let Message::Notification(notification) = message {
            return Step::Notified(notification);
        }
        match &self.phase {
            Phase::Tracked(_) => self.judge(config, open(), message),
            Phase::OpenSent(ours) => self.judge(config, ours.clone(), message),
            Phase::OpenConfirm(up) => match message {
                Message::Keepalive => {
                    let up = Arc::clone(up);
                    self.timers.heard(now, &up);
                    self.phase = Phase::Established(Arc::clone(&up), now);
                    Step::Established(up)
                }
                _ => Step::Refuse(notify::unexpected_message(2)),
            },
            Phase::Established(up, _) => {
                self.timers.heard(now, up);
                match message {
                    Message::Update(update) => Step::Update(update),
                    Message::RouteRefresh(refresh) => Step::Refresh(refresh, Arc::clone(up)),
                    Message::Keepalive => Step::Stay,
                    Message::Open(_) | Message::Notification(_) => {
                        Step::Refuse(notify::unexpected_message(3))
                    }
                }
            }
        }
    }

    /// The first message must be an OPEN that suits us.
    fn judge(&self, config: &PeerConfig, ours: Open, message: Message) -> Step {
        let Message::Open(theirs) = message else {
            return Step::Refuse(notify::unexpected_message(1));
        };
        match negotiate::negotiate(config, (self.id, self.endpoints), &ours, &theirs) {
            Ok(up) => Step::Opened { up: Box::new(up), ours },
            Err(refused) => Step::Unsuitable(refused),
        }
    }

    /// Our OPEN is being sent on a connection that was only tracked.
    pub(crate) fn promote(&mut self, now: Instant, ours: Open) {
        self.phase = Phase::OpenSent(ours);
        self.timers = Timers::before_open(now);
    }

    /// The peer's OPEN is taken: the negotiated times begin to run.
    pub(crate) fn confirm(&mut self, now: Instant, up: Up, jitter: &mut Jitter) {
        self.timers.negotiated(now, &up, jitter);
        self.phase = Phase::OpenConfirm(Arc::new(up));
    }

    /// KEEPALIVE or UPDATE went out.
    pub(crate) fn sent(&mut self, now: Instant, jitter: &mut Jitter) {
        if let Phase::OpenConfirm(up) | Phase::Established(up, _) = &self.phase {
            self.timers.sent(now, up, jitter);
        }
    }

    /// The socket takes no more (RFC 9687 §3); before Established the hold
    /// timer alone watches.
    pub(crate) fn blocked(&mut self, now: Instant, send_hold: Option<Duration>) {
        if let (Phase::Established(..), Some(send_hold)) = (&self.phase, send_hold) {
            self.timers.blocked(now + send_hold);
        }
    }

    /// What time has made due.
    pub(crate) fn expire(&mut self, now: Instant) -> Due {
        self.timers.expire(now)
    }
}

#[cfg(test)]
mod tests;
