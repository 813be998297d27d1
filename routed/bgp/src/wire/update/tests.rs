//! RFC 7606 rule by rule: bytes in, what becomes of the routes out.

use hex_literal::hex;

use super::*;

const ORIGIN: &[u8] = &hex!("40 01 01 00");
const AS_PATH: &[u8] = &hex!("40 02 06 02 01 0000fde9");
const NEXT_HOP: &[u8] = &hex!("40 03 04 c0000201");
const MP_REACH: &[u8] = &hex!("80 0e 1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8");
const TEN: &[u8] = &hex!("08 0a");

fn external() -> Rx {
    Rx::default()
}

fn internal() -> Rx {
    Rx { external: false, ..Rx::default() }
}

fn two_octet() -> Rx {
    Rx { as4: false, ..Rx::default() }
}

/// The body of an UPDATE.
fn body(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let length = |field: &[u8]| u16::try_from(field.len()).unwrap().to_be_bytes();
    [&length(withdrawn)[..], withdrawn, &length(&attributes), &attributes, nlri].concat()
}

/// What an UPDATE came to, in words: routes with `+`, withdrawals with `-`,
/// faults as attribute and treatment, errors as code, subcode and data.
fn told(body: &[u8], rx: Rx) -> String {
    let update = match decode(body, rx) {
        Ok(update) => update,
        Err(error) => return format!("{}/{} {:02x?}", error.code, error.subcode, error.data),
    };
    let mut words = Vec::new();
    let list = |sign: &str, nlri: &[Nlri]| -> Vec<String> {
        nlri.iter().map(|nlri| format!("{sign}{}", nlri.prefix)).collect()
    };
    for reach in &update.reach {
        words.extend(list("+", &reach.nlri));
    }
    for (_, nlri) in &update.unreach {
        words.extend(list("-", nlri));
    }
    words.extend(update.end_of_rib.map(|family| format!("end {family}")));
    for fault in &update.faults {
        let how = match fault.treatment {
            Treatment::Discard => "discard".to_owned(),
            Treatment::TreatAsWithdraw => "withdraw".to_owned(),
            Treatment::Disable(family) => format!("disable {family} for"),
            Treatment::Reset => "reset".to_owned(),
        };
        words.push(format!("{how} {}", fault.attribute));
    }
    words.join(", ")
}

#[track_caller]
fn check_update(body: &[u8], rx: Rx, expect: &str) {
    assert_eq!(told(body, rx), expect);
}

/// A sound announcement of 10/8 with one more attribute.
#[track_caller]
fn check_attribute(attribute: &[u8], rx: Rx, expect: &str) {
    check_update(&body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, attribute], TEN), rx, expect);
}

/// The attributes of a sound announcement.
#[track_caller]
fn attrs(attributes: &[&[u8]], rx: Rx) -> Arc<net::Attrs> {
    let update = decode(&body(&[], attributes, TEN), rx).unwrap();
    assert_eq!(update.faults, []);
    Arc::clone(&update.reach[0].attrs)
}

#[test]
fn sound_updates_say_what_they_say() {
    check_update(&body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], TEN), external(), "+10.0.0.0/8");
    check_update(&body(TEN, &[], &[]), external(), "-10.0.0.0/8");
    check_update(
        &body(&hex!("10 0a01"), &[ORIGIN, AS_PATH, NEXT_HOP], TEN),
        external(),
        "+10.0.0.0/8, -10.1.0.0/16",
    );
    check_update(&body(&[], &[MP_REACH, ORIGIN, AS_PATH], &[]), external(), "+2001:db8::/32");
    check_update(
        &body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, MP_REACH], TEN),
        external(),
        "+10.0.0.0/8, +2001:db8::/32",
    );
    check_update(&body(&[], &[&hex!("80 0f 08 0002 01 20 20010db8")], &[]), external(), "-2001:db8::/32");
}

#[test]
fn end_of_rib_is_an_empty_update_or_an_empty_mp_unreach() {
    let v6 = hex!("80 0f 03 0002 01");
    check_update(&body(&[], &[], &[]), external(), "end ipv4");
    check_update(&body(&[], &[&v6], &[]), external(), "end ipv6");
    check_update(&body(&[], &[&hex!("90 0f 0003 0001 01")], &[]), external(), "end ipv4");
    // Not empty after all.
    check_update(&body(TEN, &[&v6], &[]), external(), "-10.0.0.0/8");
    check_update(&body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &v6], TEN), external(), "+10.0.0.0/8");
    let only_v4 = Rx { families: [true, false], ..Rx::default() };
    check_update(&body(&[], &[&v6], &[]), only_v4, "discard 15");
}

