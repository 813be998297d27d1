//! Which path is best, and at which step each of the others lost.
//!
//! # The RFC: RFC 4271 §9.1
//!
//! - Phase 1 gives each route a degree of preference: `LOCAL_PREF` from internal
//!   peers, policy for external ones.
//! - Phase 2 (§9.1.2) leaves out routes whose next hop is not resolvable and
//!   AS loops, and takes the highest degree of preference. Ties (§9.1.2.2):
//!   - a) fewest AS numbers in the path, a set counting one,
//!   - b) lowest ORIGIN,
//!   - c) lowest `MULTI_EXIT_DISC` among routes of the same neighbouring AS,
//!   - d) external before internal,
//!   - e) lowest interior cost to the next hop,
//!   - f) lowest BGP identifier, `ORIGINATOR_ID` in its place (RFC 4456 §9),
//!   - then the shortest `CLUSTER_LIST` (RFC 4456 §9),
//!   - g) lowest peer address.
//!
//! # Ours
//!
//! One table holds all protocols, so these steps come first:
//!
//! 1. [`Step::Fresh`]: a path that is kept for a peer that is long gone, here
//!    or where it comes from, loses to every other (RFC 9494 §4.3); the step
//!    comes first so that no distance can put such a path in front.
//! 2. [`Step::Distance`], smaller administrative distance.
//! 3. [`Step::Protocol`], at equal distance, in the order of [`Protocol`].
//! 4. [`Step::LocalPref`], higher; 100 where there is none.
//! 5. [`Step::LocalOrigin`], what this node originates.
//! 6. [`Step::Aigp`], lower with the metric to the next hop on top, one before
//!    none (RFC 7311 §4).
//! 7. [`Step::AsPath`], shorter.
//! 8. [`Step::Origin`], lower.
//! 9. [`Step::Med`], lower, none counting 0. A path falls to a better one of
//!    its own neighbouring AS only, but wherever that one ends up: the RFC's
//!    form, which others call deterministic. `always_compare_med` makes all
//!    paths one group. Without `deterministic_med` paths are compared in pairs,
//!    the newest first, each with the best so far, as routers did before: what
//!    comes out depends on the ages of the paths, and on nothing else.
//! 10. [`Step::External`], external before internal; another member AS of our
//!     confederation is internal (RFC 5065 §5.3).
//! 11. [`Step::IgpMetric`], lower metric to the next hop, or of the protocol.
//!     *Paths equal so far may share the traffic (`multipath`, of BGP).*
//! 12. [`Step::Older`], of external paths the older, unless `compare_router_id`
//!     (RFC 5004: it saves a change of path).
//! 13. [`Step::RouterId`], 14. [`Step::ClusterList`], 15. [`Step::PeerAddress`], lower.
//! 16. [`Step::PathId`], lower; now no two paths are equal.
//!
//! A prefix is decided anew when a path of it comes, goes or changes, when the
//! resolution of one of its next hops changes, when a prefix of this node that
//! covers it comes or goes, and when the rules change.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr};

use net::{Asn, Community, RouterId};

use crate::{Path, Protocol};

/// The knobs of the decision, and who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a knob that operators know by name")]
pub struct Rules {
    /// Our BGP identifier.
    pub router_id: RouterId,
    /// Our cluster (RFC 4456 §7); the router id where none is configured.
    pub cluster_id: Ipv4Addr,
    /// How many paths of BGP may share the traffic of a prefix; 0 and 1 are
    /// one. Other protocols choose among their next hops before they tell them.
    pub multipath: usize,
    /// Paths of different AS paths of one length may share traffic.
    pub multipath_as_path_relax: bool,
    /// Compare MEDs of different neighbouring ASes.
    pub always_compare_med: bool,
    /// Compare MEDs within each neighbouring AS first, and not in the order of age.
    pub deterministic_med: bool,
    /// Of two equal external paths take the lower router id, not the older.
    pub compare_router_id: bool,
    /// Paths with sets in them are not used (RFC 9774).
    pub reject_as_sets: bool,
    /// This node's own AS; a session may be in another.
    pub asn: Option<Asn>,
    /// The AS number of our confederation (RFC 5065); `None`: we are in none.
    pub confederation: Option<Asn>,
    /// The most AS numbers that a path may have; `None`: any number.
    pub max_as_path: Option<usize>,
    /// The most communities, of all kinds, that a path may have.
    pub max_communities: Option<usize>,
}

