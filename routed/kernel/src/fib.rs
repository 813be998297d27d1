//! The FIB: desired routes in, what became of each out.
//!
//! A writer on its own thread keeps what is desired and what is installed, two
//! numbers a route, and makes them meet. What flaps faster than the kernel is
//! written is one message.
//!
//! - **Nexthop objects**: where the kernel has them, routes through a gateway
//!   point at an object, one for each source, next hops and backup. So a source
//!   that ends takes its routes with it by one message, and a next hop that
//!   dies ([`Fib::alarm`]) costs one message an object, not one a route.
//!   With a backup the kernel itself moves the routes when the link fails.
//!   Otherwise, and with [`NexthopObjects::Off`], each route says where it leads.
//! - **Start**: routes with our protocol numbers in our table are adopted. They
//!   stay until somebody wants another route there, or until
//!   [`Command::Sweep`], which removes those that nobody wanted.
//! - **Write**: a route is added exclusively. When the kernel says that there is
//!   one, the table is looked at: ours is taken over and replaced in place, a
//!   stranger's stays and the route is refused with [`Refusal::Foreign`]. What
//!   is installed is replaced in place, never deleted and added. Where the
//!   kernel refuses the replacement, the old route goes and the refusal is told:
//!   packets never go on to where nobody wants them to go.
//! - **Repair**: [`Fib::heard`] takes the watcher's events. A route of ours that
//!   somebody deleted is put back; what was refused is tried again when a
//!   stranger's route goes, or links or addresses change.
//! - **Resync**: after an overrun, and when a link went down and up (the kernel
//!   removes its IPv4 routes and says nothing), our routes are read back.
//!
//! Known limits: routes that go with their object are not told of one by one,
//! on `ip monitor` only the object is seen. What another owner appends to an IPv6 route of ours becomes a
//! next hop of it, and goes with the next replacement. Between a stranger's
//! silent `replace` of our route and the watcher's word of it, a replacement of
//! ours hits the stranger's route; the kernel has no conditional replace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use net::{Family, Prefix};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::batch::Batch;
use crate::route::RouteOwner;
use crate::watch::KernelEvent;
use crate::writer::Writer;
use crate::{FibRoute, Refusal};

/// Commands that may wait for the writer before [`Fib::send`] waits: few, for
/// a batch that waits costs memory and leaves the cache before it is taken.
const COMMANDS: usize = 2;
/// Alarms that may wait.
const ALARMS: usize = 16;
/// Events that may wait for the reader; further ones are merged meanwhile.
const EVENTS: usize = 64;

/// How routes are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FibConfig {
    /// The kernel's table; 254 is `main`.
    pub table: u32,
    /// The metric (`RTA_PRIORITY`); default 0 for IPv4, 1024 for IPv6.
    pub metric: Option<u32>,
    /// Preferred source address of IPv4 routes (`RTA_PREFSRC`).
    pub source4: Option<Ipv4Addr>,
    /// Preferred source address of IPv6 routes.
    pub source6: Option<Ipv6Addr>,
    /// Receive buffer of the netlink socket in bytes.
    pub receive_buffer: usize,
    /// Whether routes point at nexthop objects.
    pub nexthop_objects: NexthopObjects,
    /// Tell each [`FibEvent::Settled`], for whoever waits for it.
    pub tell_settled: bool,
}

/// Whether routes point at nexthop objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NexthopObjects {
    /// Where the kernel has them: since Linux 5.3.
    #[default]
    Auto,
    /// Never: each route says where it leads.
    Off,
}

/// What became of [`NexthopObjects`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nexthops {
    /// Routes point at objects.
    Objects,
    /// The configuration says no.
    #[default]
    Off,
    /// The kernel has none.
    Unsupported,
}

impl Default for FibConfig {
    fn default() -> Self {
        Self {
            table: 254,
            metric: None,
            source4: None,
            source6: None,
            receive_buffer: 4 << 20,
            nexthop_objects: NexthopObjects::Auto,
            tell_settled: false,
        }
    }
}

impl FibConfig {
    /// The metric that routes of a family get. The kernel gives 1024 to an
    /// IPv6 route that has none or 0.
    pub fn metric_of(&self, family: Family) -> u32 {
        match (family, self.metric.unwrap_or(0)) {
            (Family::Ipv6Unicast, 0) => 1024,
            (_, metric) => metric,
        }
    }

    /// The preferred source address for a family.
    pub(crate) fn source_of(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::Ipv4Unicast => self.source4.map(IpAddr::V4),
            Family::Ipv6Unicast => self.source6.map(IpAddr::V6),
        }
    }
}

