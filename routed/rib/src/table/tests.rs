use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::fixture::{attrs, ip, p, peer, rules, table};
use crate::nexthop::Hop;
use crate::{Standing, filter};

/// What a prefix is told to be: the peer or protocol of its best path.
fn best(table: &Table, prefix: &str) -> Option<(Source, Protocol)> {
    let (_, best) = table.best_routes().find(|(known, _)| *known == p(prefix))?;
    Some((best.path.source, best.path.protocol))
}

fn settle(table: &mut Table) -> Vec<Change> {
    table.take_changes(usize::MAX)
}

const A: Source = Source::Peer(PeerId(1));
const B: Source = Source::Peer(PeerId(2));

#[test]
fn ten_flaps_are_one_change_and_a_return_is_none() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001)]);
    for round in 0..10 {
        t.withdraw(PeerId(1), [(p("10.1.0.0/16"), 0)]).unwrap();
        t.update(now, PeerId(1), [(p("10.1.0.0/16"), 0)], &attrs(&[65001, round], "192.0.2.1")).unwrap();
    }
    let changes = settle(&mut t);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].old, None);
    t.withdraw(PeerId(1), [(p("10.1.0.0/16"), 0)]).unwrap();
    t.update(now, PeerId(1), [(p("10.1.0.0/16"), 0)], &attrs(&[65001, 9], "192.0.2.1")).unwrap();
    assert_eq!(settle(&mut t), []);
    assert!(!t.has_changes());
}

#[test]
fn changes_come_in_portions_and_none_is_lost() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001)]);
    let prefixes = (0..100u8).map(|n| (Prefix::from(([10, n, 0, 0].into(), 16)), 0));
    t.update(now, PeerId(1), prefixes, &attrs(&[65001], "192.0.2.1")).unwrap();
    let mut seen = 0;
    while t.has_changes() {
        let portion = t.take_changes(7);
        assert!(portion.len() <= 7);
        seen += portion.len();
    }
    assert_eq!(seen, 100);
}

#[test]
fn a_peer_that_goes_takes_its_paths_and_the_next_best_takes_over() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001), peer(2, 65002)]);
    t.update(now, PeerId(1), [(p("10.1.0.0/16"), 0)], &attrs(&[65001], "192.0.2.1")).unwrap();
    t.update(now, PeerId(2), [(p("10.1.0.0/16"), 0)], &attrs(&[65002, 1], "192.0.2.2")).unwrap();
    settle(&mut t);
    assert_eq!(best(&t, "10.1.0.0/16"), Some((A, Protocol::Bgp)));
    t.peer_down(PeerId(1));
    let changes = settle(&mut t);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].new.as_ref().unwrap().path.source, B);
    assert_eq!(t.update(now, PeerId(1), [], &attrs(&[], "192.0.2.1")), Err(UnknownPeer(PeerId(1))));
}

#[test]
fn equal_paths_share_the_next_hops() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001), peer(2, 65001)]);
    t.set_rules(Rules { multipath: 4, ..rules() });
    for n in [1, 2] {
        let via = attrs(&[65001], &format!("192.0.2.{n}"));
        t.update(now, PeerId(n), [(p("10.1.0.0/16"), 0)], &via).unwrap();
    }
    let changes = settle(&mut t);
    let hop = |n| Hop::via(ip(&format!("192.0.2.{n}")), 2);
    assert_eq!(*changes[0].new.as_ref().unwrap().target, Target::Hops(vec![hop(1), hop(2)]));
}

