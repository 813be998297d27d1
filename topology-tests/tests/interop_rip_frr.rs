//! routed and FRR's ripd and ripngd tell each other their prefixes.

use lab::{
    Result,
    cluster::has_routes_of,
    pair::{THEIR_4, THEIR_6},
    peer::Frr,
    rip_pair::{LIMIT, QUICK, RipPair},
    zero::{RIP, RIPNG},
};

const KEY: &str = "s3cret";

/// FRR's side: `interface` lines for eth0, `router` lines for ripd.
fn frr(pair: &RipPair, interface: &str, router: &str) -> Result<Frr> {
    let ripd = format!(
        "key chain lab\n key 1\n  key-string {KEY}\n exit\nexit\ninterface eth0\n{interface}\nexit\n\
         router rip\n version 2\n network eth0\n route {THEIR_4}\n timers basic 5 15 10\n{router}\n"
    );
    let ripngd = format!("router ripng\n network eth0\n route {THEIR_6}\n timers basic 5 15 10\n");
    Frr::start_rip(&pair.theirs, &ripd, &ripngd)
}

/// Both directions, in FRR's own words and in both kernels.
fn exchange(name: &str, rip: &str, interface: &str) -> Result<()> {
    let pair = RipPair::start(name, rip)?;
    let frr = frr(&pair, interface, "")?;
    pair.they_have_ours(2, || frr.rip_routes())?;
    pair.we_have_theirs(2)?;
    for (prefix, number) in [(pair.ours.subnet4(), RIP), (pair.ours.subnet6(), RIPNG)] {
        let wanted = [prefix];
        pair.lab
            .wait_until("FRR's kernel has ours", LIMIT, || has_routes_of(&pair.theirs, number, &wanted))?;
    }
    Ok(())
}

#[test]
fn frr_and_routed_exchange_routes() -> Result<()> {
    exchange("rfrr", "", "")
}

#[test]
fn frr_and_routed_exchange_routes_under_a_text_password() -> Result<()> {
    let (_dir, key) = RipPair::key_file(KEY)?;
    let rip = format!("{QUICK}\nauth = {{ mode = \"text\", key_file = \"{key}\" }}");
    exchange("rfrr-text", &rip, " ip rip authentication mode text\n ip rip authentication string s3cret")
}

/// Each with the digest length that RFC 2082 has, and with that of old ripd.
#[test]
fn frr_and_routed_exchange_routes_under_keyed_md5_with_both_lengths() -> Result<()> {
    let (_dir, key) = RipPair::key_file(KEY)?;
    let rip = format!("{QUICK}\nauth = {{ mode = \"keyed-md5\", key_file = \"{key}\" }}");
    for length in ["rfc", "old-ripd"] {
        let interface = format!(
            " ip rip authentication mode md5 auth-length {length}\n ip rip authentication key-chain lab"
        );
        exchange(&format!("rfrr-{length}"), &rip, &interface)?;
    }
    Ok(())
}

/// FRR counts its sequence numbers from 1 again: what it says is refused as
/// replayed until its old routes have timed out, and then taken.
#[test]
fn frr_comes_back_after_a_restart_under_keyed_md5_and_so_does_routed() -> Result<()> {
    let (_dir, key) = RipPair::key_file(KEY)?;
    let mut pair = RipPair::start(
        "rfrr-re",
        &format!("{QUICK}\nauth = {{ mode = \"keyed-md5\", key_file = \"{key}\" }}"),
    )?;
    let interface = " ip rip authentication mode md5 auth-length rfc\n ip rip authentication key-chain lab";
    let first = frr(&pair, interface, "")?;
    pair.we_have_theirs(2)?;
    pair.they_have_ours(2, || first.rip_routes())?;
    drop(first);
    pair.we_lack(THEIR_4, RIP)?;
    pair.we_lack(THEIR_6, RIPNG)?;
    let second = frr(&pair, interface, "")?;
    pair.we_have_theirs(2)?;
    pair.they_have_ours(2, || second.rip_routes())?;

    // Our own numbers never go back: FRR goes on with what we say.
    pair.routed.kill9()?;
    pair.routed.restart()?;
    second.vtysh("clear ip rip")?;
    pair.they_have_ours(2, || second.rip_routes())?;
    pair.we_have_theirs(2)
}

/// All timers are those of the RFC: only poison is that quick.
#[test]
fn withdrawn_routes_are_poisoned_at_once_both_ways() -> Result<()> {
    let pair = RipPair::start("rfrr-poison", "")?;
    let frr = frr(&pair, "", " timers basic 30 180 120")?;
    pair.routed.routectl(["routes", "announce", "10.244.77.0/24"])?.ok()?;
    pair.they_have_ours(2, || frr.rip_routes())?;
    pair.we_have_theirs(2)?;
    let has = || frr.rip_routes().map(|routes| routes.iter().any(|r| r.prefix == "10.244.77.0/24"));
    pair.lab.wait_until("FRR has what we announce", LIMIT, || match has() {
        Ok(true) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    pair.routed.routectl(["routes", "withdraw", "10.244.77.0/24"])?.ok()?;
    pair.they_lack("10.244.77.0/24", || frr.rip_routes())?;
    frr.configure(&["router rip", &format!("no route {THEIR_4}")])?;
    frr.configure(&["router ripng", &format!("no route {THEIR_6}")])?;
    pair.we_lack(THEIR_4, RIP)?;
    pair.we_lack(THEIR_6, RIPNG)
}

#[test]
fn offsets_add_to_the_metric_both_ways() -> Result<()> {
    let pair = RipPair::start("rfrr-offset", "offset_in = 2\noffset_out = 3")?;
    let frr = frr(&pair, "", "")?;
    pair.they_have_ours(5, || frr.rip_routes())?;
    pair.we_have_theirs(4)
}

#[test]
fn passive_interface_learns_and_tells_nothing() -> Result<()> {
    let pair = RipPair::start("rfrr-passive", "passive = true")?;
    let frr = frr(&pair, "", "")?;
    pair.we_have_theirs(2)?;
    let interfaces = pair.routed.routectl_json(["rip", "interfaces"])?;
    for interface in interfaces.as_array().into_iter().flatten() {
        assert_eq!(
            (&interface["passive"], &interface["packets_sent"]),
            (&true.into(), &0.into()),
            "{interface}"
        );
    }
    assert_eq!(frr.rip_routes()?, []);
    Ok(())
}

/// FRR listens to the group on no interface and speaks to its neighbour alone.
#[test]
fn unicast_neighbours_need_no_group() -> Result<()> {
    let pair = RipPair::start("rfrr-uni", "neighbors = [\"192.0.2.2\"]\nng = false")?;
    let frr = frr(&pair, "", " passive-interface eth0\n neighbor 192.0.2.1")?;
    pair.we_have(THEIR_4, RIP)?;
    let ours = pair.ours.subnet4();
    pair.lab.wait_until("FRR has our prefix", LIMIT, || {
        let routes = frr.rip_routes().map_err(|e| e.to_string())?;
        if routes.iter().any(|route| route.prefix == ours) { Ok(()) } else { Err(format!("{routes:?}")) }
    })?;
    let near = pair.await_neighbor("192.0.2.2", "is a configured one", |near| near["configured"] == true)?;
    assert_eq!(near["bad_packets"], 0, "{near}");
    let interfaces = pair.routed.routectl_json(["rip", "interfaces"])?;
    assert_eq!(interfaces[0]["destinations"], serde_json::json!(["192.0.2.2"]), "{interfaces}");
    Ok(())
}
