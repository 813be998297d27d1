//! OPEN meets OPEN: our OPEN from the configuration, and what two OPENs agree on.
//!
//! Both are pure functions. Nothing that is agreed on can be read before the
//! peer's OPEN has been judged, because it lives in [`Up`] and only
//! [`negotiate`] makes one.

use std::time::Duration;

use net::{Asn, Family, Role, RouterId};

use super::{ConnId, Endpoints, Refused};
use crate::peer::{AddPathConfig, PeerConfig};
use crate::wire::{AddPath, Capability, GracefulRestart, LongLived, Open, Rx, Tx};

/// The largest restart time that fits in the capability (RFC 4724 §3: 12 bits).
const MAX_RESTART_TIME: u64 = 0xfff;

/// What the software version of this daemon begins with, behind which its
/// version stands.
pub const ROUTED: &str = "routed/";

/// The most octets of a software version that are sent
/// (draft-ietf-idr-software-version §3).
const MAX_SOFTWARE_VERSION: usize = 64;

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
    /// Both OPEN messages, ours first.
    pub opens: Box<[Open; 2]>,
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
    /// The families in which the peer may tell several paths (RFC 7911 §5).
    pub add_path_receive: Vec<Family>,
    /// The families in which we may tell several paths (RFC 7911 §5).
    pub add_path_send: Vec<Family>,
    /// IPv4 prefixes may have IPv6 next hops (RFC 8950 §4).
    pub extended_next_hop: bool,
    /// The peer is in another member AS of our confederation (RFC 5065).
    pub confederation: bool,
    /// Our role towards the peer, as configured (RFC 9234).
    pub role: Option<Role>,
    /// The role that the peer has told.
    pub peer_role: Option<Role>,
    /// What the peer said of graceful restart, when both sides speak it
    /// (RFC 4724 §3): its R bit, and the F bit of each family.
    pub graceful_restart: Option<GracefulRestart>,
    /// A NOTIFICATION other than Hard Reset keeps routes too: both sides have
    /// set the N bit (RFC 8538 §2).
    pub graceful_notification: bool,
    /// How long the peer allows stale routes to be kept, by family, where both
    /// sides speak long-lived graceful restart (RFC 9494 §4.2).
    pub long_lived: Vec<(Family, Duration)>,
    /// The families whose F bit the peer has set there (RFC 9494 §3.1).
    pub long_lived_preserved: Vec<Family>,
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

    /// What reading the messages of this session depends on.
    pub fn rx(&self, aigp: bool) -> Rx {
        Rx {
            as4: self.as4,
            external: !self.internal && !self.confederation,
            extended: self.extended_messages,
            add_path: flags(&self.add_path_receive),
            extended_next_hop: self.extended_next_hop,
            aigp,
            families: flags(&self.families),
            disabled: [false; Family::ALL.len()],
        }
    }

    /// What writing the messages of this session depends on.
    pub fn tx(&self) -> Tx {
        Tx {
            as4: self.as4,
            extended_messages: self.extended_messages,
            add_path: flags(&self.add_path_send),
            enhanced_refresh: self.enhanced_refresh,
        }
    }

    /// The name that the peer has told, for people.
    pub fn hostname(&self) -> Option<String> {
        self.received.iter().find_map(|capability| match capability {
            Capability::Fqdn { host, domain } if domain.is_empty() => Some(host.to_string()),
            Capability::Fqdn { host, domain } => Some(format!("{host}.{domain}")),
            _ => None,
        })
    }

    /// The software that the peer runs, with its version, as it has told.
    pub fn software(&self) -> Option<&str> {
        self.received.iter().find_map(|capability| match capability {
            Capability::SoftwareVersion(text) => Some(&**text),
            _ => None,
        })
    }

    /// The peer is this daemon too, of whichever version.
    pub fn is_routed(&self) -> bool {
        self.software().is_some_and(|software| software.starts_with(ROUTED))
    }
}

fn flags(families: &[Family]) -> [bool; Family::ALL.len()] {
    Family::ALL.map(|family| families.contains(&family))
}

/// Our OPEN. `restarting` sets the R bit (RFC 4724 §4.1).
pub fn open(config: &PeerConfig, restarting: bool) -> Open {
    Open {
        version: 4,
        my_as: config.local_as.as_two_octets(),
        hold_time: u16::try_from(config.hold_time.as_secs()).unwrap_or(u16::MAX),
        identifier: config.router_id.into(),
        capabilities: capabilities(config, restarting),
    }
}

