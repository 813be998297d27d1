//! What the API asks of the table.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use api::v1;
use bytes::BytesMut;
use kernel::Nexthops;
use net::{Attrs, Prefix};
use rib::{Origination, PeerId, Protocol};
use tokio::sync::{mpsc, oneshot};
use tracing::info;

use super::dump::Dump;
use super::local::own_via;
use super::monitors::{Monitor, Statistics};
use super::session::Changes;
use super::watchers::Watch;
use super::{TableInput, TableTask};
use crate::config::PeerKey;

/// How many prefixes a page of an answer has.
pub(crate) const PAGE: usize = 256;

/// A question or an order.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A page of routes.
    Routes(RoutesQuery, oneshot::Sender<RoutesPage>),
    /// The route that packets to an address take.
    Lookup(IpAddr, oneshot::Sender<Option<v1::Route>>),
    /// Originate a prefix.
    Announce(Prefix, Box<Attrs>, oneshot::Sender<v1::Outcome>),
    /// End that; answers whether it was announced.
    Withdraw(Prefix, oneshot::Sender<bool>),
    /// Show sessions and routes to a collector.
    Monitor(Monitor),
    /// Numbers for a collector that is shown these.
    Statistics(Vec<monitor::bmp::Rib>, oneshot::Sender<Vec<Statistics>>),
    /// The next part of an MRT file, and where it goes on.
    Dump(Box<Dump>, oneshot::Sender<(Box<Dump>, BytesMut)>),
    /// Follow the best routes.
    Watch(Watch),
    /// How many prefixes each peer told and was told.
    PeerCounts(oneshot::Sender<HashMap<PeerId, PeerCounts>>),
    /// Which peers hear the same octets as a peer.
    Together(PeerId, oneshot::Sender<Option<v1::UpdateGroup>>),
    /// The table as a whole.
    Overview(oneshot::Sender<Overview>, oneshot::Sender<kernel::Fib>),
}

/// Which routes are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoutesQuery {
    /// Which paths of a prefix.
    pub(crate) view: v1::RouteView,
    /// Only this prefix; with `longer`, the more specific ones too.
    pub(crate) prefix: Option<Prefix>,
    /// With `prefix`: the more specific ones too.
    pub(crate) longer: bool,
    /// Only of this family.
    pub(crate) family: Option<net::Family>,
    /// Only of this protocol.
    pub(crate) protocol: Option<Protocol>,
    /// Only of, or to, this peer.
    pub(crate) peer: Option<PeerKey>,
    /// The page begins after this prefix.
    pub(crate) after: Option<Prefix>,
}

/// A page of routes.
#[derive(Debug, Default)]
pub(crate) struct RoutesPage {
    /// The routes.
    pub(crate) routes: Vec<v1::Route>,
    /// Where the next page begins; `None` at the end.
    pub(crate) next: Option<Prefix>,
}

/// How many prefixes a peer told and was told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerCounts {
    /// In its Adj-RIB-In.
    pub(crate) received: u64,
    /// Of these, what import accepted.
    pub(crate) accepted: u64,
    /// Of these, what is the best route of its prefix.
    pub(crate) best: u64,
    /// In its Adj-RIB-Out.
    pub(crate) advertised: u64,
    /// Refused by its import filter.
    pub(crate) filtered: u64,
    /// Refused by rule before any filter.
    pub(crate) rejected: u64,
    /// Not taken at all, beyond `max_prefixes`.
    pub(crate) discarded: u64,
    /// The same by family, in the order of [`net::Family::ALL`].
    pub(crate) families: [FamilyCounts; net::Family::ALL.len()],
    /// What became of them as they came.
    pub(crate) tally: rib::Tally,
    /// Prefixes in its UPDATEs, since the session is up.
    pub(crate) changes: Changes,
    /// Our addresses that it may be told as next hops.
    pub(crate) local: rib::peer::LocalEnd,
}

/// What a peer has told of one family.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FamilyCounts {
    /// How many prefixes.
    pub(crate) counts: rib::Counts,
    /// How many of them are the best routes of their prefixes.
    pub(crate) best: u64,
    /// How many it is told.
    pub(crate) advertised: u64,
    /// Its End-of-RIB has come (RFC 4724 §2).
    pub(crate) ended: bool,
    /// It has been told ours.
    pub(crate) ended_to_it: bool,
}

