//! Which of two connections stays (RFC 4271 §6.8, RFC 6286 §2.3).

use net::{Asn, RouterId};

use crate::conn::ConnId;

/// One speaker as the comparison sees it: the identifier first, the AS number
/// where both identifiers are equal (RFC 6286 §2.3).
pub(crate) type Rank = (RouterId, Asn);

/// True when `new`, on which the peer's OPEN has just come, stays, and `old`
/// goes. Of two connections the one stays that the higher speaker has dialled;
/// both ends come to the same answer. Two of one direction: the peer
/// has given up the older.
pub(crate) fn new_stays(ours: Rank, theirs: Rank, old: ConnId, new: ConnId) -> bool {
    if old.is_dialled() == new.is_dialled() {
        return true;
    }
    new.is_dialled() == (ours > theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALLED: ConnId = ConnId::Dialled(1);
    const ACCEPTED: ConnId = ConnId::Accepted(1);

    fn rank(id: &str, asn: u32) -> Rank {
        (id.parse().unwrap(), Asn(asn))
    }

    #[test]
    fn the_connection_of_the_higher_identifier_stays_whichever_is_newer() {
        let (low, high) = (rank("10.0.0.1", 9), rank("192.0.2.1", 1));
        for (ours, theirs, stays) in [(low, high, ACCEPTED), (high, low, DIALLED)] {
            assert_eq!(new_stays(ours, theirs, DIALLED, ACCEPTED), stays == ACCEPTED);
            assert_eq!(new_stays(ours, theirs, ACCEPTED, DIALLED), stays == DIALLED);
        }
    }

    #[test]
    fn equal_identifiers_are_decided_by_the_as_number() {
        let (low, high) = (rank("10.0.0.1", 64512), rank("10.0.0.1", 4_200_000_000));
        assert!(new_stays(low, high, DIALLED, ACCEPTED));
        assert!(new_stays(high, low, ACCEPTED, DIALLED));
        assert!(!new_stays(high, low, DIALLED, ACCEPTED));
    }

    #[test]
    fn both_ends_keep_the_same_connection() {
        for (a, b) in [(rank("1.0.0.1", 1), rank("1.0.0.2", 1)), (rank("1.0.0.1", 2), rank("1.0.0.1", 1))] {
            // What `a` has dialled, `b` has accepted.
            let a_keeps_its_own = new_stays(a, b, ACCEPTED, DIALLED);
            let b_keeps_its_own = new_stays(b, a, ACCEPTED, DIALLED);
            assert_ne!(a_keeps_its_own, b_keeps_its_own);
        }
    }
}
