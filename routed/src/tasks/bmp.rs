//! Collectors of BMP: a task for each dials, shows and dials again.
//!
//! ```text
//!  main ──BmpCommand──► bmp ─ spawns, stops ─► collector ◄──News (bounded)── table
//!                                                 └─► socket
//! ```
//! What a collector has yet to hear is kept by the table; here are only the
//! octets of one batch. With every connection it begins anew.

mod collector;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use monitor::bmp::{Rib, Termination};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::info;

use self::collector::Collector;
use super::{COMMANDS, TableHandle};
use crate::config::bmp::Bmp;

/// How long a collector may take to hear that this is the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What others ask of the task.
#[derive(Debug)]
pub(crate) enum BmpCommand {
    /// These are the collectors from now on.
    Configure(Vec<Bmp>),
    /// Tell how they are.
    Report(oneshot::Sender<Vec<CollectorReport>>),
    /// The daemon stops.
    Stop(oneshot::Sender<()>),
}

/// How a connection to a collector is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// There is none: not yet, or not any more, for this reason.
    Down(Option<String>),
    /// It has stood since then.
    Up(Instant),
}

/// What a collector's task tells.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// The connection.
    pub(crate) link: Link,
    /// Messages written since the start.
    pub(crate) messages: u64,
    /// Their octets.
    pub(crate) octets: u64,
    /// Connections that came up.
    pub(crate) connects: u64,
}

/// A collector as it was at one moment.
#[derive(Clone, Debug)]
pub(crate) struct CollectorReport {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it is shown.
    pub(crate) monitor: Vec<Rib>,
    /// How it is.
    pub(crate) status: Status,
}

/// What collectors are told of this node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The table.
    pub(crate) table: TableHandle,
}

/// A collector's task and the ways to it.
struct Running {
    config: Bmp,
    status: watch::Receiver<Status>,
    stop: oneshot::Sender<Termination>,
    task: JoinHandle<()>,
}

/// Starts the task.
pub(crate) fn start(node: Node, collectors: Vec<Bmp>) -> mpsc::Sender<BmpCommand> {
    let (commands, mut receiver) = mpsc::channel(COMMANDS);
    tokio::spawn(async move {
        let mut running: Vec<Running> = Vec::new();
        configure(&node, &mut running, collectors).await;
        while let Some(command) = receiver.recv().await {
            match command {
                BmpCommand::Configure(collectors) => configure(&node, &mut running, collectors).await,
                BmpCommand::Report(reply) => {
                    // Whoever asked may have gone; then nobody misses the answer.
                    let _ = reply.send(running.iter().map(Running::report).collect());
                }
                BmpCommand::Stop(reply) => {
                    end(running, Termination::Administrative).await;
                    let _ = reply.send(());
                    return;
                }
            }
        }
    });
    commands
}

/// Ends those that are configured no more, or otherwise, and starts the new.
async fn configure(node: &Node, running: &mut Vec<Running>, wanted: Vec<Bmp>) {
    let (kept, gone) = std::mem::take(running).into_iter().partition(|one| wanted.contains(&one.config));
    *running = kept;
    end(gone, Termination::Permanent).await;
    for config in wanted {
        if running.iter().all(|one| one.config != config) {
            info!(collector = %config.collector, "BMP collector configured");
            running.push(Running::start(node.clone(), config));
        }
    }
}

/// Lets each say its last words, none for longer than it may take.
async fn end(running: Vec<Running>, why: Termination) {
    let tasks: Vec<JoinHandle<()>> = running
        .into_iter()
        .map(|one| {
            // A task that has ended needs not be told.
            let _ = one.stop.send(why);
            one.task
        })
        .collect();
    let deadline = tokio::time::Instant::now() + LAST_WORDS;
    for mut task in tasks {
        if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
            task.abort();
        }
    }
}

impl Running {
    fn start(node: Node, config: Bmp) -> Self {
        let first = Status { link: Link::Down(None), messages: 0, octets: 0, connects: 0 };
        let (status, reader) = watch::channel(first);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(Collector::new(node, config.clone(), status).run(stopped));
        Self { config, status: reader, stop, task }
    }

    fn report(&self) -> CollectorReport {
        let Bmp { collector, monitor, .. } = &self.config;
        CollectorReport {
            address: *collector,
            monitor: monitor.clone(),
            status: self.status.borrow().clone(),
        }
    }
}
