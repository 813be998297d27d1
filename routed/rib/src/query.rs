//! Views for readers: pages from a cursor, so that nobody holds the table.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnetwork::IpNetwork;
use net::{Family, Prefix};

use crate::decide::Candidate;
use crate::nexthop::word;
use crate::settle::merge;
use crate::table::{Best, Dest};
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
        self.dests.get(&prefix.network()).map(|dest| self.view(prefix, dest))
    }

    /// The route that packets to an address take: the most specific one with
    /// a usable path.
    pub fn lookup(&self, address: IpAddr) -> Option<RouteView> {
        let mut found = None;
        for (network, dest) in self.dests.cover(&IpNetwork::from(address)) {
            let view = word(network).map(|prefix| self.view(prefix, dest));
            found = view.filter(|view| view.target.is_some()).or(found);
        }
        found
    }

    /// True when a peer has told this prefix with this path identifier.
    pub fn has_told(&self, id: PeerId, (prefix, path_id): (Prefix, u32)) -> bool {
        let of_peer = |path: &Arc<Path>| path.source == Source::Peer(id) && path.path_id == path_id;
        self.dests.get(&prefix.network()).is_some_and(|dest| dest.paths.iter().any(of_peer))
    }

    /// Up to `max` routes that meet a query, after a cursor.
    pub fn routes(&self, query: &Query, after: Option<Prefix>, max: usize) -> Page<RouteView> {
        self.page(query, after, max, |prefix, dest, items| items.push(self.view(prefix, dest)))
    }

    /// What a peer told us, with what import made of it: up to `max` prefixes
    /// after a cursor.
    pub fn received(&self, id: PeerId, after: Option<Prefix>, max: usize) -> Page<(Prefix, Arc<Path>)> {
        let query = Query { peer: Some(id), ..Query::default() };
        self.page(&query, after, max, |prefix, dest, items| {
            let of_peer = dest.paths.iter().filter(|path| path.source == Source::Peer(id));
            items.extend(of_peer.map(|path| (prefix, Arc::clone(path))));
        })
    }

    /// Every best route as the world was last told, for whoever starts to
    /// follow the changes.
    pub fn best_routes(&self) -> impl Iterator<Item = (Prefix, Best)> + '_ {
        Family::ALL.into_iter().flat_map(|family| self.best_after(family, None))
    }

    /// The best routes of a family after a prefix, or from its first on, in
    /// the order of prefixes.
    pub fn best_after(
        &self,
        family: Family,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, Best)> + '_ {
        let rest: Box<dyn Iterator<Item = (IpNetwork, &Dest)>> = match (after, family) {
            (Some(after), _) => Box::new(self.dests.iter_from(&after.network(), false)),
            (None, Family::Ipv4Unicast) => Box::new(self.dests.iter()),
            (None, Family::Ipv6Unicast) => match Prefix::new(Ipv6Addr::UNSPECIFIED.into(), 0) {
                Some(first) => Box::new(self.dests.iter_from(&first.network(), true)),
                None => Box::new(self.dests.iter()),
            },
        };
        rest.take_while(move |(network, _)| Family::of(network.ip()) == family)
            .filter_map(|(network, dest)| Some((word(network)?, dest.best.clone()?)))
    }

    /// The best route of a prefix as the world was last told.
    pub fn best(&self, prefix: Prefix) -> Option<Best> {
        self.dests.get(&prefix.network())?.best.clone()
    }

    /// How many prefixes are known.
    pub fn len(&self) -> usize {
        self.dests.len()
    }

    /// True when no prefix is known.
    pub fn is_empty(&self) -> bool {
        self.dests.is_empty()
    }

    fn page<T>(
        &self,
        query: &Query,
        after: Option<Prefix>,
        max: usize,
        mut put: impl FnMut(Prefix, &Dest, &mut Vec<T>),
    ) -> Page<T> {
        let mut items = Vec::new();
        let mut taken = 0;
        let mut last = after;
        let rest: Box<dyn Iterator<Item = (IpNetwork, &Dest)>> = match (after, query.within) {
            (Some(after), _) => Box::new(self.dests.iter_from(&after.network(), false)),
            (None, Some(within)) => Box::new(self.dests.iter_from(&within.network(), true)),
            (None, None) => Box::new(self.dests.iter()),
        };
        for (network, dest) in rest {
            let Some(prefix) = word(network) else { continue };
            if query.within.is_some_and(|within| within < prefix && !within.covers(prefix)) {
                break;
            }
            if !query.meets(prefix, dest) {
                continue;
            }
            if taken == max {
                return Page { items, next: last };
            }
            put(prefix, dest, &mut items);
            taken += 1;
            last = Some(prefix);
        }
        Page { items, next: None }
    }

    fn view(&self, prefix: Prefix, dest: &Dest) -> RouteView {
        let judged: Vec<_> = dest.paths.iter().map(|path| (path, self.judge(prefix, path))).collect();
        let usable: Vec<(usize, Candidate<'_>)> = judged
            .iter()
            .enumerate()
            .filter_map(|(i, (path, judged))| Some((i, self.candidate(path, judged.as_ref().ok()?.1))))
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
            let shared = decided.ecmp.iter().filter_map(|place| judged[usable[*place].0].1.as_ref().ok());
            merge(&shared.map(|(target, _)| target).collect::<Vec<_>>())
        });
        let mut views: Vec<CandidateView> = Vec::with_capacity(judged.len());
        for (i, (path, judged)) in judged.iter().enumerate() {
            let standing = match judged {
                Err(why) => Standing::Ineligible(why.clone()),
                // A usable path always has a standing among the usable ones.
                Ok(_) => standing(i).unwrap_or(Standing::Lost(Step::Only)),
            };
            let target = judged.as_ref().ok().map(|(target, _)| target.clone());
            let stale = self.is_stale(prefix, path);
            views.push(CandidateView { path: Arc::clone(path), standing, target, stale });
        }
        views.sort_by_key(|view| (view.standing.rank(), view.path.key()));
        RouteView { prefix, candidates: views, target }
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
    fn meets(&self, prefix: Prefix, dest: &Dest) -> bool {
        self.within.is_none_or(|within| within.covers(prefix))
            && self.family.is_none_or(|family| family == prefix.family())
            && self.protocol.is_none_or(|protocol| dest.paths.iter().any(|path| path.protocol == protocol))
            && self.peer.is_none_or(|id| dest.paths.iter().any(|path| path.source == Source::Peer(id)))
    }
}

#[cfg(test)]
mod tests;
