use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::fixture::{attrs, ip, p, peer, table};
use crate::{Change, Origination, PeerId, Protocol, Standing, Table};

mod model;
mod recursive;

fn hops(table: &Table, prefix: &str) -> Result<Target, Why> {
    let view = table.route(p(prefix)).unwrap().candidates.remove(0);
    match view.standing {
        Standing::Ineligible(why) => Err(why),
        _ => Ok(view.target.unwrap()),
    }
}

fn through(gateway: &str, ifindex: u32) -> Target {
    Target::Hops(vec![Hop::via(ip(gateway), ifindex)])
}

fn unreachable(next_hop: &str) -> Result<Target, Why> {
    Err(Why::NextHopUnreachable(ip(next_hop)))
}

fn prefixes(mut changes: Vec<Change>) -> Vec<Prefix> {
    changes.sort_by_key(|change| change.prefix);
    changes.into_iter().map(|change| change.prefix).collect()
}

fn origination(gateway: &str) -> Origination {
    Origination::new(Protocol::Static, Via::Gateway(ip(gateway)))
}

#[test]
fn a_next_hop_resolves_on_a_link_or_through_a_static_route() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 64512)]);
    t.originate(now, p("198.51.100.0/24"), origination("192.0.2.7"));
    for (prefix, next_hop) in
        [("10.1.0.0/16", "192.0.2.1"), ("10.2.0.0/16", "198.51.100.1"), ("10.3.0.0/16", "203.0.113.1")]
    {
        t.update(now, PeerId(1), [(p(prefix), 0)], &attrs(&[], next_hop)).unwrap();
    }
    assert_eq!(hops(&t, "10.1.0.0/16"), Ok(through("192.0.2.1", 2)));
    assert_eq!(hops(&t, "10.2.0.0/16"), Ok(through("192.0.2.7", 2)));
    assert_eq!(hops(&t, "10.3.0.0/16"), unreachable("203.0.113.1"));
}

#[test]
fn rip_leads_to_its_gateway_and_lends_its_metric() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 64512), peer(2, 64512)]);
    for (third, metric) in [(1, 5), (2, 3)] {
        let via = Via::OnLink { gateway: Some(ip(&format!("192.0.2.{third}"))), ifindex: 2 };
        let prefix = p(&format!("198.51.{third}.0/24"));
        t.originate(now, prefix, Origination { metric, ..Origination::new(Protocol::Rip, via) });
        let via = attrs(&[], &format!("198.51.{third}.9"));
        t.update(now, PeerId(third), [(p("10.0.0.0/8"), 0)], &via).unwrap();
    }
    let view = t.route(p("10.0.0.0/8")).unwrap();
    assert_eq!(view.candidates[0].standing, Standing::Best(crate::Step::IgpMetric));
    assert_eq!(view.target, Some(through("192.0.2.2", 2)));
}

#[test]
fn static_routes_that_lean_on_each_other_hold_nothing_up() {
    let now = Instant::now();
    let mut t = table(now, &[]);
    t.originate(now, p("10.0.0.0/8"), origination("11.0.0.1"));
    t.originate(now, p("11.0.0.0/8"), origination("10.0.0.1"));
    t.originate(now, p("12.0.0.0/8"), origination("12.0.0.1"));
    assert_eq!(t.take_changes(usize::MAX), []);
    assert_eq!(hops(&t, "12.0.0.0/8"), unreachable("12.0.0.1"));
}

#[test]
fn a_link_that_goes_takes_only_what_leads_over_it() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 64512)]);
    let other = Link { prefix: p("198.51.100.0/24"), ifindex: 3 };
    let first = Link { prefix: p("192.0.2.0/24"), ifindex: 2 };
    let local = [ip("192.0.2.254")];
    t.set_links(now, &[first, other], local);
    for (prefix, next_hop) in [("10.1.0.0/16", "192.0.2.1"), ("10.2.0.0/16", "198.51.100.1")] {
        t.update(now, PeerId(1), [(p(prefix), 0)], &attrs(&[], next_hop)).unwrap();
    }
    t.take_changes(usize::MAX);
    t.set_links(now, &[first], local);
    assert_eq!(prefixes(t.take_changes(usize::MAX)), [p("10.2.0.0/16"), p("198.51.100.0/24")]);
    assert_eq!(hops(&t, "10.2.0.0/16"), unreachable("198.51.100.1"));
    t.set_links(now, &[first, other], local);
    assert_eq!(prefixes(t.take_changes(usize::MAX)), [p("10.2.0.0/16"), p("198.51.100.0/24")]);
    t.set_links(now, &[first, other], local);
    assert!(!t.has_changes(), "what is as it was decides nothing");
}

