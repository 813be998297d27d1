//! What routed and BIRD agree on beside plain routes, and what comes of it;
//! each side's view by its own command.

use lab::{
    Error, Result,
    pair::{ASN, LIMIT, Pair, THEIR_4, THEIR_6},
    peer::Bird,
};
use serde_json::Value;

const THEIRS: u32 = 65001;

/// BIRD with one session to routed over IPv4, for both families; `session` goes
/// into the session, `channel` into each of its families.
fn bird(pair: &Pair, asn: u32, session: &str, channel: &str) -> Result<Bird> {
    bird_with(pair, asn, session, (channel, channel))
}

/// The same with the two families told apart.
fn bird_with(pair: &Pair, asn: u32, session: &str, (ipv4, ipv6): (&str, &str)) -> Result<Bird> {
    let (ours, theirs) = (&pair.ours, &pair.theirs);
    Bird::start(
        theirs,
        &format!(
            "protocol device {{}}\nprotocol direct {{ ipv4; ipv6; }}\n\
             protocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
             protocol static s6 {{ ipv6; route {THEIR_6} blackhole; }}\n\
             protocol bgp r4 {{ local {here} as {asn}; neighbor {there} as {ASN}; connect retry time 1;\n {session}\n\
             ipv4 {{ import all; export where source = RTS_STATIC; next hop self; {ipv4} }};\n\
             ipv6 {{ import all; export where source = RTS_STATIC; next hop self; {ipv6} }}; }}\n",
            here = theirs.ipv4(),
            there = ours.ipv4(),
        ),
    )
}

/// One session for both families, with `more` in our peer.
fn pair(name: &str, asn: u32, global: &str, more: &str) -> Result<Pair> {
    let pair = Pair::start(name, asn, "")?;
    let config = lab::cluster::base_config(&pair.ours, ASN)
        + global
        + &format!(
            "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {asn}\nconnect_retry = 1\nidle_hold = 1\n{more}\n",
            pair.theirs.ipv4()
        );
    let mut pair = pair;
    pair.routed.write_config(&config)?;
    pair.routed.restart()?;
    Ok(pair)
}

/// What `routectl peers ADDR` says of BIRD, once `look` is content with it.
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

/// Waits until BIRD answers a question as `look` wants it.
fn birdc(pair: &Pair, bird: &Bird, question: &str, look: impl Fn(&str) -> bool) -> Result<String> {
    pair.lab.wait_until(&format!("birdc {question}"), LIMIT, || {
        let said = bird.birdc(question).map_err(|e| e.to_string())?;
        if look(&said) { Ok(said) } else { Err(said) }
    })
}

