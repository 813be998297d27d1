//! The octets of what is written, and what is refused.

use hex_literal::hex;
use net::{AsPath, Asn, Community, LargeCommunity, Prefix, RawAttr};

use super::*;
use crate::wire::{Capability, Notification, Open, Reach, Update};

fn nlri(text: &str) -> Nlri {
    text.parse::<Prefix>().unwrap().into()
}

fn v4() -> Attrs {
    Attrs { next_hop: Some(NextHop::V4([192, 0, 2, 1].into())), ..Attrs::default() }
}

fn v6() -> Attrs {
    Attrs {
        next_hop: Some(NextHop::V6 { global: "2001:db8::1".parse().unwrap(), link_local: None }),
        ..Attrs::default()
    }
}

/// What stands after the header of the only message.
#[track_caller]
fn body(tx: Tx, family: Family, attrs: &Attrs, list: &[Nlri]) -> Vec<u8> {
    let mut out = BytesMut::new();
    assert_eq!(Encoder::new(tx).encode_update(&mut out, family, attrs, list), Ok(1));
    assert_eq!(usize::from(u16::from_be_bytes([out[16], out[17]])), out.len());
    out.split_off(HEADER).into()
}

#[test]
fn ipv4_over_ipv4_goes_into_the_classic_field() {
    let path = Attrs { as_path: AsPath::sequence([65001]), ..v4() };
    let expect = hex!("0000 0014 40010100 400206 02 01 0000fde9 400304 c0000201 08 0a");
    assert_eq!(body(Tx::default(), Family::Ipv4Unicast, &path, &[nlri("10.0.0.0/8")]), expect);
}

#[test]
fn what_is_not_classic_comes_first_and_without_next_hop() {
    let hop = hex!("20010db8000000000000000000000001");
    let expect =
        [&hex!("0000 0023 800e 19 0001 01 10")[..], &hop, &hex!("00 18 c00002 40010100 400200")].concat();
    assert_eq!(body(Tx::default(), Family::Ipv4Unicast, &v6(), &[nlri("192.0.2.0/24")]), expect);
}

#[test]
fn attributes_stand_in_the_order_of_their_codes() {
    let raw = |code| RawAttr { flags: 0xe0, code, value: Box::default() };
    let attrs = Attrs {
        communities: vec![Community(1)],
        large_communities: vec![LargeCommunity([1, 2, 3])],
        only_to_customer: Some(Asn(65001)),
        unknown: vec![raw(11), raw(20), raw(36), raw(200)],
        ..v4()
    };
    let body = body(Tx::default(), Family::Ipv4Unicast, &attrs, &[nlri("10.0.0.0/8")]);
    let (mut codes, mut list) = (Vec::new(), &body[4..body.len() - 2]);
    while let Some((attribute, rest)) = attr::Attribute::split(list) {
        codes.push(attribute.code);
        list = rest.0;
    }
    assert_eq!(codes, [1, 2, 3, 8, 11, 20, 32, 35, 36, 200]);
}

#[test]
fn what_is_longer_than_the_room_or_unknown_or_partial_is_written_in_order_all_the_same() {
    let raw = |code, length| RawAttr { flags: 0xe0, code, value: vec![code; length].into() };
    let attrs = Attrs {
        communities: vec![Community(7); 300],
        large_communities: vec![LargeCommunity([1, 2, 3])],
        partial: 1 << 8,
        unknown: vec![raw(0, 1), raw(11, 500), raw(11, 2), raw(200, 300)],
        ..v4()
    };
    // The second time there is room.
    let (mut encoder, mut out) = (Encoder::default(), BytesMut::new());
    let list = [nlri("10.0.0.0/8")];
    for _ in 0..2 {
        out.clear();
        assert_eq!(encoder.encode_update(&mut out, Family::Ipv4Unicast, &attrs, &list), Ok(1));
        let (mut found, mut list) = (Vec::new(), &out[EMPTY_UPDATE..out.len() - 2]);
        while let Some((attribute, rest)) = attr::Attribute::split(list) {
            found.push((attribute.flags, attribute.code, attribute.value.len()));
            list = rest.0;
        }
        assert_eq!(
            found,
            [
                (0xe0, 0, 1),
                (0x40, 1, 1),
                (0x40, 2, 0),
                (0x40, 3, 4),
                (0xf0, 8, 1200),
                (0xf0, 11, 500),
                (0xe0, 11, 2),
                (0xc0, 32, 12),
                (0xf0, 200, 300),
            ]
        );
    }
}

