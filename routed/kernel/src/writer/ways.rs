//! What is desired and what is there, each named by a number, so that a route
//! is two numbers.
//!
//! ```text
//!  prefix ─► Side { want, have }
//!                    │      └─► Have   owner, source, and an object or a plain target
//!                    └────────► Want   what the table said; knows the Have that meets it
//! ```
//! There are as many of either as there are peers and sets of next hops, not
//! as there are routes.

use std::net::IpAddr;

use net::Family;
use rustc_hash::FxHashMap;

use super::slab::Slab;
use crate::route::RouteOwner;
use crate::{FibRoute, Refusal, Target};

/// Nothing is desired, or nothing is there.
pub(super) const NONE: u32 = 0;
/// In the place of a want: an earlier run left the route, nobody has spoken of it.
pub(super) const STALE: u32 = INDEX;
/// In the place of a have: it was there and went, or may have.
pub(super) const LOST: u32 = u32::MAX;

const QUEUED: u32 = 1 << 31;
const TOLD: u32 = 1 << 30;
const SEEN: u32 = 1 << 29;
const INDEX: u32 = SEEN - 1;

/// Both sides of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    flags_and_want: u32,
    pub(super) have: u32,
}

impl Side {
    /// The number of what is desired; [`NONE`] or [`STALE`] when nothing is.
    pub(super) fn want(self) -> u32 {
        self.flags_and_want & INDEX
    }

    /// True when something is desired.
    pub(super) fn is_wanted(self) -> bool {
        !matches!(self.want(), NONE | STALE)
    }

    /// True when a route of ours is there, as far as is known.
    pub(super) fn is_there(self) -> bool {
        !matches!(self.have, NONE | LOST)
    }

    /// What is there and is to go.
    fn leaves(self) -> Option<u32> {
        (self.want() == NONE && self.is_there()).then_some(self.have)
    }

    pub(super) fn set_want(&mut self, want: u32) {
        self.flags_and_want = self.flags_and_want & !INDEX | want & INDEX;
    }

    /// True when the prefix is in the queue.
    pub(super) fn queued(self) -> bool {
        self.flags_and_want & QUEUED != 0
    }

    pub(super) fn set_queued(&mut self, queued: bool) {
        self.flag(QUEUED, queued);
    }

    /// True when a refusal was told that still holds.
    pub(super) fn told(self) -> bool {
        self.flags_and_want & TOLD != 0
    }

    pub(super) fn set_told(&mut self, told: bool) {
        self.flag(TOLD, told);
    }

    /// True when the kernel spoke of it in the dump that is being read.
    pub(super) fn seen(self) -> bool {
        self.flags_and_want & SEEN != 0
    }

    pub(super) fn set_seen(&mut self, seen: bool) {
        self.flag(SEEN, seen);
    }

    fn flag(&mut self, flag: u32, set: bool) {
        self.flags_and_want = if set { self.flags_and_want | flag } else { self.flags_and_want & !flag };
    }
}

/// Something that the table desires for prefixes of one family.
#[derive(Debug)]
pub(super) struct Want {
    pub(super) family: Family,
    pub(super) route: FibRoute,
    /// The preferred source address.
    pub(super) source: Option<IpAddr>,
    /// Prefixes that desire it.
    pub(super) routes: u32,
    /// What meets it; [`NONE`] until it is first written or found.
    pub(super) have: u32,
    /// Its nexthop object cannot be made.
    pub(super) refused: Option<Refusal>,
}

/// Something that routes in the kernel are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) owner: RouteOwner,
    pub(super) source: Option<IpAddr>,
    pub(super) place: Place,
}

/// Where routes in the kernel lead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// To the nexthop object with this number of ours.
    Object(u32),
    /// Where their own attributes say.
    Plain(Target),
    /// Somewhere that routed does not write: nothing desired is met by it.
    Strange,
}

#[derive(Debug)]
pub(super) struct Have {
    pub(super) shape: Shape,
    /// Prefixes that are so.
    pub(super) routes: u32,
    /// Of which nobody wants any route of ours any more.
    pub(super) leaving: u32,
}

/// Every want and every have.
#[derive(Debug, Default)]
pub(super) struct Ways {
    pub(super) wants: Slab<Want>,
    want_by: FxHashMap<(Family, FibRoute), u32>,
    pub(super) haves: Slab<Have>,
    have_by: FxHashMap<Shape, u32>,
    /// Routes of ours in the kernel.
    pub(super) installed: usize,
    /// Of which nobody has spoken yet.
    pub(super) stale: usize,
    /// Something is used no more.
    pub(super) garbage: bool,
}

