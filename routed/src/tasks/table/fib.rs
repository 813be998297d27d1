//! From the table to the FIB writer, and what the writer says of each route.

use kernel::{Done, Fib, FibEvent, FibRoute, KernelEvent, NextHops, Refusal, RouteOwner};
use net::Prefix;
use rib::table::Best;
use rib::{Change, Protocol};
use rustc_hash::{FxHashMap, FxHashSet};
use tracing::{error, info, warn};

/// What is on the way to the writer, and what it refused.
pub(super) struct FibState {
    fib: Fib,
    /// Changes that have not been handed over yet.
    waiting: FxHashMap<Prefix, Option<FibRoute>>,
    /// Handed over, not answered yet.
    unsettled: FxHashSet<Prefix>,
    /// What the kernel does not take, and why.
    refused: FxHashMap<Prefix, Refusal>,
    swept: bool,
}

impl FibState {
    pub(super) fn new(fib: Fib) -> Self {
        Self {
            fib,
            waiting: FxHashMap::default(),
            unsettled: FxHashSet::default(),
            refused: FxHashMap::default(),
            swept: false,
        }
    }

    /// Notes what a change means for the kernel.
    pub(super) fn change(&mut self, change: &Change) {
        let new = change.new.as_ref().and_then(route_of);
        let old = change.old.as_ref().and_then(route_of);
        // What was wanted before may still wait here; and before the sweep
        // the kernel may hold a route that an earlier run wanted.
        if new != old || self.waiting.contains_key(&change.prefix) || !self.swept {
            self.waiting.insert(change.prefix, new);
        }
    }

    /// Hands over what has changed.
    pub(super) async fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let routes: Vec<_> = self.waiting.drain().collect();
        self.unsettled.extend(routes.iter().map(|(prefix, _)| *prefix));
        if self.fib.set(routes).await.is_err() {
            error!("the FIB writer has ended; routes are no longer written, restart routed");
        }
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
            FibEvent::Results(results) => {
                for (prefix, result) in results {
                    self.result(prefix, result);
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

    fn result(&mut self, prefix: Prefix, result: Result<Done, Refusal>) {
        self.unsettled.remove(&prefix);
        match result {
            Ok(_) => drop(self.refused.remove(&prefix)),
            Err(refusal) => {
                let known = self.refused.get(&prefix) == Some(&refusal);
                if !known {
                    warn!(%prefix, why = %refusal, "route not installed");
                }
                self.refused.insert(prefix, refusal);
            }
        }
    }

    /// True when the kernel has the best route of a prefix.
    pub(super) fn is_installed(&self, prefix: Prefix) -> bool {
        !self.refused.contains_key(&prefix)
            && !self.unsettled.contains(&prefix)
            && !self.waiting.contains_key(&prefix)
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

/// The kernel route of a best path; `None` where the kernel has it by itself.
pub(super) fn route_of(best: &Best) -> Option<FibRoute> {
    let owner = match best.path.protocol {
        Protocol::Connected => return None,
        Protocol::Local | Protocol::Static => RouteOwner::Own,
        Protocol::Bgp => RouteOwner::Bgp,
        Protocol::Rip => RouteOwner::Rip,
        Protocol::RipNg => RouteOwner::RipNg,
    };
    let target = match &*best.target {
        rib::Target::Kernel => return None,
        rib::Target::Discard => kernel::Target::Blackhole,
        // The subnet of a bridge that this node owns: the kernel has it.
        rib::Target::Hops(_) if best.path.protocol == Protocol::Local => return None,
        rib::Target::Hops(hops) => {
            let hops = hops.iter().map(|hop| kernel::Hop {
                gateway: hop.gateway,
                interface: hop.ifindex,
                weight: 1,
                onlink: false,
            });
            kernel::Target::Via(NextHops::new(hops.collect())?)
        }
    };
    Some(FibRoute { owner, target })
}
