use std::sync::Arc;

use net::{AsPath, Attrs, Community, Origin};
use proptest::prelude::*;

use super::*;
use crate::fixture::{attrs, ip, rules};
use crate::{PeerId, Protocol, Source, Via};

/// A candidate that owns its path; external, of AS 65001.
#[derive(Clone, Debug)]
struct Spec {
    path: Path,
    since: u32,
    external: bool,
    router_id: u32,
    address: Option<IpAddr>,
    igp_metric: u32,
}

impl Spec {
    fn new(peer: u8) -> Self {
        let attrs = attrs(&[65001, 65002], "192.0.2.1");
        let path = Path {
            source: Source::Peer(PeerId(peer.into())),
            protocol: Protocol::Bgp,
            received: Arc::clone(&attrs),
            imported: Ok(attrs),
            distance: 20,
            metric: 0,
            via: Via::NextHop,
            weight: 1,
        };
        // Every spec is equal to every other up to the last step.
        Self { path, since: 0, external: true, router_id: 7, address: Some(ip("192.0.2.1")), igp_metric: 0 }
    }

    fn attrs(&mut self, change: impl FnOnce(&mut Attrs)) {
        let mut attrs = Attrs::clone(self.path.attrs());
        change(&mut attrs);
        self.path.imported = Ok(Arc::new(attrs));
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            path: &self.path,
            path_id: 0,
            since: self.since,
            external: self.external,
            router_id: self.router_id,
            address: self.address,
            igp_metric: self.igp_metric,
        }
    }
}

fn outcome(specs: &[Spec], rules: &Rules) -> Decided {
    let candidates: Vec<_> = specs.iter().map(Spec::candidate).collect();
    decide(&candidates, rules).unwrap()
}

/// Two paths, the second made worse; the first must win at `at`, from either place.
fn check_decide(rules: &Rules, at: Step, worse: impl FnOnce(&mut Spec)) {
    let (better, mut other) = (Spec::new(1), Spec::new(2));
    worse(&mut other);
    let decided = outcome(&[better.clone(), other.clone()], rules);
    assert_eq!((decided.best, decided.at, &decided.lost[..]), (0, at, &[(1, at)][..]));
    let decided = outcome(&[other, better], rules);
    assert_eq!((decided.best, decided.at, &decided.lost[..]), (1, at, &[(0, at)][..]));
}

#[test]
fn each_step_decides_when_all_before_are_equal() {
    let r = rules();
    let by_id = Rules { compare_router_id: true, ..r };
    check_decide(&r, Step::Fresh, |s| {
        s.attrs(|a| a.communities.push(Community::LLGR_STALE));
        s.path.distance = 1;
    });
    check_decide(&r, Step::Distance, |s| s.path.distance = 200);
    check_decide(&r, Step::Protocol, |s| s.path.protocol = Protocol::Rip);
    check_decide(&r, Step::LocalPref, |s| s.attrs(|a| a.local_pref = Some(99)));
    check_decide(&r, Step::AsPath, |s| s.attrs(|a| a.as_path = AsPath::sequence([65001, 1, 2])));
    check_decide(&r, Step::Origin, |s| s.attrs(|a| a.origin = Origin::Incomplete));
    check_decide(&r, Step::Med, |s| s.attrs(|a| a.med = Some(1)));
    check_decide(&r, Step::External, |s| s.external = false);
    check_decide(&r, Step::IgpMetric, |s| s.igp_metric = 1);
    check_decide(&r, Step::Older, |s| s.since += 1);
    check_decide(&by_id, Step::RouterId, |s| {
        // The younger here has the higher id, but age must not be what counts.
        s.since += 1;
        s.router_id = 8;
    });
    check_decide(&r, Step::RouterId, |s| s.attrs(|a| a.originator_id = Some("10.0.0.1".parse().unwrap())));
    check_decide(&r, Step::ClusterList, |s| s.attrs(|a| a.cluster_list.push([1, 1, 1, 1].into())));
    check_decide(&r, Step::PeerAddress, |s| s.address = Some(ip("192.0.2.2")));
    check_decide(&r, Step::PathId, |_| {});
}

#[test]
fn the_accumulated_metric_counts_before_the_length_of_the_path() {
    let spec = |aigp, igp_metric, path: &[u32]| {
        let mut spec = Spec::new(1);
        spec.attrs(|a| (a.aigp, a.as_path) = (aigp, AsPath::sequence(path.iter().copied())));
        Spec { igp_metric, ..spec }
    };
    let near = spec(Some(100), 5, &[65001, 1, 2, 3]);
    for worse in [
        spec(Some(106), 0, &[65001]),          // a longer way, by itself
        spec(Some(100), 6, &[65001]),          // or with that to the next hop
        spec(Some(u64::MAX - 1), 9, &[65001]), // nothing is longer than the longest
        spec(None, 0, &[65001]),               // RFC 7311 §4.1: one without any is left out
    ] {
        let decided = outcome(&[worse, near.clone()], &rules());
        assert_eq!((decided.best, decided.at), (1, Step::Aigp));
    }
}

