use std::time::Instant;

use net::{AsPath, ExtCommunity, RawAttr};

use super::*;
use crate::fixture::{OURS, attrs, ip, p, peer, table};
use crate::{Origination, PeerId, Protocol, Table, Via, filter};

/// What `to` is told of a route that `from` told us (or that begins here).
fn told(from: Option<&PeerInfo>, to: &PeerInfo, change: impl FnOnce(&mut Attrs)) -> Result<Attrs, Why> {
    let now = Instant::now();
    let mut attrs = Attrs::clone(&attrs(&[65009], "192.0.2.1"));
    change(&mut attrs);
    let mut t: Table = table(now, from.map(std::slice::from_ref).unwrap_or_default());
    let prefix = p("10.1.0.0/16");
    if let Some(from) = from {
        t.update(now, from.id, [(prefix, 0)], &Arc::new(attrs)).unwrap();
    } else {
        let attrs = Attrs { next_hop: None, as_path: AsPath::default(), ..attrs };
        t.originate(now, prefix, Origination { attrs, ..Origination::new(Protocol::Static, Via::Discard) });
    }
    let best = t.take_changes(9).remove(0).new.unwrap();
    match export(
        prefix,
        (&best).into(),
        from.map(Teller::of).as_ref(),
        &Audience::of(to),
        [9, 9, 9, 9].into(),
    ) {
        Exported::Send(attrs) => Ok(attrs),
        Exported::Not(why) => Err(why),
    }
}

fn next_hop(attrs: &Attrs) -> String {
    attrs.next_hop.unwrap().to_string()
}

#[test]
fn an_external_peer_hears_our_as_and_our_address_and_nothing_internal() {
    let rr = peer(1, OURS);
    let sent = told(Some(&rr), &peer(2, 65002), |a| {
        a.local_pref = Some(300);
        a.med = Some(5);
        a.originator_id = Some("10.9.9.9".parse().unwrap());
        a.cluster_list = vec![[1, 1, 1, 1].into()];
        a.ext_communities = vec![ExtCommunity(1 << 62), ExtCommunity(1)];
    });
    let sent = sent.unwrap();
    let expected = Attrs {
        as_path: AsPath::sequence([OURS, 65009]),
        next_hop: Some(NextHop::from(ip("192.0.2.254"))),
        ext_communities: vec![ExtCommunity(1)],
        ..Attrs::default()
    };
    assert_eq!(sent, expected);
}

#[test]
fn an_internal_peer_hears_the_path_as_it_was_with_a_local_pref() {
    let sent = told(Some(&peer(1, 65009)), &peer(2, OURS), |a| a.med = Some(5)).unwrap();
    assert_eq!(sent.as_path, AsPath::sequence([65009]));
    assert_eq!((next_hop(&sent).as_str(), sent.local_pref, sent.med), ("192.0.2.1", Some(100), Some(5)));
    assert_eq!((sent.originator_id, sent.cluster_list.len()), (None, 0));
    let sent = told(None, &peer(2, OURS), |a| a.med = Some(5)).unwrap();
    assert_eq!((next_hop(&sent).as_str(), sent.as_path.hops(), sent.med), ("192.0.2.254", 0, Some(5)));
}

#[test]
fn the_next_hop_mode_overrides_what_is_usual() {
    let mode = |next_hop, asn| PeerInfo { next_hop, ..peer(2, asn) };
    let from = peer(1, 65009);
    let of = |to: &PeerInfo| next_hop(&told(Some(&from), to, |_| {}).unwrap());
    assert_eq!(of(&mode(NextHopMode::Myself, OURS)), "192.0.2.254");
    assert_eq!(of(&mode(NextHopMode::Keep, 65002)), "192.0.2.1");
    let deaf = PeerInfo { local: LocalEnd::default(), ..peer(2, 65002) };
    assert_eq!(told(Some(&from), &deaf, |_| {}), Err(Why::NoLocalAddress(Family::Ipv4Unicast)));
}

