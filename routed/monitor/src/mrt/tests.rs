use hex_literal::hex;

use super::*;

const AT: Duration = Duration::from_secs(0x6500_0000);

fn peer(address: &str) -> Peer {
    Peer { router_id: "198.51.100.1".parse().unwrap(), address: address.parse().unwrap(), asn: Asn(65_551) }
}

fn attrs(next_hop: &str) -> Attrs {
    let next_hop: IpAddr = next_hop.parse().unwrap();
    Attrs { next_hop: Some(next_hop.into()), ..Attrs::default() }
}

#[test]
fn the_index_numbers_the_peers_by_their_place() {
    let mut out = BytesMut::new();
    let id = "192.0.2.9".parse().unwrap();
    peer_index(&mut out, AT, id, &[peer("192.0.2.1"), peer("2001:db8::1")]);
    assert_eq!(
        out[..],
        hex!(
            "65000000 000d 0001 0000002e c0000209 0000 0002"
            "02 c6336401 c0000201 0001000f"
            "03 c6336401 20010db8000000000000000000000001 0001000f"
        )
    );
}

#[test]
fn a_prefix_has_a_record_with_its_paths() {
    let attrs = attrs("192.0.2.1");
    let entry = Entry { peer: 1, since: Duration::from_secs(0x64ff_ffff), path_id: 0, attrs: &attrs };
    let mut out = BytesMut::new();
    rib(&mut out, AT, (7, "10.128.0.0/9".parse().unwrap()), &[entry, entry]).unwrap();
    let path = hex!("0001 64ffffff 000e 400101 00 400200 400304 c0000201");
    let wanted = [&hex!("65000000 000d 0002 00000035 00000007 09 0a80 0002")[..], &path, &path].concat();
    assert_eq!(out[..], wanted);
}

#[test]
fn an_ipv6_next_hop_stands_alone_in_mp_reach() {
    let attrs = attrs("2001:db8::1");
    let entry = Entry { peer: 0, since: AT, path_id: 0, attrs: &attrs };
    let mut out = BytesMut::new();
    rib(&mut out, AT, (0, "2001:db8::/32".parse().unwrap()), &[entry]).unwrap();
    assert_eq!(out[4..8], hex!("000d 0004"));
    assert!(out.ends_with(&hex!("800e11 10 20010db8000000000000000000000001")));
}

#[test]
fn path_identifiers_make_it_another_subtype() {
    let attrs = attrs("192.0.2.1");
    let entry = |path_id| Entry { peer: 0, since: AT, path_id, attrs: &attrs };
    let mut out = BytesMut::new();
    rib(&mut out, AT, (0, "10.0.0.0/8".parse().unwrap()), &[entry(1), entry(2)]).unwrap();
    assert_eq!(out[4..8], hex!("000d 0008"));
    assert_eq!(out[20..30], hex!("0000 65000000 00000001"));
    let mut out = BytesMut::new();
    rib(&mut out, AT, (0, "::/0".parse().unwrap()), &[entry(1)]).unwrap();
    assert_eq!(out[4..8], hex!("000d 000a"));
}
