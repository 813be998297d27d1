//! The BGP speaker: owns the peers' tasks and the listening sockets.
//!
//! ```text
//!  accept tasks ──Accepted──┐            ┌─► PeerCommand ─► peer task (one each)
//!  serve, reload ──commands─┴─► speaker ─┤
//!                                        └─► reports, gathered
//! ```
//! A peer's task that fails costs that peer its session and nothing else: the
//! table forgets its routes, and the task is started again after a wait that
//! doubles. Other tasks of the daemon are one of a kind; when one of them ends
//! the daemon does, and its supervisor starts all of them anew.

mod dynamic;
mod failure;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bgp::peer::{AddPathConfig, Admin, PeerConfig, RestartConfig};
use net::{Asn, RouterId};
use rib::PeerId;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::info;

use self::failure::Failure;
use super::bfd::BfdCommand;
use super::listener::{ListenError, Listeners};
use super::peer::{PeerCommand, PeerTask};
use super::report::PeerReport;
use super::table::TableInput;
use super::{COMMANDS, PEER_COMMANDS};
use crate::config::{self, Bgp};
use crate::observe::damp::Damper;

/// What others ask of the speaker.
#[derive(Debug)]
pub(crate) enum SpeakerCommand {
    /// A connection has come in.
    Accepted(TcpStream, SocketAddr),
    /// Tell how the peers are; all, or the one with this address.
    Report(Option<IpAddr>, oneshot::Sender<Vec<(PeerId, PeerReport)>>),
    /// Do something with one peer; answers whether there is such a peer.
    Peer(IpAddr, PeerCommand, oneshot::Sender<bool>),
    /// Add a peer, or set up its session anew with another configuration.
    Configure(Box<config::Peer>),
    /// Other filters, limits or keys for a peer; its session stays.
    Reconfigure(Box<config::Peer>),
    /// Who may dial in has changed, or what they are then.
    Ranges(Vec<config::Dynamic>),
    /// The TCP-MD5 keys of this configuration hold from now on; comes before
    /// what differs else.
    Keys(Box<Bgp>),
    /// Remove a peer.
    Remove(IpAddr),
    /// End all sessions for a restart, then answer.
    Stop(oneshot::Sender<()>),
}

/// What the speaker is made of.
pub(crate) struct SpeakerConfig {
    /// `[bgp]`.
    pub(crate) bgp: Bgp,
    /// The BGP identifier.
    pub(crate) router_id: RouterId,
    /// The name of this node, told to peers for people.
    pub(crate) name: String,
    /// An earlier process of ours has left routes in the kernel: the R bit is set.
    pub(crate) restarting: bool,
    /// The BFD task.
    pub(crate) bfd: mpsc::Sender<BfdCommand>,
}

struct Handle {
    id: PeerId,
    config: Box<config::Peer>,
    commands: mpsc::Sender<PeerCommand>,
    task: tokio::task::Id,
    started: Instant,
    /// How its task failed last, and when it is started again.
    failure: Option<Failure>,
}

/// The task; see the module's page.
pub(crate) struct Speaker {
    config: SpeakerConfig,
    peers: BTreeMap<IpAddr, Handle>,
    tasks: JoinSet<()>,
    next_id: u32,
    table: mpsc::Sender<TableInput>,
    listeners: Listeners,
    /// For the connections that a full range refuses.
    full: Damper,
    /// For those of peers whose key the kernel has not taken.
    unkeyed: Damper,
}

impl Speaker {
    /// Starts to listen, starts the peers and the task itself.
    pub(crate) fn start(
        config: SpeakerConfig,
        mut listeners: Listeners,
        table: mpsc::Sender<TableInput>,
    ) -> Result<mpsc::Sender<SpeakerCommand>, ListenError> {
        let (sender, commands) = mpsc::channel(COMMANDS);
        listeners.listen(&sender)?;
        tokio::spawn(Self::new(config, listeners, table).run(commands));
        Ok(sender)
    }

    fn new(config: SpeakerConfig, listeners: Listeners, table: mpsc::Sender<TableInput>) -> Self {
        let peers = config.bgp.peers.clone();
        let mut speaker = Self {
            config,
            peers: BTreeMap::new(),
            tasks: JoinSet::new(),
            next_id: 0,
            table,
            listeners,
            full: Damper::default(),
            unkeyed: Damper::default(),
        };
        for peer in peers {
            info!(peer = %peer.address, asn = %peer.asn, "peer configured");
            speaker.add(peer.into());
        }
        speaker
    }

