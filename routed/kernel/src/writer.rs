//! The writer: one thread that makes installed routes as desired.
//!
//! Each round takes what has come and prepares up to [`CHUNK`] routes, while a
//! thread of its own has the kernel work off those of the round before (see
//! [`line`]); so a storm of changes is merged meanwhile. A route is two numbers
//! (see [`ways`]), and what waits is a list of prefixes: a million routes are
//! some 20 MB, and nothing is kept of those that are done.

mod alarm;
mod conflict;
mod flush;
mod line;
mod objects;
mod place;
mod queue;
mod reconcile;
mod refusals;
mod removal;
mod slab;
mod turns;
mod ways;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use net::{Prefix, PrefixMap};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use tokio::sync::{mpsc, oneshot};

use self::line::{Line, Load};
use self::objects::Objects;
use self::queue::Queue;
use self::removal::Removals;
use self::ways::{LOST, NONE, STALE, Side, Ways};
use crate::Refusal;
use crate::batch::Batch;
use crate::fib::{Alarm, Command, Done, FibConfig, FibError, FibEvent, FibStats, Nexthops};
use crate::msg::{Messages, RouteKey};
use crate::route::{NextHops, RouteOwner, Target};
use crate::socket::RouteSocket;

/// Routes written together; sorted, because the kernel takes sorted runs of
/// some ten thousand fastest.
const CHUNK: usize = 8192;
/// Messages in one send: their errors fit the receive buffer at its default.
const SEND: usize = 256;
/// Messages in one send at least, however small the receive buffer.
const SEND_LEAST: usize = 1;
/// Bytes after which a send is full: well below the default send buffer.
const SEND_BYTES: usize = 64 << 10;
/// Refusals in one event.
const RESULTS: usize = 4096;
/// Commands are left waiting while so many routes are to be written.
const ENOUGH: usize = 1 << 15;
/// Commands taken at most between two loads.
const TURN: usize = 4;

pub(crate) struct Writer {
    config: FibConfig,
    line: Line,
    /// What is prepared to be sent next.
    ready: Option<Load>,
    /// A load that has come back, empty: its memory is used again.
    spare: Load,
    /// Both sides of every prefix, at the metric of the configuration.
    sides: PrefixMap<Side>,
    ways: Ways,
    queue: Queue,
    removals: Removals,
    objects: Objects,
    nexthops: Nexthops,
    /// Routes of an earlier run at other metrics: they go with the sweep.
    elsewhere: FxHashMap<RouteKey, RouteOwner>,
    swept: bool,
    refused: FxHashMap<Prefix, Refusal>,
    /// How many prefixes were told to be refused, and still are.
    told: usize,
    /// Installed, wanted no more, and the kernel refused what is to replace them.
    outdated: FxHashSet<Prefix>,
    /// Lost, but nobody has looked yet whether they are there.
    doubtful: FxHashMap<Prefix, Doubt>,
    /// Gateways on links that do not answer.
    dead: FxHashSet<(IpAddr, u32)>,
    /// Links that routes were ever sent over, and whether they are up.
    links: FxHashMap<u32, LinkState>,
    due: Due,
    ending: bool,
    flushes: Vec<oneshot::Sender<()>>,
    results: IndexMap<Prefix, Option<Refusal>, FxBuildHasher>,
    notices: VecDeque<FibEvent>,
    settled: Option<u64>,
    /// What is settled, where nobody has to be woken for it.
    quiet: Arc<AtomicU64>,
    stats: FibStats,
    messages: Messages,
    object_message: Messages,
    /// Messages in one send; an overrun halves it.
    send: usize,
    alarms: Option<mpsc::Receiver<Alarm>>,
}

/// What is to be read back.
#[derive(Clone, Copy, Default)]
struct Due {
    /// Our routes, and the objects before.
    routes: bool,
    /// Our nexthop objects.
    objects: bool,
    /// The kernel could not be read; the next command tries again.
    behind: bool,
}

/// What is left of a route that may be there or not.
#[derive(Clone, Copy)]
struct Doubt {
    /// Whose it is, if it is there.
    owner: RouteOwner,
    /// Writing it has failed since.
    failed: bool,
}

/// What the writer knows of a link that its routes use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Unheard,
    Up,
    Down,
}

impl Writer {
    /// Opens the socket; nothing is read yet.
    pub(crate) fn open(config: FibConfig) -> Result<Self, FibError> {
        let socket = RouteSocket::open(config.receive_buffer).map_err(FibError::Socket)?;
        let line = Line::new(socket).map_err(FibError::Thread)?;
        Ok(Self {
            config,
            line,
            ready: None,
            spare: Load::default(),
            sides: PrefixMap::default(),
            ways: Ways::default(),
            queue: Queue::default(),
            removals: Removals::default(),
            objects: Objects::default(),
            nexthops: Nexthops::Off,
            elsewhere: FxHashMap::default(),
            swept: false,
            refused: FxHashMap::default(),
            told: 0,
            outdated: FxHashSet::default(),
            doubtful: FxHashMap::default(),
            dead: FxHashSet::default(),
            links: FxHashMap::default(),
            due: Due::default(),
            ending: false,
            flushes: Vec::new(),
            results: IndexMap::default(),
            notices: VecDeque::new(),
            settled: None,
            quiet: Arc::default(),
            stats: FibStats::default(),
            messages: Messages::default(),
            object_message: Messages::default(),
            send: SEND,
            alarms: None,
        })
    }

