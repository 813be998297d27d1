//! From start to stop: the order in which tasks come and go, and reloads.

mod file;
mod forwarding;
mod notify;
mod order;
mod privileges;
mod router_id;
mod rules;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ipam::{Ipam, OpenConfig};
use kernel::watch::WatchConfig;
use kernel::{Fib, FibConfig, Links};
use net::RouterId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::change::{Change, diff};
use crate::config::runtime::Runtime;
use crate::config::{Config, PeerKey};
use crate::serve::{self, NodeInfo};
use crate::state::StateDir;
use crate::tasks::bfd::{self, BfdCommand};
use crate::tasks::bmp;
use crate::tasks::claim::{self, ClaimHandle, ClaimStart};
use crate::tasks::drain;
use crate::tasks::listener::Listeners;
use crate::tasks::policy::{self, Settings};
use crate::tasks::rip::{self, RipStart};
use crate::tasks::speaker::{Speaker, SpeakerConfig};
use crate::tasks::table::{self, TableInput, TableStart};
use crate::tasks::{
    BmpCommand, COMMANDS, Handles, Order, Owned, Reload, Reloaded, RipCommand, SpeakerCommand, address,
};
use crate::{Fatal, Text};

pub use self::privileges::Lacking;

/// Where the configuration came from, to read it again.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file; it need not exist where it is the default one.
    pub file: PathBuf,
    /// The state directory of the command line.
    pub state_dir: Option<PathBuf>,
    /// The socket of the command line.
    pub socket: Option<PathBuf>,
}

/// Runs the daemon until it is told to stop.
pub fn start(config: Config, source: Source) -> Result<(), Fatal> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Fatal::Runtime)?;
    runtime.block_on(run(Arc::new(config), source))
}

async fn run(config: Arc<Config>, source: Source) -> Result<(), Fatal> {
    // From here on a signal is not lost, however early it comes.
    let signals = Signals::new()?;
    let daemon = Daemon::start(config, source).await?;
    daemon.until_stopped(signals).await
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Fatal> {
        let on = |kind| signal(kind).map_err(Fatal::Signals);
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }
}

struct Daemon {
    config: Arc<Config>,
    source: Source,
    handles: Handles,
    inputs: mpsc::Sender<TableInput>,
    table: tokio::task::JoinHandle<()>,
    address: tokio::task::JoinHandle<()>,
    fib: Fib,
    servers: serve::Servers,
    stop: CancellationToken,
    reloads: mpsc::Receiver<oneshot::Sender<Reloaded>>,
    orders: mpsc::Receiver<Order>,
    state: Arc<StateDir>,
    /// The file as it was last read.
    text: Text,
    /// What operators have changed of the peers since.
    runtime: Runtime,
}

