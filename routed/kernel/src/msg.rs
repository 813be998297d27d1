//! Route messages of rtnetlink(7): packed by hand, because the writer packs
//! hundreds into one buffer, and read by hand, because a dump has a million.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::{Family, Prefix};

use crate::route::{Hop, NextHops, RouteOwner, Target};

pub(crate) const RTM_NEWROUTE: u16 = libc::RTM_NEWROUTE;
pub(crate) const RTM_DELROUTE: u16 = libc::RTM_DELROUTE;

// Constants of linux/netlink.h and sys/socket.h in the width of their fields,
// which libc gives as C's int.
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u8 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Length of `nlmsghdr`.
pub(crate) const HEADER: usize = 16;
/// Length of `rtmsg`.
const RTMSG: usize = 12;
/// Length of `rtnexthop`.
const RTNEXTHOP: usize = 8;

/// What makes two routes the same to the kernel, within one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RouteKey {
    pub(crate) prefix: Prefix,
    pub(crate) metric: u32,
}

/// One side of a route in the writer's Delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) owner: RouteOwner,
    /// `None` for a route of ours of a shape that routed does not write, so
    /// that it equals nothing that is desired.
    pub(crate) target: Option<Target>,
    pub(crate) source: Option<IpAddr>,
}

impl Entry {
    /// True when `installed` is what the kernel makes of this entry.
    pub(crate) fn is_met_by(&self, installed: &Self) -> bool {
        let target = match (&self.target, &installed.target) {
            (Some(Target::Via(want)), Some(Target::Via(have))) => want.is_met_by(have),
            (Some(want), Some(have)) => want == have,
            _ => false,
        };
        target && self.owner == installed.owner && self.source == installed.source
    }
}

