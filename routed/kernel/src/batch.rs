//! Changes on their way to the writer, twenty octets each: the few routes that
//! they share stand once, beside them.

use net::Prefix;

use crate::FibRoute;

/// How many changes a batch holds at most, so that a queue of batches has a
/// known size and the writer can begin early.
const CHANGES: usize = 4096;

/// How many routes of a batch are looked at to find the same one.
const LOOK_BACK: usize = 16;

/// Changes to the routes that are desired, in their order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// By which [`crate::FibEvent::Settled`] names it; numbers grow.
    pub number: u64,
    /// More batches follow at once. Routes that nobody wants any more are kept
    /// meanwhile: what has another path moves first, and when all routes of a
    /// source go, they go together.
    pub more: bool,
    routes: Vec<FibRoute>,
    changes: Vec<(Prefix, u16)>,
}

/// A route that stands in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InBatch(u16);

impl Batch {
    /// An empty batch with a number.
    pub fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// Notes a route that prefixes of this batch can have.
    pub fn route(&mut self, route: FibRoute) -> InBatch {
        // Neighbours tend to go the same way; the writer knows equal ones anyway.
        let from = self.routes.len().saturating_sub(LOOK_BACK);
        let known = self.routes[from..].iter().rposition(|known| *known == route).map(|place| from + place);
        let place = known.unwrap_or_else(|| {
            self.routes.push(route);
            self.routes.len() - 1
        });
        InBatch(u16::try_from(place + 1).unwrap_or(u16::MAX))
    }

    /// Adds a change; `None` wants no route of ours for the prefix.
    pub fn push(&mut self, prefix: Prefix, route: Option<InBatch>) {
        self.changes.push((prefix, route.map_or(0, |route| route.0)));
    }

    /// True when another change belongs into another batch.
    pub fn is_full(&self) -> bool {
        self.changes.len() >= CHANGES
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The prefixes that change.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.changes.iter().map(|(prefix, _)| *prefix)
    }

    /// The routes, then the changes: for each prefix the place of its route
    /// among them plus one, or 0.
    pub(crate) fn into_parts(self) -> (Vec<FibRoute>, Vec<(Prefix, u16)>) {
        (self.routes, self.changes)
    }
}
