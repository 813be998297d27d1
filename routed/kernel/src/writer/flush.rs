//! Writes what is pending, and finds out whose routes are in the way.

use std::net::IpAddr;

use net::{Family, Prefix};
use nix::errno::Errno;
use rustc_hash::{FxHashMap, FxHashSet};

use super::place::is_of_object;
use super::reconcile::Dumped;
use super::ways::{LOST, NONE, Place, STALE, Side};
use super::{CHUNK, Doubt, SEND_BYTES, SEND_LEAST, Writer};
use crate::Refusal;
use crate::fib::FibEvent;
use crate::msg::{Seen, Way, Written};

/// A route to write. Its side says already that it is there.
#[derive(Clone, Copy, Debug)]
struct Job {
    prefix: Prefix,
    /// What is to be there.
    have: u32,
    /// What is there now: [`NONE`] or [`LOST`] when the route is to be added.
    before: u32,
    /// In which order it is written: routes onto a link come first, because
    /// gateways are reached by them, then by address.
    order: u64,
}

impl Job {
    fn new(prefix: Prefix, have: u32, before: u32, on_link: bool) -> Self {
        let address = match prefix.address() {
            IpAddr::V4(address) => u64::from(address.to_bits()) << 8 | u64::from(prefix.len()),
            // What differs only in the rest may come in any order.
            IpAddr::V6(address) => 1 << 62 | u64::try_from(address.to_bits() >> 66).unwrap_or(u64::MAX),
        };
        Self { prefix, have, before, order: if on_link { address } else { address | 1 << 63 } }
    }

    fn on_link(&self) -> bool {
        self.order >> 63 == 0
    }

    fn adds(&self) -> bool {
        matches!(self.before, NONE | LOST)
    }
}

impl Writer {
    /// One round: reads back if that is due, then writes a chunk.
    pub(super) fn round(&mut self) {
        self.alarms();
        if std::mem::take(&mut self.due.routes) {
            self.resync();
        } else if std::mem::take(&mut self.due.objects) {
            self.sync_objects();
        }
        let repaired = self.stats.repaired;
        let written = self.write_some();
        if self.stats.repaired > repaired {
            let count = usize::try_from(self.stats.repaired - repaired).unwrap_or(usize::MAX);
            self.notice(FibEvent::Repaired(count));
        }
        if written > 0 {
            self.retry_unreachable();
        }
        if let Some(batch) = self.queue.settled() {
            self.settled = Some(batch);
        }
        if self.queue.is_empty() {
            self.queue.rest();
            self.drop_outdated();
        }
        if self.queue.is_empty() && !self.removals.is_empty() && (!self.removals.held() || self.ending) {
            self.remove();
        }
        if self.queue.is_empty() && self.removals.is_empty() {
            self.collect();
        }
        if self.idle() {
            for flush in self.flushes.drain(..) {
                // Who asked may have gone; that is no fault.
                let _ = flush.send(());
            }
        }
    }

    /// Writes a chunk; gives how many routes onto a link were newly installed.
    fn write_some(&mut self) -> usize {
        let mut jobs = self.plan();
        jobs.sort_unstable_by_key(|job| job.order);
        let mut conflicts = Vec::new();
        let mut written = 0;
        let mut at = 0;
        while at < jobs.len() {
            let end = at + self.pack(&jobs[at..]);
            written += self.write(&jobs[at..end], &mut conflicts);
            at = end;
            if self.alarms() {
                // Where an alarm took the object away there is nothing to write.
                jobs.drain(..std::mem::take(&mut at));
                jobs.retain(|job| self.sides.get(job.prefix).is_some_and(|side| side.have == job.have));
            }
        }
        self.settle(&conflicts);
        written
    }