#[test]
fn a_sweep_removes_only_what_was_not_told_again() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001)]);
    let (kept, gone) = (p("10.1.0.0/16"), p("10.2.0.0/16"));
    let via = attrs(&[65001], "192.0.2.1");
    t.update(now, PeerId(1), [(kept, 0), (gone, 0), (p("fd00::/48"), 0)], &via).unwrap();
    settle(&mut t);
    t.mark_stale(PeerId(1), Family::Ipv4Unicast);
    assert!(t.route(gone).unwrap().candidates[0].stale);
    assert_eq!(settle(&mut t), [], "a stale path is used as before");
    t.update(now, PeerId(1), [(kept, 0)], &via).unwrap();
    assert_eq!(t.sweep_stale(PeerId(1), Family::Ipv4Unicast), 1);
    let changes = settle(&mut t);
    assert_eq!(
        changes.iter().map(|change| (change.prefix, change.new.is_some())).collect::<Vec<_>>(),
        [(gone, false)]
    );
    assert_eq!(t.counts(PeerId(1), Family::Ipv4Unicast), Counts { received: 1, accepted: 1, filtered: 0 });
    assert_eq!(t.counts(PeerId(1), Family::Ipv6Unicast), Counts { received: 1, accepted: 1, filtered: 0 });
}

#[test]
fn what_this_node_owns_no_peer_takes_and_the_claim_is_told() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001)]);
    let via = attrs(&[65001], "192.0.2.1");
    let claims = ["10.244.1.0/24", "10.244.1.128/25", "10.244.0.0/16"].map(|text| (p(text), 0));
    t.update(now, PeerId(1), claims, &via).unwrap();
    settle(&mut t);
    assert_eq!(best(&t, "10.244.1.128/25"), Some((A, Protocol::Bgp)));
    assert_eq!(t.take_conflicts(), []);

    // It does not matter whether the block was ours before or after.
    t.originate(now, p("10.244.1.0/24"), Origination::new(Protocol::Local, Via::Kernel));
    settle(&mut t);
    assert_eq!(best(&t, "10.244.1.0/24"), Some((Source::Local, Protocol::Local)));
    assert_eq!(best(&t, "10.244.1.128/25"), None);
    assert_eq!(best(&t, "10.244.0.0/16"), Some((A, Protocol::Bgp)));
    let view = t.route(p("10.244.1.128/25")).unwrap();
    assert_eq!(view.candidates[0].standing, Standing::Ineligible(Why::OwnPrefix(p("10.244.1.0/24"))));
    let mut conflicts = t.take_conflicts();
    conflicts.sort_unstable();
    assert_eq!(conflicts, [(p("10.244.1.0/24"), PeerId(1)), (p("10.244.1.128/25"), PeerId(1))]);

    t.unoriginate(p("10.244.1.0/24"), Protocol::Local, 0);
    settle(&mut t);
    assert_eq!(best(&t, "10.244.1.0/24"), Some((A, Protocol::Bgp)));
    assert_eq!(best(&t, "10.244.1.128/25"), Some((A, Protocol::Bgp)));
}

#[test]
fn a_new_import_filter_applies_to_what_was_received_before() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001)]);
    t.update(now, PeerId(1), [(p("10.1.0.0/16"), 0)], &attrs(&[65001], "192.0.2.1")).unwrap();
    settle(&mut t);
    t.peer_up(PeerInfo { import: Arc::new(filter::reject_all()), ..peer(1, 65001) });
    assert_eq!(settle(&mut t).len(), 1);
    assert_eq!(best(&t, "10.1.0.0/16"), None);
    assert_eq!(t.counts(PeerId(1), Family::Ipv4Unicast), Counts { received: 1, accepted: 0, filtered: 1 });
    t.peer_up(peer(1, 65001));
    settle(&mut t);
    assert_eq!(best(&t, "10.1.0.0/16"), Some((A, Protocol::Bgp)));
}

#[test]
fn an_aggregate_is_local_and_leaves_what_lies_inside_to_peers() {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001)]);
    let (around, inside) = (p("10.0.0.0/8"), p("10.1.0.0/16"));
    assert!(!t.has_inside(around));
    t.update(now, PeerId(1), [(inside, 0)], &attrs(&[65001], "192.0.2.1")).unwrap();
    settle(&mut t);
    assert!(t.has_inside(around) && !t.has_inside(inside));
    let aggregate = Origination { owned: false, ..Origination::new(Protocol::Local, Via::Discard) };
    t.originate(now, around, aggregate);
    settle(&mut t);
    assert_eq!(best(&t, "10.0.0.0/8"), Some((Source::Local, Protocol::Local)));
    assert_eq!(best(&t, "10.1.0.0/16"), Some((A, Protocol::Bgp)));
    assert_eq!(t.take_conflicts(), []);
}