#[test]
fn what_this_node_originates_comes_before_what_peers_tell() {
    let mut own = Spec::new(1);
    own.address = None;
    let decided = outcome(&[Spec::new(2), own], &rules());
    assert_eq!((decided.best, decided.at), (1, Step::LocalOrigin));
}

#[test]
fn a_med_says_nothing_between_different_neighbours() {
    let mut far = Spec::new(1);
    far.attrs(|a| a.med = Some(500));
    let mut other = Spec::new(2);
    other.attrs(|a| a.as_path = AsPath::sequence([65009, 65002]));
    other.router_id = 8;
    let specs = [far, other];
    assert_eq!(outcome(&specs, &rules()).best, 0);
    let always = Rules { always_compare_med: true, ..rules() };
    let decided = outcome(&specs, &always);
    assert_eq!((decided.best, decided.at), (1, Step::Med));
}

#[test]
fn a_path_that_its_own_group_beats_by_med_cannot_win_by_a_later_step() {
    // RFC 4271 §9.1.2.2 c: b is out because of a, though it has the lowest id of all.
    let (mut a, mut b, mut c) = (Spec::new(1), Spec::new(2), Spec::new(3));
    a.router_id = 9;
    b.attrs(|x| x.med = Some(10));
    b.router_id = 1;
    c.attrs(|x| x.as_path = AsPath::sequence([65009, 65002]));
    c.router_id = 5;
    let decided = outcome(&[a, b, c], &rules());
    assert_eq!(decided.best, 2);
    assert_eq!(decided.lost, [(0, Step::RouterId), (1, Step::Med)]);
}

#[test]
fn without_deterministic_med_the_ages_decide_which_meds_are_compared() {
    // The case of RFC 4271 §9.1.2.2 c above, in two orders of arrival.
    let of = |ages: [u32; 3]| {
        let mut specs = [Spec::new(1), Spec::new(2), Spec::new(3)];
        specs[0].router_id = 9;
        specs[1].attrs(|x| x.med = Some(10));
        specs[1].router_id = 1;
        specs[2].attrs(|x| x.as_path = AsPath::sequence([65009, 65002]));
        specs[2].router_id = 5;
        specs.iter_mut().zip(ages).for_each(|(spec, age)| spec.since = age);
        specs
    };
    let by_age = Rules { deterministic_med: false, compare_router_id: true, multipath: 8, ..rules() };
    // The newest is 2: it falls to 1, and that to the MED of 0.
    let decided = outcome(&of([1, 2, 3]), &by_age);
    assert_eq!((decided.best, decided.at), (0, Step::RouterId));
    assert_eq!(decided.lost, [(1, Step::Med), (2, Step::RouterId)]);
    // The newest is 0: its MED beats 1, and it falls to 2.
    let decided = outcome(&of([3, 2, 1]), &by_age);
    assert_eq!((decided.best, &decided.lost[..]), (2, &[(0, Step::RouterId), (1, Step::Med)][..]));
    for ages in [[1, 2, 3], [3, 2, 1]] {
        let deterministic = Rules { deterministic_med: true, ..by_age };
        assert_eq!(outcome(&of(ages), &deterministic).best, 2, "no order matters");
        let always = Rules { always_compare_med: true, ..by_age };
        assert_eq!(outcome(&of(ages), &always).best, 2, "nor where every MED is compared");
    }
}

#[test]
fn paths_equal_up_to_the_tie_breakers_share_traffic() {
    let mut specs: Vec<_> = (1..=4).map(Spec::new).collect();
    for (n, spec) in (1..).zip(&mut specs) {
        spec.router_id = n;
    }
    specs[2].attrs(|a| a.as_path = AsPath::sequence([65009, 65002]));
    specs[3].igp_metric = 9;
    let wide = Rules { multipath: 8, ..rules() };
    assert_eq!(outcome(&specs, &rules()).ecmp, [0]);
    assert_eq!(outcome(&specs, &wide).ecmp, [0, 1]);
    assert_eq!(outcome(&specs, &Rules { multipath_as_path_relax: true, ..wide }).ecmp, [0, 1, 2]);
    let two = Rules { multipath: 2, multipath_as_path_relax: true, ..rules() };
    assert_eq!(outcome(&specs, &two).ecmp, [0, 1]);
}

/// RIP has chosen how many before: a node without BGP has no knob for it here.
#[test]
fn all_next_hops_that_rip_tells_share_traffic() {
    let mut specs: Vec<_> = (1..=3).map(Spec::new).collect();
    for (n, spec) in (1..).zip(&mut specs) {
        spec.router_id = n;
        spec.path.protocol = Protocol::Rip;
    }
    assert_eq!(outcome(&specs, &rules()).ecmp, [0, 1, 2]);
    specs[0].igp_metric = 9;
    assert_eq!(outcome(&specs, &rules()).ecmp, [1, 2]);
}

