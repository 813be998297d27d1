//! The machine: one for RIPv2, one for RIPng.
//!
//! [`Instance::handle`] takes what happens, [`Instance::tick`] what time
//! makes due; both say what is to be done. [`Instance::next_deadline`] says
//! when to tick next: at the latest after each of the two.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use net::{Family, Prefix};

use crate::INFINITY;
use crate::auth::{self, AuthFailure, Opened, Stamp};
use crate::config::{Config, Import, Interface, Judgement, Offer};
use crate::event::{Action, Advert, Event, Learned, Received, WhyDown};
use crate::iface::{Iface, Pen};
use crate::neighbor::Neighbor;
use crate::status::{InterfaceStatus, NeighborStatus, RouteState, RouteStatus};
use crate::table::{Path, Table, Via};
use crate::timers::{Earliest, Jitter};
use crate::wire::{self, BadPacket, Entry, Packet};

/// The most hosts of which counters are kept, beyond those that are up.
const MAX_NEIGHBORS: usize = 4096;
/// The lowest TTL of a packet that has crossed no router (RFC 5082 §3).
const FULL_TTL: u8 = 255;

/// RIPv2 or RIPng on all its interfaces.
#[derive(Debug)]
pub struct Instance {
    config: Config,
    jitter: Jitter,
    sequence: u32,
    draining: bool,
    interfaces: BTreeMap<u32, Iface>,
    neighbors: BTreeMap<Via, Neighbor>,
    table: Table,
    /// When a neighbour may have been silent for too long.
    silence: Earliest,
}

/// Why a datagram leads to nothing.
enum Refusal {
    Bad(BadPacket),
    Auth(AuthFailure),
}

impl Instance {
    /// A protocol without interfaces.
    pub fn new(config: Config) -> Self {
        Self {
            jitter: Jitter::new(config.seed),
            sequence: config.sequence,
            draining: false,
            interfaces: BTreeMap::new(),
            neighbors: BTreeMap::new(),
            table: Table::new(config.multipath),
            silence: Earliest::default(),
            config,
        }
    }

    /// RIPv2 (IPv4) or RIPng (IPv6).
    pub fn family(&self) -> Family {
        self.config.family
    }

