//! The path to the peer, which BFD watches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bfd::{Fate, WhyDown};
use bgp::conn::Up;
use bgp::peer::{Admin, Down, Event, Why};
use net::Family;
use tracing::info;

use super::{PeerTask, Session};
use crate::tasks::bfd::{BfdCommand, Client, Subscriber, Want};
use crate::tasks::table::TableInput;

/// What a peer that has restarted has yet to do.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// The families that it has yet to tell.
    families: Vec<Family>,
    /// BFD has yet to hear of the restart: a neighbour that is back before it
    /// was missed says that it is down at first, and that is no failure.
    unheard: bool,
    until: Option<Instant>,
}

impl Recovery {
    /// Of a session that has begun; it lasts no longer than the peer said
    /// that its restart does. `heard` when BFD has told of the restart already.
    pub(super) fn of(now: Instant, up: &Arc<Up>, heard: bool) -> Self {
        match up.graceful_restart.as_ref().filter(|restart| restart.restarting) {
            Some(restart) => Self {
                families: up.restartable(),
                unheard: !heard,
                until: Some(now + Duration::from_secs(restart.restart_time.into())),
            },
            None => Self::default(),
        }
    }

    /// The peer has told a family.
    pub(super) fn told(&mut self, family: Family) {
        self.families.retain(|other| *other != family);
    }

    /// True when a failure that BFD tells for this reason may be the restart.
    fn explains(&self, now: Instant, why: WhyDown) -> bool {
        let away = self.unheard && why == WhyDown::Neighbor;
        (away || !self.families.is_empty()) && self.until.is_some_and(|until| now < until)
    }
}

/// Where the session stands when BFD says that the path has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// There is none; routes of one before may be kept.
    Absent,
    /// It is up, but the peer is not done with its restart, or has begun one.
    Restarting,
    /// It is up.
    Up,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing: an attempt to connect may well succeed, and BFD holds nothing
    /// down (RFC 5882 §3.2); the restart goes on (§4.3.2).
    Wait,
    /// The session ends, and nothing of it is kept (§3.2, RFC 9384).
    End,
    /// What is kept over the restart goes (§4.3.1).
    Forget,
}

/// Where the BFD of the peer shares the fate of its control plane, a restart
/// looks like a failure; where it does not, there is nothing to wait for.
fn judge(standing: Standing, fate: Fate) -> Outcome {
    match (standing, fate) {
        (Standing::Up, _) | (Standing::Restarting, Fate::Independent) => Outcome::End,
        (Standing::Absent, Fate::Independent) => Outcome::Forget,
        (Standing::Absent | Standing::Restarting, Fate::Shared) => Outcome::Wait,
    }
}

impl PeerTask {
    /// Has the path to the peer watched, or no longer, as the configuration says.
    pub(super) async fn watch(&self) {
        let client = Client::Bgp(self.config.address, self.config.scope);
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

    /// BFD says that the path has failed.
    pub(super) fn path_failed(&mut self, why: WhyDown, fate: Fate) {
        let (peer, scope) = (self.config.address, self.config.scope);
        let standing = match &self.session {
            None => Standing::Absent,
            Some(Session { recovery, .. }) if recovery.explains(Instant::now(), why) => Standing::Restarting,
            Some(Session { up, .. }) if self.closed_by_peer(up.conn) => Standing::Restarting,
            Some(_) => Standing::Up,
        };
        let outcome = judge(standing, fate);
        info!(peer = %self.config.name(), ?standing, ?fate, ?outcome, "bfd says that the path has failed");
        match outcome {
            Outcome::Wait => match &mut self.session {
                Some(Session { recovery, .. }) if recovery.unheard => recovery.unheard = false,
                _ => self.restart_heard = true,
            },
            Outcome::End => {
                self.outbox.push(TableInput::PathDown(peer, scope));
                self.handle(Event::Stop(Admin::BfdDown));
            }
            Outcome::Forget => {
                self.outbox.push(TableInput::PathDown(peer, scope));
                self.outbox.push(TableInput::PeerDown {
                    id: self.id,
                    down: Down { why: Why::Stopped(Admin::BfdDown), graceful: None },
                });
            }
        }
    }

    /// True when the end of the connection is in the socket and has not been
    /// read yet: the peer's process is gone, not the path.
    fn closed_by_peer(&self, conn: bgp::conn::ConnId) -> bool {
        self.conns.iter().any(|(id, one)| *id == conn && one.closed_by_peer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_judged_by_the_session_and_by_the_c_bit() {
        use Standing::{Absent, Restarting, Up};
        for (standing, shared, independent) in [
            (Up, Outcome::End, Outcome::End),
            (Restarting, Outcome::Wait, Outcome::End),
            (Absent, Outcome::Wait, Outcome::Forget),
        ] {
            assert_eq!(judge(standing, Fate::Shared), shared, "{standing:?}");
            assert_eq!(judge(standing, Fate::Independent), independent, "{standing:?}");
        }
    }

    #[test]
    fn a_peer_recovers_until_it_has_told_all_and_no_longer_than_it_said() {
        let now = Instant::now();
        let until = Some(now + Duration::from_secs(120));
        let mut recovery = Recovery { families: Family::ALL.to_vec(), unheard: false, until };
        recovery.told(Family::Ipv4Unicast);
        assert!(recovery.explains(now, WhyDown::Silent));
        assert!(!recovery.explains(now + Duration::from_secs(120), WhyDown::Silent));
        recovery.told(Family::Ipv6Unicast);
        assert!(!recovery.explains(now, WhyDown::Silent));
        assert!(!Recovery::default().explains(now, WhyDown::Neighbor));
        let back_at_once = Recovery { families: Vec::new(), unheard: true, until };
        assert!(back_at_once.explains(now, WhyDown::Neighbor));
        assert!(!back_at_once.explains(now, WhyDown::Silent));
    }
}
