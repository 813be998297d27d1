//! BGP next hops through BGP routes.

use super::*;
use crate::fixture::rules;
use crate::{Best, Rules};

/// A peer says that prefixes are reachable by next hops.
fn tell(t: &mut Table, peer: u32, routes: &[(&str, &str)]) {
    for (prefix, next_hop) in routes {
        let told = attrs(&[65000 + peer], next_hop);
        t.update(Instant::now(), PeerId(peer), [(p(prefix), 0)], &told).unwrap();
    }
}

/// Where the world was told that the packets of a prefix go.
fn told(t: &Table, prefix: &str) -> Option<Target> {
    t.best(p(prefix)).map(|Best { target, .. }| Target::clone(&target))
}

fn settled(peers: u8, routes: &[(u32, &[(&str, &str)])]) -> Table {
    let peers: Vec<PeerInfo> = (1..=peers).map(|n| crate::fixture::peer(n, 65000 + u32::from(n))).collect();
    let mut t = table(Instant::now(), &peers);
    for (peer, routes) in routes {
        tell(&mut t, *peer, routes);
    }
    t.take_changes(usize::MAX);
    t
}

#[test]
fn a_next_hop_goes_where_the_bgp_route_goes_that_holds_it() {
    let mut t = settled(2, &[(1, &[("10.0.0.0/8", "198.51.100.1")])]);
    assert_eq!(hops(&t, "10.0.0.0/8"), unreachable("198.51.100.1"));
    tell(&mut t, 2, &[("198.51.100.0/24", "192.0.2.2")]);
    assert_eq!(prefixes(t.take_changes(usize::MAX)), [p("10.0.0.0/8"), p("198.51.100.0/24")]);
    assert_eq!(told(&t, "10.0.0.0/8"), Some(through("192.0.2.2", 2)));

    // A better path to the next hop moves what depends on it.
    tell(&mut t, 1, &[("198.51.100.0/25", "192.0.2.1")]);
    t.take_changes(usize::MAX);
    assert_eq!(told(&t, "10.0.0.0/8"), Some(through("192.0.2.1", 2)));
    t.peer_down(PeerId(2));
    t.withdraw(PeerId(1), [(p("198.51.100.0/25"), 0)]).unwrap();
    t.take_changes(usize::MAX);
    assert_eq!(told(&t, "10.0.0.0/8"), None);
    assert_eq!(hops(&t, "10.0.0.0/8"), unreachable("198.51.100.1"));
}

#[test]
fn what_depends_in_two_steps_moves_too() {
    let chain: &[(&str, &str)] = &[
        ("10.0.0.0/8", "198.51.100.1"),
        ("198.51.100.0/24", "203.0.113.1"),
        ("203.0.113.0/24", "192.0.2.2"),
    ];
    let mut t = settled(1, &[(1, chain)]);
    assert_eq!(told(&t, "10.0.0.0/8"), Some(through("192.0.2.2", 2)));
    tell(&mut t, 1, &[("203.0.113.0/24", "192.0.2.3")]);
    assert_eq!(t.take_changes(usize::MAX).len(), 3);
    assert_eq!(told(&t, "10.0.0.0/8"), Some(through("192.0.2.3", 2)));
}

#[test]
fn no_route_holds_itself_up() {
    let own: &[(&str, &str)] = &[("198.51.100.0/24", "198.51.100.1")];
    let mut t = settled(1, &[(1, own)]);
    assert_eq!(hops(&t, "198.51.100.0/24"), Err(Why::NextHopCircle(ip("198.51.100.1"))));
    // What is shorter carries it.
    t.originate(Instant::now(), p("0.0.0.0/0"), origination("192.0.2.7"));
    t.take_changes(usize::MAX);
    assert_eq!(told(&t, "198.51.100.0/24"), Some(through("192.0.2.7", 2)));
    t.unoriginate(p("0.0.0.0/0"), Protocol::Static, 0);
    t.take_changes(usize::MAX);
    assert_eq!(told(&t, "198.51.100.0/24"), None);
}