/// The table as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overview {
    /// Prefixes with a usable path.
    pub(crate) prefixes: u64,
    /// Paths by protocol.
    pub(crate) paths: Vec<(Protocol, u64)>,
    /// Routes of ours in the kernel.
    pub(crate) installed: u64,
    /// Routes on their way there.
    pub(crate) pending: u64,
    /// Whether they point at nexthop objects.
    pub(crate) nexthops: Nexthops,
    /// How many of these there are.
    pub(crate) objects: u64,
    /// What is wrong.
    pub(crate) alarms: Vec<v1::Alarm>,
}

impl Overview {
    /// How many paths a protocol has.
    pub(crate) fn paths_of(&self, protocol: Protocol) -> u64 {
        self.paths.iter().find(|(other, _)| *other == protocol).map_or(0, |(_, count)| *count)
    }
}

/// A way to ask the table.
#[derive(Clone, Debug)]
pub(crate) struct TableHandle(mpsc::Sender<TableInput>);

impl TableHandle {
    pub(super) fn new(inputs: mpsc::Sender<TableInput>) -> Self {
        Self(inputs)
    }

    /// Asks; `None` when the daemon stops.
    pub(crate) async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.0.send(TableInput::Ask(ask(reply))).await.ok()?;
        answer.await.ok()
    }

    /// Begins to watch; false when the daemon stops.
    pub(crate) async fn watch(&self, watch: Watch) -> bool {
        self.0.send(TableInput::Ask(Ask::Watch(watch))).await.is_ok()
    }

    /// Begins to show sessions and routes to a collector; false when the
    /// daemon stops.
    pub(crate) async fn monitor(&self, monitor: Monitor) -> bool {
        self.0.send(TableInput::Ask(Ask::Monitor(monitor))).await.is_ok()
    }

    /// How many prefixes each peer told and was told.
    pub(crate) async fn peer_counts(&self) -> Option<HashMap<PeerId, PeerCounts>> {
        self.ask(Ask::PeerCounts).await
    }

    /// The table as a whole.
    pub(crate) async fn overview(&self) -> Option<Overview> {
        let (fib_reply, fib) = oneshot::channel();
        let mut overview = self.ask(|reply| Ask::Overview(reply, fib_reply)).await?;
        let stats = fib.await.ok()?.stats().await.ok()?;
        overview.installed = stats.installed as u64;
        overview.pending = stats.pending as u64;
        overview.nexthops = stats.nexthops;
        overview.objects = stats.objects as u64;
        Some(overview)
    }
}

impl TableTask {
    pub(super) fn ask(&mut self, now: Instant, ask: Ask) {
        // Whoever asked may have gone; then nobody misses the answer.
        match ask {
            Ask::Routes(query, reply) => {
                self.settle();
                let _ = reply.send(self.routes(now, &query));
            }
            Ask::Lookup(address, reply) => {
                self.settle();
                let found = self.table.lookup(address);
                let _ = reply.send(found.and_then(|view| self.best_of(now, &view)));
            }
            Ask::Announce(prefix, attrs, reply) => {
                let outcome = self.announce(now, prefix, *attrs);
                let _ = reply.send(outcome);
            }
            Ask::Withdraw(prefix, reply) => {
                let known = self.local.announced.remove(&prefix).is_some();
                info!(%prefix, known, "announcement withdrawn over the API");
                self.follow_links(now);
                let _ = reply.send(known);
            }
            Ask::Watch(watch) => self.watch(watch),
            Ask::Dump(dump, reply) => {
                self.settle();
                let _ = reply.send(self.dump(now, dump));
            }
            Ask::Monitor(monitor) => self.monitor(monitor),
            Ask::Statistics(ribs, reply) => {
                self.settle();
                let _ = reply.send(self.monitor_statistics(&ribs));
            }
            Ask::PeerCounts(reply) => {
                self.settle();
                let ids: Vec<PeerId> = self.sessions.ids().collect();
                let counts = ids.into_iter().map(|id| (id, self.counts_of(id))).collect();
                let _ = reply.send(counts);
            }
            Ask::Together(id, reply) => {
                let _ = reply.send(self.update_group(id));
            }
            Ask::Overview(reply, fib) => {
                self.settle();
                let _ = fib.send(self.fib.handle());
                let _ = reply.send(self.overview());
            }
        }
    }

