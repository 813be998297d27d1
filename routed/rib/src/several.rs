//! Several paths to a prefix, for peers that are told more than the best (RFC 7911).
//!
//! As long as somebody is told several paths ([`Table::tell_several`]), each
//! decision brings beside its [`Change`](crate::Change) an [`Offered`]: the
//! usable paths before and after, best first. What there was before has to be
//! known even when the path it came from has gone; it is kept here, beside the
//! table, for those prefixes only where it is not the best path alone. So a
//! node whose peers are all told the best path pays nothing.
//!
//! # Path identifiers
//!
//! An identifier is chosen here and says nothing to others (RFC 7911 §3). The
//! path of a source that has one path to a prefix is named by the source: by
//! calculation, and the same for ever. A path that is one of several of its
//! source gets the next number of a counter, in the upper half of all numbers,
//! and keeps it as long as it is usable. A number comes again after two
//! thousand million others, so no late withdrawal can meet another path.

use std::sync::Arc;

use net::{Family, Prefix};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::decide::{Candidate, rank};
use crate::dest::{Dest, Slot};
use crate::export::Outbound;
use crate::nexthop::Resolved;
use crate::shared::Id;
use crate::table::Best;
use crate::{Path, PeerId, Protocol, Source, Table};

/// The smallest identifier of a path that is one of several of its source.
const COUNTED: u32 = 1 << 31;
/// Identifiers below this are of the paths of this node itself.
const PEERS: u32 = 16;

/// A usable path, as peers may be told it.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its path identifier; 0 where only the best path is told.
    pub id: u32,
    /// The path.
    pub path: Arc<Path>,
    /// The metric to its next hop where it is accumulated (RFC 7311), else 0.
    pub metric: u32,
}

impl PartialEq for Offer {
    /// Equal when both are the same path and say the same; paths are interned.
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.metric) == (other.id, other.metric) && Arc::ptr_eq(&self.path, &other.path)
    }
}

impl Offer {
    /// The best path, for those who are told nothing else.
    pub(crate) fn best(best: Best) -> Self {
        Self { id: 0, path: best.path, metric: best.metric }
    }
}

impl<'a> From<&'a Offer> for Outbound<'a> {
    fn from(offer: &'a Offer) -> Self {
        Self { path: &offer.path, metric: offer.metric }
    }
}

/// The usable paths of a prefix, the best first.
pub type Offers = SmallVec<[Offer; 1]>;

/// The usable paths of a prefix are not what they were; `old != new`.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// The prefix.
    pub prefix: Prefix,
    /// What peers may have been told before.
    pub old: Offers,
    /// What holds now.
    pub new: Offers,
}

/// A path that peers may have been told.
#[derive(Clone, Copy, Debug)]
struct Spoken {
    id: u32,
    /// The path identifier that it came with.
    path_id: u32,
    path: Id<Path>,
    metric: u32,
}

/// What peers may have been told; see the module's page.
#[derive(Debug, Default)]
pub(crate) struct Several {
    /// Where it is not the best path alone, best first.
    spoken: FxHashMap<Prefix, Box<[Spoken]>>,
    news: Vec<Offered>,
    counter: u32,
}

impl Several {
    /// A number that no path of the prefix has.
    fn next(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            let id = COUNTED | self.counter;
            self.counter = self.counter.wrapping_add(1);
            if !taken(id) {
                return id;
            }
        }
    }
}

/// The identifier of the only path of a source to a prefix.
fn of_source(path: &Path) -> u32 {
    match path.source {
        Source::Local => {
            let place = (1..PEERS).zip(Protocol::ALL).find(|(_, protocol)| *protocol == path.protocol);
            place.map_or(PEERS, |(place, _)| place)
        }
        // The daemon numbers its peers from 1 on.
        Source::Peer(PeerId(number)) => PEERS.wrapping_add(number) % COUNTED,
    }
}

impl Table {
    /// Begins to say which usable paths there are beside the best ones, or
    /// ends that. When it begins, all is decided anew; whoever is told several
    /// paths comes after the changes that follow have been taken.
    pub fn tell_several(&mut self, on: bool) {
        if on == self.several.is_some() {
            return;
        }
        if on {
            self.several = Some(Several::default());
            self.pending.decide_all();
        } else if let Some(several) = self.several.take() {
            let spoken = several.spoken.into_values().flatten();
            spoken.for_each(|spoken| self.paths.release(spoken.path));
        }
    }

    /// The prefixes whose usable paths changed, of those that
    /// [`Table::take_changes`] has decided since the last call.
    pub fn take_offered(&mut self) -> Vec<Offered> {
        self.several.as_mut().map(|several| std::mem::take(&mut several.news)).unwrap_or_default()
    }