    /// Takes an event and appends what is to be done.
    pub fn handle(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::InterfaceUp(interface) => self.interface_up(now, interface, actions),
            Event::InterfaceDown(index) => {
                self.drop_neighbors(now, WhyDown::InterfaceDown, actions, |via| via.interface == index);
                self.interfaces.remove(&index);
            }
            Event::Received(received) => self.receive(now, &received, actions),
            Event::Advertise(adverts) => self.advertise(now, adverts),
            Event::Unreachable { interface, address } => {
                let gone = Via { interface, address };
                self.drop_neighbors(now, WhyDown::Unreachable, actions, |via| via == gone);
            }
            Event::Import(import) => self.import(now, import),
            Event::Drain => self.drain(now, true),
            Event::Undrain => self.drain(now, false),
        }
        self.tick(now, actions);
    }

    /// Does what time has made due.
    pub fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.table.tick(now);
        self.expire_neighbors(now, actions);
        self.table.take_news(actions);
        let changed = self.table.take_changed();
        for iface in self.interfaces.values_mut().filter(|_| !changed.is_empty()) {
            iface.changed(&changed, &self.table);
        }
        let Some((mut pen, interfaces)) = self.pen(now, actions) else { return };
        for iface in interfaces.values_mut() {
            iface.flush(now, &mut pen);
        }
    }

    /// When to [`tick`](Self::tick) at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let interfaces = self.interfaces.values().filter_map(Iface::next_deadline);
        interfaces.chain(self.silence.at()).chain(self.table.next_deadline()).min()
    }

    /// The highest sequence number that was sent. Kept over a restart it is
    /// [`Config::sequence`] of the next run.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// True when routes are yet to be told: while draining, that not all
    /// neighbours have been told to go elsewhere.
    pub fn is_pending(&self) -> bool {
        self.interfaces.values().any(Iface::is_pending)
    }

    /// The interfaces, by index.
    pub fn interfaces(&self, now: Instant) -> Vec<InterfaceStatus> {
        let unix = self.config.clock.unix(now);
        self.interfaces.values().map(|iface| iface.status(unix)).collect()
    }

    /// The neighbours, by interface and address; also those of which only
    /// bad packets have come.
    pub fn neighbors(&self) -> Vec<NeighborStatus> {
        self.neighbors.iter().map(|(via, neighbor)| neighbor.status(*via, self.table.count(*via))).collect()
    }

    /// The routes, in the order of their prefixes.
    pub fn routes(&self) -> impl Iterator<Item = RouteStatus> {
        let routes = self.table.all().filter_map(|(prefix, route)| {
            let (metric, tag) = route.told();
            let next_hops = match route.state()? {
                RouteState::Valid(_) => {
                    route.learned().map(|best| best.next_hops.clone()).unwrap_or_default()
                }
                RouteState::Own | RouteState::Garbage(_) => Vec::new(),
            };
            Some(RouteStatus { prefix: *prefix, state: route.state()?, metric, tag, next_hops })
        });
        let mut routes: Vec<RouteStatus> = routes.collect();
        routes.sort_by_key(|route| route.prefix);
        routes.into_iter()
    }

    /// What is learned now, also of prefixes that the table tells otherwise:
    /// for whoever has to hear it again.
    pub fn learned(&self) -> Vec<(Prefix, Learned)> {
        self.table.all().filter_map(|(prefix, route)| Some((*prefix, route.learned()?.clone()))).collect()
    }

    fn interface_up(&mut self, now: Instant, interface: Interface, actions: &mut Vec<Action>) {
        let (index, family) = (interface.index, self.config.family);
        match self.interfaces.get_mut(&index) {
            None => {
                self.interfaces.insert(index, Iface::new(now, family, interface));
            }
            Some(iface) if iface.interface == interface => {}
            Some(iface) => {
                iface.change(now, family, interface);
                // The timeout may be another one.
                self.silence.note(now);
                let off: Vec<Via> = self
                    .neighbors
                    .keys()
                    .filter(|via| via.interface == index && !iface.on_link(via.address))
                    .copied()
                    .collect();
                self.drop_neighbors(now, WhyDown::OffLink, actions, |via| off.contains(&via));
            }
        }
    }

    fn advertise(&mut self, now: Instant, adverts: Vec<(Prefix, Option<Advert>)>) {
        for (prefix, advert) in adverts {
            if prefix.family() == self.config.family {
                self.table.advertise(now, prefix, advert, self.config.garbage);
            }
        }
    }

    fn import(&mut self, now: Instant, import: Arc<dyn Import>) {
        self.config.import = import;
        self.interfaces.values_mut().for_each(|iface| iface.ask(now));
    }

    fn drain(&mut self, now: Instant, draining: bool) {
        if self.draining != draining {
            self.draining = draining;
            self.interfaces.values_mut().for_each(|iface| iface.tell_all(now, &mut self.jitter));
        }
    }

    /// A datagram: from the interface to the table, or to a counter.
    fn receive(&mut self, now: Instant, received: &Received, actions: &mut Vec<Action>) {
        let source = received.source.ip();
        let ours = |iface: &Iface| iface.interface.addresses.iter().any(|(address, _)| *address == source);
        // RFC 2453 §3.9.2: not from ourselves; multicast comes back.
        if Family::of(source) != self.config.family || self.interfaces.values().any(ours) {
            return;
        }
        let Some(iface) = self.interfaces.get_mut(&received.interface) else { return };
        iface.counters.received += 1;
        let via = Via { interface: received.interface, address: source };
        if !iface.on_link(source) {
            iface.counters.bad_packets += 1;
            iface.counters.last_off_link = Some(source);
            return;
        }
        let timeout = iface.interface.settings.timeout;
        self.make_room(via);
        let new = || {
            self.silence.note(now + timeout);
            Neighbor::new(now)
        };
        self.neighbors.entry(via).or_insert_with(new).saw(now);
        if let Err(refusal) = self.take(now, received, via, actions) {
            self.refuse(via, &refusal);
        }
    }

    /// Forgets a host that has never said anything good, if there are too many.
    fn make_room(&mut self, via: Via) {
        if self.neighbors.len() >= MAX_NEIGHBORS && !self.neighbors.contains_key(&via) {
            let idle = self.neighbors.iter().find(|(_, neighbor)| !neighbor.is_up());
            if let Some(idle) = idle.map(|(via, _)| *via) {
                self.neighbors.remove(&idle);
            }
        }
    }

    fn refuse(&mut self, via: Via, refusal: &Refusal) {
        let copy = matches!(refusal, Refusal::Auth(AuthFailure::Copy));
        if let Some(iface) = self.interfaces.get_mut(&via.interface).filter(|_| !copy) {
            iface.counters.bad_packets += 1;
        }
        if let Some(neighbor) = self.neighbors.get_mut(&via) {
            match refusal {
                Refusal::Bad(why) => neighbor.bad_packet(*why),
                Refusal::Auth(why) => neighbor.auth_failure(*why),
            }
        }
    }

    /// A datagram of somebody on the link.
    fn take(
        &mut self,
        now: Instant,
        received: &Received,
        via: Via,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let opened = self.open(now, received, via.interface)?;
        let packet = wire::decode(self.config.family, opened.header, opened.body).map_err(Refusal::Bad)?;
        let request = !matches!(packet, Packet::Response(_));
        let neighbor = self.neighbors.get(&via);
        neighbor.map_or(Ok(()), |known| known.fresh(opened.stamp, request)).map_err(Refusal::Auth)?;
        match packet {
            Packet::WholeTable => {
                if let Some(iface) = self.interfaces.get_mut(&via.interface) {
                    iface.answer(received.source);
                }
                Ok(())
            }
            Packet::Request(asked) => {
                if let Some((mut pen, interfaces)) = self.pen(now, actions)
                    && let Some(iface) = interfaces.get_mut(&via.interface)
                {
                    iface.answer_some(received.source, &asked, &mut pen);
                }
                Ok(())
            }
            Packet::Response(entries) => {
                self.check_response(received).map_err(Refusal::Bad)?;
                self.heard(now, via, (opened.header[1], opened.stamp), actions);
                for entry in entries {
                    self.take_entry(now, via, entry);
                }
                Ok(())
            }
        }
    }

    /// Takes authentication and hop limit off a datagram.
    fn open<'a>(&self, now: Instant, received: &'a Received, index: u32) -> Result<Opened<'a>, Refusal> {
        let bytes = &received.bytes;
        if bytes.len() < wire::HEADER {
            return Err(Refusal::Bad(BadPacket::Length));
        }
        let settings = self.interfaces.get(&index).map(|iface| &iface.interface.settings);
        if settings.is_some_and(|settings| settings.ttl_security) && received.ttl != Some(FULL_TTL) {
            return Err(Refusal::Bad(BadPacket::HopLimit));
        }
        let auth = settings.and_then(|settings| settings.auth.as_ref());
        match auth.filter(|_| self.config.family == Family::Ipv4Unicast) {
            Some(auth) => auth.open(self.config.clock.unix(now), bytes).map_err(Refusal::Auth),
            None if self.config.family == Family::Ipv4Unicast => {
                auth::open_plain(bytes).map_err(Refusal::Auth)
            }
            None => {
                let (header, body) = bytes.split_first_chunk().ok_or(Refusal::Bad(BadPacket::Length))?;
                Ok(Opened { header: *header, body, stamp: None })
            }
        }
    }

    /// A response comes from the RIP port (RFC 2453 §3.9.2), and in RIPng,
    /// when it is multicast, with a hop limit of 255 (RFC 2080 §2.4.2).
    fn check_response(&self, received: &Received) -> Result<(), BadPacket> {
        let family = self.config.family;
        if received.source.port() != wire::port(family) {
            return Err(BadPacket::SourcePort(received.source.port()));
        }
        if family == Family::Ipv6Unicast && received.multicast && received.ttl != Some(FULL_TTL) {
            return Err(BadPacket::HopLimit);
        }
        Ok(())
    }

    fn heard(
        &mut self,
        now: Instant,
        via: Via,
        (version, stamp): (u8, Option<Stamp<'_>>),
        actions: &mut Vec<Action>,
    ) {
        if let Some(iface) = self.interfaces.get_mut(&via.interface) {
            iface.answered();
        }
        if self.neighbors.get_mut(&via).is_some_and(|neighbor| neighbor.heard(now, version, stamp)) {
            actions.push(Action::NeighborUp { interface: via.interface, address: via.address });
        }
    }

    /// One route of a response (RFC 2453 §3.9.2).
    fn take_entry(&mut self, now: Instant, via: Via, entry: Result<Entry, wire::BadRoute>) {
        let Some(iface) = self.interfaces.get_mut(&via.interface) else { return };
        let Some(neighbor) = self.neighbors.get_mut(&via) else { return };
        let entry = match entry {
            Ok(entry) => entry,
            Err(why) => {
                iface.counters.bad_routes += 1;
                neighbor.bad_route(why);
                return;
            }
        };
        let settings = &iface.interface.settings;
        let cost = settings.offset_in.saturating_add(1);
        let metric = entry.metric.saturating_add(cost).min(INFINITY);
        let next_hop = entry.next_hop.filter(|hop| iface.on_link(*hop)).unwrap_or(via.address);
        // A route that leads to us leads nowhere.
        let to_us = iface.interface.addresses.iter().any(|(address, _)| *address == next_hop);
        if metric == INFINITY || to_us {
            self.table.lose(now, entry.prefix, via);
            return;
        }
        let offer = Offer {
            prefix: entry.prefix,
            neighbor: via.address,
            interface: via.interface,
            metric,
            tag: entry.tag,
        };
        let (metric, tag) = match self.config.import.judge(&offer) {
            Judgement::Accept { metric, tag } if metric < INFINITY => (metric.max(1), tag),
            Judgement::Accept { .. } | Judgement::Reject => {
                neighbor.filtered();
                self.table.lose(now, entry.prefix, via);
                return;
            }
        };
        let (expires, garbage) = (now + settings.timeout, settings.garbage);
        let path = Path { via, next_hop, metric, tag, expires, garbage };
        if self.table.refresh(&entry.prefix, &path) {
            return;
        }
        let limit = settings.max_routes_per_neighbor.unwrap_or(usize::MAX);
        if self.table.count(via) >= limit && !self.table.knows(&entry.prefix, via) {
            neighbor.over_limit(now);
            return;
        }
        self.table.learn(now, entry.prefix, path);
    }

    fn expire_neighbors(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.silence.reached(now) {
            return;
        }
        let due = |(via, neighbor): (&Via, &Neighbor)| {
            self.deadline(*via, neighbor).is_none_or(|at| at <= now).then_some(*via)
        };
        let due: Vec<Via> = self.neighbors.iter().filter_map(due).collect();
        self.take_down(now, &due, WhyDown::Silent, actions);
        // Hosts of which bad packets still come are kept, for their counters.
        for via in due {
            let silent = |at: Option<Instant>| at.is_none_or(|at| at <= now);
            if self.neighbors.get(&via).is_some_and(|neighbor| silent(self.deadline(via, neighbor))) {
                self.neighbors.remove(&via);
            }
        }
        for (via, neighbor) in &self.neighbors {
            if let Some(at) = self.deadline(*via, neighbor) {
                self.silence.note(at);
            }
        }
    }

    fn deadline(&self, via: Via, neighbor: &Neighbor) -> Option<Instant> {
        let iface = self.interfaces.get(&via.interface)?;
        Some(neighbor.deadline(iface.interface.settings.timeout))
    }

    fn drop_neighbors(
        &mut self,
        now: Instant,
        why: WhyDown,
        actions: &mut Vec<Action>,
        which: impl Fn(Via) -> bool,
    ) {
        let gone: Vec<Via> = self.neighbors.keys().copied().filter(|via| which(*via)).collect();
        self.take_down(now, &gone, why, actions);
        if why != WhyDown::Unreachable {
            self.neighbors.retain(|via, _| !gone.contains(via));
        }
    }

    /// Takes neighbours down, with their routes.
    fn take_down(&mut self, now: Instant, gone: &[Via], why: WhyDown, actions: &mut Vec<Action>) {
        self.table.lose_all(now, gone);
        for via in gone {
            if self.neighbors.get_mut(via).is_some_and(Neighbor::down) {
                actions.push(Action::NeighborDown { interface: via.interface, address: via.address, why });
            }
        }
    }

    /// What writing needs, and the interfaces to write on.
    fn pen<'a>(
        &'a mut self,
        now: Instant,
        actions: &'a mut Vec<Action>,
    ) -> Option<(Pen<'a>, &'a mut BTreeMap<u32, Iface>)> {
        if self.interfaces.is_empty() {
            return None;
        }
        let unix = self.config.clock.unix(now);
        self.sequence = self.sequence.max(u32::try_from(unix).unwrap_or(u32::MAX));
        let pen = Pen {
            family: self.config.family,
            table: &self.table,
            jitter: &mut self.jitter,
            unix,
            sequence: self.sequence,
            draining: self.draining,
            actions,
        };
        Some((pen, &mut self.interfaces))
    }
}

#[cfg(test)]
mod tests;
