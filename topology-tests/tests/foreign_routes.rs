//! What others put into the kernel is theirs.

use lab::{
    Host, Result,
    cluster::{bgp_routes, has_routes},
    pair::{ASN, LIMIT, Pair, THEIR_4},
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