impl Daemon {
    async fn start(config: Arc<Config>, source: Source) -> Result<Self, Fatal> {
        let started = Instant::now();
        privileges::check(&config)?;
        let state = Arc::new(StateDir::open(&config.node.state_dir)?);
        let draining = drain::kept(&state)?;
        let (config, text, runtime) = file::with_kept(config, &source, &state)?;
        // What another daemon may hold comes first: nothing of the kernel has
        // been touched when one of these fails.
        let api = serve::bind(&config.api).await?;
        let listeners = config.bgp.as_ref().map(Listeners::bind).transpose()?;
        let kernel::Started { fib, fib_events, snapshot, kernel_events } =
            kernel::start(fib_config(&config), WatchConfig::default()).await?;
        let links = Links::from_snapshot(&snapshot);
        let router_id = router_id::router_id(&config, &links)?;
        forwarding::switch_on(&config, &state)?;

        let (owned, owned_reader) = watch::channel(Owned::default());
        let (links_out, links_reader) = watch::channel(links.clone());
        let more = config.rip.as_ref().map(|_| Arc::new(Notify::new()));
        let addresses = open_addresses(&config)?;
        let restarting = fib.adopted() > 0;
        let start = TableStart {
            config: Arc::clone(&config),
            rules: rules::rules(&config, router_id),
            links,
            fib: fib.clone(),
            fib_events,
            kernel_events,
            owned,
            links_out,
            rip: more.clone(),
            draining,
        };
        let (inputs, table_handle, table) = table::start(start);
        let policy = policy::start(Arc::clone(&state), Settings::of(&config), owned_reader.clone()).await?;
        let mut owned_first = owned_reader.clone();
        owned_first.mark_changed();
        let address = tokio::spawn(address::run(addresses.clone(), owned_first));
        let bfd = bfd::start(links_reader.clone(), fib.clone()).map_err(Fatal::Runtime)?;
        let around = Around {
            config: &config,
            state: &state,
            addresses: &addresses,
            owned: &owned_reader,
            links: &links_reader,
            inputs: &inputs,
            bfd: &bfd,
            draining,
        };
        let (rip, claim) = around.start_rip(more, router_id).unzip();
        let drain = drain::start(Arc::clone(&state), draining, inputs.clone(), rip.clone());
        let strangers = listeners.as_ref().map(Listeners::strangers).unwrap_or_default();
        let speaker = around.start_speaker((router_id, restarting), listeners)?;

        let (reload, reloads) = mpsc::channel(COMMANDS);
        let (order, orders) = mpsc::channel(COMMANDS);
        let node = bmp::Node { name: config.node.name.as_str().into(), table: table_handle.clone() };
        let bmp = bmp::start(node, config.bmp.clone());
        let notes = notes(&addresses, restarting);
        let handles = Handles {
            table: table_handle,
            speaker,
            rip,
            bfd,
            bmp,
            claim,
            drain,
            policy,
            strangers,
            addresses,
            reload,
            order,
        };
        let stop = CancellationToken::new();
        let info = NodeInfo {
            name: config.node.name.clone(),
            router_id,
            asn: config.bgp.as_ref().map(|bgp| bgp.asn),
            started,
            notes,
        };
        let servers = serve::start(api, info, handles.clone(), stop.clone()).await;
        info!(node = %config.node.name, version = env!("CARGO_PKG_VERSION"), "routed runs");
        notify::tell(notify::READY);
        Ok(Self {
            config,
            source,
            handles,
            inputs,
            table,
            address,
            fib,
            servers,
            stop,
            reloads,
            orders,
            state,
            text,
            runtime,
        })
    }

    async fn until_stopped(mut self, mut signals: Signals) -> Result<(), Fatal> {
        let handles = self.handles.clone();
        let outcome = loop {
            tokio::select! {
                _ = signals.terminate.recv() => break Ok(()),
                _ = signals.interrupt.recv() => break Ok(()),
                _ = &mut self.table => break Err(Fatal::Ended("routing table")),
                _ = &mut self.address => break Err(Fatal::Ended("address")),
                task = handles.ended() => break Err(Fatal::Ended(task)),
                _ = signals.hangup.recv() => {
                    // What went wrong is in the log; nobody waits for an answer.
                    let _ = self.reload().await;
                }
                Some(order) = self.orders.recv() => self.order(order).await,
                Some(reply) = self.reloads.recv() => {
                    let outcome = self.reload().await;
                    let _ = reply.send(outcome);
                }
            }
        };
        drop(handles);
        self.finish().await;
        outcome
    }

