use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::*;
use crate::fixture::{attrs, p, peer, table};
use crate::{Origination, Protocol, Via, filter};

/// A post office whose letters weigh one for each prefix.
#[derive(Default)]
struct Office {
    boxes: BTreeMap<PeerId, VecDeque<Arc<Vec<Line>>>>,
    called: BTreeSet<PeerId>,
    written: usize,
}

fn weight(lines: &[Line]) -> usize {
    let of = |line: &Line| match &line.out {
        Out::Reach { nlri, .. } | Out::Unreach { nlri, .. } => nlri.len(),
        Out::EndOfRib(_) | Out::RefreshBegin(_) | Out::RefreshEnd(_) => 1,
    };
    lines.iter().map(of).sum()
}

impl Post for Office {
    type Format = ();
    type Letter = Arc<Vec<Line>>;

    fn fits((): &(), _: Family, attrs: &Attrs) -> bool {
        attrs.communities.len() < MANY
    }

    fn write(&mut self, (): &(), lines: &[Line]) -> Self::Letter {
        assert!(!lines.is_empty(), "an empty letter is none");
        self.written += 1;
        Arc::new(lines.to_vec())
    }

    fn hand(&mut self, to: PeerId, letter: &Self::Letter) {
        self.boxes.entry(to).or_default().push_back(Arc::clone(letter));
    }

    fn unsent(&self, id: PeerId) -> usize {
        self.boxes.get(&id).into_iter().flatten().map(|letter| weight(letter)).sum()
    }

    fn call_back(&mut self, id: PeerId) {
        self.called.insert(id);
    }
}

/// A route with so many communities fits no letter.
const MANY: usize = 9;

/// So small that everything happens.
const LIMITS: Limits = Limits { low: 2, steady: 4, far: 8, cut: 3, pull: 2, turn: 4 };

/// A table with its outgoing side and what each peer has come to believe.
struct World {
    /// When all routes came.
    now: Instant,
    /// When peers are told.
    clock: Instant,
    table: Table,
    out: AdjOut<Office>,
    office: Office,
    believes: BTreeMap<PeerId, BTreeMap<Nlri, Arc<Attrs>>>,
    ends: BTreeMap<PeerId, Vec<Family>>,
    /// Peers that may be told what they know.
    refreshed: BTreeSet<PeerId>,
    /// Prefixes whose news wait for the kernel.
    slow: BTreeSet<Prefix>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let table = table(now, &[]);
        let out = AdjOut::new(table.rules().cluster_id, LIMITS);
        let (believes, ends, refreshed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self {
            now,
            clock: now,
            table,
            out,
            office: Office::default(),
            believes,
            ends,
            refreshed,
            slow: BTreeSet::new(),
        }
    }

    fn up(&mut self, peer: &PeerInfo) {
        self.flush(usize::MAX);
        if peer.paths.iter().any(|paths| paths.several()) {
            self.table.tell_several(true);
        }
        self.table.peer_up(peer.clone());
        self.flush(usize::MAX);
        self.out.peer_up(&self.table, peer, ());
        self.office.boxes.insert(peer.id, VecDeque::new());
        self.believes.insert(peer.id, BTreeMap::new());
        self.ends.insert(peer.id, vec![]);
        self.refreshed.remove(&peer.id);
    }

    fn down(&mut self, id: PeerId) {
        self.table.peer_down(id);
        self.out.peer_down(id);
        self.office.boxes.remove(&id);
        self.believes.remove(&id);
    }

    fn flush(&mut self, max: usize) {
        let mut free = Vec::new();
        for change in self.table.take_changes(max) {
            let waits = change.new.is_some() && self.slow.contains(&change.prefix);
            if waits || self.out.holds(change.prefix) {
                self.out.hold(&change);
                free.extend((!waits).then_some(change.prefix));
            } else {
                self.out.change(&self.table, &change);
            }
        }
        for offered in self.table.take_offered() {
            self.out.offered(&self.table, &offered);
        }
        for prefix in free {
            self.out.release(&self.table, prefix);
        }
    }

