//! What each router is told: sessions that the load dials, every route taken,
//! kernel routes or none, and otherwise its own defaults.

use std::fmt::Write as _;

use super::{
    bfd::{INTERVAL, MULTIPLIER},
    engine::Task,
    session::Ends,
    stage::{ROUTER, ROUTER_ASN},
};

/// One text for each peer, after `head`.
fn with_peers(head: String, task: &Task, peer: impl Fn(&Ends) -> String) -> String {
    task.peers.iter().fold(head, |mut text, ends| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", peer(ends));
        text
    })
}

/// `routed.toml`.
pub(super) fn routed(task: &Task) -> String {
    let kernel = if task.fib { "" } else { "[kernel]\ninstall = false\n" };
    let export = if task.transit { "accept-all" } else { "reject-all" };
    let head = format!(
        "[node]\nname = \"dut\"\nrouter_id = \"{ROUTER}\"\n[cluster]\nnat_outgoing = false\n\
         [policy]\nenabled = false\n{kernel}[bgp]\nasn = {ROUTER_ASN}\n"
    );
    let bfd = format!("bfd = {{ interval_ms = {}, multiplier = {MULTIPLIER} }}\n", INTERVAL.as_millis());
    with_peers(head, task, |ends| {
        format!(
            "[[bgp.peer]]\naddress = \"{}\"\nasn = {}\npassive = true\nfamilies = [\"ipv4\"]\n\
             import = \"accept-all\"\nexport = \"{export}\"\nmax_prefixes = 4000000\n{}",
            ends.local,
            ends.asn,
            if task.watches(ends) { bfd.as_str() } else { "" }
        )
    })
}

/// `bird.conf`.
pub(super) fn bird(task: &Task) -> String {
    let export = if task.transit { "all" } else { "none" };
    let kernel =
        if task.fib { "protocol kernel { scan time 60; ipv4 { import none; export all; }; }\n" } else { "" };
    let bfd = format!(
        "protocol bfd {{ interface \"*\" {{ interval {} ms; multiplier {MULTIPLIER}; }}; }}\n",
        INTERVAL.as_millis()
    );
    let bfd = if task.watched.is_some() { bfd.as_str() } else { "" };
    let head =
        format!("log stderr all;\nrouter id {ROUTER};\nprotocol device {{ scan time 60; }}\n{kernel}{bfd}");
    with_peers(head, task, |ends| {
        format!(
            "protocol bgp {{ local {} as {ROUTER_ASN}; neighbor {} as {}; passive yes; {} \
             ipv4 {{ import all; export {export}; }}; }}",
            ends.router.ip(),
            ends.local,
            ends.asn,
            if task.watches(ends) { "bfd on;" } else { "" }
        )
    })
}

/// `bfdd.conf` of FRR.
pub(super) fn bfdd() -> String {
    let interval = INTERVAL.as_millis();
    format!(
        "log stdout informational\nbfd\n profile bench\n  detect-multiplier {MULTIPLIER}\n  \
         receive-interval {interval}\n  transmit-interval {interval}\n"
    )
}

/// `bgpd.conf` of FRR.
pub(super) fn frr(task: &Task, quick: bool) -> String {
    let coalesce = if quick { " coalesce-time 0\n" } else { "" };
    let nothing = if task.transit { "" } else { "route-map NOTHING deny 10\nexit\n" };
    let head = format!(
        "log stdout informational\n{nothing}router bgp {ROUTER_ASN}\n bgp router-id {ROUTER}\n\
         \x20no bgp ebgp-requires-policy\n no bgp network import-check\n{coalesce}"
    );
    with_peers(head, task, |ends| {
        let mut peer = format!(
            " neighbor {0} remote-as {1}\n neighbor {0} passive\n neighbor {0} timers connect 1",
            ends.local, ends.asn
        );
        if task.watches(ends) {
            // Writing to a string does not fail.
            let _ = write!(peer, "\n neighbor {} bfd profile bench", ends.local);
        }
        if task.transit { peer } else { format!("{peer}\n neighbor {} route-map NOTHING out", ends.local) }
    })
}

/// `gobgpd.toml`.
pub(super) fn gobgp(task: &Task) -> String {
    let head = format!("[global.config]\nas = {ROUTER_ASN}\nrouter-id = \"{ROUTER}\"\n");
    with_peers(head, task, |ends| {
        format!(
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{}\"\npeer-as = {}\n\
             [neighbors.transport.config]\npassive-mode = true",
            ends.local, ends.asn
        )
    })
}

/// `bgpd.conf` of `OpenBGPD`.
pub(super) fn openbgpd(task: &Task, socket: &str) -> String {
    let head = format!(
        "AS {ROUTER_ASN}\nrouter-id {ROUTER}\nlisten on {ROUTER}\nsocket \"{socket}\"\nfib-update no\n"
    );
    let peers = with_peers(head, task, |ends| {
        format!("neighbor {} {{\n remote-as {}\n passive\n}}", ends.local, ends.asn)
    });
    let export = if task.transit { "allow to any\n" } else { "deny to any\n" };
    format!("{peers}\nallow from any\n{export}")
}
