//! Next hops that die: the FIB writer hears of them first.
//!
//! A dead next hop is one message, whatever the number of its routes: the
//! writer moves them to their backup at once. Only then the table decides
//! prefix by prefix, and what it decides follows.

use std::net::IpAddr;

use kernel::{Alarm, KernelEvent};
use tracing::{debug, error};

use super::TableTask;

impl TableTask {
    /// Tells the writer what has died since the last call.
    pub(super) async fn bury(&mut self) {
        let lost = self.table.take_lost_hops();
        let lost = lost.filter_map(|hop| Some(Alarm::HopDown(hop.gateway?, hop.ifindex)));
        let dead: Vec<Alarm> = self.dead.drain(..).chain(lost).collect();
        for down in dead {
            self.tell_down(down).await;
        }
    }

    /// BFD says that packets to a neighbour no longer arrive.
    pub(super) fn path_down(&mut self, address: IpAddr, scope: Option<u32>) {
        if let Some(ifindex) = scope.or_else(|| self.links.connected(address)) {
            self.dead.push(Alarm::HopDown(address, ifindex));
        }
    }

    /// A link that goes down takes its next hops with it.
    pub(super) async fn link_event(&mut self, event: &KernelEvent) {
        let gone = match event {
            KernelEvent::Link(link) if !(link.up && link.running) => {
                let carried = self.links.by_index(link.index).is_some_and(|known| known.up && known.running);
                carried.then_some(link.index)
            }
            KernelEvent::LinkGone(index) => Some(*index),
            _ => None,
        };
        if let Some(index) = gone {
            self.tell_down(Alarm::LinkDown(index)).await;
        }
    }

    async fn tell_down(&self, down: Alarm) {
        debug!(?down, "next hops are dead");
        if self.fib.handle().alarm(down).await.is_err() {
            error!("the FIB writer has ended; restart routed");
        }
    }
}
