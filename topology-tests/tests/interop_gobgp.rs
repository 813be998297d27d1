//! routed and `GoBGP` tell each other their prefixes, IPv4 and IPv6.

use lab::{
    Result,
    pair::{ASN, Pair, THEIR_4, THEIR_6},
    peer::Gobgp,
};

fn gobgp(pair: &Pair, asn: u32) -> Result<Gobgp> {
    let neighbor = |address: String, family: &str| {
        format!(
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = {ASN}\n\
             [neighbors.timers.config]\nconnect-retry = 1\n\
             [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}-unicast\"\n"
        )
    };
    let config = format!("[global.config]\nas = {asn}\nrouter-id = \"{}\"\n", pair.theirs.ipv4())
        + &neighbor(pair.ours.ipv4().to_string(), "ipv4")
        + &neighbor(pair.ours.ipv6().to_string(), "ipv6");
    let gobgp = Gobgp::start(&pair.theirs, &config)?;
    gobgp.announce(THEIR_4)?;
    gobgp.announce(THEIR_6)?;
    Ok(gobgp)
}

fn exchange(name: &str, asn: u32) -> Result<()> {
    let pair = Pair::start(name, asn, "")?;
    let gobgp = gobgp(&pair, asn)?;
    pair.sessions_are_up()?;
    pair.they_have_ours(asn, || gobgp.rib())?;
    pair.we_have_theirs()?;
    assert_eq!(gobgp.session_state(&pair.ours.ipv4().to_string())?, "Established");
    assert_eq!(gobgp.session_state(&pair.ours.ipv6().to_string())?, "Established");
    Ok(())
}

#[test]
fn gobgp_and_routed_exchange_routes_inside_one_as() -> Result<()> {
    exchange("gobgp-i", ASN)
}

#[test]
fn gobgp_and_routed_exchange_routes_between_two_as() -> Result<()> {
    exchange("gobgp-e", 65003)
}
