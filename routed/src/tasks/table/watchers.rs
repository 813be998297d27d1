//! Readers that follow the best routes.
//!
//! What a reader has yet to hear is a set of prefixes, so a slow one costs a
//! bounded amount of memory and ten changes of a prefix are one event. A new
//! reader gets every route there is, page by page, then the end of the
//! snapshot, then changes.

use std::time::Instant;

use api::v1;
use indexmap::{IndexMap, IndexSet};
use net::{Family, Prefix};
use rib::{Protocol, Query};
use rustc_hash::FxBuildHasher;
use tokio::sync::mpsc;

use super::TableTask;
use super::ask::PAGE;

/// How many batches of events may wait for a reader.
pub(crate) const WATCH_EVENTS: usize = 4;

/// A reader and what it wants to hear.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Only this prefix; with `longer`, the more specific ones too.
    pub(crate) prefix: Option<Prefix>,
    /// With `prefix`: the more specific ones too.
    pub(crate) longer: bool,
    /// Only of this family.
    pub(crate) family: Option<Family>,
    /// Only of this protocol.
    pub(crate) protocol: Option<Protocol>,
    /// Where the events go.
    pub(crate) events: mpsc::Sender<Vec<v1::RouteEvent>>,
}

impl Watch {
    fn wants(&self, prefix: Prefix) -> bool {
        let inside = |within: Prefix| within == prefix || (self.longer && within.covers(prefix));
        self.prefix.is_none_or(inside) && self.family.is_none_or(|family| family == prefix.family())
    }
}

struct Watcher {
    watch: Watch,
    snapshot: Snapshot,
    pending: IndexSet<Prefix, FxBuildHasher>,
    /// What it has been told of, and by which protocol it was, so that what it
    /// never heard of is not removed.
    told: IndexMap<Prefix, i32, FxBuildHasher>,
}

enum Snapshot {
    /// After this prefix there is more.
    After(Option<Prefix>),
    Done,
}

/// All readers.
#[derive(Default)]
pub(super) struct Watchers(Vec<Watcher>);

impl Watchers {
    /// A best route changed.
    pub(super) fn change(&mut self, prefix: Prefix) {
        for watcher in &mut self.0 {
            if watcher.watch.wants(prefix) {
                watcher.pending.insert(prefix);
            }
        }
    }
}

impl Watchers {
    /// True when a reader waits for more than it could take.
    pub(super) fn wait(&self) -> bool {
        let waits =
            |watcher: &Watcher| !watcher.pending.is_empty() || matches!(watcher.snapshot, Snapshot::After(_));
        self.0.iter().any(waits)
    }
}

impl TableTask {
    pub(super) fn watch(&mut self, watch: Watch) {
        self.watchers.0.push(Watcher {
            watch,
            snapshot: Snapshot::After(None),
            pending: IndexSet::default(),
            told: IndexMap::default(),
        });
    }

    /// Gives each reader what it can take.
    pub(super) fn feed_watchers(&mut self) {
        let mut watchers = std::mem::take(&mut self.watchers.0);
        watchers.retain(|watcher| !watcher.watch.events.is_closed());
        for watcher in &mut watchers {
            self.feed(watcher);
        }
        self.watchers.0 = watchers;
    }

    fn feed(&self, watcher: &mut Watcher) {
        let now = Instant::now();
        let events = watcher.watch.events.clone();
        while let Ok(permit) = events.try_reserve() {
            let batch = match watcher.snapshot {
                Snapshot::After(after) => self.snapshot_page(now, watcher, after),
                Snapshot::Done if watcher.pending.is_empty() => return,
                Snapshot::Done => self.changes_of(now, watcher),
            };
            permit.send(batch);
        }
    }

    fn snapshot_page(
        &self,
        now: Instant,
        watcher: &mut Watcher,
        after: Option<Prefix>,
    ) -> Vec<v1::RouteEvent> {
        let watch = &watcher.watch;
        let query =
            Query { within: watch.prefix, family: watch.family, protocol: watch.protocol, peer: None };
        let page = self.table.routes(&query, after, PAGE);
        let mut batch = Vec::new();
        for view in page.items.iter().filter(|view| watch.wants(view.prefix)) {
            if let Some(route) = self.best_of(now, view).filter(|route| of_protocol(watch, route)) {
                watcher.pending.swap_remove(&view.prefix);
                watcher.told.insert(view.prefix, route.protocol);
                batch.push(event(v1::RouteEventKind::Updated, Some(route)));
            }
        }
        watcher.snapshot = if page.next.is_some() {
            Snapshot::After(page.next)
        } else {
            batch.push(event(v1::RouteEventKind::SnapshotEnd, None));
            Snapshot::Done
        };
        batch
    }

    fn changes_of(&self, now: Instant, watcher: &mut Watcher) -> Vec<v1::RouteEvent> {
        let mut batch = Vec::new();
        while batch.len() < PAGE
            && let Some(prefix) = watcher.pending.pop()
        {
            let view = self.table.route(prefix);
            let route = view.as_ref().and_then(|view| self.best_of(now, view));
            if let Some(route) = route.filter(|route| of_protocol(&watcher.watch, route)) {
                watcher.told.insert(prefix, route.protocol);
                batch.push(event(v1::RouteEventKind::Updated, Some(route)));
            } else if let Some(protocol) = watcher.told.swap_remove(&prefix) {
                let route = v1::Route { prefix: prefix.to_string(), protocol, ..v1::Route::default() };
                batch.push(event(v1::RouteEventKind::Removed, Some(route)));
            }
        }
        batch
    }
}

fn of_protocol(watch: &Watch, route: &v1::Route) -> bool {
    watch.protocol.is_none_or(|protocol| super::view::protocol(protocol) as i32 == route.protocol)
}

fn event(kind: v1::RouteEventKind, route: Option<v1::Route>) -> v1::RouteEvent {
    v1::RouteEvent { kind: kind as i32, route }
}
