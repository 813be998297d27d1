//! The table task: the one owner of the routing table.
//!
//! ```text
//!  peers ── TableInput ──┐                     ┌─► FIB writer     routes that differ
//!  watcher ─ KernelEvent ─┼─► rib::Table ──────┼─► AdjOut ─► Office ─► boxes of the peers
//!  FIB ───── FibEvent ───┤    take_changes     ├─► watchers
//!  API ───── Ask ────────┘                     └─► Owned (watch) ─► policy, addresses
//! ```
//! Every wake takes what waits, up to a batch, and then flushes once: so ten
//! updates of one prefix are one change.

mod aggregate;
pub(crate) mod ask;
mod confirm;
mod death;
mod drain;
pub(crate) mod dump;
mod fib;
mod limit;
mod local;
pub(crate) mod monitors;
pub(crate) mod post;
mod rip;
pub(crate) mod session;
mod stale;
mod statics;
pub(crate) mod view;
pub(crate) mod watchers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::conn::Up;
use bgp::peer::Down;
use bgp::wire::Update;
use kernel::{Fib, FibEvent, KernelEvent, Links};
use net::{Family, Prefix};
use rib::adj_out::{Left, Limits};
use rib::{Origination, PeerId, Rules, Table};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use self::ask::{Ask, TableHandle};
use self::drain::Draining;
use self::fib::FibState;
use self::local::Local;
use self::monitors::Monitors;
use self::post::{Office, Outgoing, Slot};
use self::rip::RipSide;
use self::session::Sessions;
use self::watchers::Watchers;
use super::drain::DrainOrder;
use super::{Owned, sleep_until};
use crate::config::Config;

/// How many inputs are taken before the table is flushed.
const BATCH: usize = 64;
/// How many changes are passed on at a time, and how many prefixes may wait
/// for a decision before no more inputs are taken.
const CHANGES: usize = 2048;
/// How soon a reader that could not take more is tried again.
const READER_RETRY: Duration = Duration::from_millis(20);

/// What comes into the table from peers and from the API.
#[derive(Debug)]
pub(crate) enum TableInput {
    /// A session is up.
    PeerUp(Box<SessionUp>),
    /// A session is down.
    PeerDown {
        /// The peer.
        id: PeerId,
        /// Why, and whether its routes may be kept.
        down: Down,
    },
    /// A peer passes other filters now, or other limits.
    PeerConfig {
        /// The peer.
        id: PeerId,
        /// Its configuration.
        config: Box<crate::config::Peer>,
    },
    /// BFD says that packets to a neighbour no longer arrive; of a link-local
    /// one with the index of its link.
    PathDown(std::net::IpAddr, Option<u32>),
    /// A peer is configured no more.
    PeerRemoved {
        /// The peer.
        id: PeerId,
    },
    /// Routes of a peer.
    Updates {
        /// The peer.
        id: PeerId,
        /// The routes, in the order in which they came.
        updates: Vec<Update>,
    },
    /// A malformed message has put a peer's routes of a family in doubt: they
    /// go (RFC 4760 §7).
    FamilyDisabled {
        /// The peer.
        id: PeerId,
        /// The family.
        family: Family,
        /// What was wrong with the message.
        what: &'static str,
    },
    /// A peer has told all its routes of a family.
    EndOfRib {
        /// The peer.
        id: PeerId,
        /// The family.
        family: Family,
    },
    /// A peer wants to be told a family again.
    RefreshRequest {
        /// The peer.
        id: PeerId,
        /// The family.
        family: Family,
    },
    /// A peer can take more letters, and was asked to say so.
    Ready,
    /// A peer begins to tell a family again, and marks when it has.
    RefreshBegin {
        /// The peer.
        id: PeerId,
        /// The family.
        family: Family,
    },
    /// A peer has told a family again.
    RefreshEnd {
        /// The peer.
        id: PeerId,
        /// The family.
        family: Family,
    },
    /// RIP has learned routes, or other ways to them.
    RipLearned {
        /// IPv4 for RIPv2, IPv6 for `RIPng`.
        family: Family,
        /// The routes.
        routes: Vec<(Prefix, ::rip::Learned)>,
    },
    /// RIP has lost routes.
    RipLost {
        /// IPv4 for RIPv2, IPv6 for `RIPng`.
        family: Family,
        /// Their prefixes.
        prefixes: Vec<Prefix>,
    },
    /// RIP can tell more.
    PullRip {
        /// Gets what to tell.
        reply: oneshot::Sender<Vec<(Prefix, Option<::rip::Advert>)>>,
    },
    /// The blocks that this node has claimed, all of them.
    Claimed(Vec<Prefix>),
    /// Tell a claimed block again, for a rival has appeared.
    Defend(Prefix),
    /// Mark what this node tells BGP, or end that.
    Drain(DrainOrder),
    /// A question or an order of the API.
    Ask(Ask),
    /// Another configuration after a reload.
    Configure(Arc<Config>),
}

