//! BFD and graceful restart (RFC 5882 §4.3): a daemon that restarts takes its
//! BFD sessions with it, and nobody takes that for a path that has failed.

use std::time::Duration;

use lab::{
    Host, Lab, Result,
    cluster::ASN,
    pair::THEIR_4,
    peer::{Bird, Frr, Routed},
    traffic::Stream,
    watched::{BGP, LIMIT, Node, base, peer, two},
};

/// Streams run both ways while `end` ends the second daemon and its neighbour
/// has lost the BFD session; then it comes back. No packet may be lost.
fn nothing_is_lost(name: &str, end: impl FnOnce(&mut Routed) -> Result<()>) -> Result<()> {
    let (first, mut second) = two(name, "bfd = true")?;
    first.await_bfd(second.host.ipv4(), "Up")?;
    first.await_route(BGP, &second.host.subnet4())?;
    second.await_route(BGP, &first.host.subnet4())?;
    let (here, there) = (&first.container, &second.container);
    let streams =
        [Stream::start(here, there, there.ipv4().into())?, Stream::start(there, here, here.ipv4().into())?];
    let all_sent = |count| streams.iter().try_for_each(|stream| stream.await_sent(count));
    all_sent(20)?;
    end(&mut second.routed)?;
    first.await_bfd(second.host.ipv4(), "Down")?;
    all_sent(100)?;
    first.has_route(BGP, &second.host.subnet4())?;
    second.routed.restart()?;
    first.await_bfd(second.host.ipv4(), "Up")?;
    first.host.lab().wait_until("the session is back", LIMIT, || {
        let state = first.routed.session_state(&second.host.ipv4().to_string()).map_err(|e| e.to_string())?;
        if state == "Established" { Ok(()) } else { Err(state) }
    })?;
    all_sent(100)?;
    for stream in streams {
        let report = stream.finish()?;
        assert_eq!(report.lost, 0, "{report:?}\n{}", first.host.lab().evidence());
    }
    assert!(!first.routed.log()?.contains("BFD says that the peer is not reachable"));
    Ok(())
}

#[test]
fn a_neighbour_that_stops_for_a_restart_loses_no_packet() -> Result<()> {
    nothing_is_lost("bfd-term", |routed| routed.sigterm().map(drop))
}

#[test]
fn a_neighbour_that_is_killed_loses_no_packet() -> Result<()> {
    nothing_is_lost("bfd-kill", Routed::kill9)
}

#[test]
fn a_neighbour_that_is_killed_and_is_back_before_it_is_missed_loses_no_packet() -> Result<()> {
    let slow = "bfd = { interval_ms = 1000, multiplier = 10 }";
    let (first, mut second) = two("bfd-quick", slow)?;
    first.await_bfd(second.host.ipv4(), "Up")?;
    first.await_route(BGP, &second.host.subnet4())?;
    let there = &second.container;
    let stream = Stream::start(&first.container, there, there.ipv4().into())?;
    stream.await_sent(20)?;
    second.routed.kill9()?;
    second.routed.restart()?;
    first.await_session(second.host.ipv4(), "has been up twice", |session| session["ups"] == 2)?;
    second.await_route(BGP, &first.host.subnet4())?;
    stream.await_sent(50)?;
    let report = stream.finish()?;
    assert_eq!(report.lost, 0, "{report:?}\n{}", first.host.lab().evidence());
    Ok(())
}

/// A node and a place for another router, which is to keep what the node told
/// while its daemon is away.
struct Helper {
    node: Node,
    router: Host,
}

fn helper(name: &str) -> Result<Helper> {
    let lab = Lab::new(name)?;
    let (one, router) = (lab.host("n1")?, lab.router("peer")?);
    let node = Node::start(&one, &(base(&one) + &peer(router.ipv4(), 65001, "bfd = true")))?;
    Ok(Helper { node, router })
}

