//! The peers that hear the same octets.

use api::v1;
use serde::Serialize;

/// The update group of a peer.
#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    id: u64,
    members: Vec<String>,
    in_step: bool,
}

impl From<v1::UpdateGroup> for GroupView {
    fn from(group: v1::UpdateGroup) -> Self {
        Self { id: group.id, members: group.members, in_step: group.in_step }
    }
}

impl GroupView {
    /// It in one line.
    pub(super) fn line(&self) -> String {
        let alone = if self.in_step { "" } else { "; told alone now" };
        format!("{} of {}{alone}", self.id, self.members.join(","))
    }
}