/// A session that has come up.
#[derive(Debug)]
pub(crate) struct SessionUp {
    /// The peer.
    pub(crate) id: PeerId,
    /// Its configuration.
    pub(crate) config: crate::config::Peer,
    /// What was negotiated.
    pub(crate) up: Arc<Up>,
    /// Gets what the peer is told.
    pub(crate) slot: Slot,
    /// To end the session when the peer sends too much.
    pub(crate) control: mpsc::Sender<super::PeerCommand>,
}

/// What the task starts with.
pub(crate) struct TableStart {
    /// The configuration.
    pub(crate) config: Arc<Config>,
    /// The rules of the decision.
    pub(crate) rules: Rules,
    /// Links and addresses as they were at start.
    pub(crate) links: Links,
    /// The FIB writer, which has adopted what an earlier run left.
    pub(crate) fib: Fib,
    /// What the FIB writer tells.
    pub(crate) fib_events: mpsc::Receiver<FibEvent>,
    /// What the kernel tells.
    pub(crate) kernel_events: mpsc::Receiver<KernelEvent>,
    /// Gets what the node owns.
    pub(crate) owned: watch::Sender<Owned>,
    /// Gets links and addresses as they change.
    pub(crate) links_out: watch::Sender<Links>,
    /// Rung when RIP has more to tell, if the node speaks it.
    pub(crate) rip: Option<Arc<Notify>>,
    /// The node was drained before the daemon was started again.
    pub(crate) draining: bool,
}

pub(crate) struct TableTask {
    config: Arc<Config>,
    table: Table,
    adj_out: Outgoing,
    office: Office,
    /// Whether peers can be told more at once.
    left: Left,
    sessions: Sessions,
    local: Local,
    fib: FibState,
    watchers: Watchers,
    monitors: Monitors,
    links: Links,
    /// What the FIB writer is to hear of before anything else.
    dead: Vec<kernel::Alarm>,
    owned: watch::Sender<Owned>,
    links_out: watch::Sender<Links>,
    rip: Option<RipSide>,
    draining: Draining,
}

/// What woke the task.
enum Wake {
    Input(Option<TableInput>),
    Kernel(Option<KernelEvent>),
    Fib(Option<FibEvent>),
    Deadline,
    /// Peers can be told more.
    More,
}

/// Starts the task and returns the ways to it.
pub(crate) fn start(
    start: TableStart,
) -> (mpsc::Sender<TableInput>, TableHandle, tokio::task::JoinHandle<()>) {
    let (inputs, receiver) = mpsc::channel(super::TABLE_INPUTS);
    let TableStart { config, rules, links, fib, fib_events, kernel_events, owned, links_out, rip, draining } =
        start;
    let now = Instant::now();
    let (expected, deferral) = deferral(&config);
    let rip = rip
        .zip(config.rip.as_ref())
        .map(|(more, rip)| RipSide::new(session::export_named(&config, &rip.export), rip.distance, more));
    let mut task = TableTask {
        table: Table::new(rules),
        adj_out: Outgoing::new(rules.cluster_id, Limits::default()),
        office: Office::default(),
        left: Left::Nothing,
        sessions: Sessions::new(now, expected, deferral),
        local: Local::default(),
        fib: FibState::new(fib, &config),
        watchers: Watchers::default(),
        monitors: Monitors::default(),
        links,
        dead: Vec::new(),
        owned,
        links_out,
        rip,
        draining: Draining::new(draining),
        config,
    };
    task.local.aggregates.node = Some(rules.router_id);
    task.local.aggregates.again(&task.config);
    task.follow_links(now);
    let handle = TableHandle::new(inputs.clone());
    let join = tokio::spawn(task.run(receiver, kernel_events, fib_events));
    (inputs, handle, join)
}

