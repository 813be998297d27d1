//! Nodes of a LAN that find each other: nothing is configured but the
//! interface, and every router that is heard there becomes a peer.

use std::time::Duration;

use lab::{
    Container, Host, Lab, Output, Result,
    cluster::{ASN, base_config, has_routes, lacks_route_of},
    pair::LIMIT,
    peer::Routed,
};
use serde_json::Value;

/// A router is silent for half a minute before it is asked, thrice.
const SILENT: Duration = Duration::from_secs(90);

struct Node {
    routed: Routed,
    container: Container,
    host: Host,
}

struct Scene {
    nodes: Vec<Node>,
    lab: Lab,
}

fn config(host: &Host, more: &str) -> String {
    format!(
        "{}\n[[bgp.dynamic]]\ninterface = \"eth0\"\nasn = {ASN}\nhold_time = 3\nconnect_retry = 1\n{more}\n",
        base_config(host, ASN)
    )
}

impl Scene {
    fn start(name: &str, nodes: usize, more: &str) -> Result<Scene> {
        let mut scene = Scene { nodes: Vec::new(), lab: Lab::new(name)? };
        for _ in 0..nodes {
            scene.join(more)?;
        }
        Ok(scene)
    }

    /// One more node on the LAN, which has no address there but link-local ones.
    fn join(&mut self, more: &str) -> Result<()> {
        let host = self.lab.host(&format!("n{}", self.nodes.len() + 1))?;
        let container = host.container("c1")?;
        host.ip(&["address flush dev eth0 scope global"])?;
        let routed = Routed::start(&host, &config(&host, more))?;
        self.nodes.push(Node { routed, container, host });
        Ok(())
    }

    /// Waits until every node has a route to the containers of every other.
    fn routes(&self) -> Result<()> {
        self.lab.wait_until("every node has routes to every other", LIMIT, || {
            self.nodes.iter().try_for_each(|node| {
                let others = self.nodes.iter().filter(|other| other.host.name() != node.host.name());
                let wanted: Vec<String> =
                    others.flat_map(|other| [other.host.subnet4(), other.host.subnet6()]).collect();
                has_routes(&node.host, &wanted)
            })
        })
    }

    /// Containers reach each other, all of them, in both families.
    fn ping(&self) -> Result<()> {
        for from in &self.nodes {
            for to in self.nodes.iter().filter(|to| to.host.name() != from.host.name()) {
                for address in to.container.addresses() {
                    let what = format!("{} reaches {address}", from.host.name());
                    self.lab.wait_until(&what, LIMIT, || {
                        let output = from.container.ping(address).and_then(Output::ok);
                        output.map(drop).map_err(|e| e.to_string())
                    })?;
                }
            }
        }
        Ok(())
    }

    fn peers(&self, node: usize) -> Result<Vec<Value>> {
        let peers = self.nodes[node].routed.routectl_json(["peers"])?;
        Ok(peers.as_array().cloned().unwrap_or_default())
    }

    /// Waits until a node shows so many peers.
    fn peers_are(&self, node: usize, number: usize, limit: Duration) -> Result<()> {
        self.lab.wait_until(&format!("{number} peers"), limit, || {
            let peers = self.peers(node).map_err(|e| e.to_string())?;
            if peers.len() == number { Ok(()) } else { Err(format!("{peers:?}")) }
        })
    }
}