#[test]
fn only_a_reflector_passes_on_between_internal_peers() {
    let (plain, client) = (peer(1, OURS), PeerInfo { route_reflector_client: true, ..peer(1, OURS) });
    let (to_plain, to_client) = (peer(2, OURS), PeerInfo { route_reflector_client: true, ..peer(2, OURS) });
    assert_eq!(told(Some(&plain), &to_plain, |_| {}), Err(Why::NotReflected));
    for (from, to) in [(&client, &to_plain), (&plain, &to_client), (&client, &to_client)] {
        let sent = told(Some(from), to, |a| a.cluster_list = vec![[1, 1, 1, 1].into()]).unwrap();
        assert_eq!(sent.originator_id, Some(from.router_id));
        assert_eq!(sent.cluster_list, [Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(1, 1, 1, 1)]);
        assert_eq!(next_hop(&sent), "192.0.2.1");
    }
}

#[test]
fn communities_forbid_what_rfc_1997_says() {
    let with = |community| move |a: &mut Attrs| a.communities.push(community);
    let from = peer(1, 65009);
    for (community, external, internal) in [
        (Community::NO_ADVERTISE, false, false),
        (Community::NO_EXPORT, false, true),
        (Community::NO_EXPORT_SUBCONFED, false, true),
        (Community(1), true, true),
    ] {
        assert_eq!(told(Some(&from), &peer(2, 65002), with(community)).is_ok(), external, "{community}");
        assert_eq!(told(Some(&from), &peer(2, OURS), with(community)).is_ok(), internal, "{community}");
    }
}

#[test]
fn an_export_filter_edits_and_refuses_and_its_med_is_sent() {
    let filter: Filter = toml::from_str(
        r#"name = "out"
           rules = [{ protocol = "bgp", action = "accept", prepend = 1, set = { med = 7, next_hop = "192.0.2.77" } }]"#,
    )
    .unwrap();
    let to = PeerInfo { export: Arc::new(filter), ..peer(2, 65002) };
    let sent = told(Some(&peer(1, 65009)), &to, |a| a.med = Some(5)).unwrap();
    assert_eq!((sent.med, next_hop(&sent).as_str()), (Some(7), "192.0.2.77"));
    assert_eq!(sent.as_path, AsPath::sequence([OURS, OURS, 65009]));
    assert_eq!(told(None, &to, |_| {}), Err(Why::FilterEnd("out".into())));
    let local_only = PeerInfo { export: Arc::new(filter::local_only()), ..peer(2, 65002) };
    assert!(told(Some(&peer(1, 65009)), &local_only, |_| {}).is_err());
    // A static route is told only where a filter says so.
    assert_eq!(told(None, &local_only, |_| {}), Err(Why::FilterEnd("local-only".into())));
}

#[test]
fn a_next_hop_of_the_other_family_that_a_filter_names_is_told_where_it_was_agreed_on() {
    let set = filter::Set { next_hop: Some(ip("2001:db8::7")), ..Default::default() };
    let names =
        filter::Filter { name: "names".into(), rules: vec![filter::Rule { set, ..filter::Rule::accept() }] };
    let mut to = PeerInfo { export: Arc::new(names), ..peer(2, 65002) };
    assert_eq!(next_hop(&told(None, &to, |_| {}).unwrap()), "192.0.2.254", "we ourselves");
    to.carries.extended_next_hop = true;
    assert_eq!(next_hop(&told(None, &to, |_| {}).unwrap()), "2001:db8::7");
}

#[test]
fn unknown_attributes_go_on_when_transitive_and_marked_partial() {
    let raw = |flags, code| RawAttr { flags, code, value: Box::from([1u8]) };
    let sent =
        told(Some(&peer(1, 65009)), &peer(2, OURS), |a| a.unknown = vec![raw(0x80, 90), raw(0xc0, 99)]);
    assert_eq!(sent.unwrap().unknown, [raw(0xe0, 99)]);
}

