//! One program on every host of a LAN, no file: one container network.

use std::time::Instant;

use lab::{
    Lab, Result,
    cluster::{lacks_route_of, routes_of},
    traffic::Stream,
    zero::{BRIDGE, LIMIT, Node, RIP, all_talk, await_cluster},
};

/// Packets of each stream.
const PACKETS: u64 = 20;

/// A node that notices in seconds what takes minutes by default.
const QUICK: &str = "[rip]\nupdate = 1\ntimeout = 4\ngarbage = 2\n";

fn three(lab: &Lab) -> Result<Vec<Node>> {
    let mut nodes = ["n1", "n2", "n3"].iter().map(|name| Node::new(lab, name)).collect::<Result<Vec<_>>>()?;
    nodes.iter_mut().try_for_each(|node| node.routed.restart())?;
    Ok(nodes)
}

#[test]
fn three_hosts_without_a_file_become_one_container_network_and_a_fourth_joins() -> Result<()> {
    let lab = Lab::new("zero")?;
    let begin = Instant::now();
    let mut nodes = three(&lab)?;
    let mut blocks = await_cluster(&nodes)?;
    let mut containers = nodes
        .iter()
        .zip(&blocks)
        .map(|(node, block)| node.container("c1", block))
        .collect::<Result<Vec<_>>>()?;
    all_talk(&containers, 1)?;
    anstream::println!("containers talk {:.1} s after the start", begin.elapsed().as_secs_f32());
    all_talk(&containers, PACKETS)?;

    let mut fourth = Node::new(&lab, "n4")?;
    fourth.routed.restart()?;
    nodes.push(fourth);
    let grown = await_cluster(&nodes)?;
    assert_eq!(grown[..3], blocks[..], "the others keep their blocks");
    blocks = grown;
    containers.push(nodes[3].container("c1", &blocks[3])?);
    all_talk(&containers, PACKETS)
}

#[test]
fn empty_file_and_no_file_mean_the_same() -> Result<()> {
    let lab = Lab::new("nofile")?;
    let (none, empty) = (Node::new(&lab, "none")?, Node::with(&lab, "empty", "")?);
    let of = |node: &Node| -> Result<String> {
        Ok(node.routed.print_config()?.ok()?.stdout.replace("/none/", "/").replace("/empty/", "/"))
    };
    let config = of(&none)?;
    assert_eq!(config, of(&empty)?);
    assert!(config.contains("[rip]"), "{config}");
    Ok(())
}

#[test]
fn block_survives_restart_and_kill_and_no_packet_is_lost() -> Result<()> {
    let lab = Lab::new("keep")?;
    let mut nodes = three(&lab)?;
    let blocks = await_cluster(&nodes)?;
    let (a, b) = (nodes[0].container("c1", &blocks[0])?, nodes[1].container("c1", &blocks[1])?);
    let streams = [Stream::start(&a, &b, b.ipv4().into())?, Stream::start(&b, &a, a.ipv4().into())?];
    nodes[0].routed.sigterm()?;
    nodes[0].routed.restart()?;
    assert_eq!(await_cluster(&nodes)?, blocks, "after a restart");
    nodes[0].routed.kill9()?;
    streams[0].await_sent(PACKETS)?;
    nodes[0].routed.restart()?;
    assert_eq!(await_cluster(&nodes)?, blocks, "after kill -9");
    nodes[1].routed.kill9()?;
    nodes[1].routed.restart()?;
    assert_eq!(await_cluster(&nodes)?, blocks, "after kill -9 of the other");
    for stream in streams {
        stream.await_sent(PACKETS)?;
        let report = stream.finish()?;
        assert_eq!(report.lost, 0, "{report:?}");
    }
    Ok(())
}

#[test]
fn routes_of_an_unplugged_host_go_when_they_time_out_and_come_back() -> Result<()> {
    let lab = Lab::new("unplug")?;
    let mut nodes =
        ["n1", "n2", "n3"].iter().map(|name| Node::with(&lab, name, QUICK)).collect::<Result<Vec<_>>>()?;
    nodes.iter_mut().try_for_each(|node| node.routed.restart())?;
    let blocks = await_cluster(&nodes)?;
    nodes[2].host.cut()?;
    lab.wait_until("the routes to the unplugged host are gone", LIMIT, || {
        nodes[..2].iter().try_for_each(|node| lacks_route_of(&node.host, RIP, &blocks[2]))
    })?;
    nodes[0].await_routes(&blocks[1..2])?;
    nodes[2].host.mend()?;
    assert_eq!(await_cluster(&nodes)?, blocks, "it comes back with its block");
    Ok(())
}