impl Helper {
    /// Whether `has` the other router our prefix all the time from the end of
    /// our daemon, over the loss of the BFD session, until it is back.
    fn keeps(
        mut self,
        has: impl Fn(&str) -> Result<bool>,
        lost_bfd: impl Fn() -> Result<bool>,
        end: impl FnOnce(&mut Routed) -> Result<()>,
    ) -> Result<bool> {
        let (lab, prefix) = (self.node.host.lab().clone(), self.node.host.subnet4());
        self.node.await_bfd(self.router.ipv4(), "Up")?;
        self.node.await_route(BGP, THEIR_4)?;
        let holds = |what: &str, holds: &dyn Fn() -> Result<bool>| {
            lab.wait_until(what, LIMIT, || match holds() {
                Ok(true) => Ok(()),
                Ok(false) => Err("not yet".to_owned()),
                Err(why) => Err(why.to_string()),
            })
        };
        holds("the peer has our prefix", &|| has(&prefix))?;
        end(&mut self.node.routed)?;
        holds("the peer has lost the BFD session", &lost_bfd)?;
        // What its BFD tells its BGP comes a moment after what it shows.
        let gone = lab::wait::wait_until("the prefix goes", Duration::from_secs(1), || match has(&prefix) {
            Ok(false) => Ok(()),
            Ok(true) => Err("it is there".to_owned()),
            Err(why) => Err(why.to_string()),
        });
        let kept = gone.is_err();
        self.node.routed.restart()?;
        self.node.await_bfd(self.router.ipv4(), "Up")?;
        holds("the peer has our prefix again", &|| has(&prefix))?;
        Ok(kept)
    }
}

fn bird_keeps(name: &str, bfd: &str, end: impl FnOnce(&mut Routed) -> Result<()>) -> Result<bool> {
    let helper = helper(name)?;
    let config = format!(
        "protocol device {{}}\nprotocol bfd {{ interface \"eth0\" {{ interval 100 ms; multiplier 3; }}; }}\n\
         protocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
         protocol bgp r4 {{ local {} as 65001; neighbor {} as {ASN}; {bfd}; graceful restart on;\n\
         connect retry time 1; connect delay time 1; error wait time 1, 2;\n\
         ipv4 {{ import all; export all; next hop self; }}; }}\n",
        helper.router.ipv4(),
        helper.node.host.ipv4(),
    );
    let bird = Bird::start(&helper.router, &config)?;
    let has = |prefix: &str| Ok(bird.routes()?.iter().any(|route| route.prefix == prefix));
    helper.keeps(has, || Ok(!bird.birdc("show bfd sessions")?.contains(" Up ")), end)
}

/// With `bfd on` BIRD takes the end of any BFD session for a failure, also of
/// one whose other end says `AdminDown`; `bfd graceful` is what goes with
/// graceful restart.
#[test]
fn bird_keeps_our_routes_over_a_stop_and_a_kill() -> Result<()> {
    let kept = [
        bird_keeps("bfd-bt", "bfd graceful", |routed| routed.sigterm().map(drop))?,
        bird_keeps("bfd-bk", "bfd graceful", Routed::kill9)?,
    ];
    assert_eq!(kept, [true; 2]);
    Ok(())
}

fn frr_keeps(name: &str, more: &str, end: impl FnOnce(&mut Routed) -> Result<()>) -> Result<bool> {
    let helper = helper(name)?;
    let us = helper.node.host.ipv4();
    let config = format!(
        "router bgp 65001\n bgp router-id {}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         bgp graceful-restart\n neighbor {us} remote-as {ASN}\n neighbor {us} timers connect 1\n \
         neighbor {us} bfd\n neighbor {us} bfd profile fast\n {more}\n \
         address-family ipv4 unicast\n  network {THEIR_4}\n exit-address-family\n",
        helper.router.ipv4(),
    );
    let bfd = "bfd\n profile fast\n  detect-multiplier 3\n  receive-interval 100\n  transmit-interval 100\n";
    let frr = Frr::start_bfd(&helper.router, &config, bfd)?;
    let has = |prefix: &str| Ok(frr.routes()?.iter().any(|route| route.prefix == prefix));
    let lost = || Ok(frr.json("show bfd peers json")?[0]["status"] != "up");
    helper.keeps(has, lost, end)
}

#[test]
fn frr_keeps_our_routes_over_a_stop_and_a_kill() -> Result<()> {
    let check = "neighbor 192.0.2.1 bfd check-control-plane-failure";
    let kept = [
        frr_keeps("bfd-ft", "", |routed| routed.sigterm().map(drop))?,
        frr_keeps("bfd-fk", "", Routed::kill9)?,
        frr_keeps("bfd-fct", check, |routed| routed.sigterm().map(drop))?,
        frr_keeps("bfd-fck", check, Routed::kill9)?,
    ];
    assert_eq!(kept, [true; 4]);
    Ok(())
}
