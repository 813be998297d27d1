//! Route and nexthop messages of rtnetlink(7): packed by hand, because the
//! writer packs hundreds into one buffer, and read by hand, because a dump has
//! a million.

mod nexthop;
mod read;

use std::net::IpAddr;

pub(crate) use self::nexthop::{Content, Member, RTM_DELNEXTHOP, RTM_NEWNEXTHOP, SeenNexthop, parse_nexthop};
pub(crate) use self::read::{Attributes, Seen, aligned, parse_route};

use net::{Family, Prefix};

use crate::route::{Hop, RouteOwner, Target};

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
const RTN_UNICAST: u8 = libc::RTN_UNICAST;
/// Not in libc: the gateway is on the link, whatever the subnets say (linux/rtnetlink.h).
const RTNH_F_ONLINK: u8 = 4;
/// Not in libc: the route points at a nexthop object (linux/rtnetlink.h).
const RTA_NH_ID: u16 = 30;

/// What makes two routes the same to the kernel, within one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RouteKey {
    pub(crate) prefix: Prefix,
    pub(crate) metric: u32,
}

/// A route as it is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) owner: RouteOwner,
    pub(crate) source: Option<IpAddr>,
    pub(crate) way: Way<'a>,
}

/// How a route says where it leads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// By the id of a nexthop object.
    Object(u32),
    /// By its own attributes.
    Plain(&'a Target),
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
    pub(crate) fn add(&mut self, table: u32, key: RouteKey, route: Written<'_>) {
        self.new_route(table, key, route, NLM_F_CREATE | NLM_F_EXCL);
    }

    /// Replaces a route that must exist, in place.
    pub(crate) fn replace(&mut self, table: u32, key: RouteKey, route: Written<'_>) {
        self.new_route(table, key, route, NLM_F_REPLACE);
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

    fn new_route(&mut self, table: u32, key: RouteKey, route: Written<'_>, how: u16) {
        let (kind, hops, object) = match route.way {
            Way::Object(id) => (libc::RTN_UNICAST, &[][..], Some(id)),
            Way::Plain(Target::Via(hops)) => (libc::RTN_UNICAST, hops.hops(), None),
            Way::Plain(Target::Blackhole) => (libc::RTN_BLACKHOLE, &[][..], None),
            Way::Plain(Target::Unreachable) => (libc::RTN_UNREACHABLE, &[][..], None),
            Way::Plain(Target::Prohibit) => (libc::RTN_PROHIBIT, &[][..], None),
        };
        let on_link = !hops.is_empty() && hops.iter().all(|hop| hop.gateway.is_none());
        let ipv4 = key.prefix.family() == Family::Ipv4Unicast;
        let scope = if ipv4 && on_link { libc::RT_SCOPE_LINK } else { libc::RT_SCOPE_UNIVERSE };
        let flags = if let [Hop { onlink: true, .. }] = hops { RTNH_F_ONLINK } else { 0 };
        let start = self.begin(RTM_NEWROUTE, NLM_F_REQUEST | how);
        let protocol = route.owner.protocol();
        self.rtmsg(&RtMsg { prefix: key.prefix, table, protocol, scope, kind, flags: u32::from(flags) });
        self.key(table, key);
        if let (Some(source), RTN_UNICAST) = (route.source, kind) {
            self.address(libc::RTA_PREFSRC, source);
        }
        if let Some(id) = object {
            self.attribute(RTA_NH_ID, &id.to_ne_bytes());
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
            self.bytes.extend([0, 0, flags, wire_weight(hop.weight)]);
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

fn append_octets(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
}

/// A weight as the kernel's messages have it: one less.
fn wire_weight(weight: u16) -> u8 {
    u8::try_from(weight.saturating_sub(1)).unwrap_or(u8::MAX)
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
