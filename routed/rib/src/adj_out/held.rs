//! News that are not told yet: a route is told when packets can follow it.
//!
//! Whoever knows when a route is in the kernel says for each change whether it
//! is told at once ([`AdjOut::change`]) or held back ([`AdjOut::hold`]). What
//! peers were told of a held prefix holds on, for those who ask anew too; then
//! it is released, or retracted where the kernel refused it. What is kept is
//! what was told of those prefixes, and nothing where nobody holds anything.

use net::{Family, Prefix};
use rustc_hash::FxHashMap;

use super::{AdjOut, Post};
use crate::table::Best;
use crate::{Change, Offer, Offered, Offers, Table};

/// What was told of a prefix, while another thing holds in the table.
#[derive(Debug, Default)]
pub(super) struct Before {
    best: Option<Best>,
    /// The usable paths; `None` while they are those of the table.
    offers: Option<Offers>,
}

/// The prefixes with news that are held back.
pub(super) type Held = FxHashMap<Prefix, Before>;

/// The table as peers are told it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) table: &'a Table,
    pub(super) held: &'a Held,
}

impl<'a> View<'a> {
    /// What was told of a held prefix: the best path, or `several`.
    fn before(self, prefix: Prefix, several: bool) -> Option<Offers> {
        let before = self.held.get(&prefix)?;
        if several {
            return before.offers.clone();
        }
        Some(before.best.clone().map(Offer::best).into_iter().collect())
    }

    /// The best path of a prefix.
    pub(super) fn best(self, prefix: Prefix) -> Option<Best> {
        match self.held.get(&prefix) {
            Some(before) => before.best.clone(),
            None => self.table.best(prefix),
        }
    }

    /// What may be told of a prefix: the best path, or `several`.
    pub(super) fn tellable(self, prefix: Prefix, several: bool) -> Offers {
        self.before(prefix, several).unwrap_or_else(|| self.table.tellable(prefix, several))
    }

    /// The same for all prefixes of a family after one, or from the first on.
    pub(super) fn tellable_after(
        self,
        family: Family,
        after: Option<Prefix>,
        several: bool,
    ) -> impl Iterator<Item = (Prefix, Offers)> + 'a {
        self.table.tellable_after(family, after, several).filter_map(move |(prefix, offers)| {
            let offers = self.before(prefix, several).unwrap_or(offers);
            (!offers.is_empty()).then_some((prefix, offers))
        })
    }
}

impl<P: Post> AdjOut<P> {
    /// A best route changed, and peers are not to hear of it before
    /// [`AdjOut::release`], nor of any change of the prefix until then.
    pub fn hold(&mut self, change: &Change) {
        let first = || {
            let offers = change.old.is_none().then(Offers::new);
            Before { best: change.old.clone(), offers }
        };
        self.held.entry(change.prefix).or_insert_with(first);
    }

    /// True when news of a prefix are held back.
    pub fn holds(&self, prefix: Prefix) -> bool {
        self.held.contains_key(&prefix)
    }

    /// Tells what holds of a prefix, if news of it were held back; returns
    /// what that is for those who are told several paths.
    pub fn release(&mut self, table: &Table, prefix: Prefix) -> Option<Offered> {
        let Before { best, offers } = self.held.remove(&prefix)?;
        self.change(table, &Change { prefix, old: best, new: table.best(prefix) });
        let offered = Offered { prefix, old: offers?, new: table.offers(prefix) };
        self.offered(table, &offered);
        Some(offered)
    }

    /// Withdraws what was told of a prefix, and holds back what holds of it;
    /// returns the same.
    pub fn retract(&mut self, table: &Table, prefix: Prefix) -> Offered {
        let before = self.held.remove(&prefix);
        let Before { best, offers } =
            before.unwrap_or_else(|| Before { best: table.best(prefix), offers: None });
        self.change(table, &Change { prefix, old: best, new: None });
        let old = offers.unwrap_or_else(|| table.offers(prefix));
        let offered = Offered { prefix, old, new: Offers::new() };
        self.offered(table, &offered);
        if table.best(prefix).is_some() {
            self.held.insert(prefix, Before { best: None, offers: Some(Offers::new()) });
        }
        offered
    }

    /// Keeps what was told of the usable paths of a held prefix; false where
    /// it is not held.
    pub(super) fn holds_offered(&mut self, offered: &Offered) -> bool {
        let Some(before) = self.held.get_mut(&offered.prefix) else { return false };
        before.offers.get_or_insert_with(|| offered.old.clone());
        true
    }
}