#[test]
fn lengths_that_exceed_the_message_reset() {
    check_update(&hex!("0001 0000"), external(), "3/1 []"); // takes the other length's octet
    check_update(&hex!("0003 0000"), external(), "3/1 []");
    check_update(&hex!("0000 0001"), external(), "3/1 []");
    check_update(&hex!("0000 00"), external(), "3/1 []");
}

#[test]
fn prefixes_that_cannot_be_read_reset() {
    let sound = [ORIGIN, AS_PATH, NEXT_HOP];
    check_update(&body(&[], &sound, &hex!("21 0a00000000")), external(), "3/10 []");
    check_update(&body(&[], &sound, &hex!("18 0a")), external(), "3/10 []");
    check_update(&body(&hex!("18 0a"), &sound, TEN), external(), "3/10 []");
}

#[test]
fn a_missing_mandatory_attribute_withdraws() {
    check_update(&body(&[], &[AS_PATH, NEXT_HOP], TEN), external(), "-10.0.0.0/8, withdraw 1");
    check_update(&body(&[], &[ORIGIN, NEXT_HOP], TEN), external(), "-10.0.0.0/8, withdraw 2");
    check_update(&body(&[], &[ORIGIN, AS_PATH], TEN), external(), "-10.0.0.0/8, withdraw 3");
    check_update(&body(&[], &[MP_REACH, ORIGIN], &[]), external(), "-2001:db8::/32, withdraw 2");
    check_update(&body(&[], &[], TEN), external(), "-10.0.0.0/8, withdraw 1, withdraw 2, withdraw 3");
    // The MP next hop is not the one of the classic field.
    let all = "-10.0.0.0/8, -2001:db8::/32, withdraw 3";
    check_update(&body(&[], &[MP_REACH, ORIGIN, AS_PATH], TEN), external(), all);
}

#[test]
fn malformed_values_withdraw() {
    let malformed: &[(&[u8], u8)] = &[
        (&hex!("80 04 03 000001"), 4),                      // MED of three octets
        (&hex!("80 04 00"), 4),                             // empty
        (&hex!("40 05 03 000064"), 5),                      // LOCAL_PREF of three octets
        (&hex!("c0 08 05 0000000100"), 8),                  // COMMUNITIES no multiple of four
        (&hex!("c0 08 00"), 8),                             // empty
        (&hex!("80 09 05 c000020100"), 9),                  // ORIGINATOR_ID of five octets
        (&hex!("80 09 04 00000000"), 9),                    // zero is no identifier
        (&hex!("80 0a 05 c000020100"), 10),                 // CLUSTER_LIST no multiple of four
        (&hex!("80 0a 00"), 10),                            // empty
        (&hex!("c0 10 07 00020000000000"), 16),             // EXTENDED COMMUNITIES no multiple of eight
        (&hex!("c0 10 00"), 16),                            // empty
        (&hex!("c0 20 0d 00000001000000010000000100"), 32), // LARGE_COMMUNITY no multiple of twelve
        (&hex!("c0 20 00"), 32),                            // empty
        (&hex!("c0 23 03 000001"), 35),                     // ONLY_TO_CUSTOMER of three octets
        (&hex!("c0 19 13 00000000000000000000000000000000000000"), 25), // IPV6 EXTENDED COMMUNITIES of 19
        (&hex!("c0 19 00"), 25),                            // empty
    ];
    for (attribute, code) in malformed {
        check_attribute(attribute, internal(), &format!("-10.0.0.0/8, withdraw {code}"));
    }
    for (attributes, code) in [
        ([&hex!("40 01 02 0000")[..], AS_PATH, NEXT_HOP], 1), // two octets
        ([&hex!("40 01 01 03"), AS_PATH, NEXT_HOP], 1),       // undefined
        ([&hex!("40 01 00"), AS_PATH, NEXT_HOP], 1),          // empty
        ([ORIGIN, &hex!("40 02 06 05 01 0000fde9"), NEXT_HOP], 2), // unknown segment
        ([ORIGIN, &hex!("40 02 02 02 00"), NEXT_HOP], 2),     // empty segment
        ([ORIGIN, &hex!("40 02 06 02 02 0000fde9"), NEXT_HOP], 2), // segment runs over
        ([ORIGIN, &hex!("40 02 07 02 01 0000fde9 02"), NEXT_HOP], 2), // one octet too many
        ([ORIGIN, &hex!("40 02 06 02 01 00000000"), NEXT_HOP], 2), // AS 0, RFC 7607
        ([ORIGIN, AS_PATH, &hex!("40 03 05 c000020100")], 3), // five octets
        ([ORIGIN, AS_PATH, &hex!("40 03 04 00000000")], 3),   // no host
        ([ORIGIN, AS_PATH, &hex!("40 03 04 e0000001")], 3),   // multicast
    ] {
        check_update(&body(&[], &attributes, TEN), internal(), &format!("-10.0.0.0/8, withdraw {code}"));
    }
}

