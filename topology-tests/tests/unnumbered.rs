//! Peers of interfaces: who is at the other end of a link is found by router
//! advertisements, and IPv4 goes over a link that has no IPv4 address.

use lab::{
    Container, Host, Lab, Result,
    cluster::{base_config, has_routes, lacks_route_of},
    pair::LIMIT,
    peer::{Collector, Routed},
};
use serde_json::Value;

/// Two hosts with a container each, and between them cables without addresses.
struct Scene {
    routed: Vec<Routed>,
    containers: Vec<Container>,
    hosts: Vec<Host>,
    lab: Lab,
}

/// The AS of a host.
fn asn(number: usize) -> u32 {
    64512 + u32::try_from(number).unwrap_or_default()
}

/// A host whose way to the LAN has no address: no packet goes there.
fn host(lab: &Lab, name: &str) -> Result<(Host, Container)> {
    let host = lab.host(name)?;
    let container = host.container("c1")?;
    host.ip(&["link set eth0 down", "addr flush dev eth0"])?;
    Ok((host, container))
}

/// A cable between two hosts that has link-local addresses alone.
fn cable(one: &Host, other: &Host, name: &str) -> Result<()> {
    one.ip(&[format!("link add {name} type veth peer name {name} netns {}", other.netns().name())])?;
    for host in [one, other] {
        host.ip(&[format!("link set {name} up")])?;
    }
    Ok(())
}

fn config(host: &Host, number: usize, peers: &[(&str, u32)], more: &str) -> String {
    let peer = |(interface, asn): &(&str, u32)| {
        format!(
            "\n[[bgp.peer]]\ninterface = \"{interface}\"\nasn = {asn}\nconnect_retry = 1\nidle_hold = 1\n\
             export = \"accept-all\"\n{more}\n"
        )
    };
    base_config(host, asn(number)) + &peers.iter().map(peer).collect::<String>()
}

impl Scene {
    /// Both with a peer on `eth1`, and `more` in it.
    fn start(name: &str, more: &str) -> Result<Scene> {
        let lab = Lab::new(name)?;
        let (hosts, containers): (Vec<Host>, Vec<Container>) =
            [host(&lab, "n1")?, host(&lab, "n2")?].into_iter().unzip();
        cable(&hosts[0], &hosts[1], "eth1")?;
        let start = |number: usize| {
            let text = config(&hosts[number], number, &[("eth1", asn(1 - number))], more);
            Routed::start(&hosts[number], &text)
        };
        let routed = vec![start(0)?, start(1)?];
        Ok(Scene { routed, containers, hosts, lab })
    }

    /// Waits until a peer of host 1 is as `look` wants it.
    fn peer(&self, name: &str, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        self.lab.wait_until(what, LIMIT, || {
            let detail = self.routed[0].routectl_json(["peers", name]).map_err(|e| e.to_string())?;
            let detail = if detail.is_array() { detail[0].clone() } else { detail };
            if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
        })
    }

    fn established(&self, name: &str) -> Result<Value> {
        self.peer(name, "the session is up", |detail| detail["state"] == "Established")
    }

    /// Waits until both have the other's prefixes in the kernel.
    fn routes(&self) -> Result<()> {
        for (host, other) in [(0, 1), (1, 0)] {
            let wanted = [self.hosts[other].subnet4(), self.hosts[other].subnet6()];
            self.lab
                .wait_until("the kernel has the routes", LIMIT, || has_routes(&self.hosts[host], &wanted))?;
        }
        Ok(())
    }

    /// Waits until host 1 has no route to the other.
    fn no_routes(&self) -> Result<()> {
        for prefix in [self.hosts[1].subnet4(), self.hosts[1].subnet6()] {
            self.lab.wait_until("the routes go", LIMIT, || lacks_route_of(&self.hosts[0], "186", &prefix))?;
        }
        Ok(())
    }

    /// Containers reach each other in both families.
    fn ping(&self) -> Result<()> {
        for address in self.containers[1].addresses() {
            self.lab.wait_until(&format!("the container reaches {address}"), LIMIT, || {
                let output = self.containers[0].ping(address).map_err(|e| e.to_string())?;
                output.ok().map(drop).map_err(|e| e.to_string())
            })?;
        }
        Ok(())
    }
}

/// The link-local address of an interface.
fn link_local(host: &Host, interface: &str) -> Result<String> {
    let argv = ["ip", "-j", "-6", "address", "show", "dev", interface, "scope", "link"];
    let links = host.exec(argv)?.json()?;
    let mut found = links[0]["addr_info"].as_array().into_iter().flatten();
    Ok(found.find_map(|info| info["local"].as_str()).unwrap_or_default().to_owned())
}

