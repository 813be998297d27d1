//! Path attributes: what a route says about its path (RFC 4271 §5).
//!
//! `bgp` decodes the wire into [`Attrs`], `rib` interns and compares them,
//! the API prints them. The next hop of an `MP_REACH_NLRI` attribute is here
//! too: for the table it makes no difference where it stood on the wire.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{AsPath, Asn, Community, ExtCommunity, Family, Ipv6ExtCommunity, LargeCommunity, RouterId};

/// ORIGIN (RFC 4271 §5.1.1); the order is the order of preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// 0: from an IGP, or configured.
    #[default]
    Igp,
    /// 1: from EGP.
    Egp,
    /// 2: by other means.
    Incomplete,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        })
    }
}

/// Where packets for a route go (RFC 4271 §5.1.3, RFC 2545 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NextHop {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address and, where the peers share a link, its link-local one.
    V6 {
        /// The global address; the link-local one again where there is no other.
        global: Ipv6Addr,
        /// The link-local address, if the peer sent one.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHop {
    /// The address that the table resolves: the global one.
    pub fn address(self) -> IpAddr {
        match self {
            Self::V4(address) => address.into(),
            Self::V6 { global, .. } => global.into(),
        }
    }

    /// The family of the next hop itself.
    pub fn family(self) -> Family {
        Family::of(self.address())
    }
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(global) => Self::V6 { global, link_local: None },
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

/// AGGREGATOR (RFC 4271 §5.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aggregator {
    /// The AS that formed the aggregate.
    pub asn: Asn,
    /// The speaker that formed it.
    pub router: Ipv4Addr,
}

/// An attribute that routed passes on without understanding it
/// (optional transitive, RFC 4271 §5), or has no field of its own for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RawAttr {
    /// The flags octet as received, extended-length bit cleared.
    pub flags: u8,
    /// The type code.
    pub code: u8,
    /// The value.
    pub value: Box<[u8]>,
}

/// The path attributes of a route.
///
/// Two routes with equal `Attrs` can share one UPDATE and one allocation.
/// Lists keep the order of the wire, so that re-encoding is byte-exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attrs {
    /// ORIGIN (1).
    pub origin: Origin,
    /// `AS_PATH` (2).
    pub as_path: AsPath,
    /// `NEXT_HOP` (3), or the next hop of `MP_REACH_NLRI` (14). `None` only for
    /// what this node originates.
    pub next_hop: Option<NextHop>,
    /// `MULTI_EXIT_DISC` (4).
    pub med: Option<u32>,
    /// `LOCAL_PREF` (5).
    pub local_pref: Option<u32>,
    /// `ATOMIC_AGGREGATE` (6) was present.
    pub atomic_aggregate: bool,
    /// AGGREGATOR (7).
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES (8).
    pub communities: Vec<Community>,
    /// `ORIGINATOR_ID` (9).
    pub originator_id: Option<RouterId>,
    /// `CLUSTER_LIST` (10), nearest cluster first.
    pub cluster_list: Vec<Ipv4Addr>,
    /// EXTENDED COMMUNITIES (16).
    pub ext_communities: Vec<ExtCommunity>,
    /// IPv6 EXTENDED COMMUNITIES (25, RFC 5701).
    pub ipv6_ext_communities: Vec<Ipv6ExtCommunity>,
    /// AIGP (26): the accumulated metric of the path (RFC 7311 §3).
    pub aigp: Option<u64>,
    /// What else AIGP (26) has, TLVs as they came: passed on with it (RFC 7311 §3).
    pub aigp_more: Box<[u8]>,
    /// `LARGE_COMMUNITY` (32).
    pub large_communities: Vec<LargeCommunity>,
    /// `ONLY_TO_CUSTOMER` (35): the AS that let the route down to its customers
    /// or over to its peers (RFC 9234 §5).
    pub only_to_customer: Option<Asn>,
    /// Bit `n` is set where attribute `n`, which is understood here, came with
    /// the partial bit: it must stay set (RFC 4271 §5).
    pub partial: u64,
    /// Everything else that is to be kept, in the order of type codes.
    pub unknown: Vec<RawAttr>,
    /// The route tag (RFC 2453 §4.2), 0 for none: what RIP and filters say of
    /// a route inside this node. BGP has no place for it on the wire.
    pub tag: u16,
}

impl Attrs {
    /// The default of `LOCAL_PREF` where none was received (the value that
    /// every other implementation uses; RFC 4271 §9.1.1 leaves it open).
    pub const DEFAULT_LOCAL_PREF: u32 = 100;

    /// `LOCAL_PREF`, or its default.
    pub fn effective_local_pref(&self) -> u32 {
        self.local_pref.unwrap_or(Self::DEFAULT_LOCAL_PREF)
    }

    /// The bandwidth of the link to the next hop, in octets a second, where
    /// one is told (draft-ietf-idr-link-bandwidth).
    pub fn link_bandwidth(&self) -> Option<f32> {
        self.ext_communities.iter().find_map(|community| community.link_bandwidth())
    }
}
