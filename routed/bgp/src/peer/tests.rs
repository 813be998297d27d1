//! The peer as its shell sees it.

mod converge;
mod graceful;
mod pair;
mod random;
mod sessions;
mod table;
mod timers;
mod turn;

use std::time::{Duration, Instant};

use net::Asn;

use super::{Action, Event, Peer, PeerConfig, State};
use crate::conn::negotiate::open;
use crate::conn::{ConnId, Endpoints};
use crate::wire::{Capability, Message, Notification, Open};

/// The first dial of a peer.
const DIALLED: ConnId = ConnId::Dialled(0);
const ACCEPTED: ConnId = ConnId::Accepted(0);

fn ends() -> Endpoints {
    Endpoints { local: "192.0.2.1:179".parse().unwrap(), remote: "192.0.2.2:179".parse().unwrap() }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn config(id: &str, local: u32, remote: u32) -> PeerConfig {
    PeerConfig { hold_time: secs(9), ..PeerConfig::new(Asn(local), id.parse().unwrap(), Asn(remote)) }
}

/// The peer under test: AS 65001, 10.0.0.5; the far side is AS 65002.
fn ours() -> PeerConfig {
    config("10.0.0.5", 65001, 65002)
}

/// The OPEN of the far side, with the identifier that it shall have.
fn their_open(config: &PeerConfig, id: &str) -> Open {
    let far = PeerConfig {
        local_as: config.peer_as.number(config.local_as).unwrap(),
        peer_as: config.local_as.into(),
        router_id: id.parse().unwrap(),
        ..config.clone()
    };
    open(&far, false)
}

fn notification(code: u8, subcode: u8) -> Message {
    Message::Notification(Notification { code, subcode, data: Box::default() })
}

/// A peer, its clock, and what it did last.
struct Bench {
    now: Instant,
    peer: Peer,
    out: Vec<Action>,
}

impl Bench {
    fn new(config: PeerConfig) -> Self {
        Self { now: Instant::now(), peer: Peer::new(config), out: vec![] }
    }

    fn event(&mut self, event: Event) -> &mut Self {
        self.out.clear();
        self.peer.handle(self.now, event, &mut self.out);
        self
    }

    fn message(&mut self, id: ConnId, message: Message) -> &mut Self {
        self.event(Event::Received(id, Ok(message)))
    }

    fn their_open(&mut self, id: ConnId, router: &str) -> &mut Self {
        let open = their_open(self.peer.config(), router);
        self.message(id, Message::Open(open))
    }

    /// Jumps to the next deadline and says how far that was.
    fn tick(&mut self) -> Duration {
        let next = self.peer.next_deadline().expect("a timer runs");
        let waited = next - self.now;
        self.now = next;
        self.out.clear();
        self.peer.tick(self.now, &mut self.out);
        waited
    }

    /// A peer with a session on the connection that it has dialled.
    fn established(config: PeerConfig) -> Self {
        let mut bench = Self::new(config);
        bench.event(Event::Start).event(Event::Dialled(DIALLED, ends()));
        bench.their_open(DIALLED, "10.0.0.9").message(DIALLED, Message::Keepalive);
        assert_eq!(bench.peer.state(), State::Established);
        bench
    }

    fn did(&self) -> String {
        words(&self.out)
    }
}

/// Actions in short, without changes of state: `notify 6/2 D, close D, down`.
fn words(actions: &[Action]) -> String {
    let words: Vec<String> = actions.iter().filter_map(word).collect();
    words.join(", ")
}

fn word(action: &Action) -> Option<String> {
    let side = |id: &ConnId| if id.is_dialled() { "D" } else { "A" };
    Some(match action {
        Action::Dial(_) => "dial".into(),
        Action::CancelDial(_) => "cancel".into(),
        Action::Send(id, Message::Open(_)) => format!("open {}", side(id)),
        Action::Send(id, Message::Keepalive) => format!("keepalive {}", side(id)),
        Action::Send(id, Message::Notification(n)) => format!("notify {}/{} {}", n.code, n.subcode, side(id)),
        Action::Send(id, _) => format!("send {}", side(id)),
        Action::Close(id) => format!("close {}", side(id)),
        Action::Up(_) => "up".into(),
        Action::Down(down) if down.graceful.is_some() => "down gracefully".into(),
        Action::Down(_) => "down".into(),
        Action::Update(_) => "update".into(),
        Action::FamilyDisabled { family, .. } => format!("disable {family}"),
        Action::EndOfRib(family) => format!("end of {family}"),
        Action::RefreshRequest(family) => format!("refresh {family}"),
        Action::RefreshBegin(family) => format!("begin {family}"),
        Action::RefreshEnd(family) => format!("end refresh {family}"),
        Action::StateChanged(_) => return None,
    })
}
