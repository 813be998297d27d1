//! Whatever happens in whatever order: what peers believe in the end.

use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::export::{Exported, Outbound, export};
use crate::{CandidateView, Paths, RouteView, Standing};

const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("it is not zero");

#[derive(Clone, Debug)]
enum Op {
    Update { peer: u8, prefix: u8, path_id: u32, origin: u32, via: u8 },
    Withdraw { peer: u8, prefix: u8, path_id: u32 },
    Own(u8, bool),
    Session { peer: u8, up: bool },
    Filter { peer: u8, which: u8 },
    Client { peer: u8, client: bool },
    Limit { peer: u8, limit: usize },
    Refresh(u8),
    Slow(u8),
    Taken(u8),
    Refused(u8),
    Count(u8),
    Flush(usize),
    Deliver,
    Later(u64),
    Read { peer: u8, letters: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let peers = 1u8..11;
    prop_oneof![
        8 => (peers.clone(), 0u8..12, path_id(), 0u32..3, peers.clone())
            .prop_map(|(peer, prefix, path_id, origin, via)| Op::Update { peer, prefix, path_id, origin, via }),
        3 => (peers.clone(), 0u8..12, path_id())
            .prop_map(|(peer, prefix, path_id)| Op::Withdraw { peer, prefix, path_id }),
        1 => (0u8..12, any::<bool>()).prop_map(|(prefix, own)| Op::Own(prefix, own)),
        1 => (peers.clone(), any::<bool>()).prop_map(|(peer, up)| Op::Session { peer, up }),
        1 => (peers.clone(), 0u8..3).prop_map(|(peer, which)| Op::Filter { peer, which }),
        1 => (peers.clone(), any::<bool>()).prop_map(|(peer, client)| Op::Client { peer, client }),
        1 => (peers.clone(), 0usize..4).prop_map(|(peer, limit)| Op::Limit { peer, limit }),
        1 => peers.clone().prop_map(Op::Refresh),
        1 => peers.clone().prop_map(Op::Count),
        1 => (0u8..12).prop_map(Op::Slow),
        1 => (0u8..12).prop_map(Op::Taken),
        1 => (0u8..12).prop_map(Op::Refused),
        4 => (0usize..6).prop_map(Op::Flush),
        4 => Just(Op::Deliver),
        2 => (0u64..6000).prop_map(Op::Later),
        6 => (peers, 0usize..6).prop_map(|(peer, letters)| Op::Read { peer, letters }),
    ]
}

/// Most sources tell one path, some two.
fn path_id() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(0), 1 => 1u32..3]
}

/// 1 and 2 are external and a group, 6 and 10 another, 3 and 4 internal, 5 a reflector's
/// client. 7 and 8 are external and told several paths, 9 internal and that of
/// IPv4 only. 6 and 10 are told at intervals.
fn info(n: u8) -> PeerInfo {
    match n {
        1 | 2 => external(n),
        6 | 10 => PeerInfo { advertisement_interval: Duration::from_secs(5), ..external(n) },
        5 => PeerInfo { route_reflector_client: true, ..internal(5) },
        7 | 8 => PeerInfo { paths: [Paths::All; 2], ..external(n) },
        9 => PeerInfo { paths: [Paths::First(TWO), Paths::Best], ..internal(n) },
        n => internal(n),
    }
}

fn prefix(n: u8) -> Prefix {
    // The default route and both families are among them.
    let texts = ["0.0.0.0/0", "10.0.0.0/8", "::/0", "fd00:1::/48", "fd00:2::/48"];
    texts.get(usize::from(n)).map_or_else(|| Prefix::from(([10, n, 0, 0].into(), 16)), |text| p(text))
}

fn export_filter(which: u8) -> crate::Filter {
    match which {
        0 => filter::accept_all(),
        1 => filter::local_only(),
        _ => filter::cluster_only(&[p("10.0.0.0/8"), p("fd00::/16")]),
    }
}

fn apply(w: &mut World, infos: &mut BTreeMap<u8, PeerInfo>, op: &Op) {
    let id = |n: u8| PeerId(n.into());
    match *op {
        Op::Update { peer, prefix: n, path_id, origin, via } if infos.contains_key(&peer) => {
            let next_hop = if prefix(n).family() == IPV4 {
                format!("192.0.2.{via}")
            } else {
                format!("2001:db8::{via}")
            };
            let attrs = attrs(&[65000 + u32::from(peer), origin], &next_hop);
            w.table.update(w.now, id(peer), [(prefix(n), path_id)], &attrs).unwrap();
        }
        Op::Withdraw { peer, prefix: n, path_id } if infos.contains_key(&peer) => {
            w.table.withdraw(id(peer), [(prefix(n), path_id)]).unwrap();
        }
        Op::Own(n, true) => w.own(&prefix(n).to_string()),
        Op::Own(n, false) => w.disown(&prefix(n).to_string()),
        Op::Session { peer, up: true } => {
            let info = infos.entry(peer).or_insert_with(|| info(peer)).clone();
            w.up(&info);
        }
        Op::Session { peer, up: false } => {
            infos.remove(&peer);
            w.down(id(peer));
        }
        Op::Filter { peer, which } => {
            let Some(info) = infos.get_mut(&peer) else { return };
            info.export = Arc::new(export_filter(which));
            info.graceful_shutdown = which == 1;
            let info = info.clone();
            reconfigure(w, &info);
        }
        Op::Client { peer, client } => {
            let Some(info) = infos.get_mut(&peer).filter(|info| !info.external()) else { return };
            info.route_reflector_client = client;
            let info = info.clone();
            reconfigure(w, &info);
        }
        Op::Limit { peer, limit } => {
            let Some(info) = infos.get_mut(&peer).filter(|info| info.paths[0].several()) else { return };
            info.paths[0] = NonZeroUsize::new(limit).map_or(Paths::All, Paths::First);
            let info = info.clone();
            reconfigure(w, &info);
        }
        Op::Refresh(peer) => {
            w.refreshed.insert(id(peer));
            w.out.refresh(id(peer), IPV4);
        }
        Op::Slow(n) => drop(w.slow.insert(prefix(n))),
        Op::Taken(n) => {
            w.slow.remove(&prefix(n));
            w.out.release(&w.table, prefix(n));
        }
        Op::Refused(n) => {
            w.slow.insert(prefix(n));
            w.out.retract(&w.table, prefix(n));
        }
        Op::Count(peer) => {
            w.out.count(&w.table, id(peer));
            w.out.count_before_filter(&w.table, id(peer));
        }
        Op::Flush(max) => w.flush(max),
        Op::Deliver => w.deliver(),
        Op::Later(ms) => w.clock += Duration::from_millis(ms),
        Op::Read { peer, letters } if infos.contains_key(&peer) => {
            (0..letters).for_each(|_| drop(w.read(id(peer))));
        }
        _ => {}
    }
}