impl Ways {
    /// The number of something desired.
    pub(super) fn want(&mut self, family: Family, route: &FibRoute, source: Option<IpAddr>) -> u32 {
        let key = (family, route.clone());
        *self.want_by.entry(key).or_insert_with(|| {
            let source = source.filter(|_| matches!(route.target, Target::Via(_)));
            let route = route.clone();
            self.wants.insert(Want { family, route, source, routes: 0, have: NONE, refused: None })
        })
    }

    /// The number of a shape.
    pub(super) fn have(&mut self, shape: Shape) -> u32 {
        if let Some(number) = self.have_by.get(&shape) {
            return *number;
        }
        let number = self.haves.insert(Have { shape: shape.clone(), routes: 0, leaving: 0 });
        self.have_by.insert(shape, number);
        number
    }

    /// A route of an owner of which nothing else is known: nothing is met by it.
    pub(super) fn strange(&mut self, owner: RouteOwner) -> u32 {
        self.have(Shape { owner, source: None, place: Place::Strange })
    }

    /// True for routes onto a link, by which gateways are reached, and for
    /// those that lead nowhere.
    pub(super) fn on_link(&self, have: u32) -> bool {
        match self.haves.get(have).map(|have| &have.shape.place) {
            None | Some(Place::Object(_) | Place::Strange) => false,
            Some(Place::Plain(Target::Via(hops))) => hops.hops().iter().any(|hop| hop.gateway.is_none()),
            Some(Place::Plain(_)) => true,
        }
    }

    /// Notes that the sides of a prefix have changed.
    pub(super) fn moved(&mut self, old: Side, new: Side) {
        if old.leaves() != new.leaves() {
            for (have, more) in [(old.leaves(), false), (new.leaves(), true)] {
                if let Some(have) = have.and_then(|have| self.haves.get_mut(have)) {
                    have.leaving = if more { have.leaving + 1 } else { have.leaving.saturating_sub(1) };
                }
            }
        }
        if old.want() != new.want() {
            self.count_want(old.want(), false);
            self.count_want(new.want(), true);
        }
        if old.have != new.have {
            self.count_have(old.have, false);
            self.count_have(new.have, true);
        }
    }

    /// How many routes are there and wanted no more.
    pub(super) fn leaving(&self) -> usize {
        self.haves.iter().map(|(_, have)| have.leaving as usize).sum()
    }

    fn count_want(&mut self, number: u32, more: bool) {
        match number {
            NONE => {}
            STALE => step(&mut self.stale, more),
            number => {
                if let Some(want) = self.wants.get_mut(number) {
                    want.routes = if more { want.routes + 1 } else { want.routes.saturating_sub(1) };
                    self.garbage |= want.routes == 0;
                }
            }
        }
    }

    fn count_have(&mut self, number: u32, more: bool) {
        if matches!(number, NONE | LOST) {
            return;
        }
        step(&mut self.installed, more);
        if let Some(have) = self.haves.get_mut(number) {
            have.routes = if more { have.routes + 1 } else { have.routes.saturating_sub(1) };
            self.garbage |= have.routes == 0;
        }
    }

    /// The numbers of what leads to an object.
    pub(super) fn on_object(&self, object: u32) -> impl Iterator<Item = (u32, &Have)> {
        self.haves.iter().filter(move |(_, have)| have.shape.place == Place::Object(object))
    }

    /// A want is met by this.
    pub(super) fn link(&mut self, want: u32, have: u32) {
        if let Some(want) = self.wants.get_mut(want) {
            want.have = have;
            want.refused = None;
        }
    }

    /// What meets a want, if that is known.
    pub(super) fn known(&self, want: u32) -> Option<u32> {
        self.wants.get(want).map(|want| want.have).filter(|have| *have != NONE)
    }

    /// Forgets that a want is met by anything that leads to an object.
    pub(super) fn unlink(&mut self, object: u32) {
        let on: Vec<u32> = self.on_object(object).map(|(number, _)| number).collect();
        for (_, want) in self.wants.iter_mut() {
            if on.contains(&want.have) {
                want.have = NONE;
            }
        }
    }

    /// Forgets what no prefix has or wants.
    pub(super) fn collect(&mut self) {
        let unused: Vec<u32> =
            self.haves.iter().filter(|(_, have)| have.routes == 0).map(|(number, _)| number).collect();
        for number in unused {
            if let Some(have) = self.haves.remove(number) {
                self.have_by.remove(&have.shape);
            }
            for (_, want) in self.wants.iter_mut().filter(|(_, want)| want.have == number) {
                want.have = NONE;
            }
        }
        let unused: Vec<u32> =
            self.wants.iter().filter(|(_, want)| want.routes == 0).map(|(number, _)| number).collect();
        for number in unused {
            if let Some(want) = self.wants.remove(number) {
                self.want_by.remove(&(want.family, want.route));
            }
        }
    }
}

fn step(count: &mut usize, more: bool) {
    *count = if more { *count + 1 } else { count.saturating_sub(1) };
}
