//! The machine, step by step.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::auth::{Auth, Key, Mode};
use crate::config::{Accept, Clock, Settings, SplitHorizon};
use crate::event::{Learned, NextHop};
use crate::wire::{Command, Room};

mod authentication;
mod checks;
mod random;
mod updates;

const WEB: &str = "10.1.0.0/16";
const NEAR: &str = "192.0.2.7";

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn entry(text: &str, metric: u8) -> Entry {
    Entry { prefix: prefix(text), tag: 0, next_hop: None, metric }
}

fn eth(index: u32, settings: Settings) -> Interface {
    let addresses = match index {
        1 => vec![(ip("192.0.2.1"), prefix("192.0.2.0/24"))],
        2 => vec![(ip("198.51.100.1"), prefix("198.51.100.0/24"))],
        // RIPng
        _ => vec![(ip("fe80::1"), prefix("fe80::/64"))],
    };
    Interface { index, name: format!("eth{index}"), mtu: 1500, addresses, settings }
}

/// An instance with its time and its last actions.
struct Bench {
    rip: Instance,
    now: Instant,
    out: Vec<Action>,
}

impl Bench {
    fn new(family: Family, interfaces: &[u32], settings: &Settings) -> Self {
        let now = Instant::now();
        let mut config = Config::new(family, Clock { instant: now, unix: 1_000_000 }, 1);
        config.multipath = 2;
        let mut bench = Self { rip: Instance::new(config), now, out: Vec::new() };
        for index in interfaces {
            bench.event(Event::InterfaceUp(eth(*index, settings.clone())));
        }
        bench
    }

    fn v4() -> Self {
        Self::new(Family::Ipv4Unicast, &[1, 2], &Settings::default())
    }

    fn event(&mut self, event: Event) {
        self.out.clear();
        self.rip.handle(self.now, event, &mut self.out);
    }

    /// Goes forward, tick by tick, and keeps all actions.
    fn wait(&mut self, time: Duration) {
        self.out.clear();
        let until = self.now + time;
        while let Some(at) = self.rip.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.rip.tick(self.now, &mut self.out);
            let next = self.rip.next_deadline();
            assert!(next.is_none_or(|at| at > self.now), "a deadline is left behind");
        }
        self.now = until;
    }

    fn datagram(&mut self, interface: u32, source: &str, bytes: Vec<u8>) {
        let port = wire::port(self.rip.family());
        let source = SocketAddr::new(ip(source), port);
        self.event(Event::Received(Received { interface, source, multicast: true, ttl: Some(255), bytes }));
    }

    fn response(&mut self, interface: u32, source: &str, entries: &[Entry]) {
        let family = self.rip.family();
        let room = if family == Family::Ipv4Unicast { Room::PLAIN } else { Room::of_mtu(1500) };
        for bytes in wire::pack(family, Command::Response, room, entries) {
            self.datagram(interface, source, bytes);
        }
    }

    fn advertise(&mut self, text: &str, advert: Option<Advert>) {
        self.event(Event::Advertise(vec![(prefix(text), advert)]));
    }

    /// The entries that were told on an interface, in order.
    fn told(&self, index: u32) -> Vec<(String, u8)> {
        let sent = self.out.iter().filter_map(|action| match action {
            Action::Send { interface, bytes, .. } if *interface == index => Some(bytes),
            _ => None,
        });
        let packets = sent.map(|bytes| wire::decode_datagram(self.rip.family(), bytes).unwrap());
        let entries = packets.flat_map(|packet| match packet {
            Packet::Response(entries) => entries,
            Packet::WholeTable | Packet::Request(_) => vec![],
        });
        entries.map(|entry| entry.map(|entry| (entry.prefix.to_string(), entry.metric)).unwrap()).collect()
    }

    fn learned(&self) -> Vec<(Prefix, Learned)> {
        let learned = |action: &Action| match action {
            Action::Learned(routes) => routes.clone(),
            _ => vec![],
        };
        self.out.iter().flat_map(learned).collect()
    }

    fn lost(&self) -> Vec<Prefix> {
        let lost = |action: &Action| match action {
            Action::Lost(routes) => routes.clone(),
            _ => vec![],
        };
        self.out.iter().flat_map(lost).collect()
    }

    fn neighbor(&self) -> NeighborStatus {
        self.rip.neighbors().remove(0)
    }
}

fn told(entries: &[(&str, u8)]) -> Vec<(String, u8)> {
    entries.iter().map(|(prefix, metric)| ((*prefix).to_owned(), *metric)).collect()
}
