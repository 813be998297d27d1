//! The writer: one thread that makes installed routes as desired.
//!
//! Each round merges what has come, writes up to [`CHUNK`] routes, and looks
//! at the queue again; so a storm of changes is merged while the kernel works.

use std::collections::VecDeque;

use indexmap::IndexMap;
use net::{Delta, Family, Prefix, Step};
use nix::errno::Errno;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use tokio::sync::{mpsc, oneshot};

use crate::fib::{Command, Done, FibConfig, FibError, FibEvent, FibStats};
use crate::msg::{Entry, Messages, RouteKey, Seen};
use crate::route::{RouteOwner, Target};
use crate::socket::RouteSocket;
use crate::{FibRoute, Refusal};

/// Routes written between two looks at the queue; sorted, because the kernel
/// takes sorted runs of some ten thousand fastest.
const CHUNK: usize = 8192;
/// Messages in one send: their errors fit the receive buffer at its default.
const SEND: usize = 256;
/// Messages in one send at least, however small the receive buffer.
const SEND_LEAST: usize = 1;
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
    /// Desired routes that were installed and went; for the count.
    lost: FxHashSet<RouteKey>,
    /// Links that routes were ever sent over, and whether they are up.
    links: FxHashMap<u32, LinkState>,
    resync_due: bool,
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
            lost: FxHashSet::default(),
            links: FxHashMap::default(),
            resync_due: false,
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

    /// One round: reads back if that is due, then writes a chunk.
    fn round(&mut self) {
        if std::mem::take(&mut self.resync_due) {
            self.resync();
        }
        let mut work = self.delta.next_batch(CHUNK);
        work.sort_unstable_by_key(|(key, step)| (rank(step), *key));
        let mut conflicts = Vec::new();
        let mut written = 0;
        let repaired = self.stats.repaired;
        for batch in work.chunks(self.send) {
            written += self.write(batch, &mut conflicts);
        }
        self.settle(&conflicts);
        if self.stats.repaired > repaired {
            let count = usize::try_from(self.stats.repaired - repaired).unwrap_or(usize::MAX);
            self.notices.push_back(FibEvent::Repaired(count));
        }
        if written > 0 {
            self.retry_unreachable();
        }
        if self.idle() {
            for flush in self.flushes.drain(..) {
                // Who asked may have gone; that is no fault.
                let _ = flush.send(());
            }
        }
    }

    fn take_or_end(&mut self, command: Option<Command>) {
        match command {
            Some(command) => self.take(command),
            None => self.ending = true,
        }
    }

    fn take(&mut self, command: Command) {
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
            self.lost.remove(&key);
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

    /// Adopts what an earlier run left; it is not removed before the sweep.
    fn adopt(&mut self, seen: &[Seen]) {
        for seen in seen {
            if let Some(entry) = seen.entry() {
                self.delta.have(seen.key, entry);
                self.delta.refused(seen.key);
                self.stale.insert(seen.key);
            }
        }
        self.notices.push_back(FibEvent::Adopted(self.stale.len()));
    }

    fn sweep(&mut self) {
        self.notices.push_back(FibEvent::Swept(self.stale.len()));
        for key in std::mem::take(&mut self.stale) {
            self.delta.retry(key);
        }
    }

    /// The kernel's route for a prefix went or changed. Adding it exclusively
    /// finds out what is there now.
    fn look_again(&mut self, prefix: Prefix) {
        let key = self.key(prefix);
        self.stale.remove(&key);
        if self.delta.installed(&key).is_some() && self.delta.desired(&key).is_some() {
            self.lost.insert(key);
        }
        self.delta.gone(key);
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

    /// A gateway may be reachable by a route that was written after the one
    /// that needs it.
    fn retry_unreachable(&mut self) {
        for (key, refusal) in &self.refused {
            if matches!(refusal, Refusal::NoWay { .. }) {
                self.delta.retry(*key);
            }
        }
    }

    /// Writes one send; gives how many routes onto a link were newly installed.
    fn write(&mut self, batch: &[Work], conflicts: &mut Vec<RouteKey>) -> usize {
        let table = self.config.table;
        self.messages.clear();
        for (key, step) in batch {
            match step {
                Step::Install { value, replaces: None } => self.messages.add(table, *key, value),
                Step::Install { value, replaces: Some(_) } => self.messages.replace(table, *key, value),
                Step::Remove(installed) => self.messages.delete(table, *key, installed.owner),
            }
        }
        let answers = match self.socket.exchange(&mut self.messages) {
            Ok(answers) => answers,
            Err(error) => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
                for (key, _) in batch {
                    self.refuse(*key, Refusal::from_errno(errno, "sending failed".to_owned()));
                }
                return 0;
            }
        };
        self.stats.written += batch.len() as u64;
        if !answers.complete {
            self.stats.overruns += 1;
            self.send = (self.send / 2).max(SEND_LEAST);
            self.resync_due = true;
            return 0;
        }
        let mut errors = answers.errors.into_iter().peekable();
        let mut written = 0;
        for (place, (key, step)) in batch.iter().enumerate() {
            match errors.next_if(|(at, ..)| *at == place) {
                Some((_, errno, said)) => self.failed(*key, step, (errno, said), conflicts),
                None => written += self.done(*key, step),
            }
        }
        written
    }

    /// A step was carried out; gives 1 for a route onto a link that was not there
    /// before, because gateways may be reached by it.
    fn done(&mut self, key: RouteKey, step: &Step<Entry>) -> usize {
        self.refused.remove(&key);
        match step {
            Step::Install { value, replaces } => {
                self.delta.have(key, value.clone());
                self.stats.repaired += u64::from(self.lost.remove(&key));
                self.results.insert(key.prefix, Ok(Done::Installed));
                usize::from(replaces.is_none() && rank(step) == 0)
            }
            Step::Remove(_) => {
                self.delta.gone(key);
                if self.key(key.prefix) == key {
                    self.results.insert(key.prefix, Ok(Done::Removed));
                }
                0
            }
        }
    }

    fn failed(
        &mut self,
        key: RouteKey,
        step: &Step<Entry>,
        (errno, said): (Errno, String),
        conflicts: &mut Vec<RouteKey>,
    ) {
        match (step, errno) {
            (Step::Remove(_), Errno::ESRCH | Errno::ENOENT) => {
                self.done(key, step);
            }
            (Step::Install { replaces: None, .. }, Errno::EEXIST) => conflicts.push(key),
            // It went behind our back: not there to be replaced.
            (Step::Install { replaces: Some(_), .. }, Errno::ENOENT | Errno::ESRCH) => {
                self.lost.insert(key);
                self.delta.gone(key);
            }
            _ => self.refuse(key, Refusal::from_errno(errno, said)),
        }
    }

    fn refuse(&mut self, key: RouteKey, refusal: Refusal) {
        self.delta.refused(key);
        self.results.insert(key.prefix, Err(refusal.clone()));
        self.refused.insert(key, refusal);
    }

    /// Finds out whose the routes are that were in the way. Where the first of
    /// a prefix is ours it is taken over; a stranger's stays.
    fn settle(&mut self, conflicts: &[RouteKey]) {
        let (known, unknown): (Vec<_>, Vec<_>) = conflicts
            .iter()
            .copied()
            .partition(|key| matches!(self.refused.get(key), Some(Refusal::Foreign { .. })));
        for key in known {
            if let Some(refusal) = self.refused.get(&key).cloned() {
                self.refuse(key, refusal);
            }
        }
        for family in Family::ALL {
            let wanted: FxHashSet<RouteKey> =
                unknown.iter().copied().filter(|key| key.prefix.family() == family).collect();
            if wanted.is_empty() {
                continue;
            }
            match self.socket.dump(family, self.config.table, 0) {
                Ok(seen) => self.settle_with(&wanted, &seen),
                Err(error) => {
                    self.fail(&format!("reading routes: {error}"));
                    wanted.into_iter().for_each(|key| self.refuse(key, exists()));
                }
            }
        }
    }

    fn settle_with(&mut self, wanted: &FxHashSet<RouteKey>, seen: &[Seen]) {
        let mut first: FxHashMap<RouteKey, &Seen> = FxHashMap::default();
        self.messages.clear();
        for seen in seen.iter().filter(|seen| wanted.contains(&seen.key)) {
            let first = first.entry(seen.key).or_insert(seen);
            // Ours behind a stranger's cannot be replaced without hitting the stranger's.
            if let (None, Some(ours)) = (first.entry(), seen.entry()) {
                self.messages.delete(self.config.table, seen.key, ours.owner);
            }
        }
        if self.messages.len() > 0
            && let Err(error) = self.socket.exchange(&mut self.messages)
        {
            self.fail(&format!("deleting routes behind another owner's: {error}"));
        }
        for key in wanted {
            match first.get(key).map(|seen| (seen.protocol, seen.entry())) {
                Some((_, Some(entry))) => self.found(*key, entry),
                Some((protocol, None)) => self.refuse(*key, Refusal::Foreign { protocol }),
                // It went meanwhile; its going is an event that brings us back.
                None => self.refuse(*key, exists()),
            }
        }
    }

    /// A route of ours is in the kernel; with the desired one, if it is what
    /// the kernel makes of that.
    fn found(&mut self, key: RouteKey, entry: Entry) {
        let desired = self.delta.desired(&key).filter(|desired| desired.is_met_by(&entry)).cloned();
        let met = desired.is_some();
        self.delta.have(key, desired.unwrap_or(entry));
        if met {
            self.lost.remove(&key);
            self.refused.remove(&key);
            self.results.insert(key.prefix, Ok(Done::Installed));
        }
    }

    fn read_ours(&mut self) -> std::io::Result<Vec<Seen>> {
        let mut seen = Vec::new();
        for family in Family::ALL {
            for owner in RouteOwner::ALL {
                seen.extend(self.socket.dump(family, self.config.table, owner.protocol())?);
            }
        }
        Ok(seen)
    }

    /// Reads our routes back and takes the kernel's word. What is neither
    /// desired nor known to be installed is not of our making and stays.
    fn resync(&mut self) {
        let seen = match self.read_ours() {
            Ok(seen) => seen,
            Err(error) => return self.fail(&format!("reading routes: {error}")),
        };
        self.stats.resyncs += 1;
        let mut installed: FxHashMap<RouteKey, Entry> =
            seen.into_iter().filter_map(|seen| Some((seen.key, seen.entry()?))).collect();
        let known: Vec<RouteKey> = self.delta.iter().map(|(key, ..)| *key).collect();
        for key in known {
            match installed.remove(&key) {
                Some(entry) => self.found(key, entry),
                None => self.missing(key),
            }
        }
        let stale: Vec<RouteKey> = self.stale.iter().copied().collect();
        for key in stale {
            self.delta.refused(key);
        }
        self.notices.push_back(FibEvent::Resynced);
    }

    fn missing(&mut self, key: RouteKey) {
        if self.delta.installed(&key).is_some() && self.delta.desired(&key).is_some() {
            self.lost.insert(key);
        }
        self.stale.remove(&key);
        self.refused.remove(&key);
        self.delta.gone(key);
    }

    fn fail(&mut self, what: &str) {
        let message =
            format!("kernel table {}: {what}; routed resyncs on the next change", self.config.table);
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

/// Routes onto a link come first, because gateways are reached by them;
/// removals come last.
fn rank(step: &Step<Entry>) -> u8 {
    match step {
        Step::Install { value, .. } => match &value.target {
            Some(Target::Via(hops)) if hops.hops().iter().all(|hop| hop.gateway.is_some()) => 1,
            _ => 0,
        },
        Step::Remove(_) => 2,
    }
}

/// Something is in the way and nobody can say what.
fn exists() -> Refusal {
    Refusal::Invalid { errno: Errno::EEXIST, said: String::new() }
}
