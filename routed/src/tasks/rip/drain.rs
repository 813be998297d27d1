//! Draining as the RIP task sees it: an event for each version, and who waits
//! until neighbours have been told.

use std::time::Instant;

use rip::Event;

use super::Task;

impl Task {
    /// Tells everything as unreachable, or as it is.
    pub(super) async fn drain(&mut self, draining: bool) {
        for index in 0..self.versions.len() {
            let event = if draining { Event::Drain } else { Event::Undrain };
            let mut actions = Vec::new();
            self.versions[index].machine.handle(Instant::now(), event, &mut actions);
            self.perform(index, actions).await;
        }
    }

    /// Answers those who wait, once nothing is left to be told.
    pub(super) fn answer_waiting(&mut self) {
        if self.versions.iter().any(|version| version.machine.is_pending()) {
            return;
        }
        for told in self.waiting.drain(..) {
            // Whoever asked may have lost patience.
            let _ = told.send(());
        }
    }
}
