//! `routectl drain` takes traffic off a node, and `routectl undrain` lets it come again.

use std::time::Duration;

use lab::{
    Container, Host, Lab, Result,
    cluster::{POOLS, has_routes},
    pair::{ASN, LIMIT, Pair, THEIR_4},
    peer::{Bird, Routed},
};
use serde_json::Value;

/// Well within the 180 s after which RIP forgets what it does not hear of.
const AT_ONCE: Duration = Duration::from_secs(10);
/// The 30 s between regular updates and their jitter, with patience.
const UPDATE: Duration = Duration::from_secs(50);
/// The kernel's numbers of the protocols `rip` and `RIPng`.
const RIP: [&str; 2] = ["189", "190"];
/// `GRACEFUL_SHUTDOWN` of RFC 8326, as BIRD writes it.
const MARK: &str = "(65535,0)";

/// BIRD's side of both sessions; BIRD announces nothing.
fn bird(pair: &Pair, asn: u32) -> Result<Bird> {
    let session = |name: &str, family: &str, here: String, there: String| {
        format!(
            "protocol bgp {name} {{ local {here} as {asn}; neighbor {there} as {ASN}; connect retry time 1;\n \
             {family} {{ import all; export none; }}; }}\n"
        )
    };
    let (ours, theirs) = (&pair.ours, &pair.theirs);
    let config = format!(
        "protocol device {{}}\nprotocol direct {{ ipv4; ipv6; }}\n{}{}",
        session("r4", "ipv4", theirs.ipv4().to_string(), ours.ipv4().to_string()),
        session("r6", "ipv6", theirs.ipv6().to_string(), ours.ipv6().to_string()),
    );
    Bird::start(theirs, &config)
}

/// Waits until BIRD sees both prefixes, with the mark or without it.
fn await_mark(pair: &Pair, bird: &Bird, marked: bool) -> Result<()> {
    for prefix in [pair.ours.subnet4(), pair.ours.subnet6()] {
        pair.lab.wait_until(&format!("BIRD sees {prefix}, marked: {marked}"), AT_ONCE, || {
            let route = bird.birdc(&format!("show route {prefix} all")).map_err(|e| e.to_string())?;
            let there = route.contains("BGP.next_hop");
            if there && route.contains(MARK) == marked { Ok(()) } else { Err(route) }
        })?;
    }
    Ok(())
}

/// The lines of `show protocols` of the sessions: `Since` tells of a reset.
fn sessions(bird: &Bird) -> Result<Vec<String>> {
    let text = bird.birdc("show protocols")?;
    Ok(text.lines().filter(|line| line.contains("BGP")).map(str::to_owned).collect())
}

fn drain(routed: &Routed, outcome: &str) -> Result<()> {
    said(routed, "drain", true, outcome)
}

fn undrain(routed: &Routed, outcome: &str) -> Result<()> {
    said(routed, "undrain", false, outcome)
}

fn said(routed: &Routed, command: &str, draining: bool, outcome: &str) -> Result<()> {
    let said = routed.routectl_json([command])?;
    let wanted = serde_json::json!({ "draining": draining, "outcome": outcome, "told": true });
    assert_eq!(said, wanted, "{command} on {}", routed.host().name());
    Ok(())
}

/// The alarm `draining` of `routectl status -o json`, if there is one.
fn alarm(routed: &Routed) -> Result<Option<Value>> {
    let status = routed.routectl_json(["status"])?;
    Ok(status["alarms"].as_array().into_iter().flatten().find(|alarm| alarm["id"] == "draining").cloned())
}

fn is_shown(routed: &Routed) -> Result<()> {
    let alarm = alarm(routed)?.unwrap_or_default();
    assert_eq!(
        (&alarm["severity"], &alarm["hint"]),
        (&"notice".into(), &"routectl undrain".into()),
        "{alarm}"
    );
    Ok(())
}

#[test]
fn bird_sees_the_mark_of_a_drained_node_and_no_session_is_reset() -> Result<()> {
    let pair = Pair::start("drain-bgp", 65001, "")?;
    let bird = bird(&pair, 65001)?;
    pair.they_have_ours(65001, || bird.routes())?;
    await_mark(&pair, &bird, false)?;
    let before = sessions(&bird)?;
    assert_eq!(before.len(), 2, "{before:?}");

    drain(&pair.routed, "changed")?;
    await_mark(&pair, &bird, true)?;
    is_shown(&pair.routed)?;
    drain(&pair.routed, "unchanged")?;

    undrain(&pair.routed, "changed")?;
    await_mark(&pair, &bird, false)?;
    assert_eq!(alarm(&pair.routed)?, None);
    undrain(&pair.routed, "unchanged")?;
    assert_eq!(sessions(&bird)?, before, "the sessions are those of the beginning");
    Ok(())
}

