//! Graceful restart (RFC 4724) beside other implementations, in both roles and
//! with packets on the way: whoever's BGP dies, what it told stays in use, and
//! none is lost.
//!
//! ```text
//!  container ─ n1 (routed) ── far (another) ─ container
//! ```

use lab::{
    Container, Host, Lab, Result,
    cluster::ASN,
    peer::{Bird, Exabgp, Frr, Gobgp, Openbgpd, Routed},
    traffic::Stream,
    watched::{BGP, LIMIT, Node, base, peer},
};
use serde_json::Value;

const THEIRS: u32 = 65001;

struct Scene {
    node: Node,
    far: Host,
    target: Container,
}

/// A router whose BGP can be killed, what it forwards untouched.
trait Restarter {
    fn kill9(&mut self) -> Result<()>;
    fn recover(&mut self) -> Result<()>;
}

impl Scene {
    fn new(name: &str) -> Result<Scene> {
        let lab = Lab::new(name)?;
        let (one, far) = (lab.host("n1")?, lab.host("far")?);
        let target = far.container("c1")?;
        far.exec(["sysctl", "-qw", "net.ipv4.ip_forward=1"])?.ok()?;
        let config = base(&one) + &peer(far.ipv4(), THEIRS, "families = [\"ipv4\"]");
        Ok(Scene { node: Node::start(&one, &config)?, far, target })
    }

    /// For routers that tell their kernel nothing: the way back is static.
    fn with_way_back(name: &str) -> Result<Scene> {
        let scene = Scene::new(name)?;
        let one = &scene.node.host;
        scene.far.ip(&[format!("route add {} via {}", one.subnet4(), one.ipv4())])?;
        Ok(scene)
    }

    /// What `routectl peers ADDR` says, once `look` is content with it.
    fn detail(&self, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        let address = self.far.ipv4().to_string();
        self.node.host.lab().wait_until(what, LIMIT, || {
            let detail = self.node.routed.routectl_json(["peers", &address]).map_err(|e| e.to_string())?;
            if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
        })
    }

    /// Waits until something is so.
    fn holds(&self, what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
        self.node.host.lab().wait_until(what, LIMIT, || match holds() {
            Ok(true) => Ok(()),
            Ok(false) => Err("not yet".to_owned()),
            Err(why) => Err(why.to_string()),
        })
    }

    fn streams(&self) -> Result<[Stream; 2]> {
        let (here, there) = (&self.node.container, &self.target);
        Ok([
            Stream::start(here, there, there.ipv4().into())?,
            Stream::start(there, here, here.ipv4().into())?,
        ])
    }

    /// Lets packets run, ends the streams and counts.
    fn nothing_was_lost(&self, streams: [Stream; 2]) -> Result<()> {
        all_sent(&streams, 100)?;
        for stream in streams {
            let report = stream.finish()?;
            assert_eq!(report.lost, 0, "{report:?}\n{}", self.node.host.lab().evidence());
        }
        Ok(())
    }

    /// Our daemon ends and comes back; the other has our prefix all the time,
    /// by its own command, and is shown no change of it.
    fn we_restart(
        mut self,
        has: impl Fn(&str) -> Result<bool>,
        is_up: impl Fn(&str) -> Result<bool>,
        end: impl FnOnce(&mut Routed) -> Result<()>,
    ) -> Result<()> {
        let (prefix, us) = (self.node.host.subnet4(), self.node.host.ipv4().to_string());
        self.node.await_route(BGP, &self.far.subnet4())?;
        self.holds("the other has our prefix", || has(&prefix))?;
        let streams = self.streams()?;
        all_sent(&streams, 20)?;
        end(&mut self.node.routed)?;
        self.holds("the other has lost the session", || is_up(&us).map(|up| !up))?;
        all_sent(&streams, 100)?;
        assert!(has(&prefix)?, "the other keeps our prefix\n{}", self.node.host.lab().evidence());
        self.node.has_route(BGP, &self.far.subnet4())?;
        self.node.routed.restart()?;
        self.detail("the session is back", |detail| detail["state"] == "Established")?;
        self.holds("the other has the session back", || is_up(&us))?;
        self.node.await_route(BGP, &self.far.subnet4())?;
        self.nothing_was_lost(streams)?;
        assert!(has(&prefix)?, "the other has our prefix still");
        Ok(())
    }

