//! Two peers, a virtual clock and a wire that has latency and can break.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use net::Family;

use super::{config, ends, secs};
use crate::conn::{CloseReason, ConnId};
use crate::peer::{Action, Admin, Event, Peer, PeerConfig, RestartConfig, State, Why};
use crate::wire::Message;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }
}

/// One TCP connection: what each side calls it.
#[derive(Clone, Copy)]
struct Link {
    dialler: Side,
    dialled: ConnId,
    accepted: ConnId,
}

enum Flight {
    Syn { to: Side, id: ConnId },
    Deliver { to: Side, event: Event },
}

/// The world of two peers.
pub(super) struct Pair {
    now: Instant,
    pub(super) latency: Duration,
    peers: BTreeMap<Side, Peer>,
    links: Vec<Link>,
    flights: VecDeque<(Instant, Flight)>,
    log: Vec<(Side, Action)>,
    /// Nothing passes: what is sent is lost, what is dialled hangs.
    pub(super) cut: bool,
    accepts: u32,
}

impl Pair {
    fn new(a: PeerConfig, b: PeerConfig) -> Self {
        Self {
            now: Instant::now(),
            latency: Duration::from_millis(10),
            peers: [(Side::A, Peer::new(a)), (Side::B, Peer::new(b))].into(),
            links: vec![],
            flights: VecDeque::new(),
            log: vec![],
            cut: false,
            accepts: 0,
        }
    }

    pub(super) fn started(a: PeerConfig, b: PeerConfig) -> Self {
        let mut pair = Self::new(a, b);
        pair.event(Side::A, Event::Start);
        pair.event(Side::B, Event::Start);
        pair
    }

    pub(super) fn peer(&self, side: Side) -> &Peer {
        &self.peers[&side]
    }

    pub(super) fn states(&self) -> (State, State) {
        (self.peer(Side::A).state(), self.peer(Side::B).state())
    }

    fn count(&self, side: Side, wanted: impl Fn(&Action) -> bool) -> usize {
        self.log.iter().filter(|(of, action)| *of == side && wanted(action)).count()
    }

    pub(super) fn event(&mut self, side: Side, event: Event) {
        let mut out = vec![];
        self.peers.get_mut(&side).unwrap().handle(self.now, event, &mut out);
        self.carry_out(side, out);
    }

    /// Replaces a peer by a new one, as a restarted process would; its
    /// connections break (or, after a power loss, only seem to stand).
    pub(super) fn reborn(&mut self, side: Side, config: PeerConfig, tell: bool) {
        self.peers.insert(side, Peer::new(config));
        for link in std::mem::take(&mut self.links) {
            if tell {
                let id = if link.dialler == side { link.accepted } else { link.dialled };
                let event = Event::Closed(id, CloseReason::Eof);
                self.fly(Flight::Deliver { to: side.other(), event });
            }
        }
        self.event(side, Event::Start);
    }

    /// All connections are reset; both sides learn it.
    pub(super) fn break_connections(&mut self) {
        for link in std::mem::take(&mut self.links) {
            let reason = CloseReason::Failed("connection reset by peer".into());
            self.event(link.dialler, Event::Closed(link.dialled, reason.clone()));
            self.event(link.dialler.other(), Event::Closed(link.accepted, reason));
        }
    }

    fn fly(&mut self, flight: Flight) {
        if !self.cut {
            self.flights.push_back((self.now + self.latency, flight));
        }
    }

    fn remote(&self, side: Side, id: ConnId) -> Option<ConnId> {
        self.links.iter().find_map(|link| {
            if link.dialler == side && link.dialled == id {
                Some(link.accepted)
            } else if link.dialler != side && link.accepted == id {
                Some(link.dialled)
            } else {
                None
            }
        })
    }

    fn carry_out(&mut self, side: Side, actions: Vec<Action>) {
        for action in actions {
            let to = side.other();
            match &action {
                Action::Dial(id) => self.fly(Flight::Syn { to, id: *id }),
                Action::CancelDial(id) => {
                    let gone = |flight: &Flight| matches!(flight, Flight::Syn { to: at, id: of } if *at == to && of == id);
                    self.flights.retain(|(_, flight)| !gone(flight));
                }
                Action::Send(id, message) => {
                    if let Some(id) = self.remote(side, *id) {
                        let event = Event::Received(id, Ok(message.clone()));
                        self.fly(Flight::Deliver { to, event });
                    }
                }
                Action::Close(id) => {
                    if let Some(remote) = self.remote(side, *id) {
                        let event = Event::Closed(remote, CloseReason::Eof);
                        self.fly(Flight::Deliver { to, event });
                    }
                }
                _ => {}
            }
            self.log.push((side, action));
        }
    }