/// What we offer, in the order of the codes.
fn capabilities(config: &PeerConfig, restarting: bool) -> Vec<Capability> {
    let mut capabilities: Vec<Capability> = config
        .families
        .iter()
        .map(|family| Capability::Multiprotocol { afi: family.afi(), safi: family.safi() })
        .collect();
    capabilities.push(Capability::RouteRefresh);
    let ipv4 = Family::Ipv4Unicast;
    if config.extended_next_hop && config.families.contains(&ipv4) {
        let tuple = (ipv4.afi(), ipv4.safi().into(), Family::Ipv6Unicast.afi());
        capabilities.push(Capability::ExtendedNextHop(vec![tuple]));
    }
    if config.extended_messages {
        capabilities.push(Capability::ExtendedMessage);
    }
    capabilities.extend(role(config).map(|role| Capability::Role(role.number())));
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
    let AddPathConfig { receive, send } = config.add_path;
    if receive || send {
        let family = |family: &Family| AddPath { afi: family.afi(), safi: family.safi(), receive, send };
        capabilities.push(Capability::AddPath(config.families.iter().map(family).collect()));
    }
    if config.enhanced_refresh {
        capabilities.push(Capability::EnhancedRouteRefresh);
    }
    if let (Some(restart), Some(time)) = (&config.graceful_restart, config.long_lived) {
        let stale_time = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let family = |family: &Family| LongLived {
            afi: family.afi(),
            safi: family.safi(),
            forwarding: restart.forwarding,
            stale_time,
        };
        let families = config.families.iter().map(family).collect();
        capabilities.push(Capability::LongLivedGracefulRestart(families));
    }
    capabilities.extend(config.hostname.as_ref().map(|name| fqdn(name)));
    capabilities.extend(config.software.as_ref().map(|text| software(text)));
    capabilities.extend(config.capabilities.iter().cloned());
    capabilities
}

/// Our role, where there can be one: towards another AS, not inside a
/// confederation (RFC 9234 §4.1, §8).
fn role(config: &PeerConfig) -> Option<Role> {
    config.role.filter(|_| config.peer_as.is_external(config.local_as) && !config.confederation)
}

/// The name as host and domain, each cut so that both fit the capability.
fn fqdn(name: &str) -> Capability {
    let (host, domain) = name.split_once('.').unwrap_or((name, ""));
    let cut = |text: &str| text.chars().take(63).filter(char::is_ascii).collect::<String>().into();
    Capability::Fqdn { host: cut(host), domain: cut(domain) }
}

/// The software, cut so that it fits the capability.
fn software(text: &str) -> Capability {
    let ascii = text.chars().filter(char::is_ascii);
    Capability::SoftwareVersion(ascii.take(MAX_SOFTWARE_VERSION).collect::<String>().into())
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
    if !config.peer_as.admits(peer_as, config.local_as, &config.our_other_as) {
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
    let families = common_families(config, ours, theirs);
    if families.is_empty() {
        return Err(Refused::Families(config.families.clone()));
    }
    let role = role(config);
    let peer_role = peer_role(role, theirs)?;
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
        opens: Box::new([ours.clone(), theirs.clone()]),
        hold_time,
        keepalive: keepalive(config, hold_time),
        as4: [ours, theirs].into_iter().all(wide),
        route_refresh: both(Capability::RouteRefresh),
        enhanced_refresh: both(Capability::EnhancedRouteRefresh),
        extended_messages: both(Capability::ExtendedMessage),
        add_path_receive: add_path(&families, ours, theirs, |ours, theirs| ours.receive && theirs.send),
        add_path_send: add_path(&families, ours, theirs, |ours, theirs| ours.send && theirs.receive),
        extended_next_hop: [ours, theirs].into_iter().all(next_hop),
        confederation: config.confederation && !internal,
        role,
        peer_role,
        graceful_notification: [ours, theirs]
            .into_iter()
            .all(|open| graceful(open).is_some_and(|restart| restart.notification)),
        long_lived: long_lived(&families, ours, theirs),
        long_lived_preserved: long_lived_preserved(&families, theirs),
        families,
        graceful_restart,
        sent: ours.capabilities.clone(),
        received: theirs.capabilities.clone(),
    })
}

/// The families of both sides. A peer without any multiprotocol capability
/// speaks IPv4 unicast (RFC 4760 §8), and so do we where we offered none.
fn common_families(config: &PeerConfig, ours: &Open, theirs: &Open) -> Vec<Family> {
    let both = [ours, theirs].map(offered);
    config.families.iter().copied().filter(|family| both.iter().all(|open| open.contains(family))).collect()
}

