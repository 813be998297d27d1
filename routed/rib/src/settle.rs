//! From dirty prefixes to changes.

use std::sync::Arc;

use net::{Prefix, PrefixSet};
use smallvec::SmallVec;

use crate::decide::{Candidate, Decided, decide};
use crate::dest::{Dest, One, Slot, Told};
use crate::nexthop::search::Routes;
use crate::nexthop::{Hop, Resolved};
use crate::share::share;
use crate::shared::Id;
use crate::table::{Best, Change, Table};
use crate::{Path, PeerInfo, Source, Step, Target, Why};

/// What was chosen among the usable paths of a prefix.
struct Choice {
    path: Id<Path>,
    /// The paths that share the traffic, and where they lead.
    shared: SmallVec<[(Id<Path>, Id<Target>); 4]>,
    backup: Id<Target>,
    only: bool,
    at: Step,
    metric: u32,
}

impl Table {
    /// True when [`Table::take_changes`] has work to do.
    pub fn has_changes(&self) -> bool {
        !self.pending.is_empty() || !self.touched.is_empty() || self.resolve_all
    }

    /// How many prefixes are known to wait for a decision; those that a walk
    /// over the table has yet to find are not among them.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Decides up to `max` prefixes and returns those whose best path is not
    /// what it was when last returned. A prefix that changed ten times since
    /// is one change; one that came back to what it was is none, so fewer
    /// than `max` changes do not mean that no work is left:
    /// ask [`Table::has_changes`].
    pub fn take_changes(&mut self, max: usize) -> Vec<Change> {
        self.settle_next_hops();
        let mut changes = Vec::new();
        for _ in 0..max {
            let Some(prefix) = self.next_pending() else { break };
            changes.extend(self.redecide(prefix));
        }
        changes
    }

    /// Next hops that died since the last call: paths led to them, and no link
    /// does any more. To be told to whoever forwards packets before the
    /// changes are taken, which come prefix by prefix.
    pub fn take_lost_hops(&mut self) -> impl Iterator<Item = Hop> + use<> {
        self.settle_next_hops();
        self.resolver.take_lost()
    }

    /// Notes which paths lead elsewhere than before.
    fn settle_next_hops(&mut self) {
        if self.touched.is_empty() && !self.resolve_all {
            return;
        }
        let touched = std::mem::take(&mut self.touched);
        let all = std::mem::take(&mut self.resolve_all);
        let Self { resolver, dests, paths, targets, peers, own, rules, .. } = self;
        let routes = Routes { dests, paths, peers, own, rules };
        let moved = resolver.changed(routes, &touched, all, targets);
        self.pending.moved(moved);
    }

    /// Decides one prefix, and notes the paths beside the best where somebody
    /// is told them; a change if the best is not what it was.
    fn redecide(&mut self, prefix: Prefix) -> Option<Change> {
        if self.several.is_none() {
            return self.redecide_best(prefix);
        }
        let offers = self.offers(prefix);
        let change = self.redecide_best(prefix);
        self.offer(prefix, offers);
        change
    }

    fn redecide_best(&mut self, prefix: Prefix) -> Option<Change> {
        match self.redecide_one(prefix) {
            Simple::Decided(change) => return change,
            Simple::Gone(one) => return self.end_one(prefix, one),
            Simple::Not => {}
        }
        let new = match self.dests.get(prefix)? {
            Dest::Nothing => None,
            Dest::One(one) => {
                let path = one.path;
                let resolved = self.usable(prefix, path).ok();
                let metric = |to: &Resolved| accumulated(self.paths.get(path), to.metric);
                resolved.map(|to| Told { metric: metric(&to), ..Told::alone(path, to.target) })
            }
            Dest::Many(many) => {
                let slots = many.slots.clone();
                self.best_of(prefix, &slots)
            }
        };
        self.tell(prefix, new)
    }

    /// Decides a prefix that has one path, whose next hop is known: nearly
    /// all are so, and this finds the prefix once.
    fn redecide_one(&mut self, prefix: Prefix) -> Simple {
        let Self { dests, paths, targets, peers, resolver, own, chosen, .. } = self;
        let Some(Dest::One(one)) = dests.get_mut(prefix) else { return Simple::Not };
        if one.gone {
            return Simple::Gone(*one);
        }
        let path = paths.get(one.path);
        // An accumulated metric has to be looked up.
        if path.attrs().aigp.is_some() {
            return Simple::Not;
        }
        let new = match admissible(own, prefix, path) {
            Err(_) => Id::NONE,
            Ok(()) => match resolver.recall(path, peer_of(peers, path), targets) {
                None => return Simple::Not,
                Some(resolved) => resolved.map_or(Id::NONE, |resolved| resolved.target),
            },
        };
        one.dirty = false;
        let old = std::mem::replace(&mut one.told, new);
        let source = |target| (target != Id::NONE).then_some(path.source);
        chosen.moved(prefix.family(), source(old), source(new));
        let best = |target: Id<Target>| {
            (target != Id::NONE).then(|| Best {
                path: Arc::clone(path),
                target: Arc::clone(targets.get(target)),
                backup: None,
                only: true,
                at: Step::Only,
                metric: 0,
            })
        };
        let change = (new != old).then(|| Change { prefix, old: best(old), new: best(new) });
        if old != Id::NONE {
            targets.release(old);
        }
        Simple::Decided(change)
    }

