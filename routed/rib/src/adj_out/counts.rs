//! How many paths the members of a group are told.

use net::Family;
use rustc_hash::FxHashMap;

use super::group::Group;
use super::held::View;
use super::told::{Exporter, Scene};
use crate::PeerId;

/// A number for each family, by [`Family::index`].
pub(super) type ByFamily = [usize; Family::ALL.len()];

/// Members that do not see a path.
pub(super) type Hidden = [Option<PeerId>; 2];

/// How many paths a group is told, and how many of them a peer does not see.
#[derive(Debug, Default)]
pub(super) struct Counts {
    told: ByFamily,
    hidden: FxHashMap<PeerId, ByFamily>,
}

impl Counts {
    /// A path was told, hidden from these, and is told, hidden from those.
    pub(super) fn moved(&mut self, family: Family, was: Option<Hidden>, is: Option<Hidden>) {
        if let Some(hidden) = was {
            self.adjust(family, hidden, |number| *number -= 1);
        }
        if let Some(hidden) = is {
            self.adjust(family, hidden, |number| *number += 1);
        }
    }

    fn adjust(&mut self, family: Family, hidden: Hidden, step: impl Fn(&mut usize)) {
        let index = family.index();
        step(&mut self.told[index]);
        for id in hidden.into_iter().flatten() {
            step(&mut self.hidden.entry(id).or_default()[index]);
        }
    }

    /// What a member sees of that.
    fn of(&self, id: PeerId) -> ByFamily {
        let hidden = self.hidden.get(&id).copied().unwrap_or_default();
        Family::ALL.map(|family| self.told[family.index()] - hidden[family.index()])
    }
}

impl<F: Clone, L: Clone> Group<F, L> {
    /// How many paths a member is told. The first question walks the table.
    pub(super) fn count(&mut self, view: View<'_>, scene: &mut Scene<'_>, id: PeerId) -> ByFamily {
        let counts =
            self.counts.take().unwrap_or_else(|| self.walk(view, scene, |group| &mut group.exporter));
        self.counts.insert(counts).of(id)
    }

    /// How many it would be told if the filter let everything pass as it is.
    pub(super) fn count_before(&mut self, view: View<'_>, scene: &mut Scene<'_>, id: PeerId) -> ByFamily {
        let counts = self.before.take().unwrap_or_else(|| self.walk(view, scene, Self::unfiltered));
        self.before.insert(counts).of(id)
    }

    fn walk(
        &mut self,
        view: View<'_>,
        scene: &mut Scene<'_>,
        by: impl Fn(&mut Self) -> &mut Exporter<F>,
    ) -> Counts {
        let mut counts = Counts::default();
        for family in Family::ALL {
            let several = self.exporter.several(family);
            for (prefix, offers) in view.tellable_after(family, None, several) {
                for (_, told) in by(self).all(scene, prefix, &offers) {
                    counts.moved(family, None, Some(self.hidden(Some(&told))));
                }
            }
        }
        counts
    }
}