    /// The other's BGP is killed and comes back; we keep what it told, say that
    /// it is stale, and that it is fresh again.
    fn they_restart(self, other: &mut impl Restarter) -> Result<()> {
        let prefix = self.far.subnet4();
        self.node.await_route(BGP, &prefix)?;
        self.detail("the peer has told all", |detail| detail["prefixes_accepted"] == 1)?;
        let streams = self.streams()?;
        all_sent(&streams, 20)?;
        other.kill9()?;
        self.detail("the session is lost", |detail| detail["state"] != "Established")?;
        let stale = |stale: bool| {
            let what = format!("the route has stale = {stale}");
            self.holds(&what, || {
                let routes = self.node.routed.routectl_json(["routes", &prefix])?;
                Ok(routes[0]["stale"] == stale)
            })
        };
        stale(true)?;
        all_sent(&streams, 100)?;
        self.node.has_route(BGP, &prefix)?;
        other.recover()?;
        self.detail("the session is back", |detail| {
            detail["state"] == "Established" && detail["established_count"] == 2
        })?;
        stale(false)?;
        self.nothing_was_lost(streams)?;
        self.node.has_route(BGP, &prefix)
    }
}

fn all_sent(streams: &[Stream], count: u64) -> Result<()> {
    streams.iter().try_for_each(|stream| stream.await_sent(count))
}

fn bird(scene: &Scene) -> Result<Bird> {
    let config = format!(
        "protocol device {{}}\nprotocol direct {{ ipv4; interface \"docker0\"; }}\n\
         protocol kernel {{ graceful restart on; persist; ipv4 {{ import none; export where source = RTS_BGP; }}; }}\n\
         protocol bgp r4 {{ local {} as {THEIRS}; neighbor {} as {ASN}; graceful restart on;\n\
         connect retry time 1; connect delay time 1; error wait time 1, 2;\n\
         ipv4 {{ import all; export where source = RTS_DEVICE; next hop self; }}; }}\n",
        scene.far.ipv4(),
        scene.node.host.ipv4(),
    );
    Bird::start(&scene.far, &config)
}

impl Restarter for Bird {
    fn kill9(&mut self) -> Result<()> {
        Bird::kill9(self)
    }

    fn recover(&mut self) -> Result<()> {
        Bird::recover(self)
    }
}

fn beside_bird(name: &str, end: impl FnOnce(&mut Routed) -> Result<()>) -> Result<()> {
    let scene = Scene::new(name)?;
    let bird = bird(&scene)?;
    let has = |prefix: &str| Ok(bird.routes()?.iter().any(|route| route.prefix == prefix));
    scene.we_restart(has, |_| Ok(bird.protocol_state("r4")? == "Established"), end)
}

#[test]
fn beside_bird_our_stop_loses_no_packet() -> Result<()> {
    beside_bird("gr-bt", |routed| routed.sigterm().map(drop))
}

#[test]
fn beside_bird_our_death_loses_no_packet() -> Result<()> {
    beside_bird("gr-bk", Routed::kill9)
}

#[test]
fn the_death_of_bird_loses_no_packet() -> Result<()> {
    let scene = Scene::new("gr-bird")?;
    let mut bird = bird(&scene)?;
    scene.they_restart(&mut bird)
}

fn frr(scene: &Scene) -> Result<Frr> {
    let us = scene.node.host.ipv4();
    let config = format!(
        "router bgp {THEIRS}\n bgp router-id {}\n no bgp ebgp-requires-policy\n bgp graceful-restart\n \
         bgp graceful-restart preserve-fw-state\n neighbor {us} remote-as {ASN}\n neighbor {us} timers connect 1\n \
         address-family ipv4 unicast\n  network {}\n exit-address-family\n",
        scene.far.ipv4(),
        scene.far.subnet4(),
    );
    Frr::start(&scene.far, &config, "")
}

impl Restarter for Frr {
    fn kill9(&mut self) -> Result<()> {
        self.kill9_bgpd()
    }

    fn recover(&mut self) -> Result<()> {
        self.restart_bgpd()
    }
}

fn beside_frr(name: &str, end: impl FnOnce(&mut Routed) -> Result<()>) -> Result<()> {
    let scene = Scene::new(name)?;
    let frr = frr(&scene)?;
    let has = |prefix: &str| Ok(frr.routes()?.iter().any(|route| route.prefix == prefix));
    scene.we_restart(has, |us| Ok(frr.session_state(us)? == "Established"), end)
}

