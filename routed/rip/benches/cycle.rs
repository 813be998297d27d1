//! What one update cycle costs: 100 neighbours with 1,000 routes each on one
//! link, all told on a second one.
//!
//! Run with `cargo bench -p rip`. The first cycle learns, the others refresh.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use net::{Family, Prefix};
use rip::wire::{Command, Entry, Room, pack, port};
use rip::{Action, Clock, Config, Event, Instance, Interface, Received, Settings};

const FAMILY: Family = Family::Ipv4Unicast;
const NEIGHBORS: u8 = 100;
const ROUTES: u32 = 1000;

fn main() {
    let mut now = Instant::now();
    let mut rip = Instance::new(Config::new(FAMILY, Clock { instant: now, unix: 1_700_000_000 }, 1));
    let mut actions = Vec::new();
    for index in 1..=2 {
        rip.handle(now, Event::InterfaceUp(interface(index)), &mut actions);
    }
    let heard: Vec<Received> = (0..NEIGHBORS).flat_map(updates).collect();
    println!("{:<8} {:>12} {:>12} {:>12} {:>12}", "cycle", "packets in", "packets out", "octets out", "CPU");
    for cycle in 0..5 {
        let cpu = Instant::now();
        actions.clear();
        for received in &heard {
            rip.handle(now, Event::Received(received.clone()), &mut actions);
        }
        let end = now + Duration::from_secs(30);
        while let Some(at) = rip.next_deadline().filter(|at| *at <= end) {
            now = now.max(at);
            rip.tick(now, &mut actions);
        }
        now = end;
        let sent = actions.iter().filter_map(|action| match action {
            Action::Send { bytes, .. } => Some(bytes.len()),
            _ => None,
        });
        let (packets, octets) = sent.fold((0, 0), |(packets, octets), size| (packets + 1, octets + size));
        println!("{cycle:<8} {:>12} {packets:>12} {octets:>12} {:>12.1?}", heard.len(), cpu.elapsed());
    }
}

fn interface(index: u8) -> Interface {
    let address = IpAddr::from([192, 0, index, 254]);
    Interface {
        index: index.into(),
        name: format!("eth{index}"),
        mtu: 1500,
        addresses: Prefix::new(address, 24).map(|network| (address, network)).into_iter().collect(),
        settings: Settings::default(),
    }
}

/// The regular update of one neighbour.
fn updates(neighbor: u8) -> Vec<Received> {
    let source = SocketAddr::new(IpAddr::from([192, 0, 1, neighbor + 1]), port(FAMILY));
    let first = u32::from(neighbor) * ROUTES;
    let entries: Vec<Entry> = (first..first + ROUTES)
        .filter_map(|n| Prefix::new(Ipv4Addr::from(0x0a00_0000 + n * 16).into(), 28))
        .map(|prefix| Entry { prefix, tag: 0, next_hop: None, metric: 1 })
        .collect();
    let packets = pack(FAMILY, Command::Response, Room::PLAIN, &entries);
    let received = |bytes| Received { interface: 1, source, multicast: true, ttl: Some(1), bytes };
    packets.into_iter().map(received).collect()
}
