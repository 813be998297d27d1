use std::net::Ipv4Addr;
use std::time::Instant;

use crate::fixture::{OURS, attrs, p, peer, table};
use crate::{PeerId, PeerInfo, Standing, Table, Why};

use net::{AsPath, Asn, Community, Role};

use super::*;

/// What becomes of one route of a peer: its attributes, or why it is not used.
fn check(peer: &PeerInfo, prefix: &str, change: impl FnOnce(&mut Attrs)) -> Result<Arc<Attrs>, Why> {
    let now = Instant::now();
    let next_hop = if p(prefix).network().is_ipv4() { "192.0.2.1" } else { "2001:db8::1" };
    let mut told = Attrs::clone(&attrs(&[65001, 65002], next_hop));
    change(&mut told);
    let told = Arc::new(told);
    let mut t: Table = table(now, std::slice::from_ref(peer));
    t.update(now, peer.id, [(p(prefix), 0)], &told).unwrap();
    t.take_changes(usize::MAX);
    let received = t.received(peer.id, None, 9).items;
    assert_eq!(received[0].1.received, told, "what was received stays as it was");
    let view = t.route(p(prefix)).unwrap().candidates.remove(0);
    match view.standing {
        Standing::Ineligible(why) => Err(why),
        _ => Ok(Arc::clone(view.path.attrs())),
    }
}

#[test]
fn loops_are_refused_and_say_which() {
    let (ebgp, ibgp) = (peer(1, 65001), peer(1, OURS));
    let ours = |a: &mut Attrs| a.as_path = net::AsPath::sequence([65001, OURS]);
    assert_eq!(check(&ebgp, "10.0.0.0/8", ours), Err(Why::AsLoop(Asn(OURS))));
    assert!(check(&PeerInfo { allow_own_asn: 1, ..ebgp.clone() }, "10.0.0.0/8", ours).is_ok());
    let we = |a: &mut Attrs| a.originator_id = Some("192.0.2.254".parse().unwrap());
    assert_eq!(check(&ibgp, "10.0.0.0/8", we), Err(Why::OriginatorLoop));
    let id = Ipv4Addr::new(192, 0, 2, 254);
    assert_eq!(check(&ibgp, "10.0.0.0/8", |a| a.cluster_list.push(id)), Err(Why::ClusterLoop(id)));
}

#[test]
fn an_external_peer_stands_first_in_its_paths() {
    let (ebgp, ibgp) = (peer(1, 65001), peer(1, OURS));
    let path =
        |asns: &'static [u32]| move |a: &mut Attrs| a.as_path = net::AsPath::sequence(asns.iter().copied());
    assert_eq!(check(&ebgp, "10.0.0.0/8", path(&[])), Err(Why::EmptyAsPath(Asn(65001))));
    let another = Why::FirstAs { first: Asn(65002), peer: Asn(65001) };
    assert_eq!(check(&ebgp, "10.0.0.0/8", path(&[65002, 65001])), Err(another));
    assert!(check(&ebgp, "10.0.0.0/8", path(&[65001])).is_ok());
    for fine in [path(&[]), path(&[65002])] {
        assert!(check(&ibgp, "10.0.0.0/8", fine).is_ok());
    }
}

#[test]
fn prefixes_and_next_hops_that_cannot_be_are_refused() {
    let peer = peer(1, 65001);
    for martian in ["127.0.0.0/8", "224.0.0.0/4", "fe80::/64", "ff00::/8"] {
        assert_eq!(check(&peer, martian, |_| {}), Err(Why::Martian), "{martian}");
    }
    let hop = |text: &str| Some(net::NextHop::from(crate::fixture::ip(text)));
    assert_eq!(check(&peer, "10.0.0.0/8", |a| a.next_hop = None), Err(Why::NoNextHop));
    let ours = crate::fixture::ip("192.0.2.254");
    assert_eq!(check(&peer, "10.0.0.0/8", |a| a.next_hop = hop("192.0.2.254")), Err(Why::NextHopSelf(ours)));
    let far = crate::fixture::ip("198.51.100.1");
    assert_eq!(
        check(&peer, "10.0.0.0/8", |a| a.next_hop = hop("198.51.100.1")),
        Err(Why::NextHopUnreachable(far))
    );
}

#[test]
fn the_local_pref_of_an_external_peer_says_nothing() {
    let told = |a: &mut Attrs| a.local_pref = Some(300);
    assert_eq!(check(&peer(1, 65001), "10.0.0.0/8", told).unwrap().local_pref, None);
    assert_eq!(check(&peer(1, OURS), "10.0.0.0/8", told).unwrap().local_pref, Some(300));
}

#[test]
fn the_import_filter_edits_what_counts_and_not_what_was_received() {
    let filter = toml::from_str(
        "name = \"in\"\nrules = [{ prefix = \"10.0.0.0/8 le 16\", action = \"accept\", set = { local_pref = 200 } }]",
    );
    let peer = PeerInfo { import: Arc::new(filter.unwrap()), ..peer(1, 65001) };
    assert_eq!(check(&peer, "10.1.0.0/16", |_| {}).unwrap().local_pref, Some(200));
    assert_eq!(check(&peer, "10.1.1.0/24", |_| {}), Err(Why::FilterEnd("in".into())));
    assert_eq!(peer.id, PeerId(1));
}

