//! OPEN meets OPEN: our OPEN from the configuration, and what two OPENs agree on.
//!
//! Both are pure functions. Nothing that is agreed on can be read before the
//! peer's OPEN has been judged, because it lives in [`Up`] and only
//! [`negotiate`] makes one.

use std::time::Duration;

use net::{Asn, Family, RouterId};

use super::{ConnId, Endpoints, Refused};
use crate::peer::PeerConfig;
use crate::wire::{Capability, GracefulRestart, Open};

/// The largest restart time that fits in the capability (RFC 4724 §3: 12 bits).
const MAX_RESTART_TIME: u64 = 0xfff;

/// What both sides of a session have agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one negotiated property of the session")]
pub struct Up {
    /// The connection that carries the session.
    pub conn: ConnId,
    /// Its two ends.
    pub endpoints: Endpoints,
    /// Our AS number towards this peer.
    pub local_as: Asn,
    /// The AS number of the peer.
    pub peer_as: Asn,
    /// The peer is in our AS (iBGP).
    pub internal: bool,
    /// The peer's BGP identifier.
    pub router_id: RouterId,
    /// The smaller of both hold times; zero: the session never times out
    /// (RFC 4271 §4.2).
    pub hold_time: Duration,
    /// How often we send KEEPALIVE, before jitter; zero: never.
    pub keepalive: Duration,
    /// The families that both sides speak, in our order.
    pub families: Vec<Family>,
    /// AS numbers on this session are four octets wide (RFC 6793 §4.1).
    pub as4: bool,
    /// The peer understands ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// Both mark begin and end of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Messages may be up to 65,535 octets long (RFC 8654).
    pub extended_messages: bool,
    /// What the peer said of graceful restart, when both sides speak it
    /// (RFC 4724 §3): its R bit, and the F bit of each family.
    pub graceful_restart: Option<GracefulRestart>,
    /// A NOTIFICATION other than Hard Reset keeps routes too: both sides have
    /// set the N bit (RFC 8538 §2).
    pub graceful_notification: bool,
    /// The capabilities that we sent.
    pub sent: Vec<Capability>,
    /// The capabilities that the peer sent.
    pub received: Vec<Capability>,
}

impl Up {
    /// The families whose routes survive a graceful loss of the session: those
    /// of the session that the peer named in its capability (RFC 4724 §4.2).
    pub fn restartable(&self) -> Vec<Family> {
        let named = self.graceful_restart.as_ref().map_or(&[][..], |restart| &restart.families);
        let named: Vec<Family> =
            named.iter().filter_map(|&(afi, safi, _)| Family::from_afi_safi(afi, safi)).collect();
        self.families.iter().copied().filter(|family| named.contains(family)).collect()
    }
}

/// Our OPEN. `restarting` sets the R bit (RFC 4724 §4.1).
pub fn open(config: &PeerConfig, restarting: bool) -> Open {
    let mut capabilities: Vec<Capability> = config
        .families
        .iter()
        .map(|family| Capability::Multiprotocol { afi: family.afi(), safi: family.safi() })
        .collect();
    capabilities.push(Capability::RouteRefresh);
    if config.extended_messages {
        capabilities.push(Capability::ExtendedMessage);
    }
    if let Some(restart) = &config.graceful_restart {
        let seconds = restart.time.as_secs().min(MAX_RESTART_TIME);
        capabilities.push(Capability::GracefulRestart(GracefulRestart {
            restarting,
            notification: restart.notification,
            restart_time: u16::try_from(seconds).unwrap_or(0),
            families: config
                .families
                .iter()
                .map(|family| (family.afi(), family.safi(), restart.forwarding))
                .collect(),
        }));
    }
    capabilities.push(Capability::FourOctetAs(config.local_as));
    if config.enhanced_refresh {
        capabilities.push(Capability::EnhancedRouteRefresh);
    }
    capabilities.extend(config.capabilities.iter().cloned());
    Open {
        version: 4,
        my_as: config.local_as.as_two_octets(),
        hold_time: u16::try_from(config.hold_time.as_secs()).unwrap_or(u16::MAX),
        identifier: config.router_id.into(),
        capabilities,
    }
}

