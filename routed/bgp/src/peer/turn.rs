//! Whose turn it is to dial.
//!
//! Two speakers that dial each other at once make two connections, one of
//! which ends again (RFC 4271 §6.8): needless work, and with peers that take a
//! second connection for a restart (RFC 4724 §5) or its end for an error it
//! costs the routes that a graceful restart was to keep. The RFC knows before
//! which of the two stays: that of the higher identifier. So the lower one
//! waits for it, once it knows that the other side is routed as well and will
//! dial; it waits for one connect-retry time, for the other side may be
//! passive, or behind a firewall, and it never delays a first session.

use super::collision::Rank;
use crate::conn::{ConnId, Up};

/// Who dials when a connection is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Both sides: nothing is known of the peer, or it is no routed, or ours
    /// is the connection that stays.
    Both,
    /// The peer; we dial when it has not come within a connect-retry time.
    Peer,
    /// The peer, but it came while it was refused, and will be long in coming
    /// again: we dial.
    Missed,
    /// The peer did not come, and this is our dial since.
    InVain(ConnId),
    /// We do: the peer did not come although it could be reached.
    Ours,
}

impl Turn {
    /// True when a connection is to be waited for.
    pub(super) fn waits(self) -> bool {
        self == Self::Peer
    }

    /// We dial.
    pub(super) fn dialled(&mut self, dial: ConnId) {
        if self.waits() {
            *self = Self::InVain(dial);
        }
    }

    /// A connection of the peer was refused.
    pub(super) fn refused(&mut self) {
        if self.waits() {
            *self = Self::Missed;
        }
    }

    /// The peer's OPEN is taken.
    pub(super) fn opened(&mut self, ours: Rank, up: &Up) {
        let theirs = (up.router_id, up.peer_as);
        *self = match *self {
            _ if !up.is_routed() || ours > theirs => Self::Both,
            Self::InVain(dial) if dial == up.conn => Self::Ours,
            Self::Ours if up.conn.is_dialled() => Self::Ours,
            _ => Self::Peer,
        };
    }
}
