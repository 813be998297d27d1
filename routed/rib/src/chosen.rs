//! How many best routes there are, and whose: counted as decisions are taken.
//!
//! Nothing is kept of a route. A prefix costs something only when it gets a
//! best route, loses it, or gets that of another source: one look at a map of
//! peers. Changes of a route that stays with its source cost a comparison.

use net::Family;
use rustc_hash::FxHashMap;

use crate::{PeerId, Source, Table};

/// A number for each family, by [`Family::index`].
type ByFamily = [usize; Family::ALL.len()];

/// The count; see the module's page.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    all: ByFamily,
    /// By peer, and no peer with none. What a peer that has gone told last
    /// counts until the decision that takes it away.
    peers: FxHashMap<PeerId, ByFamily>,
}

impl Chosen {
    /// The best route of a prefix was of this source and is of that.
    pub(crate) fn moved(&mut self, family: Family, was: Option<Source>, is: Option<Source>) {
        if was == is {
            return;
        }
        let index = family.index();
        self.all[index] = self.all[index] + usize::from(is.is_some()) - usize::from(was.is_some());
        if let Some(Source::Peer(id)) = is {
            self.peers.entry(id).or_default()[index] += 1;
        }
        if let Some(Source::Peer(id)) = was
            && let Some(count) = self.peers.get_mut(&id)
        {
            count[index] -= 1;
            if *count == ByFamily::default() {
                self.peers.remove(&id);
            }
        }
    }
}

impl Table {
    /// How many prefixes have a usable path, as the world was last told.
    pub fn told(&self) -> usize {
        self.chosen.all.iter().sum()
    }

    /// How many prefixes of a family have a usable path.
    pub fn told_of(&self, family: Family) -> usize {
        self.chosen.all[family.index()]
    }

    /// Of how many prefixes of a family the best route is a peer's, as the
    /// world was last told. Where several paths share the traffic, the best
    /// counts alone.
    pub fn best_routes_of(&self, id: PeerId, family: Family) -> usize {
        self.chosen.peers.get(&id).map_or(0, |count| count[family.index()])
    }
}

#[cfg(test)]
mod tests;
