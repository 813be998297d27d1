//! Which peers hear the same octets.

use net::Family;

use super::{AdjOut, Post, Standing};
use crate::PeerId;

/// The update group of a peer, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    /// Which group it is: counted from 1, and never used again for another.
    pub number: u64,
    /// Who is in it, the peer itself too, by number.
    pub members: Vec<PeerId>,
    /// The peer is handed every letter of the group. False while it is told
    /// alone: at first, after a refresh, and when it is far behind.
    pub in_step: bool,
}

impl<P: Post> AdjOut<P> {
    /// True when a peer has been handed all that there was of a family when its
    /// session came up, and the end of it (RFC 4724 §2). Ask for the families
    /// of its session.
    pub fn has_ended(&self, id: PeerId, family: Family) -> bool {
        self.members.get(&id).is_some_and(|member| match &member.standing {
            Standing::InStep => true,
            Standing::Alone(alone) => !alone.starts(family),
        })
    }

    /// Who hears the same octets as a peer; `None` without a session.
    pub fn together(&self, id: PeerId) -> Option<Together> {
        let member = self.members.get(&id)?;
        let group = self.groups[member.group].as_ref()?;
        let mut members: Vec<PeerId> = group.ids().collect();
        members.sort_unstable();
        let in_step = matches!(member.standing, Standing::InStep);
        Some(Together { number: group.number, members, in_step })
    }
}
