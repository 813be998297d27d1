//! One BGP peer: how its connections come about, which of them carries the
//! session, when to try again.
//!
//! *In*: [`Event`]s and the time. *Out*: [`Action`]s, in order. *Must not
//! know*: sockets, clocks, bytes, the routing table.
//!
//! ```text
//!  Event, now ──► Peer ──┬─ Seek: Stopped | Held | Dialling | Waiting     ConnectRetry, IdleHold
//!                        └─ Conn, Conn: Tracked .. Established            Hold, Keepalive, SendHold
//!                               │ Step
//!                               └──► collision? graceful? ──► Action
//! ```
//! The shell calls [`Peer::handle`] for what happens and [`Peer::tick`] when
//! [`Peer::next_deadline`] has come, carries out the actions in order, and
//! never lets `now` go back.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use bgp::conn::ConnId;
//! use bgp::peer::{Action, Event, Peer, PeerConfig, State};
//! use net::Asn;
//!
//! let mut peer = Peer::new(PeerConfig::new(Asn(65001), "192.0.2.1".parse()?, Asn(65002)));
//! let (now, mut actions) = (Instant::now(), vec![]);
//! peer.handle(now, Event::Start, &mut actions);
//! let dial = ConnId::Dialled(0);
//! assert_eq!(actions, [Action::Dial(dial), Action::StateChanged(State::Connect)]);
//! peer.handle(now, Event::DialFailed(dial, "connection refused".into()), &mut actions);
//! assert!(peer.next_deadline().is_some_and(|at| at <= now + Duration::from_secs(5)));
//! # Ok::<(), String>(())
//! ```
//!
//! RFC 4271 §6.8 and §8, RFC 4486 (Cease), RFC 4724 (graceful restart),
//! RFC 5492, RFC 6286, RFC 6608, RFC 8538, RFC 9003, RFC 9687.
//!
//! Ours:
//! - A connection that comes while the session is up with a peer that
//!   negotiated graceful restart replaces the session when the peer's OPEN has
//!   come on it, not before (RFC 4724 §5 would already drop the session).
//! - A dial that succeeds when another connection has got the peer's OPEN is
//!   closed without a word: fewer collisions, same outcome.
//! - After a graceful loss without NOTIFICATION the peer may connect at once;
//!   only our own dial waits. One that does so again and again, without a
//!   stable session in between, is held in Idle like any other.
//! - Held in Idle we close what the peer dials without NOTIFICATION, and
//!   Cease/5 or Cease/7 as the first word of a peer is no failure but "not
//!   now": otherwise two peers could send each other to Idle for ever.
//! - Of two nodes of ours the one with the lower identifier waits for the other
//!   to dial, where it has met it before (`turn`).
//! - `DelayOpen` (RFC 4271 §8.1.1, optional) is not there.

mod backoff;
mod collision;
mod config;
mod connect;
mod event;
mod graceful;
mod receive;
mod stats;
mod turn;

use std::time::{Duration, Instant};

use net::{Deadlines, Jitter};

use crate::conn::negotiate::open;
use crate::conn::timers::Due;
use crate::conn::{Conn, ConnId, Phase, notify};
use crate::wire::notification::update;
use crate::wire::{Message, Notification, Open};

use self::backoff::Backoff;
use self::stats::Record;
use self::turn::Turn;

pub use self::config::{AddPathConfig, HoldExpiry, PeerConfig, RestartConfig};
pub use self::event::{Action, Admin, Down, Event, Graceful, State, Why};
pub use self::stats::{Counters, DisabledFamily, Malformed, Messages, Noted, Status, TimersDue};

/// The least send hold time (RFC 9687 §6).
const LEAST_SEND_HOLD: Duration = Duration::from_secs(480);

#[derive(Clone, Copy)]
enum Timer {
    /// Dial, or give up a dial and dial again (RFC 4271 §8.2.2).
    ConnectRetry,
    /// Leave Idle (RFC 4271 §8.1.3, Event 13).
    IdleHold,
}

impl From<Timer> for usize {
    fn from(timer: Timer) -> Self {
        timer as Self
    }
}

/// How a connection is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seek {
    /// Not at all, until `Start`.
    Stopped,
    /// Not until `IdleHold` is over.
    Held,
    /// A dial is under way.
    Dialling(ConnId),
    /// Accepting; dials when `ConnectRetry` expires, unless passive.
    Waiting,
}

