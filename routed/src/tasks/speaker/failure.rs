//! What happens when the task of a peer fails.

use std::time::{Duration, Instant};

use bgp::conn::CloseReason;
use bgp::peer::{Down, Why};
use tokio::task::{Id, JoinError};
use tracing::{error, info};

use super::{Handle, Speaker};
use crate::config::{PeerKey, PeerOrigin};
use crate::tasks::report::PeerReport;
use crate::tasks::table::TableInput;

/// The wait before a task that failed is started again; it doubles each time.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);
/// A task that has run this long may begin with the first wait again.
const SOUND: Duration = Duration::from_secs(900);

/// The last failure of a task.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    why: String,
    wait: Duration,
    /// When the task is started again; `None`: it runs.
    next: Option<Instant>,
}

impl Speaker {
    /// A task has ended: as it was told to, or the peer is down until it is
    /// started again.
    pub(super) async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let by_itself = ended.is_ok();
        let (task, why) = match ended {
            Ok((task, ())) => (task, "it ended by itself".to_owned()),
            Err(error) => (error.id(), words(error)),
        };
        // One that is configured no more has been told to end.
        let Some(handle) = self.peers.values_mut().find(|handle| handle.task == task) else { return };
        let key = handle.config.key();
        let of_range = matches!(handle.config.origin, PeerOrigin::Range(_));
        if of_range || (handle.config.interface.is_some() && by_itself) {
            // One of a range has gone, as it should; or it has failed, and may
            // dial in again. One of an interface is heard no more.
            let id = handle.id;
            info!(peer = %handle.config.name(), "peer has gone");
            self.peers.remove(&key);
            self.unnumbered.gone(&key);
            self.gone_from_lan(&key);
            // The table's channel closes only when the daemon ends.
            let _ = self.table.send(TableInput::PeerRemoved { id }).await;
            return;
        }
        let now = Instant::now();
        let before = handle.failure.take().filter(|_| now.saturating_duration_since(handle.started) < SOUND);
        let wait = before.map_or(FIRST, |before| LONGEST.min(before.wait * 2));
        error!(peer = %handle.config.name(), why, wait = wait.as_secs(), "peer task failed, which is a defect; the peer is down and is started again");
        handle.failure = Some(Failure { why, wait, next: Some(now + wait) });
        let why = Why::Closed(CloseReason::Failed("the task of the peer failed".to_owned()));
        let down = TableInput::PeerDown { id: handle.id, down: Down { why, graceful: None } };
        // The table's channel closes only when the daemon ends.
        let _ = self.table.send(down).await;
    }

    /// When the next task is to be started again.
    pub(super) fn next_start(&self) -> Option<Instant> {
        self.peers.values().filter_map(|handle| handle.failure.as_ref()?.next).min()
    }

    /// Starts the tasks whose wait is over.
    pub(super) fn start_failed(&mut self, now: Instant) {
        let due = |handle: &&Handle| {
            handle.failure.as_ref().and_then(|failure| failure.next).is_some_and(|next| next <= now)
        };
        let due: Vec<PeerKey> = self.peers.values().filter(due).map(|handle| handle.config.key()).collect();
        for peer in due {
            self.start_again(&peer);
        }
    }

    /// Starts the task of a peer now, if it waits to be started.
    pub(super) fn start_again(&mut self, peer: &PeerKey) {
        let waits = |handle: &&Handle| handle.failure.as_ref().is_some_and(|failure| failure.next.is_some());
        if let Some(handle) = self.peers.get(peer).filter(waits) {
            let failure = handle.failure.clone().map(|failure| Failure { next: None, ..failure });
            self.spawn(handle.id, handle.config.clone(), failure);
        }
    }

    /// How a peer is whose task does not run.
    pub(super) fn report_failed(&self, handle: &Handle) -> PeerReport {
        let machine = bgp::Peer::new(self.machine_config(&handle.config));
        let why = handle.failure.as_ref().map_or("it has just ended", |failure| &failure.why);
        PeerReport {
            last_error: Some(format!("the task of this peer failed: {why}; it is started again")),
            ..PeerReport::new(&handle.config, &machine.status(), Instant::now())
        }
    }
}