#[test]
fn malformed_values_that_do_not_matter_are_discarded() {
    for attribute in [
        &hex!("40 06 01 00")[..],           // ATOMIC_AGGREGATE with a value
        &hex!("c0 07 07 0000fde9c00002"),   // AGGREGATOR of seven octets
        &hex!("c0 07 06 fde9c0000201"),     // two-octet form in a four-octet session
        &hex!("c0 07 08 00000000c0000201"), // AS 0, RFC 7607
        &hex!("c0 12 08 0000fde9c0000201"), // AS4_AGGREGATOR from a four-octet speaker
        &hex!("c0 11 06 02 01 0000fde9"),   // AS4_PATH from a four-octet speaker
    ] {
        check_attribute(attribute, external(), &format!("+10.0.0.0/8, discard {}", attribute[1]));
    }
}

#[test]
fn what_is_for_internal_peers_is_discarded_unseen_from_external_ones() {
    for attribute in [
        &hex!("40 05 04 00000064")[..],
        &hex!("40 05 03 000064"), // malformed or not
        &hex!("80 09 04 c0000201"),
        &hex!("80 0a 04 c0000201"),
        &hex!("80 0a 03 c00002"),
    ] {
        check_attribute(attribute, external(), &format!("+10.0.0.0/8, discard {}", attribute[1]));
    }
    check_attribute(&hex!("40 05 04 00000064"), internal(), "+10.0.0.0/8");
}

#[test]
fn wrong_flags_withdraw() {
    for (attribute, code) in [
        (&hex!("40 04 04 00000001")[..], 4), // MED well-known
        (&hex!("c0 04 04 00000001"), 4),     // MED transitive
        (&hex!("80 08 04 00000001"), 8),     // COMMUNITIES not transitive
        (&hex!("c0 06 00"), 6),              // ATOMIC_AGGREGATE optional
    ] {
        check_attribute(attribute, internal(), &format!("-10.0.0.0/8, withdraw {code}"));
    }
    // The partial bit is no conflict, nor are the four low bits.
    check_attribute(&hex!("e0 08 04 00000001"), external(), "+10.0.0.0/8");
    check_attribute(&hex!("c7 08 04 00000001"), external(), "+10.0.0.0/8");
}

#[test]
fn the_first_of_several_counts() {
    check_attribute(&hex!("40 01 01 02"), external(), "+10.0.0.0/8, discard 1");
    check_attribute(&hex!("40 01 01 09"), external(), "+10.0.0.0/8, discard 1"); // malformed or not
    let update =
        decode(&body(&[], &[ORIGIN, &hex!("40 01 01 02"), AS_PATH, NEXT_HOP], TEN), external()).unwrap();
    assert_eq!(update.reach[0].attrs.origin, net::Origin::Igp);
    let unknown = hex!("c0 c8 01 01 c0 c8 01 02");
    check_attribute(&unknown, external(), "+10.0.0.0/8, discard 200");
}

#[test]
fn an_attribute_that_runs_over_withdraws_what_can_be_located() {
    for broken in [&hex!("c0 08 09 00000001")[..], &hex!("d0 08 00"), &hex!("c0 08"), &hex!("c0")] {
        let code = broken.get(1).copied().unwrap_or(0);
        check_attribute(broken, external(), &format!("-10.0.0.0/8, withdraw {code}"));
        // No prefixes to withdraw: they may have been in what is lost.
        let lost = body(&[], &[ORIGIN, AS_PATH, broken], &[]);
        check_update(&lost, external(), &format!("3/5 {broken:02x?}"));
    }
}

