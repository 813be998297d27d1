//! Who reaches the port of BGP: the kernel drops the SYNs of strangers, in a
//! table of routed's own, and leaves everything else as it is.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use lab::{
    Host, Lab, Result,
    cluster::base_config,
    peer::{RawBgp, Routed},
};

/// The guard's counter is read every ten seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// Nobody answers a SYN that is dropped; on a LAN of one machine an answer
/// comes within a millisecond.
const UNANSWERED: Duration = Duration::from_millis(500);
const THEIRS: u16 = 65001;

/// Whether a TCP connection comes about.
fn connects(from: &Host, to: impl Into<IpAddr>, port: u16) -> Result<bool> {
    let target = SocketAddr::new(to.into(), port);
    from.run(move || TcpStream::connect_timeout(&target, UNANSWERED).is_ok())
}

fn passive(peer: &Host) -> String {
    format!("[[bgp.peer]]\naddress = \"{}\"\nasn = {THEIRS}\npassive = true\nidle_hold = 1\n", peer.ipv4())
}

fn nft(host: &Host, words: &str) -> Result<String> {
    let argv: Vec<&str> = std::iter::once("nft").chain(words.split(' ')).collect();
    Ok(host.exec(&argv)?.ok()?.stdout)
}

#[test]
fn strangers_reach_neither_the_port_nor_anything_less_than_before() -> Result<()> {
    let lab = Lab::new("guard")?;
    let (ours, peer, stranger) = (lab.host("n1")?, lab.router("peer")?, lab.router("stranger")?);
    // Another program on this host, and a firewall of the host's own.
    let other = ours.run(|| TcpListener::bind("0.0.0.0:1790"))?;
    nft(&ours, "add table inet firewall")?;
    nft(&ours, "add chain inet firewall input { type filter hook input priority 0 ; policy accept ; }")?;
    nft(&ours, "add rule inet firewall input tcp dport 179 accept")?;
    let firewall = nft(&ours, "list table inet firewall")?;

    let mut routed = Routed::start(&ours, &(base_config(&ours, 64512) + &passive(&peer)))?;
    let mut session = RawBgp::dial(&peer, ours.ipv4())?;
    session.establish(THEIRS, peer.ipv4())?;
    assert!(!connects(&stranger, ours.ipv4(), 179)? && !connects(&stranger, ours.ipv6(), 179)?);
    assert!(!connects(&peer, ours.ipv6(), 179)?, "it is a peer by its other address only");
    assert!(connects(&stranger, ours.ipv4(), 1790)?, "other ports are none of its business");
    drop(other);
    lab.wait_until("what was dropped is counted", LIMIT, || {
        let status = routed.routectl_json(["status"]).map_err(|e| e.to_string())?;
        let counts = &status["counts"];
        let dropped = counts["strangers_dropped"].as_u64();
        if dropped >= Some(3) && counts["strangers_closed"] == 0 { Ok(()) } else { Err(counts.to_string()) }
    })?;

    // Peers come and go over the API; the sessions of others stay.
    let address = stranger.ipv4().to_string();
    routed.routectl(["peers", "add", &address, "--asn", "65002", "--set", "passive=true"])?.ok()?;
    lab.wait_until("the new peer gets in", LIMIT, || {
        let mut dialled = RawBgp::dial(&stranger, ours.ipv4()).map_err(|e| e.to_string())?;
        dialled.establish(65002, stranger.ipv4()).map_err(|e| e.to_string())
    })?;
    routed.routectl(["peers", "remove", &address])?.ok()?;
    lab.wait_until("who was removed is a stranger again", LIMIT, || {
        let connects = connects(&stranger, ours.ipv4(), 179).map_err(|e| e.to_string())?;
        if connects { Err("it connects".to_owned()) } else { Ok(()) }
    })?;
    assert_eq!(routed.session_state(&peer.ipv4().to_string())?, "Established");

    // It stays while the daemon is away, and goes with the clean-up.
    assert_eq!(routed.sigterm()?, 0);
    assert!(nft(&ours, "list set inet routed guard_ipv4")?.contains(&peer.ipv4().to_string()));
    assert!(!connects(&stranger, ours.ipv4(), 179)?);
    routed.cleanup()?.ok()?;
    assert_eq!(nft(&ours, "list ruleset")?, firewall, "the table of the host is as it was, and alone");
    Ok(())
}

#[test]
fn from_further_away_than_ttl_security_allows_nobody_connects() -> Result<()> {
    let lab = Lab::new("guardttl")?;
    let (ours, peer) = (lab.host("n1")?, lab.router("peer")?);
    let config = base_config(&ours, 64512) + &passive(&peer) + "ttl_security = 1\n";
    let _routed = Routed::start(&ours, &config)?;
    for (ttl, wanted) in [("254", false), ("255", true)] {
        peer.sysctl(&[("net.ipv4.ip_default_ttl", ttl)])?;
        assert_eq!(connects(&peer, ours.ipv4(), 179)?, wanted, "with TTL {ttl}");
    }
    Ok(())
}

#[test]
fn a_reload_lets_ranges_in_and_takes_the_guard_away_and_policy_is_not_needed_for_it() -> Result<()> {
    let lab = Lab::new("guardkeys")?;
    let (ours, peer, near) = (lab.host("n1")?, lab.router("peer")?, lab.router("near")?);
    let config = |keys: &str, more: &str| {
        base_config(&ours, 64512) + keys + &passive(&peer) + "[policy]\nenabled = false\n" + more
    };
    let routed = Routed::start(&ours, &config("", ""))?;
    let chains = |ours: &Host| nft(ours, "list table inet routed");
    let listed = chains(&ours)?;
    assert!(listed.contains("hook input") && !listed.contains("hook forward"), "{listed}");
    assert!(!connects(&near, ours.ipv6(), 179)?);
    let reload = |config: &str| -> Result<()> {
        routed.write_config(config)?;
        routed.routectl(["reload"])?.ok().map(drop)
    };
    let comes = |what: &str, wanted: bool| {
        lab.wait_until(what, LIMIT, || {
            let found = connects(&near, ours.ipv6(), 179).map_err(|e| e.to_string())?;
            if found == wanted { Ok(()) } else { Err(format!("connects: {found}")) }
        })
    };
    let range = format!("[[bgp.dynamic]]\nrange = \"2001:db8:2::/64\"\nasn = {THEIRS}\n");
    reload(&config("", &range))?;
    comes("whoever is of the range gets in", true)?;
    reload(&config("", ""))?;
    comes("without the range nobody does", false)?;
    reload(&config("guard = false\n", ""))?;
    comes("without the guard the connection comes about", true)?;
    lab.wait_until("and is closed", LIMIT, || {
        let status = routed.routectl_json(["status"]).map_err(|e| e.to_string())?;
        if status["counts"]["strangers_closed"].as_u64() > Some(0) { Ok(()) } else { Err(status.to_string()) }
    })?;
    assert!(ours.exec(["nft", "list", "table", "inet", "routed"])?.ok().is_err(), "nothing is left to hold");
    Ok(())
}
