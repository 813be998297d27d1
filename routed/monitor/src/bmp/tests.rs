use bgp::wire::{Capability, Rx, decode};
use hex_literal::hex;
use net::NextHop;

use super::*;

fn header(rib: Rib) -> Header {
    let of = Speaker {
        address: "192.0.2.1".parse().unwrap(),
        link: 0,
        asn: Asn(65_551),
        router_id: "198.51.100.1".parse().unwrap(),
    };
    Header { rib, of, at: Duration::new(0x6500_0000, 5_000), add_path: [false; 2] }
}

fn written(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out);
    out.to_vec()
}

/// Cuts octets into messages: type and what follows the common header.
fn messages(mut octets: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut messages = Vec::new();
    while !octets.is_empty() {
        assert_eq!(octets[0], 3);
        let length = u32::from_be_bytes(octets[1..5].try_into().unwrap()) as usize;
        messages.push((octets[5], octets[6..length].to_vec()));
        octets = &octets[length..];
    }
    messages
}

fn update_of(body: &[u8]) -> bgp::wire::Update {
    let (found, length) = frame(&body[42..], MAX_EXTENDED_MESSAGE).unwrap().unwrap();
    assert_eq!(42 + length, body.len());
    match decode(found, &Rx { extended: true, extended_next_hop: true, ..Rx::default() }).unwrap() {
        Message::Update(update) => update,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_and_the_last_message_are_those_of_the_rfc() {
    assert_eq!(
        written(|out| initiation(out, "n1", "routed 1")),
        hex!("03 00000018 04 0001 0008 726f757465642031 0002 0002 6e31")
    );
    assert_eq!(
        written(|out| termination(out, Termination::Permanent)),
        hex!("03 0000000c 05 0001 0002 0004")
    );
}

#[test]
fn two_peers_with_one_address_on_two_links_are_told_apart() {
    let header = |rib, link| {
        let of = Speaker { address: "fe80::1".parse().unwrap(), link, ..header(rib).of };
        written(|out| statistics(out, &Header { of, ..header(rib) }, &[]))[6..].to_vec()
    };
    let (one, other) = (header(Rib::AdjInPre, 3), header(Rib::AdjInPre, 4));
    assert_eq!(one[..26], hex!("02 80 0000000000000003 fe80 0000000000000000000000000001"));
    assert_eq!(other[..26], hex!("02 80 0000000000000004 fe80 0000000000000000000000000001"));
    assert_eq!(header(Rib::AdjOutPost, 3)[..10], hex!("02 d0 0000000000000003"));
    // An address of the whole network needs nothing; nor does this node itself.
    assert_eq!(header(Rib::AdjInPre, 0)[..10], hex!("00 80 0000000000000000"));
    assert_eq!(header(Rib::Loc, 3)[..10], hex!("03 00 0000000000000000"));
}

#[test]
fn the_per_peer_header_says_whose_which_and_when() {
    let common =
        hex!("0000000000000000 000000000000000000000000c0000201 0001000f c6336401 65000000 00000005");
    for (rib, start) in [
        (Rib::AdjInPre, [0, 0]),
        (Rib::AdjInPost, [0, 0x40]),
        (Rib::AdjOutPre, [0, 0x10]),
        (Rib::AdjOutPost, [0, 0x50]),
    ] {
        let octets = written(|out| per_peer(out, &header(rib)));
        assert_eq!(octets, [&start[..], &common].concat(), "{rib:?}");
    }
    // RFC 9069 §4: type 3, no address.
    let loc = written(|out| per_peer(out, &header(Rib::Loc)));
    assert_eq!(loc[..26], [&[3u8, 0][..], &[0; 24]].concat());
    let mut six = header(Rib::AdjInPost);
    six.of.address = "2001:db8::1".parse().unwrap();
    let octets = written(|out| per_peer(out, &six));
    assert_eq!(octets[..2], [0, 0xc0]);
    assert_eq!(octets[10..26], hex!("20010db8000000000000000000000001"));
    assert_eq!(octets.len(), 42);
}

fn an_open(asn: u16) -> Open {
    Open {
        version: 4,
        my_as: asn,
        hold_time: 9,
        identifier: [192, 0, 2, 7].into(),
        capabilities: vec![Capability::RouteRefresh],
    }
}

#[test]
fn peer_up_has_both_ends_and_both_opens_in_the_order_sent_received() {
    let ends = ("192.0.2.9:40000".parse().unwrap(), "192.0.2.1:179".parse().unwrap());
    let opens = [an_open(1), an_open(2)];
    let octets = written(|out| peer_up(out, &header(Rib::AdjInPre), ends, &opens).unwrap());
    let [(3, body)] = &messages(&octets)[..] else { panic!("{octets:?}") };
    assert_eq!(body[42..62], hex!("000000000000000000000000c0000209 9c40 00b3"));
    let mut rest = &body[62..];
    for wanted in opens {
        let (found, length) = frame(rest, 4096).unwrap().unwrap();
        assert_eq!(decode(found, &Rx::default()).unwrap(), Message::Open(wanted));
        rest = &rest[length..];
    }
    assert_eq!(rest, []);
}

#[test]
fn loc_rib_comes_up_with_the_name_of_its_table() {
    let octets = written(|out| loc_up(out, &header(Rib::Loc), &an_open(1)).unwrap());
    let [(3, body)] = &messages(&octets)[..] else { panic!("{octets:?}") };
    assert_eq!(body[42..62], [0; 20]);
    assert!(body.ends_with(&hex!("0003 0006 676c6f62616c")));
}

#[test]
fn each_end_of_a_session_has_its_reason() {
    let cease = || Notification { code: 6, subcode: 2, data: Box::default() };
    let notification = hex!("ffffffffffffffffffffffffffffffff 0015 03 06 02");
    for (ended, wanted) in [
        (Ended::Sent(cease()), [&[1][..], &notification].concat()),
        (Ended::Local(29), vec![2, 0, 29]),
        (Ended::Received(cease()), [&[3][..], &notification].concat()),
        (Ended::Closed, vec![4]),
        (Ended::Unmonitored, vec![5]),
    ] {
        let octets = written(|out| peer_down(out, &header(Rib::AdjInPre), &ended).unwrap());
        let [(2, body)] = &messages(&octets)[..] else { panic!("{octets:?}") };
        assert_eq!(body[42..], wanted, "{ended:?}");
    }
}

#[test]
fn statistics_are_counted_and_typed() {
    let stats = [Stat::AdjIn(2), Stat::AdjInOf(Family::Ipv6Unicast, 1)];
    let octets = written(|out| statistics(out, &header(Rib::AdjInPre), &stats));
    let [(1, body)] = &messages(&octets)[..] else { panic!("{octets:?}") };
    assert_eq!(body[42..], hex!("00000002 0007 0008 0000000000000002 0009 000b 0002 01 0000000000000001"));
}

#[test]
fn what_is_counted_has_32_bits_and_wraps_and_what_there_is_has_64() {
    let types = |stats: &[Stat]| -> Vec<(u16, usize)> {
        let octets = written(|out| statistics(out, &header(Rib::AdjInPre), stats));
        let mut rest = &octets[6 + 42 + 4..];
        let mut types = Vec::new();
        while let [a, b, c, d, tail @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*c, *d]));
            types.push((u16::from_be_bytes([*a, *b]), length));
            rest = &tail[length..];
        }
        types
    };
    let counters = [
        Stat::Filtered(1),
        Stat::Duplicates(1),
        Stat::DuplicateWithdrawals(1),
        Stat::ClusterLoops(1),
        Stat::AsLoops(1),
        Stat::OriginatorLoops(1),
        Stat::ConfederationLoops(1),
        Stat::TreatedUpdates(1),
        Stat::TreatedPrefixes(1),
        Stat::DuplicateUpdates(1),
    ];
    assert_eq!(types(&counters), [0, 1, 2, 3, 4, 5, 6, 11, 12, 13].map(|kind| (kind, 4)));
    let family = Family::Ipv4Unicast;
    let gauges =
        [Stat::AdjIn(1), Stat::Loc(1), Stat::AdjInOf(family, 1), Stat::LocOf(family, 1), Stat::AdjOut(1)];
    assert_eq!(types(&gauges), [(7, 8), (8, 8), (9, 11), (10, 11), (15, 8)]);
    let out = [Stat::AdjOutPre(1), Stat::AdjOutPreOf(family, 1), Stat::AdjOutOf(family, 1)];
    assert_eq!(types(&out), [(14, 8), (16, 11), (17, 11)]);
    let octets = written(|out| statistics(out, &header(Rib::AdjInPre), &[Stat::Filtered((1 << 32) + 7)]));
    assert!(octets.ends_with(&hex!("0000 0004 00000007")));
}

