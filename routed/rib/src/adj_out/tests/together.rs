//! Which peers are said to hear the same octets.

use super::*;

#[test]
fn a_group_has_those_that_hear_the_same_and_a_number_of_its_own() {
    let mut w = World::new();
    for peer in [external(1), external(2), internal(3)] {
        w.up(&peer);
    }
    let together = |w: &World, id| w.out.together(PeerId(id));
    let members = |w: &World, id| together(w, id).map(|group| group.members);
    assert_eq!(members(&w, 1), Some(vec![PeerId(1), PeerId(2)]));
    assert_eq!(members(&w, 3), Some(vec![PeerId(3)]));
    assert_eq!(together(&w, 9), None, "nobody knows it");
    let number = |w: &World, id| together(w, id).unwrap().number;
    assert_eq!((number(&w, 1), number(&w, 2), number(&w, 3)), (1, 1, 2));
    assert!(!together(&w, 1).unwrap().in_step, "its first dump has yet to be told");
    assert!(!w.out.has_ended(PeerId(1), IPV4));
    for id in [1, 2, 3] {
        w.drain(PeerId(id));
    }
    assert!((1..=3).all(|id| together(&w, id).unwrap().in_step));
    w.out.refresh(PeerId(2), Family::Ipv4Unicast);
    assert_eq!([1, 2].map(|id| together(&w, id).unwrap().in_step), [true, false]);
    assert!(w.out.has_ended(PeerId(2), IPV4), "a refresh takes no End-of-RIB back");
    // Another filter, another group; the place of one that has gone is used
    // again, its number is not.
    w.out.peer_changed(
        &w.table,
        &PeerInfo { export: Arc::new(filter::cluster_only(&[p("10.0.0.0/8")])), ..external(2) },
    );
    assert_eq!((members(&w, 1), members(&w, 2)), (Some(vec![PeerId(1)]), Some(vec![PeerId(2)])));
    assert_eq!(number(&w, 2), 3);
    w.down(PeerId(1));
    w.up(&external(1));
    assert_eq!((together(&w, 1).unwrap().number, members(&w, 2)), (4, Some(vec![PeerId(2)])));
}

/// RFC 4271 §5.1.3: nobody is told that the way to a prefix is itself. Two
/// routers may have one address, each on its own link.
#[test]
fn of_two_peers_with_one_address_each_is_spared_what_leads_to_it() {
    let mut w = World::new();
    let set = filter::Set { next_hop: Some("fe80::2".parse().unwrap()), ..Default::default() };
    let matches = filter::Match { family: vec![Family::Ipv6Unicast], ..Default::default() };
    let sets: Arc<filter::Filter> = Arc::new(filter::Filter {
        name: "sets".into(),
        rules: vec![filter::Rule { matches, set, ..filter::Rule::accept() }],
    });
    let on_link = |n: u8, address: &str| PeerInfo {
        address: address.parse().unwrap(),
        export: Arc::clone(&sets),
        ..internal(n)
    };
    for peer in [on_link(1, "fe80::2"), on_link(2, "fe80::2"), on_link(3, "fe80::3")] {
        w.up(&peer);
    }
    w.own("2001:db8:9::/48");
    let told = |w: &mut World| {
        [1, 2, 3].map(|id| {
            w.drain(PeerId(id));
            let told = w.believes[&PeerId(id)].len();
            assert_eq!(told, w.out.count(&w.table, PeerId(id)).iter().sum::<usize>());
            told
        })
    };
    assert_eq!(told(&mut w), [0, 0, 2], "the prefix, and that of our own link");
    w.own("2001:db8:8::/48");
    assert_eq!(told(&mut w), [0, 0, 3], "in step too");
    w.down(PeerId(2));
    w.own("2001:db8:7::/48");
    let first = (w.drain(PeerId(1)).len(), w.believes[&PeerId(1)].len());
    assert_eq!(first, (0, 0), "the other one has gone");
}
