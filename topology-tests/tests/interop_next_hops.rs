//! IPv4 prefixes over IPv6 next hops (RFC 8950) with other implementations, on
//! a link that has no IPv4; with BIRD see `capabilities_bird`.

use lab::{
    Host, Lab, Result,
    cluster::ASN,
    pair::{LIMIT, THEIR_4},
    peer::{Exabgp, Frr, Gobgp, Route},
    watched::{Node, base, peer},
};

const THEIRS: u32 = 65001;

struct Scene {
    node: Node,
    far: Host,
}

fn scene(name: &str) -> Result<Scene> {
    let lab = Lab::new(name)?;
    let (one, far) = (lab.host("n1")?, lab.router("far")?);
    for host in [&one, &far] {
        host.exec(["ip", "-4", "address", "flush", "dev", "eth0"])?.ok()?;
    }
    let config = base(&one) + &peer(far.ipv6(), THEIRS, "families = [\"ipv4\"]");
    Ok(Scene { node: Node::start(&one, &config)?, far })
}

impl Scene {
    /// Each has the prefix of the other by an IPv6 address of the other.
    fn both_ways(&self, routes: impl Fn() -> Result<Vec<Route>>) -> Result<()> {
        let host = &self.node.host;
        let ours = [host.ipv6().to_string(), host.link_local()?];
        host.lab().wait_until("the other has our prefix over IPv6", LIMIT, || {
            let routes = routes().map_err(|e| e.to_string())?;
            let found = routes.iter().find(|route| route.prefix == host.subnet4());
            if found.is_some_and(|route| ours.contains(&route.next_hop)) {
                Ok(())
            } else {
                Err(format!("{routes:?}"))
            }
        })?;
        host.lab().wait_until("our kernel has their prefix over IPv6", LIMIT, || {
            let said = host.exec(["ip", "-4", "route", "show", THEIR_4]).map_err(|e| e.to_string())?.stdout;
            if said.contains("via inet6") { Ok(()) } else { Err(said) }
        })?;
        let detail = self.node.routed.routectl_json(["peers", &self.far.ipv6().to_string()])?;
        assert_eq!(detail["negotiated"]["extended_next_hop"], true, "{detail}");
        Ok(())
    }
}

#[test]
fn ipv4_goes_over_ipv6_with_frr_and_into_both_kernels() -> Result<()> {
    let scene = scene("nh-frr")?;
    let us = scene.node.host.ipv6();
    let config = format!(
        "router bgp {THEIRS}\n bgp router-id {}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         no bgp default ipv4-unicast\n neighbor {us} remote-as {ASN}\n neighbor {us} timers connect 1\n \
         neighbor {us} capability extended-nexthop\n \
         address-family ipv4 unicast\n  neighbor {us} activate\n  network {THEIR_4}\n exit-address-family\n",
        scene.far.ipv4(),
    );
    let frr = Frr::start(&scene.far, &config, "")?;
    scene.both_ways(|| frr.routes())?;
    let ours = scene.node.host.subnet4();
    scene.node.host.lab().wait_until("FRR's kernel has our prefix over IPv6", LIMIT, || {
        let said = scene.far.exec(["ip", "-4", "route", "show", &ours]).map_err(|e| e.to_string())?.stdout;
        if said.contains("via inet6") { Ok(()) } else { Err(said) }
    })
}

#[test]
fn ipv4_goes_over_ipv6_with_gobgp() -> Result<()> {
    let scene = scene("nh-gobgp")?;
    let config = format!(
        "[global.config]\nas = {THEIRS}\nrouter-id = \"{}\"\n[[neighbors]]\n[neighbors.config]\n\
         neighbor-address = \"{}\"\npeer-as = {ASN}\n[neighbors.timers.config]\nconnect-retry = 1\n\
         [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n",
        scene.far.ipv4(),
        scene.node.host.ipv6(),
    );
    let gobgp = Gobgp::start(&scene.far, &config)?;
    let next_hop = scene.far.ipv6().to_string();
    gobgp.gobgp(&["global", "rib", "add", THEIR_4, "nexthop", &next_hop, "-a", "ipv4"])?;
    scene.both_ways(|| gobgp.rib())
}

#[test]
fn ipv4_goes_over_ipv6_with_exabgp() -> Result<()> {
    let scene = scene("nh-exabgp")?;
    let (here, there) = (scene.far.ipv6(), scene.node.host.ipv6());
    // It leaves next hops of a family that it does not speak out of its OPEN.
    let inside = format!(
        " local-address {here};\n local-as {THEIRS};\n peer-as {ASN};\n family {{ ipv4 unicast; ipv6 unicast; }}\n \
         nexthop {{ ipv4 unicast ipv6; }}\n capability {{ nexthop enable; }}\n \
         static {{ route {THEIR_4} next-hop {here}; }}"
    );
    let exabgp = Exabgp::start(&scene.far, &[(there.to_string(), inside)])?;
    scene.both_ways(|| exabgp.routes())
}