fn reconfigure(w: &mut World, info: &PeerInfo) {
    w.flush(usize::MAX);
    w.table.peer_up(info.clone());
    w.flush(usize::MAX);
    w.out.peer_changed(&w.table, info);
}

/// What a peer must believe: the export of every route it is told, asked one by
/// one. Where it is told several, they are read from the view for readers.
fn should_believe(w: &World, info: &PeerInfo) -> Vec<(Prefix, Arc<Attrs>)> {
    let views = w.table.routes(&crate::Query::default(), None, usize::MAX).items;
    let tell = |view: &RouteView| -> Vec<_> {
        let usable = view.candidates.iter().filter(|seen| !matches!(seen.standing, Standing::Ineligible(_)));
        let paths = info.paths[view.prefix.family().index()];
        let passes = usable.filter_map(|seen| Some((seen, exported(w, info, (view.prefix, &seen.path))?)));
        let limit = if let Paths::First(limit) = paths { limit.get() } else { usize::MAX };
        let best = |seen: &CandidateView| matches!(seen.standing, Standing::Best(_));
        let passes = passes.filter(|(seen, _)| paths.several() || best(seen)).take(limit);
        let hears = passes.filter(|(seen, attrs)| {
            let itself = attrs.next_hop.unwrap().address() == info.address;
            seen.path.source != Source::Peer(info.id) && !itself
        });
        hears.map(|(_, attrs)| (view.prefix, Arc::new(attrs))).collect()
    };
    views.iter().flat_map(tell).collect()
}

fn exported(w: &World, info: &PeerInfo, (prefix, path): (Prefix, &Arc<Path>)) -> Option<Attrs> {
    let teller = path.peer().and_then(|id| w.table.peer(id)).map(Teller::of);
    let outbound = Outbound { path, metric: 0 };
    match export(prefix, outbound, teller.as_ref(), &Audience::of(info), w.table.rules().cluster_id) {
        Exported::Send(attrs) => Some(attrs),
        Exported::Not(_) => None,
    }
}

/// The same in an order that path identifiers do not matter to.
fn sorted(told: impl IntoIterator<Item = (Prefix, Arc<Attrs>)>) -> Vec<String> {
    let mut told: Vec<String> = told.into_iter().map(|told| format!("{told:?}")).collect();
    told.sort_unstable();
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn when_all_is_read_each_peer_believes_the_export_of_what_is_best(ops in prop::collection::vec(op(), 0..160)) {
        let mut w = World::new();
        let mut infos = BTreeMap::new();
        for n in 1..=10 {
            apply(&mut w, &mut infos, &Op::Session { peer: n, up: true });
        }
        for op in &ops {
            apply(&mut w, &mut infos, op);
        }
        w.flush(usize::MAX);
        for info in infos.values() {
            // While news are held back, too, a reader is shown what the peer believes.
            w.drain(info.id);
            let pages = w.out.advertised(&w.table, info.id, None, usize::MAX).items.into_iter();
            let shown: BTreeMap<_, _> = pages.map(|told| (told.nlri, told.attrs)).collect();
            prop_assert_eq!(&shown, &w.believes[&info.id]);
            prop_assert_eq!(w.out.count(&w.table, info.id).iter().sum::<usize>(), shown.len());
        }
        for n in 0..12 {
            w.out.release(&w.table, prefix(n));
        }
        for info in infos.values() {
            w.drain(info.id);
            let believes = w.believes[&info.id].clone();
            let told = believes.iter().map(|(nlri, attrs)| (nlri.prefix, Arc::clone(attrs)));
            prop_assert_eq!(sorted(told), sorted(should_believe(&w, info)));
            prop_assert_eq!(w.ends[&info.id].len(), 2);
            prop_assert_eq!(w.out.count(&w.table, info.id).iter().sum::<usize>(), believes.len());
            let counted: usize = w.out.count_before_filter(&w.table, info.id).iter().sum();
            let prefixes: Vec<Prefix> = w.table.best_routes().map(|(prefix, _)| prefix).collect();
            let each = |prefix| w.out.before_filter_of(&w.table, info.id, prefix).len();
            prop_assert_eq!(counted, prefixes.into_iter().map(each).sum::<usize>(), "before the filter");
            let pages = w.out.advertised(&w.table, info.id, None, usize::MAX).items.into_iter();
            prop_assert_eq!(pages.map(|told| (told.nlri, told.attrs)).collect::<BTreeMap<_, _>>(), believes);
        }
    }
}
