//! The drain task: the one owner of whether this node is drained.
//!
//! ```text
//!  serve ──Order──► drain ─┬─► state directory, first
//!                          ├─► TableInput::Drain ─► BGP peers ──┐
//!                          └─► RipCommand::Drain ─► neighbours ─┴─► told
//! ```
//! The task does not wait until neighbours have been told: whoever asked does.
//! So an undrain overtakes a drain that is still being told.

use std::sync::Arc;
use std::time::Duration;

use api::v1;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;

use super::table::TableInput;
use super::{COMMANDS, RipCommand};
use crate::state::{StateDir, StateError};

/// The file in the state directory.
const FILE: &str = "drain.json";
/// How long whoever asked waits at most until neighbours have been told.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is kept over a restart.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Kept {
    draining: bool,
}

/// Drain or undrain, and answer when neighbours have been told.
#[derive(Debug)]
pub(crate) struct DrainOrder {
    /// Drained, or not.
    pub(crate) draining: bool,
    /// Gets an answer when it is told.
    pub(crate) told: oneshot::Sender<()>,
}

/// What an order did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drained {
    /// It was not so before.
    pub(crate) changed: bool,
    /// Neighbours have been told.
    pub(crate) told: bool,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrainError {
    /// It could not be kept; nothing was changed.
    #[error(transparent)]
    NotKept(#[from] StateError),
    /// The daemon stops.
    #[error("routed is stopping")]
    Stopping,
}

struct Order {
    draining: bool,
    reply: oneshot::Sender<Result<Begun, StateError>>,
}

/// An order that is being told.
struct Begun {
    changed: bool,
    told: Vec<oneshot::Receiver<()>>,
}

/// The way to the task.
#[derive(Clone, Debug)]
pub(crate) struct DrainHandle {
    orders: mpsc::Sender<Order>,
    draining: watch::Receiver<bool>,
}

struct Task {
    state: Arc<StateDir>,
    draining: watch::Sender<bool>,
    table: mpsc::Sender<TableInput>,
    rip: Option<mpsc::Sender<RipCommand>>,
}

/// Whether the node was drained when the daemon last ran.
pub(crate) fn kept(state: &StateDir) -> Result<bool, StateError> {
    Ok(state.load::<Kept>(FILE)?.unwrap_or_default().draining)
}

/// Starts the task; `draining` is what [`kept`] says, and what table and RIP
/// were started with.
pub(crate) fn start(
    state: Arc<StateDir>,
    draining: bool,
    table: mpsc::Sender<TableInput>,
    rip: Option<mpsc::Sender<RipCommand>>,
) -> DrainHandle {
    if draining {
        info!("this node is drained; routectl undrain ends that");
    }
    let (orders, receiver) = mpsc::channel(COMMANDS);
    let (sender, reader) = watch::channel(draining);
    tokio::spawn(Task { state, draining: sender, table, rip }.run(receiver));
    DrainHandle { orders, draining: reader }
}

impl DrainHandle {
    /// Drains the node or ends that, and waits until neighbours have been
    /// told, or a few seconds.
    pub(crate) async fn set(&self, draining: bool) -> Result<Drained, DrainError> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order { draining, reply }).await.map_err(|_| DrainError::Stopping)?;
        let Begun { changed, told } = answer.await.map_err(|_| DrainError::Stopping)??;
        let all = async {
            for one in told {
                one.await?;
            }
            Ok::<(), oneshot::error::RecvError>(())
        };
        let told = matches!(tokio::time::timeout(PATIENCE, all).await, Ok(Ok(())));
        Ok(Drained { changed, told })
    }

    /// That the node is drained, for the status of the node.
    pub(crate) fn alarm(&self) -> Option<v1::Alarm> {
        self.draining.borrow().then(|| v1::Alarm {
            id: "draining".to_owned(),
            severity: v1::Severity::Notice as i32,
            text: "neighbours are told to send no traffic to this node".to_owned(),
            hint: "routectl undrain".to_owned(),
        })
    }
}

impl Task {
    async fn run(self, mut orders: mpsc::Receiver<Order>) {
        while let Some(Order { draining, reply }) = orders.recv().await {
            let begun = self.carry_out(draining).await;
            // Whoever asked may have gone; the work is done.
            let _ = reply.send(begun);
        }
    }

    /// What is not kept is not done: after a crash the node would take
    /// traffic that somebody believes it does not take.
    async fn carry_out(&self, draining: bool) -> Result<Begun, StateError> {
        let changed = *self.draining.borrow() != draining;
        if changed {
            self.state.save(FILE, &Kept { draining })?;
            info!(draining, "drain");
            self.draining.send_replace(draining);
        }
        let mut told = Vec::new();
        let mut order = || {
            let (sender, receiver) = oneshot::channel();
            told.push(receiver);
            DrainOrder { draining, told: sender }
        };
        // A table or RIP that is gone means that the daemon stops; whoever
        // waits learns it, for the order is dropped.
        let _ = self.table.send(TableInput::Drain(order())).await;
        if let Some(rip) = &self.rip {
            let _ = rip.send(RipCommand::Drain(order())).await;
        }
        Ok(Begun { changed, told })
    }
}

#[cfg(test)]
mod tests;
