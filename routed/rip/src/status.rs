//! What `routectl rip` shows. The names of the counters are those of
//! RFC 1724, which counts bad packets and bad routes apart.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use net::Prefix;

use crate::auth::{AuthFailure, Mode, SendKey};
use crate::config::SplitHorizon;
use crate::event::NextHop;
use crate::wire::{BadPacket, BadRoute};

pub use crate::table::RouteState;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceStatus {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Listens only.
    pub passive: bool,
    /// What is not told where it was heard.
    pub split_horizon: SplitHorizon,
    /// Where updates go: the group, or the unicast neighbours.
    pub destinations: Vec<SocketAddr>,
    /// When the next regular update is due; `None`: passive.
    pub next_update: Option<Instant>,
    /// Routes that wait to be told there.
    pub pending: usize,
    /// How packets are authenticated.
    pub auth: AuthStatus,
    /// What has come and gone.
    pub counters: InterfaceCounters,
}

/// How the packets of an interface are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthStatus {
    /// Not at all: anybody on the link can tell routes.
    Off,
    /// In this mode, signed with this key.
    On(Mode, SendKey),
}

/// Counters of an interface (RFC 1724 §4, `rip2IfStatEntry`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Packets that have come.
    pub received: u64,
    /// Of these, discarded: `rip2IfStatRcvBadPackets`.
    pub bad_packets: u64,
    /// Routes in good packets that were ignored: `rip2IfStatRcvBadRoutes`.
    pub bad_routes: u64,
    /// Packets sent.
    pub sent: u64,
    /// Triggered updates sent: `rip2IfStatSentUpdates`.
    pub triggered_updates: u64,
    /// Regular updates sent.
    pub regular_updates: u64,
    /// Packets that could not be signed, because no key has begun yet.
    pub unsigned: u64,
    /// The last packet that was discarded for its sender not being on the link.
    pub last_off_link: Option<IpAddr>,
}

/// A neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborStatus {
    /// The index of its interface.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
    /// When its last good response came, `rip2PeerLastUpdate`; `None`: none
    /// came within the timeout.
    pub last_heard: Option<Instant>,
    /// The version of its last response, `rip2PeerVersion`; 0: none came.
    pub version: u8,
    /// How many routes it tells us.
    pub routes: usize,
    /// What was wrong.
    pub faults: Faults,
}

/// What was wrong with what a neighbour sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Packets that were discarded, `rip2PeerRcvBadPackets`.
    pub bad_packets: u64,
    /// Why the last one was, authentication apart.
    pub last_bad_packet: Option<BadPacket>,
    /// Routes in good packets that were ignored, `rip2PeerRcvBadRoutes`.
    pub bad_routes: u64,
    /// Why the last one was.
    pub last_bad_route: Option<BadRoute>,
    /// Packets that were not believed; they are in `bad_packets` too.
    pub auth_failures: u64,
    /// Why the last one was not.
    pub last_auth_failure: Option<AuthFailure>,
    /// Exact copies of packets that were taken; not a fault by itself.
    pub copies: u64,
    /// Routes that the import filter has rejected.
    pub filtered: u64,
    /// Routes above the limit of the neighbour.
    pub over_limit: u64,
    /// When the last one came.
    pub last_over_limit: Option<Instant>,
}

/// A route of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteStatus {
    /// The destination.
    pub prefix: Prefix,
    /// Where it stands.
    pub state: RouteState,
    /// The metric that is told, before offsets: 16 for garbage.
    pub metric: u8,
    /// The route tag.
    pub tag: u16,
    /// Where to send, if it is learned.
    pub next_hops: Vec<NextHop>,
}