    fn arrive(&mut self, flight: Flight) {
        match flight {
            Flight::Deliver { to, event } => self.event(to, event),
            Flight::Syn { to, id } => {
                self.accepts += 1;
                let accepted = ConnId::Accepted(self.accepts);
                let dialler = to.other();
                self.links.push(Link { dialler, dialled: id, accepted });
                self.fly(Flight::Deliver { to: dialler, event: Event::Dialled(id, ends()) });
                self.event(to, Event::Accepted(accepted, ends()));
            }
        }
    }

    /// Moves the clock to what happens next, if that is before `until`.
    fn step(&mut self, until: Instant) -> bool {
        let flight = self.flights.front().map(|(at, _)| *at);
        let deadlines = self.peers.values().filter_map(Peer::next_deadline);
        let Some(next) = deadlines.chain(flight).min().filter(|at| *at <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        while self.flights.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, flight) = self.flights.pop_front().unwrap();
            self.arrive(flight);
        }
        for side in [Side::A, Side::B] {
            let mut out = vec![];
            let peer = self.peers.get_mut(&side).unwrap();
            peer.tick(self.now, &mut out);
            assert!(peer.next_deadline().is_none_or(|at| at > self.now), "a deadline did not go away");
            self.carry_out(side, out);
        }
        true
    }

    /// Lets time pass; fails when the two never calm down.
    pub(super) fn drive_bounded(&mut self, time: Duration) {
        let until = self.now + time;
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 10_000, "the peers do not calm down: {:?}", self.log.last());
        }
    }
}

pub(super) const UP: (State, State) = (State::Established, State::Established);

fn is_down(action: &Action) -> bool {
    matches!(action, Action::Down(_))
}

fn restartable(id: &str) -> PeerConfig {
    PeerConfig {
        graceful_restart: Some(RestartConfig { notification: false, ..RestartConfig::new(secs(120)) }),
        families: Family::ALL.to_vec(),
        ..config(id, 65001, 65001)
    }
}

#[test]
fn two_peers_that_dial_each_other_at_once_end_with_one_session() {
    for (a, b) in [("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"), ("10.0.0.1", "10.0.0.1")] {
        let mut pair = Pair::started(config(a, 65001, 65002), config(b, 65002, 65001));
        pair.drive_bounded(secs(5));
        assert_eq!(pair.states(), UP, "{a} {b}");
        for side in [Side::A, Side::B] {
            assert_eq!(pair.count(side, is_down), 0);
            assert_eq!(pair.peer(side).conns.len(), 1);
        }
        // 65002 is higher where the identifiers are equal.
        let winner = if a > b { Side::A } else { Side::B };
        let up = pair.peer(winner).status().negotiated.unwrap();
        assert!(up.conn.is_dialled());
    }
}

#[test]
fn a_quiet_session_stays_up_by_keepalives_alone() {
    let mut pair = Pair::started(config("10.0.0.1", 1, 2), config("10.0.0.2", 2, 1));
    pair.drive_bounded(secs(3600));
    assert_eq!(pair.states(), UP);
    assert_eq!(pair.count(Side::A, is_down), 0);
    let sent = pair.peer(Side::A).status().counters.sent.keepalive;
    // Every 3 s, up to a quarter early.
    assert!((1200..=1602).contains(&sent), "{sent}");
}

#[test]
fn a_silent_peer_is_gone_after_the_hold_time_and_back_when_it_speaks() {
    let mut pair = Pair::started(config("10.0.0.1", 1, 2), config("10.0.0.2", 2, 1));
    pair.drive_bounded(secs(20));
    pair.cut = true;
    pair.drive_bounded(secs(10));
    for side in [Side::A, Side::B] {
        assert_eq!(pair.count(side, is_down), 1);
        let (why, _) = pair.peer(side).status().last_error;
        assert!(matches!(why, Why::Sent(notification) if notification.code == 4));
    }
    pair.cut = false;
    pair.drive_bounded(secs(60));
    assert_eq!(pair.states(), UP);
}

#[test]
fn a_broken_connection_comes_back_by_itself() {
    let mut pair = Pair::started(config("10.0.0.1", 1, 2), config("10.0.0.2", 2, 1));
    for round in 1..=5 {
        pair.drive_bounded(secs(100));
        assert_eq!(pair.states(), UP);
        pair.break_connections();
        assert_eq!(pair.count(Side::A, is_down), round);
    }
}

#[test]
fn passive_waits_for_the_other_side() {
    let passive = PeerConfig { passive: true, ..config("10.0.0.1", 1, 2) };
    let mut pair = Pair::started(passive.clone(), config("10.0.0.2", 2, 1));
    pair.drive_bounded(secs(5));
    assert_eq!(pair.states(), UP);
    assert_eq!(pair.count(Side::A, |action| matches!(action, Action::Dial(_))), 0);

    let other = PeerConfig { passive: true, ..config("10.0.0.2", 2, 1) };
    let mut pair = Pair::started(passive, other);
    pair.drive_bounded(secs(3600));
    assert_eq!(pair.states(), (State::Active, State::Active));
}