    /// The usable paths of a prefix as the world was last told, best first.
    pub fn offers(&self, prefix: Prefix) -> Offers {
        let Some(dest) = self.dests.get(prefix) else { return Offers::new() };
        self.offers_of(prefix, dest)
    }

    fn offers_of(&self, prefix: Prefix, dest: &Dest) -> Offers {
        if let Some(spoken) = self.several.as_ref().and_then(|several| several.spoken.get(&prefix)) {
            let offer = |spoken: &Spoken| Offer {
                id: spoken.id,
                path: Arc::clone(self.paths.get(spoken.path)),
                metric: spoken.metric,
            };
            return spoken.iter().map(offer).collect();
        }
        let best = dest.told().map(|told| Offer::best(self.best_from(told)));
        best.map(|best| Offer { id: of_source(&best.path), ..best }).into_iter().collect()
    }

    /// What may be told of a prefix: the best path, or `several`.
    pub(crate) fn tellable(&self, prefix: Prefix, several: bool) -> Offers {
        if several {
            return self.offers(prefix);
        }
        self.best(prefix).map(Offer::best).into_iter().collect()
    }

    /// The same for all prefixes of a family after one, or from the first on.
    pub(crate) fn tellable_after(
        &self,
        family: Family,
        after: Option<Prefix>,
        several: bool,
    ) -> impl Iterator<Item = (Prefix, Offers)> + '_ {
        let rest = after.map_or_else(|| self.dests.iter_of(family), |after| self.dests.iter_after(after));
        let of_family = rest.take_while(move |(prefix, _)| prefix.family() == family);
        of_family.filter_map(move |(prefix, dest)| {
            let told = dest.told()?;
            let offers = if several {
                self.offers_of(prefix, dest)
            } else {
                Offers::from_iter([Offer::best(self.best_from(told))])
            };
            Some((prefix, offers))
        })
    }

    /// Holds what is usable of a prefix that has just been decided against
    /// what was.
    pub(crate) fn offer(&mut self, prefix: Prefix, old: Offers) {
        let usable = self.ranked(prefix);
        let Self { several: Some(several), paths, .. } = self else { return };
        let before = several.spoken.remove(&prefix).unwrap_or_default();
        let key = |path: Id<Path>| (paths.get(path).source, paths.get(path).protocol);
        let mut spoken: SmallVec<[Spoken; 4]> = SmallVec::with_capacity(usable.len());
        for (path, path_id, metric) in usable {
            let same = |other: &&Spoken| other.path_id == path_id && key(other.path) == key(path);
            let id = match before.iter().find(same) {
                _ if path_id == 0 => of_source(paths.get(path)),
                Some(known) => known.id,
                None => several.next(|id| before.iter().chain(&spoken).any(|other| other.id == id)),
            };
            spoken.push(Spoken { id, path_id, path, metric });
        }
        // The best path alone is known to the table.
        if !matches!(spoken.as_slice(), [] | [Spoken { path_id: 0, .. }]) {
            spoken.iter().for_each(|spoken| paths.hold(spoken.path));
            several.spoken.insert(prefix, spoken.as_slice().into());
        }
        before.iter().for_each(|spoken| paths.release(spoken.path));
        let new = self.offers(prefix);
        if let Some(several) = self.several.as_mut().filter(|_| old != new) {
            several.news.push(Offered { prefix, old, new });
        }
    }

    /// The usable paths of a prefix, best first: what each says, the path
    /// identifier it came with, and the metric where it is accumulated.
    fn ranked(&mut self, prefix: Prefix) -> SmallVec<[(Id<Path>, u32, u32); 4]> {
        let slots = match self.dests.get(prefix) {
            None | Some(Dest::Nothing) => return SmallVec::new(),
            Some(Dest::One(one)) => {
                return one.told().map(|told| (told.path, 0, 0)).into_iter().collect();
            }
            Some(Dest::Many(many)) => many.slots.clone(),
        };
        let mut usable: SmallVec<[(&Slot, Resolved); 4]> = SmallVec::new();
        for slot in &slots {
            if let Ok(resolved) = self.usable(prefix, slot.path) {
                usable.push((slot, resolved));
            }
        }
        let candidates: SmallVec<[Candidate<'_>; 4]> = usable
            .iter()
            .map(|(slot, resolved)| self.candidate(slot, self.paths.get(slot.path), resolved.metric))
            .collect();
        let ranked = rank(&candidates, self.rules()).into_iter().map(|index| {
            let (slot, resolved) = &usable[index];
            let accumulates = self.paths.get(slot.path).attrs().aigp.is_some();
            (slot.path, slot.path_id, if accumulates { resolved.metric } else { 0 })
        });
        let ranked = ranked.collect();
        drop(candidates);
        usable.iter().for_each(|(_, resolved)| self.targets.release(resolved.target));
        ranked
    }
}

#[cfg(test)]
mod tests;
