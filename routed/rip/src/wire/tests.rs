//! Packets by the tables of RFC 2453 §4 and RFC 2080 §2.1.

use hex_literal::hex;
use proptest::prelude::*;

use super::*;

const V2: Family = Family::Ipv4Unicast;
const NG: Family = Family::Ipv6Unicast;

fn entry(prefix: &str, tag: u16, next_hop: Option<&str>, metric: u8) -> Entry {
    let next_hop = next_hop.map(|address| address.parse().unwrap());
    Entry { prefix: prefix.parse().unwrap(), tag, next_hop, metric }
}

fn responses(family: Family, entries: &[Entry]) -> Vec<Vec<u8>> {
    let room = if family == V2 { Room::PLAIN } else { Room::of_mtu(1500) };
    pack(family, Command::Response, room, entries)
}

/// The entries of one packet after `02 vv 00 00`.
fn read_one(family: Family, body: &[u8]) -> Vec<Result<Entry, BadRoute>> {
    let version = if family == V2 { 2 } else { 1 };
    match decode(family, [2, version, 0, 0], body) {
        Ok(Packet::Response(entries)) => entries,
        other => panic!("{other:?}"),
    }
}

const RIPV2: [u8; 44] = hex!(
    "02 02 0000"
    "0002 0007 0a010000 ffff0000 00000000 00000001"
    "0002 0000 00000000 00000000 c0000209 00000010"
);

const RIPNG: [u8; 84] = hex!(
    "02 01 0000"
    "fd000001000000000000000000000000 0007 30 01"
    "fe800000000000000000000000000009 0000 00 ff"
    "fd000002000000000000000000000000 0000 30 02"
    "00000000000000000000000000000000 0000 00 10"
);

#[test]
fn a_response_of_ripv2_is_as_in_rfc_2453() {
    let entries = [entry("10.1.0.0/16", 7, None, 1), entry("0.0.0.0/0", 0, Some("192.0.2.9"), 16)];
    assert_eq!(responses(V2, &entries), [RIPV2]);
    assert_eq!(decode_datagram(V2, &RIPV2), Ok(Packet::Response(entries.map(Ok).to_vec())));
}

#[test]
fn a_response_of_ripng_is_as_in_rfc_2080() {
    let entries = [
        entry("fd00:1::/48", 7, None, 1),
        entry("fd00:2::/48", 0, Some("fe80::9"), 2),
        entry("::/0", 0, Some("fe80::9"), 16),
    ];
    assert_eq!(responses(NG, &entries), [RIPNG]);
    assert_eq!(decode_datagram(NG, &RIPNG), Ok(Packet::Response(entries.map(Ok).to_vec())));
}

#[test]
fn a_next_hop_that_is_not_link_local_is_the_sender() {
    for next_hop in [hex!("00000000000000000000000000000000"), hex!("20010db8000000000000000000000009")] {
        let mut packet = RIPNG;
        packet[24..40].copy_from_slice(&next_hop);
        let Ok(Packet::Response(entries)) = decode_datagram(NG, &packet) else { panic!() };
        assert!(entries.iter().all(|entry| entry.unwrap().next_hop.is_none()));
    }
}

#[test]
fn the_request_for_the_whole_table_is_one_entry_of_no_family_and_metric_16() {
    let v2 = hex!("01 02 0000 0000 0000 00000000 00000000 00000000 00000010");
    let ng = hex!("01 01 0000 00000000000000000000000000000000 0000 00 10");
    assert_eq!(whole_table_request(V2, Room::PLAIN), v2);
    assert_eq!(whole_table_request(NG, Room::of_mtu(1500)), ng);
    assert_eq!(decode_datagram(V2, &v2), Ok(Packet::WholeTable));
    assert_eq!(decode_datagram(NG, &ng), Ok(Packet::WholeTable));
    // Two such entries, or another metric: nothing is asked.
    assert_eq!(decode_datagram(V2, &[&v2[..], &v2[4..]].concat()), Ok(Packet::Request(vec![])));
    let asked = hex!("01 02 0000 0002 0000 0a000000 ff000000 00000000 00000000");
    assert_eq!(decode_datagram(V2, &asked), Ok(Packet::Request(vec![entry("10.0.0.0/8", 0, None, 0)])));
}