fn attrs(next_hop: &str) -> Attrs {
    let next_hop: IpAddr = next_hop.parse().unwrap();
    Attrs { next_hop: Some(NextHop::from(next_hop)), med: Some(7), ..Attrs::default() }
}

#[test]
fn routes_come_back_as_they_were_told() {
    let mut writer = Writer::default();
    for (family, next_hop, prefix) in [
        (Family::Ipv4Unicast, "192.0.2.1", "10.1.0.0/16"),
        (Family::Ipv6Unicast, "2001:db8::1", "2001:db8:1::/48"),
        (Family::Ipv4Unicast, "2001:db8::1", "10.1.0.0/16"),
    ] {
        let nlri = [Nlri::from(prefix.parse::<net::Prefix>().unwrap())];
        let attrs = attrs(next_hop);
        let octets = written(|out| {
            assert_eq!(writer.reach(out, &header(Rib::AdjInPre), (family, &attrs), &nlri).unwrap(), 1);
            writer.unreach(out, &header(Rib::AdjInPre), family, &nlri).unwrap();
            writer.end_of_rib(out, &header(Rib::AdjInPre), family);
        });
        let all = messages(&octets);
        assert_eq!(all.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [0, 0, 0]);
        let told = update_of(&all[0].1);
        assert_eq!((&*told.reach[0].attrs, &told.reach[0].nlri[..]), (&attrs, &nlri[..]));
        assert_eq!(update_of(&all[1].1).unreach, [(family, nlri.to_vec())]);
        assert_eq!(update_of(&all[2].1).end_of_rib, Some(family));
    }
}

