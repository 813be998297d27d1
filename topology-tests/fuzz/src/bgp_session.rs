//! One BGP peer of any configuration under a random order of events, well-formed
//! and invented messages among them: the border is kept, what is negotiated is
//! what both have said, no deadline is left behind, and when all is quiet again
//! the session comes up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bgp::conn::negotiate::open;
use bgp::conn::{CloseReason, ConnId, Endpoints, Up};
use bgp::peer::{Action, AddPathConfig, Admin, Event, HoldExpiry, Peer, PeerConfig, RestartConfig, State};
use bgp::wire::{Capability, Frame, HEADER, Kind, Message, Notification, RouteRefresh, Rx, Update, decode};
use net::{Asn, Family, Role, RouterId};

/// One turn: what, which connection or which choice, milliseconds or a further
/// choice, and octets for a body.
pub type Turn = (u8, u8, u16, Vec<u8>);

const KINDS: [Kind; 5] = [Kind::Open, Kind::Update, Kind::Notification, Kind::Keepalive, Kind::RouteRefresh];

/// What a shell knows after each action.
struct Shell {
    now: Instant,
    peer: Peer,
    /// The other side.
    far: PeerConfig,
    open: BTreeSet<ConnId>,
    dial: Option<ConnId>,
    up: Option<Up>,
    /// The families of the session that are used no more.
    disabled: [bool; 2],
    accepts: u32,
}