#[test]
fn a_packet_that_is_none_is_refused_as_a_whole() {
    let change = |family, at: usize, value| {
        let mut packet = if family == V2 { RIPV2.to_vec() } else { RIPNG.to_vec() };
        packet[at] = value;
        decode_datagram(family, &packet).unwrap_err()
    };
    assert_eq!(change(V2, 0, 0), BadPacket::Command(0));
    assert_eq!(change(V2, 0, 9), BadPacket::Command(9));
    assert_eq!(change(V2, 1, 0), BadPacket::Version(0));
    assert_eq!(change(V2, 1, 1), BadPacket::Version(1));
    assert_eq!(change(V2, 2, 1), BadPacket::NotZero);
    assert_eq!(change(NG, 1, 2), BadPacket::Version(2));
    assert_eq!(change(NG, 3, 1), BadPacket::NotZero);
    for length in [0, 3, 5, 23, 43] {
        assert_eq!(decode_datagram(V2, &RIPV2[..length]), Err(BadPacket::Length));
    }
    assert_eq!(decode_datagram(V2, &RIPV2[..4]), Ok(Packet::Response(vec![])));
}

#[test]
fn each_bad_entry_of_ripv2_has_its_reason() {
    let martian = |text: &str| BadRoute::Martian(text.parse().unwrap());
    for (bytes, why) in [
        (hex!("0001 0000 0a000000 ff000000 00000000 00000001"), BadRoute::AddressFamily(1)),
        (hex!("0000 0000 0a000000 ff000000 00000000 00000001"), BadRoute::AddressFamily(0)),
        (hex!("ffff 0002 73656372 65740000 00000000 00000000"), BadRoute::LateAuthentication),
        (hex!("0002 0000 0a000000 ff000000 00000000 00000000"), BadRoute::Metric(0)),
        (hex!("0002 0000 0a000000 ff000000 00000000 00000011"), BadRoute::Metric(17)),
        (hex!("0002 0000 0a000000 ff000000 00000000 00000101"), BadRoute::Metric(257)),
        (hex!("0002 0000 0a000000 00000000 00000000 00000001"), BadRoute::Mask),
        (hex!("0002 0000 0a000000 ff00ff00 00000000 00000001"), BadRoute::Mask),
        (hex!("0002 0000 0a000000 00ffffff 00000000 00000001"), BadRoute::Mask),
        (hex!("0002 0000 0a000001 ff000000 00000000 00000001"), BadRoute::HostBits),
        (hex!("0002 0000 7f000000 ff000000 00000000 00000001"), martian("127.0.0.0/8")),
        (hex!("0002 0000 e0000009 ffffffff 00000000 00000001"), martian("224.0.0.9/32")),
        (hex!("0002 0000 ffffffff ffffffff 00000000 00000001"), martian("255.255.255.255/32")),
        (hex!("0002 0000 00000000 ffffffff 00000000 00000001"), martian("0.0.0.0/32")),
    ] {
        assert_eq!(read_one(V2, &bytes), [Err(why)]);
    }
}

#[test]
fn each_bad_entry_of_ripng_has_its_reason() {
    let martian = |text: &str| BadRoute::Martian(text.parse().unwrap());
    for (bytes, why) in [
        (hex!("fd000000000000000000000000000000 0000 08 00"), BadRoute::Metric(0)),
        (hex!("fd000000000000000000000000000000 0000 08 11"), BadRoute::Metric(17)),
        (hex!("fd000000000000000000000000000000 0000 81 01"), BadRoute::Mask),
        (hex!("fd000000000000000000000000000001 0000 08 01"), BadRoute::HostBits),
        (hex!("fe800000000000000000000000000000 0000 40 01"), martian("fe80::/64")),
        (hex!("ff020000000000000000000000000009 0000 80 01"), martian("ff02::9/128")),
        (hex!("00000000000000000000000000000001 0000 80 01"), martian("::1/128")),
    ] {
        assert_eq!(read_one(NG, &bytes), [Err(why)]);
    }
}