/// How many peers must have spoken, and how long at most to wait for them,
/// before routes of an earlier run that nobody confirmed go. RIP has no end
/// of its table: its routes are kept for its own timeout.
fn deferral(config: &Config) -> (usize, Duration) {
    let bgp = config.bgp.as_ref().map_or((0, Duration::ZERO), |bgp| {
        // Who will dial in from a range nobody knows.
        let expected = if bgp.dynamic.is_empty() { bgp.peers.len() } else { usize::MAX };
        (expected, bgp.graceful_restart.time)
    });
    match &config.rip {
        Some(rip) => (usize::MAX, bgp.1.max(rip.settings.timeout)),
        None => bgp,
    }
}

impl TableTask {
    async fn run(
        mut self,
        mut inputs: mpsc::Receiver<TableInput>,
        mut kernel: mpsc::Receiver<KernelEvent>,
        mut fib: mpsc::Receiver<FibEvent>,
    ) {
        self.flush().await;
        loop {
            let deadline = self.next_deadline();
            let wake = tokio::select! {
                input = inputs.recv() => Wake::Input(input),
                event = kernel.recv() => Wake::Kernel(event),
                event = fib.recv() => Wake::Fib(event),
                () = sleep_until(deadline) => Wake::Deadline,
                () = tokio::task::yield_now(), if self.left == Left::Work => Wake::More,
            };
            let now = Instant::now();
            match wake {
                Wake::Input(Some(input)) => self.take_inputs(now, input, &mut inputs),
                Wake::Kernel(Some(event)) => self.kernel_event(now, event, &mut kernel).await,
                // Blind to links and addresses nothing can be right for long.
                Wake::Kernel(None) => {
                    tracing::error!("links and addresses are no longer watched");
                    break;
                }
                Wake::Fib(Some(event)) => self.fib_event(event),
                // The daemon stops: the routes stay in the kernel.
                Wake::Input(None) | Wake::Fib(None) => break,
                Wake::Deadline => self.deadline(now).await,
                Wake::More => {}
            }
            self.flush().await;
        }
    }

    /// When there is something to do although nothing has come: stale routes
    /// go, peers may be told more, or a reader that was slow may take more by then.
    fn next_deadline(&self) -> Option<Instant> {
        let wait = self.watchers.wait() || self.monitors.wait();
        let readers = wait.then(|| Instant::now() + READER_RETRY);
        let peers = self.adj_out.next_deadline();
        self.sessions.next_deadline().into_iter().chain(readers).chain(peers).min()
    }

    fn take_inputs(&mut self, now: Instant, first: TableInput, inputs: &mut mpsc::Receiver<TableInput>) {
        self.input(now, first);
        for _ in 1..BATCH {
            if self.table.waiting() >= CHANGES || !self.dead.is_empty() {
                return;
            }
            match inputs.try_recv() {
                Ok(input) => self.input(now, input),
                Err(_) => break,
            }
        }
    }