#[test]
fn nodes_of_a_lan_find_each_other_and_one_that_joins_and_lose_one_that_is_unplugged() -> Result<()> {
    let mut scene = Scene::start("lan", 3, "")?;
    scene.routes()?;
    scene.ping()?;
    scene.join("")?;
    scene.routes()?;
    scene.ping()?;
    // Each by its own address, and one of them can be asked for by it.
    let peers = scene.peers(0)?;
    assert_eq!(peers.len(), 3, "{peers:?}");
    for other in &scene.nodes[1..] {
        let name = format!("{}%eth0", other.host.link_local()?);
        let peer = scene.nodes[0].routed.routectl_json(["peers", &name])?;
        assert_eq!((&peer["address"], &peer["dynamic"]), (&name.clone().into(), &true.into()), "{peer}");
        assert_eq!((&peer["interface"], &peer["state"]), (&"eth0".into(), &"Established".into()), "{peer}");
        assert_eq!(peer["negotiated"]["extended_next_hop"], true, "{peer}");
        let routes = scene.nodes[0].routed.routectl_json(["routes", "--peer", &name, "--received"])?;
        assert_eq!(routes.as_array().map(Vec::len), Some(2), "{routes}");
    }
    // One is unplugged: its routes go with the session, the peer when it was silent for long.
    scene.nodes[3].host.cut()?;
    for node in &scene.nodes[..3] {
        for prefix in [scene.nodes[3].host.subnet4(), scene.nodes[3].host.subnet6()] {
            scene.lab.wait_until("its routes go", LIMIT, || lacks_route_of(&node.host, "186", &prefix))?;
        }
    }
    let wanted = [scene.nodes[1].host.subnet4(), scene.nodes[2].host.subnet6()];
    has_routes(&scene.nodes[0].host, &wanted).expect("those of the others stay");
    scene.peers_are(0, 2, SILENT)?;
    scene.nodes[3].host.mend()?;
    scene.routes()?;
    scene.ping()
}

#[test]
fn routers_with_one_address_on_two_links_are_two_peers() -> Result<()> {
    let lab = Lab::new("lan-same")?;
    let names = ["n1", "n2", "n3"];
    let hosts = names.iter().map(|name| lab.host(name)).collect::<Result<Vec<Host>>>()?;
    let containers = hosts.iter().map(|host| host.container("c1")).collect::<Result<Vec<_>>>()?;
    for host in &hosts {
        host.ip(&["link set eth0 down", "addr flush dev eth0"])?;
    }
    for (other, link) in [(1, "eth1"), (2, "eth2")] {
        let far = hosts[other].netns().name();
        hosts[0].ip(&[format!("link add {link} type veth peer name {link} netns {far}")])?;
        for (host, address) in [(0, "fe80::1"), (other, "fe80::2")] {
            hosts[host].ip(&[
                format!("link set {link} addrgenmode none"),
                format!("link set {link} up"),
                format!("addr add {address}/64 dev {link} nodad"),
            ])?;
        }
    }
    let more = "bfd = true\nexport = \"accept-all\"\nroute_reflector_client = true";
    let dynamic = |link: &str| {
        config(&hosts[0], more).split_off(base_config(&hosts[0], ASN).len()).replace("eth0", link)
    };
    let links = [dynamic("eth1") + &dynamic("eth2"), dynamic("eth1"), dynamic("eth2")];
    let routed = hosts
        .iter()
        .zip(&links)
        .map(|(host, links)| Routed::start(host, &(base_config(host, ASN) + links)))
        .collect::<Result<Vec<_>>>()?;
    for name in ["fe80::2%eth1", "fe80::2%eth2"] {
        lab.wait_until(&format!("{name} and BFD are up"), LIMIT, || {
            let peer = routed[0].routectl_json(["peers", name]).map_err(|e| e.to_string())?;
            let up = peer["state"] == "Established" && peer["bfd"]["state"] == "Up";
            if up { Ok(()) } else { Err(peer.to_string()) }
        })?;
    }
    for (host, others) in [(0, [1, 2]), (1, [0, 2]), (2, [0, 1])] {
        for other in others {
            let wanted = [hosts[other].subnet4(), hosts[other].subnet6()];
            lab.wait_until("the routes are there", LIMIT, || has_routes(&hosts[host], &wanted))?;
            for address in containers[other].addresses() {
                let reaches = || containers[host].ping(address).and_then(Output::ok);
                lab.wait_until("the container answers", LIMIT, || {
                    reaches().map(drop).map_err(|e| e.to_string())
                })?;
            }
        }
    }
    // The link goes, and with it the peer that was there; the other stays.
    hosts[0].ip(&["link del eth2"])?;
    lab.wait_until("one peer is left", LIMIT, || {
        let peers = routed[0].routectl_json(["peers"]).map_err(|e| e.to_string())?;
        let left: Vec<&Value> = peers.as_array().into_iter().flatten().collect();
        let states: Vec<_> = left.iter().map(|peer| (&peer["address"], &peer["state"])).collect();
        let wanted = [("eth2", "Idle"), ("fe80::2%eth1", "Established")];
        let mut found: Vec<_> = states.iter().filter_map(|(a, s)| Some((a.as_str()?, s.as_str()?))).collect();
        found.sort_unstable();
        if found == wanted { Ok(()) } else { Err(peers.to_string()) }
    })?;
    lab.wait_until("its routes go", LIMIT, || lacks_route_of(&hosts[0], "186", &hosts[2].subnet4()))?;
    has_routes(&hosts[0], &[hosts[1].subnet4()]).expect("those of the other stay");
    Ok(())
}

