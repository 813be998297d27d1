//! How long traffic stands still when the path to the router that carries it
//! is cut in the middle, where no link goes down: BFD notices, BGP takes the
//! other router. Beside the same without BFD, where the hold timer notices.
//!
//! ```text
//!  container ─ n1 ─┬─ a (preferred, cut) ─┬─ sink ─ container
//!                  └─ b ──────────────────┘
//! ```

use std::time::Duration;

use crate::{
    Error, Host, Lab, Result,
    cluster::ASN,
    peer::{Bird, Frr, Routed},
    report::say,
    traffic::Stream,
    watched::{BGP, LIMIT, Node, base, close, peer},
};

/// What the routers on the way run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// routed.
    Routed,
    /// BIRD.
    Bird,
    /// FRR.
    Frr,
}

/// A router on the way, which runs until it is dropped.
enum Running {
    Routed(#[expect(dead_code, reason = "kept alive")] Routed),
    Bird(#[expect(dead_code, reason = "kept alive")] Bird),
    Frr(#[expect(dead_code, reason = "kept alive")] Frr),
}

/// Hold time of the sessions without BFD to help: the least there is.
pub const HOLD: Duration = Duration::from_secs(3);
/// The hold time with BFD, which has nothing to do with it then.
pub const LONG_HOLD: Duration = Duration::from_secs(90);

/// Prints how long traffic stood still, beside each router, with and without BFD.
pub fn run() -> Result<()> {
    say("the path to the preferred router is cut; BFD every 100 ms, lost after 3; 100 packets a second");
    for other in [Other::Routed, Other::Bird, Other::Frr] {
        say(&format!("{other:?}: traffic stands still for {} ms with BFD", outage(other, true)?.as_millis()));
    }
    let without = outage(Other::Bird, false)?;
    say(&format!("Bird: {} ms without BFD, hold time {} s", without.as_millis(), HOLD.as_secs()));
    Ok(())
}

/// For how long a stream lost its packets: as many as did not arrive, at the
/// pace that they were sent.
pub fn outage(other: Other, bfd: bool) -> Result<Duration> {
    let lab = Lab::new(&format!("outage-{other:?}").to_lowercase())?;
    let (one, sink) = (lab.host("n1")?, lab.host("sink")?);
    let (a, b) = (lab.router("a")?, lab.router("b")?);
    let target = sink.container("c1")?;
    let prefix = sink.subnet4();
    for host in [&sink, &a, &b] {
        host.exec(["sysctl", "-qw", "net.ipv4.ip_forward=1"])?.ok()?;
        host.ip(&[format!("route add {} via {}", one.subnet4(), one.ipv4())])?;
    }
    for host in [&a, &b] {
        host.ip(&[format!("route add {prefix} via {}", sink.ipv4())])?;
    }
    let hold = if bfd { LONG_HOLD } else { HOLD };
    let watch = format!("bfd = {bfd}\nhold_time = {}", hold.as_secs());
    let config = base(&one)
        + &peer(a.ipv4(), 65001, &format!("{watch}\nimport = \"preferred\""))
        + &peer(b.ipv4(), 65002, &watch)
        + "[[filter]]\nname = \"preferred\"\nrules = [{ action = \"accept\", set = { local_pref = 200 } }]\n";
    let node = Node::start(&one, &config)?;
    let _a = start(other, &a, &node.host, &prefix, 65001)?;
    let _b = start(other, &b, &node.host, &prefix, 65002)?;
    if bfd {
        node.await_bfd(a.ipv4(), "Up")?;
        node.await_bfd(b.ipv4(), "Up")?;
    }
    lab.wait_until("both routers tell the prefix", LIMIT, || {
        [&a, &b].iter().try_for_each(|router| {
            let address = router.ipv4().to_string();
            let peer = node.routed.routectl_json(["peers", &address]).map_err(|e| e.to_string())?;
            if peer["prefixes_accepted"].as_u64() > Some(0) {
                Ok(())
            } else {
                Err(format!("{address}: {peer}"))
            }
        })
    })?;
    lab.wait_until("the preferred one carries it", LIMIT, || via(&node.host, &prefix, &a))?;
    let stream = Stream::start(&node.container, &target, target.ipv4().into())?;
    stream.await_sent(100)?;
    close(&a)?;
    lab.wait_until("the other one carries it", hold + LIMIT, || via(&node.host, &prefix, &b))?;
    stream.await_sent(100)?;
    let report = stream.finish()?;
    let lost = u32::try_from(report.lost).map_err(|_| Error::Claim(format!("{report:?}")))?;
    Ok(crate::traffic::PACE * lost)
}

fn via(host: &Host, prefix: &str, router: &Host) -> Result<(), String> {
    let (table, wanted) = (host.kernel_routes().map_err(|e| e.to_string())?, router.ipv4().to_string());
    let found = table.iter().find(|route| route["dst"] == *prefix && route["protocol"] == BGP);
    if found.is_some_and(|route| route.to_string().contains(&wanted)) {
        Ok(())
    } else {
        Err(format!("{found:?}"))
    }
}

/// Starts a router that tells a prefix to `us`.
fn start(other: Other, host: &Host, us: &Host, prefix: &str, asn: u32) -> Result<Running> {
    let (own, us) = (host.ipv4(), us.ipv4());
    match other {
        Other::Routed => {
            let via = prefix_via(host, prefix)?;
            let config = format!(
                "[node]\nname = \"{}\"\nrouter_id = \"{own}\"\n[bgp]\nasn = {asn}\n\
                 [[static]]\nprefix = \"{prefix}\"\nvia = \"{via}\"\n",
                host.name()
            );
            let config = config + &peer(us, ASN, "bfd = true\nexport = \"accept-all\"");
            Ok(Running::Routed(Routed::start(host, &config)?))
        }
        Other::Bird => {
            let config = format!(
                "protocol device {{}}\n\
                 protocol bfd {{ interface \"eth0\" {{ interval 100 ms; multiplier 3; }}; }}\n\
                 protocol static s4 {{ ipv4; route {prefix} blackhole; }}\n\
                 protocol bgp r4 {{ local {own} as {asn}; neighbor {us} as {ASN}; bfd on;\n\
                 connect retry time 1; connect delay time 1; error wait time 1, 2;\n\
                 ipv4 {{ import all; export all; next hop self; }}; }}\n",
            );
            Ok(Running::Bird(Bird::start(host, &config)?))
        }
        Other::Frr => {
            let config = format!(
                "router bgp {asn}\n bgp router-id {own}\n no bgp ebgp-requires-policy\n \
                 no bgp network import-check\n neighbor {us} remote-as {ASN}\n \
                 neighbor {us} timers connect 1\n neighbor {us} bfd profile fast\n \
                 address-family ipv4 unicast\n  network {prefix}\n exit-address-family\n",
            );
            let bfd = "bfd\n profile fast\n  detect-multiplier 3\n  receive-interval 100\n  transmit-interval 100\n";
            Ok(Running::Frr(Frr::start_bfd(host, &config, bfd)?))
        }
    }
}

/// Takes the host's own route to a prefix away for routed to make it, and
/// gives its gateway.
fn prefix_via(host: &Host, prefix: &str) -> Result<String> {
    let routes = host.kernel_routes()?;
    let gateway =
        routes.iter().find(|route| route["dst"] == *prefix).and_then(|route| route["gateway"].as_str());
    let gateway = gateway.ok_or_else(|| Error::Claim(format!("{} has no route to {prefix}", host.name())))?;
    host.ip(&[format!("route del {prefix}")])?;
    Ok(gateway.to_owned())
}