    /// Takes prefixes off the queue and makes up what is to be done for each.
    fn plan(&mut self) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(CHUNK.min(self.queue.len()));
        while jobs.len() < CHUNK
            && let Some(prefix) = self.queue.pop()
        {
            let Some(slot) = self.sides.get_mut(prefix) else { continue };
            let old = *slot;
            let mut side = old;
            side.set_queued(false);
            if !side.is_there()
                && let Some(have) = self.ways.known(side.want())
            {
                jobs.push(Job::new(prefix, have, side.have, self.ways.on_link(have)));
                side.have = have;
                *slot = side;
                self.ways.moved(old, side);
                continue;
            }
            if side.is_wanted() {
                jobs.extend(self.job(prefix, &mut side));
            } else if side.want() != STALE && side.is_there() {
                self.removals.push(prefix);
            }
            self.put(prefix, old, side);
        }
        jobs
    }

    /// What is to be done for a prefix that is wanted.
    fn job(&mut self, prefix: Prefix, side: &mut Side) -> Option<Job> {
        if side.is_there() && self.is_met(*side) {
            self.refused.remove(&prefix);
            if side.told() {
                side.set_told(false);
                self.results.insert(prefix, None);
            }
            return None;
        }
        match self.place(side.want()) {
            Ok(have) => {
                let before = std::mem::replace(&mut side.have, have);
                Some(Job::new(prefix, have, before, self.ways.on_link(have)))
            }
            Err(refusal) => {
                if side.is_there() {
                    self.outdated.insert(prefix);
                }
                side.set_told(true);
                self.results.insert(prefix, Some(refusal));
                None
            }
        }
    }

    /// Packs as many routes as go into one send, at least one; gives how many.
    fn pack(&mut self, jobs: &[Job]) -> usize {
        let table = self.config.table;
        self.messages.clear();
        for job in jobs {
            let key = self.key(job.prefix);
            let Some(have) = self.ways.haves.get(job.have) else { continue };
            let way = match &have.shape.place {
                Place::Object(object) => {
                    Way::Object(self.objects.slab.get(*object).map_or(0, |object| object.id))
                }
                Place::Plain(target) => Way::Plain(target),
                Place::Strange => Way::Object(0),
            };
            let route = Written { owner: have.shape.owner, source: have.shape.source, way };
            if job.adds() {
                self.messages.add(table, key, route);
            } else {
                self.messages.replace(table, key, route);
            }
            if self.messages.len() >= self.send || self.messages.bytes() >= SEND_BYTES {
                break;
            }
        }
        self.messages.len()
    }

    /// Sends what was packed; gives how many routes onto a link were newly installed.
    fn write(&mut self, batch: &[Job], conflicts: &mut Vec<Prefix>) -> usize {
        let answers = match self.socket.exchange(&mut self.messages) {
            Ok(answers) => answers,
            Err(error) => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
                for job in batch {
                    self.undo(job, job.before);
                    self.refuse(job.prefix, Refusal::from_errno(errno, "sending failed".to_owned()));
                }
                return 0;
            }
        };
        self.stats.written += batch.len() as u64;
        if !answers.complete {
            self.overrun();
            // They are read back first, and then written where that is still needed.
            for job in batch {
                self.undo(job, job.before);
                self.enqueue(job.prefix);
            }
            return 0;
        }
        let mut errors = answers.errors.into_iter().peekable();
        let mut written = 0;
        for (place, job) in batch.iter().enumerate() {
            match errors.next_if(|(at, ..)| *at == place) {
                Some((_, errno, said)) => self.failed(job, errno, said, conflicts),
                None => written += self.done(job),
            }
        }
        written
    }

    /// Answers were lost: nobody knows what was done.
    pub(super) fn overrun(&mut self) {
        self.stats.overruns += 1;
        self.send = (self.send / 2).max(SEND_LEAST);
        self.due.routes = true;
    }

    /// A route was written; gives 1 for a route onto a link that was not there
    /// before, because gateways may be reached by it.
    fn done(&mut self, job: &Job) -> usize {
        if job.before == LOST {
            self.stats.repaired += 1;
        }
        if !self.doubtful.is_empty() {
            self.doubtful.remove(&job.prefix);
        }
        if !self.refused.is_empty() || !self.results.is_empty() {
            self.clear(job.prefix);
        }
        usize::from(job.adds() && job.on_link())
    }

    /// A route was not written: what was there before still is.
    fn undo(&mut self, job: &Job, before: u32) {
        let Some(old) = self.sides.get(job.prefix).copied() else { return };
        let mut side = old;
        side.have = before;
        self.put(job.prefix, old, side);
    }

    fn failed(&mut self, job: &Job, errno: Errno, said: String, conflicts: &mut Vec<Prefix>) {
        match errno {
            Errno::EEXIST if job.adds() => {
                self.undo(job, job.before);
                conflicts.push(job.prefix);
            }
            // It went behind our back: not there to be replaced. Or its
            // object did, and all that was on it.
            _ if !job.adds() && matches!(errno, Errno::ENOENT | Errno::ESRCH) || is_of_object(&said) => {
                self.undo(job, LOST);
                self.due.objects |= is_of_object(&said);
                if self.doubt(job) {
                    self.enqueue(job.prefix);
                } else {
                    // A second time in a row: no use to go on in circles.
                    self.refuse(job.prefix, Refusal::from_errno(errno, said));
                }
            }
            _ => {
                self.undo(job, job.before);
                if !job.adds() {
                    self.outdated.insert(job.prefix);
                }
                self.refuse(job.prefix, Refusal::from_errno(errno, said));
            }
        }
    }

    /// A route went behind our back while it was written; false when that
    /// happened before, and it was not written since.
    fn doubt(&mut self, job: &Job) -> bool {
        let was = if job.adds() { job.have } else { job.before };
        let Some(owner) = self.ways.haves.get(was).map(|have| have.shape.owner) else { return true };
        let before = self.doubtful.insert(job.prefix, Doubt { owner, failed: true });
        !before.is_some_and(|doubt| doubt.failed)
    }

    /// Puts a prefix into the queue, once.
    pub(super) fn enqueue(&mut self, prefix: Prefix) {
        if let Some(side) = self.sides.get_mut(prefix)
            && !side.queued()
        {
            side.set_queued(true);
            self.queue.push(prefix);
        }
    }

    /// Removes routes whose replacement the kernel refused: packets must not go
    /// on to where nobody wants them to go. This waits until all else is
    /// written, for by then a gateway may be in reach and the route replaced in
    /// place. What was removed is then tried once more as a new route.
    fn drop_outdated(&mut self) {
        let outdated: Vec<(Prefix, u32)> = std::mem::take(&mut self.outdated)
            .into_iter()
            .filter_map(|prefix| Some((prefix, self.sides.get(prefix).copied()?)))
            .filter(|(_, side)| side.told() && side.is_wanted() && side.is_there() && !side.queued())
            .map(|(prefix, side)| (prefix, side.have))
            .collect();
        for some in outdated.chunks(self.send) {
            self.remove_each(some);
            for (prefix, _) in some {
                let parked = |want| self.ways.wants.get(want).is_some_and(|want| want.refused.is_some());
                let gone = |side: &Side| !side.is_there() && !parked(side.want());
                if self.sides.get(*prefix).is_some_and(gone) {
                    self.enqueue(*prefix);
                }
            }
        }
    }

    /// The kernel does not take a route.
    pub(super) fn refuse(&mut self, prefix: Prefix, refusal: Refusal) {
        if let Some(side) = self.sides.get_mut(prefix) {
            side.set_told(true);
        }
        self.results.insert(prefix, Some(refusal.clone()));
        self.refused.insert(prefix, refusal);
    }

    /// A refusal, if there was one, holds no more.
    pub(super) fn clear(&mut self, prefix: Prefix) {
        self.refused.remove(&prefix);
        let Some(old) = self.sides.get(prefix).copied().filter(|side| side.told()) else { return };
        let mut side = old;
        side.set_told(false);
        self.put(prefix, old, side);
        self.results.insert(prefix, None);
    }

    /// Tries again what was refused.
    pub(super) fn retry_refused(&mut self) {
        self.retry(|_| true);
        self.mend();
    }

    /// A gateway may be reachable by a route that was written after the one
    /// that needs it.
    fn retry_unreachable(&mut self) {
        self.retry(|refusal| matches!(refusal, Refusal::NoWay { .. }));
    }

    pub(super) fn retry(&mut self, again: impl Fn(&Refusal) -> bool) {
        let prefixes: Vec<Prefix> =
            self.refused.iter().filter(|(_, refusal)| again(refusal)).map(|(prefix, _)| *prefix).collect();
        for prefix in prefixes {
            self.enqueue(prefix);
        }
        let mut wants = FxHashSet::default();
        for (number, want) in self.ways.wants.iter_mut() {
            if want.refused.take_if(|refusal| again(refusal)).is_some() {
                wants.insert(number);
            }
        }
        if wants.is_empty() {
            return;
        }
        let queue = &mut self.queue;
        self.sides.retain(|prefix, side| {
            if wants.contains(&side.want()) && side.told() && !side.queued() {
                side.set_queued(true);
                queue.push(prefix);
            }
            true
        });
    }

    /// Finds out whose the routes are that were in the way. Where the first of
    /// a prefix is ours it is taken over; a stranger's stays.
    fn settle(&mut self, conflicts: &[Prefix]) {
        let (known, unknown): (Vec<_>, Vec<_>) = conflicts
            .iter()
            .copied()
            .partition(|prefix| matches!(self.refused.get(prefix), Some(Refusal::Foreign { .. })));
        for prefix in known {
            if let Some(refusal) = self.refused.get(&prefix).cloned() {
                self.refuse(prefix, refusal);
            }
        }
        for family in Family::ALL {
            let wanted: FxHashSet<Prefix> =
                unknown.iter().copied().filter(|prefix| prefix.family() == family).collect();
            if wanted.is_empty() {
                continue;
            }
            let mut seen: Vec<Seen> = Vec::new();
            let read = self.dump(family, |writer, dumped| match dumped {
                Dumped::Begin => seen.clear(),
                Dumped::Route(route) => {
                    let concerns =
                        wanted.contains(&route.key.prefix) && route.key == writer.key(route.key.prefix);
                    seen.extend(concerns.then_some(route));
                }
            });
            match read {
                Ok(()) => self.settle_with(&wanted, &seen),
                Err(error) => {
                    self.fail(&format!("reading routes: {error}"));
                    for prefix in wanted {
                        self.refuse(prefix, exists());
                    }
                }
            }
        }
    }

    fn settle_with(&mut self, wanted: &FxHashSet<Prefix>, seen: &[Seen]) {
        let mut first: FxHashMap<Prefix, &Seen> = FxHashMap::default();
        self.messages.clear();
        for seen in seen {
            let first = first.entry(seen.key.prefix).or_insert(seen);
            // Ours behind a stranger's cannot be replaced without hitting the stranger's.
            if let (None, Some(ours)) = (first.owner(), seen.owner()) {
                self.messages.delete(self.config.table, seen.key, ours);
            }
        }
        if self.messages.len() > 0
            && let Err(error) = self.socket.exchange(&mut self.messages)
        {
            self.fail(&format!("deleting routes behind another owner's: {error}"));
        }
        for prefix in wanted {
            match first.get(prefix) {
                Some(seen) if seen.owner().is_some() => self.found(*prefix, seen),
                Some(seen) => self.refuse(*prefix, Refusal::Foreign { protocol: seen.protocol }),
                // It went meanwhile; its going is an event that brings us back.
                None => self.refuse(*prefix, exists()),
            }
        }
    }
}

/// Something is in the way and nobody can say what.
fn exists() -> Refusal {
    Refusal::Invalid { errno: Errno::EEXIST, said: String::new() }
}
