//! The writer: one thread that makes installed routes as desired.
//!
//! Each round merges what has come, writes up to [`CHUNK`] routes, and looks
//! at the queue again; so a storm of changes is merged while the kernel works.

mod flush;
mod reconcile;

use std::collections::VecDeque;

use indexmap::IndexMap;
use net::{Delta, Prefix, Step};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use tokio::sync::{mpsc, oneshot};

use crate::fib::{Command, Done, FibConfig, FibError, FibEvent, FibStats};
use crate::msg::{Entry, Messages, RouteKey};
use crate::route::Target;
use crate::socket::RouteSocket;
use crate::{FibRoute, Refusal};

/// Routes written between two looks at the queue; sorted, because the kernel
/// takes sorted runs of some ten thousand fastest.
const CHUNK: usize = 8192;
/// Messages in one send: their errors fit the receive buffer at its default.
const SEND: usize = 256;
/// Messages in one send at least, however small the receive buffer.
const SEND_LEAST: usize = 1;
/// Bytes after which a send is full: well below the default send buffer.
const SEND_BYTES: usize = 64 << 10;
/// Results in one event.
const RESULTS: usize = 4096;

/// One route to write: its key and what to do.
type Work = (RouteKey, Step<Entry>);

pub(crate) struct Writer {
    config: FibConfig,
    socket: RouteSocket,
    delta: Delta<RouteKey, Entry>,
    /// Adopted, and nobody has wanted or unwanted them yet.
    stale: FxHashSet<RouteKey>,
    refused: FxHashMap<RouteKey, Refusal>,
    /// Installed, wanted no more, and the kernel refused what is to replace them.
    outdated: FxHashSet<RouteKey>,
    /// Desired routes that were installed and went, or may have: what they
    /// were, until they are seen again.
    lost: FxHashMap<RouteKey, Entry>,
    /// Links that routes were ever sent over, and whether they are up.
    links: FxHashMap<u32, LinkState>,
    resync_due: bool,
    /// The kernel could not be read; the next command tries again.
    behind: bool,
    ending: bool,
    flushes: Vec<oneshot::Sender<()>>,
    results: IndexMap<Prefix, Result<Done, Refusal>, FxBuildHasher>,
    notices: VecDeque<FibEvent>,
    stats: FibStats,
    messages: Messages,
    /// Messages in one send; an overrun halves it.
    send: usize,
}

/// What the writer knows of a link that its routes use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Unheard,
    Up,
    Down,
}

impl Writer {
    /// Opens the socket and adopts the routes of an earlier run.
    pub(crate) fn open(config: FibConfig) -> Result<Self, FibError> {
        let socket = RouteSocket::open(config.receive_buffer).map_err(FibError::Socket)?;
        let table = config.table;
        let mut writer = Self {
            config,
            socket,
            delta: Delta::default(),
            stale: FxHashSet::default(),
            refused: FxHashMap::default(),
            outdated: FxHashSet::default(),
            lost: FxHashMap::default(),
            links: FxHashMap::default(),
            resync_due: false,
            behind: false,
            ending: false,
            flushes: Vec::new(),
            results: IndexMap::default(),
            notices: VecDeque::new(),
            stats: FibStats::default(),
            messages: Messages::default(),
            send: SEND,
        };
        let seen = writer.read_ours().map_err(|source| FibError::Dump { table, source })?;
        writer.adopt(&seen);
        Ok(writer)
    }