#[test]
fn what_does_not_fit_one_update_becomes_several_messages() {
    let nlri: Vec<Nlri> =
        (0..3000u32).map(|n| Nlri::from(net::Prefix::host(Ipv4Addr::from(0x0a00_0000 + n).into()))).collect();
    let octets = written(|out| {
        let mut writer = Writer::default();
        let family = Family::Ipv4Unicast;
        let count = writer.reach(out, &header(Rib::Loc), (family, &attrs("192.0.2.1")), &nlri).unwrap();
        assert_eq!(count, 4);
    });
    let told: Vec<Nlri> = messages(&octets)
        .iter()
        .flat_map(|(_, body)| update_of(body).reach.into_iter().flat_map(|reach| reach.nlri))
        .collect();
    assert_eq!(told, nlri);
}

#[test]
fn attributes_of_an_extended_session_are_shown_too() {
    let attrs = Attrs { communities: vec![net::Community(1); 2000], ..attrs("192.0.2.1") };
    let nlri = [Nlri::from("10.1.0.0/16".parse::<net::Prefix>().unwrap())];
    let octets = written(|out| {
        let header = header(Rib::AdjInPre);
        Writer::default().reach(out, &header, (Family::Ipv4Unicast, &attrs), &nlri).unwrap();
    });
    assert_eq!(*update_of(&messages(&octets)[0].1).reach[0].attrs, attrs);
}

#[test]
fn path_identifiers_are_shown_where_the_session_has_them() {
    let header = Header { add_path: [true, false], ..header(Rib::AdjInPre) };
    let nlri = [Nlri { path_id: 7, prefix: "10.1.0.0/16".parse().unwrap() }];
    let octets = written(|out| {
        Writer::default().reach(out, &header, (Family::Ipv4Unicast, &attrs("192.0.2.1")), &nlri).unwrap();
    });
    assert!(octets.ends_with(&hex!("00000007 10 0a01")));
}
