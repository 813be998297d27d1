//! One path to a prefix: who told it, by which protocol, with what attributes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use net::Attrs;

use crate::Why;

/// A BGP peer, by the number that the daemon gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u32);

/// Where a path came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// This node: its links, its configuration, its RIP instance.
    Local,
    /// A BGP peer.
    Peer(PeerId),
}

/// The protocol that a path is from; at equal distance the earlier is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// A block or prefix that this node owns and announces.
    Local,
    /// The subnet of a link.
    Connected,
    /// Configured.
    Static,
    /// BGP.
    Bgp,
    /// `RIPv2`.
    Rip,
    /// `RIPng`.
    RipNg,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 6] =
        [Self::Connected, Self::Local, Self::Static, Self::Bgp, Self::Rip, Self::RipNg];

    /// The administrative distance where none is configured: the values that
    /// FRR and other routers use. `external` matters for BGP only.
    pub fn default_distance(self, external: bool) -> u8 {
        match self {
            Self::Connected | Self::Local => 0,
            Self::Static => 1,
            Self::Bgp if external => 20,
            Self::Bgp => 200,
            Self::Rip | Self::RipNg => 120,
        }
    }

    /// The word for it, as in `routectl routes --protocol`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Local => "local",
            Self::Static => "static",
            Self::Bgp => "bgp",
            Self::Rip => "rip",
            Self::RipNg => "ripng",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == text).ok_or_else(|| {
            format!("{text:?} is no protocol; write connected, local, static, bgp, rip or ripng")
        })
    }
}

/// Where the packets of a path go, before next hops are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// To the next hop of the attributes (BGP).
    NextHop,
    /// To a gateway that the table must resolve (static).
    Gateway(IpAddr),
    /// Out of an interface, through a gateway if there is one (connected, RIP).
    OnLink {
        /// The gateway on the link.
        gateway: Option<IpAddr>,
        /// The interface index.
        ifindex: u32,
    },
    /// The kernel has the route without us; nothing is to be installed.
    Kernel,
    /// Nowhere: packets that no longer prefix takes are dropped.
    Discard,
}

/// A path. Cheap to keep: attributes are shared, and a path that is also the
/// best one of its prefix is one allocation.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "`path_id` is the word of RFC 7911")]
pub struct Path {
    /// Who told it.
    pub source: Source,
    /// By which protocol.
    pub protocol: Protocol,
    /// The path identifier (RFC 7911 §3); 0 where there is only one. Tells
    /// apart several paths of one source: for links the interface index.
    pub path_id: u32,
    /// The attributes as they were received; what `routes --received` shows.
    pub received: Arc<Attrs>,
    /// The attributes after import, or why import refused.
    pub imported: Result<Arc<Attrs>, Why>,
    /// Administrative distance: the smaller is trusted more.
    pub distance: u8,
    /// The protocol's own metric (RIP hops, static metric); smaller is better.
    pub metric: u32,
    /// Since when it has these attributes.
    pub since: Instant,
    /// Where packets go.
    pub via: Via,
    /// The refresh cycle of the source in which it was last heard.
    pub(crate) cycle: u32,
}

impl Path {
    /// The attributes that count: after import, or as received where import refused.
    pub fn attrs(&self) -> &Arc<Attrs> {
        self.imported.as_ref().unwrap_or(&self.received)
    }

    /// True when both say the same; age and refresh cycle say nothing.
    pub fn same(&self, other: &Self) -> bool {
        self.key() == other.key()
            && (self.distance, self.metric, self.via) == (other.distance, other.metric, other.via)
            && self.imported == other.imported
            && self.received == other.received
    }

    /// What tells the paths of one prefix apart.
    pub(crate) fn key(&self) -> (Source, Protocol, u32) {
        (self.source, self.protocol, self.path_id)
    }
}
