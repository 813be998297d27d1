//! Random events, time only forward: what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The other side of the border: what a shell knows after each action.
struct Shell {
    bench: Bench,
    up: BTreeSet<u32>,
    neighbors: BTreeSet<(u32, IpAddr)>,
    learned: BTreeMap<Prefix, Learned>,
    sequence: u32,
}

impl Shell {
    fn event(&mut self, event: Event) {
        match &event {
            Event::InterfaceUp(interface) => {
                self.up.insert(interface.index);
            }
            Event::InterfaceDown(index) => {
                self.up.remove(index);
            }
            _ => {}
        }
        self.bench.event(event);
        self.check();
    }

    fn tick(&mut self, time: Duration) {
        self.bench.wait(time);
        self.check();
    }

    fn check(&mut self) {
        let limit = if self.bench.rip.family() == Family::Ipv4Unicast { 504 } else { 1452 };
        for action in std::mem::take(&mut self.bench.out) {
            match action {
                Action::Send { interface, bytes, .. } => {
                    assert!(self.up.contains(&interface), "sent where no interface is");
                    assert!(bytes.len() > wire::HEADER && bytes.len() <= limit);
                }
                Action::Learned(routes) => self.learned.extend(routes),
                Action::Lost(routes) => {
                    for prefix in routes {
                        assert!(self.learned.remove(&prefix).is_some(), "lost what was never learned");
                    }
                }
                Action::NeighborUp { interface, address } => {
                    assert!(self.neighbors.insert((interface, address)), "up twice");
                }
                Action::NeighborDown { interface, address, .. } => {
                    assert!(self.neighbors.remove(&(interface, address)), "down without up");
                }
            }
        }
        let rip = &self.bench.rip;
        assert!(rip.next_deadline().is_none_or(|at| at > self.bench.now), "a deadline is left behind");
        assert!(rip.sequence() >= self.sequence);
        self.sequence = rip.sequence();
        let known = rip.neighbors().into_iter().filter(|neighbor| neighbor.last_heard.is_some());
        let known: BTreeSet<_> = known.map(|neighbor| (neighbor.interface, neighbor.address)).collect();
        assert_eq!(known, self.neighbors);
        let learned = rip.table.all();
        let learned = learned.filter_map(|(prefix, route)| Some((*prefix, route.learned()?.clone())));
        assert_eq!(learned.collect::<BTreeMap<_, _>>(), self.learned);
        let counted: usize = rip.neighbors().iter().map(|neighbor| neighbor.routes).sum();
        assert_eq!(counted, rip.table.paths(), "the books of the neighbours");
        assert!(rip.routes().all(|route| (1..=INFINITY).contains(&route.metric)));
    }

    fn turn(&mut self, (op, choice, value): (u8, u8, u16)) {
        let family = self.bench.rip.family();
        let index = u32::from(choice % 3) + 1;
        match op % 16 {
            0..4 => self.tick(Duration::from_millis(u64::from(value) * 4)),
            4 => self.event(Event::InterfaceUp(eth(index, settings(choice, value)))),
            5 => self.event(Event::InterfaceDown(index)),
            6 | 7 => {
                let advert = Advert { tag: value, ..Advert::new(choice) };
                let prefix = destination(family, value);
                self.event(Event::Advertise(vec![(prefix, (op % 16 == 6).then_some(advert))]));
            }
            8 => self.event(Event::Unreachable { interface: index, address: host(family, index, choice) }),
            9 => self.event(if choice.is_multiple_of(2) { Event::Drain } else { Event::Undrain }),
            _ => {
                let bytes = datagram(family, choice, value);
                let port = if value.is_multiple_of(97) { value } else { wire::port(family) };
                let source = SocketAddr::new(host(family, index, choice / 4), port);
                let (multicast, ttl) = (choice.is_multiple_of(2), (value % 31 > 0).then_some(255));
                self.event(Event::Received(Received { interface: index, source, multicast, ttl, bytes }));
            }
        }
    }
}

