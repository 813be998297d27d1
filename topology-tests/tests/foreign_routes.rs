//! What others put into the kernel is theirs.

use lab::{
    Host, Result,
    cluster::{bgp_routes, has_routes},
    pair::{ASN, LIMIT, Pair, THEIR_4, THEIR_6},
    peer::{Bird, Routed},
};

/// A prefix that BIRD announces and nobody else has.
const CONTROL: &str = "10.244.51.0/24";

fn bird(pair: &Pair) -> Result<Bird> {
    let config = format!(
        "protocol device {{}}\n\
         protocol static s4 {{ ipv4; route {THEIR_4} blackhole; route {CONTROL} blackhole; }}\n\
         protocol bgp r4 {{ local {} as {ASN}; neighbor {} as {ASN}; connect retry time 1;\n \
         ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }}; }}\n",
        pair.theirs.ipv4(),
        pair.ours.ipv4(),
    );
    Bird::start(&pair.theirs, &config)
}

/// The route of the other owner, as the kernel tells it.
fn foreign(host: &Host) -> Result<String> {
    Ok(host.exec(["ip", "route", "show", THEIR_4, "proto", "static"])?.ok()?.stdout)
}

/// Whatever the daemon does, the other owner's route stays as it was.
#[test]
fn route_of_another_owner_with_the_same_prefix_survives() -> Result<()> {
    let mut pair = Pair::start("foreign", ASN, "")?;
    pair.ours.ip(&[format!("route add {THEIR_4} via 192.0.2.254 proto static")])?;
    let before = foreign(&pair.ours)?;
    assert!(before.contains("192.0.2.254"), "{before}");
    let bird = bird(&pair)?;

    let control = [CONTROL.to_owned()];
    pair.lab.wait_until("the other prefix of the peer is installed", LIMIT, || {
        has_routes(&pair.ours, &control)
    })?;
    assert_eq!(foreign(&pair.ours)?, before, "while both know the prefix");

    bird.birdc_write("disable s4")?;
    pair.lab.wait_until("the withdrawn prefix is gone", LIMIT, || {
        let have = bgp_routes(&pair.ours).map_err(|e| e.to_string())?;
        if have.contains(&control[0]) { Err(format!("{have:?}")) } else { Ok(()) }
    })?;
    assert_eq!(foreign(&pair.ours)?, before, "after the peer withdrew it");

    Routed::sigterm(&mut pair.routed)?;
    pair.routed.cleanup()?.ok()?;
    assert_eq!(foreign(&pair.ours)?, before, "after the cleanup");
    Ok(())
}

/// The other way round: what somebody deletes of ours is noticed.
#[test]
fn deleted_route_of_ours_comes_back() -> Result<()> {
    let pair = Pair::start("repair", ASN, "")?;
    let _bird = bird(&pair)?;
    let control = [CONTROL.to_owned()];
    pair.lab.wait_until("the prefix is installed", LIMIT, || has_routes(&pair.ours, &control))?;
    pair.ours.exec(["ip", "route", "del", CONTROL, "proto", "bgp"])?.ok()?;
    pair.lab.wait_until("the deleted route is repaired", LIMIT, || has_routes(&pair.ours, &control))
}

/// IPv6, where the kernel makes one route of many: a stranger's route that is
/// there first keeps ours out, one that comes later stays when ours goes.
#[test]
fn ipv6_routes_of_another_owner_survive_before_and_after_ours() -> Result<()> {
    const LATER: &str = "fd44:0:0:51::/64";
    let mut pair = Pair::start("foreign6", ASN, "")?;
    let gateway = pair.theirs.ipv6();
    pair.ours.ip(&[format!("route add {THEIR_6} via {gateway} proto static")])?;
    let shown = |prefix: &str| -> Result<Vec<String>> {
        let text = pair.ours.exec(["ip", "-6", "route", "show", prefix, "proto", "static"])?.ok()?.stdout;
        Ok(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
    };
    let first = shown(THEIR_6)?;
    assert_eq!(first.len(), 1, "{first:?}");
    let config = format!(
        "protocol device {{}}\n\
         protocol static s6 {{ ipv6; route {THEIR_6} blackhole; route {LATER} blackhole; }}\n\
         protocol bgp r6 {{ local {gateway} as {ASN}; neighbor {} as {ASN}; connect retry time 1;\n \
         ipv6 {{ import all; export where source = RTS_STATIC; next hop self; }}; }}\n",
        pair.ours.ipv6(),
    );
    let bird = Bird::start(&pair.theirs, &config)?;
    let control = [LATER.to_owned()];
    pair.lab.wait_until("the other prefix is installed", LIMIT, || has_routes(&pair.ours, &control))?;
    assert_eq!(shown(THEIR_6)?, first, "ours kept out of the way");
    assert!(!bgp_routes(&pair.ours)?.contains(&THEIR_6.to_owned()), "and is not beside it");
    let reason = pair.routed.routectl_json(["routes", THEIR_6])?;
    assert!(reason[0]["install_error"].to_string().contains("another owner"), "{reason}");

    // The stranger comes second, at a metric of its own.
    pair.ours.ip(&[format!("route add {LATER} via {gateway} proto static metric 512")])?;
    let second = shown(LATER)?;
    assert_eq!(second.len(), 1, "{second:?}");
    bird.birdc_write("disable s6")?;
    pair.lab.wait_until("ours is gone", LIMIT, || {
        let have = bgp_routes(&pair.ours).map_err(|e| e.to_string())?;
        if have.contains(&control[0]) { Err(format!("{have:?}")) } else { Ok(()) }
    })?;
    assert_eq!((shown(THEIR_6)?, shown(LATER)?), (first.clone(), second.clone()));
    // With the first stranger gone, ours takes the place at once.
    bird.birdc_write("enable s6")?;
    pair.lab.wait_until("ours is back", LIMIT, || has_routes(&pair.ours, &control))?;
    pair.ours.ip(&[format!("route del {THEIR_6} proto static")])?;
    let theirs = [THEIR_6.to_owned()];
    pair.lab.wait_until("ours follows the stranger's", LIMIT, || has_routes(&pair.ours, &theirs))?;
    Routed::sigterm(&mut pair.routed)?;
    pair.routed.cleanup()?.ok()?;
    let left = pair.ours.exec(["ip", "-6", "route", "show", LATER])?.ok()?.stdout;
    assert!(left.contains("proto static") && !left.contains("proto bgp"), "{left}");
    Ok(())
}
