//! What is known of every prefix: what we tell, and what each neighbour said
//! last.
//!
//! ```text
//!            heard, or told by us            all paths lost, own withdrawn
//!  (none) ────────────────────────► valid ───────────────────────────────► garbage ──► (none)
//!                                     ▲      timeout, metric 16, link down    │  garbage time
//!                                     └───────────────────────────────────────┘
//!                                                 heard again
//! ```
//! RFC 2453 §3.8. Garbage is told with metric 16 until its time is over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use net::Prefix;

use crate::INFINITY;
use crate::event::{Action, Advert, Learned, NextHop};
use crate::routes::Routes;
use crate::timers::Earliest;

/// A neighbour: its interface and address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Via {
    pub(crate) interface: u32,
    pub(crate) address: IpAddr,
}

/// What one neighbour said last of a prefix, reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) via: Via,
    pub(crate) next_hop: IpAddr,
    /// 1 to 15, the cost of the interface included.
    pub(crate) metric: u8,
    pub(crate) tag: u16,
    /// When it is lost unless it is heard again.
    pub(crate) expires: Instant,
    /// How long it is garbage after that.
    pub(crate) garbage: Duration,
}

/// What neighbours may have heard of a changed route from us before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing: it was not in the table.
    Nothing,
    /// What it was.
    Something,
}

/// All that is known of one prefix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    own: Option<Advert>,
    paths: Vec<Path>,
    best: Option<Learned>,
    /// Until when it is garbage: set when there is neither own nor best.
    garbage: Option<Instant>,
    /// The tag that garbage is told with.
    tag: u16,
}

/// Where a route stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteState {
    /// We tell it as our own.
    Own,
    /// Learned; it is lost at this time unless it is heard again.
    Valid(Instant),
    /// Lost; it is told as unreachable until this time.
    Garbage(Instant),
}

impl Route {
    /// What is told of it: the metric before split horizon and offsets, and
    /// the tag. What the table tells comes before what neighbours tell.
    pub(crate) fn told(&self) -> (u8, u16) {
        match (&self.own, &self.best) {
            (Some(own), _) => (own.metric.clamp(1, INFINITY), own.tag),
            (None, Some(best)) => (best.metric, best.tag),
            (None, None) => (INFINITY, self.tag),
        }
    }

    /// The next hop to name to neighbours on its interface.
    pub(crate) fn next_hop(&self) -> Option<NextHop> {
        match (&self.own, &self.best) {
            (Some(own), _) => own.next_hop,
            (None, Some(best)) => best.next_hops.first().copied(),
            (None, None) => None,
        }
    }

    /// True when packets for it leave through the interface because a
    /// neighbour there said so.
    pub(crate) fn leads_back(&self, interface: u32) -> bool {
        let through = |best: &Learned| best.next_hops.iter().any(|hop| hop.interface == interface);
        self.own.is_none() && self.best.as_ref().is_some_and(through)
    }

    /// True when it is what the table tells.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// What is learned of it.
    pub(crate) fn learned(&self) -> Option<&Learned> {
        self.best.as_ref()
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> Option<RouteState> {
        if self.own.is_some() {
            return Some(RouteState::Own);
        }
        let metric = self.best.as_ref().map(|best| best.metric);
        let used = self.paths.iter().filter(|path| Some(path.metric) == metric);
        let valid = used.map(|path| path.expires).max().map(RouteState::Valid);
        valid.or(self.garbage.map(RouteState::Garbage))
    }

    /// The best of what the neighbours say: the lowest metric; of equal ones
    /// up to `multipath` next hops, lowest interface and address first.
    fn choose(&self, multipath: usize) -> Option<Learned> {
        let metric = self.paths.iter().map(|path| path.metric).min()?;
        let mut best: Vec<&Path> = self.paths.iter().filter(|path| path.metric == metric).collect();
        best.sort_by_key(|path| (path.via.interface, path.next_hop));
        let tag = best.first()?.tag;
        let mut next_hops: Vec<NextHop> = best
            .iter()
            .map(|path| NextHop { interface: path.via.interface, address: path.next_hop })
            .collect();
        next_hops.dedup();
        next_hops.truncate(multipath.max(1));
        Some(Learned { next_hops, metric, tag })
    }
}

/// The routes of one protocol.
#[derive(Debug)]
pub(crate) struct Table {
    routes: Routes,
    /// How many paths each neighbour has here.
    counts: BTreeMap<Via, usize>,
    multipath: usize,
    /// When something may time out.
    earliest: Earliest,
    /// Prefixes of which other things are to be told since last asked.
    changed: BTreeMap<Prefix, Before>,
    /// Prefixes of which other things are learned since last asked.
    news: BTreeSet<Prefix>,
}

impl Table {
    pub(crate) fn new(multipath: usize) -> Self {
        Self {
            routes: Routes::default(),
            counts: BTreeMap::new(),
            multipath,
            earliest: Earliest::default(),
            changed: BTreeMap::new(),
            news: BTreeSet::new(),
        }
    }

    /// The route of a prefix.
    pub(crate) fn get(&self, prefix: &Prefix) -> Option<&Route> {
        self.routes.get(prefix)
    }

    /// All routes, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Prefix, &Route)> {
        self.routes.from(0).map(|(_, prefix, route)| (prefix, route))
    }

    /// The routes from a place on, each with its place: for a walk in pieces.
    pub(crate) fn from(&self, place: usize) -> impl Iterator<Item = (usize, &Prefix, &Route)> {
        self.routes.from(place)
    }

    /// How many paths a neighbour has.
    pub(crate) fn count(&self, via: Via) -> usize {
        self.counts.get(&via).copied().unwrap_or(0)
    }

