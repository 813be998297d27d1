//! Reads what the kernel tells: routes, and attributes in general.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::{Family, Prefix};

use super::{AF_INET, AF_INET6, RTA_NH_ID, RTMSG, RTNEXTHOP, RTNH_F_ONLINK, RouteKey};
use crate::route::{Hop, NextHops, RouteOwner, Target};

/// A route as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) key: RouteKey,
    pub(crate) table: u32,
    pub(crate) protocol: u8,
    /// `None` for a shape that routed does not write.
    pub(crate) target: Option<Target>,
    /// The nexthop object that it points at.
    pub(crate) object: Option<u32>,
    pub(crate) source: Option<IpAddr>,
}

impl Seen {
    /// Whose route it is; `None` when it is a stranger's.
    pub(crate) fn owner(&self) -> Option<RouteOwner> {
        RouteOwner::from_protocol(self.protocol)
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
    let (table, source, object) = (read.table, read.source, read.object);
    let target = read.target(kind);
    Some(Seen { key, table, protocol, target, object, source })
}

/// Not in libc: the route is a copy in a cache (linux/rtnetlink.h).
const RTM_F_CLONED: u32 = 0x200;

/// What the attributes of a route said so far.
struct Read {
    destination: Option<IpAddr>,
    table: u32,
    metric: u32,
    source: Option<IpAddr>,
    hop: Hop,
    hops: Vec<Hop>,
    object: Option<u32>,
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
            object: None,
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
            RTA_NH_ID => self.object = parse_u32(value),
            libc::RTA_ENCAP | libc::RTA_METRICS => self.strange = true,
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
        hop.weight = u16::from(weight) + 1;
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

pub(super) fn parse_u32(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

pub(super) fn parse_address(family: Family, value: &[u8]) -> Option<IpAddr> {
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