#[test]
fn beside_frr_our_stop_loses_no_packet() -> Result<()> {
    beside_frr("gr-ft", |routed| routed.sigterm().map(drop))
}

#[test]
fn beside_frr_our_death_loses_no_packet() -> Result<()> {
    beside_frr("gr-fk", Routed::kill9)
}

#[test]
fn the_death_of_frr_s_bgpd_loses_no_packet() -> Result<()> {
    // Its zebra keeps the way back as well, but may take it away for a moment
    // when bgpd is there again: that way is static here.
    let scene = Scene::with_way_back("gr-frr")?;
    let mut frr = frr(&scene)?;
    scene.they_restart(&mut frr)
}

/// `GoBGP` that is dialled and never dials.
fn gobgp(scene: &Scene) -> Result<Gobgp> {
    let config = format!(
        "[global.config]\nas = {THEIRS}\nrouter-id = \"{}\"\n[[neighbors]]\n[neighbors.config]\n\
         neighbor-address = \"{}\"\npeer-as = {ASN}\n[neighbors.transport.config]\npassive-mode = true\n\
         [neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 60\n[[neighbors.afi-safis]]\n\
         [neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n\
         [neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n",
        scene.far.ipv4(),
        scene.node.host.ipv4(),
    );
    let gobgp = Gobgp::start(&scene.far, &config)?;
    gobgp.announce(&scene.far.subnet4())?;
    Ok(gobgp)
}

/// It reads no prefixes from its file: nobody may dial before they are told to it again.
struct GobgpAgain<'a>(Gobgp, &'a Host);

impl Restarter for GobgpAgain<'_> {
    fn kill9(&mut self) -> Result<()> {
        self.1
            .exec([
                "nft",
                "add table inet hold; add chain inet hold input { type filter hook input priority 0 ; } ; \
                     add rule inet hold input tcp dport 179 drop",
            ])?
            .ok()?;
        self.0.kill9()
    }

    fn recover(&mut self) -> Result<()> {
        self.0.recover()?;
        self.0.announce(&self.1.subnet4())?;
        self.1.exec(["nft", "delete table inet hold"])?.ok().map(drop)
    }
}

#[test]
fn beside_gobgp_our_death_loses_no_packet() -> Result<()> {
    let scene = Scene::with_way_back("gr-gk")?;
    let gobgp = gobgp(&scene)?;
    let has = |prefix: &str| Ok(gobgp.rib()?.iter().any(|route| route.prefix == prefix));
    scene.we_restart(has, |us| Ok(gobgp.session_state(us)? == "Established"), Routed::kill9)
}

#[test]
fn the_death_of_gobgp_loses_no_packet() -> Result<()> {
    let scene = Scene::with_way_back("gr-gobgp")?;
    let far = scene.far.clone();
    let mut gobgp = GobgpAgain(gobgp(&scene)?, &far);
    scene.they_restart(&mut gobgp)
}

#[test]
fn beside_openbgpd_our_death_loses_no_packet() -> Result<()> {
    let scene = Scene::with_way_back("gr-ok")?;
    let neighbor =
        format!("neighbor {} {{\n remote-as {ASN}\n announce IPv6 none\n}}\n", scene.node.host.ipv4());
    let bgpd =
        Openbgpd::start(&scene.far, THEIRS, &(format!("network {}\n", scene.far.subnet4()) + &neighbor))?;
    let has = |prefix: &str| Ok(bgpd.routes()?.iter().any(|route| route.prefix == prefix));
    scene.we_restart(has, |us| Ok(bgpd.session_state(us)? == "Established"), Routed::kill9)
}

impl Restarter for Exabgp {
    fn kill9(&mut self) -> Result<()> {
        Exabgp::kill9(self)
    }

    fn recover(&mut self) -> Result<()> {
        self.restart()
    }
}

#[test]
fn the_death_of_exabgp_loses_no_packet() -> Result<()> {
    let scene = Scene::with_way_back("gr-exabgp")?;
    let inside = format!(
        " local-address {};\n local-as {THEIRS};\n peer-as {ASN};\n family {{ ipv4 unicast; }}\n \
         capability {{ graceful-restart 60; }}\n static {{ route {} next-hop self; }}",
        scene.far.ipv4(),
        scene.far.subnet4(),
    );
    let mut exabgp = Exabgp::start(&scene.far, &[(scene.node.host.ipv4().to_string(), inside)])?;
    scene.they_restart(&mut exabgp)
}
