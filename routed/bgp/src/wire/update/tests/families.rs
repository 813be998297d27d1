//! `MP_REACH_NLRI` and `MP_UNREACH_NLRI`, and what becomes of a family.

use hex_literal::hex;

use super::*;

/// A session that has this family only.
fn only(family: Family) -> Rx {
    Rx { families: Family::ALL.map(|other| other == family), ..Rx::default() }
}

/// An attribute that puts a family in doubt: the family is disabled, or the
/// session is reset with this subcode where it has no other.
#[track_caller]
fn check_doubt(mp: &[u8], family: Family, reset: u8) {
    let body = body(&[], &[mp, ORIGIN, AS_PATH], &[]);
    check_update(&body, external(), &format!("disable {family} for {}", mp[1]));
    check_update(&body, only(family), &format!("3/{reset} {mp:02x?}"));
}

#[test]
fn an_mp_attribute_without_a_family_resets() {
    for mp in [&hex!("80 0e 02 0002")[..], &hex!("80 0f 02 0002"), &hex!("80 0e 00"), &hex!("80 0f 00")] {
        check_update(&body(&[], &[mp], &[]), external(), &format!("3/9 {mp:02x?}"));
    }
}

#[test]
fn mp_prefixes_that_cannot_be_located_disable_their_family() {
    let (v4, v6) = (Family::Ipv4Unicast, Family::Ipv6Unicast);
    // RFC 7606 §5.3: too long, over the end, too short for its own fields.
    check_doubt(&hex!("80 0f 05 0002 01 81 20"), v6, 9);
    check_doubt(&hex!("80 0e 16 0002 01 10 20010db8000000000000000000000001 00 20"), v6, 9);
    check_doubt(&hex!("80 0e 04 0002 01 00"), v6, 9);
    check_doubt(&hex!("80 0f 04 0001 01 08"), v4, 9);
    // The same section: wrong flags, and not what §3 c says of others.
    check_doubt(&hex!("c0 0f 08 0002 01 20 20010db8"), v6, 4);
    let mut mp = MP_REACH.to_vec();
    mp[0] = 0xc0;
    check_doubt(&mp, v6, 4);
}

#[test]
fn an_mp_next_hop_of_a_wrong_length_disables_its_family() {
    // RFC 7606 §7.11.
    let (v4, v6) = (Family::Ipv4Unicast, Family::Ipv6Unicast);
    check_doubt(&hex!("80 0e 0e 0002 01 04 c0000201 00 20 20010db8"), v6, 9);
    check_doubt(&hex!("80 0e 0c 0001 01 05 c000020100 00 08 0a"), v4, 9);
    check_doubt(&hex!("80 0e 0a 0002 01 00 00 20 20010db8"), v6, 9);
    // RFC 8950 §4: IPv4 over IPv6 that was not negotiated.
    check_doubt(&hex!("80 0e 17 0001 01 10 20010db8000000000000000000000001 00 08 0a"), v4, 9);
}

#[test]
fn the_routes_of_the_other_family_stand() {
    let broken = hex!("80 0e 0e 0002 01 04 c0000201 00 20 20010db8");
    let sound = [ORIGIN, AS_PATH, NEXT_HOP];
    let both = [&[&broken[..]], &sound[..]].concat();
    check_update(&body(TEN, &both, TEN), external(), "+10.0.0.0/8, -10.0.0.0/8, disable ipv6 for 14");
    // A milder fault beside it withdraws what is located.
    let med = hex!("80 04 03 000001");
    let expect = "-10.0.0.0/8, withdraw 4, disable ipv6 for 14";
    check_update(&body(&[], &[&both[..], &[&med]].concat(), TEN), external(), expect);
    // What stands in both fields goes with its family.
    let v4 = hex!("80 0e 0c 0001 01 05 c000020100 00 08 0a");
    check_update(&body(TEN, &[&v4, ORIGIN, AS_PATH, NEXT_HOP], TEN), external(), "disable ipv4 for 14");
}