#[test]
fn a_family_that_was_not_negotiated_is_not_told() {
    let v6 = PeerInfo { families: vec![Family::Ipv6Unicast], ..peer(2, 65002) };
    let why = told(Some(&peer(1, 65009)), &v6, |_| {}).unwrap_err();
    assert_eq!(why, Why::FamilyNotNegotiated(Family::Ipv4Unicast));
    assert_eq!(PeerId(2), v6.id);
}

#[test]
fn a_peer_hears_all_marked_when_this_node_is_about_to_go() {
    let strips =
        "name = \"out\"\nrules = [{ action = \"accept\", delete = { community = \"graceful-shutdown\" } }]";
    let leaving = |asn| PeerInfo {
        graceful_shutdown: true,
        export: Arc::new(toml::from_str(strips).unwrap()),
        ..peer(2, asn)
    };
    let mark = Community::GRACEFUL_SHUTDOWN;
    for (from, to, local_pref) in
        [(Some(peer(1, 65009)), OURS, Some(0)), (Some(peer(1, 65009)), 65002, None), (None, OURS, Some(0))]
    {
        let sent = told(from.as_ref(), &leaving(to), |a| {
            a.local_pref = Some(200);
            a.communities = vec![Community(1), mark];
        });
        let sent = sent.unwrap();
        assert_eq!((sent.communities, sent.local_pref), (vec![Community(1), mark], local_pref));
    }
    let sent = told(None, &peer(2, OURS), |a| a.communities.push(mark)).unwrap();
    assert_eq!(sent.local_pref, Some(100), "what another marked is passed on as it is");
}

#[test]
fn a_route_tag_is_met_by_filters_and_stays_inside() {
    let filter =
        toml::from_str("name = \"out\"\nrules = [{ tag = 7, action = \"accept\", set = { med = 3 } }]");
    let to = PeerInfo { export: Arc::new(filter.unwrap()), ..peer(2, 65002) };
    let sent = told(None, &to, |a| a.tag = 7).unwrap();
    assert_eq!((sent.tag, sent.med), (0, Some(3)));
    assert!(told(None, &to, |a| a.tag = 8).is_err());
}

#[test]
fn a_peer_hears_only_the_kinds_of_communities_that_it_is_told() {
    let all = |a: &mut Attrs| {
        a.communities = vec![Community(7)];
        a.ext_communities = vec!["rt:1:1".parse().unwrap()];
        a.large_communities = vec!["1:2:3".parse().unwrap()];
    };
    let heard = |standard, extended, large| {
        let send_communities = SendCommunities { standard, extended, large };
        let sent = told(None, &PeerInfo { send_communities, ..peer(2, 65002) }, all).unwrap();
        (sent.communities.len(), sent.ext_communities.len(), sent.large_communities.len())
    };
    assert_eq!(heard(true, true, true), (1, 1, 1));
    assert_eq!(heard(true, false, true), (1, 0, 1));
    assert_eq!(heard(false, false, false), (0, 0, 0));
}

#[test]
fn a_site_hears_our_as_in_place_of_its_own() {
    let site = PeerInfo { as_override: true, ..peer(2, 65009) };
    let sent = told(Some(&peer(1, 65009)), &site, |_| {}).unwrap();
    assert_eq!(sent.as_path, AsPath::sequence([OURS, OURS]));
    let sent = told(Some(&peer(1, 65009)), &peer(2, 65009), |_| {}).unwrap();
    assert_eq!(sent.as_path, AsPath::sequence([OURS, 65009]));
}

#[test]
fn a_filter_asks_a_peer_to_drop_packets() {
    let rules = "name = \"out\"\nrules = [{ action = \"blackhole\" }]";
    let asked = PeerInfo { export: Arc::new(toml::from_str(rules).unwrap()), ..peer(2, 65002) };
    assert_eq!(told(None, &asked, |_| {}).unwrap().communities, [Community::BLACKHOLE]);
}

