//! What must not be believed (RFC 2453 §3.9.2, RFC 2080 §2.4.2).

use super::*;
use crate::wire::BadRoute;

fn response(entries: &[Entry]) -> Vec<u8> {
    wire::pack(Family::Ipv4Unicast, Command::Response, Room::PLAIN, entries).remove(0)
}

/// A multicast response on interface 1, changed in one way.
fn received(change: impl FnOnce(&mut Received)) -> Event {
    let source = SocketAddr::new(ip(NEAR), 520);
    let bytes = response(&[entry(WEB, 1)]);
    let mut received = Received { interface: 1, source, multicast: true, ttl: Some(1), bytes };
    change(&mut received);
    Event::Received(received)
}

#[test]
fn a_bad_packet_is_counted_with_its_reason_and_changes_nothing() {
    type Change = fn(&mut Received);
    let cases: [(Change, BadPacket); 7] = [
        (|r| r.source.set_port(521), BadPacket::SourcePort(521)),
        (|r| r.bytes.truncate(3), BadPacket::Length),
        (|r| r.bytes.truncate(23), BadPacket::Length),
        (|r| r.bytes[0] = 3, BadPacket::Command(3)),
        (|r| r.bytes[1] = 1, BadPacket::Version(1)),
        (|r| r.bytes[1] = 0, BadPacket::Version(0)),
        (|r| r.bytes[3] = 1, BadPacket::NotZero),
    ];
    for (change, why) in cases {
        let mut bench = Bench::v4();
        bench.event(received(change));
        let faults = bench.neighbor().faults;
        assert_eq!((faults.bad_packets, faults.last_bad_packet), (1, Some(why)));
        assert_eq!(bench.rip.interfaces(bench.now)[0].counters.bad_packets, 1);
        assert_eq!((bench.rip.routes().count(), bench.neighbor().last_heard), (0, None));
        assert_eq!(bench.out, []);
    }
}

#[test]
fn who_is_not_on_the_link_is_counted_at_the_interface_only() {
    let mut bench = Bench::v4();
    bench.event(received(|r| r.source.set_ip(ip("198.51.100.7"))));
    let counters = bench.rip.interfaces(bench.now)[0].counters;
    assert_eq!((counters.bad_packets, counters.last_off_link), (1, Some(ip("198.51.100.7"))));
    assert_eq!(bench.rip.neighbors(), []);
}

#[test]
fn what_we_sent_ourselves_is_nothing_at_all() {
    let mut bench = Bench::v4();
    bench.event(received(|r| r.source.set_ip(ip("192.0.2.1"))));
    bench.event(received(|r| r.source.set_ip(ip("198.51.100.1"))));
    assert_eq!(bench.rip.interfaces(bench.now)[0].counters.received, 0);
    assert_eq!(bench.rip.neighbors(), []);
}

#[test]
fn ttl_security_takes_only_what_has_crossed_no_router() {
    let settings = Settings { ttl_security: true, ..Settings::default() };
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1], &settings);
    bench.event(received(|r| r.ttl = Some(254)));
    assert_eq!(bench.neighbor().faults.last_bad_packet, Some(BadPacket::HopLimit));
    bench.event(received(|r| r.ttl = Some(255)));
    assert_eq!(bench.rip.routes().count(), 1);
}

#[test]
fn ripng_wants_a_link_local_source_and_a_hop_limit_of_255() {
    let entry = Entry { prefix: prefix("fd00::/48"), tag: 0, next_hop: None, metric: 1 };
    let bytes = wire::pack(Family::Ipv6Unicast, Command::Response, Room::of_mtu(1500), &[entry]).remove(0);
    let send = |source: &str, multicast, ttl| {
        let mut bench = Bench::new(Family::Ipv6Unicast, &[3], &Settings::default());
        let source = SocketAddr::new(ip(source), 521);
        let bytes = bytes.clone();
        bench.event(Event::Received(Received { interface: 3, source, multicast, ttl, bytes }));
        (bench.rip.routes().count(), bench.rip.interfaces(bench.now)[0].counters.bad_packets)
    };
    assert_eq!(send("fe80::7", true, Some(255)), (1, 0));
    assert_eq!(send("fe80::7", false, Some(64)), (1, 0), "RFC 2080 §2.4.2 speaks of multicast");
    assert_eq!(send("fe80::7", true, Some(254)), (0, 1));
    assert_eq!(send("fe80::7", true, None), (0, 1));
    assert_eq!(send("2001:db8::7", true, Some(255)), (0, 1));
    assert_eq!(send("fe80::1", true, Some(255)), (0, 0), "that is us");
}