#[test]
fn a_disabled_family_is_ignored_without_a_word() {
    let sound = [MP_REACH, ORIGIN, AS_PATH, NEXT_HOP];
    let v6 = Rx { disabled: [false, true], ..external() };
    check_update(&body(&[], &sound, TEN), v6, "+10.0.0.0/8");
    check_update(&body(&[], &[&hex!("80 0f 03 0002 01")], &[]), v6, "");
    check_update(&body(&[], &[&hex!("80 0e 04 0002 01 00"), ORIGIN], &[]), v6, "");
    let v4 = Rx { disabled: [true, false], ..external() };
    check_update(&body(TEN, &sound, TEN), v4, "+2001:db8::/32");
    check_update(&body(&[], &[ORIGIN], &hex!("21 0a000000 00")), v4, "");
    check_update(&body(&[], &[], &[]), v4, "");
    // Then the other one is all there is.
    let broken = hex!("80 0f 05 0002 01 81 20");
    check_update(&body(&[], &[&broken], &[]), v4, &format!("3/9 {broken:02x?}"));
}

#[test]
fn mp_attributes_twice_reset() {
    check_update(&body(&[], &[MP_REACH, MP_REACH, ORIGIN, AS_PATH], &[]), external(), "3/1 []");
    let unreach = hex!("80 0f 03 0002 01");
    check_update(&body(&[], &[&unreach, &unreach], &[]), external(), "3/1 []");
}

#[test]
fn next_hops_have_the_forms_of_their_families() {
    let hop = |family: &str, octets: &[u8]| {
        let head = if family == "ipv4" { hex!("0001 01") } else { hex!("0002 01") };
        let value = [&head[..], &[u8::try_from(octets.len()).unwrap()], octets, &[0, 0]].concat();
        let mp = [&[0x80, 14, u8::try_from(value.len()).unwrap()], &value[..]].concat();
        let rx = Rx { extended_next_hop: true, ..external() };
        decode(&body(&[], &[&mp, ORIGIN, AS_PATH], &[]), rx).unwrap().reach[0].attrs.next_hop.unwrap()
    };
    let global = hex!("20010db8000000000000000000000001");
    let local = hex!("fe800000000000000000000000000001");
    let v6 = |global: [u8; 16], link_local: Option<[u8; 16]>| NextHop::V6 {
        global: global.into(),
        link_local: link_local.map(Into::into),
    };
    assert_eq!(hop("ipv6", &global), v6(global, None));
    assert_eq!(hop("ipv6", &[global, local].concat()), v6(global, Some(local)));
    assert_eq!(hop("ipv6", &local), v6(local, None));
    assert_eq!(hop("ipv6", &[[0; 16], local].concat()), v6(local, Some(local)));
    // RFC 8950: IPv4 over IPv6.
    assert_eq!(hop("ipv4", &global), v6(global, None));
    assert_eq!(hop("ipv4", &[global, local].concat()), v6(global, Some(local)));
    assert_eq!(hop("ipv4", &hex!("c0000201")), NextHop::V4(Ipv4Addr::new(192, 0, 2, 1)));
}

#[test]
fn an_mp_next_hop_that_is_no_host_withdraws() {
    let mut mp = MP_REACH.to_vec();
    mp[7] = 0xff;
    check_update(&body(&[], &[&mp, ORIGIN, AS_PATH], &[]), external(), "-2001:db8::/32, withdraw 14");
}

#[test]
fn families_that_were_not_negotiated_are_ignored() {
    let v4 = Rx { families: [true, false], ..Rx::default() };
    let sound = [MP_REACH, ORIGIN, AS_PATH, NEXT_HOP];
    check_update(&body(&[], &sound, TEN), v4, "+10.0.0.0/8, discard 14");
    let v6 = Rx { families: [false, true], ..Rx::default() };
    check_update(&body(TEN, &sound, TEN), v6, "+2001:db8::/32, discard 0, discard 0");
    // Flow specification, whatever its prefixes look like.
    let flow = hex!("80 0e 08 0001 85 00 00 ffffff");
    check_update(&body(&[], &[&flow, ORIGIN, AS_PATH], &[]), external(), "discard 14");
}
