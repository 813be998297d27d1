//! Unnumbered BGP with FRR at the other end: `neighbor eth1 interface
//! remote-as …`, over a cable that has link-local addresses alone.
//!
//! ```text
//!  c1 ── docker0 [n1: routed] eth1 ─────── eth1 [n2: FRR] docker0 ── c1
//! ```

use lab::{
    Host, Result,
    cable::{Cable, OURS, link_local},
    cluster::has_routes,
    pair::LIMIT,
    peer::{Frr, Routed},
    watched::BGP,
};
use serde_json::Value;

const THEIRS: u32 = 65001;

/// What FRR is told of its side: nothing but the names of the links.
fn frr_config(host: &Host, asn: u32, whose: &str, links: &[&str]) -> String {
    let all = |line: &dyn Fn(&str) -> String| links.iter().map(|link| line(link)).collect::<String>();
    format!(
        "router bgp {asn}\n bgp router-id {}\n no bgp ebgp-requires-policy\n no bgp network import-check\n{} \
         address-family ipv4 unicast\n  network {}\n exit-address-family\n \
         address-family ipv6 unicast\n{}  network {}\n exit-address-family\n",
        host.ipv4(),
        all(&|link| {
            format!(
                " neighbor {link} interface remote-as {whose}\n neighbor {link} timers connect 1\n \
                 neighbor {link} timers 1 3\n"
            )
        }),
        host.subnet4(),
        all(&|link| format!("  neighbor {link} activate\n")),
        host.subnet6(),
    )
}

/// What we are told of ours: as much.
fn peer(link: &str, whose: &str) -> String {
    format!("\n[[bgp.peer]]\ninterface = \"{link}\"\nasn = \"{whose}\"\nconnect_retry = 1\nidle_hold = 1\n")
}

struct Scene {
    routed: Routed,
    frr: Frr,
    cable: Cable,
}

impl Scene {
    /// FRR with its AS, and what each expects of the other.
    fn start(name: &str, theirs: u32, whose: &str) -> Result<Scene> {
        let cable = Cable::lay(name)?;
        let frr = Frr::start(&cable.hosts[1], &frr_config(&cable.hosts[1], theirs, whose, &["eth1"]), "")?;
        Ok(Scene { routed: cable.routed(&peer("eth1", whose))?, frr, cable })
    }

    /// Waits until both say that the session of a link is up.
    fn established(&self, link: &str) -> Result<Value> {
        self.cable.lab.wait_until(&format!("FRR has the session of {link}"), LIMIT, || {
            let state = self.frr.session_state(link).map_err(|e| e.to_string())?;
            if state == "Established" { Ok(()) } else { Err(state) }
        })?;
        self.cable.established(&self.routed, link)
    }

    /// Waits until everything is there, by FRR's own words too.
    fn whole(&self) -> Result<Value> {
        let peer = self.established("eth1")?;
        self.cable.whole(BGP)?;
        let (one, ways) = (&self.cable.hosts[0], self.frr.routes()?);
        for prefix in [one.subnet4(), one.subnet6()] {
            let used = ways.iter().any(|route| route.prefix == prefix && route.best);
            assert!(used, "FRR does not use {prefix}: {ways:?}");
        }
        Ok(peer)
    }

    fn both_lose(&self) -> Result<()> {
        self.cable.lost(0, BGP)?;
        self.cable.lost(1, BGP)
    }

