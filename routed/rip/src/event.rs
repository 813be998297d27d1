//! What goes into an [`Instance`](crate::Instance) and what comes out.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use net::Prefix;

use crate::config::{Import, Interface};

/// What happens to RIP.
#[derive(Clone, Debug)]
pub enum Event {
    /// An interface is there, or its addresses or settings are other ones.
    InterfaceUp(Interface),
    /// The interface with this index is gone, or RIP is to leave it.
    InterfaceDown(u32),
    /// A datagram has come.
    Received(Received),
    /// The table tells something new: what RIP is to advertise, or `None` for
    /// what it is no longer to. Not what RIP itself has learned: that is told
    /// on without this, unless the table tells something else of the prefix.
    Advertise(Vec<(Prefix, Option<Advert>)>),
    /// BFD says that the neighbour is not reachable: its routes go at once.
    Unreachable {
        /// The index of the interface.
        interface: u32,
        /// The neighbour.
        address: IpAddr,
    },
    /// The import filter is another one. Neighbours are asked for their tables.
    Import(Arc<dyn Import>),
    /// The node is to be left by all traffic: everything is told as unreachable.
    Drain,
    /// The end of that.
    Undrain,
}

/// A datagram from the RIP socket of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The index of the interface.
    pub interface: u32,
    /// Who sent it.
    pub source: SocketAddr,
    /// True when it was sent to the RIP group, false when to us.
    pub multicast: bool,
    /// The TTL or hop limit that it had on arrival, if the socket could say.
    pub ttl: Option<u8>,
    /// The UDP payload.
    pub bytes: Vec<u8>,
}

/// A route that the table exports to RIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The metric to tell, before the offset of the interface; 1 for what is
    /// connected. It is held to 1 to 16.
    pub metric: u8,
    /// The route tag (RFC 2453 §4.2).
    pub tag: u16,
    /// The next hop, so that neighbours on its interface can go there without
    /// us (RFC 2453 §4.4).
    pub next_hop: Option<NextHop>,
}

impl Advert {
    /// A route of ours with this metric, no tag, and us as next hop.
    pub fn new(metric: u8) -> Self {
        Self { metric, tag: 0, next_hop: None }
    }
}

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NextHop {
    /// The index of the interface.
    pub interface: u32,
    /// The router on it.
    pub address: IpAddr,
}

/// A route that RIP has learned, after the import filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Where to send, in order of interface and address; more than one share
    /// the load. Never empty.
    pub next_hops: Vec<NextHop>,
    /// 1 to 15.
    pub metric: u8,
    /// The route tag.
    pub tag: u16,
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram out of an interface, from the RIP port: hop limit 255
    /// for RIPng, TTL 1 to the group of RIPv2 (255 with TTL security).
    Send {
        /// The index of the interface.
        interface: u32,
        /// The group or a neighbour. No scope is set: the interface says it.
        to: SocketAddr,
        /// The UDP payload.
        bytes: Vec<u8>,
    },
    /// Routes that are new or other than they were.
    Learned(Vec<(Prefix, Learned)>),
    /// Routes that are no more.
    Lost(Vec<Prefix>),
    /// A neighbour has sent its first good response.
    NeighborUp {
        /// The index of the interface.
        interface: u32,
        /// The neighbour.
        address: IpAddr,
    },
    /// A neighbour is no more: once for each `NeighborUp`.
    NeighborDown {
        /// The index of the interface.
        interface: u32,
        /// The neighbour.
        address: IpAddr,
        /// Why.
        why: WhyDown,
    },
}

/// Why a neighbour is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyDown {
    /// Nothing good was heard of it for the timeout.
    Silent,
    /// The interface is gone.
    InterfaceDown,
    /// The interface has other addresses, and it is no longer on its network.
    OffLink,
    /// BFD says so.
    Unreachable,
}

impl fmt::Display for WhyDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "nothing was heard of it for the timeout",
            Self::InterfaceDown => "the interface is down",
            Self::OffLink => "the addresses of the interface have changed",
            Self::Unreachable => "BFD says that it is not reachable",
        })
    }
}