    /// The only path of a prefix has gone, and the prefix goes with it.
    fn end_one(&mut self, prefix: Prefix, one: One) -> Option<Change> {
        self.dests.remove(prefix);
        let told = one.told();
        let old = told.map(|told| self.best_from(told));
        let source = told.map(|told| self.paths.get(told.path).source);
        self.chosen.moved(prefix.family(), source, None);
        self.paths.release(one.path);
        let told = told?;
        self.targets.release(told.target);
        Some(Change { prefix, old, new: None })
    }

    /// Notes what the world is told from now on, of whose target it becomes a
    /// user; a change, if that is another.
    fn tell(&mut self, prefix: Prefix, new: Option<Told>) -> Option<Change> {
        let old = self.dests.get(prefix)?.told();
        let same = match (old, new) {
            (Some(old), Some(new)) => old.same(new),
            (old, new) => old.is_none() && new.is_none(),
        };
        let change = (!same).then(|| Change {
            prefix,
            old: old.map(|told| self.best_from(told)),
            new: new.map(|told| self.best_from(told)),
        });
        let source = |told: Told| self.paths.get(told.path).source;
        self.chosen.moved(prefix.family(), old.map(source), new.map(source));
        let Self { dests, paths, targets, .. } = self;
        let dest = dests.get_mut(prefix)?;
        if new.is_some_and(|new| new.metric != 0) {
            dest.widen(paths);
        }
        match dest {
            Dest::Nothing => {}
            Dest::One(one) => {
                one.dirty = false;
                one.told = new.map_or(Id::NONE, |told| told.target);
            }
            Dest::Many(many) => {
                many.dirty = false;
                many.told = new;
                if let Some(new) = new {
                    paths.hold(new.path);
                }
                if let Some(old) = old {
                    paths.release(old.path);
                }
                dest.narrow(paths);
            }
        }
        if dest.is_nothing() {
            dests.remove(prefix);
        }
        if let Some(old) = old {
            targets.release(old.target);
            if old.backup != Id::NONE {
                targets.release(old.backup);
            }
        }
        change.filter(|change| change.old != change.new)
    }

    /// The best path as the world is told it.
    pub(crate) fn best_from(&self, told: Told) -> Best {
        let backup = (told.backup != Id::NONE).then(|| Arc::clone(self.targets.get(told.backup)));
        Best {
            path: Arc::clone(self.paths.get(told.path)),
            target: Arc::clone(self.targets.get(told.target)),
            backup,
            only: told.only,
            at: told.at,
            metric: told.metric,
        }
    }

    /// The best of several paths; the caller becomes a user of the targets.
    fn best_of(&mut self, prefix: Prefix, slots: &[Slot]) -> Option<Told> {
        let mut usable: SmallVec<[(&Slot, Resolved); 4]> = SmallVec::new();
        for slot in slots {
            if let Ok(resolved) = self.usable(prefix, slot.path) {
                usable.push((slot, resolved));
            }
        }
        let told = self.choose(&usable).map(|choice| {
            let target = match choice.shared.as_slice() {
                [(_, alone)] => {
                    self.targets.hold(*alone);
                    *alone
                }
                many => {
                    let shared = self.shared(many);
                    self.targets.intern(shared)
                }
            };
            if choice.backup != Id::NONE {
                self.targets.hold(choice.backup);
            }
            let Choice { path, backup, only, at, metric, .. } = choice;
            Told { path, target, backup, only, at, metric }
        });
        usable.iter().for_each(|(_, resolved)| self.targets.release(resolved.target));
        told
    }