/// `ONLY_TO_CUSTOMER` of what is told, or why nothing is.
fn otc(role: Option<Role>, has: Option<u32>) -> Result<Option<u32>, Why> {
    let to = PeerInfo { role, ..peer(2, 65002) };
    let sent = told(Some(&peer(1, 65009)), &to, |a| a.only_to_customer = has.map(Asn))?;
    Ok(sent.only_to_customer.map(|asn| asn.0))
}

#[test]
fn what_was_given_down_goes_down_only_and_what_goes_down_is_marked() {
    for ours in [Role::Customer, Role::Peer, Role::RsClient] {
        assert_eq!(otc(Some(ours), Some(7)), Err(Why::OnlyToCustomer(Asn(7))), "{ours}");
    }
    for ours in [Role::Provider, Role::Rs] {
        assert_eq!(otc(Some(ours), Some(7)), Ok(Some(7)), "{ours}: it stays as it is");
    }
    for ours in [Role::Provider, Role::Rs, Role::Peer] {
        assert_eq!(otc(Some(ours), None), Ok(Some(OURS)), "{ours}");
    }
    for ours in [Role::Customer, Role::RsClient] {
        assert_eq!(otc(Some(ours), None), Ok(None), "{ours}");
    }
    assert_eq!((otc(None, Some(7)), otc(None, None)), (Ok(Some(7)), Ok(None)));
}

#[test]
fn a_member_of_our_confederation_hears_nearly_what_an_internal_peer_hears() {
    let mut member = peer(2, 65002);
    member.carries.confederation = true;
    let from = PeerInfo { route_reflector_client: true, ..peer(1, OURS) };
    let sent = told(Some(&from), &member, |a| {
        (a.local_pref, a.med) = (Some(300), Some(5));
        a.originator_id = Some("10.9.9.9".parse().unwrap());
        a.communities.push(Community::NO_EXPORT);
    });
    let sent = sent.unwrap();
    assert_eq!(sent.as_path.to_string(), "(64512) 65009");
    assert_eq!((sent.local_pref, sent.med, sent.originator_id), (Some(300), Some(5), None));
    assert_eq!(next_hop(&sent), "192.0.2.1");
    // What has come from another member AS is no iBGP route: no reflection is needed.
    let mut teller = peer(1, 65003);
    teller.carries.confederation = true;
    let inside = |a: &mut Attrs| a.as_path = a.as_path.prepended_inside(Asn(65003));
    assert_eq!(told(Some(&teller), &member, inside).unwrap().as_path.to_string(), "(64512 65003) 65009");
    assert_eq!(told(Some(&teller), &peer(2, OURS), inside).unwrap().as_path.to_string(), "(65003) 65009");
    // Outside nobody sees the members.
    let outside = PeerInfo { local_asn: Asn(100), ..peer(2, 65002) };
    assert_eq!(told(Some(&teller), &outside, inside).unwrap().as_path.to_string(), "100 65009");
    // NO_EXPORT_SUBCONFED ends at the member AS (RFC 1997).
    let subconfed = |a: &mut Attrs| a.communities.push(Community::NO_EXPORT_SUBCONFED);
    let why = Err(Why::Community(Community::NO_EXPORT_SUBCONFED));
    assert_eq!(told(Some(&from), &member, subconfed), why);
}

#[test]
fn long_lived_stale_routes_go_to_those_who_know_what_it_means() {
    let stale = |a: &mut Attrs| a.communities.push(Community::LLGR_STALE);
    let (from, to) = (peer(1, 65009), peer(2, 65002));
    assert_eq!(told(Some(&from), &to, stale), Err(Why::Community(Community::LLGR_STALE)));
    let mut knows = to;
    knows.carries.long_lived = true;
    assert_eq!(told(Some(&from), &knows, stale).unwrap().communities, [Community::LLGR_STALE]);
}