#[test]
fn an_error_without_routes_to_withdraw_resets() {
    // RFC 7606 §5.2.
    check_update(&body(&[], &[&hex!("80 04 03 000001")], &[]), external(), "3/9 [80, 04, 03, 00, 00, 01]");
    check_update(&body(TEN, &[&hex!("40 01 01 07")], &[]), external(), "3/6 [40, 01, 01, 07]");
    // Discarding is no reason.
    check_update(&body(TEN, &[&hex!("40 06 01 00")], &[]), external(), "-10.0.0.0/8, discard 6");
}

#[test]
fn the_strongest_treatment_wins() {
    let discard = hex!("40 06 01 00");
    let withdraw = hex!("80 04 03 000001");
    let reset = hex!("40 c8 01 00");
    let sound = [ORIGIN, AS_PATH, NEXT_HOP];
    let both = [&sound[..], &[&withdraw, &discard]].concat();
    check_update(&body(&[], &both, TEN), external(), "-10.0.0.0/8, withdraw 4, discard 6");
    let all = [&sound[..], &[&withdraw, &discard, &reset]].concat();
    check_update(&body(&[], &all, TEN), external(), "3/2 [40, c8, 01, 00]");
}

#[test]
fn a_fault_withdraws_the_routes_of_both_fields() {
    let med = hex!("80 04 03 000001");
    let expect = "-10.0.0.0/8, -2001:db8::/32, withdraw 4";
    check_update(&body(&[], &[MP_REACH, ORIGIN, AS_PATH, NEXT_HOP, &med], TEN), external(), expect);
}

#[test]
fn unknown_attributes_go_on_if_they_may() {
    let kept = attrs(
        &[ORIGIN, AS_PATH, NEXT_HOP, &hex!("d7 c9 0002 0102"), &hex!("c0 c8 00"), &hex!("80 ca 01 09")],
        external(),
    );
    let kept: Vec<_> = kept.unknown.iter().map(|raw| (raw.flags, raw.code, raw.value.len())).collect();
    assert_eq!(kept, [(0xe0, 200, 0), (0xe0, 201, 2)]);
}

#[test]
fn confederation_segments_are_for_members_only() {
    let path = hex!("40 02 0c 03 01 0000fde8 02 01 0000fde9");
    check_update(&body(&[], &[ORIGIN, &path, NEXT_HOP], TEN), external(), "-10.0.0.0/8, withdraw 2");
    assert_eq!(attrs(&[ORIGIN, &path, NEXT_HOP], internal()).as_path.to_string(), "(65000) 65001");
}

#[test]
fn wide_numbers_come_back_in_a_two_octet_session() {
    let path = hex!("40 02 06 02 02 0007 5ba0");
    let wide = hex!("c0 11 06 02 01 00011170");
    let trans = hex!("c0 07 06 5ba0 c0000201");
    let narrow = hex!("c0 07 06 fde9 c0000201");
    let wide_aggregator = hex!("c0 12 08 00011170 c0000202");
    let sum = |more: &[&[u8]]| {
        let attrs = attrs(&[&[ORIGIN, &path, NEXT_HOP], more].concat(), two_octet());
        let aggregator = attrs.aggregator.map(|aggregator| aggregator.asn.0);
        (attrs.as_path.to_string(), aggregator)
    };
    assert_eq!(sum(&[]), ("7 23456".into(), None));
    assert_eq!(sum(&[&wide]), ("7 70000".into(), None));
    assert_eq!(sum(&[&wide, &trans, &wide_aggregator]), ("7 70000".into(), Some(70000)));
    // An aggregator that was narrow from the start says nothing about the path.
    assert_eq!(sum(&[&wide, &narrow]), ("7 70000".into(), Some(65001)));
    // Somebody has set another aggregator since.
    assert_eq!(sum(&[&wide, &narrow, &wide_aggregator]), ("7 23456".into(), Some(65001)));
}

#[test]
fn a_malformed_as4_path_is_discarded() {
    let path = hex!("40 02 04 02 01 5ba0");
    for wide in
        [&hex!("c0 11 05 02 01 000111")[..], &hex!("c0 11 06 05 01 00011170"), &hex!("c0 11 02 02 00")]
    {
        check_update(
            &body(&[], &[ORIGIN, &path, NEXT_HOP, wide], TEN),
            two_octet(),
            "+10.0.0.0/8, discard 17",
        );
    }
}