impl Shell {
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
        let mut out = Vec::new();
        let before = self.peer.state();
        self.peer.handle(self.now, event, &mut out);
        self.check(before, out);
    }

    fn tick(&mut self, wait: Duration) {
        let mut out = Vec::new();
        let before = self.peer.state();
        self.now += wait;
        self.peer.tick(self.now, &mut out);
        assert!(self.peer.next_deadline().is_none_or(|at| at > self.now), "a deadline is left behind");
        self.check(before, out);
    }

    fn check(&mut self, before: State, out: Vec<Action>) {
        let after = self.peer.state();
        let last = out.len();
        for (index, action) in out.into_iter().enumerate() {
            match action {
                Action::Dial(id) => assert_eq!(self.dial.replace(id), None, "two dials"),
                Action::CancelDial(id) => assert_eq!(self.dial.take(), Some(id)),
                Action::Send(id, _) => assert!(self.open.contains(&id), "send on a closed connection"),
                Action::Close(id) => assert!(self.open.remove(&id), "closed twice"),
                Action::Up(up) => {
                    assert!(self.open.contains(&up.conn));
                    agreed(&up);
                    self.disabled = [false; 2];
                    assert!(self.up.replace((*up).clone()).is_none(), "up twice");
                }
                Action::Down(_) => assert!(self.up.take().is_some(), "down without up"),
                Action::StateChanged(state) => {
                    assert_eq!((index + 1, state), (last, after));
                    assert_ne!(before, after);
                }
                Action::Update(_) | Action::EndOfRib(_) => assert!(self.up.is_some()),
                Action::FamilyDisabled { family, .. } => {
                    assert!(self.up.as_ref().is_some_and(|up| up.families.contains(&family)));
                    self.disabled[family.index()] = true;
                }
                Action::RefreshRequest(family) => self.refresh(family, |_| true),
                Action::RefreshBegin(family) | Action::RefreshEnd(family) => {
                    self.refresh(family, |up| up.enhanced_refresh);
                }
            }
        }
        assert_eq!(self.up.is_some(), after == State::Established);
        assert_eq!(self.peer.status().negotiated.is_some(), after >= State::OpenConfirm);
        assert!(self.open.len() <= 3);
    }

    /// A refresh is handed on for a family of a session that may have it.
    fn refresh(&self, family: Family, may: fn(&Up) -> bool) {
        assert!(self.up.as_ref().is_some_and(|up| up.families.contains(&family) && may(up)));
    }

    /// One of the connections that stand, or one that never did.
    fn pick(&self, choice: u8) -> ConnId {
        let choice = usize::from(choice) % (self.open.len() + 1);
        self.open.iter().nth(choice).copied().unwrap_or(ConnId::Dialled(u32::MAX))
    }

    fn accept(&mut self) {
        self.accepts += 1;
        self.event(Event::Accepted(ConnId::Accepted(self.accepts), ends()));
    }

    /// What a peer says that keeps to the protocol, most of it in order.
    fn sound(&self, choice: u16) -> Message {
        let refresh = |subtype| RouteRefresh { afi: 1 + choice / 16 % 3, subtype, safi: 1 };
        match choice % 16 {
            0..3 => Message::Open(open(&self.far, choice & 16 != 0)),
            3 => Message::Open(bgp::wire::Open { capabilities: vec![], ..open(&self.far, false) }),
            4..8 => Message::Keepalive,
            8 => Message::Update(Update::default()),
            9 => Message::Update(Update { end_of_rib: Some(Family::Ipv4Unicast), ..Update::default() }),
            10 => cease([2, 5, 7, 9][usize::from(choice / 16 % 4)]),
            // RFC 5492 §3: it does not know capabilities.
            11 => Message::Notification(Notification { code: 2, subcode: 4, data: [].into() }),
            12 => Message::RouteRefresh(refresh(0)),
            13 => Message::RouteRefresh(refresh(1)),
            14 => Message::RouteRefresh(refresh(2)),
            _ => Message::RouteRefresh(refresh(3 + (choice >> 8) as u8 % 250)),
        }
    }

    /// A message with an invented body, read as the session reads.
    fn invented(&self, choice: u16, body: &[u8]) -> Result<Message, Notification> {
        let rx = self.up.as_ref().map_or_else(Rx::default, |up| up.rx(choice & 64 != 0));
        let rx = Rx { disabled: self.disabled, ..rx };
        let message = [&[0xff; HEADER][..], body].concat();
        let kind = KINDS[usize::from(choice) % KINDS.len()];
        decode(Frame { kind, message: &message }, &rx).map_err(|error| error.notification())
    }

    fn turn(&mut self, (op, choice, number, body): &Turn) {
        let id = self.pick(*choice);
        match op % 32 {
            0..4 => self.tick(Duration::from_millis(u64::from(*number))),
            4 => self.event(Event::Start),
            5 => self.event(Event::Stop(admin(*choice))),
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
            10..12 => self.accept(),
            12 => self.event(Event::Closed(id, CloseReason::Eof)),
            13 => self.event(Event::Blocked(id)),
            14 => self.event(Event::Writable(id)),
            15 => self.event(Event::UpdatesSent(id, 3)),
            16 => self.event(Event::RefreshesSent(id, 1)),
            17 => self.event(Event::Dialled(ConnId::Dialled(u32::MAX - u32::from(*choice) - 1), ends())),
            18..21 => self.event(Event::Received(id, self.invented(*number, body))),
            _ => self.event(Event::Received(id, Ok(self.sound(*number)))),
        }
    }

    /// All connections are lost and the other side behaves: the session comes up.
    fn heal(&mut self) {
        while let Some(id) = self.open.first().copied() {
            self.event(Event::Closed(id, CloseReason::Eof));
        }
        self.event(Event::Start);
        self.far = plain(self.peer.config());
        for _ in 0..100 {
            if self.up.is_some() {
                return;
            }
            match (self.open.first().copied(), self.dial) {
                (Some(id), _) => {
                    self.event(Event::Received(id, Ok(Message::Open(open(&self.far, false)))));
                    self.event(Event::Received(id, Ok(Message::Keepalive)));
                }
                (None, Some(dial)) => self.event(Event::Dialled(dial, ends())),
                (None, None) if self.peer.state() == State::Active => self.accept(),
                (None, None) => {
                    let next =
                        self.peer.next_deadline().expect("a peer that was started waits for something");
                    self.tick(next - self.now);
                }
            }
        }
        panic!("no session: {:?}", self.peer.status());
    }
}