#[test]
fn what_an_external_peer_is_about_to_lose_is_the_last_choice() {
    let leaving = |a: &mut Attrs| {
        a.communities.push(Community::GRACEFUL_SHUTDOWN);
        a.local_pref = Some(300);
    };
    let local_pref = |peer: &PeerInfo| check(peer, "10.1.0.0/16", leaving).unwrap().local_pref;
    assert_eq!(local_pref(&peer(1, 65001)), Some(0));
    assert_eq!(local_pref(&peer(1, OURS)), Some(300), "inside the AS the preference is the peer's own word");
    let with = |rule: &str| {
        let filter = toml::from_str(&format!("name = \"in\"\nrules = [{rule}]"));
        PeerInfo { import: Arc::new(filter.unwrap()), ..peer(1, 65001) }
    };
    let prefer = with("{ action = \"accept\", set = { local_pref = 200 } }");
    assert_eq!(local_pref(&prefer), Some(0), "a preference of the filter does not hold it");
    let delete = with("{ action = \"accept\", delete = { community = \"graceful-shutdown\" } }");
    assert_eq!(local_pref(&delete), None, "a filter that deletes the community does");
}

#[test]
fn paths_with_sets_are_not_used_where_the_rules_say_so() {
    let now = Instant::now();
    let told = |kind| {
        let mut attrs = Attrs::clone(&attrs(&[65001], "192.0.2.1"));
        attrs.as_path.segments.push(net::Segment { kind, asns: vec![Asn(65009)] });
        Arc::new(attrs)
    };
    let standing = |kind, reject_as_sets| {
        let mut t: Table = table(now, &[peer(1, 65001)]);
        t.set_rules(Rules { reject_as_sets, ..*t.rules() });
        t.update(now, PeerId(1), [(p("10.1.0.0/16"), 0)], &told(kind)).unwrap();
        t.take_changes(usize::MAX);
        t.route(p("10.1.0.0/16")).unwrap().candidates.remove(0).standing
    };
    for kind in [net::SegmentKind::Set, net::SegmentKind::ConfedSet] {
        assert_eq!(standing(kind, true), Standing::Ineligible(Why::AsSet));
        assert!(matches!(standing(kind, false), Standing::Best(_)));
    }
}

/// `ONLY_TO_CUSTOMER` of a route after import, or why it is not used.
fn otc(role: Option<Role>, told: Option<u32>) -> Result<Option<u32>, Why> {
    let peer = PeerInfo { role, ..peer(1, 65001) };
    let after = check(&peer, "10.0.0.0/8", |a| a.only_to_customer = told.map(Asn))?;
    Ok(after.only_to_customer.map(|asn| asn.0))
}

#[test]
fn a_route_that_was_given_down_does_not_come_up() {
    let leak = |only_to| Err(Why::RouteLeak { only_to: Asn(only_to), peer: Asn(65001) });
    for ours in [Role::Provider, Role::Rs] {
        assert_eq!(otc(Some(ours), Some(65001)), leak(65001), "{ours}: from a customer");
        assert_eq!(otc(Some(ours), None), Ok(None), "{ours}: not marked");
    }
    assert_eq!(otc(Some(Role::Peer), Some(65009)), leak(65009), "from another peer's customer");
    assert_eq!(otc(Some(Role::Peer), Some(65001)), Ok(Some(65001)));
    for ours in [Role::Customer, Role::RsClient] {
        assert_eq!(otc(Some(ours), Some(65009)), Ok(Some(65009)), "{ours}: what is marked stays so");
    }
    // Without a role it goes along.
    assert_eq!(otc(None, Some(65009)), Ok(Some(65009)));
}

#[test]
fn a_route_from_above_or_beside_is_marked() {
    for (ours, marked) in [
        (Some(Role::Customer), Some(65001)),
        (Some(Role::RsClient), Some(65001)),
        (Some(Role::Peer), Some(65001)),
        (Some(Role::Provider), None),
        (Some(Role::Rs), None),
        (None, None),
    ] {
        assert_eq!(otc(ours, None), Ok(marked), "{ours:?}");
    }
}

#[test]
fn the_as_of_the_node_is_a_loop_too_where_the_session_is_in_another() {
    let now = Instant::now();
    let other = PeerInfo { local_asn: Asn(64999), ..peer(1, 65001) };
    let mut t: Table = table(now, &[other]);
    t.set_rules(Rules { asn: Some(Asn(OURS)), ..*t.rules() });
    for (last, why) in
        [(OURS, Some(Why::AsLoop(Asn(OURS)))), (64999, Some(Why::AsLoop(Asn(64999)))), (65002, None)]
    {
        t.update(now, PeerId(1), [(p("10.1.0.0/16"), 0)], &attrs(&[65001, last], "192.0.2.1")).unwrap();
        let received = t.received(PeerId(1), None, 9).items.remove(0).1;
        assert_eq!(received.imported.clone().err(), why);
    }
}

