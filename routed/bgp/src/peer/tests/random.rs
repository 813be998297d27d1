//! Random events, time only forward: what must hold whatever happens.

use std::collections::BTreeSet;

use net::Family;
use proptest::prelude::*;

use super::*;
use crate::conn::CloseReason;
use crate::peer::{Admin, RestartConfig};
use crate::wire::{RouteRefresh, Update};

/// The other side of the border: what a shell knows after each action.
struct Shell {
    bench: Bench,
    open: BTreeSet<ConnId>,
    dial: Option<ConnId>,
    up: bool,
    accepts: u32,
}

impl Shell {
    fn new(config: PeerConfig) -> Self {
        Self { bench: Bench::new(config), open: BTreeSet::new(), dial: None, up: false, accepts: 0 }
    }

    /// Feeds an event as a shell would and checks what comes of it.
    fn event(&mut self, event: Event) {
        match &event {
            Event::Accepted(id, _) => {
                self.open.insert(*id);
            }
            Event::Dialled(id, _) => {
                self.open.insert(*id);
                self.dial = self.dial.filter(|dial| dial != id);
            }
            Event::DialFailed(id, _) => self.dial = self.dial.filter(|dial| dial != id),
            Event::Closed(id, _) => {
                self.open.remove(id);
            }
            _ => {}
        }
        let before = self.bench.peer.state();
        self.bench.event(event);
        self.check(before);
    }

    fn tick(&mut self, wait: Duration) {
        let before = self.bench.peer.state();
        self.bench.now += wait;
        self.bench.out.clear();
        self.bench.peer.tick(self.bench.now, &mut self.bench.out);
        let next = self.bench.peer.next_deadline();
        assert!(next.is_none_or(|at| at > self.bench.now), "a deadline is left behind");
        self.check(before);
    }

    fn check(&mut self, before: State) {
        let after = self.bench.peer.state();
        let out = std::mem::take(&mut self.bench.out);
        for (index, action) in out.iter().enumerate() {
            match action {
                Action::Dial(id) => assert_eq!(self.dial.replace(*id), None, "two dials"),
                Action::CancelDial(id) => assert_eq!(self.dial.take(), Some(*id)),
                Action::Send(id, _) => assert!(self.open.contains(id), "send on a closed connection"),
                Action::Close(id) => assert!(self.open.remove(id), "closed twice"),
                Action::Up(up) => {
                    assert!(!std::mem::replace(&mut self.up, true), "up twice");
                    assert!(self.open.contains(&up.conn));
                }
                Action::Down(_) => assert!(std::mem::take(&mut self.up), "down without up"),
                Action::StateChanged(state) => {
                    assert_eq!((index + 1, *state), (out.len(), after));
                    assert_ne!(before, after);
                }
                _ => assert!(self.up, "{action:?} without a session"),
            }
        }
        assert_eq!(before != after, matches!(out.last(), Some(Action::StateChanged(_))));
        assert_eq!(self.up, after == State::Established);
        assert_eq!(self.bench.peer.status().negotiated.is_some(), after >= State::OpenConfirm);
        let known: BTreeSet<ConnId> = self.bench.peer.conns.iter().map(|conn| conn.id).collect();
        assert_eq!(known, self.open, "a connection was forgotten");
        assert!(known.len() <= 3);
    }

    /// One of the connections that stand, or one that never did.
    fn pick(&self, choice: u8) -> ConnId {
        let choice = usize::from(choice) % (self.open.len() + 1);
        self.open.iter().nth(choice).copied().unwrap_or(ConnId::Dialled(u32::MAX))
    }

    fn turn(&mut self, op: u8, choice: u8, wait: u32) {
        let id = self.pick(choice);
        match op {
            0..4 => self.tick(Duration::from_millis(wait.into())),
            4 => self.event(Event::Start),
            5 => self.event(Event::Stop(admin(choice))),
            6..9 => {
                if let Some(dial) = self.dial {
                    self.event(Event::Dialled(dial, ends()));
                }
            }
            9 => {
                if let Some(dial) = self.dial {
                    self.event(Event::DialFailed(dial, "connection refused".into()));
                }
            }
            10..12 => {
                self.accepts += 1;
                self.event(Event::Accepted(ConnId::Accepted(self.accepts), ends()));
            }
            12 => self.event(Event::Closed(id, CloseReason::Eof)),
            13 => {
                let answer = Notification { code: 3, subcode: 1, data: Box::default() };
                self.event(Event::Received(id, Err(answer)));
            }
            14 => self.event(Event::Blocked(id)),
            15 => self.event(Event::Writable(id)),
            16 => self.event(Event::UpdatesSent(id, 3)),
            17 => self.event(Event::Dialled(ConnId::Dialled(u32::MAX - u32::from(choice) - 1), ends())),
            _ => {
                let message = message(self.bench.peer.config(), wait);
                self.event(Event::Received(id, Ok(message)));
            }
        }
    }
}

fn admin(choice: u8) -> Admin {
    match choice % 6 {
        0 => Admin::Shutdown(Some("bye".into())),
        1 => Admin::Restart,
        2 => Admin::BfdDown,
        3 => Admin::ConfigChange,
        4 => Admin::MaxPrefixes { family: Family::Ipv4Unicast, limit: 1 },
        _ => Admin::Reset(None),
    }
}

/// Mostly what a peer would say: OPEN and KEEPALIVE.
fn message(config: &PeerConfig, choice: u32) -> Message {
    match choice % 16 {
        0..3 => Message::Open(their_open(config, "10.0.0.9")),
        3..6 => Message::Open(their_open(config, "10.0.0.1")),
        6..11 => Message::Keepalive,
        11 => Message::Update(Update::default()),
        12 => Message::Update(Update { end_of_rib: Some(Family::Ipv4Unicast), ..Update::default() }),
        13 => notification(6, [2, 5, 7, 9][choice as usize / 16 % 4]),
        14 => Message::RouteRefresh(RouteRefresh { afi: 1, subtype: 0, safi: 1 }),
        _ => Message::Open(Open { version: 5, ..their_open(config, "10.0.0.9") }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn whatever_happens_the_border_is_kept_and_the_peer_tries_again(
        ops in prop::collection::vec((0u8..40, any::<u8>(), 0u32..20_000), 0..150),
        (graceful, notification, passive) in any::<(bool, bool, bool)>(),
        (hold, seed) in (prop::sample::select(vec![0u64, 3, 9, 90]), any::<u64>()),
    ) {
        let restart = RestartConfig { notification, restarting: true, ..RestartConfig::new(secs(60)) };
        let mut shell = Shell::new(PeerConfig {
            graceful_restart: graceful.then_some(restart),
            passive,
            seed,
            hold_time: secs(hold),
            ..ours()
        });
        shell.event(Event::Start);
        for (op, choice, wait) in ops {
            shell.turn(op, choice, wait);
        }
        // With all connections gone it dials again, if it may at all.
        shell.event(Event::Start);
        while let Some(id) = shell.open.first().copied() {
            shell.event(Event::Closed(id, CloseReason::Eof));
        }
        let dials = shell.bench.peer.status().counters.dials;
        shell.tick(secs(61));
        shell.tick(secs(61));
        let after = shell.bench.peer.status().counters.dials;
        prop_assert_eq!(after > dials, !passive);
        prop_assert!(!passive || shell.bench.peer.state() == State::Active);
    }
}
