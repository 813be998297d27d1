//! Prefixes gathered by what is said of them, and to whom.

use std::sync::Arc;

use indexmap::IndexMap;
use net::{Attrs, Family, Prefix};
use rustc_hash::FxBuildHasher;

use super::letter::{Line, Out, To};

/// Attributes are interned: equal ones are at one address.
type ReachKey = (Family, *const Attrs, To);

#[derive(Default)]
pub(super) struct Batch {
    unreach: IndexMap<(Family, To), Vec<Prefix>, FxBuildHasher>,
    reach: IndexMap<ReachKey, (Arc<Attrs>, Vec<Prefix>), FxBuildHasher>,
}

impl Batch {
    pub(super) fn unreach(&mut self, prefix: Prefix, to: To) {
        self.unreach.entry((prefix.family(), to)).or_default().push(prefix);
    }

    pub(super) fn reach(&mut self, prefix: Prefix, attrs: &Arc<Attrs>, to: To) {
        let key = (prefix.family(), Arc::as_ptr(attrs), to);
        self.reach.entry(key).or_insert_with(|| (Arc::clone(attrs), Vec::new())).1.push(prefix);
    }

    /// The lines: withdrawals, then what is reachable.
    pub(super) fn into_lines(self) -> Vec<Line> {
        let unreach = self.unreach.into_iter();
        let unreach =
            unreach.map(|((family, to), prefixes)| Line { to, out: Out::Unreach { family, prefixes } });
        let reach = self.reach.into_iter();
        let reach = reach.map(|((family, _, to), (attrs, prefixes))| Line {
            to,
            out: Out::Reach { family, attrs, prefixes },
        });
        unreach.chain(reach).collect()
    }
}