    /// The port id of the socket.
    pub(crate) fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Works until the queue closes or [`Command::Shutdown`] comes. The
    /// netlink calls block this thread, which is the writer's own.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Command>, outbox: mpsc::Sender<FibEvent>) {
        while !(self.ending && self.idle()) {
            if self.idle() {
                tokio::select! {
                    command = inbox.recv() => self.take_or_end(command),
                    permit = outbox.reserve(), if self.has_events() => match (permit, self.next_event()) {
                        (Ok(permit), Some(event)) => permit.send(event),
                        // Nobody reads the events any more.
                        _ => self.forget_events(),
                    },
                }
            }
            while let Ok(command) = inbox.try_recv() {
                self.take(command);
            }
            self.round();
            while self.has_events()
                && let Ok(permit) = outbox.try_reserve()
                && let Some(event) = self.next_event()
            {
                permit.send(event);
            }
        }
        while let Some(event) = self.next_event() {
            if outbox.try_send(event).is_err() {
                break;
            }
        }
    }

    fn idle(&self) -> bool {
        self.delta.pending() == 0 && !self.resync_due
    }

    fn take_or_end(&mut self, command: Option<Command>) {
        match command {
            Some(command) => self.take(command),
            None => self.ending = true,
        }
    }

    fn take(&mut self, command: Command) {
        self.resync_due |= std::mem::take(&mut self.behind);
        match command {
            Command::Set(routes) => routes.into_iter().for_each(|(prefix, route)| self.set(prefix, route)),
            Command::Sweep => self.sweep(),
            Command::Resync => self.resync_due = true,
            Command::Lost(prefixes) => prefixes.into_iter().for_each(|prefix| self.look_again(prefix)),
            Command::Link { index, up } => self.link(index, up),
            Command::Retry => self.retry_refused(),
            Command::AddressGone(index) => self.resync_due |= self.uses(index),
            Command::Flush(reply) => self.flushes.push(reply),
            Command::Stats(reply) => {
                let _ = reply.send(self.stats());
            }
            Command::Shutdown => self.ending = true,
        }
    }

    fn stats(&self) -> FibStats {
        FibStats {
            installed: self.delta.iter().filter(|(_, _, installed)| installed.is_some()).count(),
            pending: self.delta.pending(),
            refused: self.refused.len(),
            stale: self.stale.len(),
            ..self.stats
        }
    }

    fn key(&self, prefix: Prefix) -> RouteKey {
        RouteKey { prefix, metric: self.config.metric_of(prefix.family()) }
    }

    fn set(&mut self, prefix: Prefix, route: Option<FibRoute>) {
        let key = self.key(prefix);
        self.stale.remove(&key);
        let Some(route) = route else {
            // Nobody has looked yet whether it really went.
            if let Some(entry) = self.lost.remove(&key) {
                self.delta.have(key, entry);
            }
            self.refused.remove(&key);
            self.delta.unwant(key);
            if self.delta.installed(&key).is_none() {
                self.results.insert(prefix, Ok(Done::Removed));
            }
            return;
        };
        if let Target::Via(hops) = &route.target {
            for hop in hops.hops() {
                self.links.entry(hop.interface).or_insert(LinkState::Unheard);
            }
        }
        let blind = !matches!(route.target, Target::Via(_));
        let source = self.config.source_of(prefix.family()).filter(|_| !blind);
        let wanted = Entry { owner: route.owner, target: Some(route.target), source };
        match self.delta.installed(&key).filter(|installed| wanted.is_met_by(installed)).cloned() {
            Some(installed) => {
                self.delta.want(key, installed);
                self.refused.remove(&key);
                self.results.insert(prefix, Ok(Done::Installed));
            }
            None => self.delta.want(key, wanted),
        }
    }

    /// The kernel's route for a prefix went or changed. Adding it exclusively
    /// finds out what is there now.
    fn look_again(&mut self, prefix: Prefix) {
        let key = self.key(prefix);
        self.stale.remove(&key);
        self.note_lost(key);
        // Whatever was in the way may be another's now.
        self.refused.remove(&key);
        self.delta.gone(key);
    }

    /// Remembers what is desired and was installed.
    fn note_lost(&mut self, key: RouteKey) {
        let installed = self.delta.installed(&key).filter(|_| self.delta.desired(&key).is_some());
        if let Some(entry) = installed.cloned() {
            self.lost.insert(key, entry);
        }
    }

    fn link(&mut self, index: u32, up: bool) {
        let state = if up { LinkState::Up } else { LinkState::Down };
        if let Some(known) = self.links.get_mut(&index) {
            self.resync_due |= *known != state;
            *known = state;
        } else if self.uses(0) {
            self.resync_due = true;
        }
    }

    /// True when a route may go over this link.
    fn uses(&self, index: u32) -> bool {
        self.links.contains_key(&index) || self.links.contains_key(&0)
    }

    fn retry_refused(&mut self) {
        for key in self.refused.keys() {
            self.delta.retry(*key);
        }
    }

    fn fail(&mut self, what: &str) {
        self.behind = true;
        let message =
            format!("kernel table {}: {what}; routed reads it again at the next change", self.config.table);
        self.notices.push_back(FibEvent::Failed(message));
    }

    fn has_events(&self) -> bool {
        !self.notices.is_empty() || !self.results.is_empty()
    }

    fn forget_events(&mut self) {
        self.notices.clear();
        self.results.clear();
    }

    /// The next event: notices first, then results.
    fn next_event(&mut self) -> Option<FibEvent> {
        if let Some(notice) = self.notices.pop_front() {
            return Some(notice);
        }
        let from = self.results.len().saturating_sub(RESULTS);
        let results: Vec<_> = self.results.drain(from..).collect();
        (!results.is_empty()).then_some(FibEvent::Results(results))
    }
}
