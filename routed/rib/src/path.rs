//! One path to a prefix: who told it, by which protocol, with what attributes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

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

    /// A number below [`Protocol::ALL`]`.len()`, its place there.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Connected => 0,
            Self::Local => 1,
            Self::Static => 2,
            Self::Bgp => 3,
            Self::Rip => 4,
            Self::RipNg => 5,
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
    /// Out of an interface, to a gateway that is taken to be on the link
    /// although no subnet says so (static, `onlink`).
    Forced {
        /// The gateway.
        gateway: IpAddr,
        /// The interface index.
        ifindex: u32,
    },
    /// The kernel has the route without us; nothing is to be installed.
    Kernel,
    /// Nowhere: packets that no longer prefix takes are dropped in silence.
    Discard,
    /// Nowhere, and the sender hears "host unreachable".
    Unreachable,
    /// Nowhere, and the sender hears "administratively prohibited".
    Prohibit,
}

/// What a path says: all that many prefixes share. It is one allocation for
/// all prefixes that a source tells with the same attributes.
#[derive(Clone, Debug)]
pub struct Path {
    /// Who told it.
    pub source: Source,
    /// By which protocol.
    pub protocol: Protocol,
    /// The attributes as they were received; what `routes --received` shows.
    pub received: Arc<Attrs>,
    /// The attributes after import, or why import refused.
    pub imported: Result<Arc<Attrs>, Why>,
    /// Administrative distance: the smaller is trusted more.
    pub distance: u8,
    /// The protocol's own metric (RIP hops, static metric); smaller is better.
    pub metric: u32,
    /// Where packets go.
    pub via: Via,
    /// Its share of the traffic beside paths that are as good: 1, unless one
    /// was configured (static).
    pub weight: u16,
}

impl Path {
    /// The attributes that count: after import, or as received where import refused.
    pub fn attrs(&self) -> &Arc<Attrs> {
        self.imported.as_ref().unwrap_or(&self.received)
    }

    /// True when the import filter rejected it.
    pub(crate) fn is_filtered(&self) -> bool {
        matches!(self.imported, Err(Why::FilterRule { .. } | Why::FilterEnd(_)))
    }

    /// The peer that told it.
    pub fn peer(&self) -> Option<PeerId> {
        match self.source {
            Source::Local => None,
            Source::Peer(id) => Some(id),
        }
    }

    /// Everything, with the attributes by their place: they are interned.
    fn word(&self) -> impl Eq + Hash + '_ {
        let imported = self.imported.as_ref().map(|attrs| Arc::as_ptr(attrs).addr());
        let received = Arc::as_ptr(&self.received).addr();
        (self.source, self.protocol, received, imported, self.distance, self.metric, self.via, self.weight)
    }
}

impl PartialEq for Path {
    /// Equal when both say the same with the same interned attributes.
    fn eq(&self, other: &Self) -> bool {
        self.word() == other.word()
    }
}

impl Eq for Path {}

impl Hash for Path {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.word().hash(state);
    }
}
