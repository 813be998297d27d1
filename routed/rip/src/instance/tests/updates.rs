//! Requests, regular and triggered updates, split horizon, timers.

use super::*;

fn kinds(bench: &Bench) -> Vec<(u32, SocketAddr)> {
    let sent = |action: &Action| match action {
        Action::Send { interface, to, .. } => Some((*interface, *to)),
        _ => None,
    };
    bench.out.iter().filter_map(sent).collect()
}

#[test]
fn an_interface_that_comes_up_asks_for_the_whole_table() {
    let bench = Bench::v4();
    let [Action::Send { interface: 2, to, bytes }] = &bench.out[..] else { panic!("{:?}", bench.out) };
    assert_eq!(*to, "224.0.0.9:520".parse().unwrap());
    assert_eq!(wire::decode_datagram(Family::Ipv4Unicast, bytes), Ok(Packet::WholeTable));
}

#[test]
fn the_request_is_repeated_until_somebody_answers() {
    let mut bench = Bench::v4();
    bench.wait(secs(20));
    assert_eq!(kinds(&bench).len(), 4, "two more on each of two interfaces");
    let mut bench = Bench::v4();
    bench.response(1, NEAR, &[entry(WEB, 1)]);
    bench.wait(secs(20));
    assert!(kinds(&bench).iter().filter(|(interface, _)| *interface == 1).count() < 2);
}

#[test]
fn what_is_heard_is_learned_and_told_on_with_poison_where_it_came_from() {
    let mut bench = Bench::v4();
    bench.response(1, NEAR, &[Entry { tag: 9, ..entry(WEB, 3) }]);
    let hop = NextHop { interface: 1, address: ip(NEAR) };
    assert_eq!(bench.learned(), [(prefix(WEB), Learned { next_hops: vec![hop], metric: 4, tag: 9 })]);
    assert!(bench.out.contains(&Action::NeighborUp { interface: 1, address: ip(NEAR) }));
    assert_eq!(bench.told(1), [], "nobody there has it from us, so nothing is to be poisoned at once");
    assert_eq!(bench.told(2), told(&[(WEB, 4)]));
    bench.wait(secs(35));
    assert_eq!(bench.told(1), told(&[(WEB, 16)]), "the regular update does");
}

#[test]
fn regular_updates_come_every_25_to_35_seconds() {
    let mut bench = Bench::v4();
    bench.advertise(WEB, Some(Advert::new(1)));
    bench.wait(secs(600));
    let updates = bench.told(1).len();
    assert!((600 / 35..=600 / 25).contains(&updates), "{updates}");
    assert_eq!(bench.rip.interfaces(bench.now)[0].counters.triggered_updates, 1);
}

#[test]
fn triggered_updates_are_damped_and_tell_only_what_has_changed() {
    let mut bench = Bench::v4();
    bench.advertise("10.0.0.0/16", Some(Advert::new(1)));
    assert_eq!(bench.told(1), told(&[("10.0.0.0/16", 1)]), "the first goes at once");
    for round in 1..=10 {
        bench.advertise("10.1.0.0/16", Some(Advert::new(round)));
        assert_eq!(bench.out, []);
    }
    bench.wait(Duration::from_millis(999));
    assert_eq!(bench.told(1), []);
    bench.wait(secs(5));
    assert_eq!(bench.told(1), told(&[("10.1.0.0/16", 10)]), "ten changes are one entry");
}

#[test]
fn a_withdrawn_subnet_is_poisoned_for_the_garbage_time_and_then_forgotten() {
    let mut bench = Bench::v4();
    bench.advertise(WEB, Some(Advert::new(1)));
    bench.wait(secs(10));
    bench.advertise(WEB, None);
    assert_eq!(bench.told(1), told(&[(WEB, 16)]));
    bench.wait(secs(119));
    assert!(bench.told(1).len() >= 3 && bench.told(1).iter().all(|(_, metric)| *metric == 16));
    bench.wait(secs(60));
    assert_eq!(bench.told(1), []);
    assert_eq!(bench.rip.routes().count(), 0);
}

#[test]
fn a_route_that_is_not_heard_is_lost_after_180_and_forgotten_after_300_seconds() {
    let mut bench = Bench::v4();
    bench.response(1, NEAR, &[entry(WEB, 1)]);
    bench.wait(secs(179));
    assert_eq!(bench.lost(), []);
    bench.wait(secs(1));
    assert_eq!(bench.lost(), [prefix(WEB)]);
    let down = Action::NeighborDown { interface: 1, address: ip(NEAR), why: WhyDown::Silent };
    assert!(bench.out.contains(&down));
    assert!(matches!(bench.rip.routes().next().unwrap().state, RouteState::Garbage(_)));
    assert!(bench.told(2).contains(&(WEB.to_owned(), 16)));
    bench.wait(secs(120));
    assert_eq!(bench.rip.routes().count(), 0);
    assert_eq!(bench.rip.neighbors(), []);
}

