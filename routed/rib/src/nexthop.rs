//! From the next hop of a path to a gateway and an interface.
//!
//! Next hops are resolved in three layers, each through those below it only:
//! links and RIP routes know their interface; a static route's gateway lies
//! on one of these; a BGP next hop lies on any of both (RFC 4271 §5.1.3,
//! §9.1.2.1). So resolution is two steps deep at most, cannot go in circles,
//! and cannot make a route come and go by its own presence.
//!
//! Ours: a BGP next hop is never resolved through a BGP route; the RFC permits
//! that, but then the outcome could depend on the order of events.

use std::net::IpAddr;

use net::{Attrs, NextHop, Prefix, PrefixMap};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::dest::{Dest, Slot};
use crate::shared::{Id, Shared};
use crate::{Path, PeerInfo, Protocol, Via, Why};

/// One way out of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hop {
    /// The next router; `None` where the destination is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The interface index.
    pub ifindex: u32,
}

/// What becomes of the packets of a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The kernel has the route without us.
    Kernel,
    /// They are dropped in silence.
    Discard,
    /// They are dropped, and the sender hears "host unreachable".
    Unreachable,
    /// They are dropped, and the sender hears "administratively prohibited".
    Prohibit,
    /// They are shared among these, in order and without doubles.
    Hops(Vec<Hop>),
}

/// A subnet of an interface, as the kernel has it while the link is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    /// The subnet.
    pub prefix: Prefix,
    /// The interface index.
    pub ifindex: u32,
}

/// Where a path leads, and how far it is to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) target: Id<Target>,
    pub(crate) metric: u32,
}

/// What next hops are looked up in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routes<'a> {
    pub(crate) dests: &'a PrefixMap<Dest>,
    pub(crate) paths: &'a Shared<Path>,
}

/// The same with the addresses of this node.
#[derive(Clone, Copy, Debug)]
struct Scene<'a> {
    routes: Routes<'a>,
    local: &'a FxHashSet<IpAddr>,
}

/// The layers of resolution; see the module's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Layer {
    Link,
    Static,
    Bgp,
}

fn layer(path: &Path) -> Layer {
    match path.via {
        Via::OnLink { .. } | Via::Kernel | Via::Discard | Via::Unreachable | Via::Prohibit => Layer::Link,
        Via::Gateway(_) => Layer::Static,
        Via::NextHop => Layer::Bgp,
    }
}

/// What a path waits for: a next hop that must be looked up in the table.
type Wanted = (Layer, IpAddr);

/// The addresses of this node, and what next hops resolve to.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    local: FxHashSet<IpAddr>,
    memory: Memory,
    /// Next hops that lead nowhere since the last look.
    lost: FxHashSet<Hop>,
}

impl Resolver {
    /// Replaces the addresses of this node; true when they differ.
    pub(crate) fn set_local(&mut self, addresses: FxHashSet<IpAddr>) -> bool {
        let differ = self.local != addresses;
        self.local = addresses;
        differ
    }

    /// Where a path leads, if that need not be looked up; the caller becomes
    /// a user of the target.
    pub(crate) fn recall(
        &self,
        path: &Path,
        peer: Option<&PeerInfo>,
        targets: &mut Shared<Target>,
    ) -> Option<Result<Resolved, Why>> {
        let known = match wanted(path, peer) {
            Err(why) => return Some(Err(why)),
            Ok(Want::Known(target)) => target,
            Ok(Want::LinkLocal { global, .. }) if self.local.contains(&global) => {
                return Some(Err(Why::NextHopSelf(global)));
            }
            Ok(Want::LinkLocal { hop, .. }) => Target::Hops(vec![hop]),
            Ok(Want::Lookup(key)) => {
                let known = self.memory.known.get(&key)?;
                if let Ok(resolved) = known {
                    targets.hold(resolved.target);
                }
                return Some(known.clone());
            }
        };
        Some(Ok(Resolved { target: targets.intern(known), metric: path.metric }))
    }