#[test]
fn a_route_costs_at_most_thirty_bytes_and_one_with_two_paths_a_hundred() {
    const COUNT: u32 = 100_000;
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001), peer(2, 65002)]);
    // As dense as a million spread over unicast space.
    let prefixes = || {
        (0..COUNT).map(|n| {
            let address = std::net::Ipv4Addr::from(0x1000_0000 + n.wrapping_mul(0x9e37_79b1) % 0x1000_0000);
            (Prefix::new(address.into(), 24).unwrap(), 0)
        })
    };
    for (peer, bound) in [(1, 30), (2, 100)] {
        let via = attrs(&[65000 + peer], &format!("192.0.2.{peer}"));
        t.update(now, PeerId(peer), prefixes(), &via).unwrap();
        settle(&mut t);
        let each = t.bytes() / t.len();
        assert!(each <= bound, "{each} bytes a route with {peer} paths");
    }
    let full = t.bytes();
    (1..=2).for_each(|n| t.peer_down(PeerId(n)));
    settle(&mut t);
    assert!(t.bytes() < full / 10, "{} bytes of {full} are left", t.bytes());
}

#[derive(Clone, Debug)]
enum Op {
    Update { peer: u8, prefix: usize, path_id: u32, next_hop: usize, length: u8 },
    Withdraw { peer: u8, prefix: usize, path_id: u32 },
    Down(u8),
    Up(u8),
    Static { prefix: usize, gateway: Option<usize> },
    Own { prefix: usize, ours: bool },
    Link { link: usize, up: bool },
    Take(usize),
}

const PREFIXES: [&str; 7] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "198.51.100.0/24",
    "0.0.0.0/0",
    "203.0.113.0/25",
    "10.1.2.3/32",
];
const GATEWAYS: [&str; 6] =
    ["192.0.2.1", "198.51.100.7", "10.1.2.3", "203.0.113.9", "192.0.2.254", "203.0.113.130"];
const LINKS: [&str; 3] = ["192.0.2.0/24", "203.0.113.0/24", "198.51.100.0/24"];

fn op() -> impl Strategy<Value = Op> {
    let (prefix, gateway) = (0..PREFIXES.len(), 0..GATEWAYS.len());
    prop_oneof![
        6 => (1u8..4, prefix.clone(), 0u32..2, gateway.clone(), 1u8..3).prop_map(
            |(peer, prefix, path_id, next_hop, length)| Op::Update { peer, prefix, path_id, next_hop, length }
        ),
        3 => (1u8..4, prefix.clone(), 0u32..2).prop_map(|(peer, prefix, path_id)| Op::Withdraw { peer, prefix, path_id }),
        1 => (1u8..4).prop_map(Op::Down),
        2 => (1u8..4).prop_map(Op::Up),
        3 => (prefix.clone(), prop::option::of(gateway)).prop_map(|(prefix, gateway)| Op::Static { prefix, gateway }),
        1 => (prefix, any::<bool>()).prop_map(|(prefix, ours)| Op::Own { prefix, ours }),
        2 => (0..LINKS.len(), any::<bool>()).prop_map(|(link, up)| Op::Link { link, up }),
        2 => (0usize..4).prop_map(Op::Take),
    ]
}

/// The inputs that hold now, however they came to hold.
#[derive(Clone, Debug, Default)]
struct Inputs {
    up: BTreeSet<u8>,
    told: BTreeMap<(u8, usize, u32), (usize, u8)>,
    statics: BTreeMap<usize, usize>,
    own: BTreeSet<usize>,
    links: BTreeSet<usize>,
}

impl Inputs {
    fn peer(n: u8) -> PeerInfo {
        // Peer 3 is internal.
        peer(n, if n == 3 { 64512 } else { 65000 + u32::from(n) })
    }

