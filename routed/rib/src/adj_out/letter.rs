//! What is told, for whom, and the border to whoever writes and sends it.

use std::fmt::Debug;
use std::sync::Arc;

use net::{Attrs, Family, Nlri};

use crate::PeerId;

/// Something to tell a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// These prefixes are reachable with these attributes.
    Reach {
        /// The family of the prefixes.
        family: Family,
        /// Their attributes.
        attrs: Arc<Attrs>,
        /// The prefixes, with path identifiers where the peer is told several paths.
        nlri: Vec<Nlri>,
    },
    /// These are reachable no more; the peer has been told of each.
    Unreach {
        /// The family of the prefixes.
        family: Family,
        /// The prefixes, with path identifiers where the peer is told several paths.
        nlri: Vec<Nlri>,
    },
    /// The peer has now heard all there was when its session came up
    /// (RFC 4724 §2).
    EndOfRib(Family),
    /// All routes of a family follow again (RFC 7313 §4).
    RefreshBegin(Family),
    /// They have all been told again (RFC 7313 §4).
    RefreshEnd(Family),
}

/// The members of a group that a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// Everybody but these: who told it (RFC 4271 §9.1.3), and whom it leads to.
    AllBut([Option<PeerId>; 2]),
    /// This one alone.
    Only(PeerId),
}

impl To {
    /// Everybody.
    pub const ALL: Self = Self::AllBut([None; 2]);

    /// True when the line is for this peer.
    pub fn reaches(self, id: PeerId) -> bool {
        match self {
            Self::AllBut(others) => !others.contains(&Some(id)),
            Self::Only(only) => only == id,
        }
    }
}

/// One thing that a letter says, and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who is to read it.
    pub to: To,
    /// What it says.
    pub out: Out,
}

/// Whoever writes letters and carries them to the peers.
pub trait Post {
    /// What sessions must have in common to be sent the same octets.
    type Format: Clone + Debug + PartialEq;
    /// A letter: written once, shared by all who get it.
    type Letter: Clone + Debug;

    /// True when a letter can tell a route with these attributes; one that it
    /// cannot is not told at all.
    fn fits(format: &Self::Format, family: Family, attrs: &Attrs) -> bool;

    /// Writes a letter. Withdrawals stand before what is reachable.
    fn write(&mut self, format: &Self::Format, lines: &[Line]) -> Self::Letter;

    /// Hands a letter to a peer, which reads the lines that are for it, after
    /// all that it was handed before.
    fn hand(&mut self, to: PeerId, letter: &Self::Letter);

    /// The octets of letters that a peer was handed and that it has not begun
    /// to send.
    fn unsent(&self, id: PeerId) -> usize;

    /// Asks for a call of [`AdjOut::deliver`](super::AdjOut::deliver) when a
    /// peer has nothing unsent.
    fn call_back(&mut self, id: PeerId);
}
