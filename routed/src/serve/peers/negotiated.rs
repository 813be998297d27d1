//! What the two OPENs of a session offer, and what came of them.

use std::time::Duration;

use api::v1;
use bgp::wire::{AddPath, Capability};
use net::{Family, Role};

use super::seconds;
use crate::serve::convert;

/// What the two OPENs agreed on.
pub(super) fn negotiated(up: &bgp::conn::Up) -> v1::Negotiated {
    v1::Negotiated {
        hold_time: seconds(up.hold_time),
        keepalive: seconds(up.keepalive),
        families: up.families.iter().map(|family| convert::family(*family)).collect(),
        four_octet_asn: up.as4,
        route_refresh: up.route_refresh,
        enhanced_route_refresh: up.enhanced_refresh,
        extended_messages: up.extended_messages,
        graceful_restart: up.graceful_restart.as_ref().map(graceful_restart),
        add_path_receive: up.add_path_receive.iter().map(|family| convert::family(*family)).collect(),
        add_path_send: up.add_path_send.iter().map(|family| convert::family(*family)).collect(),
        extended_next_hop: up.extended_next_hop,
        role: up.role.map(|role| role.to_string()),
        peer_role: up.peer_role.map(|role| role.to_string()),
        long_lived: up.long_lived.iter().map(|(family, time)| long_lived(up, *family, *time)).collect(),
        graceful_notification: up.graceful_notification,
    }
}

fn long_lived(up: &bgp::conn::Up, family: Family, time: Duration) -> v1::LongLived {
    let forwarding_preserved = up.long_lived_preserved.contains(&family);
    v1::LongLived { family: convert::family(family), time: seconds(time), forwarding_preserved }
}

fn graceful_restart(restart: &bgp::wire::GracefulRestart) -> v1::GracefulRestart {
    let known = |kept_only: bool| {
        let families = restart.families.iter().filter(move |(.., kept)| *kept || !kept_only);
        families
            .filter_map(|(afi, safi, _)| Family::from_afi_safi(*afi, *safi))
            .map(convert::family)
            .collect::<Vec<_>>()
    };
    v1::GracefulRestart {
        time: restart.restart_time.into(),
        restarting: restart.restarting,
        notification: restart.notification,
        families: known(false),
        forwarding_preserved: known(true),
    }
}

/// What an OPEN offers, in a word.
pub(super) fn capability(capability: &Capability) -> String {
    match capability {
        Capability::Multiprotocol { afi, safi } => match Family::from_afi_safi(*afi, *safi) {
            Some(family) => format!("multiprotocol-{family}"),
            None => format!("multiprotocol-{afi}-{safi}"),
        },
        Capability::RouteRefresh => "route-refresh".to_owned(),
        Capability::ExtendedNextHop(_) => "extended-next-hop".to_owned(),
        Capability::ExtendedMessage => "extended-message".to_owned(),
        Capability::Role(number) => match Role::from_number(*number) {
            Some(role) => format!("role-{role}"),
            None => format!("role-{number}"),
        },
        Capability::GracefulRestart(_) => "graceful-restart".to_owned(),
        Capability::FourOctetAs(_) => "four-octet-as".to_owned(),
        Capability::AddPath(families) => add_path(families),
        Capability::EnhancedRouteRefresh => "enhanced-route-refresh".to_owned(),
        Capability::LongLivedGracefulRestart(_) => "long-lived-graceful-restart".to_owned(),
        Capability::Fqdn { .. } => "fqdn".to_owned(),
        Capability::SoftwareVersion(_) => "software-version".to_owned(),
        Capability::Unknown { code, .. } => format!("unknown-{code}"),
    }
}

/// What an add-path capability offers, in one word (RFC 7911 §4).
fn add_path(families: &[AddPath]) -> String {
    let way = match (families.iter().any(|f| f.receive), families.iter().any(|f| f.send)) {
        (true, true) => "both",
        (true, false) => "receive",
        _ => "send",
    };
    format!("add-path-{way}")
}