    /// Looks up what [`Resolver::recall`] did not know.
    pub(crate) fn learn(
        &mut self,
        routes: Routes<'_>,
        path: &Path,
        peer: Option<&PeerInfo>,
        targets: &mut Shared<Target>,
    ) {
        if let Ok(Want::Lookup(key)) = wanted(path, peer) {
            self.memory.prune(routes, targets);
            let scene = Scene { routes, local: &self.local };
            // The outcome stays in the memory, and is asked for there.
            let _ = self.memory.resolve(scene, key, targets);
        }
    }

    /// Next hops that paths led to, and that no link leads to any more, since
    /// the last call.
    pub(crate) fn take_lost(&mut self) -> impl Iterator<Item = Hop> + use<> {
        std::mem::take(&mut self.lost).into_iter()
    }

    /// Where a path leads, for readers: nothing is remembered.
    pub(crate) fn peek(
        &self,
        routes: Routes<'_>,
        path: &Path,
        peer: Option<&PeerInfo>,
    ) -> Result<(Target, u32), Why> {
        match wanted(path, peer)? {
            Want::Known(target) => Ok((target, path.metric)),
            Want::LinkLocal { global, .. } if self.local.contains(&global) => Err(Why::NextHopSelf(global)),
            Want::LinkLocal { hop, .. } => Ok((Target::Hops(vec![hop]), path.metric)),
            Want::Lookup(key) => {
                self.look(routes, key).map(|(hop, metric)| (Target::Hops(vec![hop]), metric))
            }
        }
    }

    fn look(&self, routes: Routes<'_>, key: Wanted) -> Result<(Hop, u32), Why> {
        let gateway = |gateway| self.look(routes, (Layer::Static, gateway)).map(|(hop, _)| hop);
        lookup(Scene { routes, local: &self.local }, key, gateway)
    }

    /// Looks up again what may have changed with the touched prefixes (all of
    /// it where `all`), and returns the paths that are affected.
    pub(crate) fn changed(
        &mut self,
        routes: Routes<'_>,
        mut touched: FxHashSet<Prefix>,
        all: bool,
        targets: &mut Shared<Target>,
    ) -> FxHashSet<Id<Path>> {
        let mut affected = FxHashSet::default();
        for layer in [Layer::Static, Layer::Bgp] {
            let due = |address| all || covered(&touched, address);
            let scene = Scene { routes, local: &self.local };
            let (changed, left) = self.memory.refresh(scene, layer, due, targets);
            self.lost.extend(left.into_iter().filter(|hop| is_dead(scene, *hop)));
            if changed.is_empty() {
                continue;
            }
            let uses = |path: &Path| lookup_key(path).is_some_and(|key| changed.contains(&key));
            let hit: FxHashSet<Id<Path>> =
                routes.paths.iter().filter(|(_, path)| uses(path)).map(|(id, _)| id).collect();
            if layer == Layer::Static {
                let through = |dest: &Dest| dest.slots().iter().any(|slot| hit.contains(&slot.path));
                touched
                    .extend(routes.dests.iter().filter(|(_, dest)| through(dest)).map(|(prefix, _)| prefix));
            }
            affected.extend(hit);
        }
        if all {
            // A link-local next hop is not looked up, so nothing tells that it is ours now.
            let of_link = |path: &Path| {
                path.via == Via::NextHop && matches!(path.attrs().next_hop, Some(NextHop::V6 { .. }))
            };
            affected.extend(routes.paths.iter().filter(|(_, path)| of_link(path)).map(|(id, _)| id));
        }
        affected
    }
}

/// True when one of the prefixes holds the address.
fn covered(prefixes: &FxHashSet<Prefix>, address: IpAddr) -> bool {
    let longest = Prefix::host(address).len();
    (0..=longest).any(|length| Prefix::new(address, length).is_some_and(|prefix| prefixes.contains(&prefix)))
}

