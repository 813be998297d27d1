//! The capabilities of an OPEN with what they say, in words.

use bgp::wire::{AddPath, Capability, GracefulRestart, LongLived};
use net::Family;

use super::negotiated::capability;

/// Each capability of an OPEN.
pub(super) fn offers(capabilities: &[Capability]) -> Vec<String> {
    capabilities.iter().map(offer).collect()
}

fn offer(offered: &Capability) -> String {
    match offered {
        Capability::ExtendedNextHop(families) => {
            let one = |(afi, safi, by): &(u16, u16, u16)| {
                let safi = u8::try_from(*safi).unwrap_or(0);
                format!(
                    "{} by {}",
                    family(*afi, safi),
                    if *by == 2 { "ipv6".to_owned() } else { by.to_string() }
                )
            };
            say("extended-next-hop", families.iter().map(one))
        }
        Capability::GracefulRestart(restart) => graceful_restart(restart),
        Capability::FourOctetAs(asn) => format!("four-octet-as {asn}"),
        Capability::AddPath(families) => say("add-path", families.iter().copied().map(add_path)),
        Capability::LongLivedGracefulRestart(families) => {
            say("long-lived-graceful-restart", families.iter().copied().map(long_lived))
        }
        Capability::Fqdn { host, domain } if domain.is_empty() => format!("fqdn {host}"),
        Capability::Fqdn { host, domain } => format!("fqdn {host}.{domain}"),
        Capability::SoftwareVersion(text) => format!("software-version {text}"),
        Capability::Unknown { value, .. } if !value.is_empty() => {
            format!("{} {value:02x?}", capability(offered))
        }
        Capability::Multiprotocol { .. }
        | Capability::RouteRefresh
        | Capability::ExtendedMessage
        | Capability::Role(_)
        | Capability::EnhancedRouteRefresh
        | Capability::Unknown { .. } => capability(offered),
    }
}

/// A name and what it says of families.
fn say(name: &str, of: impl Iterator<Item = String>) -> String {
    let of: Vec<_> = of.collect();
    if of.is_empty() { name.to_owned() } else { format!("{name} {}", of.join(", ")) }
}

fn family(afi: u16, safi: u8) -> String {
    Family::from_afi_safi(afi, safi).map_or_else(|| format!("{afi}/{safi}"), |family| family.to_string())
}

fn add_path(offered: AddPath) -> String {
    let way = match (offered.receive, offered.send) {
        (true, true) => "both",
        (true, false) => "receive",
        (false, _) => "send",
    };
    format!("{} {way}", family(offered.afi, offered.safi))
}

fn graceful_restart(restart: &GracefulRestart) -> String {
    let flags = [(restart.restarting, "restarting"), (restart.notification, "over notification")];
    let flags = flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned());
    let families = restart.families.iter().map(|(afi, safi, preserved)| {
        format!("{}{}", family(*afi, *safi), if *preserved { " preserved" } else { "" })
    });
    let time = format!("{}s", restart.restart_time);
    say("graceful-restart", std::iter::once(time).chain(flags).chain(families))
}

fn long_lived(offered: LongLived) -> String {
    let preserved = if offered.forwarding { " preserved" } else { "" };
    format!("{} {}s{preserved}", family(offered.afi, offered.safi), offered.stale_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capability_says_what_it_offers() {
        let restart = GracefulRestart {
            restarting: true,
            notification: true,
            restart_time: 120,
            families: vec![(1, 1, true), (2, 1, false), (1, 128, true)],
        };
        let add_path = |afi, receive, send| AddPath { afi, safi: 1, receive, send };
        let long = LongLived { afi: 1, safi: 1, forwarding: true, stale_time: 300 };
        let all = [
            (Capability::RouteRefresh, "route-refresh"),
            (Capability::Multiprotocol { afi: 2, safi: 1 }, "multiprotocol-ipv6"),
            (Capability::ExtendedNextHop(vec![(1, 1, 2)]), "extended-next-hop ipv4 by ipv6"),
            (
                Capability::GracefulRestart(restart),
                "graceful-restart 120s, restarting, over notification, ipv4 preserved, ipv6, 1/128 preserved",
            ),
            (
                Capability::AddPath(vec![add_path(1, true, true), add_path(2, false, true)]),
                "add-path ipv4 both, ipv6 send",
            ),
            (
                Capability::LongLivedGracefulRestart(vec![long]),
                "long-lived-graceful-restart ipv4 300s preserved",
            ),
            (Capability::LongLivedGracefulRestart(vec![]), "long-lived-graceful-restart"),
            (Capability::FourOctetAs(net::Asn(64512)), "four-octet-as 64512"),
            (Capability::Fqdn { host: "r1".into(), domain: "example.net".into() }, "fqdn r1.example.net"),
            (Capability::Unknown { code: 67, value: [0xab, 1].into() }, "unknown-67 [ab, 01]"),
        ];
        for (capability, wanted) in all {
            assert_eq!(offer(&capability), wanted);
        }
    }
}
