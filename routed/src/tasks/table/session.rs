//! Peers as the table sees them: up, kept through a restart, or gone.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::conn::Up;
use bgp::peer::{Down, Why};
use bgp::wire::{Capability, Treatment, Update};
use net::Family;
use rib::filter::{self, Filter};
use rib::peer::LocalEnd;
use rib::{Carries, NextHopMode, Paths, PeerId, PeerInfo, SendCommunities};
use rustc_hash::FxHashSet;
use tokio::sync::mpsc;
use tracing::warn;

use super::limit::Limit;
use super::stale::Stales;
use super::{ByPeer, SessionUp, TableTask};
use crate::config::{self, Config, PeerKey};
use crate::tasks::PeerCommand;

struct Session {
    /// To end the session when the peer sends too much.
    control: mpsc::Sender<PeerCommand>,
    /// How many prefixes it may send.
    limit: Limit,
    /// Families whose End-of-RIB has not come.
    silent: Vec<Family>,
    /// Families that a malformed message has disabled, and what was wrong.
    disabled: Vec<(Family, &'static str)>,
    changes: Changes,
}

/// How many prefixes stood in the UPDATEs of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Announced.
    pub(crate) announced: u64,
    /// Withdrawn, or treated so (RFC 7606).
    pub(crate) withdrawn: u64,
    /// UPDATEs that were treated as withdraw.
    pub(crate) treated: u64,
    /// Prefixes in these.
    pub(crate) treated_prefixes: u64,
    /// UPDATEs of which every prefix said what was there already.
    pub(crate) duplicates: u64,
}

impl Changes {
    /// An UPDATE has come, and so many of its prefixes changed nothing.
    fn count(&mut self, update: &Update, idle: u64) {
        let withdrawn = update.unreach.iter().map(|(_, nlri)| nlri.len() as u64).sum::<u64>();
        let announced = update.reach.iter().map(|reach| reach.nlri.len() as u64).sum::<u64>();
        self.announced += announced;
        self.withdrawn += withdrawn;
        self.duplicates += u64::from(idle > 0 && idle == announced + withdrawn);
        if update.faults.iter().any(|fault| fault.treatment == Treatment::TreatAsWithdraw) {
            self.treated += 1;
            self.treated_prefixes += withdrawn;
        }
    }
}

/// Sessions, and what is remembered of those that are no more.
pub(super) struct Sessions {
    up: ByPeer<Session>,
    names: ByPeer<(PeerKey, String)>,
    /// What waits to be told again.
    pub(super) stale: Stales,
    /// Peers without a session whose last stale routes have gone.
    forgotten: Vec<PeerId>,
    /// Peers that have told everything since the start.
    spoken: FxHashSet<PeerId>,
    expected: usize,
    /// When routes of an earlier run that nobody confirmed go; `None`: they went.
    sweep: Option<Instant>,
}

impl Sessions {
    /// The limit of a peer whose session is up, and the way to end the session.
    pub(super) fn limit(&mut self, id: PeerId) -> Option<(&mut Limit, &mpsc::Sender<PeerCommand>)> {
        self.up.get_mut(&id).map(|session| (&mut session.limit, &session.control))
    }

    /// How many prefixes of a peer were not taken, for its limit.
    pub(super) fn discarded(&self, id: PeerId) -> u64 {
        self.up.get(&id).map_or(0, |session| session.limit.discarded)
    }

    /// Routes of an earlier run are kept until `expected` peers have spoken,
    /// or `deferral` has passed (RFC 4724 §4.1, the selection deferral timer).
    pub(super) fn new(now: Instant, expected: usize, deferral: Duration) -> Self {
        let deferral = if expected == 0 { Duration::ZERO } else { deferral };
        Self {
            up: ByPeer::default(),
            names: ByPeer::default(),
            stale: Stales::default(),
            forgotten: Vec::new(),
            spoken: FxHashSet::default(),
            expected,
            sweep: Some(now + deferral),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.stale.next_deadline().into_iter().chain(self.sweep).min()
    }

    /// Peers that are without a session and without routes; the table forgets them.
    pub(super) fn forgotten(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.forgotten)
    }

