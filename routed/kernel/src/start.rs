//! Writer and watcher, started in the order in which nothing is missed.
//!
//! ```text
//!  the writer's socket is open ─► the watcher subscribes ─► the routes are read
//!         (its port is known)
//! ```
//! So a route of an earlier run that somebody deletes is either not among
//! those that are read, or its going is heard afterwards.

use tokio::sync::mpsc;

use crate::watch::{self, WatchConfig, WatchError};
use crate::{Fib, FibConfig, FibError, FibEvent, KernelEvent};

/// Both, running.
#[derive(Debug)]
pub struct Started {
    /// The FIB writer, which has adopted what an earlier run left and knows
    /// the snapshot.
    pub fib: Fib,
    /// What the writer tells.
    pub fib_events: mpsc::Receiver<FibEvent>,
    /// Links and addresses as they were at the start.
    pub snapshot: Vec<KernelEvent>,
    /// What happened since; whoever reads it hands it to [`Fib::heard`].
    pub kernel_events: mpsc::Receiver<KernelEvent>,
}

/// Why writer and watcher could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The writer.
    #[error(transparent)]
    Fib(#[from] FibError),
    /// The watcher.
    #[error(transparent)]
    Watch(#[from] WatchError),
}

/// Starts both in the network namespace of the calling thread; the watcher
/// ignores what the writer writes.
pub async fn start(config: FibConfig, watch: WatchConfig) -> Result<Started, StartError> {
    let unread = Fib::open(config)?;
    let watch = WatchConfig { own_port: Some(unread.port()), ..watch };
    let (snapshot, kernel_events) = watch::start(watch).await?;
    let (fib, fib_events) = unread.start()?;
    for event in &snapshot {
        // A writer that has ended already says so at the first route.
        let _ = fib.heard(event).await;
    }
    Ok(Started { fib, fib_events, snapshot, kernel_events })
}