#[test]
fn a_shutdown_stays_and_tells_its_reason() {
    let mut pair = Pair::started(config("10.0.0.1", 1, 2), config("10.0.0.2", 2, 1));
    pair.drive_bounded(secs(5));
    pair.event(Side::A, Event::Stop(Admin::Shutdown(Some("upgrade".into()))));
    pair.drive_bounded(secs(300));
    assert_eq!(pair.peer(Side::A).state(), State::Idle);
    assert_ne!(pair.peer(Side::B).state(), State::Established);
    let sent = pair.log.iter().find_map(|(_, action)| match action {
        Action::Send(_, Message::Notification(sent)) if (sent.code, sent.subcode) == (6, 2) => Some(sent),
        _ => None,
    });
    assert_eq!(&*sent.unwrap().data, b"\x07upgrade");
    pair.event(Side::A, Event::Start);
    pair.drive_bounded(secs(120));
    assert_eq!(pair.states(), UP);
}

#[test]
fn a_restart_closes_silently_and_the_peer_keeps_the_routes() {
    let mut pair = Pair::started(restartable("10.0.0.1"), restartable("10.0.0.2"));
    pair.drive_bounded(secs(30));
    assert_eq!(pair.states(), UP);
    let notified = |pair: &Pair| pair.peer(Side::A).status().counters.sent.notification;
    let before = notified(&pair);
    pair.event(Side::A, Event::Stop(Admin::Restart));
    assert_eq!(notified(&pair), before);
    pair.drive_bounded(secs(1));
    let kept = |pair: &Pair| {
        pair.log.iter().rev().find_map(|(side, action)| match action {
            Action::Down(down) if *side == Side::B => Some(down.clone()),
            _ => None,
        })
    };
    let graceful = kept(&pair).unwrap().graceful.unwrap();
    assert_eq!(graceful.restart_time, secs(120));
    assert_eq!(graceful.families, Family::ALL);

    let mut again = restartable("10.0.0.1");
    again.graceful_restart.as_mut().unwrap().restarting = true;
    pair.reborn(Side::A, again, true);
    pair.drive_bounded(secs(10));
    assert_eq!(pair.states(), UP);
    let seen = pair.peer(Side::B).status().negotiated.unwrap().graceful_restart.clone().unwrap();
    assert!(seen.restarting);
    assert!(seen.families.iter().all(|(_, _, forwarding)| *forwarding));

    // The R bit belongs to the first session only.
    pair.break_connections();
    pair.drive_bounded(secs(10));
    assert_eq!(pair.states(), UP);
    let seen = pair.peer(Side::B).status().negotiated.unwrap().graceful_restart.clone().unwrap();
    assert!(!seen.restarting);
}

#[test]
fn a_peer_that_comes_back_before_its_end_was_noticed_replaces_its_session() {
    let mut pair = Pair::started(restartable("10.0.0.1"), restartable("10.0.0.2"));
    pair.drive_bounded(secs(30));
    pair.reborn(Side::A, restartable("10.0.0.1"), false);
    pair.drive_bounded(secs(2));
    assert_eq!(pair.states(), UP);
    let down = pair.log.iter().find_map(|(side, action)| match action {
        Action::Down(down) if *side == Side::B => Some(down),
        _ => None,
    });
    assert_eq!(down.unwrap().why, Why::Replaced);
    assert!(down.unwrap().graceful.is_some());
}

#[test]
fn a_peer_that_replaces_its_session_again_and_again_is_held_in_idle() {
    let mut pair = Pair::started(restartable("10.0.0.1"), restartable("10.0.0.2"));
    pair.drive_bounded(secs(30));
    let mut held = 0;
    for _ in 0..20 {
        pair.reborn(Side::A, restartable("10.0.0.1"), false);
        pair.drive_bounded(secs(2));
        held += u32::from(pair.peer(Side::B).state() == State::Idle);
    }
    let downs = pair.count(Side::B, |action| matches!(action, Action::Down(_)));
    assert!((5..10).contains(&downs) && held > 5, "{downs} sessions lost, held {held} times");
    // It is let in when it has calmed down.
    pair.drive_bounded(secs(300));
    assert_eq!(pair.states(), UP);
}

#[test]
fn without_graceful_restart_a_second_connection_is_refused_until_the_hold_time_is_over() {
    let mut pair = Pair::started(config("10.0.0.1", 1, 2), config("10.0.0.2", 2, 1));
    pair.drive_bounded(secs(30));
    pair.reborn(Side::A, config("10.0.0.1", 1, 2), false);
    pair.drive_bounded(secs(2));
    assert_eq!(pair.peer(Side::B).state(), State::Established);
    let (why, _) = pair.peer(Side::A).status().last_error;
    assert!(
        matches!(why, Why::Received(notification) if (notification.code, notification.subcode) == (6, 7))
    );
    pair.drive_bounded(secs(100));
    assert_eq!(pair.states(), UP);
}