    /// True once: when routes of an earlier run are to go.
    pub(super) fn sweep_due(&mut self, now: Instant) -> bool {
        let due = self.sweep.is_some_and(|at| at <= now);
        if due {
            self.sweep = None;
        }
        due
    }

    /// Which peer it is, also after its session has ended.
    pub(super) fn key_of(&self, id: PeerId) -> Option<PeerKey> {
        self.names.get(&id).map(|(key, _)| key.clone())
    }

    /// What people call a peer, also after its session has ended.
    pub(super) fn name_of(&self, id: PeerId) -> Option<&str> {
        self.names.get(&id).map(|(_, name)| name.as_str())
    }

    /// The number of a peer. Of one that another has taken the place of, the last.
    pub(super) fn id_of(&self, peer: &PeerKey) -> Option<PeerId> {
        self.names.iter().filter(|(_, (key, _))| peer.means(key)).map(|(id, _)| *id).max()
    }

    /// The families that sessions have lost, and what was wrong.
    pub(super) fn disabled(&self) -> impl Iterator<Item = (&str, Family, &'static str)> + '_ {
        let name = |id| self.name_of(id).map(|name| (id, name));
        self.up.keys().copied().filter_map(name).flat_map(|(id, name)| {
            self.up[&id].disabled.iter().map(move |(family, what)| (name, *family, *what))
        })
    }

    /// What the UPDATEs of a session had in them.
    pub(super) fn changes(&self, id: PeerId) -> Changes {
        self.up.get(&id).map_or_else(Changes::default, |session| session.changes)
    }

    /// True when the peer has told all its routes of a family.
    pub(super) fn has_ended(&self, id: PeerId, family: Family) -> bool {
        self.up.get(&id).is_some_and(|session| !session.silent.contains(&family))
    }

    /// Every peer that has had a session.
    pub(super) fn ids(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.names.keys().copied()
    }

    /// The table forgets a peer that has neither a session nor routes that wait.
    pub(super) fn forget_if_gone(&mut self, id: PeerId) {
        if !self.stale.any_of(id) && !self.up.contains_key(&id) {
            self.forgotten.push(id);
        }
    }

    fn spoke(&mut self, now: Instant, id: PeerId) {
        self.spoken.insert(id);
        if self.spoken.len() >= self.expected && self.sweep.is_some() {
            self.sweep = Some(now);
        }
    }
}

impl TableTask {
    pub(super) fn peer_up(&mut self, now: Instant, session: SessionUp) {
        let SessionUp { id, config, up, slot, control } = session;
        let info = self.peer_info(id, &config, &up);
        self.sessions.names.insert(id, (config.key(), config.name()));
        self.monitors.peer_up(id, config.address, &up);
        if info.paths.iter().any(|paths| paths.several()) {
            // What is beside the best must be known before it is told.
            self.table.tell_several(true);
            self.settle();
        }
        self.table.peer_up(info.clone());
        self.office.open(id, slot);
        self.adj_out.peer_up(&self.table, &info, super::post::format(&up));
        self.stale_peer_up(now, id, &up);
        let (limit, silent) = (Limit::new(config.max_prefixes), up.families.clone());
        let (disabled, changes) = (Vec::new(), Changes::default());
        self.sessions.up.insert(id, Session { control, limit, silent, disabled, changes });
    }

    fn peer_info(&self, id: PeerId, config: &config::Peer, up: &Up) -> PeerInfo {
        let local = up.endpoints.local.ip().to_canonical();
        let ifindex = match up.endpoints.remote {
            std::net::SocketAddr::V6(remote) if remote.scope_id() != 0 => Some(remote.scope_id()),
            _ => self.links.connected(config.address),
        };
        PeerInfo {
            id,
            address: config.address,
            local: self.local_end(local, ifindex),
            ifindex,
            asn: up.peer_as,
            local_asn: up.local_as,
            router_id: up.router_id,
            route_reflector_client: config.route_reflector_client,
            allow_own_asn: config.allow_own_asn,
            as_override: config.as_override,
            send_communities: send_communities(config.send_communities),
            role: up.role,
            carries: Carries {
                confederation: up.confederation,
                aigp: config.offers.aigp.unwrap_or(up.internal),
                long_lived: speaks_long_lived(up),
                extended_next_hop: up.extended_next_hop,
            },
            next_hop: next_hop(config.next_hop),
            families: up.families.clone(),
            paths: Family::ALL.map(|family| paths(up.add_path_send.contains(&family), config)),
            import: filter_named(&self.config, &config.import),
            export: export_named(&self.config, &config.export),
            graceful_shutdown: self.marks(),
            advertisement_interval: config.advertisement_interval,
        }
    }

