//! The search: where next hops lead, each through the routes that hold it.
//!
//! First everything is gathered that a next hop may need: the paths that could
//! carry it, the next hops of these, and so on. Then circles are found, and
//! each next hop is decided when all that it may need is, but for what stands
//! in one circle with it; that is left out.

use std::net::IpAddr;

use net::{Prefix, PrefixMap, PrefixSet};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::circles::{Circles, circles};
use super::{Hop, Layer, Target, Want, Wanted, layer, wanted};
use crate::decide::{Candidate, decide};
use crate::dest::{Dest, Slot};
use crate::settle::{admissible, candidate, peer_of};
use crate::share::share;
use crate::shared::Shared;
use crate::table::Peer;
use crate::{Path, PeerId, PeerInfo, Protocol, Rules, Via, Why};

/// What next hops are looked up in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routes<'a> {
    pub(crate) dests: &'a PrefixMap<Dest>,
    pub(crate) paths: &'a Shared<Path>,
    pub(crate) peers: &'a FxHashMap<PeerId, Peer>,
    pub(crate) own: &'a PrefixSet,
    pub(crate) rules: &'a Rules,
}

/// The same with the addresses of this node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) routes: Routes<'a>,
    pub(super) local: &'a FxHashSet<IpAddr>,
}

/// Where a next hop leads and how far it is to there, or why nowhere.
type Outcome = Result<(Target, u32), Why>;

/// A next hop that was looked up.
pub(super) struct Solved {
    pub(super) key: Wanted,
    /// The next hops that it may resolve through.
    pub(super) needs: Box<[Wanted]>,
    pub(super) outcome: Outcome,
}

/// Looks up one next hop.
pub(super) fn look(scene: Scene<'_>, key: Wanted) -> Outcome {
    let solved = solve(scene, [key], |_| None);
    let found = solved.into_iter().find(|solved| solved.key == key);
    found.map_or(Err(Why::NextHopUnreachable(key.1)), |solved| solved.outcome)
}

/// Looks up next hops and whatever they may need, but for what is `known`.
pub(super) fn solve(
    scene: Scene<'_>,
    keys: impl IntoIterator<Item = Wanted>,
    known: impl Fn(Wanted) -> Option<Outcome>,
) -> Vec<Solved> {
    let (places, nodes) = gather(scene, keys, |key| known(key).is_some());
    let edges: Vec<Vec<usize>> = nodes
        .iter()
        .map(|node| node.needs.iter().filter_map(|key| places.get(key).copied()).collect())
        .collect();
    let Circles { order, of } = circles(&edges);
    let mut outcomes: Vec<Option<Outcome>> = vec![None; nodes.len()];
    for place in order {
        let found = nodes[place].decide(scene, |key| match places.get(&key) {
            Some(other) if of[*other] == of[place] => Through::Circle,
            Some(other) => outcomes[*other].clone().map_or(Through::Circle, Through::Found),
            None => known(key).map_or(Through::Circle, Through::Found),
        });
        outcomes[place] = Some(found);
    }
    nodes
        .into_iter()
        .zip(outcomes)
        .filter_map(|(node, outcome)| {
            Some(Solved { key: node.key, needs: node.needs.into_vec().into(), outcome: outcome? })
        })
        .collect()
}

/// Gathers next hops and all that they may need, with the place of each.
fn gather(
    scene: Scene<'_>,
    keys: impl IntoIterator<Item = Wanted>,
    is_known: impl Fn(Wanted) -> bool,
) -> (FxHashMap<Wanted, usize>, Vec<Node<'_>>) {
    let (mut places, mut nodes) = (FxHashMap::default(), Vec::new());
    let mut queue: Vec<Wanted> = keys.into_iter().collect();
    while let Some(key) = queue.pop() {
        if places.contains_key(&key) || is_known(key) {
            continue;
        }
        let node = Node::new(scene.routes, key);
        queue.extend(&node.needs);
        places.insert(key, nodes.len());
        nodes.push(node);
    }
    (places, nodes)
}

/// What the next hop of a path that may carry another resolves to.
enum Through {
    Found(Outcome),
    /// It may in turn need the one that is looked up.
    Circle,
}