fn offered(open: &Open) -> Vec<Family> {
    let mut any = false;
    let families = open.capabilities.iter().filter_map(|capability| match capability {
        Capability::Multiprotocol { afi, safi } => {
            any = true;
            Family::from_afi_safi(*afi, *safi)
        }
        _ => None,
    });
    let families: Vec<Family> = families.collect();
    if any { families } else { vec![Family::Ipv4Unicast] }
}

/// True when an OPEN offers four-octet AS numbers (RFC 6793 §4.1).
fn wide(open: &Open) -> bool {
    open.capabilities.iter().any(|capability| matches!(capability, Capability::FourOctetAs(_)))
}

/// The role that the peer has told, if it belongs to ours (RFC 9234 §4.2).
/// Where only one side has a role nothing is wrong.
fn peer_role(ours: Option<Role>, theirs: &Open) -> Result<Option<Role>, Refused> {
    let told: Vec<u8> = theirs
        .capabilities
        .iter()
        .filter_map(|capability| match capability {
            Capability::Role(number) => Some(*number),
            _ => None,
        })
        .collect();
    let Some(ours) = ours else { return Ok(told.first().copied().and_then(Role::from_number)) };
    let wanted = ours.opposite();
    match told.iter().find(|number| **number != wanted.number()) {
        Some(told) => Err(Refused::Role { ours, told: *told }),
        None => Ok(told.first().map(|_| wanted)),
    }
}

/// The families of the session whose add-path entries on both sides meet `meets`.
fn add_path(
    families: &[Family],
    ours: &Open,
    theirs: &Open,
    meets: impl Fn(&AddPath, &AddPath) -> bool,
) -> Vec<Family> {
    let entry = |open: &Open, family: Family| {
        open.capabilities.iter().find_map(|capability| match capability {
            Capability::AddPath(list) => {
                list.iter().find(|entry| (entry.afi, entry.safi) == (family.afi(), family.safi())).copied()
            }
            _ => None,
        })
    };
    let agreed = |family: &Family| {
        entry(ours, *family).zip(entry(theirs, *family)).is_some_and(|(ours, theirs)| meets(&ours, &theirs))
    };
    families.iter().copied().filter(agreed).collect()
}

/// True when an OPEN offers IPv4 unicast over IPv6 next hops (RFC 8950 §4).
fn next_hop(open: &Open) -> bool {
    let ipv4 = Family::Ipv4Unicast;
    let wanted = (ipv4.afi(), u16::from(ipv4.safi()), Family::Ipv6Unicast.afi());
    open.capabilities.iter().any(
        |capability| matches!(capability, Capability::ExtendedNextHop(tuples) if tuples.contains(&wanted)),
    )
}

/// The long-lived entries of an OPEN; they count only beside graceful restart
/// (RFC 9494 §3.1).
fn long_lived_entries(open: &Open) -> &[LongLived] {
    let entries = open.capabilities.iter().rev().find_map(|capability| match capability {
        Capability::LongLivedGracefulRestart(entries) => Some(&entries[..]),
        _ => None,
    });
    entries.filter(|_| graceful(open).is_some()).unwrap_or_default()
}

/// How long the stale routes of the peer may be kept (RFC 9494 §4.2): as the
/// peer says, and no longer than our own configuration would have it.
fn long_lived(families: &[Family], ours: &Open, theirs: &Open) -> Vec<(Family, Duration)> {
    let time = |open: &Open, family: Family| {
        let entries = long_lived_entries(open).iter();
        let mut entries = entries.filter(|entry| (entry.afi, entry.safi) == (family.afi(), family.safi()));
        entries.next().map(|entry| Duration::from_secs(entry.stale_time.into()))
    };
    let both = |family: &Family| {
        let time = time(ours, *family)?.min(time(theirs, *family)?);
        Some((*family, time)).filter(|(_, time)| !time.is_zero())
    };
    families.iter().filter_map(both).collect()
}

/// The families whose F bit the peer has set in the long-lived capability.
fn long_lived_preserved(families: &[Family], theirs: &Open) -> Vec<Family> {
    let entries = long_lived_entries(theirs);
    let set = |family: &Family| {
        let key = (family.afi(), family.safi());
        entries.iter().any(|entry| (entry.afi, entry.safi) == key && entry.forwarding)
    };
    families.iter().copied().filter(set).collect()
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
