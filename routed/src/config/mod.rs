//! The configuration: validated, immutable, everything parsed.
//!
//! *In*: the text of one TOML file. *Out*: a [`Config`] in which every
//! address is an address and every reference resolves, or the list of all
//! that is wrong with the file. [`Config`] is the only type that the rest of
//! the daemon sees; its fields bear the names of the file's keys, so that
//! `--print-config` is the value itself, written out.

mod api;
pub mod bfd;
mod bgp;
pub mod bmp;
pub mod change;
pub mod defaults;
pub mod diagnostic;
mod file;
mod filter;
pub mod originate;
mod print;
mod reader;
pub mod rip;
pub mod runtime;
pub mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use net::{Asn, Family, PeerAs, Prefix, RouterId};
use serde::Serialize;

pub use api::{Api, Credentials, Ending, Fault, Life, Tls, Which};
pub(crate) use bgp::ao;
pub use bgp::{AoKey, AtLimit, Dynamic, MaxPrefixes, NoPeerKey, PeerKey, Whose};
pub use diagnostic::{Diagnostic, Severity};
pub use file::{parse, parse_with};
pub use originate::{Aggregate, Gateway, StaticRoute, StaticTo};
pub use session::{AddPath, Confederation, GracefulRestart, HoldExpiry, Offers, PathLimit};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// This node.
    pub node: Node,
    /// What all nodes of the cluster share.
    pub cluster: Cluster,
    /// Where the API is served.
    pub api: Api,
    /// What this node tells its peers of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advertise: Vec<Advertise>,
    /// Routes by hand.
    #[serde(rename = "static", skip_serializing_if = "Vec::is_empty")]
    pub statics: Vec<StaticRoute>,
    /// Prefixes told in place of, or beside, what lies inside.
    #[serde(rename = "aggregate", skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<Aggregate>,
    /// BGP, if this node speaks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp: Option<Bgp>,
    /// Who is shown what BGP does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bmp: Vec<bmp::Bmp>,
    /// RIP, if this node speaks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rip: Option<rip::Rip>,
    /// How BFD speaks where a protocol only says that it wants it.
    pub bfd: bfd::Bfd,
    /// Filters by name.
    #[serde(rename = "filter", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<NamedFilter>,
    /// Address management.
    pub ipam: Ipam,
    /// Network policy.
    pub policy: Policy,
    /// How routes are written into the kernel.
    pub kernel: Kernel,
}

/// One `[[filter]]`: as it was written, and as it is evaluated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedFilter {
    /// The table of the file.
    #[serde(flatten)]
    pub source: toml::Table,
    /// What it means.
    #[serde(skip)]
    pub filter: std::sync::Arc<rib::filter::Filter>,
}

impl Config {
    /// Peers are told a route when the kernel has it; where no routes are
    /// written at all, nobody could be told any.
    pub fn tells_installed_only(&self) -> bool {
        self.kernel.install && self.bgp.as_ref().is_some_and(|bgp| bgp.suppress_fib_pending)
    }
}

/// `[node]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// The node's name; the host's name by default.
    pub name: String,
    /// The BGP identifier; `None`: the highest IPv4 address on the interface
    /// of the default route, found at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<RouterId>,
    /// Where the daemon keeps what must survive it.
    pub state_dir: PathBuf,
    /// The kernel's routing table.
    pub table: u32,
    /// Free words about the node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// `[cluster]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cluster {
    /// Container addresses of the whole cluster; they do not overlap.
    pub pools: Vec<Prefix>,
    /// The length of an IPv4 block that a node claims.
    pub node_block: u8,
    /// Masquerade what leaves the pools.
    pub nat_outgoing: bool,
    /// Destinations outside the pools that see the container's own address.
    pub nat_exempt: Vec<Prefix>,
}

/// One `[[advertise]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Advertise {
    /// The subnets of an interface, as they come and go.
    Interface(String),
    /// A prefix, always.
    Prefix(Prefix),
    /// A prefix, under a condition.
    #[serde(untagged)]
    Tracked {
        /// The prefix.
        prefix: Prefix,
        /// While this is so.
        #[serde(rename = "while")]
        condition: While,
    },
}