/// The candidates of a prefix in our table.
fn candidates(pair: &Pair, prefix: &str) -> Result<Vec<Value>> {
    let routes = pair.routed.routectl_json(["routes", prefix, "--all"])?;
    Ok(routes.as_array().cloned().unwrap_or_default())
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn both_sides_show_what_both_have_offered() -> Result<()> {
    let pair = pair(
        "cap-all",
        THEIRS,
        "",
        "role = \"provider\"\nadd_path = \"both\"\nlong_lived_graceful_restart = 600\nextended_next_hop = true",
    )?;
    let bird = bird_with(
        &pair,
        THEIRS,
        "local role customer; enable extended messages on; graceful restart on; graceful restart time 77; \
         long lived graceful restart on; long lived stale time 300;",
        // In IPv6 BIRD would tell IPv4 next hops.
        ("add paths on; extended next hop on;", "add paths on;"),
    )?;
    let ours = established(&pair)?;
    let negotiated = &ours["negotiated"];
    for on in [
        "four_octet_asn",
        "route_refresh",
        "enhanced_route_refresh",
        "extended_messages",
        "extended_next_hop",
    ] {
        assert_eq!(negotiated[on], true, "{on}: {ours}");
    }
    assert_eq!(words(&negotiated["add_path_receive"]), ["ipv4", "ipv6"], "{ours}");
    assert_eq!(words(&negotiated["add_path_send"]), ["ipv4", "ipv6"], "{ours}");
    assert_eq!((&negotiated["role"], &negotiated["peer_role"]), (&"provider".into(), &"customer".into()));
    assert_eq!(negotiated["graceful_restart"]["time"], 77, "{ours}");
    assert_eq!(negotiated["graceful_notification"], false, "BIRD knows no N bit: {ours}");
    assert_eq!(negotiated["long_lived"][0]["time"], 300, "{ours}");
    for offered in ["add-path-both", "role-customer", "long-lived-graceful-restart", "extended-message"] {
        assert!(words(&ours["capabilities"]).contains(&offered), "{offered}: {ours}");
    }
    for offered in ["add-path-both", "role-provider", "long-lived-graceful-restart", "fqdn"] {
        assert!(words(&ours["capabilities_sent"]).contains(&offered), "{offered}: {ours}");
    }
    // Twice: BIRD's own capabilities, then ours.
    let theirs = birdc(&pair, &bird, "show protocols all r4", |said| said.contains("Established"))?;
    for word in [
        "Role: provider",
        "Role: customer",
        "Enhanced refresh",
        "Extended message",
        "Long-lived graceful restart",
    ] {
        assert!(theirs.contains(word), "{word} is not in {theirs}");
    }
    for twice in ["ADD-PATH", "IPv6 nexthop", "4-octet AS numbers"] {
        assert_eq!(theirs.matches(twice).count(), 2, "{twice}: {theirs}");
    }
    assert!(theirs.contains(&format!("Hostname: {}", pair.ours.name())), "{theirs}");
    pair.they_have_ours(THEIRS, || bird.routes())?;
    pair.we_have_theirs()
}

#[test]
fn roles_that_do_not_belong_together_end_the_session_on_both_sides() -> Result<()> {
    let pair = pair("cap-mismatch", THEIRS, "", "role = \"provider\"")?;
    let bird = bird(&pair, THEIRS, "local role provider;", "")?;
    let refused = |detail: &Value| {
        [&detail["notification_sent"], &detail["notification_received"]]
            .iter()
            .any(|n| n["code"] == 2 && n["subcode"] == 11)
    };
    detail(&pair, "Role Mismatch has passed", refused)?;
    let said = birdc(&pair, &bird, "show protocols r4", |said| said.to_lowercase().contains("role"))?;
    assert!(!said.contains("Established"), "{said}");
    Ok(())
}

#[test]
fn what_comes_from_a_provider_is_marked_and_goes_to_customers_only() -> Result<()> {
    let pair = pair("cap-otc", THEIRS, "", "role = \"customer\"\nexport = \"accept-all\"")?;
    let bird = bird(&pair, THEIRS, "local role provider;", "")?;
    established(&pair)?;
    pair.we_have_theirs()?;
    // BIRD as a provider marks what it tells; what we tell up has no mark.
    let route = birdc(&pair, &bird, &format!("show route all {}", pair.ours.subnet4()), |said| {
        said.contains("BGP.as_path")
    })?;
    assert!(!route.to_lowercase().contains("otc"), "{route}");
    drop(bird);
    // The other way about: we are the provider, and BIRD sees our mark.
    let (mut pair, config) = (pair, "role = \"provider\"");
    let text = lab::cluster::base_config(&pair.ours, ASN)
        + &format!(
            "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {THEIRS}\nconnect_retry = 1\nidle_hold = 1\n{config}\n",
            pair.theirs.ipv4()
        );
    pair.routed.write_config(&text)?;
    pair.routed.restart()?;
    let bird = super_bird(&pair)?;
    established(&pair)?;
    let route = birdc(&pair, &bird, &format!("show route all {}", pair.ours.subnet4()), |said| {
        said.to_lowercase().contains("otc")
    })?;
    assert!(route.contains(&ASN.to_string()), "{route}");
    Ok(())
}

/// BIRD as our customer.
fn super_bird(pair: &Pair) -> Result<Bird> {
    bird(pair, THEIRS, "local role customer;", "")
}

#[test]
fn refreshes_are_marked_both_ways_and_lose_no_route() -> Result<()> {
    let pair = pair("cap-refresh", THEIRS, "", "")?;
    let bird = bird(&pair, THEIRS, "", "")?;
    pair.we_have_theirs()?;
    pair.they_have_ours(THEIRS, || bird.routes())?;
    let address = pair.theirs.ipv4().to_string();
    // We ask; BIRD answers between marks of each family.
    pair.routed.routectl(["peers", "refresh", &address])?.ok()?;
    detail(&pair, "BIRD has marked begin and end", |detail| {
        detail["messages"]["received"]["route_refresh"].as_u64() >= Some(4)
    })?;
    let log = pair.lab.wait_until("the refresh has ended", LIMIT, || {
        let log = pair.routed.log().map_err(|e| e.to_string())?;
        if log.matches("peer has told its routes again").count() >= 2 { Ok(log) } else { Err(log) }
    })?;
    assert!(log.contains("swept=0"), "nothing was lost: {log}");
    pair.we_have_theirs()?;
    // BIRD asks; we answer between marks.
    let sent = |detail: &Value| detail["messages"]["sent"]["route_refresh"].as_u64().unwrap_or(0);
    let before = sent(&established(&pair)?);
    bird.birdc_write("reload in r4")?;
    detail(&pair, "we have marked begin and end", |detail| sent(detail) >= before + 4)?;
    pair.they_have_ours(THEIRS, || bird.routes())
}

#[test]
fn several_paths_to_a_prefix_are_received_and_share_its_traffic() -> Result<()> {
    let pair = pair("cap-paths", ASN, "", "add_path = \"receive\"\nfamilies = [\"ipv4\"]")?;
    let other = pair.lab.router("other")?;
    let (here, there) = (pair.theirs.ipv4(), pair.ours.ipv4());
    let bird = Bird::start(
        &pair.theirs,
        &format!(
            "protocol device {{}}\nprotocol direct {{ ipv4; }}\n\
             protocol static a {{ ipv4; route {THEIR_4} via {}; }}\nprotocol static b {{ ipv4; route {THEIR_4} via {}; }}\n\
             protocol bgp r4 {{ local {here} as {ASN}; neighbor {there} as {ASN}; connect retry time 1;\n\
             ipv4 {{ import all; export where source = RTS_STATIC; add paths tx; }}; }}\n",
            other.ipv4(),
            // The second way is BIRD itself, by an address of its own.
            second_address(&pair)?,
        ),
    )?;
    let paths = pair.lab.wait_until("both paths are in the table", LIMIT, || {
        let paths = candidates(&pair, THEIR_4).map_err(|e| e.to_string())?;
        if paths.len() == 2 { Ok(paths) } else { Err(format!("{paths:?}")) }
    })?;
    let kernel = pair.ours.exec(["ip", "route", "show", THEIR_4])?.ok()?.stdout;
    assert_eq!(kernel.matches("via ").count(), 2, "{kernel} for {paths:?}");
    // One goes, the other stays.
    bird.birdc_write("disable b")?;
    pair.lab.wait_until("one path is left", LIMIT, || {
        let paths = candidates(&pair, THEIR_4).map_err(|e| e.to_string())?;
        if paths.len() == 1 { Ok(()) } else { Err(format!("{paths:?}")) }
    })?;
    lab::cluster::has_routes(&pair.ours, &[THEIR_4.to_owned()]).map_err(Error::Claim)
}

/// An address on the LAN that answers at the peer's host.
fn second_address(pair: &Pair) -> Result<String> {
    let third = pair.lab.router("third")?;
    Ok(third.ipv4().to_string())
}

/// The value of a key of our best path to a prefix.
fn best(pair: &Pair, prefix: &str, key: &str) -> Result<Value> {
    let routes = pair.routed.routectl_json(["routes", prefix])?;
    Ok(routes[0][key].clone())
}

/// Waits until a key of our best path to a prefix is as wanted.
fn await_best(pair: &Pair, prefix: &str, key: &str, wanted: &Value) -> Result<()> {
    pair.lab.wait_until(&format!("{key} of {prefix} is {wanted}"), LIMIT, || {
        let routes = pair.routed.routectl_json(["routes", prefix]).map_err(|e| e.to_string())?;
        if routes[0][key] == *wanted { Ok(()) } else { Err(routes.to_string()) }
    })
}

#[test]
fn routes_of_a_peer_that_does_not_come_back_are_kept_for_long_and_then_fresh_again() -> Result<()> {
    let pair = pair("cap-llgr", THEIRS, "", "long_lived_graceful_restart = 600")?;
    let restart = "graceful restart on; graceful restart time 2; long lived graceful restart on; \
                   long lived stale time 300;";
    let bird = bird(&pair, THEIRS, restart, "")?;
    pair.we_have_theirs()?;
    // Killed: nothing is said, and after two seconds it is long gone.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(bird.pid().cast_signed()), nix::sys::signal::SIGKILL)
        .map_err(|why| Error::Claim(why.to_string()))?;
    await_best(&pair, THEIR_4, "communities", &serde_json::json!(["llgr-stale"]))?;
    assert_eq!(best(&pair, THEIR_4, "stale")?, true);
    lab::cluster::has_routes(&pair.ours, &[THEIR_4.to_owned()]).map_err(Error::Claim)?;
    drop(bird);
    // It is back, with its forwarding state kept as far as it says.
    let _bird = super_restart(&pair, restart)?;
    await_best(&pair, THEIR_4, "communities", &serde_json::json!([]))?;
    await_best(&pair, THEIR_4, "stale", &false.into())?;
    pair.we_have_theirs()
}

fn super_restart(pair: &Pair, session: &str) -> Result<Bird> {
    bird(pair, THEIRS, session, "")
}

#[test]
fn ipv4_goes_over_ipv6_next_hops_both_ways_and_into_the_kernel() -> Result<()> {
    let mut pair = Pair::start("cap-nexthop", THEIRS, "")?;
    let (here, there) = (pair.theirs.ipv6(), pair.ours.ipv6());
    // Without IPv4 on the link there is no other next hop.
    for host in [&pair.ours, &pair.theirs] {
        host.exec(["ip", "-4", "address", "flush", "dev", "eth0"])?.ok()?;
    }
    let config = lab::cluster::base_config(&pair.ours, ASN)
        + &format!(
            "\n[[bgp.peer]]\naddress = \"{here}\"\nasn = {THEIRS}\nconnect_retry = 1\nidle_hold = 1\n"
        );
    pair.routed.write_config(&config)?;
    pair.routed.restart()?;
    let bird = Bird::start(
        &pair.theirs,
        &format!(
            "protocol device {{}}\nprotocol direct {{ ipv4; ipv6; }}\nprotocol kernel {{ ipv4 {{ export all; }}; }}\n\
             protocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
             protocol bgp r6 {{ local {here} as {THEIRS}; neighbor {there} as {ASN}; connect retry time 1;\n\
             ipv4 {{ import all; export where source = RTS_STATIC; extended next hop on; next hop self; }}; }}\n"
        ),
    )?;
    let ours = pair.ours.subnet4();
    let link_local = pair.ours.link_local()?;
    birdc(&pair, &bird, &format!("show route {ours}"), |said| {
        said.contains(&format!("via {there}")) || said.contains(&format!("via {link_local}"))
    })?;
    pair.lab.wait_until("our kernel has the route over IPv6", LIMIT, || {
        let said = pair.ours.exec(["ip", "-4", "route", "show", THEIR_4]).map_err(|e| e.to_string())?.stdout;
        if said.contains("via inet6") { Ok(()) } else { Err(said) }
    })?;
    Ok(())
}

#[test]
fn members_of_a_confederation_see_each_other_and_the_path_inside() -> Result<()> {
    let members = format!("confederation = {{ asn = 100, members = [{THEIRS}] }}\n");
    let pair = pair("cap-confed", THEIRS, &members, "")?;
    let bird = bird(&pair, THEIRS, "confederation 100; confederation member on;", "")?;
    pair.we_have_theirs()?;
    assert_eq!(best(&pair, THEIR_4, "as_path")?, format!("({THEIRS})"));
    assert_eq!(best(&pair, THEIR_4, "distance")?, 200, "a member is no external peer");
    let inside = format!("BGP.as_path: ({ASN})");
    birdc(&pair, &bird, &format!("show route all {}", pair.ours.subnet4()), |said| said.contains(&inside))?;
    Ok(())
}

#[test]
fn the_world_outside_sees_the_confederation_only() -> Result<()> {
    let members = format!("confederation = {{ asn = 100, members = [{ASN}] }}\n");
    let pair = pair("cap-outside", THEIRS, &members.replace(&ASN.to_string(), "65055"), "")?;
    let (here, there) = (pair.theirs.ipv4(), pair.ours.ipv4());
    let bird = Bird::start(
        &pair.theirs,
        &format!(
            "protocol device {{}}\nprotocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
             protocol bgp r4 {{ local {here} as {THEIRS}; neighbor {there} as 100; connect retry time 1;\n\
             ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }}; }}\n"
        ),
    )?;
    birdc(&pair, &bird, &format!("show route all {}", pair.ours.subnet4()), |said| {
        said.contains("BGP.as_path: 100\n")
    })?;
    assert_eq!(established(&pair)?["local_asn"], 100);
    Ok(())
}

#[test]
fn bird_hears_the_accumulated_metric_that_a_filter_begins() -> Result<()> {
    let begins = "\n[[filter]]\nname = \"begins\"\nrules = [{ protocol = \"local\", action = \"accept\", set = { aigp = 30 } }]\n";
    let pair = pair("cap-aigp", ASN, begins, "export = \"begins\"")?;
    let bird = bird(&pair, ASN, "", "")?;
    established(&pair)?;
    let question = format!("show route {} all", pair.ours.subnet4());
    birdc(&pair, &bird, &question, |said| said.lines().any(|line| line.trim() == "BGP.aigp: 30"))?;
    Ok(())
}