#[test]
fn containers_of_both_families_reach_each_other_over_a_link_without_addresses() -> Result<()> {
    let scene = Scene::start("unnumbered", "")?;
    let peer = scene.established("eth1")?;
    let address = link_local(&scene.hosts[1], "eth1")?;
    assert_eq!(peer["address"], format!("{address}%eth1"), "{peer}");
    assert_eq!((&peer["interface"], &peer["asn"]), (&"eth1".into(), &asn(1).into()), "{peer}");
    assert_eq!(peer["negotiated"]["extended_next_hop"], true, "{peer}");
    scene.routes()?;
    let route = scene.hosts[0].exec(["ip", "-4", "route", "show", &scene.hosts[1].subnet4()])?.ok()?.stdout;
    assert!(route.contains(&format!("via inet6 {address} dev eth1")), "{route}");
    let v4 = scene.hosts[0].exec(["ip", "-4", "-br", "address", "show", "dev", "eth1"])?.ok()?.stdout;
    assert!(v4.trim().is_empty(), "{v4}");
    scene.ping()?;
    // The peer is found by both its names, and its routes by either.
    let by_address = scene.routed[0].routectl_json(["peers", &format!("{address}%eth1")])?;
    assert_eq!(by_address["address"], peer["address"], "{by_address}");
    let routes = scene.routed[0].routectl_json(["routes", "--peer", "eth1", "--received"])?;
    assert_eq!(routes.as_array().map(Vec::len), Some(2), "{routes}");
    assert_eq!(routes[0]["peer"], peer["address"], "{routes}");
    // No host takes a default route from what we advertise.
    let default = scene.hosts[0].exec(["ip", "-6", "route", "show", "default"])?.ok()?.stdout;
    assert!(!default.contains("eth1"), "{default}");
    Ok(())
}

#[test]
fn a_link_that_goes_takes_the_peer_with_it_and_one_that_comes_brings_it_back() -> Result<()> {
    let scene = Scene::start("unnumbered-link", "")?;
    scene.established("eth1")?;
    scene.routes()?;
    // The carrier goes: the other end is down.
    scene.hosts[1].ip(&["link set eth1 down"])?;
    let down = scene.peer("eth1", "the peer is gone", |detail| detail["state"] == "Idle")?;
    assert_eq!(down["address"], "eth1", "nobody is known there: {down}");
    assert!(down["last_error"].as_str().is_some_and(|why| why.contains("no carrier")), "{down}");
    scene.no_routes()?;
    scene.hosts[1].ip(&["link set eth1 up"])?;
    scene.established("eth1")?;
    scene.routes()?;
    // The whole link goes, and comes back with another index.
    scene.hosts[0].ip(&["link del eth1"])?;
    let gone = scene.peer("eth1", "the link is gone", |detail| detail["state"] == "Idle")?;
    assert!(gone["last_error"].as_str().is_some_and(|why| why.contains("no such interface")), "{gone}");
    scene.no_routes()?;
    scene.hosts[0].ip(&["link add filler type bridge"])?;
    cable(&scene.hosts[0], &scene.hosts[1], "eth1")?;
    scene.established("eth1")?;
    scene.routes()?;
    scene.ping()
}

#[test]
fn a_neighbor_that_takes_another_address_is_followed() -> Result<()> {
    let scene = Scene::start("unnumbered-move", "")?;
    let before = scene.established("eth1")?;
    let old = link_local(&scene.hosts[1], "eth1")?;
    // A hold timer of 90 seconds runs on the old address; what is heard comes first.
    scene.hosts[1].ip(&[&format!("addr del {old}/64 dev eth1"), "addr add fe80::77/64 dev eth1 nodad"])?;
    let after = scene.peer("eth1", "the session with the new address is up", |detail| {
        detail["address"] == "fe80::77%eth1" && detail["state"] == "Established"
    })?;
    assert_eq!(before["address"], format!("{old}%eth1"), "{after}");
    scene.routes()?;
    scene.ping()
}

