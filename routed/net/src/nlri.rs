//! A prefix as a peer says it: with the number of the path, where there are several.

use crate::Prefix;

/// A prefix as it stands in an UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nlri {
    /// The path identifier (RFC 7911 §3); 0 where add-path is not in use.
    pub path_id: u32,
    /// The prefix.
    pub prefix: Prefix,
}

impl From<Prefix> for Nlri {
    fn from(prefix: Prefix) -> Self {
        Self { path_id: 0, prefix }
    }
}
