//! One interface: who is told what, and when.
//!
//! Each destination (the group, a unicast neighbour, a host that asks) is an
//! outlet. An outlet holds no routes, only which of them it has yet to tell:
//!
//! ```text
//!  changed ──1..5 s after the last triggered update──► released ─┐
//!                                                                ├─► packets, a burst at a time
//!  sweep (whole table, from a place on)─ ────────────────────────┘
//! ```
//! So ten changes of a route before it is told are one entry, and what is
//! told is always what holds at the moment of sending.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use net::{Family, Prefix};

use crate::INFINITY;
use crate::config::{Interface, SplitHorizon};
use crate::event::{Action, NextHop};
use crate::split_horizon::{self, Occasion};
use crate::status::{AuthStatus, InterfaceCounters, InterfaceStatus};
use crate::table::{Before, Route, Table};
use crate::timers::Jitter;
use crate::wire::{self, Command, Entry, Room};

/// How long triggered updates wait after one (RFC 2453 §3.10.1).
const DAMPING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// Packets to one interface at a time. Receivers with 16 KB of buffer exist.
const BURST: usize = 4;
/// The time between two bursts: 10,000 routes a second in RIPv2.
const PACE: Duration = Duration::from_millis(10);
/// How often the whole table is asked for until somebody is heard.
const REQUESTS: u8 = 3;
/// The most hosts that are answered at the same time.
const MAX_ANSWERS: usize = 64;

/// What is needed to write, besides the interface itself.
pub(crate) struct Pen<'a> {
    pub(crate) family: Family,
    pub(crate) table: &'a Table,
    pub(crate) jitter: &'a mut Jitter,
    /// The time of day, in seconds since 1970 UTC.
    pub(crate) unix: u64,
    pub(crate) sequence: u32,
    /// Everything is told as unreachable.
    pub(crate) draining: bool,
    pub(crate) actions: &'a mut Vec<Action>,
}

/// What one destination has yet to be told.
#[derive(Debug)]
struct Outlet {
    to: SocketAddr,
    /// Told only what it asked for, then forgotten.
    answer: bool,
    changed: BTreeSet<Prefix>,
    released: BTreeSet<Prefix>,
    /// From which place on the table is yet to be told.
    sweep: Option<usize>,
}

impl Outlet {
    fn new(to: SocketAddr, answer: bool) -> Self {
        Self { to, answer, changed: BTreeSet::new(), released: BTreeSet::new(), sweep: Some(0) }
    }

    /// Begins to tell the whole table, which includes what has changed; but
    /// what simple split horizon tells only as a change goes before it.
    fn tell_all(&mut self, split_horizon: SplitHorizon) {
        match split_horizon {
            SplitHorizon::Simple => self.released.append(&mut self.changed),
            SplitHorizon::Off | SplitHorizon::Poison => {
                self.changed.clear();
                self.released.clear();
            }
        }
        self.sweep = Some(0);
    }

    fn has_work(&self) -> bool {
        self.sweep.is_some() || !self.released.is_empty()
    }

    /// The next entries, at most so many, as they hold now.
    fn next(
        &mut self,
        most: usize,
        table: &Table,
        tell: impl Fn(&Prefix, &Route, Occasion) -> Option<Entry>,
    ) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(most);
        while entries.len() < most
            && let Some(prefix) = self.released.pop_first()
        {
            entries.extend(table.get(&prefix).and_then(|route| tell(&prefix, route, Occasion::Changed)));
        }
        if let Some(from) = self.sweep.take_if(|_| entries.len() < most) {
            for (place, prefix, route) in table.from(from) {
                entries.extend(tell(prefix, route, Occasion::Whole));
                if entries.len() == most {
                    self.sweep = Some(place + 1);
                    break;
                }
            }
        }
        // Entries with one next hop together: a change of it costs an entry.
        entries.sort_by_key(|entry| entry.next_hop);
        entries
    }
}

/// An interface that RIP runs on.
#[derive(Debug)]
pub(crate) struct Iface {
    pub(crate) interface: Interface,
    pub(crate) counters: InterfaceCounters,
    outlets: Vec<Outlet>,
    room: Room,
    /// The next regular update.
    regular: Instant,
    /// No triggered update before.
    hold: Instant,
    /// No packet before.
    pace: Instant,
    /// The next request for the whole table, and how many are left.
    request: (Instant, u8),
}

impl Iface {
    /// An interface that has just come up: it asks for the tables of the
    /// others (RFC 2453 §3.9.1) and tells its own.
    pub(crate) fn new(now: Instant, family: Family, interface: Interface) -> Self {
        let mut iface = Self {
            counters: InterfaceCounters::default(),
            outlets: Vec::new(),
            room: Room::PLAIN,
            regular: now,
            hold: now,
            pace: now,
            request: (now, REQUESTS),
            interface,
        };
        iface.arrange(family);
        iface
    }