    fn deliver(&mut self) {
        while self.out.deliver(self.clock, &self.table, &mut self.office) == Left::Work {}
        // A prefix of a cut may stand in three lines: for all, and for two alone.
        let bound = LIMITS.far + 3 * LIMITS.cut;
        for (id, letters) in &self.office.boxes {
            let weight: usize = letters.iter().map(|letter| weight(letter)).sum();
            assert!(weight <= bound, "{id:?} has {weight} unsent");
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

    /// Lets a peer read a letter, and holds what it reads against what it knew.
    fn read(&mut self, id: PeerId) -> Option<Vec<Out>> {
        let letter = self.office.boxes.get_mut(&id)?.pop_front()?;
        let believes = self.believes.entry(id).or_default();
        let mut outs = Vec::new();
        for Line { out, .. } in letter.iter().filter(|line| line.to.reaches(id)) {
            match out {
                Out::Reach { attrs, nlri, family } => {
                    for nlri in nlri {
                        assert_eq!(nlri.prefix.family(), *family);
                        let before = believes.insert(*nlri, Arc::clone(attrs));
                        let new = before.as_ref() != Some(attrs);
                        assert!(new || self.refreshed.contains(&id), "{nlri:?} told twice");
                    }
                }
                Out::Unreach { nlri, .. } => {
                    let first = !outs.iter().any(|out| matches!(out, Out::Reach { .. }));
                    assert!(first, "withdrawals stand before what is reachable");
                    for nlri in nlri {
                        assert!(believes.remove(nlri).is_some(), "{nlri:?} withdrawn but never sent");
                    }
                }
                Out::EndOfRib(family) => self.ends.entry(id).or_default().push(*family),
                Out::RefreshBegin(_) | Out::RefreshEnd(_) => {}
            }
            outs.push(out.clone());
        }
        Some(outs)
    }

    /// Delivers and reads until a peer knows everything.
    fn drain(&mut self, id: PeerId) -> Vec<Out> {
        let mut outs = Vec::new();
        loop {
            self.deliver();
            if let Some(read) = self.read(id) {
                outs.extend(read);
                continue;
            }
            let Some(at) = self.out.next_deadline().filter(|_| self.out.has_work(id)) else { break };
            assert!(at > self.clock, "what was due was told");
            self.clock = at;
        }
        assert!(!self.out.has_work(id), "{id:?} is not told all");
        outs
    }

    fn members(&self) -> Vec<usize> {
        self.out.groups.iter().flatten().map(Group::members).collect()
    }

    fn in_step(&self, id: PeerId) -> bool {
        matches!(self.out.members[&id].standing, Standing::InStep)
    }
}

fn internal(n: u8) -> PeerInfo {
    peer(n, 64512)
}

fn external(n: u8) -> PeerInfo {
    peer(n, 65000 + u32::from(n))
}

const IPV4: Family = Family::Ipv4Unicast;

fn unreach(prefix: &str) -> Out {
    Out::Unreach { family: IPV4, nlri: vec![p(prefix).into()] }
}

fn reached(outs: &[Out]) -> Vec<Prefix> {
    let mut prefixes: Vec<Prefix> = outs
        .iter()
        .flat_map(|out| if let Out::Reach { nlri, .. } = out { nlri.clone() } else { vec![] })
        .map(|nlri| nlri.prefix)
        .collect();
    prefixes.sort_unstable();
    prefixes
}

#[test]
fn a_session_that_comes_up_hears_everything_and_then_the_end() {
    let mut w = World::new();
    for prefix in ["10.1.0.0/24", "10.1.1.0/24", "fd00::/64"] {
        w.own(prefix);
    }
    w.up(&external(1));
    let outs = w.drain(PeerId(1));
    let connected_too = ["10.1.0.0/24", "10.1.1.0/24", "192.0.2.0/24", "2001:db8::/64", "fd00::/64"];
    assert_eq!(reached(&outs), connected_too.map(p));
    let end = |family| outs.iter().position(|out| *out == Out::EndOfRib(family)).unwrap();
    assert!(end(IPV4) < end(Family::Ipv6Unicast) && end(Family::Ipv6Unicast) == outs.len() - 1);
    assert_eq!((w.out.count(&w.table, PeerId(1)), w.in_step(PeerId(1))), ([3, 2], true));
}

#[test]
fn the_end_is_not_told_before_all_is_told() {
    let mut w = World::new();
    for n in 0..10 {
        w.own(&format!("10.1.{n}.0/24"));
    }
    w.up(&external(1));
    w.deliver();
    while let Some(outs) = w.read(PeerId(1)) {
        assert!(!outs.iter().any(|out| matches!(out, Out::EndOfRib(_))));
    }
    w.drain(PeerId(1));
    assert_eq!(w.ends[&PeerId(1)], Family::ALL);
}

#[test]
fn withdraw_of_unsent_prefix_sends_nothing() {
    let mut w = World::new();
    w.up(&external(1));
    w.drain(PeerId(1));
    w.own("10.1.0.0/24");
    w.disown("10.1.0.0/24");
    assert!(!w.out.has_work(PeerId(1)));
    assert_eq!(w.drain(PeerId(1)), []);
}

#[test]
fn ten_flaps_while_a_peer_is_slow_are_one_update() {
    let mut w = World::new();
    w.up(&external(1));
    w.drain(PeerId(1));
    for n in 0..2 * LIMITS.steady {
        w.own(&format!("10.2.{n}.0/24"));
        w.deliver();
    }
    for _ in 0..10 {
        w.own("10.1.0.0/24");
        w.deliver();
        w.disown("10.1.0.0/24");
        w.deliver();
        w.own("10.1.0.0/24");
        w.deliver();
    }
    assert!(w.office.called.contains(&PeerId(1)), "nobody asked to be called when it can take more");
    let outs = w.drain(PeerId(1));
    let flapped = reached(&outs).into_iter().filter(|prefix| *prefix == p("10.1.0.0/24")).count();
    assert_eq!((flapped, outs.iter().any(|out| matches!(out, Out::Unreach { .. }))), (1, false));
    w.disown("10.1.0.0/24");
    assert_eq!(w.drain(PeerId(1)), [unreach("10.1.0.0/24")]);
}

#[test]
fn a_refresh_tells_everything_again_without_an_end() {
    let mut w = World::new();
    w.own("10.1.0.0/24");
    w.up(&external(1));
    w.drain(PeerId(1));
    w.out.refresh(PeerId(1), IPV4);
    w.refreshed.insert(PeerId(1));
    let outs = w.drain(PeerId(1));
    assert_eq!(reached(&outs), ["10.1.0.0/24", "192.0.2.0/24"].map(p));
    assert!(!outs.iter().any(|out| matches!(out, Out::EndOfRib(_))));
    assert_eq!((outs.first(), outs.last()), (Some(&Out::RefreshBegin(IPV4)), Some(&Out::RefreshEnd(IPV4))));
}

#[test]
fn what_fits_no_letter_is_withdrawn_and_not_counted() {
    let mut w = World::new();
    w.up(&external(1));
    w.up(&external(2));
    (1..=2).for_each(|n| drop(w.drain(PeerId(n))));
    let prefix = p("10.1.0.0/16");
    let links = w.out.count(&w.table, PeerId(2))[0];
    let mut tell = |count: u32| {
        let mut route = Attrs::clone(&attrs(&[65001], "192.0.2.1"));
        route.communities = (0..count).map(net::Community).collect();
        w.table.update(w.now, PeerId(1), [(prefix, 0)], &Arc::new(route)).unwrap();
        w.flush(usize::MAX);
        (w.drain(PeerId(2)).len(), w.out.count(&w.table, PeerId(2))[0] - links)
    };
    let many = u32::try_from(MANY).unwrap();
    assert_eq!(tell(many), (0, 0));
    assert_eq!(tell(1), (1, 1));
    assert_eq!(tell(many), (1, 0), "it is withdrawn");
    assert_eq!(tell(many + 1), (0, 0), "and once is enough");
    assert_eq!(tell(2), (1, 1));
}

#[test]
fn what_a_filter_holds_back_is_there_before_it() {
    let mut w = World::new();
    w.own("10.1.0.0/24");
    w.up(&PeerInfo { export: Arc::new(filter::reject_all()), ..external(1) });
    w.up(&external(2));
    let prefix = p("10.1.0.0/24");
    let mut shown = |n: u32| {
        let before = w.out.before_filter_of(&w.table, PeerId(n), prefix);
        let after = w.out.advertised_of(&w.table, PeerId(n), prefix);
        (before.len(), after.len(), before == after)
    };
    assert_eq!((shown(1), shown(2)), ((1, 0, false), (1, 1, true)));
    // What no filter could let pass is not there either.
    let told = attrs(&[65002], "192.0.2.2");
    w.table.update(w.now, PeerId(2), [(p("10.2.0.0/16"), 0)], &told).unwrap();
    w.flush(usize::MAX);
    assert_eq!(w.out.before_filter_of(&w.table, PeerId(2), p("10.2.0.0/16")), [], "it comes from there");
    assert_eq!(w.out.before_filter_of(&w.table, PeerId(1), p("10.2.0.0/16")).len(), 1);
}

#[test]
fn equal_peers_are_one_group_and_a_group_goes_with_its_last_member() {
    let mut w = World::new();
    (1..=3).for_each(|n| w.up(&external(n)));
    w.up(&internal(4));
    assert_eq!(w.members(), [3, 1]);
    (1..=4).for_each(|n| w.down(PeerId(n)));
    assert_eq!(w.out.groups.iter().flatten().count(), 0);
}

#[test]
fn a_filter_of_its_own_takes_a_peer_out_of_its_group_and_the_same_brings_it_back() {
    let mut w = World::new();
    (1..=3).for_each(|n| w.up(&external(n)));
    (1..=3).for_each(|n| drop(w.drain(PeerId(n))));
    let other = PeerInfo { export: Arc::new(filter::local_only()), ..external(2) };
    w.out.peer_changed(&w.table, &other);
    assert_eq!(w.members(), [2, 1]);
    assert_eq!(w.drain(PeerId(2)).len(), 2, "the links are told no more, in both families");
    w.out.peer_changed(&w.table, &external(2));
    assert_eq!((w.members(), reached(&w.drain(PeerId(2))).len()), (vec![3], 2));
}

#[test]
fn a_letter_is_written_once_for_all_members_in_step() {
    let mut w = World::new();
    for n in 1..=5 {
        w.up(&external(n));
        w.drain(PeerId(n.into()));
    }
    let before = w.office.written;
    w.own("10.1.0.0/24");
    for n in 1..=5 {
        assert_eq!(reached(&w.drain(PeerId(n))), [p("10.1.0.0/24")]);
    }
    assert_eq!(w.office.written, before + 1);
}

#[test]
fn sessions_that_come_up_together_share_what_is_written() {
    let mut w = World::new();
    for n in 0..20 {
        w.own(&format!("10.1.{n}.0/24"));
    }
    (1..=4).for_each(|n| w.up(&external(n)));
    for n in 1..=4 {
        assert_eq!(reached(&w.drain(PeerId(n))).len(), 22, "20, and the two links");
    }
    // Eleven pieces of two IPv4 prefixes, one of IPv6, and two ends for each.
    assert_eq!(w.office.written, 12 + 4 * Family::ALL.len());
    // A piece that says what holds no more is written anew.
    w.up(&external(5));
    w.deliver();
    w.disown("10.1.0.0/24");
    w.disown("10.1.10.0/24");
    w.up(&external(6));
    assert_eq!(reached(&w.drain(PeerId(6))).len(), 20);
    w.drain(PeerId(5));
    assert_eq!(w.believes[&PeerId(5)], w.believes[&PeerId(6)]);
}

#[test]
fn who_tells_a_route_is_not_told_it_and_who_told_it_before_is() {
    let mut w = World::new();
    (1..=3).for_each(|n| w.up(&external(n)));
    (1..=3).for_each(|n| drop(w.drain(PeerId(n))));
    let told = |n: u32, w: &mut World| {
        let attrs = attrs(&[65000 + n, 7], &format!("192.0.2.{n}"));
        w.table.update(w.now, PeerId(n), [(p("10.1.0.0/16"), 0)], &attrs).unwrap();
        w.flush(usize::MAX);
    };
    told(2, &mut w);
    assert_eq!(w.drain(PeerId(2)), []);
    assert_eq!(reached(&w.drain(PeerId(1))).len() + reached(&w.drain(PeerId(3))).len(), 2);
    // That of the peer with the smaller identifier is better.
    told(1, &mut w);
    assert_eq!(w.drain(PeerId(1)), [unreach("10.1.0.0/16")]);
    assert_eq!(reached(&w.drain(PeerId(2))).len() + reached(&w.drain(PeerId(3))).len(), 2);
}

#[test]
fn a_peer_that_stalls_holds_up_nobody_costs_little_and_catches_up() {
    let mut w = World::new();
    for n in 1..=2 {
        w.up(&external(n));
        w.drain(PeerId(n.into()));
    }
    for n in 0..100 {
        w.own(&format!("10.1.{n}.0/24"));
        assert_eq!(reached(&w.drain(PeerId(1))), [p(&format!("10.1.{n}.0/24"))]);
    }
    // What it may have unsent is held by `deliver`.
    assert_eq!((w.in_step(PeerId(1)), w.in_step(PeerId(2))), (true, false));
    assert_eq!(reached(&w.drain(PeerId(2))).len(), 100);
    assert!(w.in_step(PeerId(2)));
}

mod held;
mod metric;
mod pace;
mod random;
mod together;
