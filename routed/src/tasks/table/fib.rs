//! From the table to the FIB writer, and what the writer says of each route.

use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::Arc;

use kernel::{Alarm, Batch, Fib, FibEvent, FibRoute, InBatch, KernelEvent, NextHops, Refusal, RouteOwner};
use net::Prefix;
use rib::table::Best;
use rib::{Change, PeerId, Protocol, Source};
use rustc_hash::{FxHashMap, FxHasher};
use tracing::{error, info, warn};

use super::confirm::Confirm;
use crate::config::Config;

/// How many marks there are of what is on the way.
const MARKS: usize = 1 << 14;

/// What a route of a batch was made of; target and backup by their addresses.
type Made = (usize, usize, RouteOwner, u32, bool);

/// A route that stands in the last waiting batch.
struct Known {
    /// So that no other target gets their addresses meanwhile.
    _held: (Arc<rib::Target>, Option<Arc<rib::Target>>),
    route: Option<InBatch>,
}

/// What is on the way to the writer, and what it refused.
pub(super) struct FibState {
    fib: Fib,
    /// False where no route is to be written: a route reflector off the path.
    install: bool,
    /// Changes that have not been handed over yet, in their order.
    waiting: Vec<Batch>,
    /// The routes of the last waiting batch, by what they were made of.
    known: FxHashMap<Made, Known>,
    /// The number of the last waiting batch.
    number: u64,
    /// The last batch that the writer has settled.
    settled: u64,
    /// The last batch with a change of a prefix, by a hash of the prefix: what
    /// shares a mark with a later change counts as not settled for as long.
    marks: Box<[u64]>,
    /// What the kernel does not take, and why.
    refused: FxHashMap<Prefix, Refusal>,
    swept: bool,
    /// What peers are told when it is in the kernel, where they are.
    pub(super) confirm: Option<Confirm>,
    /// A source has ended, and the writer waits to hear that all is said.
    ended: bool,
}

impl FibState {
    pub(super) fn new(fib: Fib, config: &Config) -> Self {
        Self {
            fib,
            install: config.kernel.install,
            confirm: config.tells_installed_only().then(Confirm::default),
            waiting: Vec::new(),
            known: FxHashMap::default(),
            number: 0,
            settled: 0,
            marks: vec![0; MARKS].into_boxed_slice(),
            refused: FxHashMap::default(),
            swept: false,
            ended: false,
        }
    }

    /// Notes what a change means for the kernel; true when peers are not to
    /// hear of it before the kernel has the route.
    pub(super) fn change(&mut self, change: &Change) -> bool {
        if !self.install {
            return false;
        }
        let new = change.new.as_ref().and_then(way_of);
        let old = change.old.as_ref().and_then(way_of);
        // Before the sweep the kernel may hold a route that an earlier run wanted.
        let wanted = new.is_some();
        if new == old && self.swept {
            return wanted && self.lacks(change.prefix);
        }
        if self.waiting.last().is_none_or(Batch::is_full) {
            self.number += 1;
            self.waiting.push(Batch::new(self.number));
            self.known.clear();
        }
        let Some(batch) = self.waiting.last_mut() else { return false };
        let route = new.and_then(|way| {
            let made = || Known {
                _held: (Arc::clone(way.target), way.backup.cloned()),
                route: way.route().map(|route| batch.route(route)),
            };
            self.known.entry(way.made()).or_insert_with(made).route
        });
        batch.push(change.prefix, route);
        self.marks[mark_of(change.prefix)] = self.number;
        let Some(confirm) = &mut self.confirm else { return false };
        confirm.written(change.prefix, wanted.then_some(self.number));
        wanted
    }

    /// True where peers are told what the kernel has, and it has not got the
    /// route of a prefix, or not yet.
    pub(super) fn lacks(&self, prefix: Prefix) -> bool {
        let waits = |confirm: &Confirm| confirm.waits(prefix) || self.refused.contains_key(&prefix);
        self.confirm.as_ref().is_some_and(waits)
    }

    /// Hands over what has changed; `more` says that further changes follow at once.
    pub(super) async fn write(&mut self, more: bool) {
        self.known.clear();
        let mut left = self.waiting.len();
        for mut batch in std::mem::take(&mut self.waiting) {
            left -= 1;
            batch.more = more || left > 0;
            self.tell(kernel::Command::Set(batch)).await;
        }
        if !more && std::mem::take(&mut self.ended) {
            self.tell(kernel::Command::Ended).await;
        }
    }

    /// A peer's routes are about to go: has the writer move what has a backup,
    /// and, when no other source has routes to speak of, drop the rest.
    pub(super) fn peer_ends(&mut self, id: PeerId, alone: bool) {
        self.ended |= self.fib.try_alarm(Alarm::SourceEnds { source: source_of(Source::Peer(id)), alone });
    }

    /// Has the writer remove what an earlier run left and nobody wants now.
    pub(super) async fn sweep(&mut self) {
        self.swept = true;
        self.tell(kernel::Command::Sweep).await;
    }

    /// Passes on what the watcher heard.
    pub(super) async fn heard(&mut self, event: &KernelEvent) {
        if self.fib.heard(event).await.is_err() {
            error!("the FIB writer has ended; routes are no longer repaired, restart routed");
        }
    }

    async fn tell(&self, command: kernel::Command) {
        if self.fib.send(command).await.is_err() {
            error!("the FIB writer has ended; restart routed");
        }
    }