    /// Other addresses or settings.
    pub(crate) fn change(&mut self, now: Instant, family: Family, interface: Interface) {
        self.interface = interface;
        (self.regular, self.pace) = (now, now);
        self.arrange(family);
        self.ask(now);
    }

    fn arrange(&mut self, family: Family) {
        let settings = &self.interface.settings;
        self.room = match (family, &settings.auth) {
            (Family::Ipv6Unicast, _) => Room::of_mtu(self.interface.mtu),
            (Family::Ipv4Unicast, None) => Room::PLAIN,
            (Family::Ipv4Unicast, Some(auth)) => auth.mode.room(),
        };
        let outlet = |address| Outlet::new(SocketAddr::new(address, wire::port(family)), false);
        self.outlets = match &settings.neighbors[..] {
            [] if settings.passive => Vec::new(),
            [] => vec![outlet(wire::group(family))],
            neighbors => neighbors.iter().map(|address| outlet(*address)).collect(),
        };
    }

    /// True when the address belongs to a host on the link (RFC 2453 §3.9.2;
    /// for RIPng link-local, RFC 2080 §2.4.2).
    pub(crate) fn on_link(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.interface.addresses.iter().any(|(_, network)| network.contains(address)),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
    }

    /// Asks for the whole table, now.
    pub(crate) fn ask(&mut self, now: Instant) {
        self.request = (now, REQUESTS);
    }

    /// Somebody has answered.
    pub(crate) fn answered(&mut self) {
        self.request.1 = 0;
    }

    /// These routes have changed. Of a new one that leads back here nobody
    /// here has anything that would have to be poisoned at once: otherwise
    /// each route that somebody tells a LAN would make everybody on it answer,
    /// and hold back what he has to say himself.
    pub(crate) fn changed(&mut self, changes: &BTreeMap<Prefix, Before>, table: &Table) {
        let index = self.interface.index;
        let split = self.interface.settings.split_horizon != SplitHorizon::Off;
        let back = |prefix: &Prefix| split && table.get(prefix).is_some_and(|route| route.leads_back(index));
        let worth = |(prefix, before): &(&Prefix, &Before)| **before == Before::Something || !back(prefix);
        let prefixes: BTreeSet<Prefix> = changes.iter().filter(worth).map(|(prefix, _)| *prefix).collect();
        for outlet in self.outlets.iter_mut().filter(|outlet| !outlet.answer) {
            outlet.changed.extend(&prefixes);
        }
    }

    /// Tells the whole table to everybody now, and soon again, in case it is lost.
    pub(crate) fn tell_all(&mut self, now: Instant, jitter: &mut Jitter) {
        self.regular = now + jitter.between(DAMPING.0, DAMPING.1);
        let split_horizon = self.interface.settings.split_horizon;
        self.outlets.iter_mut().for_each(|outlet| outlet.tell_all(split_horizon));
    }

    /// A host asks for the whole table. A listener has nothing to say, but to
    /// the neighbours that it is told to speak to.
    pub(crate) fn answer(&mut self, to: SocketAddr) {
        if let Some(outlet) = self.outlets.iter_mut().find(|outlet| outlet.to == to) {
            outlet.tell_all(self.interface.settings.split_horizon);
        } else if !self.interface.settings.passive && self.outlets.len() < MAX_ANSWERS {
            self.outlets.push(Outlet::new(to, true));
        }
    }

    /// Answers a request for some prefixes, in their order and without split
    /// horizon (RFC 2453 §3.9.1).
    pub(crate) fn answer_some(&mut self, to: SocketAddr, asked: &[Entry], pen: &mut Pen<'_>) {
        let offset = self.interface.settings.offset_out;
        let entries: Vec<Entry> = asked
            .iter()
            .map(|entry| {
                let (metric, tag) = pen.table.get(&entry.prefix).map_or((INFINITY, 0), Route::told);
                let metric =
                    if pen.draining { INFINITY } else { metric.saturating_add(offset).min(INFINITY) };
                Entry { metric, tag, next_hop: None, ..*entry }
            })
            .collect();
        if !self.interface.settings.passive {
            self.write(to, &entries, pen);
        }
    }

