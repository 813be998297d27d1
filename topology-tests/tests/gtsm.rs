//! TTL security (RFC 5082) on the wire, with a router in between.

use std::time::Duration;

use lab::{
    Host, Lab, Netns, Result,
    cluster::base_config,
    peer::{RawBgp, Routed},
};

const LIMIT: Duration = Duration::from_secs(30);
const THEIRS: u16 = 65001;

/// What a host sends has this TTL from now on.
fn send_with(from: &Netns, ttl: u8) -> Result<()> {
    from.sysctl(&[("net.ipv4.ip_default_ttl", &ttl.to_string())])
}

/// How many segments the kernel has dropped for their TTL.
fn dropped(host: &Host) -> Result<u64> {
    let text = host.exec(["nstat", "-asz", "TcpExtTCPMinTTLDrop"])?.ok()?.stdout;
    Ok(text
        .split_whitespace()
        .skip_while(|word| *word != "TcpExtTCPMinTTLDrop")
        .nth(1)
        .map_or(0, |n| n.parse().unwrap_or(0)))
}

/// Speaks as a peer that is too far away, until the kernel has dropped what it
/// says: it hears our OPEN, and its own is not heard.
fn is_not_heard(
    lab: &Lab,
    routed: &Routed,
    ours: &Host,
    from: &Netns,
    address: std::net::Ipv4Addr,
) -> Result<()> {
    let before = dropped(ours)?;
    let mut peer = RawBgp::dial(from, ours.ipv4())?;
    // Once it hears our OPEN, the socket looks at TTLs.
    peer.receive_kind(lab::peer::raw::OPEN)?;
    peer.send_message(lab::peer::raw::OPEN, &lab::peer::raw::open(THEIRS, address))?;
    lab.wait_until("what it says is dropped, also when it is said again", LIMIT, || {
        let now = dropped(ours).map_err(|e| e.to_string())?;
        if now >= before + 3 { Ok(()) } else { Err(format!("{before} before, {now} now")) }
    })?;
    assert_eq!(routed.session_state(&address.to_string())?, "OpenSent");
    Ok(())
}

fn is_heard(
    lab: &Lab,
    routed: &Routed,
    ours: &Host,
    from: &Netns,
    address: std::net::Ipv4Addr,
) -> Result<RawBgp> {
    let session = lab.wait_until("the peer has a session", LIMIT, || {
        let mut peer = RawBgp::dial(from, ours.ipv4()).map_err(|e| e.to_string())?;
        peer.establish(THEIRS, address).map_err(|e| e.to_string())?;
        Ok(peer)
    })?;
    assert_eq!(routed.session_state(&address.to_string())?, "Established");
    Ok(session)
}

/// The TTLs in what tcpdump has printed, one a packet.
fn ttls(log: &str) -> Vec<&str> {
    log.lines().filter_map(|line| line.split_once("ttl ")?.1.split(',').next()).collect()
}

#[test]
fn what_goes_out_has_ttl_255_and_what_comes_from_further_away_is_not_heard() -> Result<()> {
    let lab = Lab::new("gtsm")?;
    let (ours, near, mid) = (lab.host("n1")?, lab.router("near")?, lab.host("mid")?);
    let far = mid.container("far")?;
    ours.ip(&[format!("route add {} via {}", mid.subnet4(), mid.ipv4())])?;
    let config = |hops: u8| {
        let peers = [(near.ipv4(), 1), (far.ipv4(), hops)].map(|(address, hops)| {
            format!(
                "\n[[bgp.peer]]\naddress = \"{address}\"\nasn = {THEIRS}\npassive = true\nidle_hold = 1\n\
                 ttl_security = {hops}\n"
            )
        });
        base_config(&ours, 64512) + "guard = false\n" + &peers.concat()
    };
    let routed = Routed::start(&ours, &config(1))?;
    let capture = |name: &str, at: &Netns| -> Result<lab::Process> {
        let argv = ["nsenter", &format!("--net={}", at.path().display()), "tcpdump", "-lnv", "-i", "any"];
        let filter = format!("tcp src port 179 and src host {}", ours.ipv4());
        let argv: Vec<&str> = argv.into_iter().chain([filter.as_str()]).collect();
        let capture = ours.spawn(name, &argv)?;
        lab.wait_until("tcpdump listens", LIMIT, || {
            let log = capture.log().map_err(|e| e.to_string())?;
            if log.contains("listening on") { Ok(()) } else { Err(log) }
        })?;
        Ok(capture)
    };
    let (at_near, at_far) = (capture("near", &near)?, capture("far", &far)?);

    // A neighbour whose TTL says that it need not be one.
    send_with(&near, 254)?;
    is_not_heard(&lab, &routed, &ours, &near, near.ipv4())?;
    send_with(&near, 255)?;
    let _near = is_heard(&lab, &routed, &ours, &near, near.ipv4())?;
    // One that does all it can, behind a router.
    send_with(&far, 255)?;
    is_not_heard(&lab, &routed, &ours, &far, far.ipv4())?;
    routed.write_config(&config(2))?;
    routed.routectl(["reload"])?.ok()?;
    let _far = is_heard(&lab, &routed, &ours, &far, far.ipv4())?;

    for (capture, ttl) in [(&at_near, "255"), (&at_far, "254")] {
        let log = lab.wait_until("a SYN-ACK and our messages were seen", LIMIT, || {
            let log = capture.log().map_err(|e| e.to_string())?;
            let kinds = log.contains("Flags [S.]") && log.contains("Flags [P.]");
            // Two connections: the one that was not heard and the session.
            if kinds && log.matches("Flags [S.]").count() > 1 { Ok(log) } else { Err(log) }
        })?;
        assert!(ttls(&log).iter().all(|seen| *seen == ttl), "{ttl} is expected: {log}");
    }
    Ok(())
}