#[test]
fn a_list_that_was_refused_leaves_nothing_behind() {
    let (mut encoder, mut out) = (Encoder::default(), BytesMut::new());
    let list = [nlri("10.0.0.0/8")];
    let raw = |code, length| vec![RawAttr { flags: 0xc0, code, value: vec![0; length].into() }];
    let mut encode = |unknown| {
        let attrs = Attrs { unknown, ..v4() };
        encoder.encode_update(&mut out, Family::Ipv4Unicast, &attrs, &list).map(|_| out.split().len())
    };
    let whole = encode(Vec::new());
    let expect = EncodeError::TooLong { code: 99, length: 70_000, max: 4096 };
    assert_eq!(encode(raw(99, 70_000)), Err(expect));
    assert_eq!(encode(raw(8, 1)), Err(EncodeError::NotUnknown { code: 8 }));
    assert_eq!(encode(Vec::new()), whole);
}

#[test]
fn lengths_are_extended_only_where_they_must_be() {
    for (count, head) in [(63, &hex!("c0 08 fc")[..]), (64, &hex!("d0 08 0100"))] {
        let attrs = Attrs { communities: vec![Community(7); count], ..v4() };
        let body = body(Tx::default(), Family::Ipv4Unicast, &attrs, &[nlri("10.0.0.0/8")]);
        assert_eq!(&body[4 + 14..][..head.len()], head);
    }
}

#[test]
fn a_wide_number_goes_to_a_narrow_session_in_its_own_attribute() {
    let tx = Tx { as4: false, ..Tx::default() };
    let attrs = Attrs { as_path: AsPath::sequence([7, 70000]), ..v4() };
    let expect = hex!(
        "0000 0021 40010100 400206 02 02 0007 5ba0 400304 c0000201
        c0110a 02 02 00000007 00011170 08 0a"
    );
    assert_eq!(body(tx, Family::Ipv4Unicast, &attrs, &[nlri("10.0.0.0/8")]), expect);
    // Nothing wide, nothing extra.
    let attrs = Attrs { as_path: AsPath::sequence([7]), ..v4() };
    let expect = hex!("0000 0012 40010100 400204 02 01 0007 400304 c0000201 08 0a");
    assert_eq!(body(tx, Family::Ipv4Unicast, &attrs, &[nlri("10.0.0.0/8")]), expect);
}

#[test]
fn path_identifiers_stand_before_prefixes() {
    let tx = Tx { add_path: [true, false], ..Tx::default() };
    let list = [Nlri { path_id: 9, ..nlri("10.0.0.0/8") }];
    let mut out = BytesMut::new();
    assert_eq!(Encoder::new(tx).encode_withdraw(&mut out, Family::Ipv4Unicast, &list), Ok(1));
    assert_eq!(out[HEADER..], hex!("0006 00000009 08 0a 0000"));
}

#[test]
fn end_of_rib_is_as_in_rfc_4724() {
    let mut out = BytesMut::new();
    let mut encoder = Encoder::default();
    encoder.end_of_rib(&mut out, Family::Ipv4Unicast);
    assert_eq!(out.split_off(HEADER)[..], hex!("0000 0000"));
    out.clear();
    encoder.end_of_rib(&mut out, Family::Ipv6Unicast);
    assert_eq!(out.split_off(HEADER)[..], hex!("0000 0006 800f 03 0002 01"));
}

#[test]
fn messages_are_filled_to_the_last_octet() {
    // 4096 - 23 - 14 octets of attributes leave room for 1014 prefixes of four.
    let list = vec![nlri("10.0.0.0/24"); 1015];
    let (mut encoder, mut out) = (Encoder::default(), BytesMut::new());
    assert_eq!(encoder.encode_update(&mut out, Family::Ipv4Unicast, &v4(), &list[1..]), Ok(1));
    assert_eq!(out.len(), 23 + 14 + 4 * 1014);
    assert_eq!(encoder.encode_update(&mut out, Family::Ipv4Unicast, &v4(), &list), Ok(2));
    let mut large = Encoder::new(Tx { extended_messages: true, ..Tx::default() });
    assert_eq!(large.encode_update(&mut out, Family::Ipv4Unicast, &v4(), &list), Ok(1));
    assert_eq!(large.encode_update(&mut out, Family::Ipv4Unicast, &v4(), &[]), Ok(0));
}

