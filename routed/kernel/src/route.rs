//! Routes as the FIB holds them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Who of routed asked for a route. It becomes the route's protocol number in
/// the kernel, which is how routed knows its own routes again after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteOwner {
    /// Static and discard routes of routed itself: protocol 179.
    Own,
    /// Learnt by BGP: protocol 186 (`RTPROT_BGP`).
    Bgp,
    /// Learnt by RIP version 2: protocol 189 (`RTPROT_RIP`).
    Rip,
    /// Learnt by RIP for IPv6: protocol 190.
    RipNg,
}

impl RouteOwner {
    /// Every owner.
    pub const ALL: [Self; 4] = [Self::Own, Self::Bgp, Self::Rip, Self::RipNg];

    /// The protocol number in the kernel (`rtm_protocol`).
    pub fn protocol(self) -> u8 {
        match self {
            Self::Own => 179,
            Self::Bgp => 186,
            Self::Rip => 189,
            Self::RipNg => 190,
        }
    }

    /// The owner with this protocol number, if it is one of ours.
    pub fn from_protocol(protocol: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|owner| owner.protocol() == protocol)
    }
}

impl fmt::Display for RouteOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Own => "static",
            Self::Bgp => "bgp",
            Self::Rip => "rip",
            Self::RipNg => "ripng",
        })
    }
}

/// A route for a prefix: who wants it and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FibRoute {
    /// Who asked for it.
    pub owner: RouteOwner,
    /// Where packets go.
    pub target: Target,
    /// Where they go when the only next hop of the target fails, until the
    /// table says more. The kernel itself moves them when the link fails.
    pub backup: Option<NextHops>,
    /// Which peer or other source it comes from: any number that tells sources
    /// apart. Routes that share it and where they lead share a nexthop object,
    /// so that the end of a source is one message.
    pub source: u32,
    /// No other source has a route for the prefix: it ends with its source.
    pub only: bool,
}

impl FibRoute {
    /// A route without backup, from source 0.
    pub fn new(owner: RouteOwner, target: Target) -> Self {
        Self { owner, target, backup: None, source: 0, only: false }
    }
}

/// Where the packets of a route go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// To one next hop, or shared among several by weight.
    Via(NextHops),
    /// Dropped in silence.
    Blackhole,
    /// Dropped, the sender hears ICMP "host unreachable".
    Unreachable,
    /// Dropped, the sender hears ICMP "administratively prohibited".
    Prohibit,
}

/// The largest weight that the kernel's eight bits hold.
const MOST_WEIGHT: u16 = 256;

/// One next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hop {
    /// The router to hand packets to; `None` when the destination is on the
    /// link itself. An IPv6 gateway under an IPv4 prefix is fine (RFC 8950).
    pub gateway: Option<IpAddr>,
    /// Index of the outgoing link; 0 lets the kernel find it by the gateway.
    pub interface: u32,
    /// Share of the traffic beside the other hops, 1 to 256; what is less or
    /// more counts as the nearest of these.
    pub weight: u16,
    /// Take the gateway to be on the link although no subnet says so.
    pub onlink: bool,
}

impl Hop {
    /// Through a router on a link, with weight 1.
    pub fn via(gateway: IpAddr, interface: u32) -> Self {
        Self { gateway: Some(gateway), interface, weight: 1, onlink: false }
    }

    /// Straight onto a link, with weight 1.
    pub fn on(interface: u32) -> Self {
        Self { gateway: None, interface, weight: 1, onlink: false }
    }
}

/// One or more next hops, in a fixed order so that equal sets are equal
/// values. Cloning is a reference count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NextHops(Arc<[Hop]>);

impl NextHops {
    /// The hops in their canonical order, without duplicates; `None` when
    /// there is none, because such a route leads nowhere.
    pub fn new(mut hops: Vec<Hop>) -> Option<Self> {
        for hop in &mut hops {
            hop.weight = hop.weight.clamp(1, MOST_WEIGHT);
        }
        hops.sort_unstable();
        hops.dedup();
        (!hops.is_empty()).then(|| Self(hops.into()))
    }

    /// A single hop.
    pub fn one(hop: Hop) -> Self {
        Self(Arc::new([Hop { weight: hop.weight.clamp(1, MOST_WEIGHT), ..hop }]))
    }

    /// The hops, at least one.
    pub fn hops(&self) -> &[Hop] {
        &self.0
    }

    /// True when the kernel would make `installed` of these hops: equal, or
    /// equal but for links that the kernel was left to find and for the weight
    /// of a single hop, which the kernel does not keep.
    pub(crate) fn is_met_by(&self, installed: &Self) -> bool {
        let single = self.0.len() == 1;
        self.0.len() == installed.0.len()
            && self.0.iter().zip(installed.hops()).all(|(want, have)| {
                want.gateway == have.gateway
                    && (want.interface == have.interface || want.interface == 0)
                    && (single || want.weight == have.weight)
                    && want.onlink == have.onlink
            })
    }
}

impl fmt::Debug for NextHops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.hops()).finish()
    }
}

impl Target {
    /// True when the kernel would make `installed` of this target.
    pub(crate) fn is_met_by(&self, installed: &Self) -> bool {
        match (self, installed) {
            (Self::Via(want), Self::Via(have)) => want.is_met_by(have),
            (want, have) => want == have,
        }
    }
}

impl From<Hop> for Target {
    fn from(hop: Hop) -> Self {
        Self::Via(NextHops::one(hop))
    }
}