#[test]
fn one_address_on_two_links_is_two_peers() -> Result<()> {
    let lab = Lab::new("unnumbered-same")?;
    let (hosts, containers): (Vec<Host>, Vec<Container>) =
        [host(&lab, "n1")?, host(&lab, "n2")?, host(&lab, "n3")?].into_iter().unzip();
    for (other, name) in [(1, "eth1"), (2, "eth2")] {
        cable(&hosts[0], &hosts[other], name)?;
        for (host, address) in [(0, "fe80::1"), (other, "fe80::2")] {
            let old = link_local(&hosts[host], name)?;
            hosts[host].ip(&[
                format!("addr del {old}/64 dev {name}"),
                format!("addr add {address}/64 dev {name} nodad"),
            ])?;
        }
    }
    let peers = [vec![("eth1", asn(1)), ("eth2", asn(2))], vec![("eth1", asn(0))], vec![("eth2", asn(0))]];
    // A collector beside the daemon is shown which is which.
    hosts[0].ip(&[format!("addr add {}/32 dev lo", hosts[0].ipv4())])?;
    let collector = Collector::start(&hosts[0])?;
    let bmp = format!("[[bmp]]\ncollector = \"{}\"\n", collector.address());
    let start = |number: usize| {
        let bmp = if number == 0 { &bmp } else { "" };
        let text = config(&hosts[number], number, &peers[number], "bfd = true") + bmp;
        Routed::start(&hosts[number], &text)
    };
    let routed = vec![start(0)?, start(1)?, start(2)?];
    let scene = Scene { routed, containers, hosts, lab };
    for name in ["eth1", "eth2"] {
        let peer = scene.established(name)?;
        assert_eq!(peer["address"], format!("fe80::2%{name}"), "{peer}");
        scene.peer(name, "BFD is up", |detail| detail["bfd"]["state"] == "Up")?;
    }
    scene.routes()?;
    scene.ping()?;
    let wanted = [scene.hosts[2].subnet4(), scene.hosts[2].subnet6()];
    scene.lab.wait_until("the routes of the third", LIMIT, || has_routes(&scene.hosts[0], &wanted))?;
    // The second and the third reach each other through the first.
    let reaches =
        |address| scene.containers[1].ping(address).and_then(lab::Output::ok).map_err(|e| e.to_string());
    for address in scene.containers[2].addresses() {
        scene.lab.wait_until("a container two hops away answers", LIMIT, || reaches(address).map(drop))?;
    }
    let index = |link: &str| -> Result<u64> {
        let links = scene.hosts[0].exec(["ip", "-j", "link", "show", "dev", link])?.json()?;
        Ok(links[0]["ifindex"].as_u64().unwrap_or_default())
    };
    for (link, other) in [("eth1", 1), ("eth2", 2)] {
        let name = format!("fe80::2%{}", index(link)?);
        let own = scene.hosts[other].subnet4();
        scene.lab.wait_until("the collector has each with what it told", LIMIT, || {
            let view = collector.view();
            let shown = view.up.contains(&name) && view.has("post-policy", &name, &own);
            if shown && view.faults.is_empty() { Ok(()) } else { Err(format!("{name}: {view:?}")) }
        })?;
    }
    // What goes with one of them is its own.
    scene.hosts[2].ip(&["link set eth2 down"])?;
    scene.peer("eth2", "the third is gone", |detail| detail["state"] == "Idle")?;
    for prefix in &wanted {
        scene.lab.wait_until("its routes go", LIMIT, || lacks_route_of(&scene.hosts[0], "186", prefix))?;
    }
    scene.established("eth1")?;
    scene.routes()
}

#[test]
fn peers_of_interfaces_come_and_go_with_a_reload_and_use_keys() -> Result<()> {
    let scene = Scene::start("unnumbered-reload", "")?;
    scene.established("eth1")?;
    let key = scene.lab.dir().join("key");
    std::fs::write(&key, "secret").map_err(lab::Error::file(&key))?;
    let none = config(&scene.hosts[0], 0, &[], "");
    scene.routed[0].write_config(&none)?;
    scene.routed[0].routectl(["reload"])?.ok()?;
    scene.no_routes()?;
    let peers = scene.routed[0].routectl_json(["peers"])?;
    assert_eq!(peers.as_array().map(Vec::len), Some(0), "{peers}");
    let signed = format!("password_file = \"{}\"\nttl_security = 1", key.display());
    for number in [0, 1] {
        let text = config(&scene.hosts[number], number, &[("eth1", asn(1 - number))], &signed);
        scene.routed[number].write_config(&text)?;
        scene.routed[number].routectl(["reload"])?.ok()?;
    }
    let peer = scene.established("eth1")?;
    assert_eq!(peer["settings"]["tcp_md5_key"], 1, "{peer}");
    scene.routes()?;
    scene.ping()
}

#[test]
fn a_peer_of_an_interface_is_kept_down_and_let_up_by_its_name() -> Result<()> {
    let scene = Scene::start("unnumbered-words", "")?;
    scene.established("eth1")?;
    scene.routed[0].routectl(["peers", "disable", "eth1", "--message", "work"])?.ok()?;
    scene.no_routes()?;
    scene.peer("eth1", "the peer is kept down", |detail| detail["disabled"] == true)?;
    scene.routed[0].routectl(["peers", "enable", "eth1"])?.ok()?;
    scene.established("eth1")?;
    scene.routes()
}
