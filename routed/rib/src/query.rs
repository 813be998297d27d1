//! Views for readers: pages from a cursor, so that nobody holds the table.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use net::prefix_map::Iter;
use net::{Family, Prefix};

use crate::decide::Candidate;
use crate::dest::{Dest, Slot};
use crate::share::share;
use crate::table::Best;
use crate::{Path, PeerId, Protocol, Source, Step, Table, Target, Why};

/// One page of a long answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the order of their prefixes.
    pub items: Vec<T>,
    /// Where the next page begins, after this prefix; `None` at the end.
    pub next: Option<Prefix>,
}

/// Which routes are asked for; what is `None` does not restrict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Inside this prefix, or equal to it.
    pub within: Option<Prefix>,
    /// Of this family.
    pub family: Option<Family>,
    /// With a path of this protocol.
    pub protocol: Option<Protocol>,
    /// With a path of this peer.
    pub peer: Option<PeerId>,
}

/// A prefix with all its paths, the best first, then by how far they came.
#[derive(Clone, Debug)]
pub struct RouteView {
    /// The prefix.
    pub prefix: Prefix,
    /// Its paths.
    pub candidates: Vec<CandidateView>,
    /// Where its packets go; `None` when no path is usable.
    pub target: Option<Target>,
}

impl RouteView {
    /// The best path, if one is usable.
    pub fn best(&self) -> Option<&CandidateView> {
        self.candidates.first().filter(|first| matches!(first.standing, Standing::Best(_)))
    }
}

/// A path and how it stands.
#[derive(Clone, Debug)]
pub struct CandidateView {
    /// The path.
    pub path: Arc<Path>,
    /// The path identifier (RFC 7911 §3); 0 where there is only one. Tells
    /// apart several paths of one source: for links the interface index.
    pub path_id: u32,
    /// Since when it says the same.
    pub since: Option<Instant>,
    /// How it stands.
    pub standing: Standing,
    /// Where it leads, if it is usable.
    pub target: Option<Target>,
    /// It waits to be told again, or swept.
    pub stale: bool,
}

/// How a path stands among those of its prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the best; the step that decided.
    Best(Step),
    /// It shares the traffic with the best.
    Shares,
    /// It lost at this step.
    Lost(Step),
    /// It cannot be used.
    Ineligible(Why),
}

impl Table {
    /// A prefix with all its paths, if it is known.
    pub fn route(&self, prefix: Prefix) -> Option<RouteView> {
        let slots = self.dests.get(prefix)?.slots();
        (!slots.is_empty()).then(|| self.view(prefix, &slots))
    }

    /// The route that packets to an address take: the most specific one with
    /// a usable path.
    pub fn lookup(&self, address: IpAddr) -> Option<RouteView> {
        let holding: Vec<_> = self.dests.covering(Prefix::host(address)).collect();
        let views = holding.into_iter().rev().map(|(prefix, dest)| self.view(prefix, &dest.slots()));
        views.into_iter().find(|view| view.target.is_some())
    }

    /// True when a peer has told this prefix with this path identifier.
    pub fn has_told(&self, id: PeerId, (prefix, path_id): (Prefix, u32)) -> bool {
        let of_peer =
            |slot: &Slot| slot.path_id == path_id && self.paths.get(slot.path).source == Source::Peer(id);
        self.dests.get(prefix).is_some_and(|dest| dest.slots().iter().any(of_peer))
    }

    /// Up to `max` routes that meet a query, after a cursor.
    pub fn routes(&self, query: &Query, after: Option<Prefix>, max: usize) -> Page<RouteView> {
        self.page(query, after, max, |prefix, slots, items| items.push(self.view(prefix, slots)))
    }

    /// What a peer told us, with what import made of it: up to `max` prefixes
    /// after a cursor.
    pub fn received(&self, id: PeerId, after: Option<Prefix>, max: usize) -> Page<(Prefix, Arc<Path>)> {
        let query = Query { peer: Some(id), ..Query::default() };
        self.page(&query, after, max, |prefix, slots, items| {
            let paths = slots.iter().map(|slot| self.paths.get(slot.path));
            let of_peer = paths.filter(|path| path.source == Source::Peer(id));
            items.extend(of_peer.map(|path| (prefix, Arc::clone(path))));
        })
    }

