//! What the table has yet to take from a peer.

use std::collections::VecDeque;

use bgp::wire::Update;
use rib::PeerId;
use tokio::sync::mpsc;

use crate::tasks::table::TableInput;

/// Updates with so many prefixes go to the table together. A whole table comes
/// with some ten prefixes in a message: each on its own would cost more to
/// hand over than to read.
const TOGETHER: usize = 1024;

/// The way to the table; see the module's page.
pub(super) struct Outbox {
    id: PeerId,
    table: mpsc::Sender<TableInput>,
    /// What the table could not take yet, in order.
    waiting: VecDeque<TableInput>,
    /// Updates that are still gathered, after all that waits.
    updates: Vec<Update>,
    prefixes: usize,
}

impl Outbox {
    pub(super) fn new(id: PeerId, table: mpsc::Sender<TableInput>) -> Self {
        Self { id, table, waiting: VecDeque::new(), updates: Vec::new(), prefixes: 0 }
    }

    /// True when the table has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands an input to the table, or keeps it until the table takes it.
    pub(super) fn push(&mut self, input: TableInput) {
        self.flush();
        self.hand(input);
    }

    /// Gathers an update; [`Outbox::flush`] ends that.
    pub(super) fn gather(&mut self, update: Update) {
        let reach: usize = update.reach.iter().map(|reach| reach.nlri.len()).sum();
        let unreach: usize = update.unreach.iter().map(|(_, nlri)| nlri.len()).sum();
        self.prefixes += 1 + reach + unreach;
        self.updates.push(update);
        if self.prefixes >= TOGETHER {
            self.flush();
        }
    }

    /// Hands over what was gathered.
    pub(super) fn flush(&mut self) {
        if !self.updates.is_empty() {
            let updates = std::mem::take(&mut self.updates);
            self.prefixes = 0;
            self.hand(TableInput::Updates { id: self.id, updates });
        }
    }

    fn hand(&mut self, input: TableInput) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(input);
        } else if let Err(mpsc::error::TrySendError::Full(input)) = self.table.try_send(input) {
            self.waiting.push_back(input);
        }
        // A closed table means that the daemon ends; nothing is left to tell.
    }

    /// Waits until the table takes one of those that wait.
    pub(super) async fn hand_over(&mut self) {
        match self.table.reserve().await {
            Ok(permit) => {
                if let Some(input) = self.waiting.pop_front() {
                    permit.send(input);
                }
            }
            Err(_) => self.waiting.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bgp::wire::Nlri;
    use net::{Family, Prefix};

    use super::*;

    fn update(prefixes: usize) -> Update {
        let prefix: Prefix = "10.1.0.0/16".parse().unwrap();
        Update {
            unreach: vec![(Family::Ipv4Unicast, vec![Nlri::from(prefix); prefixes])],
            ..Update::default()
        }
    }

    /// How many updates each input has; 0 for something else.
    fn taken(table: &mut mpsc::Receiver<TableInput>) -> Vec<usize> {
        let mut taken = Vec::new();
        while let Ok(input) = table.try_recv() {
            taken.push(if let TableInput::Updates { updates, .. } = input { updates.len() } else { 0 });
        }
        taken
    }

    #[tokio::test]
    async fn small_updates_go_together_and_before_what_comes_after_them() {
        let (sender, mut table) = mpsc::channel(2);
        let mut outbox = Outbox::new(PeerId(1), sender);
        (0..3).for_each(|_| outbox.gather(update(10)));
        assert_eq!(taken(&mut table), [0; 0]);
        outbox.push(TableInput::EndOfRib { id: PeerId(1), family: Family::Ipv4Unicast });
        assert_eq!(taken(&mut table), [3, 0]);
        (0..2).for_each(|_| outbox.gather(update(TOGETHER)));
        assert_eq!(taken(&mut table), [1, 1]);
    }

    #[tokio::test]
    async fn what_the_table_cannot_take_waits_in_order() {
        let (sender, mut table) = mpsc::channel(1);
        let mut outbox = Outbox::new(PeerId(1), sender);
        (0..3).for_each(|_| outbox.gather(update(TOGETHER)));
        outbox.push(TableInput::PeerRemoved { id: PeerId(1) });
        let mut all = Vec::new();
        while !outbox.is_empty() {
            all.extend(taken(&mut table));
            outbox.hand_over().await;
        }
        all.extend(taken(&mut table));
        assert_eq!(all, [1, 1, 1, 0]);
    }
}
