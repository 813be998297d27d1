use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::fixture::{attrs, p, peer, table};
use crate::{Origination, PeerInfo, Standing, Via};

const PREFIX: &str = "10.1.0.0/16";

/// A peer, 1 and 2 external, with a path that is as long as said.
fn tell(t: &mut Table, n: u8, path_id: u32, length: u8) {
    let path = vec![65000 + u32::from(n); length.into()];
    let attrs = attrs(&path, &format!("192.0.2.{n}"));
    t.update(Instant::now(), PeerId(n.into()), [(p(PREFIX), path_id)], &attrs).unwrap();
}

fn world() -> Table {
    let infos: Vec<PeerInfo> = (1..=4).map(|n| peer(n, 65000 + u32::from(n))).collect();
    let mut t = table(Instant::now(), &infos);
    t.tell_several(true);
    take(&mut t);
    t
}

/// Decides everything.
fn take(t: &mut Table) -> Vec<Offered> {
    t.take_changes(usize::MAX);
    t.take_offered()
}

/// The identifier and the source of each path, best first.
fn of(offers: &Offers) -> Vec<(u32, Source)> {
    offers.iter().map(|offer| (offer.id, offer.path.source)).collect()
}

fn from(n: u32) -> Source {
    Source::Peer(PeerId(n))
}

#[test]
fn paths_are_offered_best_first_and_each_keeps_its_identifier() {
    let mut t = world();
    (1..=3).for_each(|n| tell(&mut t, n, 0, 4 - n));
    let offered = take(&mut t).remove(0);
    assert_eq!((offered.prefix, offered.old.len()), (p(PREFIX), 0));
    assert_eq!(of(&offered.new), [(19, from(3)), (18, from(2)), (17, from(1))]);
    // The best becomes the worst, under the name that it had.
    tell(&mut t, 3, 0, 5);
    let changed = take(&mut t).remove(0);
    assert_eq!(changed.old, offered.new);
    assert_eq!(of(&changed.new), [(18, from(2)), (17, from(1)), (19, from(3))]);
    t.withdraw(PeerId(2), [(p(PREFIX), 0)]).unwrap();
    assert_eq!(of(&take(&mut t).remove(0).new), [(17, from(1)), (19, from(3))]);
}

#[test]
fn paths_of_one_peer_have_identifiers_of_their_own_that_do_not_come_again() {
    let mut t = world();
    (1..=2).for_each(|path_id| tell(&mut t, 1, path_id, 1));
    tell(&mut t, 2, 7, 1);
    let first: BTreeSet<u32> = take(&mut t).remove(0).new.iter().map(|offer| offer.id).collect();
    assert_eq!(first.len(), 3);
    t.withdraw(PeerId(1), [(p(PREFIX), 1)]).unwrap();
    let left: BTreeSet<u32> = take(&mut t).remove(0).new.iter().map(|offer| offer.id).collect();
    assert!(left.is_subset(&first) && left.len() == 2);
    tell(&mut t, 1, 1, 1);
    let again: BTreeSet<u32> = take(&mut t).remove(0).new.iter().map(|offer| offer.id).collect();
    assert!(left.is_subset(&again) && again.intersection(&first).count() == 2, "{first:?} {again:?}");
}

