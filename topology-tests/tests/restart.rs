//! A restart loses no packet: the kernel goes on forwarding, peers keep the routes.

use std::{collections::BTreeSet, time::Duration};

use lab::{
    Result,
    cluster::{Mesh, bgp_routes},
    peer::Routed,
    traffic::Stream,
};

/// Runs streams into and out of node 1 while `end` ends its daemon, starts it
/// again and waits until all sessions are back; no packet may be lost.
fn no_packet_is_lost(name: &str, end: impl FnOnce(&mut Routed) -> Result<()>) -> Result<()> {
    let mut mesh = Mesh::start(name, 3, 1)?;
    let (here, there) = (mesh.container(0)?.clone(), mesh.container(1)?.clone());
    let streams = [
        Stream::start(&here, &there, there.ipv4().into())?,
        Stream::start(&there, &here, here.ipv4().into())?,
        Stream::start(&there, &here, here.ipv6().into())?,
    ];
    let all_sent = |count| streams.iter().try_for_each(|stream| stream.await_sent(count));
    all_sent(50)?;
    end(&mut mesh.nodes[0].routed)?;
    all_sent(50)?;
    mesh.nodes[0].routed.restart()?;
    let address = mesh.nodes[0].host.ipv4().to_string();
    mesh.lab.wait_until("the peers have their sessions back", Duration::from_secs(30), || {
        mesh.nodes[1..].iter().try_for_each(|node| {
            let state = node.routed.session_state(&address).map_err(|e| e.to_string())?;
            if state == "Established" { Ok(()) } else { Err(format!("{}: {state}", node.host.name())) }
        })
    })?;
    mesh.await_routes(Duration::from_secs(10))?;
    // What is stale is swept after the End-of-RIB: packets go on over that.
    all_sent(200)?;
    for stream in streams {
        let report = stream.finish()?;
        assert_eq!(report.lost, 0, "{report:?}\n{}", mesh.lab.evidence());
    }
    Ok(())
}

#[test]
fn restart_after_sigterm_loses_no_packet() -> Result<()> {
    no_packet_is_lost("sigterm", |routed| {
        assert_eq!(routed.sigterm()?, 0, "a clean end");
        Ok(())
    })
}

#[test]
fn restart_after_kill_9_loses_no_packet() -> Result<()> {
    no_packet_is_lost("kill9", Routed::kill9)
}

#[test]
fn cleanup_removes_every_route_and_table_of_ours() -> Result<()> {
    let mut mesh = Mesh::start("cleanup", 2, 1)?;
    let node = &mut mesh.nodes[0];
    node.routed.sigterm()?;
    assert!(!bgp_routes(&node.host)?.is_empty(), "routes stay over a stop\n{}", mesh.lab.evidence());
    node.routed.cleanup()?.ok()?;
    assert_eq!(bgp_routes(&node.host)?, Vec::<String>::new());
    let tables = node.host.exec(["nft", "list", "tables"])?.ok()?.stdout;
    assert!(!tables.contains("routed"), "{tables}");
    Ok(())
}

/// However often the daemon is killed, and whatever changes meanwhile, in the
/// end the kernel has what the peer tells, no route less and none more.
#[test]
fn killed_again_and_again_while_routes_change_it_loses_and_leaves_none() -> Result<()> {
    const ROUNDS: usize = 10;
    let mut mesh = Mesh::start("killed", 2, 1)?;
    let prefixes = |n: usize| [format!("10.244.{}.0/24", 100 + n), format!("fd44:0:0:{}::/64", 100 + n)];
    let own = [mesh.nodes[1].host.subnet4(), mesh.nodes[1].host.subnet6()];
    let mut told: BTreeSet<String> = own.into();
    for round in 0..ROUNDS {
        // Some before it is killed, some while it is dead, some while it starts.
        for (part, n) in (round * 6..round * 6 + 6).enumerate() {
            for prefix in prefixes(n) {
                mesh.nodes[1].routed.routectl(["routes", "announce", &prefix])?.ok()?;
                told.insert(prefix);
            }
            if n >= 4 {
                for prefix in prefixes(n - 4) {
                    mesh.nodes[1].routed.routectl(["routes", "withdraw", &prefix])?.ok()?;
                    told.remove(&prefix);
                }
            }
            match part {
                1 => mesh.nodes[0].routed.kill9()?,
                3 => mesh.nodes[0].routed.restart()?,
                _ => {}
            }
        }
    }
    mesh.lab.wait_until("the kernel has exactly what the peer tells", Duration::from_secs(40), || {
        let have = bgp_routes(&mesh.nodes[0].host).map_err(|e| e.to_string())?;
        let have: BTreeSet<String> = have.into_iter().collect();
        let (lost, left): (Vec<_>, Vec<_>) =
            (told.difference(&have).collect(), have.difference(&told).collect());
        if lost.is_empty() && left.is_empty() { Ok(()) } else { Err(format!("lost {lost:?}, left {left:?}")) }
    })
}

/// What `--cleanup` leaves is what was there before the daemon, and what
/// others have made since, whatever it looks like.
#[test]
fn cleanup_leaves_what_others_made() -> Result<()> {
    let mut mesh = Mesh::start("exactly", 2, 1)?;
    let node = &mut mesh.nodes[0];
    let via = node.host.subnet4().replace(".0/24", ".77");
    node.host.ip(&[
        format!("route add 10.99.0.0/16 via {via} proto static"),
        format!("route add 10.99.0.0/16 via {via} proto bird metric 77"),
        "route add blackhole 10.98.0.0/16 proto boot".to_owned(),
        format!("route add 10.97.0.0/16 via {via} proto bgp table 1000"),
        "route add fd99::/48 dev docker0 proto static".to_owned(),
    ])?;
    for command in [
        "add table inet mine",
        "add chain inet mine input { type filter hook input priority 10 ; policy accept ; }",
        "add table ip routed",
        "add table ip6 routed",
    ] {
        node.host.exec(["nft", command])?.ok()?;
    }
    let others = |node: &lab::cluster::Node| -> Result<(Vec<String>, String)> {
        let mut routes: Vec<String> = node
            .host
            .kernel_routes()?
            .iter()
            .filter(|route| !["186", "179", "189", "190"].iter().any(|ours| route["protocol"] == *ours))
            .map(|route| format!("{} {} {}", route["dst"], route["protocol"], route["metric"]))
            .collect();
        routes.push(node.host.exec(["ip", "route", "show", "table", "1000"])?.ok()?.stdout);
        let rules = node.host.exec(["nft", "list", "ruleset"])?.ok()?.stdout;
        let (before, after) = rules.split_once("table inet routed {").unwrap_or((&rules, ""));
        let after = after.split_once("\n}\n").map_or("", |(_, after)| after);
        Ok((routes, format!("{before}{after}")))
    };
    let before = others(node)?;
    assert!(before.0.len() > 6 && before.1.contains("table inet mine"), "{before:?}");
    node.routed.kill9()?;
    node.routed.cleanup()?.ok()?;
    assert_eq!(others(node)?, before);
    for protocol in ["186", "179", "189", "190"] {
        assert_eq!(
            lab::cluster::routes_of(&node.host, protocol)?,
            Vec::<String>::new(),
            "protocol {protocol}"
        );
    }
    let tables = node.host.exec(["nft", "list", "tables"])?.ok()?.stdout;
    assert!(!tables.contains("table inet routed"), "{tables}");
    // Once more there is nothing to do, and that is fine.
    node.routed.cleanup()?.ok()?;
    assert_eq!(others(node)?, before);
    Ok(())
}