    fn announce(&mut self, now: Instant, prefix: Prefix, attrs: Attrs) -> v1::Outcome {
        let via = own_via(prefix, &self.links);
        let origination = Origination { attrs, ..Origination::new(Protocol::Local, via) };
        let outcome = match self.local.announced.get(&prefix) {
            None => v1::Outcome::Created,
            Some(known) if known.attrs == origination.attrs => v1::Outcome::Unchanged,
            Some(_) => v1::Outcome::Changed,
        };
        info!(%prefix, "announced over the API");
        self.local.announced.insert(prefix, origination);
        self.follow_links(now);
        outcome
    }

    fn counts_of(&mut self, id: PeerId) -> PeerCounts {
        let told = self.adj_out.count(&self.table, id);
        let mut counts = PeerCounts {
            advertised: told.iter().sum::<usize>() as u64,
            discarded: self.sessions.discarded(id),
            changes: self.sessions.changes(id),
            tally: self.table.tally(id),
            local: self.table.peer(id).map_or_else(Default::default, |peer| peer.local),
            ..PeerCounts::default()
        };
        for family in net::Family::ALL {
            let of_family = self.table.counts(id, family);
            let ended = self.sessions.has_ended(id, family);
            let advertised = told[family.index()] as u64;
            let best = self.table.best_routes_of(id, family) as u64;
            let ended_to_it = self.adj_out.has_ended(id, family);
            counts.families[family.index()] =
                FamilyCounts { counts: of_family, best, advertised, ended, ended_to_it };
            counts.received += of_family.received as u64;
            counts.accepted += of_family.accepted as u64;
            counts.best += best;
            counts.filtered += of_family.filtered as u64;
        }
        counts.rejected = counts.received - counts.accepted - counts.filtered;
        counts
    }

    fn update_group(&self, id: PeerId) -> Option<v1::UpdateGroup> {
        let rib::Together { number, members, in_step } = self.adj_out.together(id)?;
        let members = members.into_iter().filter_map(|id| self.sessions.name_of(id));
        Some(v1::UpdateGroup { id: number, members: members.map(str::to_owned).collect(), in_step })
    }

    fn overview(&mut self) -> Overview {
        Overview {
            prefixes: self.table.told() as u64,
            paths: self.table.of_protocols().map(|(protocol, count)| (protocol, count as u64)).collect(),
            alarms: self.alarms(),
            ..Overview::default()
        }
    }

    fn alarms(&mut self) -> Vec<v1::Alarm> {
        let claimed = |prefix, peer: &PeerKey| {
            let id = self.sessions.id_of(peer);
            let told = |path: &rib::Path| id.is_some_and(|id| path.source == rib::Source::Peer(id));
            self.table.route(prefix).is_some_and(|view| view.candidates.iter().any(|seen| told(&seen.path)))
        };
        self.local.retain_conflicts(claimed);
        let mut alarms: Vec<v1::Alarm> = self
            .local
            .conflicts()
            .map(|(prefix, peer)| v1::Alarm {
                id: format!("prefix-conflict {prefix}"),
                severity: v1::Severity::Error as i32,
                text: format!("peer {peer} announces {prefix}, which belongs to this node"),
                hint: "give one of the two nodes another subnet; until then each uses its own".to_owned(),
            })
            .collect();
        alarms.extend(self.sessions.disabled().map(|(peer, family, what)| v1::Alarm {
            id: format!("family-disabled {peer} {family}"),
            severity: v1::Severity::Error as i32,
            text: format!("peer {peer} sent a malformed message: {what}; its {family} routes are ignored"),
            hint: format!(
                "`routectl peers {peer}` shows the message; \
                 `routectl peers reset {peer}` takes its {family} routes again"
            ),
        }));
        if self.fib.refused() > 0 {
            alarms.push(v1::Alarm {
                id: "routes-not-installed".to_owned(),
                severity: v1::Severity::Warning as i32,
                text: format!("the kernel does not have {} of the best routes", self.fib.refused()),
                hint: "`routectl routes` says why, route by route".to_owned(),
            });
        }
        alarms
    }
}
