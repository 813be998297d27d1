//! The BGP speaker: owns the peers' tasks and the listening sockets.
//!
//! ```text
//!  accept tasks ──Accepted──┐            ┌─► PeerCommand ─► peer task (one each)
//!  serve, reload ──commands─┼─► speaker ─┼─► reports, gathered
//!  discovery ──Neighbor─────┘            └─► Wanted (watch) ─► discovery
//! ```
//! A peer's task that fails costs that peer its session and nothing else: the
//! table forgets its routes, and the task is started again after a wait that
//! doubles. Other tasks of the daemon are one of a kind; when one of them ends
//! the daemon does, and its supervisor starts all of them anew.

mod dynamic;
mod failure;
mod lan;
mod unnumbered;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bgp::conn::negotiate::ROUTED;
use bgp::peer::{AddPathConfig, Admin, PeerConfig, RestartConfig};
use kernel::Links;
use net::{Asn, PeerAs, RouterId};
use rib::PeerId;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::info;

use self::failure::Failure;
use self::lan::Lans;
use self::unnumbered::Unnumbered;
use super::bfd::BfdCommand;
use super::discovery::{self, Neighbor};
use super::listener::{ListenError, Listeners};
use super::peer::{PeerCommand, PeerTask};
use super::report::PeerReport;
use super::table::TableInput;
use super::{COMMANDS, PEER_COMMANDS};
use crate::config::{self, Bgp, PeerKey};
use crate::observe::damp::Damper;