    /// Our addresses on a session: that of the session, and of each family
    /// one more on the same link, so that both families can be told over one.
    fn local_end(&self, local: IpAddr, ifindex: Option<u32>) -> LocalEnd {
        let mut end = LocalEnd::of(local);
        for address in ifindex.into_iter().flat_map(|index| self.links.own_addresses(index)) {
            let other = LocalEnd::of(address);
            end.v4 = end.v4.or(other.v4);
            end.v6 = end.v6.or(other.v6);
            end.link_local = end.link_local.or(other.link_local);
        }
        end
    }

    pub(super) fn peer_down(&mut self, now: Instant, id: PeerId, down: Down) {
        self.monitors.peer_down(id, &down.why);
        self.sessions.up.remove(&id);
        self.office.close(id);
        self.adj_out.peer_down(id);
        match down.graceful {
            Some(graceful) => self.keep_stale(now, id, &graceful),
            None => self.forget(id),
        }
    }

    fn forget(&mut self, id: PeerId) {
        self.sessions.stale.forget(id);
        let others =
            |other: PeerId| Family::ALL.iter().any(|family| self.table.counts(other, *family).received > 0);
        let alone = self.rip.is_none() && !self.sessions.ids().any(|other| other != id && others(other));
        // What was said of its routes until now goes before.
        self.settle();
        self.fib.peer_ends(id, alone);
        self.table.peer_down(id);
    }

    pub(super) fn peer_removed(&mut self, id: PeerId) {
        self.monitors.peer_down(id, &Why::NotStarted);
        self.sessions.up.remove(&id);
        self.office.close(id);
        self.adj_out.peer_down(id);
        self.forget(id);
        if !self.adj_out.tells_several() {
            self.table.tell_several(false);
        }
        self.sessions.names.remove(&id);
        self.local.forget_peer(id);
    }

    pub(super) fn update(&mut self, now: Instant, id: PeerId, update: &Update) {
        let pair = |nlri: &bgp::wire::Nlri| (nlri.prefix, nlri.path_id);
        let of_no_effect = |tally: rib::Tally| tally.duplicates + tally.unknown;
        let before = of_no_effect(self.table.tally(id));
        for (_, unreach) in &update.unreach {
            // A batch of a session that has ended is of no interest any more.
            let _ = self.table.withdraw(id, unreach.iter().map(pair));
        }
        for reach in &update.reach {
            let taken = self.within_limit(id, reach.family, reach.nlri.iter().map(pair).collect());
            let _ = self.table.update(now, id, taken, &reach.attrs);
        }
        let idle = of_no_effect(self.table.tally(id)).saturating_sub(before);
        if let Some(Session { changes, .. }) = self.sessions.up.get_mut(&id) {
            changes.count(update, idle);
        }
        self.check_limit(id);
    }

    /// The routes of a family are in doubt: all go, and none comes any more
    /// (RFC 4760 §7). The peer is waited for no longer.
    pub(super) fn family_disabled(&mut self, id: PeerId, family: Family, what: &'static str) {
        let Some(session) = self.sessions.up.get_mut(&id) else { return };
        session.disabled.push((family, what));
        self.sessions.stale.forget_family(id, family);
        self.table.mark_stale(id, family);
        let gone = self.table.sweep_stale(id, family);
        warn!(peer = %self.peer_name(id), %family, what, gone, "family disabled until the session is reset");
        self.end_of_rib(id, family);
    }