#[test]
fn a_filter_lets_packets_be_dropped_where_the_peer_asks_for_it() {
    let now = Instant::now();
    let rules = "name = \"in\"\nrules = [{ community = \"blackhole\", prefix = \"10.0.0.0/8 ge 32\", \
                 action = \"blackhole\" }, { action = \"accept\" }]";
    let with = PeerInfo { import: Arc::new(toml::from_str(rules).unwrap()), ..peer(1, 65001) };
    let mut t: Table = table(now, std::slice::from_ref(&with));
    let mut asks = Attrs::clone(&attrs(&[65001], "192.0.2.1"));
    asks.communities = vec![Community::BLACKHOLE];
    t.update(now, with.id, [(p("10.1.1.1/32"), 0), (p("10.2.0.0/16"), 0)], &Arc::new(asks)).unwrap();
    let changes = t.take_changes(usize::MAX);
    let best = |prefix: &str| changes.iter().find(|c| c.prefix == p(prefix)).unwrap().new.clone().unwrap();
    let dropped = best("10.1.1.1/32");
    assert_eq!(*dropped.target, crate::Target::Discard);
    assert_eq!(dropped.path.attrs().communities, [Community::BLACKHOLE, Community::NO_EXPORT]);
    assert_ne!(*best("10.2.0.0/16").target, crate::Target::Discard, "the community alone does nothing");
    // Without the filter the packets go to the next hop again.
    t.peer_up(peer(1, 65001));
    let back = t.take_changes(usize::MAX).remove(0).new.unwrap();
    assert_ne!(*back.target, crate::Target::Discard);
    assert_eq!(back.path.attrs().communities, [Community::BLACKHOLE]);
}

#[test]
fn a_member_of_our_confederation_stands_first_and_its_local_pref_counts() {
    let mut member = peer(1, 65001);
    member.carries.confederation = true;
    let inside = |a: &mut Attrs| {
        a.as_path = AsPath::sequence([7]).prepended_inside(Asn(65001));
        a.local_pref = Some(300);
    };
    assert_eq!(check(&member, "10.0.0.0/8", inside).unwrap().local_pref, Some(300));
    assert_eq!(check(&member, "10.0.0.0/8", |_| {}), Err(Why::NotFromMember(Asn(65001))));
    let other = |a: &mut Attrs| a.as_path = AsPath::sequence([7]).prepended_inside(Asn(65009));
    assert_eq!(check(&member, "10.0.0.0/8", other), Err(Why::NotFromMember(Asn(65001))));
}

#[test]
fn loops_of_a_confederation_are_found_where_they_stand() {
    let now = Instant::now();
    let mut member = peer(1, 65001);
    member.carries.confederation = true;
    let mut t = Table::new(Rules { confederation: Some(Asn(100)), ..crate::fixture::rules() });
    t.peer_up(member.clone());
    let mut check = |path: AsPath| {
        let told = Attrs { as_path: path, ..Attrs::clone(&attrs(&[], "192.0.2.1")) };
        t.update(now, member.id, [(p("10.0.0.0/8"), 0)], &Arc::new(told)).unwrap();
        t.received(member.id, None, 9).items[0].1.imported.clone().map(|_| ())
    };
    let inside = |path: AsPath| path.prepended_inside(Asn(65001));
    assert_eq!(check(inside(AsPath::sequence([7]))), Ok(()));
    // Our member AS among members; outside it is somebody else's number.
    let loop_inside = AsPath::sequence([7]).prepended_inside(Asn(OURS)).prepended_inside(Asn(65001));
    assert_eq!(check(loop_inside), Err(Why::AsLoop(Asn(OURS))));
    assert_eq!(check(inside(AsPath::sequence([7, OURS]))), Ok(()));
    // The confederation as others see it.
    assert_eq!(check(inside(AsPath::sequence([7, 100]))), Err(Why::AsLoop(Asn(100))));
}

#[test]
fn long_paths_and_many_communities_are_refused_where_a_limit_is_set() {
    let now = Instant::now();
    let external = peer(1, 65001);
    let rules = Rules { max_as_path: Some(3), max_communities: Some(2), ..crate::fixture::rules() };
    let mut t = Table::new(rules);
    t.peer_up(external.clone());
    let mut check = |length: u32, communities: usize| {
        let mut told = Attrs::clone(&attrs(&[], "192.0.2.1"));
        told.as_path = AsPath::sequence((0..length).map(|n| 65001 + n));
        told.communities = vec![Community(1); communities];
        told.large_communities = vec![net::LargeCommunity([1, 2, 3])];
        t.update(now, external.id, [(p("10.0.0.0/8"), 0)], &Arc::new(told)).unwrap();
        t.received(external.id, None, 9).items[0].1.imported.clone().map(|_| ())
    };
    assert_eq!(check(3, 1), Ok(()));
    assert_eq!(check(4, 1), Err(Why::LongAsPath { length: 4, most: 3 }));
    assert_eq!(check(3, 2), Err(Why::ManyCommunities { count: 3, most: 2 }));
}
