use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::fixture::{attrs, p, peer, table};
use crate::{Origination, Protocol, Via, filter};

/// A table with its outgoing side and what each peer has come to believe.
struct World {
    now: Instant,
    table: Table,
    out: AdjOut,
    believes: BTreeMap<PeerId, BTreeMap<Prefix, Arc<Attrs>>>,
    ends: BTreeMap<PeerId, Vec<Family>>,
}

impl World {
    fn new(peers: &[PeerInfo]) -> Self {
        let now = Instant::now();
        let table = table(now, peers);
        let out = AdjOut::new(table.rules().cluster_id);
        Self { now, table, out, believes: BTreeMap::new(), ends: BTreeMap::new() }
    }

    fn up(&mut self, peer: &PeerInfo) {
        self.flush(usize::MAX);
        self.table.peer_up(peer.clone());
        self.flush(usize::MAX);
        self.out.peer_up(&self.table, peer);
        self.believes.insert(peer.id, BTreeMap::new());
        self.ends.insert(peer.id, vec![]);
    }

    fn flush(&mut self, max: usize) {
        for change in self.table.take_changes(max) {
            self.out.change(&self.table, &change);
        }
    }

    fn own(&mut self, prefix: &str) {
        self.table.originate(self.now, p(prefix), Origination::new(Protocol::Local, Via::Kernel));
        self.flush(usize::MAX);
    }

    fn disown(&mut self, prefix: &str) {
        self.table.unoriginate(p(prefix), Protocol::Local, 0);
        self.flush(usize::MAX);
    }

    /// Lets a peer pull once, and holds what it pulled against what it knew.
    /// After a refresh a peer may be told what it knows.
    fn pull(&mut self, id: PeerId, budget: usize, refreshed: bool) -> Vec<Out> {
        let out = self.out.pull(id, budget);
        let believes = self.believes.entry(id).or_default();
        for out in &out {
            match out {
                Out::Reach { attrs, prefixes, family } => {
                    for prefix in prefixes {
                        assert_eq!(prefix.family(), *family);
                        let before = believes.insert(*prefix, Arc::clone(attrs));
                        assert!(refreshed || before.as_ref() != Some(attrs), "{prefix} told twice");
                    }
                }
                Out::Unreach { prefixes, .. } => {
                    for prefix in prefixes {
                        assert!(believes.remove(prefix).is_some(), "{prefix} withdrawn but never sent");
                    }
                }
                Out::EndOfRib(family) => self.ends.entry(id).or_default().push(*family),
            }
        }
        out
    }

    fn drain(&mut self, id: PeerId, refreshed: bool) {
        while self.out.has_work(id) {
            self.pull(id, 3, refreshed);
        }
    }
}

fn internal(n: u8) -> PeerInfo {
    peer(n, 64512)
}

const IPV4: Family = Family::Ipv4Unicast;

#[test]
fn a_session_that_comes_up_hears_everything_and_then_the_end() {
    let mut w = World::new(&[]);
    for prefix in ["10.1.0.0/24", "10.1.1.0/24", "fd00::/64"] {
        w.own(prefix);
    }
    w.up(&peer(1, 65001));
    let out = w.pull(PeerId(1), 1000, false);
    let connected_too = ["10.1.0.0/24", "10.1.1.0/24", "192.0.2.0/24"].map(p).to_vec();
    assert!(matches!(&out[0], Out::Reach { family: IPV4, prefixes, .. } if *prefixes == connected_too));
    assert_eq!(out[2..], [Out::EndOfRib(IPV4), Out::EndOfRib(Family::Ipv6Unicast)]);
    assert!(!w.out.has_work(PeerId(1)));
    assert_eq!(w.out.count(PeerId(1)), 5);
}

#[test]
fn withdraw_of_unsent_prefix_sends_nothing() {
    let mut w = World::new(&[]);
    w.up(&peer(1, 65001));
    w.drain(PeerId(1), false);
    w.own("10.1.0.0/24");
    w.disown("10.1.0.0/24");
    assert!(!w.out.has_work(PeerId(1)));
    assert_eq!(w.pull(PeerId(1), 10, false), []);
}

