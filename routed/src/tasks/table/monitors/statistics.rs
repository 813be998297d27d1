//! Numbers for collectors: of each session, and of the table.

use monitor::bmp::{Header, Rib, Stat};
use net::Family;
use rib::PeerId;

use super::{TableTask, since_1970};

/// Statistics of a peer; `None` for Loc-RIB.
pub(crate) type Statistics = (Option<PeerId>, Header, Vec<Stat>);

impl TableTask {
    /// Numbers of every session, and of Loc-RIB.
    pub(in super::super) fn monitor_statistics(&mut self, ribs: &[Rib]) -> Vec<Statistics> {
        let at = since_1970();
        let mut all = Vec::new();
        for (id, session) in &self.monitors.up {
            let of = |family| (family, self.table.counts(*id, family).received as u64);
            let families: Vec<_> = session.up.families.iter().map(|family| of(*family)).collect();
            let (tally, changes) = (self.table.tally(*id), self.sessions.changes(*id));
            let mut stats = vec![
                Stat::Filtered(tally.filtered),
                Stat::Duplicates(tally.duplicates),
                Stat::DuplicateWithdrawals(tally.unknown),
                Stat::ClusterLoops(tally.cluster_loops),
                Stat::AsLoops(tally.as_loops),
                Stat::OriginatorLoops(tally.originator_loops),
                Stat::ConfederationLoops(tally.confederation_loops),
                Stat::TreatedUpdates(changes.treated),
                Stat::TreatedPrefixes(changes.treated_prefixes),
                Stat::DuplicateUpdates(changes.duplicates),
                Stat::AdjIn(families.iter().map(|(_, count)| count).sum()),
            ];
            stats.extend(families.iter().map(|(family, count)| Stat::AdjInOf(*family, *count)));
            if ribs.contains(&Rib::AdjOutPre) {
                let told = self.adj_out.count_before_filter(&self.table, *id);
                stats.push(Stat::AdjOutPre(told.iter().sum::<usize>() as u64));
                let of = |family: &Family| Stat::AdjOutPreOf(*family, told[family.index()] as u64);
                stats.extend(session.up.families.iter().map(of));
            }
            if ribs.contains(&Rib::AdjOutPost) {
                let told = self.adj_out.count(&self.table, *id);
                stats.push(Stat::AdjOut(told.iter().sum::<usize>() as u64));
                let of = |family: &Family| Stat::AdjOutOf(*family, told[family.index()] as u64);
                stats.extend(session.up.families.iter().map(of));
            }
            all.push((Some(*id), session.header(Rib::AdjInPre, at), stats));
        }
        if ribs.contains(&Rib::Loc) {
            let mut stats = vec![Stat::Loc(self.table.told() as u64)];
            stats.extend(Family::ALL.map(|family| Stat::LocOf(family, self.table.told_of(family) as u64)));
            all.push((None, self.loc(at), stats));
        }
        all
    }
}
