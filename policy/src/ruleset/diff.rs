//! What turns the installed ruleset into the wanted one.

use super::Ruleset;

/// One atomic step of the kernel from one ruleset to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// They are the same.
    Nothing,
    /// The table is deleted and made anew, in one step: no packet meets a
    /// moment without filter. Counters begin at zero.
    Replace(Ruleset),
}

/// The transaction from what is installed to what is wanted. `None` when what
/// is installed is not known: at start, or when somebody else touched it.
pub fn diff(installed: Option<&Ruleset>, wanted: &Ruleset) -> Transaction {
    if installed == Some(wanted) { Transaction::Nothing } else { Transaction::Replace(wanted.clone()) }
}

impl Transaction {
    /// What is installed once the kernel has taken it.
    pub fn apply(self, installed: Ruleset) -> Ruleset {
        match self {
            Self::Nothing => installed,
            Self::Replace(wanted) => wanted,
        }
    }

    /// The transaction for `nft -j -f -`; `None` when there is nothing to do.
    pub fn json(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Replace(wanted) => Some(wanted.json()),
        }
    }
}
