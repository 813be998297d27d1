//! What other peers show of what was agreed on: `GoBGP`, and a speaker of bare
//! bytes for what none of them sends.

use lab::{
    Lab, Result,
    cluster::base_config,
    pair::{ASN, LIMIT, Pair, THEIR_4},
    peer::{
        Gobgp, RawBgp, Routed,
        raw::{self, UPDATE},
    },
};
use serde_json::Value;

#[test]
fn gobgp_tells_its_accumulated_metric_inside_the_as() -> Result<()> {
    let pair = Pair::start("gobgp-aigp", ASN, "")?;
    let config = format!(
        "[global.config]\nas = {ASN}\nrouter-id = \"{}\"\n[[neighbors]]\n[neighbors.config]\n\
         neighbor-address = \"{}\"\npeer-as = {ASN}\n[neighbors.timers.config]\nconnect-retry = 1\n\
         [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n",
        pair.theirs.ipv4(),
        pair.ours.ipv4(),
    );
    let gobgp = Gobgp::start(&pair.theirs, &config)?;
    let next_hop = pair.theirs.ipv4().to_string();
    gobgp.gobgp(&[
        "global", "rib", "add", THEIR_4, "nexthop", &next_hop, "aigp", "metric", "77", "-a", "ipv4",
    ])?;
    pair.lab.wait_until("the metric has come", LIMIT, || {
        let route = pair.routed.routectl_json(["routes", THEIR_4]).map_err(|e| e.to_string())?;
        if route[0]["aigp"] == 77 { Ok(()) } else { Err(route.to_string()) }
    })
}

/// A daemon with one passive external peer, and a session of that peer that
/// offers `capabilities`.
fn scene(name: &str, capabilities: &[u8]) -> Result<(Lab, Routed, RawBgp)> {
    const THEIRS: u16 = 65002;
    let lab = Lab::new(name)?;
    let (ours, theirs) = (lab.host("n1")?, lab.router("peer")?);
    let peer = format!("\n[[bgp.peer]]\naddress = \"{}\"\nasn = {THEIRS}\npassive = true\n", theirs.ipv4());
    let routed = Routed::start(&ours, &(base_config(&ours, ASN) + &peer))?;
    let mut session = RawBgp::dial(&theirs, ours.ipv4())?;
    session.establish_with(&raw::open_with(THEIRS, theirs.ipv4(), capabilities))?;
    Ok((lab, routed, session))
}

fn detail(lab: &Lab, routed: &Routed, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
    lab.wait_until(what, LIMIT, || {
        let peers = routed.routectl_json(["peers"]).map_err(|e| e.to_string())?;
        let address = peers[0]["address"].as_str().unwrap_or_default().to_owned();
        let detail = routed.routectl_json(["peers", &address]).map_err(|e| e.to_string())?;
        let detail = if detail.is_array() { detail[0].clone() } else { detail };
        if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
    })
}

/// An UPDATE for 10.244.60.0/24 with so many communities.
fn update(communities: u16, next_hop: std::net::Ipv4Addr) -> Vec<u8> {
    raw::long_update([10, 244, 60], communities, 65002, next_hop)
}

#[test]
fn the_longest_messages_are_taken_where_both_have_said_so() -> Result<()> {
    // RFC 8654: code 6. And a code that nobody knows.
    let (lab, routed, mut session) = scene("raw-long", &[1, 4, 0, 1, 0, 1, 6, 0, 222, 3, 1, 2, 3])?;
    let next_hop = session_address(&routed)?;
    session.send_message(UPDATE, &update(16_000, next_hop))?;
    let shown = detail(&lab, &routed, "the route has come", |detail| detail["prefixes_received"] == 1)?;
    assert_eq!(shown["state"], "Established", "{shown}");
    assert_eq!(shown["negotiated"]["extended_messages"], true, "{shown}");
    let capabilities = shown["capabilities"].to_string();
    assert!(capabilities.contains("unknown-222"), "{capabilities}");
    let route = routed.routectl_json(["routes", "10.244.60.0/24"])?;
    assert_eq!(route[0]["communities"].as_array().map(Vec::len), Some(16_000));
    Ok(())
}

#[test]
fn a_long_message_that_was_not_agreed_on_ends_the_session() -> Result<()> {
    let (lab, routed, mut session) = scene("raw-short", &[1, 4, 0, 1, 0, 1])?;
    let next_hop = session_address(&routed)?;
    session.send_message(UPDATE, &update(2_000, next_hop))?;
    detail(&lab, &routed, "Bad Message Length is told", |detail| {
        detail["notification_sent"]["code"] == 1 && detail["notification_sent"]["subcode"] == 2
    })?;
    Ok(())
}

/// The address of the only peer.
fn session_address(routed: &Routed) -> Result<std::net::Ipv4Addr> {
    let peers = routed.routectl_json(["peers"])?;
    let address = peers[0]["address"].as_str().unwrap_or_default().parse();
    address.map_err(|why| lab::Error::Claim(format!("{peers}: {why}")))
}