impl Rules {
    /// The rules without any knob turned, one path a prefix.
    pub fn new(router_id: RouterId) -> Self {
        Self {
            router_id,
            cluster_id: router_id.into(),
            multipath: 1,
            multipath_as_path_relax: false,
            always_compare_med: false,
            deterministic_med: true,
            compare_router_id: false,
            reject_as_sets: false,
            asn: None,
            confederation: None,
            max_as_path: None,
            max_communities: None,
        }
    }
}

/// The step at which two paths differ; the order is the order of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// There is no other usable path.
    Only,
    /// Not kept for a peer that is long gone (RFC 9494).
    Fresh,
    /// Administrative distance.
    Distance,
    /// The order of protocols.
    Protocol,
    /// `LOCAL_PREF`.
    LocalPref,
    /// Originated here.
    LocalOrigin,
    /// The accumulated metric, where there is one (RFC 7311 §4).
    Aigp,
    /// The length of the AS path.
    AsPath,
    /// ORIGIN.
    Origin,
    /// `MULTI_EXIT_DISC`.
    Med,
    /// External before internal.
    External,
    /// The metric to the next hop.
    IgpMetric,
    /// The older external path.
    Older,
    /// BGP identifier or `ORIGINATOR_ID`.
    RouterId,
    /// The length of the cluster list.
    ClusterList,
    /// The address of the peer.
    PeerAddress,
    /// The path identifier.
    PathId,
}

impl Step {
    /// What the better path has, as in "lost to a path with …".
    pub fn text(self) -> &'static str {
        match self {
            Self::Only => "only path",
            Self::Fresh => "fresh, not long-lived stale",
            Self::Distance => "lower distance",
            Self::Protocol => "preferred protocol",
            Self::LocalPref => "higher local preference",
            Self::LocalOrigin => "local origin",
            Self::Aigp => "lower accumulated metric (AIGP)",
            Self::AsPath => "shorter AS path",
            Self::Origin => "lower origin",
            Self::Med => "lower MED",
            Self::External => "external peer",
            Self::IgpMetric => "lower metric",
            Self::Older => "older path",
            Self::RouterId => "lower router id",
            Self::ClusterList => "shorter cluster list",
            Self::PeerAddress => "lower peer address",
            Self::PathId => "lower path id",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.text())
    }
}

/// A usable path with what its peer and its next hop add to it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The path.
    pub path: &'a Path,
    /// The path identifier.
    pub path_id: u32,
    /// Since when it says the same; only compared.
    pub since: u32,
    /// It is from an external peer.
    pub external: bool,
    /// The BGP identifier of the peer; 0 for what is not from a peer.
    pub router_id: u32,
    /// The address of the peer.
    pub address: Option<IpAddr>,
    /// The metric to the next hop, or that of the protocol.
    pub igp_metric: u32,
}

impl Candidate<'_> {
    /// The accumulated metric with that to the next hop on top; a path
    /// without one is worse than any (RFC 7311 §4.1).
    fn accumulated(&self) -> u64 {
        let metric = self.path.attrs().aigp;
        metric.map_or(u64::MAX, |metric| metric.saturating_add(self.igp_metric.into()))
    }

    /// Kept for a peer that is long gone, here or where it comes from.
    fn long_lived_stale(&self) -> bool {
        self.path.attrs().communities.contains(&Community::LLGR_STALE)
    }

    fn neighbour(&self) -> Option<Asn> {
        self.path.attrs().as_path.first()
    }

    /// The identifier that is compared: of the originator where a reflector
    /// stands between (RFC 4456 §9).
    fn identifier(&self) -> u32 {
        self.path.attrs().originator_id.map_or(self.router_id, Into::into)
    }
}

/// The outcome; numbers are positions in the slice that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The best path.
    pub best: usize,
    /// The paths that share traffic with it, best first, itself included.
    pub ecmp: Vec<usize>,
    /// The last step that was needed to prefer it to all others.
    pub at: Step,
    /// Every other path, and the step at which it lost.
    pub lost: Vec<(usize, Step)>,
}

