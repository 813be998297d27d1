//! Every default of the configuration, once, with its unit and source.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use net::Prefix;

/// The file that is read when none is named.
pub const CONFIG_FILE: &str = "/etc/routed/routed.toml";
/// Where the daemon keeps what must survive it.
pub const STATE_DIR: &str = "/var/lib/routed";
/// Where the API listens.
pub const SOCKET: &str = "/run/routed/routed.sock";
/// `RT_TABLE_MAIN`.
pub const TABLE: u32 = 254;
/// The length of an IPv4 block that a node claims.
pub const NODE_BLOCK: u8 = 24;
/// BGP hold time; the 90 s that RFC 4271 §10 suggests.
pub const HOLD_TIME: Duration = Duration::from_secs(90);
/// RFC 4271 §10 suggests 120 s; on a LAN a peer that comes back should not
/// wait two minutes, and every attempt is jittered.
pub const CONNECT_RETRY: Duration = Duration::from_secs(5);
/// The first wait after a session failed; it doubles up to a cap (RFC 4271 §8.1.1,
/// `DampPeerOscillations`).
pub const IDLE_HOLD: Duration = Duration::from_secs(1);
/// How long peers keep our routes while we restart (RFC 4724; 120 s is the
/// value that FRR and BIRD use).
pub const RESTART_TIME: Duration = Duration::from_secs(120);
/// How long the routes of a peer that is gone are kept as the least preferred
/// ones, where that is switched on (RFC 9494; BIRD's default).
pub const LONG_LIVED: Duration = Duration::from_secs(3600);
/// Prefixes that a peer may send before its session is shut.
pub const MAX_PREFIXES: u32 = 10_000;
/// From which percentage of `max_prefixes` on a warning is logged; FRR's.
pub const MAX_PREFIXES_WARN: u8 = 75;
/// How many peers of one range may be there at a time; FRR's `listen limit`.
pub const DYNAMIC_PEERS: u32 = 100;
/// The port of BGP (RFC 4271 §8).
pub const BGP_PORT: u16 = 179;
/// Equal paths that share the traffic of one prefix.
pub const MULTIPATH: u8 = 8;

/// The addresses on which BGP is accepted.
pub fn bgp_listen() -> Vec<SocketAddr> {
    vec![(Ipv4Addr::UNSPECIFIED, BGP_PORT).into(), (Ipv6Addr::UNSPECIFIED, BGP_PORT).into()]
}

/// The pool of container addresses where the file names none.
pub fn pools() -> Vec<Prefix> {
    vec![Prefix::from((Ipv4Addr::new(10, 244, 0, 0), 16))]
}

/// What no policy may lock out: management, routing protocols, the API.
pub const FAILSAFE_INBOUND: [&str; 7] =
    ["tcp:22", "tcp:179", "udp:520", "udp:521", "udp:3784", "udp:4784", "tcp:7179"];