/// The state machine of one peer.
#[derive(Clone, Debug)]
pub struct Peer {
    config: PeerConfig,
    seek: Seek,
    /// At most three: one with the peer's OPEN, and of each direction one
    /// without.
    conns: Vec<Conn>,
    timers: Deadlines<2>,
    /// Who dials next.
    turn: Turn,
    backoff: Backoff,
    jitter: Jitter,
    /// No session has been up since the start of a restarted process.
    restarting: bool,
    /// The peer has refused our capabilities: the next OPEN goes without
    /// (RFC 5492 §3).
    plain: bool,
    started: Option<Instant>,
    dials: u32,
    record: Record,
}

impl Peer {
    /// A peer that waits for [`Event::Start`].
    pub fn new(config: PeerConfig) -> Self {
        Self {
            seek: Seek::Stopped,
            conns: vec![],
            timers: Deadlines::default(),
            turn: Turn::Both,
            backoff: Backoff::new(config.idle_hold, config.idle_hold_max),
            jitter: Jitter::new(config.seed),
            restarting: config.graceful_restart.as_ref().is_some_and(|restart| restart.restarting),
            plain: false,
            started: None,
            dials: 0,
            record: Record::default(),
            config,
        }
    }

    /// Takes an event and appends what is to be done.
    pub fn handle(&mut self, now: Instant, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Start => self.start(now, out),
            Event::Stop(admin) => self.stop(now, &admin, out),
            Event::Dialled(id, endpoints) => self.dialled(now, id, endpoints, out),
            Event::DialFailed(id, what) => self.dial_failed(now, id, what),
            Event::Accepted(id, endpoints) => self.accepted(now, id, endpoints, out),
            Event::Closed(id, reason) => self.lose(now, id, Why::Closed(reason), out),
            Event::Received(id, Ok(message)) => self.receive(now, id, message, out),
            Event::Received(id, Err(notification)) => self.malformed(now, id, notification, out),
            Event::UpdatesSent(id, count) => {
                if let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) {
                    conn.sent(now, &mut self.jitter);
                    self.record.counters.sent.update += count;
                    self.record.last_said = Some(now);
                }
            }
            Event::RefreshesSent(id, count) => {
                if self.conns.iter().any(|conn| conn.id == id) {
                    self.record.counters.sent.route_refresh += count;
                    self.record.last_said = Some(now);
                }
            }
            Event::Blocked(id) => self.blocked(now, id),
            Event::Writable(id) => {
                if let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) {
                    conn.timers.writable();
                }
            }
        }
        self.settle(now, out);
    }

    /// Does what is due at `now`. Afterwards no deadline is at or before `now`.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        let due: Vec<(ConnId, Due)> = self
            .conns
            .iter_mut()
            .map(|conn| (conn.id, conn.expire(now)))
            .filter(|(_, due)| *due != Due::Nothing)
            .collect();
        for (id, due) in due {
            match due {
                Due::Nothing => {}
                Due::Keepalive => self.keepalive(now, id, out),
                Due::HoldExpired => {
                    let up = self.conns.iter().find(|conn| conn.id == id).and_then(Conn::up);
                    let told =
                        graceful::hold_expired(up.map(AsRef::as_ref), self.config.graceful_restart.as_ref());
                    self.lose(now, id, Why::Sent(told), out);
                }
                Due::SendHoldExpired => self.lose(now, id, Why::SendHoldExpired, out),
            }
        }
        if self.timers.expire(Timer::IdleHold, now) {
            self.seek(now, out);
        }
        if self.timers.expire(Timer::ConnectRetry, now) {
            self.retry(now, out);
        }
        self.settle(now, out);
    }

    /// When [`Peer::tick`] is next wanted; `None`: only events matter.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.conns.iter().filter_map(|conn| conn.timers.next()).chain(self.timers.next()).min()
    }

    /// The state: that of the connection that is furthest, else how one is sought.
    pub fn state(&self) -> State {
        let sought = match self.seek {
            Seek::Stopped | Seek::Held => State::Idle,
            Seek::Dialling(_) => State::Connect,
            Seek::Waiting => State::Active,
        };
        self.conns.iter().map(Conn::state).max().unwrap_or(sought)
    }

    /// The configuration that the peer was made with.
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// A look inside.
    pub fn status(&self) -> Status<'_> {
        let furthest = self.conns.iter().max_by_key(|conn| conn.state());
        Status {
            state: self.state(),
            since: self.record.since,
            negotiated: furthest.and_then(Conn::up),
            timers: TimersDue {
                connect_retry: self.timers.at(Timer::ConnectRetry),
                idle_hold: self.timers.at(Timer::IdleHold),
                hold: furthest.and_then(|conn| conn.timers.hold_due()),
                keepalive: furthest.and_then(|conn| conn.timers.keepalive_due()),
                send_hold: furthest.and_then(|conn| conn.timers.send_hold_due()),
            },
            counters: &self.record.counters,
            last_error: (&self.record.last_error.0, self.record.last_error.1),
            last_sent: self.record.last_sent.as_ref(),
            last_received: self.record.last_received.as_ref(),
            last_heard: self.record.last_heard,
            last_said: self.record.last_said,
            disabled: &self.record.disabled,
        }
    }

    /// `ManualStart` (RFC 4271 §8.1.2): from Idle only.
    fn start(&mut self, now: Instant, out: &mut Vec<Action>) {
        if let Some(text) = &self.config.shutdown {
            let text = Some(text.clone()).filter(|text| !text.is_empty());
            self.record.last_error = (Why::Stopped(Admin::Shutdown(text)), Some(now));
            return;
        }
        self.started.get_or_insert(now);
        if matches!(self.seek, Seek::Stopped | Seek::Held) {
            self.backoff.reset();
            self.seek(now, out);
        }
    }

    /// Ends everything, then stays down or waits in Idle, as `admin` says.
    fn stop(&mut self, now: Instant, admin: &Admin, out: &mut Vec<Action>) {
        while let Some(conn) = self.conns.last() {
            let (id, up) = (conn.id, conn.up().cloned());
            let established = conn.state() == State::Established;
            if !(established && up.as_ref().is_some_and(|up| graceful::leaves_silently(up, admin))) {
                let graceful_notification = up.is_some_and(|up| up.graceful_notification);
                let notification = admin.notification(graceful_notification);
                self.send(now, id, Message::Notification(notification), out);
            }
            self.retire(now, id, Why::Stopped(admin.clone()), out);
        }
        self.record.last_error = (Why::Stopped(admin.clone()), Some(now));
        if admin.stays() || self.seek == Seek::Stopped {
            self.cancel_dial(out);
            self.timers.stop_all();
            self.seek = Seek::Stopped;
        } else {
            if matches!(admin, Admin::Reset(_) | Admin::ConfigChange) {
                self.backoff.reset();
            }
            self.hold(now, out);
        }
    }

    /// Bytes came that are no message: the codec says how to end it. An UPDATE
    /// is not for a session that is not up, however it is written (RFC 4271
    /// §8.2.2, Event 28).
    fn malformed(&mut self, now: Instant, id: ConnId, answer: Notification, out: &mut Vec<Action>) {
        let Some(conn) = self.conns.iter().find(|conn| conn.id == id) else { return };
        let answer = match conn.state() {
            State::OpenConfirm if answer.code == update::CODE => notify::unexpected_message(2),
            State::Established => answer,
            _ if answer.code == update::CODE => notify::unexpected_message(1),
            _ => answer,
        };
        self.record.counters.malformed.reset += 1;
        self.lose(now, id, Why::Sent(answer), out);
    }

    fn keepalive(&mut self, now: Instant, id: ConnId, out: &mut Vec<Action>) {
        if let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) {
            conn.sent(now, &mut self.jitter);
            self.send(now, id, Message::Keepalive, out);
        }
    }

    fn blocked(&mut self, now: Instant, id: ConnId) {
        if let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) {
            let hold = conn.up().map_or(Duration::ZERO, |up| up.hold_time);
            let least = self.config.send_hold.unwrap_or_else(|| LEAST_SEND_HOLD.max(hold * 2));
            conn.blocked(now, Some(least));
        }
    }

    /// True while our OPEN carries the R bit: until the first session, and no
    /// longer than the restart may take (RFC 4724 §4.1).
    fn restarting(&self, now: Instant) -> bool {
        let time = self.config.graceful_restart.as_ref().map_or(Duration::ZERO, |restart| restart.time);
        self.restarting && self.started.is_some_and(|started| now < started + time)
    }

    /// Our OPEN as it is now.
    fn open(&self, now: Instant) -> Open {
        greeting(&self.config, self.restarting(now), self.plain)
    }

    fn send(&mut self, now: Instant, id: ConnId, message: Message, out: &mut Vec<Action>) {
        self.record.said(now, &message);
        out.push(Action::Send(id, message));
    }

    /// A connection is over; decides what comes next for the peer.
    fn lose(&mut self, now: Instant, id: ConnId, why: Why, out: &mut Vec<Action>) {
        let Some(state) = self.conns.iter().find(|conn| conn.id == id).map(Conn::state) else { return };
        let closed = matches!(why, Why::Closed(_));
        let unknown = matches!(&why, Why::Received(n) if notify::means_no_capabilities(n));
        // Without capabilities once; whoever refuses that too is asked anew with them.
        self.plain = unknown && !self.plain;
        let not_now = matches!(&why, Why::Received(notification) if notify::means_not_now(notification));
        let meant = matches!(&why, Why::Received(notification) if notify::is_operators_doing(notification));
        if meant && state == State::Established {
            // No oscillation, but somebody at work who wants the session back.
            self.backoff.reset();
        }
        let kept = self.retire(now, id, why.clone(), out);
        if self.conns.is_empty() {
            self.record.last_error = (why, Some(now));
        }
        if !self.conns.is_empty() {
            self.promote(now, out);
        } else if closed && kept && !self.backoff.flaps() {
            // RFC 4724 §4.2: the peer is expected back; it may connect at once.
            let wait = self.backoff.next();
            let wait = if self.turn.waits() { self.config.connect_retry.max(wait) } else { wait };
            if !self.config.passive {
                self.arm_retry(now, wait);
            }
        } else if state > State::OpenSent || !(closed || not_now) {
            self.hold(now, out);
        }
        // Else RFC 4271 §8.2.2, OpenSent, Event 18: Active, or the dial goes on.
    }

    /// Takes a connection away: last words, Close, Down. True when routes of
    /// its session may be kept.
    fn retire(&mut self, now: Instant, id: ConnId, why: Why, out: &mut Vec<Action>) -> bool {
        let Some(index) = self.conns.iter().position(|conn| conn.id == id) else { return false };
        let conn = self.conns.remove(index);
        if let Some(notification) = why.notification() {
            self.record.counters.refused += u64::from(notification == notify::collision());
            self.send(now, id, Message::Notification(notification), out);
        }
        if !matches!(why, Why::Closed(_)) {
            out.push(Action::Close(id));
        }
        let Phase::Established(up, since) = conn.phase else { return false };
        self.record.disabled.clear();
        self.record.counters.lost += 1;
        if now.saturating_duration_since(since) >= self.backoff.stable_after() {
            self.backoff.reset();
        }
        let graceful = graceful::outlives(&up, &why);
        let kept = graceful.is_some();
        self.record.last_error = (why.clone(), Some(now));
        out.push(Action::Down(Down { why, graceful }));
        kept
    }

    /// With no OPEN of the peer left anywhere, a connection that was only
    /// tracked takes its chance.
    fn promote(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.conns.iter().any(|conn| conn.up().is_some()) {
            return;
        }
        let ours = self.open(now);
        let tracked = self.conns.iter_mut().find(|conn| matches!(conn.phase, Phase::Tracked(_)));
        if let Some(conn) = tracked {
            let id = conn.id;
            conn.promote(now, ours.clone());
            self.send(now, id, Message::Open(ours), out);
        }
    }

    /// Into Idle, for longer each time.
    fn hold(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.cancel_dial(out);
        self.seek = Seek::Held;
        self.timers.stop_all();
        let hold = self.backoff.next();
        self.timers.arm(Timer::IdleHold, now + self.jitter.spread(hold));
    }

    /// What holds after every event: who seeks has a timer, and a change of
    /// state is told.
    fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        let state = self.state();
        let seeks = matches!(self.seek, Seek::Dialling(_) | Seek::Waiting) && !self.config.passive;
        if seeks && state != State::Established && self.timers.at(Timer::ConnectRetry).is_none() {
            self.arm_retry(now, self.config.connect_retry);
        }
        self.record.since.get_or_insert(now);
        if state != self.record.state {
            self.record.state = state;
            self.record.since = Some(now);
            out.push(Action::StateChanged(state));
        }
    }
}

/// Our OPEN; `plain`: without capabilities.
fn greeting(config: &PeerConfig, restarting: bool, plain: bool) -> Open {
    let ours = open(config, restarting);
    if plain { Open { capabilities: vec![], ..ours } } else { ours }
}

#[cfg(test)]
mod tests;