/// While what is so a prefix is advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum While {
    /// An interface that is up has an address inside.
    Present,
}

/// `[bgp]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file that operators know by name")]
pub struct Bgp {
    /// This node's AS number.
    pub asn: Asn,
    /// Where connections are accepted.
    pub listen: Vec<SocketAddr>,
    /// Makes this node a route reflector (RFC 4456).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<Ipv4Addr>,
    /// How many equal paths may share the traffic of a prefix.
    pub multipath: u8,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: GracefulRestart,
    /// Compare MED between different neighbour ASes too.
    pub always_compare_med: bool,
    /// Compare MED within each neighbour AS first, whatever came first.
    pub deterministic_med: bool,
    /// Let the router id decide between equal external paths, not their age.
    pub compare_router_id: bool,
    /// Let equal paths of different AS paths of one length share traffic.
    pub multipath_as_path_relax: bool,
    /// Paths with sets in them are not used (RFC 9774).
    pub reject_as_sets: bool,
    /// All that is told is marked as about to go (RFC 8326).
    pub graceful_shutdown: bool,
    /// The kernel drops what strangers send to the port before it is a
    /// connection.
    pub guard: bool,
    /// Peers are told a route when the kernel has it.
    pub suppress_fib_pending: bool,
    /// The confederation that this node's AS is a member of (RFC 5065).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confederation: Option<Confederation>,
    /// The most AS numbers that a path may have; `None`: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_as_path: Option<u16>,
    /// The most communities, of all kinds, that a path may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_communities: Option<u16>,
    /// The peers, one an address or interface.
    #[serde(rename = "peer", skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// Who else may dial in, or is found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dynamic: Vec<Dynamic>,
}

impl Bgp {
    /// The range that an address may dial in from, the smallest there is.
    pub fn range_of(&self, address: IpAddr) -> Option<&Dynamic> {
        let holds = |dynamic: &&Dynamic| dynamic.range().is_some_and(|range| range.contains(address));
        self.dynamic.iter().filter(holds).max_by_key(|dynamic| dynamic.range().map(Prefix::len))
    }

    /// What the routers of a link become, where each is a peer.
    pub fn on_link(&self, interface: &str) -> Option<&Dynamic> {
        self.dynamic.iter().find(|dynamic| dynamic.interface() == Some(interface))
    }
}

/// Where a peer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerOrigin {
    /// The configuration file.
    #[default]
    File,
    /// The API; it is kept in the state directory.
    Runtime,
    /// It has dialled in from this range.
    Range(Prefix),
    /// It was heard on its interface, one of several there.
    Link,
}

