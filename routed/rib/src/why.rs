//! Why a path is not used, or a route not told.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use net::{Asn, Community, Family, Prefix};

/// The reason, as data; its text is what `routectl routes --all` prints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Our AS number stands in the path (RFC 4271 §9.1.2).
    AsLoop(Asn),
    /// AS numbers stand without order in the path (RFC 9774).
    AsSet,
    /// The peer is external and the path is empty (RFC 4271 §6.3, RFC 7606).
    EmptyAsPath(Asn),
    /// The peer is external and its AS does not stand first in the path
    /// (RFC 4271 §6.3, RFC 7606).
    FirstAs {
        /// The AS that stands there.
        first: Asn,
        /// The peer's.
        peer: Asn,
    },
    /// The peer is in another member AS of our confederation and does not stand
    /// first in the path (RFC 5065 §5).
    NotFromMember(Asn),
    /// The path has come up or across again after it was given down
    /// (RFC 9234 §5).
    RouteLeak {
        /// The AS that gave it down or across.
        only_to: Asn,
        /// The peer's.
        peer: Asn,
    },
    /// The path may only go to customers (RFC 9234 §5).
    OnlyToCustomer(Asn),
    /// The AS path has more numbers than `max_as_path`.
    LongAsPath {
        /// How many it has.
        length: usize,
        /// How many it may have.
        most: usize,
    },
    /// There are more communities, of all kinds, than `max_communities`.
    ManyCommunities {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// We are the originator of a reflected route (RFC 4456 §8).
    OriginatorLoop,
    /// Our cluster is in the cluster list (RFC 4456 §8).
    ClusterLoop(Ipv4Addr),
    /// No unicast route may have this prefix.
    Martian,
    /// The prefix is this node's own, or lies inside it.
    OwnPrefix(Prefix),
    /// The next hop is an address of this node (RFC 4271 §5.1.3).
    NextHopSelf(IpAddr),
    /// The attributes have no next hop.
    NoNextHop,
    /// The interface of a static route is down, or there is none of this name.
    LinkDown(Arc<str>),
    /// A gateway lies in no subnet of its interface.
    NotOnLink {
        /// The gateway.
        gateway: IpAddr,
        /// The interface.
        interface: Arc<str>,
    },
    /// No route leads to the next hop (RFC 4271 §9.1.2).
    NextHopUnreachable(IpAddr),
    /// Routes lead to the next hop, but each of them only over what needs this
    /// next hop in turn (RFC 4271 §9.1.2.1).
    NextHopCircle(IpAddr),
    /// A rule of a filter rejects it; rules count from 1.
    FilterRule {
        /// The name of the filter.
        filter: Arc<str>,
        /// The rule.
        rule: u16,
    },
    /// No rule of a filter meets it, and the end of a filter rejects.
    FilterEnd(Arc<str>),
    /// The peer is where the route came from.
    SplitHorizon,
    /// Learned from an internal peer, and not ours to reflect (RFC 4271 §9.2, RFC 4456 §6).
    NotReflected,
    /// A community forbids it (RFC 1997).
    Community(Community),
    /// The next hop is the peer's own address (RFC 4271 §5.1.3).
    NextHopIsPeer(IpAddr),
    /// The session has no address of ours that could be the next hop.
    NoLocalAddress(Family),
    /// The session does not carry this family.
    FamilyNotNegotiated(Family),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsLoop(asn) => write!(f, "AS path holds our own AS {asn}"),
            Self::AsSet => {
                f.write_str("AS path holds an AS_SET (RFC 9774); reject_as_sets = false accepts it")
            }
            Self::EmptyAsPath(peer) => write!(f, "AS path is empty; the peer's AS {peer} must stand in it"),
            Self::FirstAs { first, peer } => {
                write!(f, "AS path begins with AS {first}, not with the peer's AS {peer}")
            }
            Self::NotFromMember(peer) => {
                write!(f, "AS path does not begin with ({peer}), the peer's AS in our confederation")
            }
            Self::RouteLeak { only_to, peer } => {
                write!(f, "route leak: AS {only_to} gave it to customers only, and AS {peer} is not above us")
            }
            Self::OnlyToCustomer(only_to) => {
                write!(f, "AS {only_to} gave it to customers only, and the peer is no customer of ours")
            }
            Self::LongAsPath { length, most } => {
                write!(f, "AS path has {length} numbers, more than max_as_path = {most}")
            }
            Self::ManyCommunities { count, most } => {
                write!(f, "{count} communities, more than max_communities = {most}")
            }
            Self::OriginatorLoop => f.write_str("this node originated it (ORIGINATOR_ID)"),
            Self::ClusterLoop(id) => write!(f, "our cluster {id} reflected it already"),
            Self::Martian => f.write_str("not a unicast prefix"),
            Self::OwnPrefix(own) => write!(f, "inside {own}, which this node owns"),
            Self::NextHopSelf(address) => write!(f, "next hop {address} is this node"),
            Self::NoNextHop => f.write_str("no next hop in the attributes"),
            Self::LinkDown(interface) => write!(f, "interface {interface} is down or absent"),
            Self::NotOnLink { gateway, interface } => {
                write!(f, "no subnet of {interface} holds {gateway}; `onlink = true` takes it to be there")
            }
            Self::NextHopUnreachable(address) => write!(f, "next hop {address} is unreachable"),
            Self::NextHopCircle(address) => {
                write!(f, "next hop {address} is only reached over routes that need it themselves")
            }
            Self::FilterRule { filter, rule } => write!(f, "rejected by rule {rule} of filter {filter}"),
            Self::FilterEnd(filter) => write!(f, "no rule of filter {filter} accepts it"),
            Self::SplitHorizon => f.write_str("learned from this peer"),
            Self::NotReflected => f.write_str("learned from an internal peer and not to be reflected"),
            Self::Community(community) => write!(f, "community {community} forbids it"),
            Self::NextHopIsPeer(address) => write!(f, "next hop {address} is the peer itself"),
            Self::NoLocalAddress(family) => {
                write!(f, "the session has no local {family} address to be the next hop")
            }
            Self::FamilyNotNegotiated(family) => write!(f, "{family} is not negotiated with the peer"),
        }
    }
}
