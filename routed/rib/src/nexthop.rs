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
use std::sync::Arc;

use ipnetwork::IpNetwork;
use net::{Attrs, NextHop, Prefix};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::intern::Interner;
use crate::table::{Dest, Dests};
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
    /// They are dropped.
    Discard,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) target: Arc<Target>,
    pub(crate) metric: u32,
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
        Via::OnLink { .. } | Via::Kernel | Via::Discard => Layer::Link,
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
}

impl Resolver {
    /// Replaces the addresses of this node; true when they differ.
    pub(crate) fn set_local(&mut self, addresses: FxHashSet<IpAddr>) -> bool {
        let differ = self.local != addresses;
        self.local = addresses;
        differ
    }

    /// The one allocation of a target.
    pub(crate) fn intern(&mut self, target: Target) -> Arc<Target> {
        self.memory.targets.intern(target)
    }

    /// Where a path leads, remembered.
    pub(crate) fn resolve(
        &mut self,
        dests: &Dests,
        path: &Path,
        peer: Option<&PeerInfo>,
    ) -> Result<Resolved, Why> {
        let known = match wanted(path, peer)? {
            Want::Known(target) => target,
            Want::LinkLocal { global, .. } if self.local.contains(&global) => {
                return Err(Why::NextHopSelf(global));
            }
            Want::LinkLocal { hop, .. } => Target::Hops(vec![hop]),
            Want::Lookup(key) => {
                self.memory.prune(dests);
                return self.memory.resolve(dests, &self.local, key);
            }
        };
        Ok(Resolved { target: self.memory.targets.intern(known), metric: path.metric })
    }

    /// Where a path leads, for readers: nothing is remembered.
    pub(crate) fn peek(
        &self,
        dests: &Dests,
        path: &Path,
        peer: Option<&PeerInfo>,
    ) -> Result<(Target, u32), Why> {
        match wanted(path, peer)? {
            Want::Known(target) => Ok((target, path.metric)),
            Want::LinkLocal { global, .. } if self.local.contains(&global) => Err(Why::NextHopSelf(global)),
            Want::LinkLocal { hop, .. } => Ok((Target::Hops(vec![hop]), path.metric)),
            Want::Lookup(key) => self.look(dests, key).map(|(hop, metric)| (Target::Hops(vec![hop]), metric)),
        }
    }

    fn look(&self, dests: &Dests, key: Wanted) -> Result<(Hop, u32), Why> {
        let gateway = |gateway| self.look(dests, (Layer::Static, gateway)).map(|(hop, _)| hop);
        lookup(dests, &self.local, key, gateway)
    }

    /// Looks up again what may have changed with the touched prefixes (all of
    /// it where `all`), and returns the prefixes whose paths are affected.
    pub(crate) fn changed(
        &mut self,
        dests: &Dests,
        mut touched: FxHashSet<Prefix>,
        all: bool,
    ) -> Vec<Prefix> {
        let mut affected = Vec::new();
        for layer in [Layer::Static, Layer::Bgp] {
            let changed =
                self.memory.refresh(dests, &self.local, layer, |address| all || covered(&touched, address));
            if changed.is_empty() {
                continue;
            }
            let uses = |dest: &Dest| {
                dest.paths.iter().any(|path| lookup_key(path).is_some_and(|key| changed.contains(&key)))
            };
            let hit = dests.iter().filter(|(_, dest)| uses(dest)).filter_map(|(network, _)| word(network));
            let before = affected.len();
            affected.extend(hit);
            touched.extend(affected[before..].iter().copied());
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
    known: FxHashMap<Wanted, Result<Resolved, Why>>,
    targets: Interner<Target>,
    prune_at: usize,
}

/// No pruning below this many next hops.
const SMALL: usize = 1024;

impl Default for Memory {
    fn default() -> Self {
        Self { known: FxHashMap::default(), targets: Interner::default(), prune_at: SMALL }
    }
}

impl Memory {
    fn resolve(&mut self, dests: &Dests, local: &FxHashSet<IpAddr>, key: Wanted) -> Result<Resolved, Why> {
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let found = self.walk(dests, local, key);
        self.known.insert(key, found.clone());
        found
    }

    /// Looks up a next hop. The gateways of static routes on the way are
    /// remembered too, found or not, for a change of theirs is a change of this.
    fn walk(&mut self, dests: &Dests, local: &FxHashSet<IpAddr>, key: Wanted) -> Result<Resolved, Why> {
        let (hop, metric) = lookup(dests, local, key, |gateway| {
            match self.resolve(dests, local, (Layer::Static, gateway))?.target.as_ref() {
                Target::Hops(hops) => hops.first().copied().ok_or(Why::NextHopUnreachable(gateway)),
                Target::Kernel | Target::Discard => Err(Why::NextHopUnreachable(gateway)),
            }
        })?;
        Ok(Resolved { target: self.targets.intern(Target::Hops(vec![hop])), metric })
    }

    /// Looks up the due next hops of one layer again; those that differ.
    fn refresh(
        &mut self,
        dests: &Dests,
        local: &FxHashSet<IpAddr>,
        layer: Layer,
        due: impl Fn(IpAddr) -> bool,
    ) -> FxHashSet<Wanted> {
        let due: Vec<Wanted> =
            self.known.keys().filter(|key| key.0 == layer && due(key.1)).copied().collect();
        let mut changed = FxHashSet::default();
        for key in due {
            let found = self.walk(dests, local, key);
            if self.known.get(&key) != Some(&found) {
                self.known.insert(key, found);
                changed.insert(key);
            }
        }
        changed
    }

    /// Forgets next hops that no path has any more, once there are many.
    fn prune(&mut self, dests: &Dests) {
        if self.known.len() < self.prune_at {
            return;
        }
        let used: FxHashSet<Wanted> =
            dests.values().flat_map(|dest| dest.paths.iter()).filter_map(|path| lookup_key(path)).collect();
        self.known.retain(|key, _| used.contains(key));
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
    dests: &Dests,
    local: &FxHashSet<IpAddr>,
    (for_layer, address): Wanted,
    mut resolve: impl FnMut(IpAddr) -> Result<Hop, Why>,
) -> Result<(Hop, u32), Why> {
    if local.contains(&address) {
        return Err(Why::NextHopSelf(address));
    }
    let covering: SmallVec<[&Dest; 8]> =
        dests.cover(&IpNetwork::from(address)).map(|(_, dest)| dest).collect();
    for dest in covering.into_iter().rev() {
        let mut paths: SmallVec<[&Path; 4]> =
            dest.paths.iter().map(AsRef::as_ref).filter(|path| layer(path) < for_layer).collect();
        paths.sort_by_key(|path| (path.distance, path.protocol, path.metric, path.path_id));
        for path in paths {
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
                Via::Discard => return Err(Why::NextHopUnreachable(address)),
                Via::Kernel | Via::NextHop => {}
            }
        }
    }
    Err(Why::NextHopUnreachable(address))
}

/// A network of the trie as our word. The trie masks, so it always is one.
pub(crate) fn word(network: IpNetwork) -> Option<Prefix> {
    Prefix::new(network.ip(), network.prefix())
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