/// What the writer is told.
#[derive(Debug)]
pub enum Command {
    /// The routes desired now.
    Set(Batch),
    /// The peers have spoken: remove adopted routes that nobody wanted.
    Sweep,
    /// Read our routes back and repair what differs.
    Resync,
    /// Somebody deleted or changed the kernel's routes for these prefixes:
    /// look again, and put ours back.
    Lost(Vec<Prefix>),
    /// Somebody deleted or changed a nexthop object, perhaps one of ours.
    ObjectChanged(u32),
    /// What is there for a prefix.
    Ask(Prefix, oneshot::Sender<Result<Done, Refusal>>),
    /// The table has said all that follows from [`Alarm::SourceEnds`].
    Ended,
    /// Whether a link can carry packets now.
    Link {
        /// Its index.
        index: u32,
        /// True when it is up.
        up: bool,
    },
    /// An address came: try again what was refused.
    Retry,
    /// An address went from this link, and with it perhaps routes.
    AddressGone(u32),
    /// Answers when nothing waits to be written.
    Flush(oneshot::Sender<()>),
    /// Answers with the counters.
    Stats(oneshot::Sender<FibStats>),
    /// Write what waits and end; the routes stay in the kernel.
    Shutdown,
}

/// What cannot wait for the routes that are being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// A gateway on a link no longer answers: what goes over it goes over its
    /// backup, or the other next hops, one message an object. Which routes are
    /// desired then is still the table's to say.
    HopDown(IpAddr, u32),
    /// It answers again.
    HopUp(IpAddr, u32),
    /// A link no longer carries packets.
    LinkDown(u32),
    /// A peer or other source of routes has ended. What has a backup goes over
    /// it, before the table speaks of each route; when the table has,
    /// [`Command::Ended`] says so.
    SourceEnds {
        /// Its number, see [`FibRoute::source`].
        source: u32,
        /// No other source has routes to speak of: what only this one had
        /// ([`FibRoute::only`]) goes at once.
        alone: bool,
    },
}

/// What became of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The desired route is in the kernel.
    Installed,
    /// No route of ours is in the kernel.
    Removed,
}

/// What the writer tells. A reader that lags gets the latest of each prefix,
/// not each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FibEvent {
    /// Everything in the batches up to this number is in the kernel, gone from
    /// it, or refused. Where nothing else is to be told, nobody is woken for
    /// it, unless [`FibConfig::tell_settled`] says so: see [`Fib::settled`].
    Settled(u64),
    /// What the kernel does not take, and why; `None`: it does now, or nobody
    /// wants it any more.
    Refused(Vec<(Prefix, Option<Refusal>)>),
    /// So many routes of an earlier run were adopted; sent once, first.
    Adopted(usize),
    /// So many adopted routes were nobody's any more and are removed.
    Swept(usize),
    /// So many routes that somebody deleted, or that went with a link, were put back.
    Repaired(usize),
    /// The routes were read back after an overrun, a flap or on demand.
    Resynced,
    /// The kernel could not be read; routed goes on with what it believes and
    /// reads again at the next command.
    Failed(String),
}

/// Counters and sizes of the writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FibStats {
    /// Whether routes point at nexthop objects.
    pub nexthops: Nexthops,
    /// Nexthop objects of ours in the kernel.
    pub objects: usize,
    /// Routes of ours in the kernel.
    pub installed: usize,
    /// Routes that wait to be written.
    pub pending: usize,
    /// Routes that the kernel refused.
    pub refused: usize,
    /// Adopted routes that nobody has wanted yet.
    pub stale: usize,
    /// Routes put back since the start.
    pub repaired: u64,
    /// Messages about routes written since the start.
    pub written: u64,
    /// Times that the routes were read back.
    pub resyncs: u64,
    /// Times that the socket's buffer overran.
    pub overruns: u64,
}

