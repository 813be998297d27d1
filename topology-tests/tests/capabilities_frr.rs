//! What routed and FRR agree on beside plain routes, by both their commands.

use lab::{
    Result,
    pair::{ASN, LIMIT, Pair, THEIR_4},
    peer::Frr,
};
use serde_json::Value;

const THEIRS: u32 = 65002;

/// FRR with one IPv4 session to routed; `global` are lines of the router,
/// `neighbor` what stands behind `neighbor ADDRESS` on a line each.
fn frr(pair: &Pair, asn: u32, remote: u32, (global, neighbor): (&str, &[&str])) -> Result<Frr> {
    let there = pair.ours.ipv4();
    let lines =
        neighbor.iter().fold(String::new(), |text, line| text + &format!(" neighbor {there} {line}\n"));
    let config = format!(
        "router bgp {asn}\n bgp router-id {id}\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
         {global} neighbor {there} remote-as {remote}\n neighbor {there} timers connect 1\n{lines} \
         address-family ipv4 unicast\n  network {THEIR_4}\n exit-address-family\n",
        id = pair.theirs.ipv4(),
    );
    Frr::start(&pair.theirs, &config, "")
}

fn pair(name: &str, asn: u32, global: &str, more: &str) -> Result<Pair> {
    let mut pair = Pair::start(name, asn, "")?;
    let config = lab::cluster::base_config(&pair.ours, ASN)
        + global
        + &format!(
            "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {asn}\nconnect_retry = 1\nidle_hold = 1\n\
             families = [\"ipv4\"]\n{more}\n",
            pair.theirs.ipv4()
        );
    pair.routed.write_config(&config)?;
    pair.routed.restart()?;
    Ok(pair)
}

/// What `routectl peers ADDR` says, once `look` is content with it.
fn detail(pair: &Pair, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
    let address = pair.theirs.ipv4().to_string();
    pair.lab.wait_until(what, LIMIT, || {
        let detail = pair.routed.routectl_json(["peers", &address]).map_err(|e| e.to_string())?;
        let detail = if detail.is_array() { detail[0].clone() } else { detail };
        if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
    })
}

fn established(pair: &Pair) -> Result<Value> {
    detail(pair, "the session is up", |detail| detail["state"] == "Established")
}

/// FRR's view of the session.
fn neighbor(pair: &Pair, frr: &Frr) -> Result<Value> {
    let address = pair.ours.ipv4().to_string();
    Ok(frr.json(&format!("show bgp neighbors {address} json"))?[&address].clone())
}

fn we_have_theirs(pair: &Pair) -> Result<()> {
    let wanted = [THEIR_4.to_owned()];
    pair.lab
        .wait_until("our kernel has their prefix", LIMIT, || lab::cluster::has_routes(&pair.ours, &wanted))
}

#[test]
fn both_sides_show_what_both_have_offered() -> Result<()> {
    let pair = pair(
        "frr-caps",
        THEIRS,
        "",
        "role = \"customer\"\nadd_path = \"receive\"\nlong_lived_graceful_restart = 600",
    )?;
    let global = " bgp graceful-restart\n bgp graceful-restart notification\n \
                  bgp long-lived-graceful-restart stale-time 300\n";
    let frr = frr(
        &pair,
        THEIRS,
        ASN,
        (global, &["local-role provider", "capability extended-nexthop", "addpath-tx-all-paths"]),
    )?;
    let ours = established(&pair)?;
    let negotiated = &ours["negotiated"];
    for on in ["four_octet_asn", "route_refresh", "enhanced_route_refresh", "extended_messages"] {
        assert_eq!(negotiated[on], true, "{on}: {ours}");
    }
    assert_eq!(negotiated["graceful_notification"], true, "both have the N bit: {ours}");
    assert_eq!(negotiated["long_lived"][0]["time"], 300, "{ours}");
    assert_eq!((&negotiated["role"], &negotiated["peer_role"]), (&"customer".into(), &"provider".into()));
    let theirs = neighbor(&pair, &frr)?;
    let capabilities = &theirs["neighborCapabilities"];
    assert_eq!(theirs["remoteRole"], "customer", "{theirs}");
    assert_eq!(capabilities["enhancedRouteRefresh"], "advertisedAndReceived", "{capabilities}");
    assert_eq!(capabilities["extendedMessage"], "advertisedAndReceived", "{capabilities}");
    assert_eq!(capabilities["longLivedGracefulRestart"], "advertisedAndReceived", "{capabilities}");
    assert_eq!(capabilities["hostName"]["rcvHostName"], pair.ours.name(), "{capabilities}");
    we_have_theirs(&pair)?;
    // It came from a provider: FRR has marked it, or we have.
    let route = pair.routed.routectl_json(["routes", THEIR_4])?;
    assert_eq!(route[0]["only_to_customer"], THEIRS, "{route}");
    Ok(())
}

