//! A drained node: all that it tells BGP peers is marked, so that others go
//! elsewhere where they can. Sessions stay, and so does what this node uses.

use tokio::sync::oneshot;

use super::TableTask;
use crate::tasks::drain::DrainOrder;

/// Whether the node is drained, and who waits until BGP peers know.
pub(super) struct Draining {
    /// What peers are told is marked.
    pub(super) on: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Draining {
    pub(super) fn new(on: bool) -> Self {
        Self { on, waiting: Vec::new() }
    }
}

impl TableTask {
    /// Marks what peers are told, or ends that.
    pub(super) fn drain(&mut self, order: DrainOrder) {
        self.draining.waiting.push(order.told);
        self.draining.on = order.draining;
        self.mark_peers();
    }

    /// Answers those who wait, once every peer has been told all and has taken
    /// it out of its box. A peer takes it to send it at once.
    pub(super) fn answer_waiting(&mut self) {
        let told = |task: &mut Self| task.adj_out.with_work().next().is_none() && task.office.all_sent();
        if !self.draining.waiting.is_empty() && told(self) {
            for told in self.draining.waiting.drain(..) {
                // Whoever asked may have lost patience.
                let _ = told.send(());
            }
        }
    }
}
