//! The path to the peer, which BFD watches.

use std::sync::Arc;
use std::time::Instant;

use bfd::Fate;
use bgp::conn::Up;
use bgp::peer::{Admin, Event};
use net::Family;
use tracing::info;

use super::PeerTask;
use crate::tasks::bfd::{BfdCommand, Client, Subscriber, Want};
use crate::tasks::table::TableInput;

/// The families that a peer which has restarted has yet to tell.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    families: Vec<Family>,
    until: Option<Instant>,
}

impl Recovery {
    /// Of a session that has begun; it lasts no longer than the peer said
    /// that its restart does.
    pub(super) fn of(now: Instant, up: &Arc<Up>) -> Self {
        match up.graceful_restart.as_ref().filter(|restart| restart.restarting) {
            Some(restart) => Self {
                families: up.restartable(),
                until: Some(now + std::time::Duration::from_secs(restart.restart_time.into())),
            },
            None => Self::default(),
        }
    }

    /// The peer has told a family.
    pub(super) fn told(&mut self, family: Family) {
        self.families.retain(|other| *other != family);
    }

    fn runs(&self, now: Instant) -> bool {
        !self.families.is_empty() && self.until.is_some_and(|until| now < until)
    }
}

impl PeerTask {
    /// Has the path to the peer watched, or no longer, as the configuration says.
    pub(super) async fn watch(&self) {
        let client = Client::Bgp(self.config.address);
        let command = match self.config.bfd.clone() {
            Some(settings) => {
                let subscriber = Subscriber::Peer(self.control.clone());
                BfdCommand::Want(Box::new(Want { client, settings, source: self.config.source, subscriber }))
            }
            None => BfdCommand::Unwant(client),
        };
        // A task that is gone means that the daemon stops.
        let _ = self.bfd.send(command).await;
    }

    /// BFD says that the path has failed. Where the BFD of the peer shares the
    /// fate of its control plane, a restart looks the same: it goes on (RFC
    /// 5882 §4.3.2). Where it does not, what the peer left goes (§4.3.1).
    pub(super) fn path_failed(&mut self, fate: Fate) {
        let peer = self.config.address;
        match (&self.session, fate) {
            (Some(session), Fate::Shared)
                if session.recovery.runs(Instant::now()) || self.closed_by_peer(session.up.conn) =>
            {
                info!(%peer, "bfd session down while the peer restarts; its routes are kept");
            }
            (Some(_), _) => {
                self.outbox.push(TableInput::PathDown(peer));
                self.handle(Event::Stop(Admin::BfdDown));
            }
            (None, Fate::Independent) => {
                self.outbox.push(TableInput::PathDown(peer));
                info!(%peer, "bfd says that the peer does not forward; routes of before its restart go");
                self.outbox.push(TableInput::PeerDown { id: self.id, graceful: None });
            }
            // An attempt to connect may well succeed: BFD holds nothing down
            // (§3.2).
            (None, Fate::Shared) => {}
        }
    }

    /// True when the end of the connection is in the socket and has not been
    /// read yet: the peer's process is gone, not the path.
    fn closed_by_peer(&self, conn: bgp::conn::ConnId) -> bool {
        self.conns.iter().any(|(id, one)| *id == conn && one.closed_by_peer())
    }
}
