//! BFD as the RIP task sees it: paths to neighbours are watched, and one that
//! fails takes what the neighbour told with it.

use std::net::IpAddr;
use std::time::Instant;

use net::Family;
use rip::Event;

use super::Task;
use crate::tasks::bfd::{BfdCommand, Client, Subscriber, Want};

impl Task {
    /// Has the path to a neighbour watched, or no longer, as the configuration says.
    pub(super) async fn watch(&self, interface: u32, address: IpAddr) {
        let client = Client::Rip(interface, address);
        let command = match self.rip.bfd.clone() {
            Some(settings) => {
                let subscriber = Subscriber::Rip(self.control.clone());
                BfdCommand::Want(Box::new(Want { client, settings, source: None, subscriber }))
            }
            None => BfdCommand::Unwant(client),
        };
        // A task that is gone means that the daemon stops.
        let _ = self.start.bfd.send(command).await;
    }

    pub(super) async fn unreachable(&mut self, interface: u32, address: IpAddr) {
        let family = Family::of(address);
        let Some(index) = self.versions.iter().position(|version| version.machine.family() == family) else {
            return;
        };
        let mut actions = Vec::new();
        let event = Event::Unreachable { interface, address };
        self.versions[index].machine.handle(Instant::now(), event, &mut actions);
        self.perform(index, actions).await;
    }
}
