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