    fn choose(&self, usable: &[(&Slot, Resolved)]) -> Option<Choice> {
        let candidates: SmallVec<[Candidate<'_>; 4]> = usable
            .iter()
            .map(|(slot, resolved)| self.candidate(slot, self.paths.get(slot.path), resolved.metric))
            .collect();
        let decided = decide(&candidates, &self.rules)?;
        let (best, resolved) = &usable[decided.best];
        let shared: SmallVec<[(Id<Path>, Id<Target>); 4]> =
            decided.ecmp.iter().map(|index| (usable[*index].0.path, usable[*index].1.target)).collect();
        let backup = match shared.as_slice() {
            [(_, alone)] if self.targets.get(*alone).is_one_way() => {
                self.backup(&candidates, usable, resolved.target)
            }
            _ => Id::NONE,
        };
        let source = candidates[decided.best].path.source;
        let only = candidates.iter().all(|other| other.path.source == source);
        let metric = accumulated(candidates[decided.best].path, resolved.metric);
        Some(Choice { path: best.path, shared, backup, only, at: decided.at, metric })
    }

    /// Where the packets go that several paths share.
    fn shared(&self, of: &[(Id<Path>, Id<Target>)]) -> Target {
        let of = of.iter().map(|(path, target)| (&**self.paths.get(*path), &**self.targets.get(*target)));
        share(&of.collect::<SmallVec<[_; 4]>>())
    }

    /// Where the best of the paths leads that have another target than `target`.
    fn backup(
        &self,
        candidates: &[Candidate<'_>],
        usable: &[(&Slot, Resolved)],
        target: Id<Target>,
    ) -> Id<Target> {
        let others = usable.iter().zip(candidates).filter(|((_, resolved), _)| resolved.target != target);
        let (targets, others): (SmallVec<[Id<Target>; 4]>, SmallVec<[Candidate<'_>; 4]>) =
            others.map(|((_, resolved), candidate)| (resolved.target, *candidate)).unzip();
        decide(&others, &self.rules).map_or(Id::NONE, |decided| targets[decided.best])
    }

    /// Where a path leads, or why it cannot be used; the caller becomes a user
    /// of the target.
    pub(crate) fn usable(&mut self, prefix: Prefix, path: Id<Path>) -> Result<Resolved, Why> {
        let told = self.paths.get(path);
        admissible(&self.own, prefix, told)?;
        let Self { resolver, dests, paths, targets, peers, own, rules, .. } = self;
        let told = paths.get(path);
        let peer = peer_of(peers, told);
        loop {
            if let Some(known) = resolver.recall(told, peer, targets) {
                return known;
            }
            resolver.learn(Routes { dests, paths, peers, own, rules }, told, peer, targets);
        }
    }

    /// The same for readers.
    pub(crate) fn judge(&self, prefix: Prefix, path: &Path) -> Result<(Target, u32), Why> {
        admissible(&self.own, prefix, path)?;
        self.resolver.peek(self.ground(), path, peer_of(&self.peers, path))
    }

    /// A path as the decision sees it.
    pub(crate) fn candidate<'a>(&self, slot: &Slot, path: &'a Path, igp_metric: u32) -> Candidate<'a> {
        candidate(&self.peers, slot, path, igp_metric)
    }

    /// Decides among candidates by the table's rules, for readers.
    pub(crate) fn decide(&self, candidates: &[Candidate<'_>]) -> Option<Decided> {
        decide(candidates, &self.rules)
    }
}

/// The metric to the next hop, of a path that has an accumulated one (RFC 7311).
fn accumulated(path: &Path, metric: u32) -> u32 {
    if path.imported.as_ref().is_ok_and(|attrs| attrs.aigp.is_some()) { metric } else { 0 }
}

/// What became of the attempt to decide a prefix the short way.
enum Simple {
    Decided(Option<Change>),
    /// Its path has gone.
    Gone(One),
    /// It is not so simple.
    Not,
}

/// Asks what import could not know: who owns the prefix now.
pub(crate) fn admissible(own: &PrefixSet, prefix: Prefix, path: &Path) -> Result<(), Why> {
    path.imported.as_ref().map_err(Why::clone)?;
    if path.source == Source::Local {
        return Ok(());
    }
    match own.longest(prefix) {
        Some((own, ())) => Err(Why::OwnPrefix(own)),
        None => Ok(()),
    }
}

/// A path as the decision sees it.
pub(crate) fn candidate<'a>(peers: &Peers, slot: &Slot, path: &'a Path, igp_metric: u32) -> Candidate<'a> {
    let peer = peer_of(peers, path);
    Candidate {
        path,
        path_id: slot.path_id,
        since: slot.since,
        external: peer.is_some_and(PeerInfo::external),
        router_id: peer.map_or(0, |peer| peer.router_id.into()),
        address: peer.map(|peer| peer.address),
        igp_metric,
    }
}

/// The peers there are.
type Peers = rustc_hash::FxHashMap<crate::PeerId, crate::table::Peer>;

pub(crate) fn peer_of<'a>(peers: &'a Peers, path: &Path) -> Option<&'a PeerInfo> {
    path.peer().and_then(|id| peers.get(&id)).map(|peer| &peer.info)
}