    /// Where the writer notes what is settled.
    pub(crate) fn quiet(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.quiet)
    }

    /// How routes are written.
    pub(crate) fn config(&self) -> &FibConfig {
        &self.config
    }

    /// The port id of the socket.
    pub(crate) fn port(&self) -> u32 {
        self.line.port()
    }

    /// How many routes of an earlier run there are.
    pub(crate) fn adopted(&self) -> usize {
        self.ways.stale + self.elsewhere.len()
    }

    /// True when new routes are to point at objects.
    fn objects_on(&self) -> bool {
        self.nexthops == Nexthops::Objects
    }

    fn take(&mut self, command: Command) {
        self.due.routes |= std::mem::take(&mut self.due.behind);
        match command {
            Command::Set(batch) => self.set_all(batch),
            Command::Sweep => self.sweep(),
            Command::Resync => self.due.routes = true,
            Command::Lost(prefixes) => prefixes.into_iter().for_each(|prefix| self.look_again(prefix)),
            Command::ObjectChanged(id) => self.due.objects |= self.objects.with_id(id).is_some(),
            Command::Link { index, up } => self.link(index, up),
            Command::Ended => self.source_ended(),
            Command::Retry => self.retry_refused(),
            Command::AddressGone(index) => self.address_gone(index),
            Command::Flush(reply) => {
                self.removals.release();
                self.flushes.push(reply);
            }
            Command::Stats(reply) => {
                let _ = reply.send(self.stats());
            }
            Command::Ask(prefix, reply) => {
                let _ = reply.send(self.answer(prefix));
            }
            Command::Shutdown => self.ending = true,
        }
    }

    fn stats(&self) -> FibStats {
        let parked = |(_, want): (u32, &ways::Want)| want.refused.as_ref().map(|_| want.routes as usize);
        FibStats {
            nexthops: self.nexthops,
            objects: self.objects.len(),
            installed: self.ways.installed,
            pending: self.queue.len() + self.under_way() + self.removals.len(),
            refused: self.refused.len() + self.ways.wants.iter().filter_map(parked).sum::<usize>(),
            stale: self.ways.stale + self.elsewhere.len(),
            ..self.stats
        }
    }

    fn answer(&self, prefix: Prefix) -> Result<Done, Refusal> {
        let side = self.sides.get(prefix).copied().unwrap_or_default();
        let parked = || self.ways.wants.get(side.want()).and_then(|want| want.refused.clone());
        match self.refused.get(&prefix).cloned().or_else(|| if side.told() { parked() } else { None }) {
            Some(refusal) => Err(refusal),
            None if side.is_there() => Ok(Done::Installed),
            None => Ok(Done::Removed),
        }
    }

    fn key(&self, prefix: Prefix) -> RouteKey {
        RouteKey { prefix, metric: self.config.metric_of(prefix.family()) }
    }

    fn set_all(&mut self, batch: Batch) {
        let (number, more) = (batch.number, batch.more);
        let (routes, changes) = batch.into_parts();
        for route in &routes {
            if let Target::Via(hops) = &route.target {
                let backup = route.backup.iter().flat_map(NextHops::hops);
                for hop in hops.hops().iter().chain(backup) {
                    self.links.entry(hop.interface).or_insert(LinkState::Unheard);
                }
            }
        }
        let mut wants = vec![[NONE; 2]; routes.len()];
        for (prefix, place) in changes {
            let Some(route) = usize::from(place).checked_sub(1) else {
                self.unset(prefix);
                continue;
            };
            let family = prefix.family();
            let mut want = wants[route][usize::from(family == net::Family::Ipv6Unicast)];
            if want == NONE {
                want = self.ways.want(family, &routes[route], self.config.source_of(family));
                wants[route][usize::from(family == net::Family::Ipv6Unicast)] = want;
            }
            self.set(prefix, want);
        }
        self.queue.mark(number);
        self.removals.hold(more);
    }

    fn set(&mut self, prefix: Prefix, want: u32) {
        let slot = self.sides.get_or_default(prefix);
        let old = *slot;
        let mut side = old;
        side.set_want(want);
        if !side.is_there() {
            if !side.queued() {
                side.set_queued(true);
                self.queue.push(prefix);
            }
            *slot = side;
            self.ways.moved(old, side);
            return;
        }
        // What a million routes of an earlier run come to is known after the first.
        let met = if self.ways.known(want) == Some(side.have) {
            *slot = side;
            self.ways.moved(old, side);
            true
        } else {
            let met = self.is_met(side);
            if !met && !side.queued() {
                side.set_queued(true);
                self.queue.push(prefix);
            }
            self.put(prefix, old, side);
            met
        };
        if met && side.told() {
            self.clear(prefix);
        }
    }

    fn unset(&mut self, prefix: Prefix) {
        let Some(slot) = self.sides.get_mut(prefix) else { return };
        let old = *slot;
        let mut side = old;
        side.set_want(NONE);
        if side.have == LOST {
            // Nobody may have looked yet whether it really went: it is removed,
            // and it meets nothing that may be desired before that.
            side.have = self.doubtful.remove(&prefix).map_or(NONE, |doubt| self.ways.strange(doubt.owner));
        }
        if side.is_there() {
            if !side.queued() {
                self.removals.push(prefix);
            }
            *slot = side;
            self.ways.moved(old, side);
        } else {
            self.put(prefix, old, side);
        }
        if side.told() {
            self.clear(prefix);
        }
    }

    /// Notes new sides of a prefix; where there is nothing on either, nothing stays.
    fn put(&mut self, prefix: Prefix, old: Side, new: Side) {
        self.ways.moved(old, new);
        if new.want() == NONE && new.have == NONE && !new.queued() && !new.told() {
            self.sides.remove(prefix);
        } else if old != new {
            *self.sides.get_or_default(prefix) = new;
        }
    }

    /// The kernel's route for a prefix went or changed. Adding it exclusively
    /// finds out what is there now.
    fn look_again(&mut self, prefix: Prefix) {
        let Some(old) = self.sides.get(prefix).copied() else { return };
        let mut side = old;
        // Whatever was in the way may be another's now.
        self.refused.remove(&prefix);
        if side.is_wanted() {
            if let Some(have) = self.ways.haves.get(side.have) {
                self.doubtful.insert(prefix, Doubt { owner: have.shape.owner, failed: false });
                side.have = LOST;
            }
            if !side.queued() {
                side.set_queued(true);
                self.queue.push(prefix);
            }
        } else if side.want() == STALE {
            side.have = NONE;
            side.set_want(NONE);
        }
        // What is to go is removed all the same: it may have been put back
        // since what is heard of only now.
        self.put(prefix, old, side);
    }

    fn link(&mut self, index: u32, up: bool) {
        let state = if up { LinkState::Up } else { LinkState::Down };
        if let Some(known) = self.links.get_mut(&index) {
            let changed = *known != state;
            *known = state;
            self.due.objects |= changed;
            // Routes that say themselves where they lead go unheard too.
            self.due.routes |= changed && self.plain_over(index);
            if changed && up {
                self.retry_refused();
            }
        } else if self.uses(0) {
            self.due.routes = true;
        }
    }

    /// With an address go the routes that have it as their source, and those
    /// whose gateway it made reachable.
    fn address_gone(&mut self, index: u32) {
        let sources = self.config.source4.is_some() || self.config.source6.is_some();
        self.due.objects = true;
        self.due.routes |= self.uses(index) && (sources || self.plain_over(index));
    }

    /// True when routes that say themselves where they lead may go over this link.
    fn plain_over(&self, index: u32) -> bool {
        let over = |have: &ways::Have| match &have.shape.place {
            ways::Place::Plain(Target::Via(hops)) => {
                hops.hops().iter().any(|hop| hop.interface == index || hop.interface == 0)
            }
            ways::Place::Strange => true,
            _ => false,
        };
        self.ways.haves.iter().any(|(_, have)| have.routes > 0 && over(have))
    }

    /// True when a route may go over this link.
    fn uses(&self, index: u32) -> bool {
        self.links.contains_key(&index) || self.links.contains_key(&0)
    }

    fn fail(&mut self, what: &str) {
        self.due.behind = true;
        let message =
            format!("kernel table {}: {what}; routed reads it again at the next change", self.config.table);
        self.notice(FibEvent::Failed(message));
    }

    fn has_events(&self) -> bool {
        !self.notices.is_empty() || !self.results.is_empty() || self.settled.is_some()
    }

    /// Notes what is settled where nothing is to be told before, so that the
    /// reader need not wake for it; `all_read`: it has taken all that was.
    fn settle_quietly(&mut self, all_read: bool) {
        if all_read
            && !self.config.tell_settled
            && self.notices.is_empty()
            && self.results.is_empty()
            && let Some(batch) = self.settled.take()
        {
            self.quiet.store(batch, Ordering::Release);
        }
    }

    fn forget_events(&mut self) {
        self.notices.clear();
        self.results.clear();
        self.settled = None;
    }

    /// The next event: notices first, then refusals, then how far all is settled.
    fn next_event(&mut self) -> Option<FibEvent> {
        if let Some(notice) = self.notices.pop_front() {
            return Some(notice);
        }
        let from = self.results.len().saturating_sub(RESULTS);
        let results: Vec<_> = self.results.drain(from..).collect();
        if results.is_empty() {
            return self.settled.take().map(FibEvent::Settled);
        }
        Some(FibEvent::Refused(results))
    }
}
