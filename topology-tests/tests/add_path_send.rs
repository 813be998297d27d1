//! Several paths to a prefix go from router to router (RFC 7911).
//!
//! ```text
//!  a (BIRD, another AS) ── one path ───┐
//!                                      ├─► middle (routed) ─► relay ─► tail (routed)
//!  b (BIRD, our AS) ────── two paths ──┘        └─► plain (BIRD, without add-path)
//! ```
//! The relay is BIRD, FRR, `GoBGP`, `OpenBGPD` or routed: each must hold all three paths,
//! by its own command, and passes them on to the tail, which must too. All are
//! on one LAN and keep next hops, so the next hop names the path.

use std::collections::BTreeSet;

use lab::{
    Error, Host, Lab, Result,
    cluster::base_config,
    pair::{ASN, LIMIT, THEIR_4},
    peer::{Bird, Exabgp, Frr, Gobgp, Openbgpd, Route, Routed},
};
use serde_json::Value;

const OUTSIDE: u32 = 65101;
/// So that `routectl` shows each path with its own next hop, the best one too.
const ONE_WAY: &str = "multipath = 1\n";

/// Who is on the LAN, and the paths that all who take several must have.
struct Scene {
    b: Bird,
    middle: Routed,
    tail: Routed,
    plain: Bird,
    relay: Host,
    /// The next hops: of a, and of the two of b.
    ways: [String; 3],
    _a: Bird,
    lab: Lab,
}

fn bird(host: &Host, statics: &str, asn: u32, channel: &str, middle: &Host) -> Result<Bird> {
    Bird::start(
        host,
        &format!(
            "protocol device {{}}\nprotocol direct {{ ipv4; }}\n{statics}\
             protocol bgp m {{ local {} as {asn}; neighbor {} as {ASN}; connect retry time 1;\n\
             ipv4 {{ import all; {channel} }}; }}\n",
            host.ipv4(),
            middle.ipv4(),
        ),
    )
}

fn way(name: &str, gateway: &str) -> String {
    format!("protocol static {name} {{ ipv4; route {THEIR_4} {gateway}; }}\n")
}

fn peer(host: &Host, asn: u32, more: &str) -> String {
    format!(
        "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {asn}\nconnect_retry = 1\nidle_hold = 1\nfamilies = [\"ipv4\"]\n{more}\n",
        host.ipv4()
    )
}

fn middle_config(hosts: [&Host; 5]) -> String {
    let [middle, a, b, relay, plain] = hosts;
    base_config(middle, ASN)
        + &peer(a, OUTSIDE, "")
        + &peer(b, ASN, "add_path = \"receive\"\nroute_reflector_client = true")
        + &peer(relay, ASN, "add_path = \"send\"\nexport = \"accept-all\"")
        + &peer(plain, ASN, "export = \"accept-all\"")
}

impl Scene {
    /// Starts all but the relay.
    fn start(name: &str) -> Result<Scene> {
        let lab = Lab::new(name)?;
        let [a, b, relay, plain] = ["a", "b", "relay", "plain"].map(|name| lab.router(name));
        let (a, b, relay, plain) = (a?, b?, relay?, plain?);
        let (middle, tail) = (lab.host("middle")?, lab.host("tail")?);
        let [x, y] = [lab.router("x")?, lab.router("y")?].map(|host| host.ipv4().to_string());
        let config = middle_config([&middle, &a, &b, &relay, &plain]);
        let routed = Routed::start(&middle, &config)?;
        let tail_config = base_config(&tail, ASN) + ONE_WAY + &peer(&relay, ASN, "add_path = \"both\"");
        let tail = Routed::start(&tail, &tail_config)?;
        let sends = "export where source = RTS_STATIC;";
        let ways = way("one", &format!("via {x}")) + &way("two", &format!("via {y}"));
        Ok(Scene {
            _a: bird(&a, &way("own", "blackhole"), OUTSIDE, sends, &middle)?,
            b: bird(&b, &ways, ASN, &format!("{sends} add paths tx;"), &middle)?,
            plain: bird(&plain, "", ASN, "export none;", &middle)?,
            ways: [a.ipv4().to_string(), x, y],
            middle: routed,
            tail,
            relay,
            lab,
        })
    }