#[test]
fn two_hosts_with_one_docker_subnet_raise_the_alarm_on_both() -> Result<()> {
    let lab = Lab::new("stock")?;
    let mut nodes = ["n1", "n2"].iter().map(|name| Node::new(&lab, name)).collect::<Result<Vec<_>>>()?;
    for node in &mut nodes {
        node.host.ip(&[
            "link add docker0 type bridge",
            "addr add 172.17.0.1/16 dev docker0",
            "link set docker0 up",
        ])?;
        node.routed.restart()?;
    }
    for (here, there) in [(0, 1), (1, 0)] {
        let other = nodes[there].host.ipv4().to_string();
        let alarm = nodes[here].await_alarm(&["172.17.0.0/16", &other])?;
        assert_eq!(alarm["severity"], "error", "{alarm}");
        let cure = alarm["hint"].as_str().unwrap_or_default();
        assert!(cure.contains("routectl docker configure"), "{alarm}");
    }
    Ok(())
}

/// Well below the 180 s of the usual timers.
#[test]
fn an_alarm_about_a_dead_neighbour_ends_with_the_timeout_of_rip() -> Result<()> {
    let lab = Lab::new("dead")?;
    let quick = "[rip]\nupdate = 2\ntimeout = 6\ngarbage = 3\n";
    let mut nodes = [Node::with(&lab, "n1", quick)?, Node::with(&lab, "n2", quick)?];
    for node in &mut nodes {
        node.host.ip(&[
            "link add docker0 type bridge",
            "addr add 172.17.0.1/16 dev docker0",
            "link set docker0 up",
        ])?;
        node.routed.restart()?;
    }
    let other = nodes[1].host.ipv4().to_string();
    nodes[0].await_alarm(&["172.17.0.0/16", &other])?;
    nodes[1].routed.kill9()?;
    lab.wait_until("the alarm is over", LIMIT, || {
        let alarms = nodes[0].alarms().map_err(|e| e.to_string())?;
        if alarms.iter().any(|alarm| alarm["severity"] == "error") {
            Err(format!("{alarms:?}"))
        } else {
            Ok(())
        }
    })
}

#[test]
fn docker_bridge_gets_the_block_that_the_node_claimed() -> Result<()> {
    let lab = Lab::new("bip")?;
    let mut nodes = ["n1", "n2"].iter().map(|name| Node::new(&lab, name)).collect::<Result<Vec<_>>>()?;
    for node in &mut nodes {
        node.host.ip(&[
            "link add docker0 type bridge",
            "addr add 172.17.0.1/16 dev docker0",
            "link set docker0 up",
        ])?;
        node.routed.restart()?;
    }
    for node in &nodes {
        let block = lab.wait_until("the node claims a block", LIMIT, || {
            let blocks = node.blocks().map_err(|e| e.to_string())?;
            let in_pool = blocks.iter().find(|block| block.starts_with("10.244."));
            in_pool.cloned().ok_or_else(|| format!("{blocks:?}"))
        })?;
        let bip = block.replace(".0/24", ".1/24");
        let file = node.host.dir("docker")?.join("daemon.json").display().to_string();
        let configure = ["docker", "configure", "--file", &file];
        let refused = node.routed.routectl(configure)?;
        assert_eq!(refused.status, 1, "it shows, and asks: {refused}");
        assert!(refused.stdout.contains(&bip), "{refused}");
        node.routed.routectl(configure.into_iter().chain(["--yes"]))?.ok()?;
        let written = std::fs::read_to_string(&file).map_err(lab::Error::file(&file))?;
        assert!(written.contains(&format!("\"bip\": \"{bip}\"")), "{written}");
        // What dockerd does when it starts with that file.
        node.host.ip(&["addr flush dev docker0", &format!("addr add {bip} dev docker0")])?;
        assert!(!node.host.exec(["ip", "link", "show", BRIDGE])?.success(), "no bridge beside docker0");
    }
    let blocks = nodes.iter().map(Node::blocks).collect::<Result<Vec<_>>>()?;
    let containers = nodes
        .iter()
        .map(|node| {
            let [block] = &node.blocks()?[..] else { panic!("one block each: {blocks:?}") };
            node.host.container_in("c1", "docker0", block.trim_end_matches("/24").parse().expect("a block"))
        })
        .collect::<Result<Vec<_>>>()?;
    for (node, other) in [(0, 1), (1, 0)] {
        nodes[node].await_routes(&blocks[other])?;
    }
    all_talk(&containers, PACKETS)?;
    lab.wait_until("the alarm about the old subnets is over", LIMIT, || {
        let alarms = nodes[0].alarms().map_err(|e| e.to_string())?;
        if alarms.iter().all(|alarm| alarm["severity"] != "error") {
            Ok(())
        } else {
            Err(format!("{alarms:?}"))
        }
    })
}