#[test]
fn bad_routes_are_counted_and_the_good_ones_beside_them_taken() {
    let mut bytes = response(&[entry(WEB, 1), entry("10.2.0.0/16", 1), entry("10.3.0.0/16", 1)]);
    bytes[4 + 19] = 17;
    bytes[24 + 1] = 5;
    let mut bench = Bench::v4();
    bench.event(received(|r| r.bytes = bytes));
    let faults = bench.neighbor().faults;
    assert_eq!((faults.bad_routes, faults.last_bad_route), (2, Some(BadRoute::AddressFamily(5))));
    assert_eq!(bench.learned()[0].0, prefix("10.3.0.0/16"));
    assert_eq!(bench.neighbor().routes, 1);
}

#[test]
fn a_next_hop_on_the_link_is_taken_another_is_not_and_ours_is_no_route() {
    for (named, taken) in [("192.0.2.9", Some("192.0.2.9")), ("203.0.113.1", Some(NEAR)), ("192.0.2.1", None)]
    {
        let mut bench = Bench::v4();
        bench.response(1, NEAR, &[Entry { next_hop: Some(ip(named)), ..entry(WEB, 1) }]);
        let hop = bench.learned().first().map(|(_, route)| route.next_hops[0].address);
        assert_eq!(hop, taken.map(ip), "{named}");
    }
}

#[test]
fn no_more_routes_than_the_limit_are_taken_of_a_neighbour() {
    let settings = Settings { max_routes_per_neighbor: Some(2), ..Settings::default() };
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1], &settings);
    let all = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"].map(|text| entry(text, 1));
    bench.response(1, NEAR, &all);
    bench.response(1, NEAR, &all);
    assert_eq!((bench.neighbor().routes, bench.neighbor().faults.over_limit), (2, 2));
    assert_eq!(bench.neighbor().faults.last_over_limit, Some(bench.now));
    bench.response(1, NEAR, &[entry("10.1.0.0/16", 16), entry("10.3.0.0/16", 1)]);
    assert_eq!(bench.learned()[0].0, prefix("10.3.0.0/16"));
}

#[test]
fn what_the_filter_rejects_is_neither_learned_nor_told_on() {
    let mut bench = Bench::v4();
    bench.event(Event::Import(Arc::new(Accept::Inside(vec![prefix("10.0.0.0/8")]))));
    assert_eq!(bench.out.len(), 2, "the neighbours are asked again");
    bench.response(1, NEAR, &[entry("0.0.0.0/0", 1), entry(WEB, 1)]);
    assert_eq!(bench.learned().len(), 1);
    assert_eq!(bench.told(2), told(&[(WEB, 2)]));
    assert_eq!(bench.neighbor().faults.filtered, 1);
}

#[test]
fn a_host_that_sends_only_rubbish_is_forgotten_when_it_is_silent() {
    let mut bench = Bench::v4();
    bench.event(received(|r| r.bytes[0] = 9));
    assert_eq!(bench.rip.neighbors().len(), 1);
    bench.wait(secs(180));
    assert_eq!(bench.rip.neighbors(), []);
}

#[test]
fn rubbish_from_many_hosts_pushes_out_no_neighbour() {
    let mut bench = Bench::new(Family::Ipv4Unicast, &[], &Settings::default());
    let wide =
        Interface { addresses: vec![(ip("10.0.0.1"), prefix("10.0.0.0/8"))], ..eth(1, Settings::default()) };
    bench.event(Event::InterfaceUp(wide));
    bench.response(1, "10.0.0.2", &[entry("172.16.0.0/16", 1)]);
    for host in 0..5000u16 {
        let [high, low] = host.to_be_bytes();
        bench.event(received(|r| {
            r.source.set_ip(IpAddr::from([10, 1, high, low]));
            r.bytes[0] = 9;
        }));
    }
    assert_eq!(bench.rip.neighbors().len(), MAX_NEIGHBORS);
    assert_eq!(bench.rip.neighbors()[0].address, ip("10.0.0.2"));
    assert_eq!(bench.rip.routes().count(), 1);
}

#[test]
fn an_interface_that_has_not_changed_disturbs_nobody() {
    let mut bench = Bench::v4();
    bench.advertise(WEB, Some(Advert::new(1)));
    bench.wait(secs(6));
    bench.event(Event::InterfaceUp(eth(1, Settings::default())));
    assert_eq!(bench.out, []);
    bench.event(Event::InterfaceUp(eth(1, Settings { offset_out: 2, ..Settings::default() })));
    assert_eq!(bench.told(1), told(&[(WEB, 3)]));
}