#[test]
fn a_reload_takes_the_peers_of_a_lan_away_and_its_limit_and_its_key_hold() -> Result<()> {
    let scene = Scene::start("lan-reload", 3, "")?;
    scene.routes()?;
    let reload = |node: usize, text: &str| -> Result<()> {
        scene.nodes[node].routed.write_config(text)?;
        scene.nodes[node].routed.routectl(["reload"])?.ok().map(drop)
    };
    // Without it nobody is a peer.
    reload(0, &base_config(&scene.nodes[0].host, ASN))?;
    scene.peers_are(0, 0, LIMIT)?;
    for node in &scene.nodes[1..] {
        let prefix = node.host.subnet4();
        scene
            .lab
            .wait_until("the routes go", LIMIT, || lacks_route_of(&scene.nodes[0].host, "186", &prefix))?;
    }
    // With a key all sessions are made anew, and only those who have it have one.
    let key = scene.lab.dir().join("key");
    std::fs::write(&key, "secret").map_err(lab::Error::file(&key))?;
    let signed = format!("password_file = \"{}\"", key.display());
    for node in [0, 1] {
        reload(node, &config(&scene.nodes[node].host, &signed))?;
    }
    let state = |node: usize, other: usize| -> Result<Value, String> {
        let name = format!("{}%eth0", scene.nodes[other].host.link_local().map_err(|e| e.to_string())?);
        scene.nodes[node].routed.routectl_json(["peers", &name]).map_err(|e| e.to_string())
    };
    scene.lab.wait_until("the session with the key is up", LIMIT, || {
        let peer = state(0, 1)?;
        let up = peer["state"] == "Established" && peer["settings"]["tcp_md5_key"] == 1;
        if up { Ok(()) } else { Err(peer.to_string()) }
    })?;
    let without = scene.lab.wait_until("the third is a peer", LIMIT, || state(0, 2))?;
    assert_ne!(without["state"], "Established", "{without}");
    reload(2, &config(&scene.nodes[2].host, &signed))?;
    scene.routes()?;
    scene.ping()?;
    // There is room for one.
    reload(0, &base_config(&scene.nodes[0].host, ASN))?;
    scene.peers_are(0, 0, LIMIT)?;
    reload(0, &config(&scene.nodes[0].host, &format!("{signed}\nlimit = 1")))?;
    scene.lab.wait_until("one session is up", LIMIT, || {
        let peers = scene.peers(0).map_err(|e| e.to_string())?;
        let one = peers.len() == 1 && peers[0]["state"] == "Established";
        let log = scene.nodes[0].routed.log().map_err(|e| e.to_string())?;
        let told = log.contains("more routers on the interface than its limit");
        if one && told { Ok(()) } else { Err(format!("{peers:?}")) }
    })
}