#[test]
fn aigp_is_taken_where_the_session_has_it_and_else_as_if_it_were_unknown() {
    let aigp = hex!("80 1a 0b 01 000b 0000000000000064");
    let rx = Rx { aigp: true, ..external() };
    let sound = [ORIGIN, AS_PATH, NEXT_HOP, &aigp];
    assert_eq!(attrs(&sound, rx).aigp, Some(100));
    let without = attrs(&sound, external());
    assert_eq!((without.aigp, without.unknown.len()), (None, 0));
    assert_eq!(attrs(&[ORIGIN, AS_PATH, NEXT_HOP, &hex!("80 1a 00")], rx).aigp, None);
}

/// The attributes as a session without options would have them.
fn written(attrs: &net::Attrs) -> Vec<u8> {
    let mut out = Vec::new();
    crate::wire::encode_attributes(attrs, crate::wire::Tx::default(), &mut out).unwrap();
    out
}

#[test]
fn the_first_accumulated_metric_counts_and_all_else_is_passed_on() {
    let rx = Rx { aigp: true, ..external() };
    let many = hex!("80 1a 1a 07 0004 ff 01 000b 0000000000000007 01 000b 0000000000000009");
    let mut read = net::Attrs::clone(&attrs(&[ORIGIN, AS_PATH, NEXT_HOP, &many], rx));
    assert_eq!(read.aigp, Some(7));
    read.aigp = Some(8);
    let out = written(&read);
    let told = hex!("80 1a 1a 01 000b 0000000000000008 07 0004 ff 01 000b 0000000000000009");
    assert!(out.ends_with(&told), "{out:02x?}");
    // Without any metric too.
    let other = hex!("80 1a 04 07 0004 ff");
    let read = attrs(&[ORIGIN, AS_PATH, NEXT_HOP, &other], rx);
    let out = written(&read);
    assert!(read.aigp.is_none() && out.ends_with(&other), "{out:02x?}");
}

#[test]
fn malformed_aigp_is_discarded() {
    // RFC 7311 §3: whatever is wrong with it, even its flags.
    for attribute in [
        &hex!("80 1a 0a 01 000a 00000000000000")[..], // a metric of seven octets
        &hex!("80 1a 03 01 000b"),                    // runs over the end
        &hex!("80 1a 03 01 0002"),                    // shorter than its head
        &hex!("80 1a 01 01"),                         // no length
        &hex!("80 1a 0b 01 000b ffffffffffffffff"),   // the largest number
        &hex!("c0 1a 0b 01 000b 0000000000000064"),   // transitive
    ] {
        let rx = Rx { aigp: true, ..external() };
        check_attribute(attribute, rx, "+10.0.0.0/8, discard 26");
        let update = decode(&body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, attribute], TEN), rx).unwrap();
        assert_eq!(update.reach[0].attrs.aigp, None);
    }
}

#[test]
fn the_rarer_attributes_are_read() {
    let otc = hex!("c0 23 04 0000fde9");
    let ipv6 = hex!("c0 19 14 0002 20010db8000000000000000000000001 0064");
    let read = attrs(&[ORIGIN, AS_PATH, NEXT_HOP, &otc, &ipv6], external());
    assert_eq!(read.only_to_customer, Some(Asn(65001)));
    assert_eq!(read.ipv6_ext_communities.len(), 1);
    assert!(!read.ipv6_ext_communities[0].is_non_transitive());
    assert_eq!(read.unknown, []);
}

#[test]
fn the_partial_bit_of_what_is_understood_is_kept() {
    let read = attrs(&[ORIGIN, AS_PATH, NEXT_HOP, &hex!("e0 08 04 00000001")], external());
    assert_eq!(read.partial, 1 << 8);
    let out = written(&read);
    assert!(out.ends_with(&hex!("e0 08 04 00000001")), "{out:02x?}");
    // It says nothing of an optional non-transitive one (RFC 4271 §4.3).
    assert_eq!(attrs(&[ORIGIN, AS_PATH, NEXT_HOP, &hex!("a0 04 04 00000001")], external()).partial, 0);
}

mod families;
