use tempfile::TempDir;

use super::*;

/// The task of a node with RIP, and what table and RIP get.
struct Node {
    handle: DrainHandle,
    table: mpsc::Receiver<TableInput>,
    rip: mpsc::Receiver<RipCommand>,
    state: Arc<StateDir>,
    dir: TempDir,
}

fn node() -> Node {
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(StateDir::open(&dir.path().join("state")).unwrap());
    let (to_table, table) = mpsc::channel(8);
    let (to_rip, rip) = mpsc::channel(8);
    let draining = kept(&state).unwrap();
    let handle = start(Arc::clone(&state), draining, to_table, Some(to_rip));
    Node { handle, table, rip, state, dir }
}

impl Node {
    /// The orders that table and RIP get next.
    async fn orders(&mut self) -> [DrainOrder; 2] {
        let Some(TableInput::Drain(table)) = self.table.recv().await else { panic!("no order") };
        let Some(RipCommand::Drain(rip)) = self.rip.recv().await else { panic!("no order") };
        [table, rip]
    }

    /// Gives an order that is told at once.
    async fn set(&mut self, draining: bool) -> Drained {
        let handle = self.handle.clone();
        let (drained, ()) = tokio::join!(async { handle.set(draining).await.unwrap() }, async {
            for order in self.orders().await {
                assert_eq!(order.draining, draining);
                order.told.send(()).unwrap();
            }
        });
        drained
    }
}

#[tokio::test]
async fn drained_is_kept_and_shown_until_undrained() {
    let mut node = node();
    assert_eq!(node.handle.alarm(), None);
    assert_eq!(node.set(true).await, Drained { changed: true, told: true });
    assert!(kept(&node.state).unwrap());
    let alarm = node.handle.alarm().unwrap();
    assert_eq!((&*alarm.id, alarm.severity()), ("draining", v1::Severity::Notice));
    assert_eq!(node.set(true).await, Drained { changed: false, told: true }, "twice is once");
    assert_eq!(node.set(false).await, Drained { changed: true, told: true });
    assert!(!kept(&node.state).unwrap());
    assert_eq!(node.handle.alarm(), None);
}

#[tokio::test]
async fn an_undrain_overtakes_a_drain_that_is_still_being_told() {
    let mut node = node();
    let handle = node.handle.clone();
    let drain = tokio::spawn(async move { handle.set(true).await.unwrap() });
    // Nobody has been told yet.
    let slow = node.orders().await;
    assert_eq!(node.set(false).await, Drained { changed: true, told: true });
    assert!(!drain.is_finished());
    drop(slow);
    assert_eq!(drain.await.unwrap(), Drained { changed: true, told: false });
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_done() {
    let mut node = node();
    std::fs::remove_dir_all(node.dir.path().join("state")).unwrap();
    assert!(matches!(node.handle.set(true).await, Err(DrainError::NotKept(_))));
    assert_eq!(node.handle.alarm(), None);
    assert!(node.table.try_recv().is_err() && node.rip.try_recv().is_err(), "nobody is told");
}