    /// A relay of our own.
    fn reflector(&self) -> Result<Routed> {
        let client = "add_path = \"both\"\nexport = \"accept-all\"\nroute_reflector_client = true";
        let config = base_config(&self.relay, ASN)
            + ONE_WAY
            + &peer(self.middle.host(), ASN, "add_path = \"both\"")
            + &peer(self.tail.host(), ASN, client);
        Routed::start(&self.relay, &config)
    }

    /// The next hops of these of the three ways.
    fn ways(&self, which: &[usize]) -> BTreeSet<String> {
        which.iter().map(|way| self.ways[*way].clone()).collect()
    }

    fn await_ways(&self, who: &str, which: &[usize], read: impl Fn() -> Result<Vec<Route>>) -> Result<()> {
        let wanted = self.ways(which);
        self.lab.wait_until(&format!("{who} has {wanted:?}"), LIMIT, || {
            let routes = read().map_err(|e| e.to_string())?;
            let have: Vec<String> = routes
                .into_iter()
                .filter(|route| route.prefix == THEIR_4)
                .map(|route| route.next_hop)
                .collect();
            let set: BTreeSet<String> = have.iter().cloned().collect();
            if set == wanted && have.len() == wanted.len() { Ok(()) } else { Err(format!("{have:?}")) }
        })
    }

    /// Relay and tail have three paths; one goes and the others stay; it comes
    /// back; the limit changes under the session.
    fn check(&self, relay: impl Fn() -> Result<Vec<Route>>) -> Result<()> {
        let all_have = |which: &[usize]| {
            self.await_ways("the relay", which, &relay)?;
            self.await_ways("the tail", which, || candidates(&self.tail))
        };
        all_have(&[0, 1, 2])?;
        let plain: BTreeSet<String> = self.next_hops_of_plain()?;
        assert_eq!(plain.len(), 1, "without add-path there is one path: {plain:?}");
        let advertised = self.advertised(3)?;
        let ids: BTreeSet<u64> = advertised.iter().filter_map(|route| route["path_id"].as_u64()).collect();
        assert_eq!(ids.len(), 3, "{advertised:?}");
        self.b.birdc_write("disable two")?;
        all_have(&[0, 1])?;
        let left: BTreeSet<u64> = self.advertised(2)?.iter().filter_map(|r| r["path_id"].as_u64()).collect();
        assert!(left.is_subset(&ids), "{left:?} of {ids:?}");
        self.b.birdc_write("enable two")?;
        all_have(&[0, 1, 2])
    }

    /// What the middle says that it tells the relay.
    fn advertised(&self, count: usize) -> Result<Vec<Value>> {
        let address = self.relay.ipv4().to_string();
        self.lab.wait_until(&format!("{count} paths are shown as advertised"), LIMIT, || {
            let words = ["routes", THEIR_4, "--peer", &address, "--advertised"];
            let routes = self.middle.routectl_json(words).map_err(|e| e.to_string())?;
            let routes = routes.as_array().cloned().unwrap_or_default();
            if routes.len() == count { Ok(routes) } else { Err(format!("{routes:?}")) }
        })
    }

    fn next_hops_of_plain(&self) -> Result<BTreeSet<String>> {
        self.lab.wait_until("the plain peer has a path", LIMIT, || {
            let routes = self.plain.routes().map_err(|e| e.to_string())?;
            let theirs = routes.into_iter().filter(|route| route.prefix == THEIR_4);
            let hops: BTreeSet<String> = theirs.map(|route| route.next_hop).collect();
            if hops.is_empty() { Err("none".to_owned()) } else { Ok(hops) }
        })
    }
}

/// The candidates of the prefix in a node's table.
fn candidates(node: &Routed) -> Result<Vec<Route>> {
    let routes = node.routectl_json(["routes", THEIR_4, "--all", "--protocol", "bgp"])?;
    let read = |route: &Value| Route {
        prefix: route["prefix"].as_str().unwrap_or_default().to_owned(),
        next_hop: route["next_hops"][0]["address"].as_str().unwrap_or_default().to_owned(),
        as_path: Vec::new(),
        best: route["best"] == true,
    };
    Ok(routes.as_array().into_iter().flatten().map(read).collect())
}