#[test]
fn roles_that_do_not_belong_together_end_the_session() -> Result<()> {
    let pair = pair("frr-role", THEIRS, "", "role = \"customer\"")?;
    let _frr = frr(&pair, THEIRS, ASN, ("", &["local-role customer"]))?;
    let refused = |detail: &Value| {
        [&detail["notification_sent"], &detail["notification_received"]]
            .iter()
            .any(|n| n["code"] == 2 && n["subcode"] == 11)
    };
    detail(&pair, "Role Mismatch has passed", refused)?;
    Ok(())
}

#[test]
fn a_peer_without_capabilities_makes_a_session() -> Result<()> {
    let pair = pair("frr-plain", THEIRS, "", "")?;
    let frr = frr(&pair, THEIRS, ASN, ("", &["dont-capability-negotiate"]))?;
    let ours = established(&pair)?;
    assert_eq!(ours["capabilities"].as_array().map(Vec::len), Some(0), "{ours}");
    assert_eq!(ours["negotiated"]["four_octet_asn"], false, "{ours}");
    we_have_theirs(&pair)?;
    let wanted = pair.ours.subnet4();
    pair.lab.wait_until("FRR has our prefix", LIMIT, || {
        let routes = frr.routes().map_err(|e| e.to_string())?;
        if routes.iter().any(|route| route.prefix == wanted) { Ok(()) } else { Err(format!("{routes:?}")) }
    })
}

#[test]
fn a_notification_keeps_routes_where_both_have_the_n_bit_and_a_hard_reset_does_not() -> Result<()> {
    let pair = pair("frr-nbit", THEIRS, "", "")?;
    let global = " bgp graceful-restart\n bgp graceful-restart notification\n";
    let frr = frr(&pair, THEIRS, ASN, (global, &["timers 3 9"]))?;
    we_have_theirs(&pair)?;
    let address = pair.ours.ipv4().to_string();
    // An administrative reset by us is no Hard Reset: FRR keeps our routes, we
    // keep FRR's, and both are fresh again when the session is back.
    let before = established(&pair)?["established_count"].as_u64().unwrap_or_default();
    pair.routed.routectl(["peers", "reset", &pair.theirs.ipv4().to_string()])?.ok()?;
    lab::cluster::has_routes(&pair.ours, &[THEIR_4.to_owned()]).map_err(lab::Error::Claim)?;
    let kept = frr.vtysh(&format!("show bgp ipv4 unicast {}", pair.ours.subnet4()))?;
    assert!(kept.contains(&address), "FRR keeps our route: {kept}");
    detail(&pair, "the session is back", |detail| {
        detail["state"] == "Established" && detail["established_count"].as_u64() > Some(before)
    })?;
    // A shutdown is a Hard Reset: the routes go on both sides.
    pair.routed.routectl(["peers", "disable", &pair.theirs.ipv4().to_string()])?.ok()?;
    pair.lab.wait_until("our kernel has it no more", LIMIT, || {
        let routes = lab::cluster::bgp_routes(&pair.ours).map_err(|e| e.to_string())?;
        if routes.is_empty() { Ok(()) } else { Err(format!("{routes:?}")) }
    })?;
    pair.lab.wait_until("FRR has ours no more", LIMIT, || {
        let routes = frr.routes().map_err(|e| e.to_string())?;
        if routes.iter().any(|route| route.prefix == pair.ours.subnet4()) {
            Err(format!("{routes:?}"))
        } else {
            Ok(())
        }
    })
}

#[test]
fn members_of_a_confederation_see_each_other() -> Result<()> {
    let members = format!("confederation = {{ asn = 100, members = [{THEIRS}] }}\n");
    let pair = pair("frr-confed", THEIRS, &members, "")?;
    let global = format!(" bgp confederation identifier 100\n bgp confederation peers {ASN}\n");
    let frr = frr(&pair, THEIRS, ASN, (&global, &[]))?;
    we_have_theirs(&pair)?;
    let route = pair.routed.routectl_json(["routes", THEIR_4])?;
    assert_eq!(route[0]["as_path"], format!("({THEIRS})"), "{route}");
    let wanted = format!("({ASN})");
    pair.lab.wait_until("FRR sees the member in the path", LIMIT, || {
        let said = frr
            .vtysh(&format!("show bgp ipv4 unicast {}", pair.ours.subnet4()))
            .map_err(|e| e.to_string())?;
        if said.contains(&wanted) { Ok(()) } else { Err(said) }
    })
}