/// The RFC's form: a set from which each step takes what is not the best.
fn by_elimination(specs: &[Spec], rules: &Rules) -> usize {
    let mut left: Vec<usize> = (0..specs.len()).collect();
    let lowest = |left: &mut Vec<usize>, key: &dyn Fn(&Spec) -> u64| {
        let low = left.iter().map(|i| key(&specs[*i])).min();
        left.retain(|i| Some(key(&specs[*i])) == low);
    };
    lowest(&mut left, &|s| s.path.distance.into());
    lowest(&mut left, &|s| u64::from(u32::MAX - s.path.attrs().effective_local_pref()));
    lowest(&mut left, &|s| s.path.attrs().as_path.hops() as u64);
    lowest(&mut left, &|s| s.path.attrs().origin as u64);
    let med = |i: usize| specs[i].path.attrs().med.unwrap_or(0);
    let neighbour = |i: usize| specs[i].path.attrs().as_path.first();
    let before = left.clone();
    left.retain(|i| {
        let rival = |j: &usize| rules.always_compare_med || neighbour(*j) == neighbour(*i);
        !before.iter().filter(|j| rival(j)).any(|j| med(*j) < med(*i))
    });
    lowest(&mut left, &|s| u64::from(!s.external));
    lowest(&mut left, &|s| s.igp_metric.into());
    if !rules.compare_router_id && specs[left[0]].external {
        lowest(&mut left, &|s| s.since.into());
    }
    lowest(&mut left, &|s| s.router_id.into());
    lowest(&mut left, &|s| match s.path.source {
        Source::Peer(id) => id.0.into(),
        Source::Local => 0,
    });
    left[0]
}

type Seed = ((u8, u32, u8, u8), (u8, bool, u8, u8), u32);

fn spec(number: u8, seed: &Seed) -> Spec {
    let ((distance, local_pref, path, origin), (med, external, igp, since), router_id) = *seed;
    let mut spec = Spec::new(number);
    spec.attrs(|a| {
        a.local_pref = Some(local_pref);
        let tail = std::iter::repeat_n(9, usize::from(path / 3));
        a.as_path = AsPath::sequence(std::iter::once(u32::from(path % 3)).chain(tail));
        a.origin = [Origin::Igp, Origin::Egp][usize::from(origin)];
        a.med = Some(med.into());
    });
    spec.path.distance = distance;
    spec.since += u32::from(since);
    (spec.external, spec.igp_metric, spec.router_id) = (external, igp.into(), router_id);
    spec
}

proptest! {
    #[test]
    fn the_outcome_is_the_rfcs_and_knows_no_order(
        seeds in prop::collection::vec(((0u8..2, 99u32..101, 0u8..6, 0u8..2), (0u8..3, any::<bool>(), 0u8..2, 0u8..2), 1u32..4), 1..9),
        knobs in any::<(bool, bool, bool, bool)>(),
        turn in 0usize..8,
    ) {
        let rules = Rules {
            multipath: 4, multipath_as_path_relax: knobs.0, always_compare_med: knobs.1,
            compare_router_id: knobs.2, deterministic_med: knobs.3, ..rules()
        };
        let specs: Vec<_> = (0u8..).zip(&seeds).map(|(n, seed)| spec(n, seed)).collect();
        let decided = outcome(&specs, &rules);
        if rules.deterministic_med {
            prop_assert_eq!(decided.best, by_elimination(&specs, &rules));
        }
        prop_assert_eq!(decided.lost.len() + 1, specs.len());
        prop_assert_eq!(decided.ecmp[0], decided.best);

        // The same candidates, turned and reversed.
        let mut places: Vec<usize> = (0..specs.len()).rev().collect();
        places.rotate_left(turn % specs.len());
        let shuffled: Vec<_> = places.iter().map(|i| specs[*i].clone()).collect();
        let again = outcome(&shuffled, &rules);
        prop_assert_eq!(places[again.best], decided.best);
        prop_assert_eq!(again.at, decided.at);
        prop_assert_eq!(again.ecmp.iter().map(|i| places[*i]).collect::<Vec<_>>(), decided.ecmp);
        let mut lost: Vec<_> = again.lost.iter().map(|(i, step)| (places[*i], *step)).collect();
        lost.sort_unstable();
        prop_assert_eq!(lost, decided.lost);
    }

    #[test]
    fn the_rank_is_what_is_best_without_all_before(
        seeds in prop::collection::vec(((0u8..2, 99u32..101, 0u8..6, 0u8..2), (0u8..3, any::<bool>(), 0u8..2, 0u8..2), 1u32..4), 1..9),
        knobs in any::<(bool, bool, bool)>(),
    ) {
        let rules = Rules {
            always_compare_med: knobs.0, compare_router_id: knobs.1, deterministic_med: knobs.2, ..rules()
        };
        let specs: Vec<_> = (0u8..).zip(&seeds).map(|(n, seed)| spec(n, seed)).collect();
        let candidates: Vec<_> = specs.iter().map(Spec::candidate).collect();
        let mut left: Vec<usize> = (0..specs.len()).collect();
        let mut expected = Vec::new();
        while !left.is_empty() {
            let among: Vec<_> = left.iter().map(|i| candidates[*i]).collect();
            expected.push(left.remove(decide(&among, &rules).unwrap().best));
        }
        prop_assert_eq!(rank(&candidates, &rules), expected);
    }
}
