//! What became of the routes that a peer has told, counted as they came.

use crate::dest::Put;
use crate::{Path, PeerId, Table, Why};

/// Counters of one peer, which only grow while the table knows it.
///
/// [`Counts`](crate::Counts) says what there is; this says what has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Announcements that the import filter refused.
    pub filtered: u64,
    /// Announcements that said what was there already.
    pub duplicates: u64,
    /// Withdrawals of what was not there.
    pub unknown: u64,
    /// Announcements refused for our cluster in their `CLUSTER_LIST`.
    pub cluster_loops: u64,
    /// Announcements refused for our AS in their `AS_PATH`.
    pub as_loops: u64,
    /// Announcements refused for our identifier as their `ORIGINATOR_ID`.
    pub originator_loops: u64,
    /// Announcements refused for our AS in a confederation segment.
    pub confederation_loops: u64,
}

impl Tally {
    /// An announcement has become this path.
    pub(crate) fn announced(&mut self, put: Put, path: &Path) {
        self.duplicates += u64::from(put == Put::Same);
        let Err(why) = &path.imported else { return };
        match why {
            Why::FilterRule { .. } | Why::FilterEnd(_) => self.filtered += 1,
            Why::ClusterLoop(_) => self.cluster_loops += 1,
            Why::OriginatorLoop => self.originator_loops += 1,
            Why::AsLoop(asn) if path.received.as_path.count_inside(*asn) > 0 => self.confederation_loops += 1,
            Why::AsLoop(_) => self.as_loops += 1,
            _ => {}
        }
    }
}

impl Table {
    /// What has come from a peer; nothing of one that is unknown.
    pub fn tally(&self, id: PeerId) -> Tally {
        self.peers.get(&id).map_or_else(Tally::default, |peer| peer.tally)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use net::{Attrs, SegmentKind};

    use super::*;
    use crate::fixture::{OURS, attrs, p, peer, table};
    use crate::{PeerInfo, filter};

    #[test]
    fn each_fate_of_a_route_has_its_counter() {
        let now = Instant::now();
        let from = PeerInfo { import: Arc::new(filter::cluster_only(&[p("10.0.0.0/8")])), ..peer(1, OURS) };
        let mut t = table(now, std::slice::from_ref(&from));
        let mut tell = |prefix: &str, change: &dyn Fn(&mut Attrs)| {
            let mut told = Attrs::clone(&attrs(&[65009], "192.0.2.1"));
            change(&mut told);
            t.update(now, from.id, [(p(prefix), 0)], &Arc::new(told)).unwrap();
            t.tally(from.id)
        };
        let mut wanted = Tally::default();
        assert_eq!(tell("10.1.0.0/16", &|_| {}), wanted);
        wanted.duplicates += 1;
        assert_eq!(tell("10.1.0.0/16", &|_| {}), wanted);
        assert_eq!(tell("10.1.0.0/16", &|a| a.med = Some(1)), wanted, "that is news");
        wanted.filtered += 1;
        assert_eq!(tell("172.16.0.0/16", &|_| {}), wanted);
        wanted.cluster_loops += 1;
        assert_eq!(tell("10.2.0.0/16", &|a| a.cluster_list.push([192, 0, 2, 254].into())), wanted);
        wanted.originator_loops += 1;
        assert_eq!(tell("10.3.0.0/16", &|a| a.originator_id = "192.0.2.254".parse().ok()), wanted);
        wanted.as_loops += 1;
        assert_eq!(tell("10.4.0.0/16", &|a| a.as_path = a.as_path.prepended(net::Asn(OURS), 1)), wanted);
        wanted.confederation_loops += 1;
        let inside = |a: &mut Attrs| {
            a.as_path = a.as_path.prepended_inside(net::Asn(OURS));
            assert_eq!(a.as_path.segments[0].kind, SegmentKind::ConfedSequence);
        };
        assert_eq!(tell("10.5.0.0/16", &inside), wanted);
        for (prefix, unknown) in [("10.1.0.0/16", 0), ("10.1.0.0/16", 1), ("10.9.0.0/16", 2)] {
            t.withdraw(from.id, [(p(prefix), 0)]).unwrap();
            assert_eq!(t.tally(from.id), Tally { unknown, ..wanted }, "{prefix}");
        }
    }
}
