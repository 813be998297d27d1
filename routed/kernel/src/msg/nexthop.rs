//! Nexthop objects (linux/nexthop.h): `RTM_NEWNEXTHOP` and what it is read back as.

use net::Family;

use super::read::{Attributes, parse_address, parse_u32};
use super::{
    AF_INET, AF_INET6, Messages, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
};
use super::{RTNH_F_ONLINK, address_family, wire_weight};
use crate::route::{Hop, RouteOwner};

/// Not in libc (linux/rtnetlink.h).
pub(crate) const RTM_NEWNEXTHOP: u16 = 104;
/// Not in libc.
pub(crate) const RTM_DELNEXTHOP: u16 = 105;
/// Not in libc.
const RTM_GETNEXTHOP: u16 = 106;

// Not in libc: attributes of nexthop messages.
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_GROUP_TYPE: u16 = 3;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const NHA_ENCAP: u16 = 8;
const NHA_FDB: u16 = 11;
/// With `NLA_F_NESTED`, which the kernel demands.
const NHA_RES_GROUP: u16 = 0x800c;
const NHA_RES_GROUP_BUCKETS: u16 = 1;
const NHA_RES_GROUP_IDLE_TIMER: u16 = 2;
const NHA_RES_GROUP_UNBALANCED_TIMER: u16 = 3;
/// `NEXTHOP_GRP_TYPE_RES`.
const RESILIENT: u16 = 1;
/// Length of `nhmsg`.
const NHMSG: usize = 8;
/// Length of `nexthop_grp`.
const MEMBER: usize = 8;
/// Buckets of a resilient group: the first member takes it whole.
const BUCKETS: u16 = 1;
/// Share of the first member of a failover group, and of the others. The one
/// bucket goes to the first, and to the next only when the first is gone.
const FIRST: u16 = 255;
const NEXT: u16 = 1;

/// What a nexthop object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// One next hop.
    Hop(Hop),
    /// Members that share the traffic by weight.
    Share(Vec<Member>),
    /// The first member takes all; the kernel itself goes on to the next when
    /// the first one's link fails. A resilient group with a single bucket.
    Failover(Vec<u32>),
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: u32,
    /// 1 to 255: more the kernel's groups take since Linux 6.12 only.
    pub(crate) weight: u16,
}

impl Messages {
    /// Adds a nexthop object whose id must be free.
    pub(crate) fn add_nexthop(&mut self, id: u32, content: &Content) {
        self.new_nexthop(id, content, NLM_F_CREATE | NLM_F_EXCL);
    }

    /// Replaces what a nexthop object holds. The kernel does not turn a single
    /// hop into a group, nor a group into one of another kind.
    pub(crate) fn replace_nexthop(&mut self, id: u32, content: &Content) {
        self.new_nexthop(id, content, NLM_F_REPLACE);
    }

    /// Deletes a nexthop object; the kernel deletes all routes on it.
    pub(crate) fn delete_nexthop(&mut self, id: u32) {
        let start = self.begin(RTM_DELNEXTHOP, NLM_F_REQUEST);
        self.bytes.extend([0; NHMSG]);
        self.attribute(NHA_ID, &id.to_ne_bytes());
        self.end(start);
    }

    /// Asks for every nexthop object in the namespace.
    pub(crate) fn dump_nexthops(&mut self) {
        let start = self.begin(RTM_GETNEXTHOP, NLM_F_REQUEST | NLM_F_DUMP);
        self.bytes.extend([0; NHMSG]);
        self.end(start);
    }