/// Decides; `None` when there is no candidate. The outcome does not depend on
/// the order of the candidates.
pub fn decide(candidates: &[Candidate<'_>], rules: &Rules) -> Option<Decided> {
    if candidates.len() < 2 {
        let alone = Decided { best: 0, ecmp: vec![0], at: Step::Only, lost: vec![] };
        return (!candidates.is_empty()).then_some(alone);
    }
    if !rules.deterministic_med {
        return Some(decide_in_turn(candidates, rules));
    }
    let beaten: Vec<Option<Step>> = (0..candidates.len()).map(|i| beaten(candidates, i, rules)).collect();
    let best = (0..candidates.len())
        .filter(|i| beaten[*i].is_none())
        .min_by(|i, j| compare(&candidates[*i], &candidates[*j], rules, Med::Skip).0)?;
    let mut lost = Vec::with_capacity(candidates.len() - 1);
    for (i, candidate) in candidates.iter().enumerate().filter(|(i, _)| *i != best) {
        let (order, step) = compare(&candidates[best], candidate, rules, Med::Skip);
        // A path that only its MED keeps from winning fell to its own group;
        // so did one that fell there before it could meet the best.
        let group = beaten[i].filter(|group| order == Ordering::Greater || *group < step);
        lost.push((i, group.unwrap_or(step)));
    }
    Some(decided(candidates, best, lost, rules))
}

fn decided(candidates: &[Candidate<'_>], best: usize, lost: Vec<(usize, Step)>, rules: &Rules) -> Decided {
    let at = lost.iter().map(|(_, step)| *step).max().unwrap_or(Step::Only);
    let ecmp = share(candidates, best, &lost, rules);
    Decided { best, ecmp, at, lost }
}

/// The newest first, each with the best so far: MEDs count where the two are
/// of one neighbouring AS. A path that the best was never compared with lost
/// at the earlier of the steps at which it fell and at which it differs from it.
fn decide_in_turn(candidates: &[Candidate<'_>], rules: &Rules) -> Decided {
    let pair = |i: usize, j: usize| {
        let (a, b) = (&candidates[i], &candidates[j]);
        let med = if a.neighbour() == b.neighbour() { Med::Compare } else { Med::Skip };
        compare(a, b, rules, med)
    };
    let mut places: Vec<usize> = (0..candidates.len()).collect();
    let age = |i: usize| std::cmp::Reverse(candidates[i].since);
    let total = |i: usize, j: usize| compare(&candidates[i], &candidates[j], rules, Med::Skip).0;
    places.sort_by(|i, j| age(*i).cmp(&age(*j)).then_with(|| total(*i, *j)));
    let mut fell: Vec<(usize, Step)> = Vec::with_capacity(places.len());
    let best = places.into_iter().reduce(|best, next| {
        let (order, step) = pair(best, next);
        let (better, worse) = if order == Ordering::Greater { (next, best) } else { (best, next) };
        fell.push((worse, step));
        better
    });
    let best = best.unwrap_or_default();
    for (place, step) in &mut fell {
        *step = (*step).min(pair(best, *place).1);
    }
    fell.sort_unstable();
    decided(candidates, best, fell, rules)
}

/// All candidates in order: the best, then what would be the best without it,
/// and so on. Paths of one neighbouring AS are in order with their MEDs; of
/// their firsts the best is taken, and again.
pub fn rank(candidates: &[Candidate<'_>], rules: &Rules) -> Vec<usize> {
    if !rules.deterministic_med {
        return rank_in_turn(candidates, rules);
    }
    let order = |i: &usize, j: &usize, med| compare(&candidates[*i], &candidates[*j], rules, med).0;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, this) in candidates.iter().enumerate() {
        let same = |group: &&mut Vec<usize>| of_one_group(this, &candidates[group[0]], rules);
        match groups.iter_mut().find(same) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    for group in &mut groups {
        // The best is the last, so that it can be popped.
        group.sort_by(|i, j| order(j, i, Med::Compare));
    }
    let mut ranked = Vec::with_capacity(candidates.len());
    let heads = |groups: &[Vec<usize>]| {
        let heads = groups.iter().enumerate().filter_map(|(place, group)| Some((place, *group.last()?)));
        heads.min_by(|(_, i), (_, j)| order(i, j, Med::Skip)).map(|(place, _)| place)
    };
    while let Some(place) = heads(&groups) {
        ranked.extend(groups[place].pop());
    }
    ranked
}

fn rank_in_turn(candidates: &[Candidate<'_>], rules: &Rules) -> Vec<usize> {
    let mut left: Vec<usize> = (0..candidates.len()).collect();
    let mut ranked = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let among: Vec<_> = left.iter().map(|place| candidates[*place]).collect();
        ranked.push(left.remove(decide_in_turn(&among, rules).best));
    }
    ranked
}

/// True when the MEDs of two paths are compared.
fn of_one_group(a: &Candidate<'_>, b: &Candidate<'_>, rules: &Rules) -> bool {
    rules.always_compare_med || a.neighbour() == b.neighbour()
}

/// The best path and those that are as good up to the tie-breakers.
fn share(candidates: &[Candidate<'_>], best: usize, lost: &[(usize, Step)], rules: &Rules) -> Vec<usize> {
    let path = &candidates[best].path.attrs().as_path;
    let mut ecmp: Vec<usize> = lost
        .iter()
        .filter(|(_, step)| *step > Step::IgpMetric)
        .map(|(i, _)| *i)
        .filter(|i| rules.multipath_as_path_relax || candidates[*i].path.attrs().as_path == *path)
        .collect();
    ecmp.sort_by(|i, j| compare(&candidates[*i], &candidates[*j], rules, Med::Skip).0);
    ecmp.insert(0, best);
    if candidates[best].path.protocol == Protocol::Bgp {
        ecmp.truncate(rules.multipath.max(1));
    }
    ecmp
}

/// The earliest step at which a path falls to another of its own group.
fn beaten(candidates: &[Candidate<'_>], i: usize, rules: &Rules) -> Option<Step> {
    let this = &candidates[i];
    candidates
        .iter()
        .filter(|other| of_one_group(other, this, rules))
        .filter_map(|other| match compare(other, this, rules, Med::Compare) {
            (Ordering::Less, step) => Some(step),
            _ => None,
        })
        .min()
}

/// Whether two paths are of one neighbouring AS, so that MEDs say something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Med {
    Compare,
    Skip,
}

/// Orders two paths, the better first, and says at which step they differ.
fn compare(a: &Candidate<'_>, b: &Candidate<'_>, rules: &Rules, med: Med) -> (Ordering, Step) {
    let (x, y) = (a.path.attrs(), b.path.attrs());
    let med_counts = med == Med::Compare || rules.always_compare_med;
    let older_counts = a.external && b.external && !rules.compare_router_id;
    let when = |counts: bool, order: Ordering| if counts { order } else { Ordering::Equal };
    let steps = [
        (Step::Fresh, a.long_lived_stale().cmp(&b.long_lived_stale())),
        (Step::Distance, a.path.distance.cmp(&b.path.distance)),
        (Step::Protocol, a.path.protocol.cmp(&b.path.protocol)),
        (Step::LocalPref, y.effective_local_pref().cmp(&x.effective_local_pref())),
        (Step::LocalOrigin, a.address.is_some().cmp(&b.address.is_some())),
        (Step::Aigp, a.accumulated().cmp(&b.accumulated())),
        (Step::AsPath, x.as_path.hops().cmp(&y.as_path.hops())),
        (Step::Origin, x.origin.cmp(&y.origin)),
        (Step::Med, when(med_counts, x.med.unwrap_or(0).cmp(&y.med.unwrap_or(0)))),
        (Step::External, b.external.cmp(&a.external)),
        (Step::IgpMetric, a.igp_metric.cmp(&b.igp_metric)),
        (Step::Older, when(older_counts, a.since.cmp(&b.since))),
        (Step::RouterId, a.identifier().cmp(&b.identifier())),
        (Step::ClusterList, x.cluster_list.len().cmp(&y.cluster_list.len())),
        (Step::PeerAddress, a.address.cmp(&b.address)),
    ];
    let differs = steps.into_iter().find(|(_, order)| *order != Ordering::Equal);
    let key = |of: &Candidate<'_>| (of.path.source, of.path.protocol, of.path_id);
    differs.map_or_else(|| (key(a).cmp(&key(b)), Step::PathId), |(step, order)| (order, step))
}

#[cfg(test)]
mod tests;