#[test]
fn a_counter_that_begins_anew_leaves_out_what_is_in_use() {
    let mut t = world();
    (1..=2).for_each(|path_id| tell(&mut t, 1, path_id, 1));
    take(&mut t);
    t.several.as_mut().unwrap().counter = 0;
    tell(&mut t, 1, 3, 1);
    let ids: BTreeSet<u32> = t.offers(p(PREFIX)).iter().chain(&take(&mut t)[0].new).map(|o| o.id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn what_is_beside_the_best_is_known_only_while_somebody_is_told_it() {
    let mut t = world();
    (1..=2).for_each(|n| tell(&mut t, n, 0, n));
    take(&mut t);
    assert_eq!(t.offers(p(PREFIX)).len(), 2);
    t.tell_several(false);
    assert_eq!(of(&t.offers(p(PREFIX))), [(17, from(1))]);
    tell(&mut t, 3, 0, 3);
    assert_eq!(take(&mut t), []);
    t.tell_several(true);
    assert!(take(&mut t).iter().any(|offered| (offered.prefix, offered.new.len()) == (p(PREFIX), 3)));
    let with = t.paths.len();
    (1..=3).for_each(|n| t.peer_down(PeerId(n)));
    take(&mut t);
    assert_eq!((t.paths.len(), with), (1, 4), "the links are left");
}

#[test]
fn one_path_a_prefix_needs_no_room_of_its_own() {
    let mut t = world();
    tell(&mut t, 1, 0, 1);
    take(&mut t);
    let spoken: Vec<_> = t.several.as_ref().unwrap().spoken.keys().collect();
    assert!(!spoken.contains(&&p(PREFIX)), "{spoken:?}");
}

#[derive(Clone, Debug)]
enum Op {
    Update { peer: u8, prefix: usize, path_id: u32, length: u8 },
    Withdraw { peer: u8, prefix: usize, path_id: u32 },
    Own { prefix: usize, ours: bool },
    Session { peer: u8, up: bool },
    Take(usize),
}

const PREFIXES: [&str; 4] = ["10.1.0.0/16", "10.2.0.0/16", "10.2.3.0/24", "0.0.0.0/0"];

fn op() -> impl Strategy<Value = Op> {
    let (peer, prefix) = (1u8..5, 0..PREFIXES.len());
    prop_oneof![
        6 => (peer.clone(), prefix.clone(), 0u32..3, 1u8..4)
            .prop_map(|(peer, prefix, path_id, length)| Op::Update { peer, prefix, path_id, length }),
        3 => (peer.clone(), prefix.clone(), 0u32..3)
            .prop_map(|(peer, prefix, path_id)| Op::Withdraw { peer, prefix, path_id }),
        1 => (prefix, any::<bool>()).prop_map(|(prefix, ours)| Op::Own { prefix, ours }),
        1 => (peer, any::<bool>()).prop_map(|(peer, up)| Op::Session { peer, up }),
        3 => (0usize..5).prop_map(Op::Take),
    ]
}

fn apply(t: &mut Table, op: &Op) {
    let id = |n: u8| PeerId(n.into());
    match *op {
        Op::Update { peer, prefix, path_id, length } => {
            let attrs = attrs(&vec![65000 + u32::from(peer); length.into()], &format!("192.0.2.{peer}"));
            // Of a peer that is down it is ignored.
            let _ = t.update(Instant::now(), id(peer), [(p(PREFIXES[prefix]), path_id)], &attrs);
        }
        Op::Withdraw { peer, prefix, path_id } => {
            let _ = t.withdraw(id(peer), [(p(PREFIXES[prefix]), path_id)]);
        }
        Op::Own { prefix, ours: true } => {
            let own = Origination::new(Protocol::Local, Via::Kernel);
            t.originate(Instant::now(), p(PREFIXES[prefix]), own);
        }
        Op::Own { prefix, ours: false } => t.unoriginate(p(PREFIXES[prefix]), Protocol::Local, 0),
        Op::Session { peer: n, up: true } => t.peer_up(peer(n, 65000 + u32::from(n))),
        Op::Session { peer, up: false } => t.peer_down(id(peer)),
        Op::Take(_) => {}
    }
}

/// Who told a path and which of its own it was.
type Key = (Source, Protocol, u32);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whoever_follows_knows_every_usable_path_and_no_name_means_another(
        ops in prop::collection::vec(op(), 0..100),
    ) {
        let mut t = world();
        let mut known: BTreeMap<Prefix, Offers> = t.dests.keys().map(|prefix| (prefix, t.offers(prefix))).collect();
        let mut names: BTreeMap<(Prefix, u32), Key> = BTreeMap::new();
        for op in ops.iter().chain([&Op::Take(usize::MAX)]) {
            apply(&mut t, op);
            let Op::Take(max) = op else { continue };
            t.take_changes(*max);
            for Offered { prefix, old, new } in t.take_offered() {
                prop_assert_eq!(known.insert(prefix, new.clone()).unwrap_or_default(), old.clone());
                prop_assert_ne!(&old, &new);
                prop_assert_eq!(t.offers(prefix), new.clone());
                let ids: BTreeSet<u32> = new.iter().map(|offer| offer.id).collect();
                prop_assert!(ids.len() == new.len() && !ids.contains(&0));
                for (id, key) in keys(&t, prefix) {
                    let meant = *names.entry((prefix, id)).or_insert(key);
                    prop_assert_eq!(meant, key);
                }
            }
        }
        known.retain(|_, offers| !offers.is_empty());
        let usable = |prefix| {
            let view = t.route(prefix).into_iter().flat_map(|view| view.candidates);
            view.filter(|seen| !matches!(seen.standing, Standing::Ineligible(_))).map(|seen| seen.path)
        };
        for prefix in t.dests.keys() {
            let mut usable: Vec<_> = usable(prefix).map(|path| Arc::as_ptr(&path)).collect();
            let offers = known.remove(&prefix).unwrap_or_default();
            prop_assert_eq!(offers.first().map(|best| best.path.clone()), t.best(prefix).map(|best| best.path));
            let mut offered: Vec<_> = offers.iter().map(|offer| Arc::as_ptr(&offer.path)).collect();
            usable.sort_unstable();
            offered.sort_unstable();
            prop_assert_eq!(offered, usable);
        }
        prop_assert!(known.is_empty());
        // Nobody holds what is no more.
        let with: BTreeSet<_> = t.paths.iter().map(|(_, path)| Arc::as_ptr(path)).collect();
        t.tell_several(false);
        let without: BTreeSet<_> = t.paths.iter().map(|(_, path)| Arc::as_ptr(path)).collect();
        prop_assert_eq!(with, without);
    }
}

/// What each name of a prefix means.
fn keys(t: &Table, prefix: Prefix) -> Vec<(u32, Key)> {
    let several = t.several.as_ref().unwrap();
    let Some(spoken) = several.spoken.get(&prefix) else {
        let only = t.offers(prefix).into_iter();
        return only.map(|offer| (offer.id, (offer.path.source, offer.path.protocol, 0))).collect();
    };
    let key = |spoken: &Spoken| {
        let path = t.paths.get(spoken.path);
        (spoken.id, (path.source, path.protocol, spoken.path_id))
    };
    spoken.iter().map(key).collect()
}