    /// How many paths there are, counted one by one.
    #[cfg(test)]
    pub(crate) fn paths(&self) -> usize {
        self.all().map(|(_, route)| route.paths.len()).sum()
    }

    /// True when the neighbour has a path to the prefix.
    pub(crate) fn knows(&self, prefix: &Prefix, via: Via) -> bool {
        self.routes.get(prefix).is_some_and(|route| route.paths.iter().any(|path| path.via == via))
    }

    /// When something times out, or earlier.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.earliest.at()
    }

    /// What the table of the node tells of a prefix.
    pub(crate) fn advertise(&mut self, now: Instant, prefix: Prefix, own: Option<Advert>, garbage: Duration) {
        if own.is_some() || self.routes.get(&prefix).is_some() {
            self.update(prefix, (now, garbage), |route| route.own = own);
        }
    }

    /// A neighbour says the same of a prefix as before, which is what most
    /// packets are: only the timeout begins again. False where it says
    /// something else; then nothing is done.
    pub(crate) fn refresh(&mut self, prefix: &Prefix, path: &Path) -> bool {
        let Some(route) = self.routes.get_mut(prefix) else { return false };
        let same = |known: &&mut Path| Path { expires: path.expires, ..**known } == *path;
        let Some(known) = route.paths.iter_mut().find(same) else { return false };
        known.expires = path.expires;
        // Settings may have made the timeout shorter.
        self.earliest.note(path.expires);
        true
    }

    /// A neighbour says that it reaches a prefix (RFC 2453 §3.9.2).
    pub(crate) fn learn(&mut self, now: Instant, prefix: Prefix, path: Path) {
        self.earliest.note(path.expires);
        let added = !self.knows(&prefix, path.via);
        if added {
            *self.counts.entry(path.via).or_default() += 1;
        }
        self.update(prefix, (now, path.garbage), |route| {
            match route.paths.iter_mut().find(|known| known.via == path.via) {
                Some(known) => *known = path,
                None => route.paths.push(path),
            }
        });
    }

    /// A neighbour does not reach a prefix, or not any more.
    pub(crate) fn lose(&mut self, now: Instant, prefix: Prefix, via: Via) {
        let Some(route) = self.routes.get(&prefix) else { return };
        let Some(path) = route.paths.iter().find(|path| path.via == via) else { return };
        let garbage = path.garbage;
        self.forget(via);
        self.update(prefix, (now, garbage), |route| route.paths.retain(|path| path.via != via));
    }

    /// Neighbours are gone, and all that they said.
    pub(crate) fn lose_all(&mut self, now: Instant, gone: &[Via]) {
        if gone.iter().all(|via| self.count(*via) == 0) {
            return;
        }
        let mut lost = Vec::new();
        for (prefix, route) in self.all() {
            let theirs = route.paths.iter().filter(|path| gone.contains(&path.via));
            lost.extend(theirs.map(|path| (*prefix, path.via)));
        }
        for (prefix, via) in lost {
            self.lose(now, prefix, via);
        }
    }

    /// Ends what has not been heard for its timeout, and garbage whose time is over.
    pub(crate) fn tick(&mut self, now: Instant) {
        if !self.earliest.reached(now) {
            return;
        }
        let mut expired = Vec::new();
        let Self { routes, earliest, .. } = self;
        routes.retain(|prefix, route| {
            for path in &route.paths {
                if path.expires <= now {
                    expired.push((*prefix, path.via));
                } else {
                    earliest.note(path.expires);
                }
            }
            let over = route.garbage.is_some_and(|until| until <= now);
            if let Some(until) = route.garbage.filter(|_| !over) {
                earliest.note(until);
            }
            !over
        });
        for (prefix, via) in expired {
            self.lose(now, prefix, via);
        }
    }

    /// Prefixes of which other things are to be told since the last call.
    pub(crate) fn take_changed(&mut self) -> BTreeMap<Prefix, Before> {
        std::mem::take(&mut self.changed)
    }

    /// Says what is learned and lost since the last call.
    pub(crate) fn take_news(&mut self, actions: &mut Vec<Action>) {
        let (mut learned, mut lost) = (Vec::new(), Vec::new());
        for prefix in std::mem::take(&mut self.news) {
            match self.routes.get(&prefix).and_then(|route| route.best.clone()) {
                Some(best) => learned.push((prefix, best)),
                None => lost.push(prefix),
            }
        }
        if !learned.is_empty() {
            actions.push(Action::Learned(learned));
        }
        if !lost.is_empty() {
            actions.push(Action::Lost(lost));
        }
    }

    /// Changes a route, chooses again and notes what is to be told.
    fn update(
        &mut self,
        prefix: Prefix,
        (now, garbage): (Instant, Duration),
        change: impl FnOnce(&mut Route),
    ) {
        let route = self.routes.entry(prefix);
        let told = (route.told(), route.next_hop());
        let known = route.own.is_some() || route.best.is_some() || route.garbage.is_some();
        change(route);
        let best = route.choose(self.multipath);
        let learned_anew = best != route.best;
        route.best = best;
        let ((metric, tag), next_hop) = (route.told(), route.next_hop());
        if route.own.is_some() || route.best.is_some() {
            (route.garbage, route.tag) = (None, tag);
        } else if route.garbage.is_none() {
            route.garbage = Some(now + garbage);
            self.earliest.note(now + garbage);
        }
        let other = ((metric, tag), next_hop) != told || !known;
        if other || (learned_anew && route.own.is_none()) {
            let before = if known { Before::Something } else { Before::Nothing };
            self.changed.entry(prefix).or_insert(before);
        }
        if learned_anew {
            self.news.insert(prefix);
        }
    }

    fn forget(&mut self, via: Via) {
        if let Some(count) = self.counts.get_mut(&via) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&via);
            }
        }
    }
}