#[test]
fn bird_holds_all_paths_and_passes_them_on() -> Result<()> {
    let scene = Scene::start("ap-bird")?;
    let (here, middle, tail) = (scene.relay.ipv4(), scene.middle.host().ipv4(), scene.tail.host().ipv4());
    let relay = Bird::start(
        &scene.relay,
        &format!(
            "protocol device {{}}\nprotocol direct {{ ipv4; }}\n\
             protocol bgp m {{ local {here} as {ASN}; neighbor {middle} as {ASN}; connect retry time 1;\n\
             ipv4 {{ import all; export none; add paths rx; }}; }}\n\
             protocol bgp t {{ local {here} as {ASN}; neighbor {tail} as {ASN}; connect retry time 1; rr client;\n\
             ipv4 {{ import none; export where source = RTS_BGP; add paths tx; }}; }}\n"
        ),
    )?;
    scene.check(|| relay.routes())
}

#[test]
fn frr_holds_all_paths_and_passes_them_on() -> Result<()> {
    let scene = Scene::start("ap-frr")?;
    let (here, middle, tail) = (scene.relay.ipv4(), scene.middle.host().ipv4(), scene.tail.host().ipv4());
    let relay = Frr::start(
        &scene.relay,
        &format!(
            "router bgp {ASN}\n bgp router-id {here}\n no bgp default ipv4-unicast\n \
             neighbor {middle} remote-as {ASN}\n neighbor {middle} timers connect 1\n \
             neighbor {tail} remote-as {ASN}\n neighbor {tail} timers connect 1\n \
             address-family ipv4 unicast\n  neighbor {middle} activate\n  neighbor {tail} activate\n  \
             neighbor {tail} route-reflector-client\n  neighbor {tail} addpath-tx-all-paths\n \
             exit-address-family\n"
        ),
        "",
    )?;
    scene.check(|| relay.routes())
}

