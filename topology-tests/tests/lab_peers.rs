//! The peers among themselves: what the lab reads of BIRD, FRR and `GoBGP` is
//! what went over the wire. These hold without routed.

use std::time::Duration;

use lab::{
    Lab, Result,
    peer::{Bird, Frr, Gobgp, RawBgp, Route, raw},
};

const LIMIT: Duration = Duration::from_secs(30);

fn route(prefix: &str, next_hop: &str, as_path: &[u32]) -> Route {
    Route { prefix: prefix.into(), next_hop: next_hop.into(), as_path: as_path.into(), best: true }
}

/// Waits until `read` lists `wanted`.
fn await_route(lab: &Lab, who: &str, wanted: &Route, read: impl Fn() -> Result<Vec<Route>>) -> Result<()> {
    lab.wait_until(&format!("{who} has {}", wanted.prefix), LIMIT, || {
        let routes = read().map_err(|e| e.to_string())?;
        if routes.contains(wanted) { Ok(()) } else { Err(format!("{routes:?}")) }
    })
}

#[test]
fn bird_frr_and_gobgp_exchange_routes_and_the_lab_reads_them() -> Result<()> {
    let lab = Lab::new("peers")?;
    let (b, f, g) = (lab.router("bird")?, lab.router("frr")?, lab.router("gobgp")?);
    let bird = Bird::start(
        &b,
        &format!(
            "protocol device {{}}\n\
             protocol kernel {{ ipv4 {{ export all; }}; }}\n\
             protocol static {{ ipv4; route 10.50.1.0/24 blackhole; }}\n\
             template bgp t {{ local as 65001; ipv4 {{ import all; export all; next hop self; }}; connect retry time 1; }}\n\
             protocol bgp to_frr from t {{ neighbor {} as 65002; }}\n\
             protocol bgp to_go from t {{ neighbor {} as 65003; passive; }}\n",
            f.ipv4(),
            g.ipv4()
        ),
    )?;
    let frr = Frr::start(
        &f,
        &format!(
            "router bgp 65002\n bgp router-id {}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
             neighbor {peer} remote-as 65001\n neighbor {peer} timers connect 1\n address-family ipv4 unicast\n  \
             network 10.50.2.0/24\n",
            f.ipv4(),
            peer = b.ipv4()
        ),
        "ip route 10.50.2.0/24 blackhole",
    )?;
    let gobgp = Gobgp::start(
        &g,
        &format!(
            "[global.config]\nas = 65003\nrouter-id = \"{}\"\n[[neighbors]]\n[neighbors.config]\n\
             neighbor-address = \"{}\"\npeer-as = 65001\n[neighbors.timers.config]\nconnect-retry = 1\n",
            g.ipv4(),
            b.ipv4()
        ),
    )?;
    gobgp.announce("10.50.3.0/24")?;

    let (b4, f4, g4) = (b.ipv4().to_string(), f.ipv4().to_string(), g.ipv4().to_string());
    await_route(&lab, "FRR", &route("10.50.1.0/24", &b4, &[65001]), || frr.routes())?;
    await_route(&lab, "FRR", &route("10.50.3.0/24", &b4, &[65001, 65003]), || frr.routes())?;
    await_route(&lab, "BIRD", &route("10.50.2.0/24", &f4, &[65002]), || bird.routes())?;
    await_route(&lab, "BIRD", &route("10.50.3.0/24", &g4, &[65003]), || bird.routes())?;
    await_route(&lab, "GoBGP", &route("10.50.2.0/24", &b4, &[65001, 65002]), || gobgp.rib())?;

    assert_eq!(bird.protocol_state("to_frr")?, "Established");
    assert_eq!(frr.session_state(&b4)?, "Established");
    assert_eq!(gobgp.session_state(&b4)?, "Established");
    assert_eq!(frr.bgp_summary()?["ipv4Unicast"]["peers"][&b4]["pfxRcd"], 2);
    // FRR's routes are in its kernel.
    let kernel = f.exec(["ip", "route", "show", "10.50.1.0/24", "proto", "bgp"])?.ok()?;
    assert!(kernel.stdout.contains(&b4), "{}", kernel.stdout);
    Ok(())
}

