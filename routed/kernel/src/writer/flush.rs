//! Writes what is pending, and finds out whose routes are in the way.

use net::{Family, Step};
use nix::errno::Errno;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{CHUNK, SEND_BYTES, SEND_LEAST, Work, Writer};
use crate::Refusal;
use crate::fib::{Done, FibEvent};
use crate::msg::{Entry, RouteKey, Seen};
use crate::route::Target;

impl Writer {
    /// One round: reads back if that is due, then writes a chunk.
    pub(super) fn round(&mut self) {
        if std::mem::take(&mut self.resync_due) {
            self.resync();
        }
        let mut work = self.delta.next_batch(CHUNK);
        work.sort_unstable_by_key(|(key, step)| (rank(step), *key));
        let mut conflicts = Vec::new();
        let mut written = 0;
        let repaired = self.stats.repaired;
        let mut rest = &work[..];
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(self.pack(rest));
            written += self.write(batch, &mut conflicts);
            rest = later;
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
            self.drop_outdated();
        }
        if self.idle() {
            for flush in self.flushes.drain(..) {
                // Who asked may have gone; that is no fault.
                let _ = flush.send(());
            }
        }
    }

    /// A gateway may be reachable by a route that was written after the one
    /// that needs it.
    pub(super) fn retry_unreachable(&mut self) {
        for (key, refusal) in &self.refused {
            if matches!(refusal, Refusal::NoWay { .. }) {
                self.delta.retry(*key);
            }
        }
    }

    /// Packs as many routes as go into one send, at least one; gives how many.
    fn pack(&mut self, work: &[Work]) -> usize {
        let table = self.config.table;
        self.messages.clear();
        for (key, step) in work {
            match step {
                Step::Install { value, replaces: None } => self.messages.add(table, *key, value),
                Step::Install { value, replaces: Some(_) } => self.messages.replace(table, *key, value),
                Step::Remove(installed) => self.messages.delete(table, *key, installed.owner),
            }
            if self.messages.len() >= self.send || self.messages.bytes() >= SEND_BYTES {
                break;
            }
        }
        self.messages.len()
    }

    /// Sends what was packed; gives how many routes onto a link were newly installed.
    fn write(&mut self, batch: &[Work], conflicts: &mut Vec<RouteKey>) -> usize {
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
                self.stats.repaired += u64::from(self.lost.remove(&key).is_some());
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
            (Step::Install { replaces: Some(old), .. }, Errno::ENOENT | Errno::ESRCH) => {
                if self.lost.insert(key, old.clone()).is_none() {
                    self.delta.gone(key);
                } else {
                    // A second time in a row: no use to go on in circles.
                    self.refuse(key, Refusal::from_errno(errno, said));
                }
            }
            _ => {
                if matches!(step, Step::Install { replaces: Some(_), .. }) {
                    self.outdated.insert(key);
                }
                self.refuse(key, Refusal::from_errno(errno, said));
            }
        }
    }

    /// Removes routes whose replacement the kernel refused: packets must not go
    /// on to where nobody wants them to go. This waits until all else is
    /// written, for by then a gateway may be in reach and the route replaced in
    /// place. What was removed is then tried once more as a new route.
    fn drop_outdated(&mut self) {
        let outdated: Vec<RouteKey> = std::mem::take(&mut self.outdated)
            .into_iter()
            .filter(|key| self.refused.contains_key(key) && self.delta.desired(key).is_some())
            .collect();
        for some in outdated.chunks(self.send) {
            self.messages.clear();
            let owned = some.iter().filter_map(|key| Some((*key, self.delta.installed(key)?.owner)));
            let asked: Vec<RouteKey> = owned
                .map(|(key, owner)| {
                    self.messages.delete(self.config.table, key, owner);
                    key
                })
                .collect();
            if asked.is_empty() {
                continue;
            }
            match self.socket.exchange(&mut self.messages) {
                Ok(answers) if answers.complete => {
                    let gone = |errno| matches!(errno, Errno::ESRCH | Errno::ENOENT);
                    let kept: FxHashSet<usize> = answers
                        .errors
                        .iter()
                        .filter(|(_, errno, _)| !gone(*errno))
                        .map(|(at, ..)| *at)
                        .collect();
                    for (_, key) in asked.iter().enumerate().filter(|(at, _)| !kept.contains(at)) {
                        self.delta.gone(*key);
                    }
                }
                Ok(_) => self.resync_due = true,
                Err(error) => self.fail(&format!("removing routes that were replaced: {error}")),
            }
        }
    }

    pub(super) fn refuse(&mut self, key: RouteKey, refusal: Refusal) {
        self.delta.refused(key);
        self.results.insert(key.prefix, Err(refusal.clone()));
        self.refused.insert(key, refusal);
    }

    /// Finds out whose the routes are that were in the way. Where the first of
    /// a prefix is ours it is taken over; a stranger's stays.
    pub(super) fn settle(&mut self, conflicts: &[RouteKey]) {
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
                    for key in wanted {
                        self.refuse(key, exists());
                    }
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