#[test]
fn inside_an_as_a_drained_node_is_the_last_choice() -> Result<()> {
    let pair = Pair::start("drain-ibgp", ASN, "")?;
    let bird = bird(&pair, ASN)?;
    pair.they_have_ours(ASN, || bird.routes())?;
    drain(&pair.routed, "changed")?;
    await_mark(&pair, &bird, true)?;
    let route = bird.birdc(&format!("show route {} all", pair.ours.subnet4()))?;
    assert!(route.contains("BGP.local_pref: 0\n"), "{route}");
    Ok(())
}

#[test]
fn what_an_external_bird_marks_is_the_last_choice_here() -> Result<()> {
    let pair = Pair::start("drain-heard", 65001, "")?;
    let (here, there) = (pair.theirs.ipv4(), pair.ours.ipv4());
    let _bird = Bird::start(
        &pair.theirs,
        &format!(
            "protocol device {{}}\nprotocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
             protocol bgp r4 {{ local {here} as 65001; neighbor {there} as {ASN}; connect retry time 1;\n \
             ipv4 {{ import all; export filter {{ bgp_community.add((65535,0)); accept; }}; }}; }}\n"
        ),
    )?;
    pair.lab.wait_until("the marked route is in the kernel", LIMIT, || {
        has_routes(&pair.ours, &[THEIR_4.into()])
    })?;
    let heard = pair.routed.routectl_json(["routes", THEIR_4])?;
    assert_eq!(heard[0]["local_pref"], 0, "{heard}");
    Ok(())
}

/// Packets of RIPv2 that a node has heard.
fn heard(routed: &Routed) -> Result<u64> {
    let interfaces = routed.routectl_json(["rip", "interfaces"])?;
    let mut all = interfaces.as_array().into_iter().flatten();
    let first = all.find(|one| one["version"] == "ripv2").and_then(|one| one["updates_received"].as_u64());
    first.ok_or_else(|| lab::Error::Claim(format!("no interface of RIPv2 in {interfaces}")))
}

/// A node that speaks RIP with the usual timers, and the container that gives
/// its bridge a carrier.
struct Node {
    routed: Routed,
    host: Host,
    _container: Container,
}

impl Node {
    fn start(lab: &Lab, name: &str) -> Result<Node> {
        let host = lab.host(name)?;
        let container = host.container("c1")?;
        let config = format!(
            "[node]\nname = \"{name}\"\n[cluster]\npools = {POOLS}\nnat_outgoing = false\n\
             [[advertise]]\ninterface = \"docker0\"\n[rip]\ninterfaces = [\"eth0\"]\n"
        );
        Ok(Node { routed: Routed::start(&host, &config)?, host, _container: container })
    }

    /// Waits until the kernel has routes by RIP to both subnets of `other`, or none.
    fn await_routes(&self, other: &Node, there: bool, limit: Duration) -> Result<()> {
        let subnets = [other.host.subnet4(), other.host.subnet6()];
        let what = format!("{} has routes to {}: {there}", self.host.name(), other.host.name());
        self.host.lab().wait_until(&what, limit, || {
            let routes = self.host.kernel_routes().map_err(|e| e.to_string())?;
            let by_rip = |subnet: &String| {
                routes.iter().any(|route| {
                    route["dst"] == **subnet && RIP.iter().any(|number| route["protocol"] == *number)
                })
            };
            if subnets.iter().all(|subnet| by_rip(subnet) == there) {
                Ok(())
            } else {
                Err(serde_json::to_string(&routes).unwrap_or_default())
            }
        })
    }
}

#[test]
fn routes_to_a_drained_node_go_at_once_and_stay_away_over_kill_9() -> Result<()> {
    let lab = Lab::new("drain-rip")?;
    let (mut one, two) = (Node::start(&lab, "n1")?, Node::start(&lab, "n2")?);
    two.await_routes(&one, true, LIMIT)?;
    one.await_routes(&two, true, LIMIT)?;

    drain(&one.routed, "changed")?;
    two.await_routes(&one, false, AT_ONCE)?;
    one.await_routes(&two, true, AT_ONCE)?;
    is_shown(&one.routed)?;

    let before = heard(&two.routed)?;
    one.routed.kill9()?;
    one.routed.restart()?;
    is_shown(&one.routed)?;
    // A request, and then what it tells: no route.
    lab.wait_until("the restarted node has told its table", UPDATE, || {
        let heard = heard(&two.routed).map_err(|e| e.to_string())?;
        if heard >= before + 2 { Ok(()) } else { Err(format!("{before}, then {heard}")) }
    })?;
    two.await_routes(&one, false, Duration::ZERO)?;
    drain(&one.routed, "unchanged")?;

    undrain(&one.routed, "changed")?;
    two.await_routes(&one, true, AT_ONCE)?;
    assert_eq!(alarm(&one.routed)?, None);
    Ok(())
}
