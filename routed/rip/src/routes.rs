//! The routes of a table by prefix, in places that do not move.
//!
//! ```text
//!  prefix ─► hash ─► place ─► (prefix, route)
//! ```
//! One update cycle looks each route up once for each neighbour that tells
//! it, and walks all of them once for each destination. So the lookup is a
//! hash, and the walk goes over places in a row; where it has got to is a
//! number, which stays right while routes come and go. Routes are in no order.
//!
//! A neighbour tells its routes in the order in which it told them before, and
//! so in the order of their places: the place after the last one is tried
//! before the hash, which for a big table is a walk through cold memory.

use net::Prefix;
use rustc_hash::FxHashMap;

use crate::table::Route;

/// All routes.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    index: FxHashMap<Prefix, usize>,
    places: Vec<Option<(Prefix, Route)>>,
    free: Vec<usize>,
    /// The place after the one that was looked up last.
    next: usize,
}

impl Routes {
    pub(crate) fn get(&self, prefix: &Prefix) -> Option<&Route> {
        let (_, route) = self.places.get(*self.index.get(prefix)?)?.as_ref()?;
        Some(route)
    }

    pub(crate) fn get_mut(&mut self, prefix: &Prefix) -> Option<&mut Route> {
        let here = self.places.get(self.next).and_then(Option::as_ref);
        let place = if here.is_some_and(|(found, _)| found == prefix) {
            self.next
        } else {
            *self.index.get(prefix)?
        };
        self.next = place + 1;
        let (_, route) = self.places.get_mut(place)?.as_mut()?;
        Some(route)
    }

    /// The route of a prefix, which is made if there is none.
    pub(crate) fn entry(&mut self, prefix: Prefix) -> &mut Route {
        let Self { index, places, free, .. } = self;
        let place = *index.entry(prefix).or_insert_with(|| {
            free.pop().unwrap_or_else(|| {
                places.push(None);
                places.len() - 1
            })
        });
        &mut places[place].get_or_insert_with(|| (prefix, Route::default())).1
    }

    /// The routes from a place on, each with its place.
    pub(crate) fn from(&self, place: usize) -> impl Iterator<Item = (usize, &Prefix, &Route)> {
        let rest = self.places.iter().enumerate().skip(place);
        rest.filter_map(|(place, taken)| taken.as_ref().map(|(prefix, route)| (place, prefix, route)))
    }

    /// Removes the routes of which `keep` says no.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Prefix, &Route) -> bool) {
        for (place, taken) in self.places.iter_mut().enumerate() {
            if let Some((prefix, _)) = taken.take_if(|(prefix, route)| !keep(prefix, route)) {
                self.index.remove(&prefix);
                self.free.push(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(n: u8) -> Prefix {
        Prefix::from(([10, n, 0, 0].into(), 16))
    }

    fn walk(routes: &Routes, from: usize) -> Vec<(usize, Prefix)> {
        routes.from(from).map(|(place, prefix, _)| (place, *prefix)).collect()
    }

    #[test]
    fn a_route_is_found_whatever_was_looked_up_before() {
        let mut routes = Routes::default();
        (0..4).for_each(|n| drop(routes.entry(prefix(n)).clone()));
        routes.retain(|found, _| *found != prefix(2));
        for n in [0, 1, 2, 3, 3, 0, 9, 1] {
            assert_eq!(routes.get_mut(&prefix(n)).is_some(), n < 4 && n != 2, "{n}");
        }
    }

    #[test]
    fn places_do_not_move_and_are_used_again() {
        let mut routes = Routes::default();
        (0..4).for_each(|n| drop(routes.entry(prefix(n)).clone()));
        routes.entry(prefix(2));
        routes.retain(|found, _| *found != prefix(1));
        assert!(routes.get(&prefix(1)).is_none() && routes.get_mut(&prefix(1)).is_none());
        assert!(routes.get(&prefix(3)).is_some());
        assert_eq!(walk(&routes, 0), [(0, prefix(0)), (2, prefix(2)), (3, prefix(3))]);
        routes.entry(prefix(9));
        assert_eq!(walk(&routes, 1), [(1, prefix(9)), (2, prefix(2)), (3, prefix(3))]);
        assert_eq!(walk(&routes, 4), []);
    }
}
