//! What the table must know of a BGP peer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use net::{Asn, Family, NextHop, Role, RouterId};

use crate::{Filter, PeerId, filter};

/// Which next hop a peer is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NextHopMode {
    /// Ourselves to external peers; to internal ones the next hop as learned
    /// (RFC 4271 §5.1.3).
    #[default]
    Auto,
    /// Always ourselves.
    Myself,
    /// As learned wherever there is one.
    Keep,
}

/// Which kinds of communities a peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SendCommunities {
    /// Those of RFC 1997.
    pub standard: bool,
    /// Those of RFC 4360.
    pub extended: bool,
    /// Those of RFC 8092.
    pub large: bool,
}

impl Default for SendCommunities {
    /// All of them.
    fn default() -> Self {
        Self { standard: true, extended: true, large: true }
    }
}

/// How many paths to a prefix a peer is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Paths {
    /// The best.
    #[default]
    Best,
    /// Every usable one that may be told (RFC 7911).
    All,
    /// So many of these, in the order of the decision.
    First(NonZeroUsize),
}

impl Paths {
    /// True when the peer may be told more than one.
    pub fn several(self) -> bool {
        self != Self::Best
    }

    /// How many at most.
    pub(crate) fn limit(self) -> usize {
        match self {
            Self::Best => 1,
            Self::All => usize::MAX,
            Self::First(limit) => limit.get(),
        }
    }
}

/// Our end of a session: the addresses that can be a next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LocalEnd {
    /// Our IPv4 address: that of the session, or one on its interface.
    pub v4: Option<Ipv4Addr>,
    /// Our global IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Our link-local address, where the peer shares the link (RFC 2545 §3).
    pub link_local: Option<Ipv6Addr>,
}

impl LocalEnd {
    /// True when a next hop is us.
    pub(crate) fn has(&self, next_hop: Option<NextHop>) -> bool {
        let ours = [self.v4.map(IpAddr::from), self.v6.map(IpAddr::from), self.link_local.map(IpAddr::from)];
        next_hop.is_some_and(|next_hop| ours.contains(&Some(next_hop.address())))
    }

    /// The end that a session's own address alone gives.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self { v4: Some(v4), ..Self::default() },
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self { link_local: Some(v6), ..Self::default() },
            IpAddr::V6(v6) => Self { v6: Some(v6), ..Self::default() },
        }
    }
}

/// A peer whose session is up, or whose paths are kept through a restart.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Its number.
    pub id: PeerId,
    /// Its address.
    pub address: IpAddr,
    /// Our addresses on the session.
    pub local: LocalEnd,
    /// The interface that the session runs over, where the peer is on a link.
    pub ifindex: Option<u32>,
    /// Its AS.
    pub asn: Asn,
    /// Our AS on this session.
    pub local_asn: Asn,
    /// Its BGP identifier.
    pub router_id: RouterId,
    /// It is a client of this reflector (RFC 4456 §4).
    pub route_reflector_client: bool,
    /// How often our own AS may stand in a path from it; 0 as the RFC has it.
    pub allow_own_asn: u8,
    /// Its own AS is replaced by ours in what it is told.
    pub as_override: bool,
    /// Which communities it is told.
    pub send_communities: SendCommunities,
    /// Our role towards it (RFC 9234); `None` where none is configured.
    pub role: Option<Role>,
    /// What the session carries beside plain routes.
    pub carries: Carries,
    /// Which next hop it is told.
    pub next_hop: NextHopMode,
    /// The families of the session.
    pub families: Vec<Family>,
    /// How many paths to a prefix it is told, by family.
    pub paths: [Paths; Family::ALL.len()],
    /// What is taken from it.
    pub import: Arc<Filter>,
    /// What it is told.
    pub export: Arc<Filter>,
    /// What it is told is marked, for this node is about to go (RFC 8326).
    pub graceful_shutdown: bool,
    /// The least time between two announcements to it, before jitter; zero: none.
    pub advertisement_interval: Duration,
}

impl PeerInfo {
    /// A peer in AS `asn` of which nothing is configured but that all passes,
    /// as `local_asn`; both families.
    pub fn new(id: PeerId, address: IpAddr, asn: Asn, local_asn: Asn, router_id: RouterId) -> Self {
        Self {
            id,
            address,
            local: LocalEnd::default(),
            ifindex: None,
            asn,
            local_asn,
            router_id,
            route_reflector_client: false,
            allow_own_asn: 0,
            as_override: false,
            send_communities: SendCommunities::default(),
            role: None,
            carries: Carries::default(),
            next_hop: NextHopMode::Auto,
            families: Family::ALL.to_vec(),
            paths: Default::default(),
            import: Arc::new(filter::accept_all()),
            export: Arc::new(filter::accept_all()),
            graceful_shutdown: false,
            advertisement_interval: Duration::ZERO,
        }
    }

    /// True when the peer is outside our AS, and outside our confederation.
    pub fn external(&self) -> bool {
        self.asn != self.local_asn && !self.carries.confederation
    }

    /// True when the peer is in our own AS, not only in our confederation.
    pub fn internal(&self) -> bool {
        self.asn == self.local_asn
    }
}

/// What a session carries beside plain routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is one property of the session")]
pub struct Carries {
    /// The peer is in another member AS of our confederation (RFC 5065).
    pub confederation: bool,
    /// The accumulated metric (RFC 7311 §3.2).
    pub aigp: bool,
    /// Routes of peers that are long gone (RFC 9494 §4.3).
    pub long_lived: bool,
    /// IPv4 routes with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
}
