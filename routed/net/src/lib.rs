//! Words that every room of routed shares.
//!
//! A prefix, an AS number, a community, the path attributes of a route: each
//! has one type here, so that the wire format (`bgp`), the table (`rib`), the
//! kernel (`kernel`) and the API speak of the same thing without converting.
//!
//! *In*: nothing but values. *Out*: values, their text forms and their order.
//! *Must not know*: protocols, sockets, clocks, the kernel, the daemon.

pub mod as_path;
pub mod asn;
pub mod attrs;
pub mod community;
pub mod deadline;
pub mod delta;
pub mod family;
pub mod jitter;
pub mod nlri;
pub mod prefix;
pub mod prefix_map;
pub mod role;
pub mod router_id;

pub use as_path::{AsPath, Segment, SegmentKind};
pub use asn::{Asn, PeerAs};
pub use attrs::{Aggregator, Attrs, NextHop, Origin, RawAttr};
pub use community::{Community, ExtCommunity, Ipv6ExtCommunity, LargeCommunity};
pub use deadline::Deadlines;
pub use delta::{Delta, Step};
pub use family::Family;
pub use jitter::Jitter;
pub use nlri::Nlri;
pub use prefix::{ParsePrefixError, Prefix};
pub use prefix_map::{PrefixMap, PrefixSet};
pub use role::Role;
pub use router_id::RouterId;