fn settings(choice: u8, value: u16) -> Settings {
    let modes = [Mode::Text, Mode::KeyedMd5, Mode::HmacSha512];
    let mode = modes.get(usize::from(choice % 8)).copied();
    Settings {
        split_horizon: [SplitHorizon::Off, SplitHorizon::Simple, SplitHorizon::Poison]
            [usize::from(value % 3)],
        passive: value.is_multiple_of(7),
        offset_in: u8::try_from(value % 5).unwrap(),
        offset_out: choice / 16,
        max_routes_per_neighbor: value.is_multiple_of(4).then_some(3),
        auth: mode.map(|mode| Auth { mode, keys: vec![Key::new(1, "secret")] }),
        ..Settings::default()
    }
}

fn destination(family: Family, value: u16) -> Prefix {
    let [_, low] = (value % 20).to_be_bytes();
    match family {
        Family::Ipv4Unicast => prefix(&format!("10.{low}.0.0/16")),
        Family::Ipv6Unicast => prefix(&format!("fd00:{low}::/48")),
    }
}

/// A host on the link of an interface, or not.
fn host(family: Family, index: u32, choice: u8) -> IpAddr {
    let host = choice % 6;
    match (family, index) {
        (Family::Ipv4Unicast, 1) => ip(&format!("192.0.2.{host}")),
        (Family::Ipv4Unicast, _) => ip(&format!("198.51.100.{host}")),
        (Family::Ipv6Unicast, _) => ip(&format!("fe80::{host}")),
    }
}

/// Mostly good packets; some signed, some broken.
fn datagram(family: Family, choice: u8, value: u16) -> Vec<u8> {
    let auth = Auth { mode: Mode::KeyedMd5, keys: vec![Key::new(1, "secret")] };
    let signed = family == Family::Ipv4Unicast && choice.is_multiple_of(5);
    let room = if signed { auth.mode.room() } else { Room { entries: 25, authentication: false } };
    let hop = value.is_multiple_of(3).then(|| host(family, 1, choice));
    let entries = (0..value % 7).map(|n| Entry {
        prefix: destination(family, value / 7 + n),
        tag: n,
        next_hop: hop,
        metric: choice % 18,
    });
    let command = if choice.is_multiple_of(9) { Command::Request } else { Command::Response };
    let mut packet =
        wire::pack(family, command, room, &entries.collect::<Vec<_>>()).pop().unwrap_or_default();
    if choice.is_multiple_of(11) || packet.is_empty() {
        packet = wire::whole_table_request(family, room);
    }
    if signed && !auth.seal(1_000_000, value.into(), &mut packet) {
        return packet;
    }
    if value.is_multiple_of(13) {
        let at = usize::from(value) % packet.len();
        packet[at] ^= choice;
    }
    packet
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_happens_the_border_is_kept_and_all_is_forgotten_in_the_end(
        ops in prop::collection::vec(any::<(u8, u8, u16)>(), 0..120),
        family in prop::sample::select(Family::ALL.to_vec()),
    ) {
        let mut shell = Shell {
            bench: Bench::new(family, &[], &Settings::default()),
            up: BTreeSet::new(),
            neighbors: BTreeSet::new(),
            learned: BTreeMap::new(),
            sequence: 0,
        };
        for op in ops {
            shell.turn(op);
        }
        // Nobody speaks any more, and nothing is told: all goes.
        let own: Vec<Prefix> = shell.bench.rip.routes().map(|route| route.prefix).collect();
        shell.event(Event::Advertise(own.into_iter().map(|prefix| (prefix, None)).collect()));
        shell.tick(secs(301));
        prop_assert_eq!(shell.bench.rip.routes().count(), 0);
        prop_assert_eq!(shell.bench.rip.neighbors(), vec![]);
        prop_assert!(shell.learned.is_empty() && shell.neighbors.is_empty());
        prop_assert!(!shell.bench.rip.is_pending());
    }
}
