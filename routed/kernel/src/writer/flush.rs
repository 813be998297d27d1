//! Writes what is pending, a load after the other.

use std::net::IpAddr;

use net::Prefix;
use nix::errno::Errno;

use super::line::Load;
use super::place::is_of_object;
use super::ways::{LOST, NONE, Place, STALE, Side};
use super::{CHUNK, Doubt, SEND_BYTES, SEND_LEAST, Writer};
use crate::Refusal;
use crate::fib::FibEvent;
use crate::msg::{Messages, Way, Written};
use crate::route::RouteOwner;
use crate::socket::Answers;

/// A route to write. Its side says already that it is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
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

/// What came of what was sent, and what did not.
#[derive(Default)]
pub(super) struct Outcome {
    /// Routes onto a link that were newly installed.
    written: usize,
    /// What was not sent.
    unsent: Vec<Job>,
    /// What was added where there was a route.
    conflicts: Vec<Prefix>,
    /// The batch of the table that is settled when what was not sent is written.
    settles: Option<u64>,
}

impl Writer {
    /// One round: reads back if that is due, then writes a load.
    pub(super) fn round(&mut self) {
        self.alarms();
        if self.due.routes || self.due.objects {
            let halted = self.halt();
            self.put_back(halted);
            if std::mem::take(&mut self.due.routes) {
                self.resync();
            } else {
                self.due.objects = false;
                self.sync_objects();
            }
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
        if self.all_written() {
            self.queue.rest();
            self.drop_outdated();
        }
        if self.all_written() && !self.removals.is_empty() && (!self.removals.held() || self.ending) {
            self.remove();
        }
        if self.all_written() && self.removals.is_empty() {
            self.collect();
        }
        if self.idle() {
            for flush in self.flushes.drain(..) {
                // Who asked may have gone; that is no fault.
                let _ = flush.send(());
            }
        }
    }

    /// Prepares a load, and has it sent when the one before is back; gives how
    /// many routes onto a link were newly installed.
    fn write_some(&mut self) -> usize {
        if self.ready.is_none() {
            self.ready = self.prepare();
        }
        if self.line.is_busy() {
            return 0;
        }
        let mut written = self.land();
        if let Some(load) = self.ready.take() {
            self.line.send(load);
            if !self.line.is_busy() {
                written += self.land();
            }
        }
        written
    }

    /// The next load, if there is anything to write or to tell.
    fn prepare(&mut self) -> Option<Load> {
        let mut load = std::mem::take(&mut self.spare);
        load.clear();
        let waits = self.plan(&mut load.jobs);
        load.settles = self.queue.settled();
        if load.jobs.is_empty() && load.settles.is_none() && !waits {
            self.spare = load;
            return None;
        }
        load.jobs.sort_unstable_by_key(|job| job.order);
        let mut at = 0;
        while at < load.jobs.len() {
            let (jobs, packet) = load.packet();
            at += self.pack(&jobs[at..], packet);
        }
        Some(load)
    }

    /// Takes prefixes off the queue and makes up what is to be done for each.
    /// Beside a load that is under way only new routes are planned: whether
    /// others are there is not known before. True where one has to wait for that.
    fn plan(&mut self, jobs: &mut Vec<Job>) -> bool {
        let away = self.line.is_out();
        while jobs.len() < CHUNK
            && let Some(prefix) = self.queue.pop()
        {
            let Some(slot) = self.sides.get_mut(prefix) else { continue };
            let old = *slot;
            if away && old.is_there() {
                self.queue.put_back(prefix);
                return true;
            }
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
        false
    }

    /// What is to be done for a prefix that is wanted.
    fn job(&mut self, prefix: Prefix, side: &mut Side) -> Option<Job> {
        if side.is_there() && self.is_met(*side) {
            self.refused.remove(&prefix);
            self.take_back(prefix, side);
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
                self.tell(prefix, side, refusal);
                None
            }
        }
    }

    /// Packs as many routes as go into one send, at least one; gives how many.
    fn pack(&self, jobs: &[Job], packet: &mut Messages) -> usize {
        let table = self.config.table;
        for job in jobs {
            let key = self.key(job.prefix);
            let way = match self.ways.haves.get(job.have).map(|have| &have.shape.place) {
                Some(Place::Object(object)) => {
                    Way::Object(self.objects.slab.get(*object).map_or(0, |object| object.id))
                }
                Some(Place::Plain(target)) => Way::Plain(target),
                Some(Place::Strange) | None => Way::Object(0),
            };
            let shape = self.ways.haves.get(job.have).map(|have| &have.shape);
            let owner = shape.map_or(RouteOwner::Own, |shape| shape.owner);
            let route = Written { owner, source: shape.and_then(|shape| shape.source), way };
            if job.adds() {
                packet.add(table, key, route);
            } else {
                packet.replace(table, key, route);
            }
            if packet.len() >= self.send || packet.bytes() >= SEND_BYTES {
                break;
            }
        }
        packet.len()
    }

    /// Takes in what came of the load that is under way; waits for it. Gives
    /// how many routes onto a link were newly installed.
    fn land(&mut self) -> usize {
        let mut outcome = Outcome::default();
        if let Some(load) = self.line.take() {
            self.reckon(load, &mut outcome);
        }
        let written = outcome.written;
        self.put_back(outcome);
        written
    }

    /// Stops after the send that the kernel works at, and gives back what was
    /// to follow: for what cannot wait, or needs to see the routes as they are.
    pub(super) fn halt(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(load) = self.line.recall() {
            self.reckon(load, &mut outcome);
        }
        if let Some(load) = self.ready.take() {
            outcome.unsent.extend_from_slice(&load.jobs);
            outcome.settles = outcome.settles.max(load.settles);
            self.spare = load;
        }
        outcome
    }

    /// Has what was not sent written later, where it is still to be, and finds
    /// out whose the routes are that were in the way.
    pub(super) fn put_back(&mut self, outcome: Outcome) {
        let Outcome { unsent, conflicts, settles, .. } = outcome;
        for job in &unsent {
            // Where an alarm took the object away there is nothing to write.
            if self.sides.get(job.prefix).is_some_and(|side| side.have == job.have) {
                self.undo(job, job.before);
                self.enqueue(job.prefix);
            }
        }
        if !conflicts.is_empty() {
            self.settle(&conflicts);
        }
        if let Some(batch) = settles {
            self.queue.mark(batch);
        }
    }

    /// Notes what came of a load.
    fn reckon(&mut self, mut load: Load, outcome: &mut Outcome) {
        let before = outcome.unsent.len();
        let settles = load.settles;
        let (mut jobs, sends) = load.outcomes();
        for (count, answers) in sends {
            let (batch, rest) = jobs.split_at(count.min(jobs.len()));
            jobs = rest;
            match answers {
                Some(Ok(answers)) => self.answered(batch, answers, outcome),
                Some(Err(error)) => {
                    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
                    for job in batch {
                        self.undo(job, job.before);
                        self.refuse(job.prefix, Refusal::from_errno(errno, "sending failed".to_owned()));
                    }
                }
                None => outcome.unsent.extend_from_slice(batch),
            }
        }
        if outcome.unsent.len() > before {
            outcome.settles = outcome.settles.max(settles);
        } else {
            self.settled = self.settled.max(settles);
        }
        load.clear();
        self.spare = load;
    }

    /// Notes what the kernel says of one send.
    fn answered(&mut self, batch: &[Job], answers: Answers, outcome: &mut Outcome) {
        self.stats.written += batch.len() as u64;
        if !answers.complete {
            self.overrun();
            // They are read back first, and then written where that is still needed.
            for job in batch {
                self.undo(job, job.before);
                self.enqueue(job.prefix);
            }
            return;
        }
        let mut errors = answers.errors.into_iter().peekable();
        for (place, job) in batch.iter().enumerate() {
            match errors.next_if(|(at, ..)| *at == place) {
                Some((_, errno, said)) => self.failed(job, errno, said, &mut outcome.conflicts),
                None => outcome.written += self.done(job),
            }
        }
    }

    /// How many routes are prepared or on their way to the kernel.
    pub(super) fn under_way(&self) -> usize {
        self.line.jobs() + self.ready.as_ref().map_or(0, |load| load.jobs.len())
    }

    /// True when nothing waits to be written, and nothing is on its way.
    pub(super) fn all_written(&self) -> bool {
        self.queue.is_empty() && self.ready.is_none() && !self.line.is_out()
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
        if self.told > 0 {
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
        if !self.sides.get(job.prefix).is_some_and(|side| side.is_wanted()) {
            // Nobody has wanted it since it was planned.
            return self.undo(job, job.before);
        }
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
}