#[test]
fn ten_flaps_while_a_peer_is_slow_are_one_update() {
    let mut w = World::new(&[]);
    w.up(&peer(1, 65001));
    w.drain(PeerId(1), false);
    for _ in 0..10 {
        w.own("10.1.0.0/24");
        w.disown("10.1.0.0/24");
        w.own("10.1.0.0/24");
    }
    let out = w.pull(PeerId(1), 10, false);
    assert!(matches!(&out[..], [Out::Reach { prefixes, .. }] if *prefixes == [p("10.1.0.0/24")]));
    w.disown("10.1.0.0/24");
    assert_eq!(
        w.pull(PeerId(1), 10, false),
        [Out::Unreach { family: IPV4, prefixes: vec![p("10.1.0.0/24")] }]
    );
}

#[test]
fn a_budget_is_kept_and_the_end_comes_only_at_the_end() {
    let mut w = World::new(&[]);
    for n in 0..10 {
        w.own(&format!("10.1.{n}.0/24"));
    }
    w.up(&peer(1, 65001));
    let told = |out: &[Out]| -> usize {
        out.iter().map(|out| if let Out::Reach { prefixes, .. } = out { prefixes.len() } else { 0 }).sum()
    };
    let first = w.pull(PeerId(1), 4, false);
    assert_eq!(told(&first), 4);
    assert!(w.ends[&PeerId(1)].is_empty());
    w.drain(PeerId(1), false);
    assert_eq!(w.ends[&PeerId(1)], Family::ALL);
}

#[test]
fn a_refresh_tells_everything_again_without_an_end() {
    let mut w = World::new(&[]);
    w.own("10.1.0.0/24");
    w.up(&peer(1, 65001));
    w.drain(PeerId(1), false);
    w.out.refresh(PeerId(1), IPV4);
    let out = w.pull(PeerId(1), 100, true);
    let both = ["10.1.0.0/24", "192.0.2.0/24"].map(p).to_vec();
    assert!(matches!(&out[..], [Out::Reach { prefixes, .. }] if *prefixes == both));
}

#[test]
fn equal_peers_are_one_group_and_a_group_goes_with_its_last_member() {
    let mut w = World::new(&[]);
    for n in 1..=3 {
        w.up(&peer(n, 65000 + u32::from(n)));
    }
    w.up(&internal(4));
    assert_eq!(w.out.groups.iter().flatten().map(|group| group.members.len()).collect::<Vec<_>>(), [3, 1]);
    for n in 1..=4 {
        w.out.peer_down(PeerId(n));
    }
    assert_eq!(w.out.groups.iter().flatten().count(), 0);
}

