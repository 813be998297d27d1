//! routed and `OpenBGPD`: routes of both families, keys, communities, limits
//! and refresh, each seen by both.

use lab::{
    Error, Host, Result,
    pair::{ASN, LIMIT, Pair, THEIR_4, THEIR_6},
    peer::Openbgpd,
};

fn neighbor(ours: &Host, asn: u32, more: &str) -> String {
    let one = |address: String, family: &str| {
        format!(
            "neighbor {address} {{\n remote-as {asn}\n announce {family} unicast\n announce {} none\n {more}\n}}\n",
            if family == "IPv4" { "IPv6" } else { "IPv4" }
        )
    };
    one(ours.ipv4().to_string(), "IPv4") + &one(ours.ipv6().to_string(), "IPv6")
}

fn bgpd(pair: &Pair, asn: u32, more: &str) -> Result<Openbgpd> {
    let networks = format!("network {THEIR_4} set {{ large-community {asn}:1:2 }}\nnetwork {THEIR_6}\n");
    Openbgpd::start(&pair.theirs, asn, &(networks + &neighbor(&pair.ours, ASN, more)))
}

fn exchange(name: &str, asn: u32, ours: &str, theirs: &str) -> Result<()> {
    let pair = Pair::start(name, asn, ours)?;
    let bgpd = bgpd(&pair, asn, theirs)?;
    pair.sessions_are_up()?;
    pair.they_have_ours(asn, || bgpd.routes())?;
    pair.we_have_theirs()?;
    for address in [pair.ours.ipv4().to_string(), pair.ours.ipv6().to_string()] {
        assert_eq!(bgpd.session_state(&address)?, "Established");
    }
    let route = pair.routed.routectl_json(["routes", THEIR_4])?;
    assert!(route.to_string().contains(&format!("{asn}:1:2")), "the large community came along: {route}");
    Ok(())
}

#[test]
fn openbgpd_and_routed_exchange_routes_inside_one_as() -> Result<()> {
    exchange("obgpd-i", ASN, "", "")
}

#[test]
fn openbgpd_and_routed_exchange_routes_between_two_as_under_tcp_md5() -> Result<()> {
    let dir = tempfile::tempdir().map_err(Error::io("make a directory"))?;
    let key = dir.path().join("peer.key");
    std::fs::write(&key, "s3cret\n").map_err(Error::file(&key))?;
    let ours = format!("password_file = \"{}\"", key.display());
    exchange("obgpd-e", 65001, &ours, "tcp md5sig password s3cret")
}

#[test]
fn openbgpd_and_routed_refresh_each_other_and_end_at_the_limit() -> Result<()> {
    let pair =
        Pair::start("obgpd-r", 65001, "max_prefixes = { limit = 1, action = \"shut\", restart = 3600 }")?;
    let bgpd = bgpd(&pair, 65001, "max-prefix 2")?;
    let (us, them) = (pair.ours.ipv4().to_string(), pair.theirs.ipv4().to_string());
    pair.sessions_are_up()?;
    let detail = |what: &str, look: &dyn Fn(&serde_json::Value) -> bool| {
        pair.lab.wait_until(what, LIMIT, || {
            let detail = pair.routed.routectl_json(["peers", &them]).map_err(|e| e.to_string())?;
            if look(&detail) { Ok(()) } else { Err(detail.to_string()) }
        })
    };
    bgpd.bgpctl(&["neighbor", &us, "refresh"])?;
    detail("we are asked for our routes", &|d| {
        d["messages"]["received"]["route_refresh"].as_u64() >= Some(1)
    })?;
    pair.routed.routectl(["peers", "refresh", &them])?.ok()?;
    pair.lab.wait_until("OpenBGPD is asked for its routes", LIMIT, || {
        let answer = bgpd.json(&["show", "neighbor", &us]).map_err(|e| e.to_string())?;
        let stats = &answer["neighbors"][0]["stats"]["message"]["received"];
        if stats["route_refresh"].as_u64() >= Some(1) { Ok(()) } else { Err(answer.to_string()) }
    })?;

    // Two more prefixes than it may tell us, and than we may tell it.
    for prefix in ["10.244.70.0/24", "10.244.71.0/24"] {
        pair.routed.routectl(["routes", "announce", prefix])?.ok()?;
    }
    detail("OpenBGPD ends the session", &|d| {
        d["notification_received"]["code"] == 6 && d["notification_received"]["subcode"] == 1
    })?;
    for prefix in ["10.244.70.0/24", "10.244.71.0/24"] {
        pair.routed.routectl(["routes", "withdraw", prefix])?.ok()?;
    }
    bgpd.bgpctl(&["neighbor", &us, "up"])?;
    detail("the session is up again", &|d| d["state"] == "Established")?;
    bgpd.bgpctl(&["network", "add", "10.244.60.0/24"])?;
    detail("we end the session", &|d| d["notification_sent"]["subcode"] == 1)?;
    // It dials again and is refused, which takes the place of the first word.
    pair.lab.wait_until("OpenBGPD shows a Cease of ours", LIMIT, || {
        let text = bgpd.bgpctl(&["show", "neighbor", &us]).map_err(|e| e.to_string())?;
        if text.contains("Last error received: Cease") { Ok(()) } else { Err(text) }
    })
}