#[test]
fn ipv6_routes_are_read_from_all_three() -> Result<()> {
    let lab = Lab::new("peers6")?;
    let (b, f, g) = (lab.router("bird")?, lab.router("frr")?, lab.router("gobgp")?);
    let bird = Bird::start(
        &b,
        &format!(
            "protocol device {{}}\nprotocol static {{ ipv6; route fd44:0:0:51::/64 blackhole; }}\n\
             protocol bgp to_go {{ local {} as 65001; neighbor {} as 65003; connect retry time 1;\n \
             ipv6 {{ import all; export all; next hop self; }}; }}\n",
            b.ipv6(),
            g.ipv6()
        ),
    )?;
    let frr = Frr::start(
        &f,
        &format!(
            "router bgp 65002\n bgp router-id {}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
             neighbor {peer} remote-as 65003\n neighbor {peer} timers connect 1\n \
             address-family ipv6 unicast\n  neighbor {peer} activate\n  network fd44:0:0:52::/64\n",
            f.ipv4(),
            peer = g.ipv6()
        ),
        "",
    )?;
    let neighbor = |address: String, asn: u32| {
        format!(
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = {asn}\n\
             [neighbors.timers.config]\nconnect-retry = 1\n\
             [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv6-unicast\"\n"
        )
    };
    let config = format!("[global.config]\nas = 65003\nrouter-id = \"{}\"\n", g.ipv4())
        + &neighbor(b.ipv6().to_string(), 65001)
        + &neighbor(f.ipv6().to_string(), 65002);
    let gobgp = Gobgp::start(&g, &config)?;
    gobgp.announce("fd44:0:0:53::/64")?;

    let [b6, f6, g6] = [&b, &f, &g].map(|h| h.ipv6().to_string());
    await_route(&lab, "GoBGP", &route("fd44:0:0:51::/64", &b6, &[65001]), || gobgp.rib())?;
    await_route(&lab, "GoBGP", &route("fd44:0:0:52::/64", &f6, &[65002]), || gobgp.rib())?;
    await_route(&lab, "FRR", &route("fd44:0:0:53::/64", &g6, &[65003]), || frr.routes())?;
    await_route(&lab, "BIRD", &route("fd44:0:0:53::/64", &g6, &[65003]), || bird.routes())
}

#[test]
fn bare_speaker_is_believed_by_bird_and_refused_with_the_wrong_as() -> Result<()> {
    let lab = Lab::new("raw")?;
    let (b, r) = (lab.router("bird")?, lab.router("raw")?);
    let bird = Bird::start(
        &b,
        &format!(
            "protocol device {{}}\nprotocol bgp raw {{ local {} as 65001; neighbor {} as 65002; passive;\n \
             error wait time 1, 1; ipv4 {{ import all; export all; }}; }}\n",
            b.ipv4(),
            r.ipv4()
        ),
    )?;
    let dial = || {
        let mut peer = RawBgp::dial(&r, b.ipv4())?;
        peer.establish(65002, r.ipv4())?;
        Ok::<_, lab::Error>(peer)
    };
    let mut peer = lab.wait_until("BIRD lets the peer in", LIMIT, || dial().map_err(|e| e.to_string()))?;
    peer.send_message(raw::UPDATE, &raw::update([10, 244, 60], 0, 65002, r.ipv4()))?;
    await_route(&lab, "BIRD", &route("10.244.60.0/24", &r.ipv4().to_string(), &[65002]), || bird.routes())?;
    drop(peer);
    let refused = lab.wait_until("BIRD answers the wrong AS", LIMIT, || {
        let mut peer = RawBgp::dial(&r, b.ipv4()).map_err(|e| e.to_string())?;
        peer.send_message(raw::OPEN, &raw::open(65009, r.ipv4())).map_err(|e| e.to_string())?;
        let mut answer = peer.receive().map_err(|e| e.to_string())?;
        while answer.kind == raw::OPEN {
            answer = peer.receive().map_err(|e| e.to_string())?;
        }
        if answer.body.starts_with(&[6]) { Err("not yet ready (Cease)".into()) } else { Ok(answer) }
    })?;
    assert_eq!((refused.kind, &refused.body[..2]), (raw::NOTIFICATION, &[2, 2][..]));
    Ok(())
}