/// Judges the peer's OPEN against ours.
///
/// # Errors
/// What is wrong (RFC 4271 §6.2), the first that applies: version, AS,
/// identifier, hold time, no common family.
pub fn negotiate(
    config: &PeerConfig,
    (conn, endpoints): (ConnId, Endpoints),
    ours: &Open,
    theirs: &Open,
) -> Result<Up, Refused> {
    if theirs.version != 4 {
        return Err(Refused::Version(theirs.version));
    }
    let peer_as = theirs.asn();
    // RFC 7607 §2: AS 0 is refused even where a configuration names it.
    if peer_as != config.peer_as || peer_as == Asn(0) {
        return Err(Refused::PeerAs { told: peer_as, configured: config.peer_as });
    }
    let internal = peer_as == config.local_as;
    let router_id =
        RouterId::try_from(theirs.identifier).map_err(|_| Refused::Identifier(theirs.identifier))?;
    // RFC 6286 §2.2: an internal peer must not have our own identifier.
    if internal && router_id == config.router_id {
        return Err(Refused::OurIdentifier(router_id));
    }
    // RFC 4271 §6.2: one and two seconds must be refused.
    if matches!(theirs.hold_time, 1 | 2) {
        return Err(Refused::HoldTime(theirs.hold_time));
    }
    let families = common_families(config, theirs);
    if families.is_empty() {
        return Err(Refused::Families(config.families.clone()));
    }
    let hold_time = Duration::from_secs(ours.hold_time.min(theirs.hold_time).into());
    let both =
        |capability| ours.capabilities.contains(&capability) && theirs.capabilities.contains(&capability);
    let graceful_restart = graceful(ours).and(graceful(theirs)).cloned();
    Ok(Up {
        conn,
        endpoints,
        local_as: config.local_as,
        peer_as,
        internal,
        router_id,
        hold_time,
        keepalive: keepalive(config, hold_time),
        families,
        as4: theirs.capabilities.iter().any(|capability| matches!(capability, Capability::FourOctetAs(_))),
        route_refresh: both(Capability::RouteRefresh),
        enhanced_refresh: both(Capability::EnhancedRouteRefresh),
        extended_messages: both(Capability::ExtendedMessage),
        graceful_notification: [ours, theirs]
            .into_iter()
            .all(|open| graceful(open).is_some_and(|restart| restart.notification)),
        graceful_restart,
        sent: ours.capabilities.clone(),
        received: theirs.capabilities.clone(),
    })
}

/// The families of both sides. A peer without any multiprotocol capability
/// speaks IPv4 unicast (RFC 4760 §8).
fn common_families(config: &PeerConfig, theirs: &Open) -> Vec<Family> {
    let offered: Vec<(u16, u8)> = theirs
        .capabilities
        .iter()
        .filter_map(|capability| match capability {
            Capability::Multiprotocol { afi, safi } => Some((*afi, *safi)),
            _ => None,
        })
        .collect();
    let speaks = |family: Family| {
        if offered.is_empty() {
            family == Family::Ipv4Unicast
        } else {
            offered.contains(&(family.afi(), family.safi()))
        }
    };
    config.families.iter().copied().filter(|family| speaks(*family)).collect()
}

/// A third of the hold time, or what is configured if that is less
/// (RFC 4271 §4.4), never under a second; zero where the hold time is.
fn keepalive(config: &PeerConfig, hold_time: Duration) -> Duration {
    if hold_time.is_zero() {
        return Duration::ZERO;
    }
    let third = hold_time / 3;
    config.keepalive.map_or(third, |wished| wished.min(third)).max(Duration::from_secs(1))
}

/// The graceful restart capability of an OPEN; of several, the last counts
/// (RFC 4724 §3).
fn graceful(open: &Open) -> Option<&GracefulRestart> {
    open.capabilities.iter().rev().find_map(|capability| match capability {
        Capability::GracefulRestart(restart) => Some(restart),
        _ => None,
    })
}