    /// Every best route as the world was last told, for whoever starts to
    /// follow the changes.
    pub fn best_routes(&self) -> impl Iterator<Item = (Prefix, Best)> + '_ {
        self.dests.iter().filter_map(|(prefix, dest)| Some((prefix, self.best_from(dest.told()?))))
    }

    /// The best routes of a family after a prefix, or from its first on, in
    /// the order of prefixes.
    pub fn best_after(
        &self,
        family: Family,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, Best)> + '_ {
        let rest = after.map_or_else(|| self.dests.iter_of(family), |after| self.dests.iter_after(after));
        rest.take_while(move |(prefix, _)| prefix.family() == family)
            .filter_map(|(prefix, dest)| Some((prefix, self.best_from(dest.told()?))))
    }

    /// The best route of a prefix as the world was last told.
    pub fn best(&self, prefix: Prefix) -> Option<Best> {
        self.dests.get(prefix)?.told().map(|told| self.best_from(told))
    }

    /// How many prefixes are known.
    pub fn len(&self) -> usize {
        self.dests.len()
    }

    /// True when no prefix is known.
    pub fn is_empty(&self) -> bool {
        self.dests.is_empty()
    }

    /// True when the world was told of a prefix that lies inside this one.
    pub fn has_inside(&self, prefix: Prefix) -> bool {
        let inside = self.dests.covered(prefix).filter(|(other, _)| *other != prefix);
        inside.into_iter().any(|(_, dest)| dest.told().is_some())
    }

    /// How many paths each protocol has.
    pub fn of_protocols(&self) -> impl Iterator<Item = (Protocol, usize)> {
        Protocol::ALL.into_iter().zip(self.of_protocol)
    }

    /// Memory that prefixes and their paths hold, in bytes: what grows with
    /// the number of routes, without the attributes.
    pub fn bytes(&self) -> usize {
        self.dests.bytes() + self.dests.values().map(Dest::bytes).sum::<usize>()
    }

    fn page<T>(
        &self,
        query: &Query,
        after: Option<Prefix>,
        max: usize,
        mut put: impl FnMut(Prefix, &[Slot], &mut Vec<T>),
    ) -> Page<T> {
        let mut items = Vec::new();
        let mut taken = 0;
        let mut last = after;
        for (prefix, dest) in self.rest(query, after) {
            if query.is_past(prefix) {
                break;
            }
            let slots = dest.slots();
            if slots.is_empty() || !query.meets(prefix, &slots, self) {
                continue;
            }
            if taken == max {
                return Page { items, next: last };
            }
            put(prefix, &slots, &mut items);
            taken += 1;
            last = Some(prefix);
        }
        Page { items, next: None }
    }

    fn rest(&self, query: &Query, after: Option<Prefix>) -> Iter<'_, Dest> {
        match (after, query.within, query.family) {
            (Some(after), ..) => self.dests.iter_after(after),
            (None, Some(within), _) => self.dests.iter_from(within),
            (None, None, Some(family)) => self.dests.iter_of(family),
            (None, None, None) => self.dests.iter(),
        }
    }

    fn view(&self, prefix: Prefix, slots: &[Slot]) -> RouteView {
        let paths: Vec<(&Slot, &Arc<Path>)> =
            slots.iter().map(|slot| (slot, self.paths.get(slot.path))).collect();
        let judged: Vec<_> = paths.iter().map(|(_, path)| self.judge(prefix, path)).collect();
        let usable: Vec<(usize, Candidate<'_>)> = judged
            .iter()
            .enumerate()
            .filter_map(|(i, judged)| {
                let (slot, path) = paths[i];
                Some((i, self.candidate(slot, path, judged.as_ref().ok()?.1)))
            })
            .collect();
        let candidates: Vec<Candidate<'_>> = usable.iter().map(|(_, candidate)| *candidate).collect();
        let decided = self.decide(&candidates);
        let standing = |i: usize| {
            let decided = decided.as_ref()?;
            let place = usable.iter().position(|(index, _)| *index == i)?;
            let lost = decided.lost.iter().find(|(index, _)| *index == place);
            Some(match lost {
                None => Standing::Best(decided.at),
                Some(_) if decided.ecmp.contains(&place) => Standing::Shares,
                Some((_, step)) => Standing::Lost(*step),
            })
        };
        let target = decided.as_ref().map(|decided| {
            let shared = decided.ecmp.iter().filter_map(|place| {
                let i = usable[*place].0;
                Some((paths[i].1.as_ref(), &judged[i].as_ref().ok()?.0))
            });
            share(&shared.collect::<Vec<_>>())
        });
        let mut views: Vec<CandidateView> = Vec::with_capacity(judged.len());
        for (i, ((slot, path), judged)) in paths.iter().zip(&judged).enumerate() {
            let standing = match judged {
                Err(why) => Standing::Ineligible(why.clone()),
                // A usable path always has a standing among the usable ones.
                Ok(_) => standing(i).unwrap_or(Standing::Lost(Step::Only)),
            };
            views.push(CandidateView {
                path: Arc::clone(path),
                path_id: slot.path_id,
                since: self.instant(slot.since),
                standing,
                target: judged.as_ref().ok().map(|(target, _)| target.clone()),
                stale: self.is_stale(prefix, slot, path),
            });
        }
        views.sort_by_key(|view| (view.standing.rank(), view.path.source, view.path.protocol, view.path_id));
        RouteView { prefix, candidates: views, target }
    }

    /// True when a path waits to be told again, or swept.
    pub(crate) fn is_stale(&self, prefix: Prefix, slot: &Slot, path: &Path) -> bool {
        let peer = path.peer().and_then(|id| self.peers.get(&id));
        peer.is_some_and(|peer| peer.cycle[prefix.family().index()] != slot.cycle)
    }
}

impl Standing {
    /// The better the smaller; those that fell late before those that fell early.
    fn rank(&self) -> (u8, std::cmp::Reverse<Step>) {
        match self {
            Self::Best(step) => (0, std::cmp::Reverse(*step)),
            Self::Shares => (1, std::cmp::Reverse(Step::Only)),
            Self::Lost(step) => (2, std::cmp::Reverse(*step)),
            Self::Ineligible(_) => (3, std::cmp::Reverse(Step::Only)),
        }
    }
}

impl Query {
    /// True when nothing that meets comes after a prefix, in the order of prefixes.
    fn is_past(&self, prefix: Prefix) -> bool {
        self.within.is_some_and(|within| within < prefix && !within.covers(prefix))
            || self.family.is_some_and(|family| family < prefix.family())
    }

    fn meets(&self, prefix: Prefix, slots: &[Slot], table: &Table) -> bool {
        let any = |holds: &dyn Fn(&Path) -> bool| slots.iter().any(|slot| holds(table.paths.get(slot.path)));
        self.within.is_none_or(|within| within.covers(prefix))
            && self.family.is_none_or(|family| family == prefix.family())
            && self.protocol.is_none_or(|protocol| any(&|path| path.protocol == protocol))
            && self.peer.is_none_or(|id| any(&|path| path.source == Source::Peer(id)))
    }
}

#[cfg(test)]
mod tests;