#[test]
fn gobgp_holds_all_paths_and_passes_them_on() -> Result<()> {
    let scene = Scene::start("ap-gobgp")?;
    let (here, middle, tail) = (scene.relay.ipv4(), scene.middle.host().ipv4(), scene.tail.host().ipv4());
    let neighbor = |address, paths: &str, more: &str| {
        format!(
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = {ASN}\n\
             [neighbors.timers.config]\nconnect-retry = 1\n{more}\
             [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n\
             [neighbors.afi-safis.add-paths.config]\n{paths}\n"
        )
    };
    let client = format!(
        "[neighbors.route-reflector.config]\nroute-reflector-client = true\nroute-reflector-cluster-id = \"{here}\"\n"
    );
    let config = format!("[global.config]\nas = {ASN}\nrouter-id = \"{here}\"\n")
        + &neighbor(middle, "receive = true", "")
        + &neighbor(tail, "send-max = 8", &client);
    let relay = Gobgp::start(&scene.relay, &config)?;
    scene.check(|| relay.rib())
}

#[test]
fn openbgpd_holds_all_paths_and_passes_them_on() -> Result<()> {
    let scene = Scene::start("ap-openbgpd")?;
    let (middle, tail) = (scene.middle.host().ipv4(), scene.tail.host().ipv4());
    let neighbor = |address, more: &str| {
        format!("neighbor {address} {{\n remote-as {ASN}\n announce IPv6 none\n {more}\n}}\n")
    };
    let config = neighbor(middle, "announce add-path recv yes")
        + &neighbor(tail, "announce add-path send all\n route-reflector");
    let relay = Openbgpd::start(&scene.relay, ASN, &config)?;
    scene.check(|| relay.routes())
}

/// It has no table: it is told all paths, and tells the tail two of its own.
#[test]
fn exabgp_is_told_all_paths_and_tells_several() -> Result<()> {
    let scene = Scene::start("ap-exabgp")?;
    let here = scene.relay.ipv4();
    let inside = |more: &str| {
        format!(
            " local-address {here};\n local-as {ASN};\n peer-as {ASN};\n family {{ ipv4 unicast; }}\n \
             capability {{ add-path send/receive; }}\n{more}"
        )
    };
    let own = format!(
        " static {{ route {THEIR_4} next-hop {} path-information 0.0.0.1; \
         route {THEIR_4} next-hop {} path-information 0.0.0.2; }}\n",
        scene.ways[1], scene.ways[2]
    );
    let neighbors = [
        (scene.middle.host().ipv4().to_string(), inside("")),
        (scene.tail.host().ipv4().to_string(), inside(&own)),
    ];
    let exabgp = Exabgp::start(&scene.relay, &neighbors)?;
    scene.await_ways("the tail", &[1, 2], || candidates(&scene.tail))?;
    for which in [&[0, 1, 2][..], &[0, 1], &[0, 1, 2]] {
        scene.b.birdc_write(if which.len() == 2 { "disable two" } else { "enable two" })?;
        scene.await_ways("ExaBGP", which, || exabgp.routes())?;
    }
    Ok(())
}

/// The paths of a peer that restarts stay, each of them; what did not come
/// back goes with its End-of-RIB (RFC 4724 §4.2, RFC 7911).
#[test]
fn several_paths_outlive_a_restart_and_what_has_gone_meanwhile_is_swept() -> Result<()> {
    let mut scene = Scene::start("ap-restart")?;
    let relay = scene.reflector()?;
    let have = |scene: &Scene, which: &[usize]| {
        scene.await_ways("the relay", which, || candidates(&relay))?;
        scene.await_ways("the tail", which, || candidates(&scene.tail))
    };
    have(&scene, &[0, 1, 2])?;
    assert_eq!(scene.middle.sigterm()?, 0);
    let middle = scene.middle.host().ipv4().to_string();
    scene.lab.wait_until("the relay has lost the session", LIMIT, || match relay.session_state(&middle) {
        Ok(state) if state != "Established" => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    have(&scene, &[0, 1, 2])?;
    scene.b.birdc_write("disable two")?;
    scene.middle.restart()?;
    have(&scene, &[0, 1])?;
    scene.b.birdc_write("enable two")?;
    have(&scene, &[0, 1, 2])?;
    Ok(())
}

#[test]
fn a_reflector_of_routed_holds_all_paths_and_a_limit_changes_under_its_session() -> Result<()> {
    let scene = Scene::start("ap-routed")?;
    let relay = scene.reflector()?;
    scene.check(|| candidates(&relay))?;
    let opens = opens_sent(&scene)?;
    let file = scene.middle.config_path();
    let before = std::fs::read_to_string(&file).map_err(|why| Error::Claim(why.to_string()))?;
    let limited = before.replace("add_path = \"send\"", "add_path = \"send\"\nadd_path_send = 2");
    assert_ne!(limited, before);
    scene.middle.write_config(&limited)?;
    scene.middle.sighup()?;
    // The one from outside and the nearer of the others by the decision's last steps.
    let two = scene.lab.wait_until("two paths are left", LIMIT, || {
        let have = candidates(&relay).map_err(|e| e.to_string())?;
        if have.len() == 2 { Ok(have) } else { Err(format!("{have:?}")) }
    })?;
    assert!(two.iter().any(|route| route.next_hop == scene.ways[0]), "the best is among them: {two:?}");
    scene.middle.write_config(&before)?;
    scene.middle.sighup()?;
    scene.await_ways("the relay", &[0, 1, 2], || candidates(&relay))?;
    assert_eq!(opens_sent(&scene)?, opens, "the session stayed");
    Ok(())
}

/// How often the middle has opened a session with the relay.
fn opens_sent(scene: &Scene) -> Result<u64> {
    let address = scene.relay.ipv4().to_string();
    let detail = scene.middle.routectl_json(["peers", &address])?;
    let detail = if detail.is_array() { &detail[0] } else { &detail };
    detail["messages"]["sent"]["open"].as_u64().ok_or_else(|| Error::Claim(detail.to_string()))
}
