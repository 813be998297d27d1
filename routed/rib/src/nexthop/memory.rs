//! What next hops resolve to, so that a million paths over ten next hops cost
//! ten searches, and so that it shows which of them changed.

use std::net::IpAddr;

use net::Prefix;
use rustc_hash::{FxHashMap, FxHashSet};

use super::search::{Scene, Solved, solve};
use super::{Hop, Layer, Resolved, Target, Wanted, lookup_key};
use crate::shared::Shared;
use crate::{Path, Why};

/// No pruning below this many next hops.
pub(super) const SMALL: usize = 1024;

/// What a next hop resolves to.
#[derive(Debug)]
struct Known {
    /// A user of its target.
    found: Result<Resolved, Why>,
    /// The next hops that it may resolve through: a change of one may be a
    /// change of this.
    needs: Box<[Wanted]>,
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Memory {
    known: FxHashMap<Wanted, Known>,
    /// Their addresses, in order.
    addresses: Vec<IpAddr>,
    prune_at: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { known: FxHashMap::default(), addresses: Vec::new(), prune_at: SMALL }
    }
}

impl Memory {
    /// What a next hop resolves to, if it was asked before.
    pub(super) fn get(&self, key: Wanted) -> Option<&Result<Resolved, Why>> {
        self.known.get(&key).map(|known| &known.found)
    }

    /// How many next hops are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The next hops that lie in a prefix.
    pub(super) fn addresses_in(&self, prefix: Prefix) -> impl Iterator<Item = IpAddr> + '_ {
        let first = self.addresses.partition_point(|address| *address < prefix.address());
        let rest = self.addresses[first..].iter().copied();
        rest.take_while(move |address| prefix.contains(*address))
    }

    /// Every next hop.
    pub(super) fn all(&self) -> FxHashSet<Wanted> {
        self.known.keys().copied().collect()
    }

    /// Those that lie in one of the prefixes.
    pub(super) fn inside(&self, prefixes: &FxHashSet<Prefix>) -> FxHashSet<Wanted> {
        let addresses = prefixes.iter().flat_map(|prefix| self.addresses_in(*prefix));
        let keys = addresses.flat_map(|address| [(Layer::Static, address), (Layer::Bgp, address)]);
        keys.filter(|key| self.known.contains_key(key)).collect()
    }

    /// Looks up next hops, and whatever they may resolve through.
    pub(super) fn learn(
        &mut self,
        scene: Scene<'_>,
        keys: impl IntoIterator<Item = Wanted>,
        targets: &mut Shared<Target>,
    ) {
        let known = |key| {
            let found = self.get(key)?.as_ref();
            Some(found.map(|to| (Target::clone(targets.get(to.target)), to.metric)).map_err(Why::clone))
        };
        for Solved { key, needs, outcome } in solve(scene, keys, known) {
            let found = outcome.map(|(target, metric)| Resolved { target: targets.intern(target), metric });
            self.known.insert(key, Known { found, needs });
            if let Err(place) = self.addresses.binary_search(&key.1) {
                self.addresses.insert(place, key.1);
            }
        }
    }

    /// Looks up the due next hops again, and all that may resolve through
    /// them; those that differ, and the ways that they led.
    pub(super) fn refresh(
        &mut self,
        scene: Scene<'_>,
        due: FxHashSet<Wanted>,
        targets: &mut Shared<Target>,
    ) -> (FxHashSet<Wanted>, Vec<Hop>) {
        let due = self.with_dependents(due);
        let before: Vec<(Wanted, Known)> =
            due.iter().filter_map(|key| self.known.remove_entry(key)).collect();
        self.learn(scene, due, targets);
        let (mut changed, mut left) = (FxHashSet::default(), Vec::new());
        for (key, before) in before {
            let differs = self.get(key) != Some(&before.found);
            if differs {
                changed.insert(key);
            }
            if let Ok(before) = before.found {
                if let (Target::Hops(hops), true) = (targets.get(before.target).as_ref(), differs) {
                    left.extend(hops);
                }
                targets.release(before.target);
            }
        }
        (changed, left)
    }

    /// Next hops, and all that may resolve through them in any number of steps.
    fn with_dependents(&self, mut due: FxHashSet<Wanted>) -> FxHashSet<Wanted> {
        let mut needing: FxHashMap<Wanted, Vec<Wanted>> = FxHashMap::default();
        if !due.is_empty() {
            for (key, known) in &self.known {
                known.needs.iter().for_each(|need| needing.entry(*need).or_default().push(*key));
            }
        }
        let mut queue: Vec<Wanted> = due.iter().copied().collect();
        while let Some(key) = queue.pop() {
            let dependents = needing.get(&key).into_iter().flatten();
            queue.extend(dependents.filter(|dependent| due.insert(**dependent)));
        }
        due
    }

    /// Forgets next hops that no path has any more, once there are many.
    pub(super) fn prune(&mut self, paths: &Shared<Path>, targets: &mut Shared<Target>) {
        if self.known.len() < self.prune_at {
            return;
        }
        let used: FxHashSet<Wanted> = paths.iter().filter_map(|(_, path)| lookup_key(path)).collect();
        self.known.retain(|key, known| {
            let stays = used.contains(key);
            if let Ok(found) = &known.found
                && !stays
            {
                targets.release(found.target);
            }
            stays
        });
        let known =
            |address| [Layer::Static, Layer::Bgp].map(|layer| self.known.contains_key(&(layer, address)));
        self.addresses.retain(|address| known(*address).contains(&true));
        self.prune_at = (2 * self.known.len()).max(SMALL);
    }
}