#[test]
fn routes_that_lean_on_each_other_hold_nothing_up() {
    let both: &[(&str, &str)] = &[("10.0.0.0/8", "11.0.0.1"), ("11.0.0.0/8", "10.0.0.1")];
    let mut t = settled(2, &[(1, both)]);
    assert_eq!(hops(&t, "10.0.0.0/8"), Err(Why::NextHopCircle(ip("11.0.0.1"))));
    assert_eq!(hops(&t, "11.0.0.0/8"), Err(Why::NextHopCircle(ip("10.0.0.1"))));
    // A second path of one of them that needs nobody frees both.
    tell(&mut t, 2, &[("11.0.0.0/8", "192.0.2.2")]);
    t.take_changes(usize::MAX);
    assert_eq!(told(&t, "10.0.0.0/8"), Some(through("192.0.2.2", 2)));
    assert_eq!(told(&t, "11.0.0.0/8"), Some(through("192.0.2.2", 2)));
}

#[test]
fn a_next_hop_on_a_link_stays_there_whatever_peers_say() {
    let t = settled(
        2,
        &[
            (1, &[("10.0.0.0/8", "192.0.2.1")]),
            (2, &[("192.0.2.1/32", "192.0.2.2"), ("192.0.2.0/25", "192.0.2.2")]),
        ],
    );
    assert_eq!(told(&t, "10.0.0.0/8"), Some(through("192.0.2.1", 2)));
}

#[test]
fn a_next_hop_leads_over_all_that_share_the_route_to_it() {
    let carrier: &[(&str, &str)] = &[("198.51.100.0/24", "192.0.2.1")];
    let second: &[(&str, &str)] = &[("198.51.100.0/24", "192.0.2.2"), ("10.0.0.0/8", "198.51.100.1")];
    let mut t = settled(2, &[(1, carrier), (2, second)]);
    t.set_rules(Rules { multipath: 4, multipath_as_path_relax: true, ..rules() });
    t.take_changes(usize::MAX);
    let both = Target::Hops(vec![Hop::via(ip("192.0.2.1"), 2), Hop::via(ip("192.0.2.2"), 2)]);
    assert_eq!(told(&t, "10.0.0.0/8"), Some(both));
    t.set_rules(rules());
    t.take_changes(usize::MAX);
    assert_eq!(told(&t, "10.0.0.0/8"), Some(through("192.0.2.1", 2)));
}

#[test]
fn what_is_dropped_carries_nothing() {
    let mut t = settled(1, &[(1, &[("10.0.0.0/8", "198.51.100.1"), ("198.51.0.0/16", "192.0.2.1")])]);
    assert_eq!(told(&t, "10.0.0.0/8"), Some(through("192.0.2.1", 2)));
    let now = Instant::now();
    t.originate(now, p("198.51.100.0/24"), Origination::new(Protocol::Static, Via::Discard));
    t.take_changes(usize::MAX);
    assert_eq!(hops(&t, "10.0.0.0/8"), unreachable("198.51.100.1"));
}

#[test]
fn a_path_that_import_refuses_carries_nothing() {
    let mut t = settled(1, &[(1, &[("10.0.0.0/8", "198.51.100.1"), ("198.51.100.0/24", "192.0.2.1")])]);
    assert_eq!(told(&t, "10.0.0.0/8"), Some(through("192.0.2.1", 2)));
    // The node owns what holds the next hop: the peer has no say in it.
    let own = Origination::new(Protocol::Local, Via::Kernel);
    t.originate(Instant::now(), p("198.51.0.0/16"), own);
    t.take_changes(usize::MAX);
    assert_eq!(told(&t, "10.0.0.0/8"), None);
}

#[test]
fn ten_thousand_routes_in_a_row_are_followed_without_recursion() {
    let mut t = settled(1, &[]);
    let address = |n: u32| std::net::Ipv4Addr::from(0x0a00_0000 + 4 * n);
    for n in 0..10_000 {
        let next_hop = if n == 0 { "192.0.2.1".to_owned() } else { address(n - 1).to_string() };
        let prefix = (Prefix::new(address(n).into(), 30).unwrap(), 0);
        t.update(Instant::now(), PeerId(1), [prefix], &attrs(&[65001], &next_hop)).unwrap();
    }
    t.take_changes(usize::MAX);
    let last = format!("{}/30", address(9_999));
    assert_eq!(told(&t, &last), Some(through("192.0.2.1", 2)));
    tell(&mut t, 1, &[("10.0.0.0/30", "192.0.2.3")]);
    t.take_changes(usize::MAX);
    assert_eq!(told(&t, &last), Some(through("192.0.2.3", 2)));
}