/// What a task said when it panicked.
fn words(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "it panicked".to_owned()),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::super::SpeakerConfig;
    use super::*;
    use crate::tasks::listener::Listeners;
    use bgp::peer::State;

    fn speaker() -> (Speaker, mpsc::Receiver<TableInput>) {
        let source = "[bgp]\nasn = 64512\nlisten = []\n[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 64512\n\
                      passive = true\n[[bgp.peer]]\naddress = \"192.0.2.3\"\nasn = 64512\npassive = true\n";
        let bgp = crate::config::parse("test", source).unwrap().0.bgp.unwrap();
        let listeners = Listeners::bind(&bgp).unwrap();
        let bfd = mpsc::channel(1).0;
        let router_id = "192.0.2.1".parse().unwrap();
        let links = tokio::sync::watch::channel(kernel::Links::default()).1;
        let config = SpeakerConfig { bgp, router_id, name: "n1".into(), restarting: false, bfd, links };
        let (table, inputs) = mpsc::channel(16);
        (Speaker::new(config, listeners, table), inputs)
    }

    /// Has a task in the place of the peer's panic, and the speaker hear of it.
    async fn fail(speaker: &mut Speaker, address: &PeerKey) {
        let task = speaker.tasks.spawn(async { panic!("out of luck") }).id();
        let (closed, _) = mpsc::channel(1);
        let handle = speaker.peers.get_mut(address).unwrap();
        (handle.task, handle.commands) = (task, closed);
        // The task that was there ends, for nobody can command it any more.
        loop {
            let ended = speaker.tasks.join_next_with_id().await.unwrap();
            let panicked = ended.is_err();
            speaker.ended(ended).await;
            if panicked {
                return;
            }
        }
    }

    #[tokio::test]
    async fn a_peer_whose_task_panics_is_down_and_started_again_after_a_growing_wait() {
        let (mut speaker, mut inputs) = speaker();
        let address: PeerKey = "192.0.2.2".parse().unwrap();
        let id = speaker.peers[&address].id;
        for seconds in [1, 2, 4] {
            fail(&mut speaker, &address).await;
            let told = inputs.recv().await.unwrap();
            assert!(
                matches!(told, TableInput::PeerDown { id: of, down: Down { graceful: None, .. } } if of == id),
                "{told:?}"
            );
            let reports = speaker.report(None).await;
            assert_eq!(reports.len(), 2, "the peer is shown although its task is gone");
            let of_failed = &reports[0].1;
            assert_eq!((of_failed.config.key(), of_failed.state), (address.clone(), State::Idle));
            assert!(of_failed.last_error.as_ref().unwrap().contains("out of luck"), "{of_failed:?}");
            let next = speaker.next_start().unwrap();
            let wait = next.saturating_duration_since(Instant::now());
            assert!(
                wait <= Duration::from_secs(seconds) && wait > Duration::from_secs(seconds) / 2,
                "{wait:?}"
            );
            speaker.start_failed(next);
            assert_eq!(speaker.next_start(), None);
            let reports = speaker.report(Some(&address)).await;
            assert_eq!(
                (reports[0].0, reports[0].1.state),
                (id, State::Active),
                "it looks for a session again"
            );
        }
    }

    #[tokio::test]
    async fn an_operator_need_not_wait_and_a_removed_peer_stays_away() {
        let (mut speaker, mut inputs) = speaker();
        let address: PeerKey = "192.0.2.2".parse().unwrap();
        fail(&mut speaker, &address).await;
        speaker.start_again(&address);
        assert_eq!(speaker.report(Some(&address)).await[0].1.state, State::Active);
        fail(&mut speaker, &address).await;
        speaker.remove(&address).await;
        assert_eq!((speaker.next_start(), speaker.report(Some(&address)).await.len()), (None, 0));
        let mut last = None;
        while let Ok(input) = inputs.try_recv() {
            last = Some(input);
        }
        assert!(matches!(last, Some(TableInput::PeerRemoved { .. })), "{last:?}");
    }
}