#[test]
fn equal_metrics_share_and_the_loss_of_the_best_is_answered_by_the_next() {
    let mut bench = Bench::v4();
    bench.response(1, NEAR, &[entry(WEB, 2)]);
    bench.response(2, "198.51.100.9", &[entry(WEB, 2)]);
    let hops = |learned: &[(Prefix, Learned)]| {
        learned
            .iter()
            .flat_map(|(_, route)| route.next_hops.clone())
            .map(|hop| hop.interface)
            .collect::<Vec<_>>()
    };
    assert_eq!(hops(&bench.learned()), [1, 2]);
    bench.response(1, "192.0.2.8", &[entry(WEB, 5)]);
    assert_eq!(bench.learned(), []);
    bench.event(Event::InterfaceDown(2));
    assert_eq!(hops(&bench.learned()), [1]);
    bench.response(1, NEAR, &[entry(WEB, 16)]);
    assert_eq!(bench.learned()[0].1.metric, 6);
    assert_eq!(bench.lost(), []);
}

#[test]
fn simple_split_horizon_poisons_a_change_once_and_is_silent_after() {
    let settings = Settings { split_horizon: SplitHorizon::Simple, ..Settings::default() };
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1, 2], &settings);
    bench.response(2, "198.51.100.9", &[entry(WEB, 5)]);
    assert_eq!(bench.told(1), told(&[(WEB, 6)]));
    bench.wait(secs(10));
    bench.response(1, NEAR, &[entry(WEB, 2)]);
    assert_eq!(bench.told(1), told(&[(WEB, 16)]));
    bench.wait(secs(60));
    assert_eq!(bench.told(1), []);
    assert!(bench.told(2).contains(&(WEB.to_owned(), 3)));
}

#[test]
fn a_change_just_before_the_regular_update_is_still_poisoned_by_simple_split_horizon() {
    let settings = Settings { split_horizon: SplitHorizon::Simple, ..Settings::default() };
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1, 2], &settings);
    bench.response(2, "198.51.100.9", &[entry(WEB, 5)]);
    bench.wait(secs(11));
    let update = bench.rip.interfaces(bench.now)[0].next_update.unwrap();
    bench.wait((update - bench.now).saturating_sub(Duration::from_millis(500)));
    bench.advertise("10.5.0.0/16", Some(Advert::new(1)));
    bench.response(1, NEAR, &[entry(WEB, 2)]);
    assert_eq!(bench.told(1), [], "it waits for the damping");
    bench.wait(Duration::from_millis(501));
    assert_eq!(bench.told(1), told(&[(WEB, 16), ("10.5.0.0/16", 1)]));
}

#[test]
fn offsets_are_added_both_ways_and_never_pass_infinity() {
    let settings = Settings { offset_in: 2, offset_out: 3, ..Settings::default() };
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1, 2], &settings);
    bench.response(1, NEAR, &[entry(WEB, 2), entry("10.2.0.0/16", 12), entry("10.3.0.0/16", 13)]);
    assert_eq!(bench.told(2), told(&[(WEB, 8), ("10.2.0.0/16", 16)]));
    assert_eq!(bench.learned().len(), 2);
}

#[test]
fn a_passive_interface_listens_and_says_nothing() {
    let settings = Settings { passive: true, ..Settings::default() };
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1, 2], &settings);
    bench.response(1, NEAR, &[entry(WEB, 2)]);
    bench.datagram(1, NEAR, wire::whole_table_request(Family::Ipv4Unicast, Room::PLAIN));
    bench.datagram(
        1,
        NEAR,
        wire::pack(Family::Ipv4Unicast, Command::Request, Room::PLAIN, &[entry(WEB, 1)]).remove(0),
    );
    bench.wait(secs(100));
    assert_eq!(kinds(&bench), []);
    assert_eq!(bench.rip.routes().count(), 1);
}

#[test]
fn unicast_neighbours_take_the_place_of_the_group() {
    let settings = Settings { neighbors: vec![ip(NEAR)], ..Settings::default() };
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1], &settings);
    bench.advertise(WEB, Some(Advert::new(1)));
    assert_eq!(kinds(&bench), [(1, "192.0.2.7:520".parse().unwrap())]);
}

#[test]
fn a_request_for_the_whole_table_is_answered_to_its_port_with_split_horizon() {
    let mut bench = Bench::v4();
    bench.response(1, "192.0.2.8", &[entry(WEB, 2)]);
    bench.advertise("10.5.0.0/16", Some(Advert::new(1)));
    bench.wait(secs(10));
    let source = "192.0.2.7:40000".parse().unwrap();
    let bytes = wire::whole_table_request(Family::Ipv4Unicast, Room::PLAIN);
    bench.event(Event::Received(Received { interface: 1, source, multicast: false, ttl: Some(1), bytes }));
    assert_eq!(kinds(&bench), [(1, source)]);
    assert_eq!(bench.told(1), told(&[(WEB, 16), ("10.5.0.0/16", 1)]));
}