    /// Stops for a restart: kernel routes and policy stay, sessions end so
    /// that peers keep our routes.
    async fn finish(self) {
        info!("stopping; routes and policy stay in the kernel");
        notify::tell(notify::STOPPING);
        self.stop.cancel();
        // The table ends first: it must not hear that the sessions end, or it
        // would take their routes out of the kernel.
        self.table.abort();
        if let Some(speaker) = &self.handles.speaker {
            let (reply, done) = oneshot::channel();
            if speaker.send(SpeakerCommand::Stop(reply)).await.is_ok() {
                // An error means that the speaker has ended by itself.
                let _ = done.await;
            }
        }
        if let Some(rip) = &self.handles.rip {
            let (reply, done) = oneshot::channel();
            if rip.send(RipCommand::Stop(reply)).await.is_ok() {
                // An error means that the task has ended by itself.
                let _ = done.await;
            }
        }
        let (reply, done) = oneshot::channel();
        if self.handles.bmp.send(BmpCommand::Stop(reply)).await.is_ok() {
            // An error means that the task has ended by itself.
            let _ = done.await;
        }
        // After the sessions: who has heard that we restart does not take the
        // end of BFD for a failure of the path (RFC 5882 §4.3.2).
        let (reply, done) = oneshot::channel();
        if self.handles.bfd.send(BfdCommand::Stop(reply)).await.is_ok() {
            // An error means that the task has ended by itself.
            let _ = done.await;
        }
        self.servers.finish().await;
        let addresses = self.handles.addresses.clone();
        drop(self.handles);
        drop(self.inputs);
        if self.fib.flush().await.is_err() {
            warn!("the FIB writer had ended before the daemon did");
        }
        match tokio::task::spawn_blocking(move || addresses.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => warn!(%why, "address store not closed well; its journal has everything"),
            Err(error) => warn!(%error, "address store"),
        }
        drop(self.state);
        info!("stopped");
    }

    /// Reads the configuration again and does what differs. A file with
    /// errors changes nothing.
    async fn reload(&mut self) -> Reloaded {
        let (text, (config, warnings)) = file::read(&self.source, &self.runtime).inspect_err(|findings| {
            for finding in findings {
                warn!(%finding, "not reloaded");
            }
        })?;
        for finding in &warnings {
            warn!(%finding, "configuration");
        }
        self.text = text;
        let changes = self.take(config).await;
        info!(changes = changes.join("; "), "configuration reloaded");
        Ok(Reload { changes, warnings })
    }

    /// Does what differs in another configuration; returns it in words.
    async fn take(&mut self, config: Config) -> Vec<String> {
        let config =
            crate::with_overrides(config, self.source.state_dir.as_ref(), self.source.socket.as_ref());
        let changes = diff(&self.config, &config);
        let config = Arc::new(file::keep_fixed(&self.config, config));
        // The filters must be there before a session that uses them is.
        // A table that is gone means that the daemon stops.
        let _ = self.inputs.send(TableInput::Configure(Arc::clone(&config))).await;
        if let (Some(speaker), Some(bgp)) = (&self.handles.speaker, &config.bgp) {
            // A speaker that is gone means that the daemon stops.
            let _ = speaker.send(SpeakerCommand::Keys(bgp.clone().into())).await;
        }
        // A peer that is new gets through the guard before it is dialled.
        let settings = Settings::of(&config);
        if settings != Settings::of(&self.config) {
            self.handles.policy.set(settings).await;
        }
        for change in &changes {
            self.carry_out(change, &config).await;
        }
        if let Some(rip) = &self.handles.rip {
            // A task that is gone means that the daemon stops.
            let _ = rip.send(RipCommand::Configure(Arc::clone(&config))).await;
        }
        self.config = config;
        changes.iter().map(ToString::to_string).collect()
    }

    async fn carry_out(&self, change: &Change, config: &Config) {
        let peers = config.bgp.as_ref().map_or(&[][..], |bgp| &bgp.peers);
        let peer = |key: &PeerKey| peers.iter().find(|peer| peer.key() == *key).cloned().map(Box::new);
        let command = match change {
            Change::PeerAdded(key) | Change::PeerChanged(key) => peer(key).map(SpeakerCommand::Configure),
            Change::PeerPolicy(key) => peer(key).map(SpeakerCommand::Reconfigure),
            Change::Ranges => config.bgp.as_ref().map(|bgp| SpeakerCommand::Ranges(bgp.dynamic.clone())),
            Change::PeerRemoved(key) => Some(SpeakerCommand::Remove(key.clone())),
            Change::NeedsRestart(key) => {
                warn!(key, "this key is read at start only; restart routed to change it");
                None
            }
            Change::Tls => {
                self.servers.configure(config.api.tls.clone());
                None
            }
            Change::Collectors => {
                // A task that is gone means that the daemon stops.
                let _ = self.handles.bmp.send(BmpCommand::Configure(config.bmp.clone())).await;
                None
            }
            // The table and the policy task have heard of these already.
            Change::Originated | Change::Addresses | Change::Marks | Change::Policy | Change::Guard => None,
        };
        if let (Some(command), Some(speaker)) = (command, &self.handles.speaker) {
            // A speaker that is gone means that the daemon stops.
            let _ = speaker.send(command).await;
        }
    }
}