#[test]
fn the_accumulated_metric_goes_where_the_session_has_it_and_grows_on_the_way() {
    let metric = |a: &mut Attrs| a.aigp = Some(100);
    let from = peer(1, 65009);
    assert_eq!(told(Some(&from), &peer(2, OURS), metric).unwrap().aigp, None);
    let mut to = peer(2, OURS);
    to.carries.aigp = true;
    assert_eq!(told(Some(&from), &to, metric).unwrap().aigp, Some(100), "the next hop is kept");
    // The next hop is on a link: its metric is 0 and counts 1.
    let own = PeerInfo { next_hop: NextHopMode::Myself, ..to.clone() };
    assert_eq!(told(Some(&from), &own, metric).unwrap().aigp, Some(101));
    let most = |a: &mut Attrs| a.aigp = Some(u64::MAX - 1);
    assert_eq!(told(Some(&from), &own, most).unwrap().aigp, Some(u64::MAX - 1));
    assert_eq!(told(Some(&from), &to, |_| {}).unwrap().aigp, None);
}

#[test]
fn a_filter_begins_the_accumulated_metric_where_we_are_the_next_hop() {
    let set = filter::Set { aigp: Some(30), ..Default::default() };
    let begins =
        filter::Filter { name: "begins".into(), rules: vec![filter::Rule { set, ..filter::Rule::accept() }] };
    let mut to = PeerInfo { export: Arc::new(begins), ..peer(2, OURS) };
    let from = peer(1, 65009);
    assert_eq!(told(None, &to, |_| {}).unwrap().aigp, None, "the session does not have it");
    to.carries.aigp = true;
    assert_eq!(told(None, &to, |_| {}).unwrap().aigp, Some(30));
    // Somebody else is the next hop.
    assert_eq!(told(Some(&from), &to, |_| {}).unwrap().aigp, None);
    to.next_hop = NextHopMode::Myself;
    assert_eq!(told(Some(&from), &to, |_| {}).unwrap().aigp, Some(30));
    // What has one already grows; it is not begun anew.
    assert_eq!(told(Some(&from), &to, |a| a.aigp = Some(100)).unwrap().aigp, Some(101));
}

#[test]
fn ipv4_goes_over_ipv6_where_it_was_agreed_on() {
    let v6_only = LocalEnd { v4: None, ..peer(2, 65002).local };
    let mut to = PeerInfo { local: v6_only, ..peer(2, 65002) };
    let from = peer(1, 65009);
    assert_eq!(told(Some(&from), &to, |_| {}), Err(Why::NoLocalAddress(Family::Ipv4Unicast)));
    to.carries.extended_next_hop = true;
    assert_eq!(next_hop(&told(Some(&from), &to, |_| {}).unwrap()), "2001:db8::fe");
    // Inside the AS an IPv6 next hop is kept for those who take it.
    let learned = |a: &mut Attrs| a.next_hop = Some(NextHop::from(ip("2001:db8::1")));
    let mut inside = peer(2, OURS);
    assert_eq!(next_hop(&told(Some(&from), &inside, learned).unwrap()), "192.0.2.254");
    inside.carries.extended_next_hop = true;
    assert_eq!(next_hop(&told(Some(&from), &inside, learned).unwrap()), "2001:db8::1");
}

#[test]
fn non_transitive_ipv6_communities_stay_inside() {
    let community = |first| net::Ipv6ExtCommunity([first; 20]);
    let both = |a: &mut Attrs| a.ipv6_ext_communities = vec![community(0x40), community(0)];
    let from = peer(1, 65009);
    assert_eq!(told(Some(&from), &peer(2, 65002), both).unwrap().ipv6_ext_communities, [community(0)]);
    assert_eq!(told(Some(&from), &peer(2, OURS), both).unwrap().ipv6_ext_communities.len(), 2);
}
