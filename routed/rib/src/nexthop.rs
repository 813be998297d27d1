//! From the next hop of a path to a gateway and an interface.
//!
//! Links and RIP routes know their interface. A static route's gateway lies on
//! one of these. A BGP next hop lies on any of both or on another BGP route
//! (RFC 4271 §5.1.3, §9.1.2.1): it goes where the best route goes that holds
//! it, over all next hops of that, and when that route changes it is looked up
//! again.
//!
//! # No circles
//!
//! A next hop never resolves through a path whose own next hop may in turn
//! need it, be it in many steps; such paths are left out, and the next best or
//! the next shorter route is taken. *May need* is asked of all paths that
//! could carry it, not of those that are best now. So what a next hop resolves
//! to is a function of the paths there are; the outcome of a decision never
//! comes back into it, nothing comes and goes by its own presence, and one
//! look is enough. See `search`.
//!
//! # Ours
//!
//! - An address in the subnet of a link is on that link, whatever BGP says of
//!   longer prefixes: no peer moves the next hop of another away.
//! - A static route's gateway is never resolved through a static or BGP route.

use std::net::IpAddr;

use net::{Attrs, NextHop, Prefix};
use rustc_hash::FxHashSet;

use self::memory::Memory;
use self::search::{Routes, Scene};
use crate::shared::{Id, Shared};
use crate::{Path, PeerInfo, Via, Why};

mod circles;
mod memory;
pub(crate) mod search;

/// One way out of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hop {
    /// The next router; `None` where the destination is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The interface index.
    pub ifindex: u32,
    /// Its share of the traffic beside the other next hops, 1 to 256.
    pub weight: u16,
    /// The gateway is on the link although no subnet says so.
    pub onlink: bool,
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

impl Target {
    /// True when the packets do not share several next hops.
    pub(crate) fn is_one_way(&self) -> bool {
        !matches!(self, Self::Hops(hops) if hops.len() > 1)
    }
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

/// The layers of resolution; see the module's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Layer {
    Link,
    Static,
    Bgp,
}

fn layer(path: &Path) -> Layer {
    match path.via {
        Via::OnLink { .. }
        | Via::Forced { .. }
        | Via::Kernel
        | Via::Discard
        | Via::Unreachable
        | Via::Prohibit => Layer::Link,
        Via::Gateway(_) => Layer::Static,
        Via::NextHop => Layer::Bgp,
    }
}

/// What a path waits for: a next hop that must be looked up in the table.
pub(crate) type Wanted = (Layer, IpAddr);

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
                let found = self.memory.get(key)?;
                if let Ok(resolved) = found {
                    targets.hold(resolved.target);
                }
                return Some(found.clone());
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
            self.memory.prune(routes.paths, targets);
            self.memory.learn(Scene { routes, local: &self.local }, [key], targets);
        }
    }

    /// True when a next hop is looked up that lies in the prefix, so that a
    /// BGP route of the prefix may matter to others.
    pub(crate) fn concerns(&self, prefix: Prefix) -> bool {
        self.memory.addresses_in(prefix).next().is_some()
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
            Want::Lookup(key) => search::look(Scene { routes, local: &self.local }, key),
        }
    }

    /// Looks up again what may have changed with the touched prefixes (all of
    /// it where `all`), and returns the paths that are affected.
    pub(crate) fn changed(
        &mut self,
        routes: Routes<'_>,
        touched: &FxHashSet<Prefix>,
        all: bool,
        targets: &mut Shared<Target>,
    ) -> FxHashSet<Id<Path>> {
        let scene = Scene { routes, local: &self.local };
        let due = if all { self.memory.all() } else { self.memory.inside(touched) };
        let (changed, left) = self.memory.refresh(scene, due, targets);
        self.lost.extend(left.into_iter().filter(|hop| is_dead(scene, *hop)));
        let mut affected: FxHashSet<Id<Path>> = FxHashSet::default();
        if !changed.is_empty() {
            let uses = |path: &Path| lookup_key(path).is_some_and(|key| changed.contains(&key));
            affected.extend(routes.paths.iter().filter(|(_, path)| uses(path)).map(|(id, _)| id));
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

/// What it takes to know where a path leads.
pub(crate) enum Want {
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
        Via::OnLink { gateway, ifindex } => {
            Want::Known(Target::Hops(vec![Hop { gateway, ifindex, weight: 1, onlink: false }]))
        }
        Via::Forced { gateway, ifindex } => {
            Want::Known(Target::Hops(vec![Hop { onlink: true, ..Hop::via(gateway, ifindex) }]))
        }
        Via::Gateway(address) => Want::Lookup((Layer::Static, address)),
        Via::NextHop => {
            let next_hop = path.attrs().next_hop.ok_or(Why::NoNextHop)?;
            match (link_local(next_hop), peer.and_then(|peer| peer.ifindex)) {
                // RFC 2545 §3: it is only there when the peers share the link.
                (Some(gateway), Some(ifindex)) => {
                    Want::LinkLocal { global: next_hop.address(), hop: Hop::via(gateway, ifindex) }
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

/// True when no link leads to a gateway any more, so that it is of no use to
/// anybody. Of one that no subnet holds nobody can say so.
fn is_dead(scene: Scene<'_>, hop: Hop) -> bool {
    let on_subnet = |gateway: &IpAddr| !hop.onlink && !is_link_local(*gateway);
    let Some(gateway) = hop.gateway.filter(on_subnet) else { return false };
    let found = search::look(scene, (Layer::Static, gateway));
    let by = |target: &Target| matches!(target, Target::Hops(hops) if hops.iter().any(|way| way.ifindex == hop.ifindex));
    !found.is_ok_and(|(target, _)| by(&target))
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
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