/// What others ask of the speaker.
#[derive(Debug)]
pub(crate) enum SpeakerCommand {
    /// A connection has come in.
    Accepted(TcpStream, SocketAddr),
    /// Tell how the peers are; all, or this one.
    Report(Option<PeerKey>, oneshot::Sender<Vec<(PeerId, PeerReport)>>),
    /// Do something with one peer; answers whether there is such a peer.
    Peer(PeerKey, PeerCommand, oneshot::Sender<bool>),
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
    Remove(PeerKey),
    /// What is known of the other end of an interface.
    Neighbor(String, Neighbor),
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
    /// Links and addresses.
    pub(crate) links: watch::Receiver<Links>,
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
    peers: BTreeMap<PeerKey, Handle>,
    unnumbered: Unnumbered,
    lans: Lans,
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
        let links = config.links.clone();
        let speaker = Self::new(config, listeners, table);
        discovery::start(speaker.unnumbered.wanted(), links, sender.clone());
        tokio::spawn(speaker.run(commands));
        Ok(sender)
    }

    fn new(config: SpeakerConfig, listeners: Listeners, table: mpsc::Sender<TableInput>) -> Self {
        let peers = config.bgp.peers.clone();
        let mut speaker = Self {
            config,
            peers: BTreeMap::new(),
            unnumbered: Unnumbered::default(),
            lans: Lans::default(),
            tasks: JoinSet::new(),
            next_id: 0,
            table,
            listeners,
            full: Damper::default(),
            unkeyed: Damper::default(),
        };
        for peer in peers {
            info!(peer = %peer.name(), asn = %peer.asn, "peer configured");
            speaker.add(peer.into());
        }
        speaker.look_at_lans();
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
                SpeakerCommand::Report(peer, reply) => {
                    let reports = self.report(peer.as_ref()).await;
                    // Whoever asked may have gone; then nobody misses the answer.
                    let _ = reply.send(reports);
                }
                SpeakerCommand::Peer(peer, command, reply) => {
                    let peer = self.meant(peer);
                    // An operator's wish does not wait.
                    self.start_again(&peer);
                    let known = self.tell(&peer, command).await || self.unnumbered.has(&peer);
                    let _ = reply.send(known);
                }
                SpeakerCommand::Configure(peer) => {
                    let key = peer.key();
                    let known = self.peers.contains_key(&key);
                    self.end(&key, last_words(known, &peer)).await;
                    info!(peer = %key, asn = %peer.asn, "peer configured");
                    self.add(peer);
                }
                SpeakerCommand::Reconfigure(peer) => self.reconfigure(peer).await,
                SpeakerCommand::Ranges(ranges) => self.follow_ranges(ranges).await,
                SpeakerCommand::Keys(bgp) => {
                    (self.config.bgp.peers, self.config.bgp.dynamic) = (bgp.peers, bgp.dynamic);
                    self.listen_with_keys();
                }
                SpeakerCommand::Remove(key) => self.remove(&key).await,
                SpeakerCommand::Neighbor(interface, neighbor) => self.neighbor(interface, neighbor).await,
                SpeakerCommand::Stop(reply) => {
                    self.stop().await;
                    let _ = reply.send(());
                    return;
                }
            }
        }
    }

    fn add(&mut self, peer: Box<config::Peer>) {
        let id = self.new_id();
        match &peer.interface {
            Some(_) if peer.scope.is_none() => self.look_for(id, peer),
            _ => self.spawn(id, peer, None),
        }
    }

    fn new_id(&mut self) -> PeerId {
        self.next_id += 1;
        PeerId(self.next_id)
    }

    fn spawn(&mut self, id: PeerId, config: Box<config::Peer>, failure: Option<Failure>) {
        let (commands, receiver) = mpsc::channel(PEER_COMMANDS);
        let machine = bgp::Peer::new(self.machine_config(&config));
        let control = (commands.clone(), receiver);
        let ways = (self.table.clone(), self.config.bfd.clone());
        let task = PeerTask::new(id, (*config).clone(), machine, control, ways);
        let task = self.tasks.spawn(task.run()).id();
        let handle = Handle { id, commands, task, started: Instant::now(), failure, config };
        self.peers.insert(handle.config.key(), handle);
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
            our_other_as: our_other_as(bgp),
            hostname: Some(self.config.name.clone()),
            software: offers
                .software_version
                .unwrap_or(!peer.asn.is_external(local_as))
                .then(|| format!("{ROUTED}{}", env!("CARGO_PKG_VERSION"))),
            seed: seed(&peer.key()),
            ..PeerConfig::new(local_as, self.config.router_id, peer.asn)
        }
    }

    /// The peer that somebody means.
    fn meant(&self, peer: PeerKey) -> PeerKey {
        if self.peers.contains_key(&peer) { peer } else { peer.configured() }
    }

    async fn tell(&self, peer: &PeerKey, command: PeerCommand) -> bool {
        match self.peers.get(peer) {
            Some(handle) => handle.commands.send(command).await.is_ok(),
            None => false,
        }
    }

    async fn report(&self, wanted: Option<&PeerKey>) -> Vec<(PeerId, PeerReport)> {
        let mut reports = Vec::new();
        for (_, handle) in
            self.peers.iter().filter(|(peer, _)| wanted.is_none_or(|wanted| wanted.means(peer)))
        {
            let (reply, answer) = oneshot::channel();
            let asked = handle.commands.send(PeerCommand::Report(reply)).await.is_ok();
            let told = if asked { answer.await.ok() } else { None };
            let told = told.unwrap_or_else(|| self.report_failed(handle));
            reports.push((handle.id, self.with_rival(told)));
        }
        reports.extend(self.report_sought(wanted));
        reports.extend(self.report_lans(wanted));
        reports
    }

    /// Filters, limits or keys have changed; the session stays.
    async fn reconfigure(&mut self, peer: Box<config::Peer>) {
        let key = peer.key();
        let peer = self.follow_template(peer);
        if let Some(handle) = self.peers.get_mut(&key) {
            handle.config.clone_from(&peer);
        }
        self.tell(&key, PeerCommand::Reconfigure(peer)).await;
    }

    /// A peer is configured no more.
    async fn remove(&mut self, peer: &PeerKey) {
        self.end(peer, Admin::Deconfigured).await;
        self.look_no_more(peer);
    }

    /// Ends a peer; its task has the table forget it, after what the task has
    /// yet to say.
    async fn end(&mut self, peer: &PeerKey, admin: Admin) {
        let Some(handle) = self.peers.remove(peer) else { return };
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
        (None, Some(confederation)) => match peer.asn {
            PeerAs::Number(asn) if confederation.members.contains(&asn) => (bgp.asn, true),
            asn if asn.is_external(bgp.asn) => (confederation.asn, false),
            _ => (bgp.asn, false),
        },
        (None, None) => (bgp.asn, false),
    }
}

/// The numbers that no external peer has, whichever we show it.
fn our_other_as(bgp: &Bgp) -> Vec<Asn> {
    let members = bgp.confederation.iter().flat_map(|confederation| &confederation.members);
    members.copied().chain([bgp.asn]).collect()
}

/// The seed of a peer's jitter: its own for each peer, and for each process.
fn seed(peer: &PeerKey) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(peer)
}

/// What a peer is told whose task makes room for one of this configuration: a
/// shutdown has its own words, whatever else changes with it (RFC 9003).
fn last_words(known: bool, peer: &config::Peer) -> Admin {
    match &peer.shutdown {
        Some(text) => Admin::Shutdown(Some(text.clone()).filter(|text| !text.is_empty())),
        None if known => Admin::ConfigChange,
        None => Admin::Deconfigured,
    }
}
