//! What the daemon must be allowed to do, and whether it is.
//!
//! It needs no root: three capabilities are enough for all that it does, and
//! a configuration may need fewer. Without one that it cannot do without it
//! does not start, for a node that tells routes which it cannot write is
//! worse than none.

use std::fmt;
use std::fs;

use net::Family;
use tracing::{info, warn};

use crate::config::{Config, Dynamic};

/// Where the kernel tells what this process may do.
const STATUS: &str = "/proc/self/status";
/// Where it says from which port on anybody may listen.
const FREE_PORTS: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
/// What that is where nobody has changed it.
const FREE_FROM: u16 = 1024;

/// A capability (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Capability {
    BindService = 10,
    Admin = 12,
    Raw = 13,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BindService => "CAP_NET_BIND_SERVICE",
            Self::Admin => "CAP_NET_ADMIN",
            Self::Raw => "CAP_NET_RAW",
        })
    }
}

/// A capability that the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    capability: Capability,
    /// What it is for, after "to".
    purpose: String,
    /// Nothing goes well without it.
    vital: bool,
}

/// Capabilities that the daemon lacks and cannot do without.
#[derive(Debug, thiserror::Error)]
#[error(
    "routed lacks {}; run it as root, or give its service AmbientCapabilities=CAP_NET_ADMIN \
     CAP_NET_BIND_SERVICE CAP_NET_RAW",
    listed(.0)
)]
pub struct Lacking(Vec<Need>);

fn listed(needs: &[Need]) -> String {
    let lines: Vec<String> =
        needs.iter().map(|need| format!("{} (to {})", need.capability, need.purpose)).collect();
    lines.join(" and ")
}

/// Looks whether the daemon may do what the configuration asks for; what it
/// can do without is a warning.
pub(super) fn check(config: &Config) -> Result<(), Lacking> {
    let status = fs::read_to_string(STATUS).unwrap_or_default();
    // Where /proc is hidden, what is refused says so when it is tried.
    let Some(held) = effective(&status) else {
        info!(file = STATUS, "not readable; the capabilities of routed are not checked");
        return Ok(());
    };
    let free = fs::read_to_string(FREE_PORTS).ok().and_then(|text| text.trim().parse().ok());
    let lacking =
        needs(config, free.unwrap_or(FREE_FROM)).into_iter().filter(|need| !holds(held, need.capability));
    let (vital, other): (Vec<Need>, Vec<Need>) = lacking.partition(|need| need.vital);
    for Need { capability, purpose, .. } in other {
        warn!(%capability, "routed lacks this capability to {purpose}; give it to the service");
    }
    if vital.is_empty() { Ok(()) } else { Err(Lacking(vital)) }
}

/// The effective set of the status of a process.
fn effective(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

fn holds(set: u64, capability: Capability) -> bool {
    set & (1 << capability as u64) != 0
}

/// What a configuration asks for, where ports from `free` on are anybody's.
fn needs(config: &Config, free: u16) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut need = |capability, vital, purposes: &[Option<String>]| {
        let purposes: Vec<&str> = purposes.iter().flatten().map(String::as_str).collect();
        if !purposes.is_empty() {
            needs.push(Need { capability, purpose: purposes.join(", "), vital });
        }
    };
    let bgp = config.bgp.as_ref();
    let when = |wanted: bool, purpose: &str| wanted.then(|| purpose.to_owned());
    let admin = [
        when(config.kernel.install, "write routes"),
        when(config.policy.enabled || bgp.is_some_and(|bgp| bgp.guard), "write rules of nftables"),
    ];
    need(Capability::Admin, true, &admin);
    let privileged = |port: u16| (1..free).contains(&port);
    let ports = [
        bgp.and_then(|bgp| bgp.listen.iter().map(std::net::SocketAddr::port).find(|port| privileged(*port)))
            .map(|port| format!("listen on the port {port} of BGP")),
        config
            .rip
            .as_ref()
            .map(|_| ::rip::wire::port(Family::Ipv4Unicast))
            .filter(|port| privileged(*port))
            .map(|port| format!("listen on the port {port} of RIP")),
    ];
    need(Capability::BindService, true, &ports);
    let links = bgp.map_or_else(Vec::new, |bgp| {
        let peers = bgp.peers.iter().filter_map(|peer| peer.interface.as_deref());
        peers.chain(bgp.dynamic.iter().filter_map(Dynamic::interface)).collect()
    });
    let links = when(!links.is_empty(), &format!("find the peers of {}", links.join(", ")));
    need(Capability::Raw, false, &[links]);
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str) -> Vec<(Capability, bool)> {
        let config = crate::config::parse("test", file).unwrap().0;
        needs(&config, FREE_FROM).into_iter().map(|need| (need.capability, need.vital)).collect()
    }

    #[test]
    fn a_file_asks_for_what_it_uses_and_no_more() {
        use Capability::{Admin, BindService, Raw};
        let quiet = "[policy]\nenabled = false\n[kernel]\ninstall = false\n";
        assert_eq!(of(&format!("{quiet}[bgp]\nasn = 1\nguard = false\nlisten = [\"[::]:1790\"]\n")), []);
        assert_eq!(of(&format!("{quiet}[bgp]\nasn = 1\n")), [(Admin, true), (BindService, true)]);
        assert_eq!(of(&format!("{quiet}[rip]\n")), [(BindService, true)]);
        assert_eq!(of("[bgp]\nasn = 1\nlisten = [\"[::]:1790\"]\n"), [(Admin, true)]);
        let all = of("[bgp]\nasn = 1\n[[bgp.peer]]\ninterface = \"eth1\"\nasn = 2\n");
        assert_eq!(all, [(Admin, true), (BindService, true), (Raw, false)]);
    }

    #[test]
    fn ports_that_are_anybodys_need_no_capability() {
        let config = crate::config::parse("test", "[bgp]\nasn = 1\n[rip]\n").unwrap().0;
        assert!(needs(&config, 100).iter().all(|need| need.capability != Capability::BindService));
    }

    #[test]
    fn the_error_names_each_capability_and_what_it_is_for() {
        let config = crate::config::parse("test", "[bgp]\nasn = 1\n").unwrap().0;
        let said = Lacking(needs(&config, FREE_FROM)).to_string();
        assert!(said.contains("CAP_NET_ADMIN (to write routes, write rules of nftables)"), "{said}");
        assert!(said.contains("CAP_NET_BIND_SERVICE (to listen on the port 179 of BGP)"), "{said}");
    }

    #[test]
    fn the_effective_set_is_read_from_the_status() {
        let held = effective("CapPrm:\tffff\nCapEff:\t0000000000003400\n").unwrap();
        for capability in [Capability::Admin, Capability::BindService, Capability::Raw] {
            assert!(holds(held, capability));
            assert!(!holds(held & !(1 << capability as u64), capability));
        }
        assert_eq!(effective("Name:\trouted\n"), None);
    }
}