/// Messages back to back, ready to be sent in one go.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Messages {
    /// Forgets all messages and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// How many bytes they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Numbers the messages from `first` on, asks for an acknowledgement of
    /// the last, and gives the bytes.
    pub(crate) fn number_from(&mut self, first: u32) -> &[u8] {
        let mut sequence = first;
        for start in &self.starts {
            self.bytes[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
        }
        if let Some(last) = self.starts.last() {
            // NLM_F_ACK is in the low byte of the flags.
            let low = last + 6 + usize::from(cfg!(target_endian = "big"));
            self.bytes[low] |= NLM_F_ACK;
        }
        &self.bytes
    }

    /// Adds a route that must not exist yet.
    pub(crate) fn add(&mut self, table: u32, key: RouteKey, entry: &Entry) {
        self.new_route(table, key, entry, NLM_F_CREATE | NLM_F_EXCL);
    }

    /// Replaces a route that must exist, in place.
    pub(crate) fn replace(&mut self, table: u32, key: RouteKey, entry: &Entry) {
        self.new_route(table, key, entry, NLM_F_REPLACE);
    }

    /// Deletes the route of one owner, wherever it leads.
    pub(crate) fn delete(&mut self, table: u32, key: RouteKey, owner: RouteOwner) {
        let start = self.begin(RTM_DELROUTE, NLM_F_REQUEST);
        self.rtmsg(&RtMsg {
            prefix: key.prefix,
            table,
            protocol: owner.protocol(),
            scope: 255,
            kind: 0,
            flags: 0,
        });
        self.key(table, key);
        self.end(start);
    }

    /// Asks for the routes of a family in a table; protocol 0 asks for all.
    pub(crate) fn dump(&mut self, family: Family, table: u32, protocol: u8) {
        let start = self.begin(libc::RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP);
        let af = address_family(family);
        self.bytes.extend([af, 0, 0, 0, short_table(table), protocol, 0, 0, 0, 0, 0, 0]);
        self.attribute(libc::RTA_TABLE, &table.to_ne_bytes());
        self.end(start);
    }

    fn new_route(&mut self, table: u32, key: RouteKey, entry: &Entry, how: u16) {
        let Some(target) = &entry.target else { return };
        let (kind, hops) = match target {
            Target::Via(hops) => (libc::RTN_UNICAST, hops.hops()),
            Target::Blackhole => (libc::RTN_BLACKHOLE, &[][..]),
            Target::Unreachable => (libc::RTN_UNREACHABLE, &[][..]),
            Target::Prohibit => (libc::RTN_PROHIBIT, &[][..]),
        };
        let on_link = !hops.is_empty() && hops.iter().all(|hop| hop.gateway.is_none());
        let ipv4 = key.prefix.family() == Family::Ipv4Unicast;
        let scope = if ipv4 && on_link { libc::RT_SCOPE_LINK } else { libc::RT_SCOPE_UNIVERSE };
        let flags = if let [Hop { onlink: true, .. }] = hops { RTNH_F_ONLINK } else { 0 };
        let start = self.begin(RTM_NEWROUTE, NLM_F_REQUEST | how);
        let protocol = entry.owner.protocol();
        self.rtmsg(&RtMsg { prefix: key.prefix, table, protocol, scope, kind, flags: u32::from(flags) });
        self.key(table, key);
        if let (Some(source), false) = (entry.source, hops.is_empty()) {
            self.address(libc::RTA_PREFSRC, source);
        }
        match hops {
            [] => {}
            [hop] => {
                if hop.interface != 0 {
                    self.attribute(libc::RTA_OIF, &hop.interface.to_ne_bytes());
                }
                self.gateway(key.prefix, hop);
            }
            several => self.multipath(key.prefix, several),
        }
        self.end(start);
    }

    fn multipath(&mut self, prefix: Prefix, hops: &[Hop]) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        for hop in hops {
            let nexthop = self.bytes.len();
            let flags = if hop.onlink { RTNH_F_ONLINK } else { 0 };
            self.bytes.extend([0, 0, flags, hop.weight.saturating_sub(1)]);
            self.bytes.extend(hop.interface.to_ne_bytes());
            self.gateway(prefix, hop);
            self.set_length16(nexthop);
        }
        self.set_length16(start);
        self.bytes[start + 2..start + 4].copy_from_slice(&libc::RTA_MULTIPATH.to_ne_bytes());
    }

    fn gateway(&mut self, prefix: Prefix, hop: &Hop) {
        match hop.gateway {
            None => {}
            Some(gateway) if Family::of(gateway) == prefix.family() => {
                self.address(libc::RTA_GATEWAY, gateway);
            }
            Some(gateway) => {
                let mut via = u16::from(address_family(Family::of(gateway))).to_ne_bytes().to_vec();
                append_octets(&mut via, gateway);
                self.attribute(libc::RTA_VIA, &via);
            }
        }
    }

    fn key(&mut self, table: u32, key: RouteKey) {
        if !key.prefix.is_default() {
            self.address(libc::RTA_DST, key.prefix.address());
        }
        self.attribute(libc::RTA_TABLE, &table.to_ne_bytes());
        self.attribute(libc::RTA_PRIORITY, &key.metric.to_ne_bytes());
    }

    fn rtmsg(&mut self, msg: &RtMsg) {
        let af = address_family(msg.prefix.family());
        let table = short_table(msg.table);
        self.bytes.extend([af, msg.prefix.len(), 0, 0, table, msg.protocol, msg.scope, msg.kind]);
        self.bytes.extend(msg.flags.to_ne_bytes());
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.set_length16(start);
        self.bytes.resize(start + aligned(4 + value.len()), 0);
    }

    fn set_length16(&mut self, start: usize) {
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn begin(&mut self, kind: u16, flags: u16) -> usize {
        let start = self.bytes.len();
        self.starts.push(start);
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend([0; 8]);
        start
    }

    fn end(&mut self, start: usize) {
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

/// The fields of `rtmsg` that routed sets.
struct RtMsg {
    prefix: Prefix,
    table: u32,
    protocol: u8,
    scope: u8,
    kind: u8,
    flags: u32,
}

/// A route as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) key: RouteKey,
    pub(crate) table: u32,
    pub(crate) protocol: u8,
    pub(crate) target: Option<Target>,
    pub(crate) source: Option<IpAddr>,
}

impl Seen {
    /// The entry of a route of ours; `None` when it is a stranger's.
    pub(crate) fn entry(&self) -> Option<Entry> {
        let owner = RouteOwner::from_protocol(self.protocol)?;
        Some(Entry { owner, target: self.target.clone(), source: self.source })
    }
}

/// Reads the payload of an `RTM_NEWROUTE` or `RTM_DELROUTE`. `None` for what
/// is no plain unicast route: other families, cached clones, routes for a TOS
/// or a source prefix.
pub(crate) fn parse_route(payload: &[u8]) -> Option<Seen> {
    let (header, attributes) = payload.split_at_checked(RTMSG)?;
    let &[af, length, source_length, tos, table, protocol, _scope, kind, ref flags @ ..] = header else {
        return None;
    };
    let flags = u32::from_ne_bytes(flags.try_into().ok()?);
    let family = match af {
        AF_INET => Family::Ipv4Unicast,
        AF_INET6 => Family::Ipv6Unicast,
        _ => return None,
    };
    if source_length != 0 || tos != 0 || flags & RTM_F_CLONED != 0 {
        return None;
    }
    let mut read = Read { table: u32::from(table), ..Read::default() };
    read.hop.onlink = flags & u32::from(RTNH_F_ONLINK) != 0;
    for (kind, value) in Attributes(attributes) {
        read.attribute(family, kind, value);
    }
    let unspecified = match family {
        Family::Ipv4Unicast => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::Ipv6Unicast => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let prefix = Prefix::new(read.destination.unwrap_or(unspecified), length)?;
    let key = RouteKey { prefix, metric: read.metric };
    let (table, source, target) = (read.table, read.source, read.target(kind));
    Some(Seen { key, table, protocol, target, source })
}

/// Not in libc: the route is a copy in a cache (linux/rtnetlink.h).
const RTM_F_CLONED: u32 = 0x200;
/// Not in libc: the gateway is on the link, whatever the subnets say (linux/rtnetlink.h).
const RTNH_F_ONLINK: u8 = 4;
/// Not in libc: the route points at a nexthop object (linux/rtnetlink.h).
const RTA_NH_ID: u16 = 30;

/// What the attributes of a route said so far.
struct Read {
    destination: Option<IpAddr>,
    table: u32,
    metric: u32,
    source: Option<IpAddr>,
    hop: Hop,
    hops: Vec<Hop>,
    strange: bool,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            destination: None,
            table: 0,
            metric: 0,
            source: None,
            hop: Hop::on(0),
            hops: Vec::new(),
            strange: false,
        }
    }
}