/// A next hop with the routes that may carry it.
struct Node<'a> {
    key: Wanted,
    /// From the most specific to the first that leads somewhere for certain.
    dests: SmallVec<[(Prefix, &'a Dest); 2]>,
    /// The next hops of paths there.
    needs: SmallVec<[Wanted; 2]>,
    /// A link has the address in its subnet: BGP has no say.
    on_link: bool,
}

impl<'a> Node<'a> {
    fn new(routes: Routes<'a>, key: Wanted) -> Self {
        let holding: SmallVec<[(Prefix, &Dest); 8]> = routes.dests.covering(Prefix::host(key.1)).collect();
        let connected = |slot: &Slot| routes.paths.get(slot.path).protocol == Protocol::Connected;
        let on_link = holding.iter().any(|(_, dest)| dest.has(connected));
        let mut node = Self { key, dests: SmallVec::new(), needs: SmallVec::new(), on_link };
        for (prefix, dest) in holding.into_iter().rev() {
            let mut certain = false;
            for (_, path, peer) in node.carriers(routes, prefix, dest) {
                match wanted(path, peer) {
                    Ok(Want::Known(target)) => certain |= target != Target::Kernel,
                    Ok(Want::Lookup(need)) if need != key && !node.needs.contains(&need) => {
                        node.needs.push(need);
                    }
                    Ok(Want::Lookup(_) | Want::LinkLocal { .. }) | Err(_) => {}
                }
            }
            node.dests.push((prefix, dest));
            if certain {
                break;
            }
        }
        node
    }

    /// The paths of a destination that may carry this next hop.
    fn carriers(
        &self,
        routes: Routes<'a>,
        prefix: Prefix,
        dest: &Dest,
    ) -> SmallVec<[(Slot, &'a Path, Option<&'a PeerInfo>); 4]> {
        let (own, by_bgp) = (self.key.0, self.key.0 == Layer::Bgp && !self.on_link);
        dest.slots()
            .into_iter()
            .map(|slot| (slot, routes.paths.get(slot.path).as_ref()))
            .filter(|(_, path)| layer(path) < own || (layer(path) == Layer::Bgp && by_bgp))
            .filter(|(_, path)| admissible(routes.own, prefix, path).is_ok())
            .map(|(slot, path)| (slot, path, peer_of(routes.peers, path)))
            .collect()
    }

    /// Where it leads; `through` says where other next hops do.
    fn decide(&self, scene: Scene<'a>, through: impl Fn(Wanted) -> Through) -> Outcome {
        let (layer, address) = self.key;
        if scene.local.contains(&address) {
            return Err(Why::NextHopSelf(address));
        }
        let mut circle = false;
        for (prefix, dest) in &self.dests {
            let mut usable: SmallVec<[(Candidate<'_>, Target); 4]> = SmallVec::new();
            for (slot, path, peer) in self.carriers(scene.routes, *prefix, dest) {
                let (target, metric) = match wanted(path, peer) {
                    Ok(Want::Known(Target::Kernel)) | Err(_) => continue,
                    Ok(Want::LinkLocal { global, .. }) if scene.local.contains(&global) => continue,
                    Ok(Want::Known(target)) => (target, path.metric),
                    Ok(Want::LinkLocal { hop, .. }) => (Target::Hops(vec![hop]), path.metric),
                    Ok(Want::Lookup(key)) => match through(key) {
                        Through::Found(Ok(found)) => found,
                        Through::Found(Err(_)) => continue,
                        Through::Circle => {
                            circle = true;
                            continue;
                        }
                    },
                };
                usable.push((candidate(scene.routes.peers, &slot, path, metric), target));
            }
            if let Some(found) = best(&usable, address, scene.routes.rules) {
                return found;
            }
        }
        Err(if circle && layer == Layer::Bgp {
            Why::NextHopCircle(address)
        } else {
            Why::NextHopUnreachable(address)
        })
    }
}

/// Where the best of the paths to an address leads, if there is one.
fn best(usable: &[(Candidate<'_>, Target)], address: IpAddr, rules: &Rules) -> Option<Outcome> {
    let candidates: SmallVec<[Candidate<'_>; 4]> = usable.iter().map(|(candidate, _)| *candidate).collect();
    let decided = decide(&candidates, rules)?;
    let (best, target) = &usable[decided.best];
    let metric = match best.path.via {
        Via::NextHop => best.igp_metric,
        _ if best.path.protocol == Protocol::Connected => 0,
        _ => best.path.metric,
    };
    Some(match (best.path.via, target) {
        (Via::OnLink { gateway: None, ifindex }, _) => {
            Ok((Target::Hops(vec![Hop::via(address, ifindex)]), metric))
        }
        (_, Target::Hops(_)) => {
            let shared = decided.ecmp.iter().map(|place| (usable[*place].0.path, &usable[*place].1));
            Ok((share(&shared.collect::<SmallVec<[_; 4]>>()), metric))
        }
        (_, Target::Kernel | Target::Discard | Target::Unreachable | Target::Prohibit) => {
            Err(Why::NextHopUnreachable(address))
        }
    })
}