    fn check(&mut self, asn: u32) -> Result<()> {
        let peer = self.whole()?;
        assert_eq!((&peer["asn"], &peer["external"]), (&asn.into(), &(asn != OURS).into()), "{peer}");
        let address = link_local(&self.cable.hosts[1], "eth1")?;
        assert_eq!(peer["address"], format!("{address}%eth1"), "{peer}");
        assert_eq!(peer["negotiated"]["extended_next_hop"], true, "{peer}");
        assert_eq!(peer["established_count"], 1, "who dials is settled without a reset: {peer}");
        self.cable.ways_are_link_local()?;
        // Our daemon goes, and comes again.
        self.routed.kill9()?;
        self.routed.restart()?;
        self.whole()?;
        // bgpd, and all of FRR: while zebra is dead nobody advertises its end.
        self.frr.kill9_bgpd()?;
        self.frr.restart_bgpd()?;
        self.whole()?;
        self.frr.kill9()?;
        self.cable.lost(0, BGP)?;
        self.frr.restart()?;
        self.whole()?;
        // The link, at the one end and at the other.
        for end in [1, 0] {
            self.cable.hosts[end].ip(&["link set eth1 down"])?;
            self.both_lose()?;
            self.cable.hosts[end].ip(&["link set eth1 up"])?;
            self.whole()?;
        }
        self.cable.ways_are_link_local()
    }
}

#[test]
fn frr_of_another_as_is_found_and_both_families_go_over_one_session() -> Result<()> {
    Scene::start("un-frr-e", THEIRS, "external")?.check(THEIRS)
}

#[test]
fn frr_of_our_as_is_found_and_both_families_go_over_one_session() -> Result<()> {
    Scene::start("un-frr-i", OURS, "internal")?.check(OURS)
}

#[test]
fn a_global_address_at_frrs_end_alone_is_no_hindrance() -> Result<()> {
    let scene = Scene::start("un-frr-g", THEIRS, "external")?;
    scene.whole()?;
    // Next hops are a global address and a link-local one from now on; ours is
    // on no link with the global one.
    scene.cable.hosts[1].ip(&["addr add 2001:db8:77::2/64 dev eth1 nodad"])?;
    scene.frr.vtysh("clear bgp *")?;
    scene.cable.lab.wait_until("FRR tells its global address", LIMIT, || {
        let words = ["routes", "--peer", "eth1", "--received"];
        let routes = scene.routed.routectl_json(words).map_err(|e| e.to_string())?;
        if routes.to_string().contains("2001:db8:77::2") { Ok(()) } else { Err(routes.to_string()) }
    })?;
    scene.whole().map(drop)
}

#[test]
fn two_links_to_one_frr_share_the_traffic_in_both_kernels() -> Result<()> {
    let cable = Cable::lay("un-frr-two")?;
    cable.add("eth2")?;
    let links = ["eth1", "eth2"];
    let frr = Frr::start(&cable.hosts[1], &frr_config(&cable.hosts[1], THEIRS, "external", &links), "")?;
    let routed = cable.routed(&(peer("eth1", "external") + &peer("eth2", "external")))?;
    let scene = Scene { routed, frr, cable };
    for link in links {
        scene.established(link)?;
    }
    scene.whole()?;
    let ways = |host: &Host, prefix: &str, wanted: &[&str]| {
        scene.cable.lab.wait_until(&format!("{prefix} goes by {wanted:?}"), LIMIT, || {
            let family = if prefix.contains(':') { "-6" } else { "-4" };
            let argv = ["ip", family, "route", "show", prefix];
            let said = host.exec(argv).map_err(|e| e.to_string())?.stdout;
            let by = |link: &&str| said.contains(&format!("dev {link}"));
            if links.iter().all(|link| by(link) == wanted.contains(link)) { Ok(()) } else { Err(said) }
        })
    };
    let [one, two] = &scene.cable.hosts;
    let all = [(one, two.subnet4()), (one, two.subnet6()), (two, one.subnet4()), (two, one.subnet6())];
    for (host, prefix) in &all {
        ways(host, prefix, &links)?;
    }
    two.ip(&["link set eth2 down"])?;
    for (host, prefix) in &all {
        ways(host, prefix, &["eth1"])?;
    }
    has_routes(one, &[two.subnet4(), two.subnet6()]).map_err(lab::Error::Claim)?;
    scene.whole().map(drop)
}
