//! The table: every path to every prefix, and which prefixes to decide anew.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexSet;
use net::{Attrs, Family, Prefix, PrefixMap, PrefixSet};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use crate::dest::{Dest, Slot};
use crate::intern::Interner;
use crate::nexthop::search::Routes;
use crate::nexthop::{Link, Resolver};
use crate::pending::Pending;
use crate::shared::Shared;
use crate::{Path, PeerId, PeerInfo, Protocol, Rules, Source, Step, Tally, Target, Via, Why};

/// The best path of a prefix and where its packets go.
#[derive(Clone, Debug)]
pub struct Best {
    /// The path.
    pub path: Arc<Path>,
    /// Where packets go: the next hops of all paths that share the traffic.
    pub target: Arc<Target>,
    /// Where they could go at once when the next hop dies: the target of the
    /// best path that has another one. `None` where there is none, and where
    /// several next hops share the traffic already.
    pub backup: Option<Arc<Target>>,
    /// No other source has a usable path: the route ends with its source.
    pub only: bool,
    /// The step that decided.
    pub at: Step,
    /// The metric to the next hop where it is accumulated (RFC 7311), else 0.
    pub metric: u32,
}

impl PartialEq for Best {
    /// Equal when the path says the same and packets go the same way. Age,
    /// refresh cycle and the step that decided are no change to anybody.
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.path, &other.path);
        let says = |path: &Path| (path.source, path.protocol, path.distance, path.metric, path.via);
        self.target == other.target
            && (&self.backup, self.only, self.metric) == (&other.backup, other.only, other.metric)
            && (Arc::ptr_eq(a, b) || (says(a) == says(b) && a.imported == b.imported))
    }
}

/// The best path of a prefix came, went or changed; `old != new`.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The prefix.
    pub prefix: Prefix,
    /// What the world was told before.
    pub old: Option<Best>,
    /// What holds now.
    pub new: Option<Best>,
}

/// How many paths a peer has told us, for one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub received: usize,
    /// Those that import accepted.
    pub accepted: usize,
    /// Those that the import filter rejected; what is neither is refused by rule.
    pub filtered: usize,
}

impl Counts {
    /// One path more.
    pub(crate) fn add(&mut self, path: &Path) {
        self.received += 1;
        self.accepted += usize::from(path.imported.is_ok());
        self.filtered += usize::from(path.is_filtered());
    }

    /// One path less.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.received -= 1;
        self.accepted -= usize::from(path.imported.is_ok());
        self.filtered -= usize::from(path.is_filtered());
    }
}

/// A path of this node's own, for [`Table::originate`].
#[derive(Clone, Debug)]
pub struct Origination {
    /// The protocol; not BGP.
    pub protocol: Protocol,
    /// Where packets go.
    pub via: Via,
    /// Tells apart several paths of one protocol; 0 where there is one.
    pub path_id: u32,
    /// The protocol's metric.
    pub metric: u32,
    /// The administrative distance; `None` for the default of the protocol.
    pub distance: Option<u8>,
    /// Attributes that BGP shall tell: communities, MED. The next hop is left
    /// empty, for each peer is told the address of its session.
    pub attrs: Attrs,
    /// The share of the traffic beside other paths of the protocol.
    pub weight: u16,
    /// Why the path cannot be used, if it cannot: it is shown with the reason.
    pub refused: Option<Why>,
    /// Of [`Protocol::Local`]: the prefix is this node's own, and no peer may
    /// say anything of what lies inside. False for an aggregate, and for an
    /// address that several nodes may have.
    pub owned: bool,
}

impl Origination {
    /// One path of a protocol, metric 0, without attributes.
    pub fn new(protocol: Protocol, via: Via) -> Self {
        let owned = protocol == Protocol::Local;
        let attrs = Attrs::default();
        Self { protocol, via, path_id: 0, metric: 0, distance: None, attrs, weight: 1, refused: None, owned }
    }
}

/// A batch came from a peer that is not up: it was sent before the session
/// ended and arrived after. It was ignored, which is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPeer(pub PeerId);

impl fmt::Display for UnknownPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "routes of peer number {} ignored: its session is not up", self.0.0)
    }
}

impl std::error::Error for UnknownPeer {}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) info: PeerInfo,
    /// The refresh cycle of each family; a path of an earlier one is stale.
    pub(crate) cycle: [u8; Family::ALL.len()],
    pub(crate) counts: [Counts; Family::ALL.len()],
    pub(crate) tally: Tally,
}