impl Read {
    fn attribute(&mut self, family: Family, kind: u16, value: &[u8]) {
        match kind {
            libc::RTA_DST => self.destination = parse_address(family, value),
            libc::RTA_TABLE => self.table = parse_u32(value).unwrap_or(self.table),
            libc::RTA_PRIORITY => self.metric = parse_u32(value).unwrap_or(0),
            libc::RTA_PREFSRC => self.source = parse_address(family, value),
            libc::RTA_OIF => self.hop.interface = parse_u32(value).unwrap_or(0),
            libc::RTA_GATEWAY => self.hop.gateway = parse_address(family, value),
            libc::RTA_VIA => self.hop.gateway = parse_via(value),
            libc::RTA_MULTIPATH => self.hops = parse_multipath(family, value),
            libc::RTA_ENCAP | libc::RTA_METRICS | RTA_NH_ID => self.strange = true,
            _ => {}
        }
    }

    fn target(self, kind: u8) -> Option<Target> {
        if self.strange {
            return None;
        }
        match kind {
            libc::RTN_UNICAST if self.hops.is_empty() => Some(Target::from(self.hop)),
            libc::RTN_UNICAST => NextHops::new(self.hops).map(Target::Via),
            libc::RTN_BLACKHOLE => Some(Target::Blackhole),
            libc::RTN_UNREACHABLE => Some(Target::Unreachable),
            libc::RTN_PROHIBIT => Some(Target::Prohibit),
            _ => None,
        }
    }
}

fn parse_multipath(family: Family, mut bytes: &[u8]) -> Vec<Hop> {
    let mut hops = Vec::new();
    while let Some(&[low, high, flags, weight, ref index @ ..]) = bytes.first_chunk::<RTNEXTHOP>() {
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let Some(attributes) = bytes.get(RTNEXTHOP..length) else { break };
        let mut hop = Hop::on(u32::from_ne_bytes(*index));
        hop.weight = weight.saturating_add(1);
        hop.onlink = flags & RTNH_F_ONLINK != 0;
        for (kind, value) in Attributes(attributes) {
            match kind {
                libc::RTA_GATEWAY => hop.gateway = parse_address(family, value),
                libc::RTA_VIA => hop.gateway = parse_via(value),
                _ => {}
            }
        }
        hops.push(hop);
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
    }
    hops
}

/// The attributes (`rtattr`) in a run of bytes; ends at the first that is cut short.
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let &[l0, l1, k0, k1] = self.0.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        // The two high bits mark nesting and byte order, not the kind.
        Some((u16::from_ne_bytes([k0, k1]) & 0x3fff, value))
    }
}

pub(crate) fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

fn parse_u32(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

fn parse_address(family: Family, value: &[u8]) -> Option<IpAddr> {
    match family {
        Family::Ipv4Unicast => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        Family::Ipv6Unicast => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
    }
}

fn parse_via(value: &[u8]) -> Option<IpAddr> {
    let (af, address) = value.split_at_checked(2)?;
    let af = u16::from_ne_bytes(af.try_into().ok()?);
    let family = if af == u16::from(AF_INET6) { Family::Ipv6Unicast } else { Family::Ipv4Unicast };
    parse_address(family, address)
}

fn append_octets(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
}

fn address_family(family: Family) -> u8 {
    match family {
        Family::Ipv4Unicast => AF_INET,
        Family::Ipv6Unicast => AF_INET6,
    }
}

/// The eight bits of the table number in `rtmsg`; longer ones are in `RTA_TABLE`.
fn short_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(libc::RT_TABLE_COMPAT)
}

#[cfg(test)]
mod tests;