#[test]
fn a_request_for_some_routes_is_answered_in_its_order_without_split_horizon() {
    let mut bench = Bench::v4();
    bench.response(1, "192.0.2.8", &[entry(WEB, 2)]);
    let asked = [entry("10.9.0.0/16", 0), entry(WEB, 0)];
    let bytes = wire::pack(Family::Ipv4Unicast, Command::Request, Room::PLAIN, &asked).remove(0);
    bench.datagram(1, NEAR, bytes);
    assert_eq!(bench.told(1), told(&[("10.9.0.0/16", 16), (WEB, 3)]));
}

#[test]
fn long_updates_are_full_packets_in_paced_bursts() {
    let mut bench = Bench::v4();
    bench.wait(secs(11));
    let adverts =
        (0..1001u32).map(|n| (Prefix::host(IpAddr::V4((0x0a00_0000 + n).into())), Some(Advert::new(1))));
    bench.event(Event::Advertise(adverts.collect()));
    assert_eq!(bench.told(1).len(), 100, "four packets of 25");
    let first = bench.told(1);
    bench.wait(Duration::from_millis(10));
    assert_eq!(bench.told(1).len(), 100);
    bench.wait(Duration::from_millis(500));
    assert_eq!(bench.told(1).len(), 801);
    assert_eq!(kinds(&bench).iter().filter(|(interface, _)| *interface == 1).count(), 33);
    assert_eq!(first[0], ("10.0.0.0/32".to_owned(), 1));
}

#[test]
fn drain_poisons_everything_and_undrain_tells_it_again() {
    let mut bench = Bench::v4();
    bench.advertise("10.5.0.0/16", Some(Advert::new(1)));
    bench.response(1, NEAR, &[entry(WEB, 2)]);
    bench.wait(secs(11));
    bench.event(Event::Drain);
    assert_eq!(bench.told(2), told(&[("10.5.0.0/16", 16), (WEB, 16)]));
    assert!(!bench.rip.is_pending());
    bench.wait(secs(6));
    assert!(bench.told(2).len() >= 2, "again, in case it was lost");
    bench.event(Event::Undrain);
    assert_eq!(bench.told(2), told(&[("10.5.0.0/16", 1), (WEB, 3)]));
}

#[test]
fn what_the_table_tells_comes_before_what_neighbours_tell() {
    let mut bench = Bench::v4();
    bench.response(1, NEAR, &[entry(WEB, 2)]);
    bench.wait(secs(6));
    bench.advertise(WEB, Some(Advert::new(7)));
    assert_eq!((bench.told(1), bench.told(2)), (told(&[(WEB, 7)]), told(&[(WEB, 7)])));
    assert_eq!((bench.learned(), bench.lost()), (vec![], vec![]));
    bench.wait(secs(6));
    bench.advertise(WEB, None);
    assert_eq!((bench.told(1), bench.told(2)), (told(&[(WEB, 16)]), told(&[(WEB, 3)])));
}

#[test]
fn the_next_hop_is_named_on_its_own_link_only() {
    let mut bench = Bench::v4();
    let next_hop = Some(NextHop { interface: 2, address: ip("198.51.100.9") });
    bench.advertise(WEB, Some(Advert { metric: 1, tag: 0, next_hop }));
    let named: Vec<_> = bench
        .out
        .iter()
        .map(|action| match action {
            Action::Send { interface, bytes, .. } => (*interface, bytes[16..20].to_vec()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(named, [(1, vec![0, 0, 0, 0]), (2, vec![198, 51, 100, 9])]);
}

#[test]
fn the_network_of_a_link_is_not_told_on_it() {
    let mut bench = Bench::v4();
    bench.advertise("192.0.2.0/24", Some(Advert::new(1)));
    assert_eq!(bench.told(1), []);
    assert_eq!(bench.told(2), told(&[("192.0.2.0/24", 1)]));
}

#[test]
fn bfd_takes_the_routes_of_a_neighbour_at_once() {
    let mut bench = Bench::v4();
    bench.response(1, NEAR, &[entry(WEB, 2)]);
    bench.event(Event::Unreachable { interface: 1, address: ip(NEAR) });
    assert_eq!(bench.lost(), [prefix(WEB)]);
    assert_eq!(bench.rip.neighbors().len(), 1, "its counters stay");
}

#[test]
fn ripng_speaks_to_its_group_with_packets_as_long_as_the_link_allows() {
    let mut bench = Bench::new(Family::Ipv6Unicast, &[3], &Settings::default());
    let adverts = (0..73u16).map(|n| {
        let address = std::net::Ipv6Addr::new(0xfd00, n, 0, 0, 0, 0, 0, 0);
        (Prefix::new(address.into(), 48).unwrap(), Some(Advert::new(1)))
    });
    bench.event(Event::Advertise(adverts.collect()));
    assert_eq!(kinds(&bench), [(3, "[ff02::9]:521".parse().unwrap()); 2]);
    assert_eq!(bench.told(3).len(), 73);
    let Action::Send { bytes, .. } = &bench.out[0] else { panic!() };
    assert_eq!(bytes.len(), 4 + 72 * 20);
}
