//! The count against a walk of the table, whatever happens in whatever order.

use std::time::Instant;

use proptest::prelude::*;

use crate::fixture::{attrs, p, peer, rules, table};
use crate::nexthop::Link;
use crate::{Origination, PeerId, Protocol, Rules, Source, Table, Via};
use net::Family;

#[derive(Clone, Debug)]
enum Op {
    Update { peer: u8, prefix: u8, path_id: u32, length: u32 },
    Withdraw { peer: u8, prefix: u8, path_id: u32 },
    Own(u8, bool),
    Session { peer: u8, up: bool },
    Link(bool),
    Multipath(u8),
    Take(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let (peers, prefixes, ids) = (1u8..4, 0u8..6, 0u32..2);
    prop_oneof![
        8 => (peers.clone(), prefixes.clone(), ids.clone(), 1u32..4)
            .prop_map(|(peer, prefix, path_id, length)| Op::Update { peer, prefix, path_id, length }),
        3 => (peers.clone(), prefixes.clone(), ids)
            .prop_map(|(peer, prefix, path_id)| Op::Withdraw { peer, prefix, path_id }),
        1 => (prefixes, any::<bool>()).prop_map(|(prefix, own)| Op::Own(prefix, own)),
        1 => (peers, any::<bool>()).prop_map(|(peer, up)| Op::Session { peer, up }),
        1 => any::<bool>().prop_map(Op::Link),
        1 => (1u8..4).prop_map(Op::Multipath),
        3 => (0usize..6).prop_map(Op::Take),
    ]
}

/// Even ones are IPv4.
fn prefix(n: u8) -> net::Prefix {
    if n.is_multiple_of(2) { p(&format!("10.{n}.0.0/16")) } else { p(&format!("2001:db8:{n}::/48")) }
}

fn carry_out(t: &mut Table, now: Instant, op: &Op) {
    match *op {
        Op::Update { peer, prefix: n, path_id, length } => {
            let next_hop =
                if n.is_multiple_of(2) { format!("192.0.2.{peer}") } else { format!("2001:db8::{peer}") };
            let path: Vec<u32> = (0..length).map(|hop| 65000 + u32::from(peer) + 100 * hop).collect();
            // A peer that is not up is not heard.
            let _ = t.update(now, PeerId(peer.into()), [(prefix(n), path_id)], &attrs(&path, &next_hop));
        }
        Op::Withdraw { peer, prefix: n, path_id } => {
            let _ = t.withdraw(PeerId(peer.into()), [(prefix(n), path_id)]);
        }
        Op::Own(n, true) => {
            t.originate(now, prefix(n), Origination::new(Protocol::Static, Via::Discard));
        }
        Op::Own(n, false) => t.unoriginate(prefix(n), Protocol::Static, 0),
        Op::Session { peer: n, up: true } => t.peer_up(peer(n, 65000 + u32::from(n))),
        Op::Session { peer: n, up: false } => t.peer_down(PeerId(n.into())),
        Op::Link(up) => {
            let links = [Link { prefix: p("192.0.2.0/24"), ifindex: 2 }];
            t.set_links(now, if up { &links } else { &[] }, []);
        }
        Op::Multipath(multipath) => {
            t.set_rules(Rules { multipath: multipath.into(), ..rules() });
        }
        Op::Take(max) => {
            t.take_changes(max);
        }
    }
}

fn check(t: &Table) {
    for family in Family::ALL {
        let best: Vec<_> =
            t.best_routes().filter(|(prefix, _)| prefix.family() == family).map(|(_, best)| best).collect();
        assert_eq!(t.told_of(family), best.len());
        for id in (1..4).map(PeerId) {
            let walked = best.iter().filter(|best| best.path.source == Source::Peer(id)).count();
            assert_eq!(t.best_routes_of(id, family), walked, "{id:?} {family}");
        }
    }
}

proptest! {
    #[test]
    fn the_count_of_best_routes_is_that_of_a_walk(ops in prop::collection::vec(op(), 1..80)) {
        let now = Instant::now();
        let mut t = table(now, &[1, 2, 3].map(|n| peer(n, 65000 + u32::from(n))));
        for op in &ops {
            carry_out(&mut t, now, op);
            check(&t);
        }
        t.take_changes(usize::MAX);
        check(&t);
    }
}

#[test]
fn the_best_route_counts_for_its_peer_alone_and_goes_over_to_the_next() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001), peer(2, 65002)]);
    let counts = |t: &Table| [1, 2].map(|id| t.best_routes_of(PeerId(id), Family::Ipv4Unicast));
    t.update(
        now,
        PeerId(1),
        ["10.1.0.0/16", "10.2.0.0/16"].map(|text| (p(text), 0)),
        &attrs(&[65001], "192.0.2.1"),
    )
    .unwrap();
    t.update(now, PeerId(2), [(p("10.1.0.0/16"), 0)], &attrs(&[65002, 1], "192.0.2.2")).unwrap();
    assert_eq!(counts(&t), [0, 0], "nothing is decided yet");
    t.take_changes(usize::MAX);
    assert_eq!(counts(&t), [2, 0]);
    t.peer_down(PeerId(1));
    assert_eq!(counts(&t), [2, 0], "the world has heard nothing else");
    // It comes back before that is decided, and tells one of the two.
    t.peer_up(peer(1, 65001));
    t.update(now, PeerId(1), [(p("10.2.0.0/16"), 0)], &attrs(&[65001], "192.0.2.1")).unwrap();
    t.take_changes(usize::MAX);
    assert_eq!(counts(&t), [1, 1]);
    t.peer_down(PeerId(1));
    t.take_changes(usize::MAX);
    assert_eq!(counts(&t), [0, 1]);
    assert!(t.chosen.peers.len() == 1, "who has none is not kept");
}