    pub(super) fn end_of_rib(&mut self, id: PeerId, family: Family) {
        self.stale_end_of_rib(id, family);
        if let Some(session) = self.sessions.up.get_mut(&id) {
            session.silent.retain(|other| *other != family);
            if session.silent.is_empty() {
                self.sessions.spoke(Instant::now(), id);
            }
        }
    }

    /// Other filters and limits for a peer whose session stays, or filters of
    /// the same name that mean something else. What it told is imported anew
    /// from what was kept, and it is told what changes for it.
    pub(super) fn configure_peer(&mut self, id: PeerId, peer: &config::Peer) {
        let Some(info) = self.table.peer(id).cloned() else { return };
        if let Some(session) = self.sessions.up.get_mut(&id) {
            session.limit.set(peer.max_prefixes);
        }
        let info = PeerInfo {
            import: filter_named(&self.config, &peer.import),
            export: export_named(&self.config, &peer.export),
            as_override: peer.as_override,
            send_communities: send_communities(peer.send_communities),
            next_hop: next_hop(peer.next_hop),
            paths: info.paths.map(|paths| self::paths(paths.several(), peer)),
            ..info
        };
        self.table.peer_up(info.clone());
        self.adj_out.peer_changed(&self.table, &info);
        self.monitors.told_anew(id);
        self.check_limit(id);
    }

    /// True when what peers hear is marked: this node is being drained, or the
    /// configuration says so (RFC 8326).
    fn marks(&self) -> bool {
        self.draining.on || self.config.bgp.as_ref().is_some_and(|bgp| bgp.graceful_shutdown)
    }

    /// Tells every peer what it hears marked, or unmarked again.
    pub(super) fn mark_peers(&mut self) {
        // What changed before belongs to the groups as they were.
        self.settle();
        for id in self.sessions.up.keys() {
            let Some(info) = self.table.peer(*id).cloned() else { continue };
            let info = PeerInfo { graceful_shutdown: self.marks(), ..info };
            self.table.peer_up(info.clone());
            self.adj_out.peer_changed(&self.table, &info);
            self.monitors.told_anew(*id);
        }
    }

    pub(super) fn peer_name(&self, id: PeerId) -> String {
        self.sessions.name_of(id).map_or_else(|| format!("number {}", id.0), str::to_owned)
    }
}

/// True when the peer knows what long-lived stale routes are (RFC 9494 §4.3).
fn speaks_long_lived(up: &Up) -> bool {
    up.received.iter().any(|capability| matches!(capability, Capability::LongLivedGracefulRestart(_)))
}

fn send_communities(sent: config::SendCommunities) -> SendCommunities {
    let config::SendCommunities { standard, extended, large } = sent;
    SendCommunities { standard, extended, large }
}

/// How many paths to a prefix a peer is told; `several`: where that was agreed on.
fn paths(several: bool, config: &config::Peer) -> Paths {
    match config.offers.add_path_send {
        _ if !several => Paths::Best,
        None | Some(config::PathLimit::All) => Paths::All,
        Some(config::PathLimit::First(limit)) => Paths::First(limit),
    }
}

fn next_hop(mode: config::NextHopMode) -> NextHopMode {
    match mode {
        config::NextHopMode::Auto => NextHopMode::Auto,
        config::NextHopMode::Own => NextHopMode::Myself,
        config::NextHopMode::Keep => NextHopMode::Keep,
    }
}

/// The same for what is told: what aggregates stand for is not.
pub(super) fn export_named(config: &Config, name: &str) -> Arc<Filter> {
    super::aggregate::summarised(config, filter_named(config, name))
}

/// The filter of this name: a configured one, or a built-in one. The
/// configuration has made sure that there is one.
pub(crate) fn filter_named(config: &Config, name: &str) -> Arc<Filter> {
    if let Some(found) = config.filters.iter().find(|found| &*found.filter.name == name) {
        return Arc::clone(&found.filter);
    }
    Arc::new(match name {
        filter::CLUSTER_ONLY => filter::cluster_only(&config.cluster.pools),
        filter::LOCAL_ONLY => filter::local_only(),
        "accept-all" => filter::accept_all(),
        _ => filter::reject_all(),
    })
}