    fn attrs(n: u8, next_hop: usize, length: u8) -> Arc<Attrs> {
        attrs(&vec![65000 + u32::from(n); length.into()], GATEWAYS[next_hop])
    }

    fn links(&self) -> Vec<Link> {
        self.links
            .iter()
            .map(|i| Link { prefix: p(LINKS[*i]), ifindex: u32::try_from(*i).unwrap() + 1 })
            .collect()
    }

    /// Applies an operation to the inputs and to a table.
    fn apply(&mut self, now: Instant, t: &mut Table, op: &Op) {
        match *op {
            Op::Update { peer, prefix, path_id, next_hop, length } if self.up.contains(&peer) => {
                self.told.insert((peer, prefix, path_id), (next_hop, length));
                let reach = [(p(PREFIXES[prefix]), path_id)];
                t.update(now, PeerId(peer.into()), reach, &Self::attrs(peer, next_hop, length)).unwrap();
            }
            Op::Withdraw { peer, prefix, path_id } if self.up.contains(&peer) => {
                self.told.remove(&(peer, prefix, path_id));
                t.withdraw(PeerId(peer.into()), [(p(PREFIXES[prefix]), path_id)]).unwrap();
            }
            Op::Update { .. } | Op::Withdraw { .. } | Op::Take(_) => {}
            Op::Down(n) => {
                self.up.remove(&n);
                self.told.retain(|(peer, ..), _| *peer != n);
                t.peer_down(PeerId(n.into()));
            }
            Op::Up(n) => {
                self.up.insert(n);
                t.peer_up(Self::peer(n));
            }
            Op::Static { prefix, gateway: Some(gateway) } => {
                self.statics.insert(prefix, gateway);
                let via = Via::Gateway(ip(GATEWAYS[gateway]));
                t.originate(now, p(PREFIXES[prefix]), Origination::new(Protocol::Static, via));
            }
            Op::Static { prefix, gateway: None } => {
                self.statics.remove(&prefix);
                t.unoriginate(p(PREFIXES[prefix]), Protocol::Static, 0);
            }
            Op::Own { prefix, ours: true } => {
                self.own.insert(prefix);
                t.originate(now, p(PREFIXES[prefix]), Origination::new(Protocol::Local, Via::Kernel));
            }
            Op::Own { prefix, ours: false } => {
                self.own.remove(&prefix);
                t.unoriginate(p(PREFIXES[prefix]), Protocol::Local, 0);
            }
            Op::Link { link, up } => {
                if up {
                    self.links.insert(link)
                } else {
                    self.links.remove(&link)
                };
                t.set_links(now, &self.links(), [ip("192.0.2.254")]);
            }
        }
    }

    /// A new table from the inputs alone, in another order than they came.
    fn afresh(&self, now: Instant) -> Table {
        let mut t = Table::new(rules());
        let mut inputs = Self::default();
        let ops = self.up.iter().rev().map(|n| Op::Up(*n));
        let ops = ops.chain(self.told.iter().rev().map(|((peer, prefix, path_id), (next_hop, length))| {
            Op::Update {
                peer: *peer,
                prefix: *prefix,
                path_id: *path_id,
                next_hop: *next_hop,
                length: *length,
            }
        }));
        let ops = ops.chain(self.own.iter().map(|prefix| Op::Own { prefix: *prefix, ours: true }));
        let statics = self.statics.iter().rev();
        let ops = ops
            .chain(statics.map(|(prefix, gateway)| Op::Static { prefix: *prefix, gateway: Some(*gateway) }));
        let links: Vec<_> = self.links.iter().map(|link| Op::Link { link: *link, up: true }).collect();
        for op in ops.chain(links) {
            inputs.apply(now, &mut t, &op);
        }
        t.set_links(now, &self.links(), [ip("192.0.2.254")]);
        t.take_changes(usize::MAX);
        t
    }
}