/// What is negotiated is what both sides have said (RFC 5492 §3).
fn agreed(up: &Up) {
    let both = |has: fn(&Capability) -> bool| up.sent.iter().any(has) && up.received.iter().any(has);
    let paths = both(|capability| matches!(capability, Capability::AddPath(_)));
    let kept = both(|capability| matches!(capability, Capability::GracefulRestart(_)));
    assert_eq!(up.enhanced_refresh, both(|capability| *capability == Capability::EnhancedRouteRefresh));
    assert_eq!(up.extended_messages, both(|capability| *capability == Capability::ExtendedMessage));
    assert_eq!(up.as4, both(|capability| matches!(capability, Capability::FourOctetAs(_))));
    assert!(paths || up.add_path_receive.is_empty() && up.add_path_send.is_empty());
    assert!(kept || up.graceful_restart.is_none() && !up.graceful_notification && up.long_lived.is_empty());
    assert!(!up.families.is_empty() && (up.hold_time.is_zero() || up.hold_time >= Duration::from_secs(3)));
    assert!(
        [&up.add_path_receive, &up.add_path_send]
            .iter()
            .all(|list| { list.iter().all(|family| up.families.contains(family)) })
    );
}

fn ends() -> Endpoints {
    Endpoints { local: ([192, 0, 2, 1], 179).into(), remote: ([192, 0, 2, 2], 179).into() }
}

fn cease(subcode: u8) -> Message {
    Message::Notification(Notification { code: 6, subcode, data: [].into() })
}

fn admin(choice: u8) -> Admin {
    match choice % 7 {
        0 => Admin::Shutdown(Some("bye".into())),
        1 => Admin::Restart,
        2 => Admin::BfdDown,
        3 => Admin::ConfigChange,
        4 => Admin::MaxPrefixes { family: Family::Ipv4Unicast, limit: 1 },
        5 => Admin::Deconfigured,
        _ => Admin::Reset(None),
    }
}

fn id(last: u8) -> RouterId {
    RouterId::try_from(std::net::Ipv4Addr::new(10, 0, 0, last)).expect("it is not zero")
}

/// A side with each wish or without it, by the bits.
fn side(bits: u16, local_as: u32, peer_as: u32, last: u8) -> PeerConfig {
    let bit = |bit: u16| bits & 1 << bit != 0;
    let restart = RestartConfig {
        restarting: bit(0),
        notification: bit(1),
        hold_expiry: if bit(2) { HoldExpiry::Keep } else { HoldExpiry::Reset },
        ..RestartConfig::new(Duration::from_secs(60))
    };
    PeerConfig {
        graceful_restart: bit(3).then_some(restart),
        long_lived: bit(4).then_some(Duration::from_secs(3600)),
        passive: bit(5),
        hold_time: Duration::from_secs([0, 3, 9, 90][usize::from(bits >> 6 & 3)]),
        families: if bit(8) { Family::ALL.to_vec() } else { vec![Family::Ipv4Unicast] },
        extended_messages: bit(9),
        enhanced_refresh: bit(10),
        add_path: AddPathConfig { receive: bit(11), send: bit(12) },
        extended_next_hop: bit(13),
        role: bit(14).then_some(if bit(15) { Role::Peer } else { Role::Customer }),
        hostname: bit(15).then(|| "node".into()),
        seed: bits.into(),
        ..PeerConfig::new(Asn(local_as), id(last), Asn(peer_as))
    }
}

/// A side that suits ours, whatever that is.
fn plain(ours: &PeerConfig) -> PeerConfig {
    let role = ours.role.map(|role| if role == Role::Customer { Role::Provider } else { role });
    let families = ours.families.clone();
    let asn = ours.peer_as.number(ours.local_as).unwrap_or_default();
    PeerConfig { families, role, ..PeerConfig::new(asn, id(9), ours.local_as) }
}

/// Plays the turns between two sides of these wishes.
pub fn run(ours: u16, theirs: u16, turns: &[Turn]) {
    let mut shell = Shell {
        now: Instant::now(),
        peer: Peer::new(side(ours, 65001, 65002, 5)),
        far: side(theirs, 65002, 65001, if theirs & 1 == 0 { 9 } else { 1 }),
        open: BTreeSet::new(),
        dial: None,
        up: None,
        disabled: [false; 2],
        accepts: 0,
    };
    shell.event(Event::Start);
    for turn in turns.iter().take(200) {
        shell.turn(turn);
    }
    shell.heal();
}