    /// Takes what the writer tells.
    pub(super) fn event(&mut self, event: FibEvent) {
        match event {
            FibEvent::Settled(batch) => {
                self.settled = batch.max(self.settled);
                self.confirm.iter_mut().for_each(|confirm| confirm.settled(batch));
            }
            FibEvent::Refused(results) => {
                for (prefix, refusal) in results {
                    self.result(prefix, refusal);
                    self.confirm.iter_mut().for_each(|confirm| confirm.looked_at(prefix));
                }
            }
            FibEvent::Adopted(0) | FibEvent::Swept(0) => {}
            FibEvent::Adopted(routes) => info!(routes, "routes of an earlier run adopted"),
            FibEvent::Swept(routes) => {
                info!(routes, "routes of an earlier run removed that no peer confirmed");
            }
            FibEvent::Repaired(routes) => warn!(routes, "routes put back that somebody else had removed"),
            FibEvent::Resynced => info!("routes read back from the kernel"),
            FibEvent::Failed(why) => error!(why, "the kernel's routes cannot be read"),
        }
    }

    fn result(&mut self, prefix: Prefix, refusal: Option<Refusal>) {
        let Some(refusal) = refusal else {
            self.refused.remove(&prefix);
            return;
        };
        if self.refused.get(&prefix) != Some(&refusal) {
            warn!(%prefix, why = %refusal, "route not installed");
        }
        self.refused.insert(prefix, refusal);
    }

    /// True when the kernel has the best route of a prefix.
    pub(super) fn is_installed(&self, prefix: Prefix) -> bool {
        self.install
            && self.marks[mark_of(prefix)] <= self.settled.max(self.fib.settled())
            && !self.refused.contains_key(&prefix)
    }

    /// Why the kernel does not have it.
    pub(super) fn refusal(&self, prefix: Prefix) -> Option<&Refusal> {
        self.refused.get(&prefix)
    }

    /// How many routes are refused.
    pub(super) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// A handle for the writer's own counters.
    pub(super) fn handle(&self) -> Fib {
        self.fib.clone()
    }
}

/// Which mark a prefix shares.
fn mark_of(prefix: Prefix) -> usize {
    let hash = BuildHasherDefault::<FxHasher>::default().hash_one(prefix);
    usize::try_from(hash % MARKS as u64).unwrap_or(0)
}

/// What of a best path concerns the kernel.
#[derive(Clone, Copy)]
struct Way<'a> {
    owner: RouteOwner,
    source: u32,
    /// There is no other path.
    only: bool,
    target: &'a Arc<rib::Target>,
    backup: Option<&'a Arc<rib::Target>>,
}

impl PartialEq for Way<'_> {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Arc<rib::Target>, b: &Arc<rib::Target>| Arc::ptr_eq(a, b) || a == b;
        (self.owner, self.source, self.only) == (other.owner, other.source, other.only)
            && same(self.target, other.target)
            && match (self.backup, other.backup) {
                (Some(a), Some(b)) => same(a, b),
                (a, b) => a.is_none() && b.is_none(),
            }
    }
}

impl Way<'_> {
    fn route(&self) -> Option<FibRoute> {
        let target = match &**self.target {
            rib::Target::Kernel => return None,
            rib::Target::Discard => kernel::Target::Blackhole,
            rib::Target::Unreachable => kernel::Target::Unreachable,
            rib::Target::Prohibit => kernel::Target::Prohibit,
            hops @ rib::Target::Hops(_) => kernel::Target::Via(hops_of(hops)?),
        };
        let backup = self.backup.and_then(|backup| hops_of(backup));
        Some(FibRoute { owner: self.owner, target, backup, source: self.source, only: self.only })
    }

    /// What tells it from others, by addresses.
    fn made(&self) -> Made {
        let address = |target: &Arc<rib::Target>| Arc::as_ptr(target).addr();
        (address(self.target), self.backup.map_or(0, address), self.owner, self.source, self.only)
    }
}

fn hops_of(target: &rib::Target) -> Option<NextHops> {
    let rib::Target::Hops(hops) = target else { return None };
    let hops = hops.iter().map(|hop| kernel::Hop {
        gateway: hop.gateway,
        interface: hop.ifindex,
        weight: hop.weight,
        onlink: hop.onlink,
    });
    NextHops::new(hops.collect())
}

/// The number by which the writer knows a source.
fn source_of(source: Source) -> u32 {
    match source {
        Source::Local => 0,
        Source::Peer(id) => id.0 + 1,
    }
}

/// True when the kernel has to be given the route.
pub(super) fn is_written(best: &Best) -> bool {
    way_of(best).is_some()
}

/// What a best path asks of the kernel; `None` where the kernel has it by itself.
fn way_of(best: &Best) -> Option<Way<'_>> {
    let owner = match best.path.protocol {
        Protocol::Connected => return None,
        Protocol::Local | Protocol::Static => RouteOwner::Own,
        Protocol::Bgp => RouteOwner::Bgp,
        Protocol::Rip => RouteOwner::Rip,
        Protocol::RipNg => RouteOwner::RipNg,
    };
    match &*best.target {
        rib::Target::Kernel => None,
        // The subnet of a bridge that this node owns: the kernel has it.
        rib::Target::Hops(_) if best.path.protocol == Protocol::Local => None,
        _ => Some(Way {
            owner,
            source: source_of(best.path.source),
            only: best.at == rib::Step::Only,
            target: &best.target,
            backup: best.backup.as_ref(),
        }),
    }
}
