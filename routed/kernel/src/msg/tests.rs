use proptest::prelude::*;

use super::*;
use crate::route::NextHops;

/// A route with its attributes.
struct Entry {
    target: Target,
    source: Option<IpAddr>,
}

impl Entry {
    fn written(&self) -> Written<'_> {
        Written { owner: RouteOwner::Bgp, source: self.source, way: Way::Plain(&self.target) }
    }
}

fn entry(target: Target, source: Option<&str>) -> Entry {
    Entry { target, source: source.map(|text| text.parse().unwrap()) }
}

fn key(prefix: &str, metric: u32) -> RouteKey {
    RouteKey { prefix: prefix.parse().unwrap(), metric }
}

fn hop(gateway: &str, interface: u32, weight: u16) -> Hop {
    Hop { weight, ..Hop::via(gateway.parse().unwrap(), interface) }
}

/// What is packed reads back as the same route.
fn check(key: RouteKey, table: u32, entry: &Entry) {
    let mut messages = Messages::default();
    messages.add(table, key, entry.written());
    let bytes = messages.number_from(7).to_vec();
    assert_eq!(bytes.len() % 4, 0);
    assert_eq!(u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len());
    let seen = parse_route(&bytes[HEADER..]).unwrap();
    assert_eq!((seen.key, seen.table), (key, table));
    assert_eq!((seen.owner(), seen.source), (Some(RouteOwner::Bgp), entry.source));
    assert_eq!((seen.target.as_ref(), seen.object), (Some(&entry.target), None));
}

#[test]
fn what_is_packed_reads_back() {
    check(key("10.1.0.0/16", 0), 254, &entry(hop("10.0.0.1", 3, 1).into(), Some("10.0.0.9")));
    check(key("0.0.0.0/0", 50), 1000, &entry(hop("fe80::1", 3, 1).into(), None));
    check(key("::/0", 1024), 254, &entry(hop("fe80::1", 3, 1).into(), Some("fd00::1")));
    check(key("fd00::/8", 1024), 254, &entry(Target::Blackhole, None));
    check(key("10.0.0.0/8", 0), 254, &entry(Target::Unreachable, None));
    check(key("10.0.0.0/8", 0), 254, &entry(Target::Prohibit, None));
    check(key("10.0.0.0/8", 0), 254, &entry(Hop::on(9).into(), None));
    let mut onlink = hop("10.0.0.2", 4, 255);
    onlink.onlink = true;
    let hops = vec![hop("10.0.0.1", 3, 1), onlink, hop("fe80::1", 5, 7)];
    check(key("10.0.0.0/8", 0), 254, &entry(Target::Via(NextHops::new(hops).unwrap()), None));
}

#[test]
fn nexthop_objects_read_back() {
    let mut onlink = hop("10.0.0.2", 4, 1);
    onlink.onlink = true;
    let members = vec![Member { id: 7, weight: 1 }, Member { id: 9, weight: 255 }];
    for content in [
        Content::Hop(hop("10.0.0.1", 3, 1)),
        Content::Hop(hop("fe80::1", 3, 1)),
        Content::Hop(onlink),
        Content::Share(members),
        Content::Failover(vec![7, 9]),
        Content::Failover(vec![9]),
    ] {
        let mut messages = Messages::default();
        messages.add_nexthop(42, &content);
        let bytes = messages.number_from(7).to_vec();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len());
        let seen = parse_nexthop(&bytes[HEADER..]).unwrap();
        assert_eq!(seen, SeenNexthop { id: 42, protocol: 179, content: Some(content) });
    }
}

#[test]
fn a_route_on_an_object_reads_back() {
    let mut messages = Messages::default();
    let route = Written { owner: RouteOwner::Bgp, source: None, way: Way::Object(42) };
    messages.replace(254, key("10.1.0.0/16", 9), route);
    let seen = parse_route(&messages.number_from(1)[HEADER..]).unwrap();
    assert_eq!((seen.key, seen.object), (key("10.1.0.0/16", 9), Some(42)));
}

#[test]
fn only_the_last_message_asks_for_an_answer() {
    let mut messages = Messages::default();
    for metric in 0..3 {
        messages.delete(254, key("10.0.0.0/8", metric), RouteOwner::Rip);
    }
    let bytes = messages.number_from(u32::MAX).to_vec();
    let length = bytes.len() / 3;
    let flags: Vec<u16> =
        bytes.chunks(length).map(|message| u16::from_ne_bytes([message[6], message[7]])).collect();
    let sequences: Vec<u32> =
        bytes.chunks(length).map(|message| u32::from_ne_bytes(message[8..12].try_into().unwrap())).collect();
    assert_eq!(flags, [1, 1, 5]);
    assert_eq!(sequences, [u32::MAX, 0, 1], "the numbers wrap");
}

proptest! {
    #[test]
    fn reading_is_total(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_route(&bytes);
        let _ = parse_nexthop(&bytes);
    }

    #[test]
    fn a_damaged_route_is_read_without_harm(at in 0usize..200, value: u8, cut in 0usize..200) {
        let mut messages = Messages::default();
        let hops = vec![hop("10.0.0.1", 3, 1), hop("10.0.0.2", 3, 1), hop("fe80::1", 3, 2)];
        let wide = entry(Target::Via(NextHops::new(hops).unwrap()), None);
        messages.add(254, key("10.0.0.0/8", 5), wide.written());
        let mut bytes = messages.number_from(1)[HEADER..].to_vec();
        let length = bytes.len();
        bytes[at % length] = value;
        bytes.truncate(cut.min(length));
        let _ = parse_route(&bytes);
    }
}