#[test]
fn host_with_a_docker_bridge_inside_the_pool_claims_nothing() -> Result<()> {
    let lab = Lab::new("inside")?;
    let mut nodes = [Node::new(&lab, "n1")?, Node::new(&lab, "n2")?];
    nodes[0].host.ip(&[
        "link add docker0 type bridge",
        "addr add 10.244.9.1/24 dev docker0",
        "link set docker0 up",
    ])?;
    nodes.iter_mut().try_for_each(|node| node.routed.restart())?;
    let block = nodes[1].await_block()?;
    nodes[0].await_routes(&[block])?;
    nodes[1].await_routes(&["10.244.9.0/24".to_owned()])?;
    assert_eq!(nodes[0].blocks()?, ["10.244.9.0/24"]);
    assert!(!nodes[0].host.exec(["ip", "link", "show", BRIDGE])?.success(), "no bridge beside docker0");
    Ok(())
}

/// Everything that a claim brings onto a host, and the sysctls.
fn traces(node: &Node) -> Result<String> {
    let sysctls = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
    let of = |argv: &[&str]| Ok::<_, lab::Error>(node.host.exec(argv)?.ok()?.stdout);
    let links = of(&["ip", "-br", "link"])?;
    let names: Vec<&str> = links.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let routes = of(&["ip", "-N", "route", "show", "table", "all", "type", "unicast"])?;
    let settings = of(&["sysctl", sysctls[0], sysctls[1]])?;
    Ok(format!("{names:?}\n{routes}\n{}\n{settings}", of(&["nft", "list", "tables"])?))
}

#[test]
fn cleanup_leaves_the_host_as_it_was_found() -> Result<()> {
    let lab = Lab::new("leave")?;
    let mut nodes = [Node::new(&lab, "n1")?, Node::new(&lab, "n2")?];
    nodes[0].host.sysctl(&[("net.ipv4.ip_forward", "0")])?;
    let before = traces(&nodes[0])?;
    nodes.iter_mut().try_for_each(|node| node.routed.restart())?;
    await_cluster(&nodes)?;
    nodes[0].routed.sigterm()?;
    assert!(!routes_of(&nodes[0].host, RIP)?.is_empty(), "routes stay over a stop");
    nodes[0].routed.cleanup()?.ok()?;
    assert_eq!(traces(&nodes[0])?, before);
    Ok(())
}

#[test]
fn status_warns_of_missing_authentication_once_and_not_with_a_key() -> Result<()> {
    let lab = Lab::new("warn")?;
    let key = lab.dir().join("rip.key");
    std::fs::write(&key, "one key for all\n").map_err(lab::Error::file(&key))?;
    let auth = format!("[rip]\nauth = {{ mode = \"hmac-sha-256\", key_file = \"{}\" }}\n", key.display());
    let mut nodes = [Node::new(&lab, "n1")?, Node::with(&lab, "n2", &auth)?, Node::with(&lab, "n3", &auth)?];
    nodes.iter_mut().try_for_each(|node| node.routed.restart())?;
    let warning = nodes[0].await_alarm(&["not authenticated"])?;
    assert_eq!(warning["severity"], "warning");
    assert!(warning["hint"].as_str().unwrap_or_default().contains("key_file"), "{warning}");
    assert_eq!(nodes[0].alarms()?.len(), 1, "one warning, however many families and interfaces");
    // A key changes nothing else: these two claim and talk.
    let blocks = await_cluster(&nodes[1..])?;
    assert_eq!(nodes[1].alarms()?, Vec::<serde_json::Value>::new());
    let own = nodes[0].await_block()?;
    assert_eq!(routes_of(&nodes[0].host, RIP)?, Vec::<String>::new(), "no key, no routes");
    assert!(!routes_of(&nodes[1].host, RIP)?.contains(&own), "{blocks:?}");
    Ok(())
}