    async fn run(mut self, mut commands: mpsc::Receiver<SpeakerCommand>) {
        loop {
            let (next_start, next_turn) = (self.next_start(), self.listeners.next_turn());
            let command = tokio::select! {
                command = commands.recv() => command,
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.ended(ended).await;
                    continue;
                }
                () = super::sleep_until(next_start) => {
                    self.start_failed(Instant::now());
                    continue;
                }
                () = super::sleep_until(next_turn) => {
                    self.listeners.turn(Instant::now());
                    continue;
                }
            };
            let Some(command) = command else { return };
            match command {
                SpeakerCommand::Accepted(stream, remote) => self.accepted(stream, remote).await,
                SpeakerCommand::Report(address, reply) => {
                    let reports = self.report(address).await;
                    // Whoever asked may have gone; then nobody misses the answer.
                    let _ = reply.send(reports);
                }
                SpeakerCommand::Peer(address, command, reply) => {
                    // An operator's wish does not wait.
                    self.start_again(address);
                    let known = self.tell(address, command).await;
                    let _ = reply.send(known);
                }
                SpeakerCommand::Configure(peer) => {
                    let admin = if self.peers.contains_key(&peer.address) {
                        Admin::ConfigChange
                    } else {
                        Admin::Deconfigured
                    };
                    self.remove(peer.address, admin).await;
                    info!(peer = %peer.address, asn = %peer.asn, "peer configured");
                    self.add(peer);
                }
                SpeakerCommand::Reconfigure(peer) => {
                    if let Some(handle) = self.peers.get_mut(&peer.address) {
                        handle.config.clone_from(&peer);
                    }
                    self.tell(peer.address, PeerCommand::Reconfigure(peer)).await;
                }
                SpeakerCommand::Ranges(ranges) => self.follow_ranges(ranges).await,
                SpeakerCommand::Keys(bgp) => self.listeners.configure(&bgp),
                SpeakerCommand::Remove(address) => self.remove(address, Admin::Deconfigured).await,
                SpeakerCommand::Stop(reply) => {
                    self.stop().await;
                    let _ = reply.send(());
                    return;
                }
            }
        }
    }

    fn add(&mut self, peer: Box<config::Peer>) {
        self.next_id += 1;
        self.spawn(PeerId(self.next_id), peer, None);
    }

    fn spawn(&mut self, id: PeerId, config: Box<config::Peer>, failure: Option<Failure>) {
        let (commands, receiver) = mpsc::channel(PEER_COMMANDS);
        let machine = bgp::Peer::new(self.machine_config(&config));
        let control = (commands.clone(), receiver);
        let ways = (self.table.clone(), self.config.bfd.clone());
        let task = PeerTask::new(id, (*config).clone(), machine, control, ways);
        let task = self.tasks.spawn(task.run()).id();
        let handle = Handle { id, commands, task, started: Instant::now(), failure, config };
        self.peers.insert(handle.config.address, handle);
    }

    fn machine_config(&self, peer: &config::Peer) -> PeerConfig {
        let bgp = &self.config.bgp;
        let (time, offers) = (bgp.graceful_restart.time, &peer.offers);
        let restart = RestartConfig {
            restarting: self.config.restarting,
            notification: bgp.graceful_restart.notification,
            hold_expiry: bgp.graceful_restart.hold_expiry,
            ..RestartConfig::new(time)
        };
        let (local_as, confederation) = local_as(bgp, peer);
        PeerConfig {
            hold_time: peer.hold_time,
            keepalive: peer.keepalive,
            connect_retry: peer.connect_retry,
            idle_hold: peer.idle_hold,
            send_hold: offers.send_hold,
            passive: peer.passive,
            families: peer.families.clone(),
            graceful_restart: (time > Duration::ZERO).then_some(restart),
            long_lived: offers.long_lived_graceful_restart,
            extended_messages: offers.extended_messages,
            enhanced_refresh: offers.enhanced_refresh,
            extended_next_hop: offers.extended_next_hop.unwrap_or(peer.address.is_ipv6()),
            add_path: AddPathConfig {
                receive: offers.add_path.is_some_and(config::AddPath::receives),
                send: offers.add_path.is_some_and(config::AddPath::sends),
            },
            role: offers.role,
            confederation,
            hostname: Some(self.config.name.clone()),
            seed: seed(peer.address),
            ..PeerConfig::new(local_as, self.config.router_id, peer.asn)
        }
    }

    async fn tell(&self, address: IpAddr, command: PeerCommand) -> bool {
        match self.peers.get(&address) {
            Some(handle) => handle.commands.send(command).await.is_ok(),
            None => false,
        }
    }

    async fn report(&self, address: Option<IpAddr>) -> Vec<(PeerId, PeerReport)> {
        let mut reports = Vec::new();
        for (peer, handle) in &self.peers {
            if address.is_some_and(|address| address != *peer) {
                continue;
            }
            let (reply, answer) = oneshot::channel();
            let asked = handle.commands.send(PeerCommand::Report(reply)).await.is_ok();
            let told = if asked { answer.await.ok() } else { None };
            reports.push((handle.id, told.unwrap_or_else(|| self.report_failed(handle))));
        }
        reports
    }

    /// Ends a peer; its task has the table forget it, after what the task has
    /// yet to say.
    async fn remove(&mut self, address: IpAddr, admin: Admin) {
        let Some(handle) = self.peers.remove(&address) else { return };
        if handle.commands.send(PeerCommand::Finish(admin)).await.is_err() {
            // Its task has failed. The table's channel closes only when the daemon ends.
            let _ = self.table.send(TableInput::PeerRemoved { id: handle.id }).await;
        }
    }

    async fn stop(&mut self) {
        for handle in self.peers.values() {
            // A task that is gone has no session to end.
            let _ = handle.commands.send(PeerCommand::Finish(Admin::Restart)).await;
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Our AS towards a peer, and whether it is in another member AS of our
/// confederation: outside, the confederation has one number (RFC 5065 §4).
fn local_as(bgp: &Bgp, peer: &config::Peer) -> (Asn, bool) {
    match (peer.local_asn, &bgp.confederation) {
        (Some(asn), _) => (asn, false),
        (None, Some(confederation)) if confederation.members.contains(&peer.asn) => (bgp.asn, true),
        (None, Some(confederation)) if peer.asn != bgp.asn => (confederation.asn, false),
        _ => (bgp.asn, false),
    }
}

/// The seed of a peer's jitter: its own for each address, and for each process.
fn seed(address: IpAddr) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(address)
}