/// What next hops resolve to, so that a million paths over ten next hops cost
/// ten walks, and so that it shows which of them changed.
#[derive(Debug)]
struct Memory {
    /// Each is a user of its target.
    known: FxHashMap<Wanted, Result<Resolved, Why>>,
    prune_at: usize,
}

/// No pruning below this many next hops.
const SMALL: usize = 1024;

impl Default for Memory {
    fn default() -> Self {
        Self { known: FxHashMap::default(), prune_at: SMALL }
    }
}

impl Memory {
    fn resolve(
        &mut self,
        scene: Scene<'_>,
        key: Wanted,
        targets: &mut Shared<Target>,
    ) -> Result<Resolved, Why> {
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let found = self.walk(scene, key, targets);
        self.known.insert(key, found.clone());
        found
    }

    /// Looks up a next hop. The gateways of static routes on the way are
    /// remembered too, found or not, for a change of theirs is a change of this.
    fn walk(&mut self, scene: Scene<'_>, key: Wanted, targets: &mut Shared<Target>) -> Result<Resolved, Why> {
        let (hop, metric) = lookup(scene, key, |gateway| {
            let through = self.resolve(scene, (Layer::Static, gateway), targets)?;
            match targets.get(through.target).as_ref() {
                Target::Hops(hops) => hops.first().copied().ok_or(Why::NextHopUnreachable(gateway)),
                _ => Err(Why::NextHopUnreachable(gateway)),
            }
        })?;
        Ok(Resolved { target: targets.intern(Target::Hops(vec![hop])), metric })
    }

    /// Looks up the due next hops of one layer again; those that differ, and
    /// the ways that they led.
    fn refresh(
        &mut self,
        scene: Scene<'_>,
        layer: Layer,
        due: impl Fn(IpAddr) -> bool,
        targets: &mut Shared<Target>,
    ) -> (FxHashSet<Wanted>, Vec<Hop>) {
        let due: Vec<Wanted> =
            self.known.keys().filter(|key| key.0 == layer && due(key.1)).copied().collect();
        let (mut changed, mut left) = (FxHashSet::default(), Vec::new());
        for key in due {
            let found = self.walk(scene, key, targets);
            let before = self.known.insert(key, found.clone());
            let differs = before.as_ref() != Some(&found);
            if differs {
                changed.insert(key);
            }
            if let Some(Ok(before)) = before {
                if let (Target::Hops(hops), true) = (targets.get(before.target).as_ref(), differs) {
                    left.extend(hops);
                }
                targets.release(before.target);
            }
        }
        (changed, left)
    }

    /// Forgets next hops that no path has any more, once there are many.
    fn prune(&mut self, routes: Routes<'_>, targets: &mut Shared<Target>) {
        if self.known.len() < self.prune_at {
            return;
        }
        let used: FxHashSet<Wanted> = routes.paths.iter().filter_map(|(_, path)| lookup_key(path)).collect();
        self.known.retain(|key, known| {
            let stays = used.contains(key);
            if let Ok(known) = known
                && !stays
            {
                targets.release(known.target);
            }
            stays
        });
        self.prune_at = (2 * self.known.len()).max(SMALL);
    }
}

/// What it takes to know where a path leads.
enum Want {
    Known(Target),
    LinkLocal { global: IpAddr, hop: Hop },
    Lookup(Wanted),
}

