//! What comes in: whose socket has something, and whose is due to be looked at.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use rip::{Action, Event};
use tracing::warn;

use super::socket::RipSocket;
use super::{Task, Version};

/// Waits for packets: which version, which interface.
pub(super) async fn packets(versions: &[Version]) -> (usize, u32) {
    poll_fn(|context| {
        for (place, version) in versions.iter().enumerate() {
            for (index, socket) in &version.sockets {
                if socket.poll_readable(context).is_ready() {
                    return Poll::Ready((place, *index));
                }
            }
        }
        Poll::Pending
    })
    .await
}

impl Task {
    /// Takes what has come on an interface of a version.
    pub(super) async fn receive(&mut self, index: usize, interface: u32) {
        let mut actions = Vec::new();
        self.versions[index].read(Instant::now(), interface, &mut self.buffer, &mut actions);
        self.perform(index, actions).await;
    }
}

impl Version {
    /// Takes what has come on an interface.
    fn read(&mut self, now: Instant, interface: u32, buffer: &mut [u8], actions: &mut Vec<Action>) {
        let Some(socket) = self.sockets.get_mut(&interface) else { return };
        match socket.receive(now, buffer) {
            Ok(packets) => {
                let events = packets.into_iter().map(Event::Received);
                events.for_each(|event| self.machine.handle(now, event, actions));
            }
            Err(error) => warn!(interface, %error, "rip cannot receive"),
        }
    }

    /// Takes what has come on interfaces whose sockets say nothing of it.
    pub(super) fn read_resting(&mut self, now: Instant, buffer: &mut [u8], actions: &mut Vec<Action>) {
        let resting = |(index, socket): (&u32, &RipSocket)| socket.rests_until().map(|_| *index);
        let resting: Vec<u32> = self.sockets.iter().filter_map(resting).collect();
        for interface in resting {
            self.read(now, interface, buffer, actions);
        }
    }
}