/// Why the FIB writer could not start.
#[derive(Debug, thiserror::Error)]
pub enum FibError {
    /// No netlink socket.
    #[error("netlink socket for routes: {0}; check that the process may open AF_NETLINK sockets")]
    Socket(#[source] std::io::Error),
    /// The routes of an earlier run could not be read.
    #[error("kernel table {table}: reading routes: {source}; check the table number in [node] table")]
    Dump {
        /// The table.
        table: u32,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// No thread.
    #[error("thread for the FIB writer: {0}; check the limit of tasks for the service")]
    Thread(#[source] std::io::Error),
}

/// The writer has ended; after [`Command::Shutdown`] that is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the FIB writer has ended; restart routed")]
pub struct Ended;

/// A handle on the FIB writer. When the last one is dropped the writer writes
/// what waits and ends; the routes stay in the kernel.
#[derive(Clone, Debug)]
pub struct Fib {
    commands: mpsc::Sender<Command>,
    urgent: mpsc::Sender<Alarm>,
    config: FibConfig,
    settled: Arc<AtomicU64>,
    port: u32,
    adopted: usize,
}

/// A writer that has not looked at the kernel's routes yet. Whoever watches for
/// it subscribes now: what others do while the routes are read is heard then.
pub struct Unread(Writer);

impl Unread {
    /// The port id of the writer's socket, see [`Fib::port`].
    pub fn port(&self) -> u32 {
        self.0.port()
    }

    /// Adopts the routes of an earlier run and starts the writer.
    pub fn start(self) -> Result<(Fib, mpsc::Receiver<FibEvent>), FibError> {
        let Self(mut writer) = self;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (urgent, alarms) = mpsc::channel(ALARMS);
        let (outbox, events) = mpsc::channel(EVENTS);
        let config = writer.config().clone();
        writer.adopt().map_err(|source| FibError::Dump { table: config.table, source })?;
        let (port, adopted, settled) = (writer.port(), writer.adopted(), writer.quiet());
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(FibError::Thread)?;
        std::thread::Builder::new()
            .name("fib".to_owned())
            .spawn(move || runtime.block_on(writer.run(inbox, alarms, outbox)))
            .map_err(FibError::Thread)?;
        Ok((Fib { commands, urgent, config, settled, port, adopted }, events))
    }
}

impl Fib {
    /// Opens the socket in the caller's network namespace.
    pub fn open(config: FibConfig) -> Result<Unread, FibError> {
        Writer::open(config).map(Unread)
    }

    /// The same and starts at once, for who does not watch; see [`crate::start()`].
    pub fn start(config: FibConfig) -> Result<(Self, mpsc::Receiver<FibEvent>), FibError> {
        Self::open(config)?.start()
    }

    /// Hands a command to the writer; waits while its queue is full.
    pub async fn send(&self, command: Command) -> Result<(), Ended> {
        self.commands.send(command).await.map_err(|_| Ended)
    }

    /// Says which routes are desired now; `None` wants no route of ours.
    pub async fn set(&self, routes: Vec<(Prefix, Option<FibRoute>)>) -> Result<(), Ended> {
        let mut batch = Batch::default();
        for (prefix, route) in routes {
            if batch.is_full() {
                self.send(Command::Set(std::mem::take(&mut batch))).await?;
            }
            let route = route.map(|route| batch.route(route));
            batch.push(prefix, route);
        }
        self.send(Command::Set(batch)).await
    }

    /// Tells what cannot wait.
    pub async fn alarm(&self, alarm: Alarm) -> Result<(), Ended> {
        self.urgent.send(alarm).await.map_err(|_| Ended)
    }

    /// The same from where nobody can wait; false when too much waits already,
    /// and the slow way must do.
    pub fn try_alarm(&self, alarm: Alarm) -> bool {
        self.urgent.try_send(alarm).is_ok()
    }

    /// What is there for a prefix, when what was sent before is written.
    pub async fn ask(&self, prefix: Prefix) -> Result<Result<Done, Refusal>, Ended> {
        self.flush().await?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Ask(prefix, reply)).await?;
        answer.await.map_err(|_| Ended)
    }

    /// Waits until nothing waits to be written.
    pub async fn flush(&self) -> Result<(), Ended> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Flush(reply)).await?;
        answer.await.map_err(|_| Ended)
    }

    /// The counters, after what was sent before.
    pub async fn stats(&self) -> Result<FibStats, Ended> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Stats(reply)).await?;
        answer.await.map_err(|_| Ended)
    }

    /// The last batch of which everything is in the kernel, gone from it, or
    /// refused and told, unless [`FibEvent::Settled`] has named a later one.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// The port id of the writer's socket, by which the watcher knows the
    /// echo of our own writes.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// How many routes of an earlier run were found at the start.
    pub fn adopted(&self) -> usize {
        self.adopted
    }

    /// Takes what the watcher heard, so that routes are repaired. Events that
    /// concern no route of ours cost nothing.
    pub async fn heard(&self, event: &KernelEvent) -> Result<(), Ended> {
        match self.command_for(event) {
            Some(command) => self.send(command).await,
            None => Ok(()),
        }
    }

    /// What an event of the watcher asks the writer to do.
    fn command_for(&self, event: &KernelEvent) -> Option<Command> {
        match event {
            KernelEvent::Link(link) => Some(Command::Link { index: link.index, up: link.up && link.running }),
            KernelEvent::LinkGone(index) => Some(Command::Link { index: *index, up: false }),
            KernelEvent::Address { .. } => Some(Command::Retry),
            KernelEvent::AddressGone { index, .. } => Some(Command::AddressGone(*index)),
            KernelEvent::NextHop(id) => Some(Command::ObjectChanged(*id)),
            KernelEvent::Resync(_) => Some(Command::Resync),
            KernelEvent::Route { prefix, protocol, table, metric, gone } => {
                let ours = RouteOwner::from_protocol(*protocol).is_some();
                let concerns =
                    *table == self.config.table && *metric == self.config.metric_of(prefix.family());
                (concerns && (*gone || !ours)).then(|| Command::Lost(vec![*prefix]))
            }
        }
    }
}
