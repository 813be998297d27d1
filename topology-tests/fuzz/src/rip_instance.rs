//! An instance under random events: nothing panics, no deadline is left
//! behind, and what was learned is lost again when all is silent.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use net::{Family, Prefix};
use rip::auth::{Auth, Key, Mode};
use rip::wire::port;
use rip::{Action, Advert, Clock, Config, Event, Instance, Interface, Received, Settings, SplitHorizon};

const MODES: [Mode; 6] =
    [Mode::Text, Mode::KeyedMd5, Mode::HmacSha1, Mode::HmacSha256, Mode::HmacSha384, Mode::HmacSha512];

struct Shell {
    rip: Instance,
    now: Instant,
    learned: BTreeSet<Prefix>,
}

impl Shell {
    fn event(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.rip.handle(self.now, event, &mut actions);
        self.act(actions);
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.rip.next_deadline().filter(|at| *at <= until) {
            self.now = at;
            let mut actions = Vec::new();
            self.rip.tick(at, &mut actions);
            self.act(actions);
        }
        self.now = until;
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { bytes, .. } => assert!(bytes.len() <= 1452),
                Action::Learned(routes) => self.learned.extend(routes.into_iter().map(|(prefix, _)| prefix)),
                Action::Lost(routes) => routes.iter().for_each(|prefix| assert!(self.learned.remove(prefix))),
                Action::NeighborUp { .. } | Action::NeighborDown { .. } => {}
            }
        }
        assert!(self.rip.next_deadline().is_none_or(|at| at > self.now));
    }

    fn address(&self, link: u8, host: u8) -> IpAddr {
        match self.rip.family() {
            Family::Ipv4Unicast => Ipv4Addr::new(192, 0, link, host).into(),
            Family::Ipv6Unicast => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, link.into(), host.into()).into(),
        }
    }

    fn interface(&self, link: u8, kind: u8) -> Interface {
        let address = self.address(link, 1);
        let length = if address.is_ipv4() { 24 } else { 64 };
        let auth =
            MODES.get(usize::from(kind % 8)).map(|mode| Auth { mode: *mode, keys: vec![Key::new(1, "k")] });
        let split_horizon =
            [SplitHorizon::Off, SplitHorizon::Simple, SplitHorizon::Poison][usize::from(kind % 3)];
        Interface {
            index: link.into(),
            name: String::new(),
            mtu: 1500,
            addresses: Prefix::new(address, length).map(|network| (address, network)).into_iter().collect(),
            settings: Settings { auth, split_horizon, passive: kind == 77, ..Settings::default() },
        }
    }

    fn turn(&mut self, op: u8, one: u8, two: u8, bytes: Vec<u8>) {
        let link = one % 2;
        match op % 8 {
            0 => self.wait(Duration::from_millis(u64::from(one) * u64::from(two) * 4)),
            1 => self.event(Event::InterfaceUp(self.interface(link, two))),
            2 => self.event(Event::InterfaceDown(link.into())),
            3 => {
                let prefix = Prefix::new(self.address(one, 0), two % 33);
                let advert = (op & 8 == 0).then(|| Advert::new(two));
                self.event(Event::Advertise(prefix.map(|prefix| (prefix, advert)).into_iter().collect()));
            }
            4 => self.event(if one & 2 == 0 { Event::Drain } else { Event::Undrain }),
            5 => self.event(Event::Unreachable { interface: link.into(), address: self.address(link, two) }),
            _ => {
                let source = SocketAddr::new(self.address(link, two), port(self.rip.family()));
                let (multicast, ttl) = (op & 8 == 0, Some(255));
                self.event(Event::Received(Received {
                    interface: link.into(),
                    source,
                    multicast,
                    ttl,
                    bytes,
                }));
            }
        }
    }
}

/// One turn: what, and the numbers and octets that it needs.
pub type Turn = (u8, u8, u8, Vec<u8>);

/// Plays the turns.
pub fn run(v4: bool, turns: Vec<Turn>) {
    let family = if v4 { Family::Ipv4Unicast } else { Family::Ipv6Unicast };
    let now = Instant::now();
    let config = Config::new(family, Clock { instant: now, unix: 1_700_000_000 }, 1);
    let mut shell = Shell { rip: Instance::new(config), now, learned: BTreeSet::new() };
    for (op, one, two, bytes) in turns.into_iter().take(200) {
        shell.turn(op, one, two, bytes);
    }
    shell.wait(Duration::from_secs(180));
    assert!(shell.learned.is_empty());
}