#[derive(Clone, Debug)]
enum Op {
    Update { peer: u8, prefix: u8, origin: u32 },
    Withdraw { peer: u8, prefix: u8 },
    Own(u8, bool),
    Session { peer: u8, up: bool },
    Filter { peer: u8, all: bool },
    Refresh(u8),
    Flush(usize),
    Pull { peer: u8, budget: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let peers = 1u8..6;
    prop_oneof![
        6 => (peers.clone(), 0u8..12, 0u32..3).prop_map(|(peer, prefix, origin)| Op::Update { peer, prefix, origin }),
        3 => (peers.clone(), 0u8..12).prop_map(|(peer, prefix)| Op::Withdraw { peer, prefix }),
        1 => (0u8..12, any::<bool>()).prop_map(|(prefix, own)| Op::Own(prefix, own)),
        1 => (peers.clone(), any::<bool>()).prop_map(|(peer, up)| Op::Session { peer, up }),
        1 => (peers.clone(), any::<bool>()).prop_map(|(peer, all)| Op::Filter { peer, all }),
        1 => peers.clone().prop_map(Op::Refresh),
        4 => (0usize..6).prop_map(Op::Flush),
        4 => (peers, 0usize..6).prop_map(|(peer, budget)| Op::Pull { peer, budget }),
    ]
}

/// 1 and 2 are external and a group, 3 and 4 internal, 5 a reflector's client.
fn info(n: u8) -> PeerInfo {
    match n {
        1 | 2 => peer(n, 65000 + u32::from(n)),
        5 => PeerInfo { route_reflector_client: true, ..internal(5) },
        n => internal(n),
    }
}

fn prefix(n: u8) -> Prefix {
    // The default route and both families are among them.
    let texts = ["0.0.0.0/0", "10.0.0.0/8", "::/0", "fd00:1::/48", "fd00:2::/48"];
    texts.get(usize::from(n)).map_or_else(|| Prefix::from(([10, n, 0, 0].into(), 16)), |text| p(text))
}

fn apply(w: &mut World, infos: &mut BTreeMap<u8, PeerInfo>, op: &Op) {
    let id = |n: u8| PeerId(n.into());
    match *op {
        Op::Update { peer, prefix: n, origin } if infos.contains_key(&peer) => {
            let next_hop = if prefix(n).family() == IPV4 {
                format!("192.0.2.{peer}")
            } else {
                format!("2001:db8::{peer}")
            };
            let attrs = attrs(&[65000 + u32::from(peer), origin], &next_hop);
            w.table.update(w.now, id(peer), [(prefix(n), 0)], &attrs).unwrap();
        }
        Op::Withdraw { peer, prefix: n } if infos.contains_key(&peer) => {
            w.table.withdraw(id(peer), [(prefix(n), 0)]).unwrap();
        }
        Op::Own(n, true) => w.own(&prefix(n).to_string()),
        Op::Own(n, false) => w.disown(&prefix(n).to_string()),
        Op::Session { peer, up: true } => {
            let info = infos.entry(peer).or_insert_with(|| info(peer)).clone();
            w.up(&info);
        }
        Op::Session { peer, up: false } => {
            infos.remove(&peer);
            w.table.peer_down(id(peer));
            w.out.peer_down(id(peer));
            w.believes.remove(&id(peer));
        }
        Op::Filter { peer, all } => {
            let Some(info) = infos.get_mut(&peer) else { return };
            info.export = Arc::new(if all { filter::accept_all() } else { filter::local_only() });
            info.graceful_shutdown = !all;
            w.flush(usize::MAX);
            w.table.peer_up(info.clone());
            w.flush(usize::MAX);
            w.out.peer_changed(&w.table, info);
        }
        Op::Refresh(peer) => w.out.refresh(id(peer), IPV4),
        Op::Flush(max) => w.flush(max),
        Op::Pull { peer, budget } if infos.contains_key(&peer) => {
            w.pull(id(peer), budget, true);
        }
        _ => {}
    }
}

/// What a peer must believe: the export of every best route, asked one by one.
fn should_believe(w: &World, info: &PeerInfo) -> BTreeMap<Prefix, Arc<Attrs>> {
    let told = w.table.best_routes().filter_map(|(prefix, best)| {
        let teller = match best.path.source {
            Source::Peer(id) if id == info.id => return None,
            Source::Peer(id) => w.table.peer(id),
            Source::Local => None,
        };
        match export(prefix, &best, teller, &Audience::of(info), w.table.rules().cluster_id) {
            Exported::Send(attrs) if attrs.next_hop.unwrap().address() == info.address => None,
            Exported::Send(attrs) => Some((prefix, Arc::new(attrs))),
            Exported::Not(_) => None,
        }
    });
    told.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn when_all_is_pulled_each_peer_believes_the_export_of_what_is_best(ops in prop::collection::vec(op(), 0..120)) {
        let mut w = World::new(&[]);
        let mut infos = BTreeMap::new();
        for n in 1..=5 {
            apply(&mut w, &mut infos, &Op::Session { peer: n, up: true });
        }
        for op in &ops {
            apply(&mut w, &mut infos, op);
        }
        w.flush(usize::MAX);
        let refreshed = ops.iter().any(|op| matches!(op, Op::Refresh(_)));
        for info in infos.values() {
            w.drain(info.id, refreshed);
            prop_assert_eq!(&w.believes[&info.id], &should_believe(&w, info));
            prop_assert_eq!(w.ends[&info.id].len(), 2);
            let pages = w.out.advertised(info.id, None, usize::MAX);
            prop_assert_eq!(pages.items.into_iter().collect::<BTreeMap<_, _>>(), w.believes[&info.id].clone());
        }
    }
}
