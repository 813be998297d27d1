//! How connections come about: dialling, accepting, and when to try again
//! (RFC 4271 §8.2.2, Idle, Connect and Active).

use std::time::{Duration, Instant};

use super::event::{Action, State, Why};
use super::{Peer, Seek, Timer};
use crate::conn::{Beside, Conn, ConnId, Endpoints, notify};
use crate::wire::Message;

impl Peer {
    /// Leaves Idle: dials, or waits when passive, and when it is the peer's turn.
    pub(super) fn seek(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.timers.stop_all();
        if self.config.passive || self.turn.waits() {
            self.seek = Seek::Waiting;
        } else {
            self.dial(now, out);
        }
    }

    fn dial(&mut self, now: Instant, out: &mut Vec<Action>) {
        let id = ConnId::Dialled(self.dials);
        self.dials = self.dials.wrapping_add(1);
        self.record.counters.dials += 1;
        self.seek = Seek::Dialling(id);
        self.turn.dialled(id);
        self.arm_retry(now, self.config.connect_retry);
        out.push(Action::Dial(id));
    }

    /// `ConnectRetryTimer_Expires` (RFC 4271 §8.2.2, Event 9): a new dial,
    /// unless there is a connection that makes it needless.
    pub(super) fn retry(&mut self, now: Instant, out: &mut Vec<Action>) {
        let needless = self.conns.iter().any(|conn| conn.id.is_dialled() || conn.up().is_some());
        if !needless {
            self.cancel_dial(out);
            self.dial(now, out);
        }
    }

    pub(super) fn cancel_dial(&mut self, out: &mut Vec<Action>) {
        if let Seek::Dialling(id) = self.seek {
            self.seek = Seek::Waiting;
            out.push(Action::CancelDial(id));
        }
    }

    pub(super) fn arm_retry(&mut self, now: Instant, wait: Duration) {
        self.timers.arm(Timer::ConnectRetry, now + self.jitter.spread(wait));
    }

    /// `Tcp_CR_Acked` (RFC 4271 §8.2.2, Event 16).
    pub(super) fn dialled(&mut self, now: Instant, id: ConnId, endpoints: Endpoints, out: &mut Vec<Action>) {
        if self.seek != Seek::Dialling(id) {
            if self.conns.iter().all(|conn| conn.id != id) {
                out.push(Action::Close(id));
            }
            return;
        }
        self.seek = Seek::Waiting;
        self.timers.stop(Timer::ConnectRetry);
        if self.conns.iter().any(|conn| conn.up().is_some()) {
            self.record.counters.collisions += 1;
            out.push(Action::Close(id));
        } else {
            self.greet(now, id, endpoints, out);
        }
    }

    /// `TcpConnectionFails` while connecting (RFC 4271 §8.2.2, Event 18).
    pub(super) fn dial_failed(&mut self, now: Instant, id: ConnId, what: String) {
        if self.seek == Seek::Dialling(id) {
            self.record.counters.dial_failures += 1;
            self.record.last_error = (Why::DialFailed(what), Some(now));
            self.seek = Seek::Waiting;
            self.arm_retry(now, self.config.connect_retry);
        }
    }

    /// `TcpConnectionConfirmed` (RFC 4271 §8.2.2, Event 17).
    pub(super) fn accepted(&mut self, now: Instant, id: ConnId, endpoints: Endpoints, out: &mut Vec<Action>) {
        if id.is_dialled() || self.conns.iter().any(|conn| conn.id == id) {
            return;
        }
        if matches!(self.seek, Seek::Stopped | Seek::Held) {
            self.record.counters.refused += 1;
            self.turn.refused();
            if self.seek == Seek::Stopped {
                self.send(now, id, Message::Notification(notify::connection_rejected()), out);
            }
            out.push(Action::Close(id));
            return;
        }
        // The peer makes one connection at a time: an older one of its own
        // that has not come to an OPEN is dead.
        let older = self.conns.iter().find(|conn| !conn.id.is_dialled() && conn.up().is_none());
        if let Some(older) = older.map(|conn| conn.id) {
            self.retire(now, older, Why::Sent(notify::collision()), out);
        }
        match self.conns.iter().filter(|conn| conn.up().is_some()).map(Conn::state).max() {
            None => self.greet(now, id, endpoints, out),
            Some(state) => {
                let beside = if state == State::Established { Beside::Session } else { Beside::Attempt };
                self.conns.push(Conn::tracked(now, id, endpoints, beside));
            }
        }
    }

    /// A connection stands: our OPEN goes out.
    fn greet(&mut self, now: Instant, id: ConnId, endpoints: Endpoints, out: &mut Vec<Action>) {
        let ours = self.open(now);
        self.conns.push(Conn::open_sent(now, id, endpoints, ours.clone()));
        self.send(now, id, Message::Open(ours), out);
    }
}
