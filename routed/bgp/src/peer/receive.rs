//! What the messages of the peer lead to, and which connection stays.

use std::sync::Arc;
use std::time::Instant;

use net::Family;

use super::collision;
use super::event::{Action, Why};
use super::stats::DisabledFamily;
use super::{Peer, Seek, greeting};
use crate::conn::{Beside, ConnId, Phase, Step, Up, notify};
use crate::wire::{Message, Open, RouteRefresh, Treatment, Update};

impl Peer {
    /// A message on a connection; late ones of connections that are gone do nothing.
    pub(super) fn receive(&mut self, now: Instant, id: ConnId, message: Message, out: &mut Vec<Action>) {
        let (restarting, plain) = (self.restarting(now), self.plain);
        let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) else { return };
        self.record.heard(now, &message);
        match conn.receive(now, &self.config, || greeting(&self.config, restarting, plain), message) {
            Step::Stay => {}
            Step::Opened { up, ours } => self.opened(now, *up, ours, out),
            Step::Established(up) => self.established(up, out),
            Step::Update(update) => self.update(now, update, out),
            Step::Refresh(refresh, up) => self.refresh(refresh, &up, out),
            Step::Notified(notification) => self.lose(now, id, Why::Received(notification), out),
            Step::Unsuitable(refused) => self.lose(now, id, Why::Refused(refused), out),
            Step::Refuse(notification) => self.lose(now, id, Why::Sent(notification), out),
        }
    }

    /// The peer's OPEN is acceptable; another connection may have got one
    /// before (RFC 4271 §6.8).
    fn opened(&mut self, now: Instant, up: Up, ours: Open, out: &mut Vec<Action>) {
        let id = up.conn;
        let rival = self.conns.iter().find(|conn| conn.id != id && conn.up().is_some());
        let Some(rival) = rival else { return self.confirm(now, up, ours, out) };
        let (rival_id, outcome) = match &rival.phase {
            // RFC 4724 §5: a peer that negotiated graceful restart and connects
            // again has restarted. Ours: only its OPEN proves it, so that a
            // bare connection, as of a port scan, does not cost the session.
            Phase::Established(old, _) if self.is_restart(id) && !old.restartable().is_empty() => {
                (rival.id, Some(Why::Replaced))
            }
            // RFC 4271 §6.8: an established session otherwise wins.
            Phase::Established(..) => (rival.id, None),
            _ => {
                let our_rank = (self.config.router_id, self.config.local_as);
                let stays = collision::new_stays(our_rank, (up.router_id, up.peer_as), rival.id, id);
                (rival.id, stays.then(|| Why::Sent(notify::collision())))
            }
        };
        if outcome != Some(Why::Replaced) && rival_id.is_dialled() != id.is_dialled() {
            self.record.counters.collisions += 1;
        }
        match outcome {
            Some(why) => {
                let replaced = why == Why::Replaced;
                self.retire(now, rival_id, why, out);
                if replaced && self.backoff.flaps() {
                    self.turn_away(now, out);
                } else {
                    if replaced {
                        self.backoff.next();
                    }
                    self.confirm(now, up, ours, out);
                }
            }
            None => {
                self.retire(now, id, Why::Sent(notify::collision()), out);
            }
        }
    }

    /// The peer has restarted again and again: it is held in Idle like one that
    /// loses its sessions.
    fn turn_away(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(id) = self.conns.last().map(|conn| conn.id) {
            self.retire(now, id, Why::Sent(notify::connection_rejected()), out);
        }
        self.hold(now, out);
    }

    /// True when the connection came while the session was up.
    fn is_restart(&self, id: ConnId) -> bool {
        self.conns.iter().any(|conn| conn.id == id && matches!(conn.phase, Phase::Tracked(Beside::Session)))
    }

    /// `OpenSent` -> `OpenConfirm` (RFC 4271 §8.2.2, `OpenSent`, Event 19).
    fn confirm(&mut self, now: Instant, up: Up, ours: Open, out: &mut Vec<Action>) {
        let id = up.conn;
        let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) else { return };
        self.turn.opened((self.config.router_id, self.config.local_as), &up);
        let silent_so_far = matches!(conn.phase, Phase::Tracked(_));
        conn.confirm(now, up, &mut self.jitter);
        if silent_so_far {
            self.send(now, id, Message::Open(ours), out);
        }
        self.send(now, id, Message::Keepalive, out);
    }

    /// `OpenConfirm` -> Established (RFC 4271 §8.2.2, `OpenConfirm`, Event 26).
    fn established(&mut self, up: Arc<Up>, out: &mut Vec<Action>) {
        self.cancel_dial(out);
        self.seek = Seek::Waiting;
        self.timers.stop_all();
        self.restarting = false;
        self.record.counters.established += 1;
        out.push(Action::Up(up));
    }

    /// Routes; of a family that the message puts in doubt there are none any
    /// more (RFC 4760 §7).
    fn update(&mut self, now: Instant, update: Update, out: &mut Vec<Action>) {
        for fault in &update.faults {
            if let Treatment::Disable(family) = fault.treatment {
                self.record.disabled.push(DisabledFamily { family, what: fault.what, since: now });
                out.push(Action::FamilyDisabled { family, what: fault.what });
            }
        }
        deliver(update, out);
    }

    /// ROUTE-REFRESH (RFC 2918 §4, RFC 7313 §4). What was not negotiated is
    /// ignored and counted.
    fn refresh(&mut self, refresh: RouteRefresh, up: &Up, out: &mut Vec<Action>) {
        let family =
            Family::from_afi_safi(refresh.afi, refresh.safi).filter(|family| up.families.contains(family));
        match (family, refresh.subtype) {
            (Some(family), 0) => out.push(Action::RefreshRequest(family)),
            (Some(family), 1) if up.enhanced_refresh => out.push(Action::RefreshBegin(family)),
            (Some(family), 2) if up.enhanced_refresh => out.push(Action::RefreshEnd(family)),
            _ => self.record.counters.refreshes_ignored += 1,
        }
    }
}

/// Hands an UPDATE on; End-of-RIB is told after the routes it may come with.
fn deliver(update: Update, out: &mut Vec<Action>) {
    let end_of_rib = update.end_of_rib;
    if end_of_rib.is_none() || !update.reach.is_empty() || !update.unreach.is_empty() {
        out.push(Action::Update(update));
    }
    out.extend(end_of_rib.map(Action::EndOfRib));
}
