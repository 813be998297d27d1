//! Prefixes gathered by what is said of them, and to whom.

use std::sync::Arc;

use indexmap::IndexMap;
use net::{Attrs, Family, Nlri};
use rustc_hash::FxBuildHasher;

use super::letter::{Line, Out, To};

/// Attributes are interned: equal ones are at one address.
type ReachKey = (Family, *const Attrs, To);

#[derive(Default)]
pub(super) struct Batch {
    unreach: IndexMap<(Family, To), Vec<Nlri>, FxBuildHasher>,
    reach: IndexMap<ReachKey, (Arc<Attrs>, Vec<Nlri>), FxBuildHasher>,
}

impl Batch {
    pub(super) fn unreach(&mut self, nlri: Nlri, to: To) {
        self.unreach.entry((nlri.prefix.family(), to)).or_default().push(nlri);
    }

    pub(super) fn reach(&mut self, nlri: Nlri, attrs: &Arc<Attrs>, to: To) {
        let key = (nlri.prefix.family(), Arc::as_ptr(attrs), to);
        self.reach.entry(key).or_insert_with(|| (Arc::clone(attrs), Vec::new())).1.push(nlri);
    }

    /// The lines: withdrawals, then what is reachable.
    pub(super) fn into_lines(self) -> Vec<Line> {
        let unreach = self.unreach.into_iter();
        let unreach = unreach.map(|((family, to), nlri)| Line { to, out: Out::Unreach { family, nlri } });
        let reach = self.reach.into_iter();
        let reach = reach
            .map(|((family, _, to), (attrs, nlri))| Line { to, out: Out::Reach { family, attrs, nlri } });
        unreach.chain(reach).collect()
    }
}