    /// When to call [`Iface::flush`] next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let regular = self.regular_outlets().next().map(|_| self.regular);
        let request = regular.and(self.request.1.checked_sub(1)).map(|_| self.request.0);
        let pace = self.outlets.iter().any(Outlet::has_work).then_some(self.pace);
        let waits = self.outlets.iter().any(|outlet| !outlet.changed.is_empty());
        [regular, request, pace, waits.then_some(self.hold)].into_iter().flatten().min()
    }

    /// Sends what is due.
    pub(crate) fn flush(&mut self, now: Instant, pen: &mut Pen<'_>) {
        self.flush_request(now, pen);
        if self.regular <= now && self.regular_outlets().next().is_some() {
            self.regular = now + pen.jitter.around(self.interface.settings.update);
            for outlet in self.outlets.iter_mut().filter(|outlet| !outlet.answer) {
                outlet.tell_all(self.interface.settings.split_horizon);
            }
            self.counters.regular_updates += 1;
        }
        if self.hold <= now && self.outlets.iter().any(|outlet| !outlet.changed.is_empty()) {
            self.hold = now + pen.jitter.between(DAMPING.0, DAMPING.1);
            for outlet in &mut self.outlets {
                outlet.released.append(&mut outlet.changed);
            }
            self.counters.triggered_updates += 1;
        }
        if self.pace <= now && self.outlets.iter().any(Outlet::has_work) {
            let sent = self.counters.sent;
            self.burst(pen);
            if self.counters.sent > sent {
                self.pace = now + PACE;
            }
        }
    }

    fn flush_request(&mut self, now: Instant, pen: &mut Pen<'_>) {
        let (at, left) = self.request;
        if left == 0 || now < at || self.regular_outlets().next().is_none() {
            return;
        }
        self.request = (now + pen.jitter.between(DAMPING.0, DAMPING.1), left - 1);
        let destinations: Vec<SocketAddr> = self.regular_outlets().map(|outlet| outlet.to).collect();
        for to in destinations {
            let packet = wire::whole_table_request(pen.family, self.room);
            self.send(to, packet, pen);
        }
    }

    /// One burst: each outlet in turn until it is full.
    fn burst(&mut self, pen: &mut Pen<'_>) {
        let mut left = BURST * self.room.entries;
        let mut outlets = std::mem::take(&mut self.outlets);
        for outlet in &mut outlets {
            while left > 0 && outlet.has_work() {
                let draining = pen.draining;
                let entries = outlet
                    .next(left, pen.table, |prefix, route, why| self.entry(prefix, route, why, draining));
                left -= entries.len();
                self.write(outlet.to, &entries, pen);
            }
        }
        outlets.retain(|outlet| !outlet.answer || outlet.has_work());
        // Whoever has waited comes first the next time.
        let waits = outlets.iter().position(Outlet::has_work).unwrap_or(0);
        outlets.rotate_left(waits);
        self.outlets = outlets;
    }

    /// What is told of a route here.
    fn entry(&self, prefix: &Prefix, route: &Route, why: Occasion, draining: bool) -> Option<Entry> {
        let settings = &self.interface.settings;
        // Everybody on the link has the link's own network.
        if route.is_own() && self.interface.addresses.iter().any(|(_, network)| network == prefix) {
            return None;
        }
        let (metric, tag) = route.told();
        let metric = metric.saturating_add(settings.offset_out).min(INFINITY);
        let leads_back = route.leads_back(self.interface.index);
        let metric = split_horizon::metric(settings.split_horizon, leads_back, why, metric)?;
        let metric = if draining { INFINITY } else { metric };
        let here = |hop: &NextHop| hop.interface == self.interface.index && self.on_link(hop.address);
        let next_hop = route.next_hop().filter(|hop| metric < INFINITY && here(hop));
        Some(Entry { prefix: *prefix, tag, metric, next_hop: next_hop.map(|hop| hop.address) })
    }

    fn write(&mut self, to: SocketAddr, entries: &[Entry], pen: &mut Pen<'_>) {
        for packet in wire::pack(pen.family, Command::Response, self.room, entries) {
            self.send(to, packet, pen);
        }
    }

    fn send(&mut self, to: SocketAddr, mut bytes: Vec<u8>, pen: &mut Pen<'_>) {
        let auth = self.interface.settings.auth.as_ref().filter(|_| self.room.authentication);
        if auth.is_some_and(|auth| !auth.seal(pen.unix, pen.sequence, &mut bytes)) {
            self.counters.unsigned += 1;
            return;
        }
        self.counters.sent += 1;
        pen.actions.push(Action::Send { interface: self.interface.index, to, bytes });
    }

    fn regular_outlets(&self) -> impl Iterator<Item = &Outlet> {
        self.outlets.iter().filter(|outlet| !outlet.answer)
    }

    /// True when there are routes that are yet to be told.
    pub(crate) fn is_pending(&self) -> bool {
        self.outlets.iter().any(|outlet| outlet.has_work() || !outlet.changed.is_empty())
    }

    /// What `routectl rip interfaces` shows.
    pub(crate) fn status(&self, unix: u64) -> InterfaceStatus {
        let settings = &self.interface.settings;
        let auth = settings.auth.as_ref().filter(|_| self.room.authentication);
        InterfaceStatus {
            index: self.interface.index,
            name: self.interface.name.clone(),
            passive: settings.passive,
            split_horizon: settings.split_horizon,
            destinations: self.regular_outlets().map(|outlet| outlet.to).collect(),
            next_update: self.regular_outlets().next().map(|_| self.regular),
            pending: self.outlets.iter().map(|outlet| outlet.changed.len() + outlet.released.len()).sum(),
            auth: auth.map_or(AuthStatus::Off, |auth| AuthStatus::On(auth.mode, auth.send_key(unix))),
            counters: self.counters,
        }
    }
}