/// The refusal; nothing may have been written.
#[track_caller]
fn refused(family: Family, attrs: &Attrs, list: &[Nlri]) -> EncodeError {
    let mut out = BytesMut::from(&[1, 2, 3][..]);
    let error = Encoder::default().encode_update(&mut out, family, attrs, list).unwrap_err();
    assert_eq!(&out[..], [1, 2, 3]);
    error
}

#[test]
fn attributes_without_room_for_a_prefix_are_refused_by_name() {
    let attrs = Attrs { communities: vec![Community(7); 1100], ..v4() };
    let expect = EncodeError::TooLong { code: 8, length: 4400, max: 4096 };
    assert_eq!(refused(Family::Ipv4Unicast, &attrs, &[nlri("10.0.0.0/8")]), expect);
    // More than a length field can say.
    let attrs = Attrs { communities: vec![Community(7); 20_000], ..v4() };
    let expect = EncodeError::TooLong { code: 8, length: 80_000, max: 4096 };
    assert_eq!(refused(Family::Ipv4Unicast, &attrs, &[nlri("10.0.0.0/8")]), expect);
    // Room for the first prefix, but not for the second: neither is written.
    let attrs = Attrs { communities: vec![Community(7); 1013], ..v4() };
    let list = [nlri("0.0.0.0/0"), nlri("10.0.0.0/24")];
    assert!(matches!(refused(Family::Ipv4Unicast, &attrs, &list), EncodeError::TooLong { code: 8, .. }));
}

#[test]
fn routes_that_have_no_wire_form_are_refused() {
    let (four, six) = (nlri("10.0.0.0/8"), nlri("2001:db8::/32"));
    for (family, attrs) in [(Family::Ipv6Unicast, v4()), (Family::Ipv4Unicast, Attrs::default())] {
        let expect = EncodeError::NextHop { family, next_hop: attrs.next_hop };
        assert_eq!(refused(family, &attrs, &[four]), expect);
    }
    let expect = EncodeError::Family { family: Family::Ipv4Unicast, prefix: six.prefix };
    assert_eq!(refused(Family::Ipv4Unicast, &v4(), &[four, six]), expect);
    let raw = RawAttr { flags: 0xc0, code: 8, value: Box::default() };
    let expect = EncodeError::NotUnknown { code: 8 };
    assert_eq!(refused(Family::Ipv4Unicast, &Attrs { unknown: vec![raw], ..v4() }, &[four]), expect);
}

#[test]
fn other_messages_that_are_too_long_are_refused() {
    let (mut encoder, mut out) = (Encoder::default(), BytesMut::from(&[1][..]));
    let value = |length: usize| vec![0; length].into_boxed_slice();
    let open = |length, count| Open {
        version: 4,
        my_as: 1,
        hold_time: 9,
        identifier: [192, 0, 2, 1].into(),
        capabilities: vec![Capability::Unknown { code: 200, value: value(length) }; count],
    };
    for message in [
        Message::Open(open(256, 1)),
        Message::Open(open(255, 16)),
        Message::Open(open(255, 300)),
        Message::Notification(Notification { code: 6, subcode: 0, data: value(4076) }),
    ] {
        let error = encoder.encode_message(&mut out, &message).unwrap_err();
        assert!(matches!(error, EncodeError::Oversize { .. }), "{error}");
        assert_eq!(&out[..], [1]);
    }
}

#[test]
fn an_update_with_several_parts_becomes_several_messages() {
    let reach = |family, attrs: Attrs, list| Reach { family, attrs: attrs.into(), nlri: vec![list] };
    let update = Update {
        reach: vec![
            reach(Family::Ipv4Unicast, v4(), nlri("10.0.0.0/8")),
            reach(Family::Ipv6Unicast, v6(), nlri("2001:db8::/32")),
        ],
        unreach: vec![(Family::Ipv4Unicast, vec![nlri("10.0.0.0/8")])],
        ..Update::default()
    };
    let mut out = BytesMut::new();
    assert_eq!(Encoder::default().encode_message(&mut out, &Message::Update(update)), Ok(3));
}