/// The routing table; see the crate's page.
#[derive(Debug)]
pub struct Table {
    pub(crate) rules: Rules,
    pub(crate) dests: PrefixMap<Dest>,
    /// What paths say, and where they lead: each once.
    pub(crate) paths: Shared<Path>,
    pub(crate) targets: Shared<Target>,
    pub(crate) peers: FxHashMap<PeerId, Peer>,
    pub(crate) resolver: Resolver,
    pub(crate) attrs: Interner<Attrs>,
    /// The prefixes that this node owns: those of [`Protocol::Local`].
    pub(crate) own: PrefixSet,
    /// Own prefixes that a peer announces too, since the last look.
    pub(crate) conflicts: IndexSet<(Prefix, PeerId), FxBuildHasher>,
    /// Prefixes to decide anew.
    pub(crate) pending: Pending,
    /// Prefixes whose paths next hops may resolve through, and that changed.
    pub(crate) touched: FxHashSet<Prefix>,
    /// Every next hop is to be looked up again.
    pub(crate) resolve_all: bool,
    /// The links as they were last given.
    pub(crate) links: FxHashSet<Link>,
    /// How many paths each protocol has, in the order of [`Protocol::ALL`].
    pub(crate) of_protocol: [usize; Protocol::ALL.len()],
    /// Which paths of peers changed, if somebody observes.
    pub(crate) observed: crate::observe::Observed,
    /// How many best routes the world has been told, and whose.
    pub(crate) chosen: crate::chosen::Chosen,
    /// The paths beside the best, if somebody is told them.
    pub(crate) several: Option<crate::several::Several>,
    /// The first instant that was given: ages count from there.
    epoch: Option<Instant>,
}

/// The unit of ages: fine enough to tell which of two paths is older, and good
/// for thirteen years in 32 bits.
const TICK: Duration = Duration::from_millis(100);