/// What the speaker, RIP and claim tasks are started with.
struct Around<'a> {
    config: &'a Arc<Config>,
    state: &'a Arc<StateDir>,
    addresses: &'a Ipam,
    owned: &'a watch::Receiver<Owned>,
    links: &'a watch::Receiver<Links>,
    inputs: &'a mpsc::Sender<TableInput>,
    bfd: &'a mpsc::Sender<BfdCommand>,
    draining: bool,
}

impl Around<'_> {
    /// Starts the speaker; `None` where BGP is not configured.
    fn start_speaker(
        &self,
        (router_id, restarting): (Option<RouterId>, bool),
        listeners: Option<Listeners>,
    ) -> Result<Option<mpsc::Sender<SpeakerCommand>>, Fatal> {
        let (Some(bgp), Some(listeners)) = (self.config.bgp.clone(), listeners) else { return Ok(None) };
        let router_id = router_id.ok_or(Fatal::NoRouterId)?;
        let name = self.config.node.name.clone();
        let (bfd, links) = (self.bfd.clone(), self.links.clone());
        let speaker = SpeakerConfig { bgp, router_id, name, restarting, bfd, links };
        Ok(Some(Speaker::start(speaker, listeners, self.inputs.clone())?))
    }

    /// Starts RIP and, beside it, the claim; `None` where RIP is not configured.
    fn start_rip(
        &self,
        more: Option<Arc<Notify>>,
        router_id: Option<RouterId>,
    ) -> Option<(mpsc::Sender<RipCommand>, ClaimHandle)> {
        let (sightings, sighted) = mpsc::channel(claim::SIGHTINGS);
        let rip = rip::start(RipStart {
            config: Arc::clone(self.config),
            links: self.links.clone(),
            owned: self.owned.clone(),
            table: self.inputs.clone(),
            more: more?,
            sightings,
            state: Arc::clone(self.state),
            bfd: self.bfd.clone(),
            draining: self.draining,
        })?;
        let start = ClaimStart {
            config: Arc::clone(self.config),
            router_id,
            addresses: self.addresses.clone(),
            owned: self.owned.clone(),
            links: self.links.clone(),
            table: self.inputs.clone(),
            state: Arc::clone(self.state),
        };
        Some((rip, claim::start(start, sighted)))
    }
}

fn fib_config(config: &Config) -> FibConfig {
    let source = config.kernel.source;
    FibConfig {
        table: config.node.table,
        metric: config.kernel.metric,
        source4: source.and_then(|source| match source {
            std::net::IpAddr::V4(source) => Some(source),
            std::net::IpAddr::V6(_) => None,
        }),
        source6: source.and_then(|source| match source {
            std::net::IpAddr::V4(_) => None,
            std::net::IpAddr::V6(source) => Some(source),
        }),
        nexthop_objects: config.kernel.nexthop_objects,
        tell_settled: config.tells_installed_only(),
        ..FibConfig::default()
    }
}

fn open_addresses(config: &Config) -> Result<Ipam, Fatal> {
    let pools = config.cluster.pools.clone();
    let blocks = config.ipam.blocks.clone();
    Ok(Ipam::open(OpenConfig::new(&config.node.state_dir, &config.node.name, pools, blocks))?)
}

/// What was found at start, for the status of the node.
fn notes(addresses: &Ipam, restarting: bool) -> Vec<String> {
    let mut notes: Vec<String> = addresses.recovery().repairs.iter().map(ToString::to_string).collect();
    if restarting {
        notes.push("routes of an earlier run were found in the kernel and adopted".to_owned());
    }
    notes
}
