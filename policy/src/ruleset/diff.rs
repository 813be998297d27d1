//! What turns the installed ruleset into the wanted one.

use std::collections::BTreeMap;

use super::{Ruleset, Set, VerdictMap};

/// One atomic step of the kernel from one ruleset to another: no packet meets
/// a moment without filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// They are the same.
    Nothing,
    /// Only elements of sets and maps differ, as when a container comes or
    /// goes. Rules stay, and so do their counters.
    Elements(Elements),
    /// The table is deleted and made anew. Counters begin at zero.
    Replace(Ruleset),
}

/// Sets and maps whose elements change, as they shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elements {
    pub(super) sets: BTreeMap<String, Set>,
    pub(super) maps: BTreeMap<String, VerdictMap>,
}

/// The transaction from what is installed to what is wanted. `None` when what
/// is installed is not known: at start, or when somebody else touched it.
pub fn diff(installed: Option<&Ruleset>, wanted: &Ruleset) -> Transaction {
    let Some(installed) = installed else { return Transaction::Replace(wanted.clone()) };
    if installed == wanted {
        return Transaction::Nothing;
    }
    let same_sets = installed.sets.iter().map(|(name, set)| (name, set.kind));
    let same_sets = same_sets.eq(wanted.sets.iter().map(|(name, set)| (name, set.kind)));
    if !same_sets || !installed.maps.keys().eq(wanted.maps.keys()) || installed.chains != wanted.chains {
        return Transaction::Replace(wanted.clone());
    }
    Transaction::Elements(Elements {
        sets: changed(&installed.sets, &wanted.sets),
        maps: changed(&installed.maps, &wanted.maps),
    })
}

fn changed<T: Clone + PartialEq>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
) -> BTreeMap<String, T> {
    let differs = |(name, value): &(&String, &T)| old.get(*name) != Some(*value);
    new.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl Transaction {
    /// What is installed once the kernel has taken it.
    pub fn apply(self, mut installed: Ruleset) -> Ruleset {
        match self {
            Self::Nothing => installed,
            Self::Elements(elements) => {
                installed.sets.extend(elements.sets);
                installed.maps.extend(elements.maps);
                installed
            }
            Self::Replace(wanted) => wanted,
        }
    }

    /// The transaction for `nft -j -f -`; `None` when there is nothing to do.
    pub fn json(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Elements(elements) => Some(elements.json()),
            Self::Replace(wanted) => Some(wanted.json()),
        }
    }
}