impl Table {
    /// An empty table.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            dests: PrefixMap::new(),
            paths: Shared::default(),
            targets: Shared::default(),
            peers: FxHashMap::default(),
            resolver: Resolver::default(),
            attrs: Interner::default(),
            own: PrefixSet::new(),
            conflicts: IndexSet::default(),
            pending: Pending::default(),
            touched: FxHashSet::default(),
            resolve_all: false,
            links: FxHashSet::default(),
            of_protocol: [0; Protocol::ALL.len()],
            observed: None,
            chosen: crate::chosen::Chosen::default(),
            several: None,
            epoch: None,
        }
    }

    /// The rules of the decision.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Changes the rules; every prefix is decided anew.
    pub fn set_rules(&mut self, rules: Rules) {
        if self.rules != rules {
            self.rules = rules;
            self.resolve_all = true;
            self.pending.decide_all();
        }
    }

    /// A session is up, or a peer's filters or identity changed. Paths that
    /// are kept from before are imported anew.
    pub fn peer_up(&mut self, info: PeerInfo) {
        let id = info.id;
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.info = info;
            self.resolve_all = true;
            self.pending.reimport(id);
        } else {
            let (cycle, counts, tally) = Default::default();
            let peer = Peer { info, cycle, counts, tally };
            self.peers.insert(id, peer);
        }
    }

    /// A session is down for good: its paths go. Where they are to be kept
    /// through a graceful restart, call [`Table::mark_stale`] instead.
    pub fn peer_down(&mut self, id: PeerId) {
        let observed = self.observed.take();
        self.remove_where(id, |_, _| true);
        self.observed = observed;
        self.forget_observed(id);
        self.pending.forget(id);
        self.peers.remove(&id);
    }

    /// What is known of a peer.
    pub fn peer(&self, id: PeerId) -> Option<&PeerInfo> {
        self.peers.get(&id).map(|peer| &peer.info)
    }

    /// How many paths a peer has told us for a family.
    pub fn counts(&self, id: PeerId, family: Family) -> Counts {
        self.peers.get(&id).map_or_else(Counts::default, |peer| peer.counts[family.index()])
    }

    /// A peer says that prefixes (with path identifiers, 0 without add-path)
    /// are reachable with these attributes.
    pub fn update(
        &mut self,
        now: Instant,
        id: PeerId,
        reach: impl IntoIterator<Item = (Prefix, u32)>,
        attrs: &Arc<Attrs>,
    ) -> Result<(), UnknownPeer> {
        let (cycle, mut tally) =
            self.peers.get(&id).map(|peer| (peer.cycle, peer.tally)).ok_or(UnknownPeer(id))?;
        let since = self.ticks(now);
        let received = self.attrs.intern(Arc::clone(attrs));
        let Some(mut batch) = self.begin_import(id, received) else { return Ok(()) };
        for (prefix, path_id) in reach {
            let path = self.import(&mut batch, prefix);
            let slot = Slot { path, path_id, since, cycle: cycle[prefix.family().index()] };
            let put = self.put(prefix, slot);
            tally.announced(put, self.paths.get(path));
        }
        self.end_import(batch);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.tally = tally;
        }
        Ok(())
    }

    /// A peer says that prefixes are reachable no more.
    pub fn withdraw(
        &mut self,
        id: PeerId,
        unreach: impl IntoIterator<Item = (Prefix, u32)>,
    ) -> Result<(), UnknownPeer> {
        if !self.peers.contains_key(&id) {
            return Err(UnknownPeer(id));
        }
        let mut unknown = 0;
        for (prefix, path_id) in unreach {
            unknown += u64::from(!self.take(prefix, (Source::Peer(id), Protocol::Bgp, path_id)));
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.tally.unknown += unknown;
        }
        Ok(())
    }

    /// Begins a refresh cycle (RFC 4724 §4.2, RFC 7313 §4): what the peer has
    /// told so far is stale until it tells it again.
    pub fn mark_stale(&mut self, id: PeerId, family: Family) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let cycle = &mut peer.cycle[family.index()];
            *cycle = cycle.wrapping_add(1);
        }
    }

    /// Ends a refresh cycle: what is still stale goes. Returns how many paths.
    pub fn sweep_stale(&mut self, id: PeerId, family: Family) -> usize {
        let Some(peer) = self.peers.get(&id) else { return 0 };
        let cycle = peer.cycle[family.index()];
        self.remove_where(id, |prefix, path| prefix.family() == family && path.cycle != cycle)
    }

    /// This node has a path of its own: a block, a static route, a RIP route.
    /// The same protocol and path identifier replace what was there.
    pub fn originate(&mut self, now: Instant, prefix: Prefix, origination: Origination) {
        let Origination { protocol, via, path_id, metric, distance, attrs, weight, refused, owned } =
            origination;
        let refused = if prefix.is_martian() { Some(Why::Martian) } else { refused };
        let attrs = self.attrs.intern(attrs);
        let path = self.paths.intern(Path {
            source: Source::Local,
            protocol,
            received: Arc::clone(&attrs),
            imported: refused.map_or(Ok(attrs), Err),
            distance: distance.unwrap_or(protocol.default_distance(false)),
            metric,
            via,
            weight,
        });
        let since = self.ticks(now);
        self.put(prefix, Slot { path, path_id, since, cycle: 0 });
        self.paths.release(path);
        if owned && self.own.insert(prefix, ()).is_none() {
            self.own_changed(prefix);
        }
    }

    /// This node has that path no more.
    pub fn unoriginate(&mut self, prefix: Prefix, protocol: Protocol, path_id: u32) {
        self.take(prefix, (Source::Local, protocol, path_id));
        let owned = |slot: &Slot| self.paths.get(slot.path).protocol == Protocol::Local;
        let still = self.dests.get(prefix).is_some_and(|dest| dest.slots().iter().any(owned));
        if protocol == Protocol::Local && !still && self.own.remove(prefix).is_some() {
            self.own_changed(prefix);
        }
    }

    /// Replaces the links (subnets of interfaces that are up) and the
    /// addresses of this node. Only what differs is decided anew. A link is a
    /// connected route, with the interface index as its path identifier.
    pub fn set_links(&mut self, now: Instant, links: &[Link], addresses: impl IntoIterator<Item = IpAddr>) {
        let wanted: FxHashSet<Link> = links.iter().copied().collect();
        let present = std::mem::replace(&mut self.links, wanted.clone());
        for link in present.difference(&wanted) {
            self.unoriginate(link.prefix, Protocol::Connected, link.ifindex);
        }
        for link in wanted.difference(&present) {
            let via = Via::OnLink { gateway: None, ifindex: link.ifindex };
            let origination =
                Origination { path_id: link.ifindex, ..Origination::new(Protocol::Connected, via) };
            self.originate(now, link.prefix, origination);
        }
        self.resolve_all |= self.resolver.set_local(addresses.into_iter().collect());
    }

    /// An instant as the age of a path counts it.
    fn ticks(&mut self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(*self.epoch.get_or_insert(now));
        u32::try_from(passed.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX)
    }

    /// The instant of an age; `None` when nothing was ever told.
    pub(crate) fn instant(&self, ticks: u32) -> Option<Instant> {
        self.epoch?.checked_add(TICK * ticks)
    }

    /// The table as next hops see it.
    pub(crate) fn ground(&self) -> Routes<'_> {
        let Self { dests, paths, peers, own, rules, .. } = self;
        Routes { dests, paths, peers, own, rules }
    }

    /// Prefixes that this node owns and that a peer announced as its own since
    /// the last call. The peer's path is not used; who owns it is for others
    /// to settle.
    pub fn take_conflicts(&mut self) -> Vec<(Prefix, PeerId)> {
        self.conflicts.drain(..).collect()
    }
}

#[cfg(test)]
mod tests;