fn wanted(path: &Path, peer: Option<&PeerInfo>) -> Result<Want, Why> {
    Ok(match path.via {
        Via::Kernel => Want::Known(Target::Kernel),
        Via::Discard => Want::Known(Target::Discard),
        Via::Unreachable => Want::Known(Target::Unreachable),
        Via::Prohibit => Want::Known(Target::Prohibit),
        Via::OnLink { gateway, ifindex } => Want::Known(Target::Hops(vec![Hop { gateway, ifindex }])),
        Via::Gateway(address) => Want::Lookup((Layer::Static, address)),
        Via::NextHop => {
            let next_hop = path.attrs().next_hop.ok_or(Why::NoNextHop)?;
            match (link_local(next_hop), peer.and_then(|peer| peer.ifindex)) {
                // RFC 2545 §3: it is only there when the peers share the link.
                (Some(gateway), Some(ifindex)) => {
                    let hop = Hop { gateway: Some(gateway), ifindex };
                    Want::LinkLocal { global: next_hop.address(), hop }
                }
                _ => Want::Lookup((Layer::Bgp, next_hop.address())),
            }
        }
    })
}

/// The next hop that a path may be waiting for.
fn lookup_key(path: &Path) -> Option<Wanted> {
    match path.via {
        Via::Gateway(address) => Some((Layer::Static, address)),
        Via::NextHop => path.attrs().next_hop.map(|next_hop| (Layer::Bgp, next_hop.address())),
        _ => None,
    }
}

fn link_local(next_hop: NextHop) -> Option<IpAddr> {
    match next_hop {
        NextHop::V4(_) => None,
        NextHop::V6 { link_local: Some(address), .. } => Some(address.into()),
        NextHop::V6 { global, .. } => global.is_unicast_link_local().then_some(global.into()),
    }
}

/// Walks from the most specific route that holds the address to the least,
/// and takes the first that leads somewhere; `resolve` looks up the gateway of
/// a static route.
fn lookup(
    Scene { routes, local }: Scene<'_>,
    (for_layer, address): Wanted,
    mut resolve: impl FnMut(IpAddr) -> Result<Hop, Why>,
) -> Result<(Hop, u32), Why> {
    if local.contains(&address) {
        return Err(Why::NextHopSelf(address));
    }
    let covering: SmallVec<[&Dest; 8]> =
        routes.dests.covering(Prefix::host(address)).map(|(_, dest)| dest).collect();
    for dest in covering.into_iter().rev() {
        let slots = dest.slots();
        let told = |slot: &Slot| (slot.path_id, routes.paths.get(slot.path).as_ref());
        let mut paths: SmallVec<[(u32, &Path); 4]> =
            slots.iter().map(told).filter(|(_, path)| layer(path) < for_layer).collect();
        paths.sort_by_key(|(path_id, path)| (path.distance, path.protocol, path.metric, *path_id));
        for (_, path) in paths {
            match path.via {
                Via::OnLink { gateway, ifindex } => {
                    let metric = if path.protocol == Protocol::Connected { 0 } else { path.metric };
                    return Ok((Hop { gateway: gateway.or(Some(address)), ifindex }, metric));
                }
                Via::Gateway(gateway) => {
                    if let Ok(hop) = resolve(gateway) {
                        return Ok((hop, path.metric));
                    }
                }
                Via::Discard | Via::Unreachable | Via::Prohibit => {
                    return Err(Why::NextHopUnreachable(address));
                }
                Via::Kernel | Via::NextHop => {}
            }
        }
    }
    Err(Why::NextHopUnreachable(address))
}

/// True when no link leads to a gateway any more, so that it is of no use to
/// anybody.
fn is_dead(scene: Scene<'_>, hop: Hop) -> bool {
    let Some(gateway) = hop.gateway else { return false };
    let found = lookup(scene, (Layer::Static, gateway), |other| Err(Why::NextHopUnreachable(other)));
    found.map(|(found, _)| found.ifindex) != Ok(hop.ifindex)
}

/// The next hop of attributes, without what only its own link understands.
pub(crate) fn off_link(attrs: &Attrs) -> Option<NextHop> {
    match attrs.next_hop {
        Some(NextHop::V6 { global, .. }) => Some(NextHop::V6 { global, link_local: None }),
        other => other,
    }
}

#[cfg(test)]
mod tests;
