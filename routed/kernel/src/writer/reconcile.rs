//! Takes the kernel's word for what is installed: at the start, and whenever
//! something may have happened unheard.

use net::Family;
use rustc_hash::FxHashMap;

use super::Writer;
use crate::fib::{Done, FibEvent};
use crate::msg::{Entry, RouteKey, Seen};
use crate::route::RouteOwner;

impl Writer {
    /// Adopts what an earlier run left; it is not removed before the sweep.
    pub(super) fn adopt(&mut self, seen: &[Seen]) {
        for seen in seen {
            if let Some(entry) = seen.entry() {
                self.delta.have(seen.key, entry);
                self.delta.refused(seen.key);
                self.stale.insert(seen.key);
            }
        }
        self.notices.push_back(FibEvent::Adopted(self.stale.len()));
    }

    pub(super) fn sweep(&mut self) {
        self.notices.push_back(FibEvent::Swept(self.stale.len()));
        for key in std::mem::take(&mut self.stale) {
            self.delta.retry(key);
        }
    }

    /// A route of ours is in the kernel; with the desired one, if it is what
    /// the kernel makes of that.
    pub(super) fn found(&mut self, key: RouteKey, entry: Entry) {
        let desired = self.delta.desired(&key).filter(|desired| desired.is_met_by(&entry)).cloned();
        let met = desired.is_some();
        self.delta.have(key, desired.unwrap_or(entry));
        if met {
            self.lost.remove(&key);
            self.refused.remove(&key);
            self.results.insert(key.prefix, Ok(Done::Installed));
        }
    }

    pub(super) fn read_ours(&mut self) -> std::io::Result<Vec<Seen>> {
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
    pub(super) fn resync(&mut self) {
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
        self.note_lost(key);
        self.stale.remove(&key);
        self.refused.remove(&key);
        self.delta.gone(key);
    }
}