/// One `[[bgp.peer]]`, with what its group says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Peer {
    /// The peer's address; unspecified where it stands for a range, or for
    /// whoever is at the other end of the interface.
    #[serde(skip_serializing_if = "IpAddr::is_unspecified")]
    pub address: IpAddr,
    /// The interface at whose other end it is; its address is link-local.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The index of that interface, of a peer that was found there.
    #[serde(skip)]
    pub scope: Option<u32>,
    /// Where it comes from.
    #[serde(skip)]
    pub origin: PeerOrigin,
    /// The group that it was written with; its keys are in here.
    #[serde(skip)]
    pub group: Option<String>,
    /// The AS that it must be in.
    pub asn: PeerAs,
    /// A word for operators.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The port that is dialled.
    #[serde(skip_serializing_if = "print::usual_port")]
    pub port: u16,
    /// The own address of the session; `None`: the kernel chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Wait for the peer to dial.
    pub passive: bool,
    /// The files with the TCP-MD5 keys (RFC 2385); the first is used, the
    /// others are still accepted. The keys themselves are not here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub password_file: Vec<PathBuf>,
    /// The TCP-MD5 keys, read from the files; never printed.
    #[serde(skip)]
    pub passwords: Vec<Secret>,
    /// The TCP-AO keys (RFC 5925); the first is used, the others are accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp_ao: Vec<AoKey>,
    /// GTSM (RFC 5082): how many hops away the peer may be; `None`: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_security: Option<u8>,
    /// How far an external peer may be; `None`: one hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multihop: Option<u8>,
    /// The hold time that is proposed (RFC 4271 §4.2).
    #[serde(serialize_with = "print::seconds")]
    pub hold_time: Duration,
    /// Time between KEEPALIVEs; `None`: a third of the negotiated hold time.
    #[serde(serialize_with = "print::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Duration>,
    /// Time between attempts to connect.
    #[serde(serialize_with = "print::seconds")]
    pub connect_retry: Duration,
    /// The first wait after a session failed.
    #[serde(serialize_with = "print::seconds")]
    pub idle_hold: Duration,
    /// The least time between two announcements to the peer (RFC 4271
    /// §9.2.1.1), before jitter; zero: none.
    #[serde(serialize_with = "print::seconds")]
    pub advertisement_interval: Duration,
    /// The families that are offered.
    pub families: Vec<Family>,
    /// The name of the filter that routes from the peer pass.
    pub import: String,
    /// The name of the filter that routes to the peer pass.
    pub export: String,
    /// The most prefixes that the peer may send.
    pub max_prefixes: MaxPrefixes,
    /// What stands as next hop in what is sent.
    pub next_hop: NextHopMode,
    /// The peer is a client of this route reflector (RFC 4456).
    pub route_reflector_client: bool,
    /// Our AS number on this session; `None`: that of this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_asn: Option<Asn>,
    /// How often our own AS may stand in a path from the peer; 0 as the RFC
    /// has it (RFC 4271 §9.1.2).
    pub allow_own_asn: u8,
    /// The peer's own AS is replaced by ours in what it is told.
    pub as_override: bool,
    /// Which communities the peer is told.
    #[serde(serialize_with = "print::send_communities")]
    pub send_communities: SendCommunities,
    /// The peer is kept down, with this message to it (RFC 9003).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<String>,
    /// What its session offers beside plain routes.
    #[serde(flatten)]
    pub offers: Offers,
    /// BFD watches the path to the peer; `None`: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<bfd::Bfd>,
}

/// `send_communities` of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendCommunities {
    /// Those of RFC 1997.
    pub standard: bool,
    /// Those of RFC 4360.
    pub extended: bool,
    /// Those of RFC 8092.
    pub large: bool,
}

impl Default for SendCommunities {
    fn default() -> Self {
        Self { standard: true, extended: true, large: true }
    }
}

/// `next_hop` of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NextHopMode {
    /// Self to external peers and for what this node originates; kept for
    /// what is passed on to internal ones (RFC 4271 §5.1.3).
    #[default]
    Auto,
    /// Always this node.
    #[serde(rename = "self")]
    Own,
    /// Never changed.
    Keep,
}

/// `[ipam]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ipam {
    /// The blocks of this node; empty: the subnets of the advertised bridges
    /// inside the pools.
    pub blocks: Vec<Prefix>,
    /// Claim a block of each pool that nobody on the LAN has, where the node
    /// has none; the default without BGP where nothing is advertised.
    pub claim: bool,
}

/// `[policy]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Policy {
    /// Whether this node filters at all.
    pub enabled: bool,
    /// What happens to a container that no policy selects.
    pub default_endpoint_action: DefaultAction,
    /// What no policy may lock out, as `tcp:22`.
    pub failsafe_inbound: Vec<String>,
}

/// What happens to a container that no policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultAction {
    /// Its traffic passes.
    Allow,
    /// Its traffic is dropped.
    Deny,
}

/// `[kernel]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Whether routes are written into the kernel at all.
    pub install: bool,
    /// The metric of routes; `None`: the kernel's own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The preferred source address of routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Whether routes point at nexthop objects.
    pub nexthop_objects: kernel::NexthopObjects,
}

/// A key that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn new(key: Vec<u8>) -> Self {
        Self(key)
    }

    /// The bytes of the key, for the system call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