#[test]
fn packets_are_as_full_as_the_rfc_allows() {
    let hosts = |count: u32| -> Vec<Entry> {
        let prefix = |n| Prefix::host(Ipv4Addr::from(0x0a00_0000 + n).into());
        (0..count).map(|n| Entry { prefix: prefix(n), tag: 0, next_hop: None, metric: 1 }).collect()
    };
    let sizes = |packets: Vec<Vec<u8>>| packets.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(responses(V2, &hosts(51))), [504, 504, 24]);
    assert_eq!(responses(V2, &[]), Vec::<Vec<u8>>::new());
    // RFC 2080 §2.1: (MTU - headers - 4) / 20.
    assert_eq!([0, 1280, 1500, 9000].map(|mtu| Room::of_mtu(mtu).entries), [61, 61, 72, 447]);
    assert_eq!(Room::of_mtu(u32::MAX).entries, 3274);
}

fn any_entry(family: Family) -> impl Strategy<Value = Entry> {
    let next_hop = prop::option::of(0u8..3);
    (any::<u128>(), 0u8..=128, any::<u16>(), next_hop, 1u8..=16).prop_filter_map(
        "a unicast prefix",
        move |(bits, length, tag, next_hop, metric)| {
            let (address, length, hop): (IpAddr, u8, fn(u8) -> IpAddr) = match family {
                V2 => {
                    let [a, b, c, d, ..] = bits.to_be_bytes();
                    (Ipv4Addr::new(a, b, c, d).into(), length % 33, |n| {
                        Ipv4Addr::new(192, 0, 2, n + 1).into()
                    })
                }
                NG => (Ipv6Addr::from(bits).into(), length, |n| {
                    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n.into()).into()
                }),
            };
            let prefix = Prefix::new(address, length).filter(|prefix| !prefix.is_martian())?;
            Some(Entry { prefix, tag, next_hop: next_hop.map(hop), metric })
        },
    )
}

fn family_and_entries() -> impl Strategy<Value = (Family, Vec<Entry>)> {
    prop::sample::select(Family::ALL.to_vec())
        .prop_flat_map(|family| (Just(family), prop::collection::vec(any_entry(family), 0..200)))
}

proptest! {
    #[test]
    fn what_is_packed_is_read_back_and_no_packet_is_too_long((family, entries) in family_and_entries()) {
        let packets = responses(family, &entries);
        let mut back = Vec::new();
        for packet in &packets {
            let most = if family == V2 { 504 } else { 1500 - 48 };
            prop_assert!(packet.len() <= most);
            back.extend(read_one(family, &packet[4..]).into_iter().map(Result::unwrap));
        }
        prop_assert_eq!(back, entries);
    }
}

#[test]
fn twenty_thousand_mutated_packets_are_read_without_panic() {
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let (mut good, mut bad) = (0, 0);
    for round in 0..20_000 {
        let (family, mut packet) = if round % 2 == 0 { (V2, RIPV2.to_vec()) } else { (NG, RIPNG.to_vec()) };
        for _ in 0..=random(4) {
            let at = random(packet.len());
            match random(4) {
                0 if at > 0 => packet.truncate(at),
                1 => packet.extend_from_within(at..),
                _ => packet[at] = u8::try_from(random(256)).unwrap(),
            }
        }
        match decode_datagram(family, &packet) {
            Ok(Packet::Response(entries)) => {
                let entries: Vec<Entry> = entries.into_iter().filter_map(Result::ok).collect();
                for (packet, again) in responses(family, &entries).iter().zip(entries.chunks(200)) {
                    assert!(read_one(family, &packet[4..]).len() <= again.len());
                }
                good += 1;
            }
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
    }
    assert!(good > 1000 && bad > 1000, "{good} {bad}");
}