fn bests(t: &Table) -> BTreeMap<Prefix, Best> {
    t.best_routes().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_table_depends_on_what_holds_and_not_on_how_it_came(ops in prop::collection::vec(op(), 0..80)) {
        let now = Instant::now();
        let mut t = Table::new(rules());
        t.set_links(now, &[], [ip("192.0.2.254")]);
        let mut inputs = Inputs::default();
        let mut replayed = BTreeMap::new();
        for op in ops.iter().chain([&Op::Take(usize::MAX)]) {
            inputs.apply(now, &mut t, op);
            if let Op::Take(max) = op {
                for Change { prefix, old, new } in t.take_changes(*max) {
                    prop_assert_ne!(&old, &new);
                    prop_assert_eq!(&replayed.get(&prefix).cloned(), &old);
                    match new {
                        Some(new) => replayed.insert(prefix, new),
                        None => replayed.remove(&prefix),
                    };
                }
            }
        }
        prop_assert!(!t.has_changes());
        prop_assert_eq!(&replayed, &bests(&t));
        let fresh = inputs.afresh(now);
        prop_assert_eq!(&replayed, &bests(&fresh));
        prop_assert_eq!(t.len(), fresh.len());
        prop_assert_eq!(t.told(), replayed.len());
        prop_assert!(t.of_protocols().eq(fresh.of_protocols()));
        // What readers see is what the world was told.
        for view in t.routes(&crate::Query::default(), None, usize::MAX).items {
            let told = replayed.get(&view.prefix);
            prop_assert_eq!(view.target.as_ref(), told.map(|best| best.target.as_ref()));
            let key = |path: &Path| (path.source, path.protocol);
            prop_assert_eq!(view.best().map(|best| key(&best.path)), told.map(|best| key(&best.path)));
        }
        for n in &inputs.up {
            let received = inputs.told.keys().filter(|(peer, ..)| peer == n).count();
            prop_assert_eq!(t.counts(PeerId((*n).into()), Family::Ipv4Unicast).received, received);
        }
        // Nothing is kept that no path says.
        (1..4).for_each(|n| inputs.apply(now, &mut t, &Op::Down(n)));
        t.take_changes(usize::MAX);
        prop_assert!(t.paths.iter().all(|(_, path)| path.source == Source::Local));
    }
}

#[test]
fn what_is_kept_for_long_is_marked_and_what_does_not_want_it_goes() {
    let now = Instant::now();
    let info = peer(1, 65001);
    let mut t = table(now, std::slice::from_ref(&info));
    let told = |communities: &[net::Community]| {
        let communities = communities.to_vec();
        Arc::new(Attrs { communities, ..Attrs::clone(&attrs(&[65001], "192.0.2.1")) })
    };
    let v4 = Family::Ipv4Unicast;
    t.update(now, info.id, [(p("10.0.0.0/8"), 0), (p("10.1.0.0/16"), 0)], &told(&[])).unwrap();
    t.update(now, info.id, [(p("10.2.0.0/16"), 0)], &told(&[net::Community::NO_LLGR])).unwrap();
    t.mark_stale(info.id, v4);
    t.update(now, info.id, [(p("10.1.0.0/16"), 0)], &told(&[])).unwrap();
    assert_eq!(t.keep_long_lived(info.id, v4), (1, 1));
    t.take_changes(usize::MAX);
    let marked = |t: &Table, prefix: &str| {
        let best = t.route(p(prefix))?.best().map(|best| Arc::clone(best.path.attrs()))?;
        Some(best.communities.contains(&net::Community::LLGR_STALE))
    };
    assert_eq!(marked(&t, "10.0.0.0/8"), Some(true));
    assert_eq!(marked(&t, "10.1.0.0/16"), Some(false), "told again, it is fresh");
    assert_eq!(marked(&t, "10.2.0.0/16"), None);
    // Other filters leave the mark; so does keeping it twice.
    t.peer_up(info.clone());
    assert_eq!(t.keep_long_lived(info.id, v4), (1, 0));
    assert_eq!(marked(&t, "10.0.0.0/8"), Some(true));
    assert_eq!(t.sweep_stale(info.id, v4), 1);
}