    fn new_nexthop(&mut self, id: u32, content: &Content, how: u16) {
        let start = self.begin(RTM_NEWNEXTHOP, NLM_F_REQUEST | how);
        let (family, flags) = match content {
            Content::Hop(hop) => {
                let family = hop.gateway.map_or(AF_INET, |gateway| address_family(Family::of(gateway)));
                (family, if hop.onlink { RTNH_F_ONLINK } else { 0 })
            }
            Content::Share(_) | Content::Failover(_) => (0, 0),
        };
        self.bytes.extend([family, 0, RouteOwner::Own.protocol(), 0]);
        self.bytes.extend(u32::from(flags).to_ne_bytes());
        self.attribute(NHA_ID, &id.to_ne_bytes());
        match content {
            Content::Hop(hop) => {
                self.attribute(NHA_OIF, &hop.interface.to_ne_bytes());
                if let Some(gateway) = hop.gateway {
                    self.address(NHA_GATEWAY, gateway);
                }
            }
            Content::Share(members) => self.group(members.iter().copied()),
            Content::Failover(ids) => {
                let weight = |place| if place == 0 { FIRST } else { NEXT };
                self.group(
                    ids.iter().enumerate().map(|(place, id)| Member { id: *id, weight: weight(place) }),
                );
                self.attribute(NHA_GROUP_TYPE, &RESILIENT.to_ne_bytes());
                self.failover_timers();
            }
        }
        self.end(start);
    }

    fn group(&mut self, members: impl Iterator<Item = Member>) {
        let mut value = Vec::new();
        for member in members {
            value.extend(member.id.to_ne_bytes());
            value.extend([wire_weight(member.weight), 0, 0, 0]);
        }
        self.attribute(NHA_GROUP, &value);
    }

    /// One bucket that changes hands at once.
    fn failover_timers(&mut self) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(NHA_RES_GROUP.to_ne_bytes());
        self.attribute(NHA_RES_GROUP_BUCKETS, &BUCKETS.to_ne_bytes());
        self.attribute(NHA_RES_GROUP_IDLE_TIMER, &0u32.to_ne_bytes());
        self.attribute(NHA_RES_GROUP_UNBALANCED_TIMER, &0u32.to_ne_bytes());
        self.set_length16(start);
    }
}

/// A nexthop object as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenNexthop {
    pub(crate) id: u32,
    pub(crate) protocol: u8,
    /// `None` for what routed does not make.
    pub(crate) content: Option<Content>,
}

/// Reads the payload of an `RTM_NEWNEXTHOP` or `RTM_DELNEXTHOP`.
pub(crate) fn parse_nexthop(payload: &[u8]) -> Option<SeenNexthop> {
    let (header, attributes) = payload.split_at_checked(NHMSG)?;
    let &[af, _scope, protocol, _, ref flags @ ..] = header else { return None };
    let flags = u32::from_ne_bytes(flags.try_into().ok()?);
    let family = if af == AF_INET6 { Family::Ipv6Unicast } else { Family::Ipv4Unicast };
    let mut id = None;
    let mut hop = Hop::on(0);
    hop.onlink = flags & u32::from(RTNH_F_ONLINK) != 0;
    let (mut members, mut kind, mut strange) = (None, 0, false);
    for (attribute, value) in Attributes(attributes) {
        match attribute {
            NHA_ID => id = parse_u32(value),
            NHA_OIF => hop.interface = parse_u32(value).unwrap_or(0),
            NHA_GATEWAY => hop.gateway = parse_address(family, value),
            NHA_GROUP => members = Some(parse_members(value)),
            NHA_GROUP_TYPE => kind = value.first_chunk().map_or(0, |bytes| u16::from_ne_bytes(*bytes)),
            NHA_BLACKHOLE | NHA_ENCAP | NHA_FDB => strange = true,
            _ => {}
        }
    }
    let content = match members {
        _ if strange => None,
        None => Some(Content::Hop(hop)),
        Some(members) if kind == RESILIENT => {
            Some(Content::Failover(members.iter().map(|member| member.id).collect()))
        }
        Some(members) => Some(Content::Share(members)),
    };
    Some(SeenNexthop { id: id?, protocol, content })
}

fn parse_members(value: &[u8]) -> Vec<Member> {
    let chunks = value.as_chunks::<MEMBER>().0.iter();
    let id = |bytes: &[u8; MEMBER]| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    chunks.map(|bytes| Member { id: id(bytes), weight: u16::from(bytes[4]) + 1 }).collect()
}