    fn input(&mut self, now: Instant, input: TableInput) {
        match input {
            TableInput::PeerUp(session) => self.peer_up(now, *session),
            TableInput::PeerDown { id, down } => self.peer_down(now, id, down),
            TableInput::PeerConfig { id, config } => self.configure_peer(id, &config),
            TableInput::PathDown(address, scope) => self.path_down(address, scope),
            TableInput::PeerRemoved { id } => self.peer_removed(id),
            TableInput::Updates { id, updates } => {
                for update in &updates {
                    self.update(now, id, update);
                }
            }
            TableInput::FamilyDisabled { id, family, what } => self.family_disabled(id, family, what),
            TableInput::EndOfRib { id, family } => self.end_of_rib(id, family),
            TableInput::RefreshRequest { id, family } => self.adj_out.refresh(id, family),
            // What follows every input delivers.
            TableInput::Ready => {}
            TableInput::RefreshBegin { id, family } => self.refresh_begin(now, id, family),
            TableInput::RefreshEnd { id, family } => self.refresh_end(id, family),
            TableInput::RipLearned { family, routes } => self.rip_learned(now, family, routes),
            TableInput::RipLost { family, prefixes } => self.rip_lost(family, &prefixes),
            TableInput::PullRip { reply } => {
                self.settle();
                // The task may have ended meanwhile; then nobody is to be told.
                let _ = reply.send(self.rip.as_mut().map(RipSide::take).unwrap_or_default());
            }
            TableInput::Claimed(blocks) => self.claimed(now, blocks),
            TableInput::Defend(prefix) => self.rip.iter_mut().for_each(|rip| rip.again(prefix)),
            TableInput::Drain(order) => self.drain(order),
            TableInput::Ask(ask) => self.ask(now, ask),
            TableInput::Configure(config) => self.configure(now, config),
        }
    }

    async fn kernel_event(
        &mut self,
        now: Instant,
        first: KernelEvent,
        events: &mut mpsc::Receiver<KernelEvent>,
    ) {
        let mut next = Some(first);
        let mut changed = false;
        while let Some(event) = next {
            self.link_event(&event).await;
            self.fib.heard(&event).await;
            changed |= !matches!(event, KernelEvent::Route { .. });
            self.links.apply(&event);
            next = events.try_recv().ok();
        }
        if changed {
            self.follow_links(now);
        }
    }

    async fn deadline(&mut self, now: Instant) {
        self.stale_expired(now);
        for id in self.sessions.forgotten() {
            self.table.peer_down(id);
        }
        if self.sessions.sweep_due(now) {
            self.settle();
            self.fib.write(false).await;
            self.fib.sweep().await;
        }
    }

    /// Passes on every change there is, to where it is kept until it is sent.
    fn settle(&mut self) {
        while self.table.has_changes() || self.aggregate() {
            self.settle_some();
        }
    }

    fn settle_some(&mut self) {
        let mut free = Vec::new();
        for change in self.table.take_changes(CHANGES) {
            self.write_and_tell(&change, &mut free);
            if let Some(rip) = &mut self.rip {
                rip.change(&self.table, &change);
            }
            self.watchers.change(change.prefix);
            self.local.aggregates.change(&self.config, &change);
            self.monitors.change(change.prefix);
        }
        for offered in self.table.take_offered() {
            self.adj_out.offered(&self.table, &offered);
            self.monitors.offered(&offered);
        }
        for prefix in free {
            self.release(prefix);
        }
        self.monitors.observe(&mut self.table);
    }

    /// Everything that follows from what was taken in.
    async fn flush(&mut self) {
        self.bury().await;
        while self.table.has_changes() || self.aggregate() {
            self.settle_some();
            self.fib.write(self.table.has_changes()).await;
        }
        self.report_conflicts();
        self.fib.write(false).await;
        self.left = self.adj_out.deliver(Instant::now(), &self.table, &mut self.office);
        self.rip.iter().for_each(RipSide::ring);
        self.monitors.observe(&mut self.table);
        self.feed_watchers();
        self.feed_monitors(Instant::now());
        self.answer_waiting();
    }

    fn report_conflicts(&mut self) {
        for (prefix, id) in self.table.take_conflicts() {
            let peer = self.sessions.key_of(id);
            self.local.conflict(prefix, peer);
        }
    }
}

/// What this node originates, by prefix, protocol and path identifier.
type Originated = BTreeMap<(Prefix, rib::Protocol, u32), Origination>;

/// A table of small things by peer.
type ByPeer<T> = FxHashMap<PeerId, T>;
