//! routed and FRR tell each other their prefixes, IPv4 and IPv6.

use lab::{
    Result,
    pair::{ASN, Pair, THEIR_4, THEIR_6},
    peer::Frr,
};

fn frr(pair: &Pair, asn: u32) -> Result<Frr> {
    let (v4, v6) = (pair.ours.ipv4(), pair.ours.ipv6());
    let config = format!(
        "router bgp {asn}\n bgp router-id {id}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         no bgp default ipv4-unicast\n \
         neighbor {v4} remote-as {ASN}\n neighbor {v4} timers connect 1\n \
         neighbor {v6} remote-as {ASN}\n neighbor {v6} timers connect 1\n \
         address-family ipv4 unicast\n  neighbor {v4} activate\n  network {THEIR_4}\n exit-address-family\n \
         address-family ipv6 unicast\n  neighbor {v6} activate\n  network {THEIR_6}\n exit-address-family\n",
        id = pair.theirs.ipv4(),
    );
    Frr::start(&pair.theirs, &config, "")
}

fn exchange(name: &str, asn: u32) -> Result<()> {
    let pair = Pair::start(name, asn, "")?;
    let frr = frr(&pair, asn)?;
    pair.sessions_are_up()?;
    pair.they_have_ours(asn, || frr.routes())?;
    pair.we_have_theirs()?;
    assert_eq!(frr.session_state(&pair.ours.ipv4().to_string())?, "Established");
    assert_eq!(frr.session_state(&pair.ours.ipv6().to_string())?, "Established");
    // FRR's zebra put ours into its kernel.
    let kernel = pair.theirs.exec(["ip", "route", "show", &pair.ours.subnet4(), "proto", "bgp"])?.ok()?;
    assert!(kernel.stdout.contains(&pair.ours.ipv4().to_string()), "{}", kernel.stdout);
    Ok(())
}

#[test]
fn frr_and_routed_exchange_routes_inside_one_as() -> Result<()> {
    exchange("frr-i", ASN)
}

#[test]
fn frr_and_routed_exchange_routes_between_two_as() -> Result<()> {
    exchange("frr-e", 65002)
}
