//! What the operator wants of one peer.

use std::time::Duration;

use net::{Asn, Family, PeerAs, Role, RouterId};

use crate::wire::Capability;

/// Everything the state machine needs to know of one peer. It does not change
/// during the life of a [`Peer`](super::Peer): a new configuration makes a new one.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub struct PeerConfig {
    /// Our AS number towards this peer.
    pub local_as: Asn,
    /// Our BGP identifier.
    pub router_id: RouterId,
    /// The AS that the peer must be in.
    pub peer_as: PeerAs,
    /// Numbers that are ours beside [`local_as`](Self::local_as), and that no
    /// [external](PeerAs::External) peer has: the node's own where another one
    /// is shown, the members of the confederation.
    pub our_other_as: Vec<Asn>,
    /// The hold time that we propose, in whole seconds; zero, or 3 s and more
    /// (RFC 4271 §4.2).
    pub hold_time: Duration,
    /// How often to send KEEPALIVE, if more often than a third of the hold time.
    pub keepalive: Option<Duration>,
    /// How long to wait between two attempts to connect, before jitter.
    pub connect_retry: Duration,
    /// How long to stay Idle after the first failure; doubles with each.
    pub idle_hold: Duration,
    /// The most that `idle_hold` grows to. A session that lasted this long is
    /// stable and takes the back-off to its start.
    pub idle_hold_max: Duration,
    /// How long the peer may leave our bytes unread (RFC 9687); `None`: the
    /// larger of 8 minutes and twice the hold time, as the RFC says.
    pub send_hold: Option<Duration>,
    /// Never dial, only accept.
    pub passive: bool,
    /// The families to offer, in order of preference.
    pub families: Vec<Family>,
    /// Graceful restart (RFC 4724), for both roles; `None`: not offered.
    pub graceful_restart: Option<RestartConfig>,
    /// Offer messages of up to 65,535 octets (RFC 8654).
    pub extended_messages: bool,
    /// Offer to mark begin and end of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Several paths to a prefix (RFC 7911).
    pub add_path: AddPathConfig,
    /// Offer IPv4 prefixes with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Our role towards an external peer (RFC 9234); `None`: not told.
    pub role: Option<Role>,
    /// The peer is in another member AS of our confederation (RFC 5065): it
    /// has no role.
    pub confederation: bool,
    /// How long the routes of each other may be kept when graceful restart has
    /// ended without the peer (RFC 9494), at most 2^24-1 s; `None`: not
    /// offered. Needs `graceful_restart`.
    pub long_lived: Option<Duration>,
    /// Our name, told in the FQDN capability.
    pub hostname: Option<String>,
    /// Our software and its version, told in the capability of that name;
    /// `None`: not told.
    pub software: Option<String>,
    /// Further capabilities, sent as they are.
    pub capabilities: Vec<Capability>,
    /// Administratively shut down, with the reason: [`Event::Start`](super::Event::Start)
    /// has no effect.
    pub shutdown: Option<String>,
    /// The seed of all jitter. Take a different one for each peer.
    pub seed: u64,
}

/// Our side of graceful restart (RFC 4724 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartConfig {
    /// How long a restart of ours may take, at most 4095 s.
    pub time: Duration,
    /// This process follows an earlier one: the R bit is set until the first
    /// session is up, or `time` has passed since the start.
    pub restarting: bool,
    /// The kernel keeps our routes over a restart: the F bits are set.
    pub forwarding: bool,
    /// Keep routes over a NOTIFICATION as well: the N bit (RFC 8538 §2).
    pub notification: bool,
    /// What the silence of the peer means where both have set the N bit.
    pub hold_expiry: HoldExpiry,
}

/// What an expired hold timer means where both sides have set the N bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HoldExpiry {
    /// The peer is gone: its routes go, and Hard Reset tells it that ours are
    /// to go (RFC 8538 §3). Ours: a node that is cut off must not attract
    /// traffic for the restart time on top of the hold time.
    #[default]
    Reset,
    /// The routes are kept for the restart time (RFC 8538 §4).
    Keep,
}

/// Whether several paths to a prefix are received and sent (RFC 7911 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddPathConfig {
    /// Several may come.
    pub receive: bool,
    /// Several are sent where the peer takes them.
    pub send: bool,
}

impl RestartConfig {
    /// Restart within `time`, with forwarding kept and the N bit.
    pub fn new(time: Duration) -> Self {
        Self {
            time,
            restarting: false,
            forwarding: true,
            notification: true,
            hold_expiry: HoldExpiry::default(),
        }
    }
}

impl PeerConfig {
    /// A peer with the defaults: hold time 90 s (RFC 4271 §10), connect retry
    /// 5 s (ours: containers start and stop all the time; the RFC says 120),
    /// idle hold from 1 s to 60 s, IPv4 unicast, no graceful restart.
    pub fn new(local_as: Asn, router_id: RouterId, peer_as: impl Into<PeerAs>) -> Self {
        let peer_as = peer_as.into();
        let number = peer_as.number(local_as).unwrap_or_default();
        Self {
            local_as,
            router_id,
            peer_as,
            our_other_as: vec![],
            hold_time: Duration::from_secs(90),
            keepalive: None,
            connect_retry: Duration::from_secs(5),
            idle_hold: Duration::from_secs(1),
            idle_hold_max: Duration::from_secs(60),
            send_hold: None,
            passive: false,
            families: vec![Family::Ipv4Unicast],
            graceful_restart: None,
            extended_messages: false,
            enhanced_refresh: false,
            add_path: AddPathConfig::default(),
            extended_next_hop: false,
            role: None,
            confederation: false,
            long_lived: None,
            hostname: None,
            software: None,
            capabilities: vec![],
            shutdown: None,
            seed: u64::from(u32::from(router_id)) << 32 | u64::from(number.0),
        }
    }
}