#[test]
fn an_address_that_becomes_ours_is_no_next_hop_any_more() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 64512)]);
    t.update(now, PeerId(1), [(p("10.0.0.0/8"), 0)], &attrs(&[], "192.0.2.1")).unwrap();
    t.take_changes(usize::MAX);
    let links = [Link { prefix: p("192.0.2.0/24"), ifindex: 2 }];
    t.set_links(now, &links, [ip("192.0.2.1")]);
    t.take_changes(usize::MAX);
    assert_eq!(hops(&t, "10.0.0.0/8"), Err(Why::NextHopSelf(ip("192.0.2.1"))));
}

#[test]
fn a_link_local_next_hop_leaves_by_the_interface_of_the_session() {
    let now = Instant::now();
    let on_link = PeerInfo { ifindex: Some(7), ..peer(1, 65001) };
    let mut t = table(now, &[on_link, peer(2, 65001)]);
    let link_local = "fe80::1".parse().unwrap();
    let mut told = Attrs::clone(&attrs(&[65001], "2001:db8::1"));
    told.next_hop =
        Some(NextHop::V6 { global: "2001:db8::1".parse().unwrap(), link_local: Some(link_local) });
    let told = Arc::new(told);
    t.update(now, PeerId(1), [(p("fd00:1::/48"), 0)], &told).unwrap();
    t.update(now, PeerId(2), [(p("fd00:2::/48"), 0)], &told).unwrap();
    t.update(now, PeerId(1), [(p("fd00:3::/48"), 0)], &attrs(&[65001], "fe80::1")).unwrap();
    t.update(now, PeerId(2), [(p("fd00:4::/48"), 0)], &attrs(&[65001], "fe80::1")).unwrap();
    assert_eq!(hops(&t, "fd00:1::/48"), Ok(through("fe80::1", 7)));
    assert_eq!(hops(&t, "fd00:2::/48"), Ok(through("2001:db8::1", 2)));
    assert_eq!(hops(&t, "fd00:3::/48"), Ok(through("fe80::1", 7)));
    assert_eq!(hops(&t, "fd00:4::/48"), unreachable("fe80::1"));
}

#[test]
fn next_hops_that_nobody_has_any_more_are_forgotten() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 64512)]);
    for n in 0..10_000u32 {
        let next_hop = format!("198.{}.{}.1", n / 256, n % 256);
        t.update(now, PeerId(1), [(p("10.0.0.0/8"), 0)], &attrs(&[], &next_hop)).unwrap();
        t.take_changes(usize::MAX);
    }
    assert!(t.resolver.memory.len() <= super::memory::SMALL);
}

#[test]
fn a_next_hop_is_lost_when_no_link_leads_to_it_and_the_backup_is_known_before() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001), peer(2, 65002)]);
    let links = |indices: &[u32]| -> Vec<Link> {
        let prefixes = [(2, p("192.0.2.0/24")), (3, p("198.51.100.0/24"))];
        let up = prefixes.into_iter().filter(|(ifindex, _)| indices.contains(ifindex));
        up.map(|(ifindex, prefix)| Link { prefix, ifindex }).collect()
    };
    t.set_links(now, &links(&[2, 3]), [ip("192.0.2.254")]);
    let prefix = p("10.0.0.0/8");
    t.update(now, PeerId(1), [(prefix, 0)], &attrs(&[65001], "192.0.2.1")).unwrap();
    t.update(now, PeerId(2), [(prefix, 0)], &attrs(&[65002, 1], "198.51.100.2")).unwrap();
    t.take_changes(usize::MAX);
    let best = t.best(prefix).unwrap();
    assert_eq!((*best.target).clone(), through("192.0.2.1", 2));
    assert_eq!(best.backup.as_deref(), Some(&through("198.51.100.2", 3)));
    assert_eq!(t.take_lost_hops().count(), 0);

    t.set_links(now, &links(&[3]), [ip("192.0.2.254")]);
    let lost: Vec<Hop> = t.take_lost_hops().collect();
    assert_eq!(lost, [Hop::via(ip("192.0.2.1"), 2)]);
    let changes = t.take_changes(usize::MAX);
    let change = changes.iter().find(|change| change.prefix == prefix).unwrap();
    assert_eq!(*change.new.as_ref().unwrap().target, through("198.51.100.2", 3));
    assert_eq!(change.new.as_ref().unwrap().backup, None);
}

#[test]
fn a_gateway_that_only_one_route_left_is_not_lost() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 64512)]);
    t.originate(now, p("198.51.100.0/24"), origination("192.0.2.7"));
    t.update(now, PeerId(1), [(p("10.0.0.0/8"), 0)], &attrs(&[], "198.51.100.1")).unwrap();
    t.take_changes(usize::MAX);
    t.unoriginate(p("198.51.100.0/24"), Protocol::Static, 0);
    assert_eq!(t.take_lost_hops().count(), 0);
    assert!(t.take_changes(usize::MAX).iter().any(|change| change.new.is_none()));
}
