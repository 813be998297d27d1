//! Routes that wait to be told again: while a peer restarts (RFC 4724 §4.2),
//! when it is long gone (RFC 9494 §4.2), while it tells them anew (RFC 7313 §4).
//!
//! ```text
//!  session lost ──► Restart ──time is over──► LongLived ──time is over──► gone
//!                      └──── peer is back, End-of-RIB ────┘ ──► what was not told goes
//!  begin of refresh ──► Refresh ──end of refresh, or too long──► what was not told goes
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bgp::conn::Up;
use bgp::peer::Graceful;
use net::Family;
use rib::PeerId;
use tracing::{debug, info, warn};

use super::TableTask;

/// How long the routes of a peer that is back may wait for its End-of-RIB, or
/// for the end of a refresh; FRR's default of its stale path timer.
const STALE_PATH: Duration = Duration::from_secs(360);

/// Why routes wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The peer restarts; afterwards its routes are kept for that long.
    Restart(Duration),
    /// The peer is long gone.
    LongLived,
    /// The peer tells them anew.
    Refresh,
}

#[derive(Clone, Copy, Debug)]
struct Stale {
    until: Instant,
    phase: Phase,
}

/// The families of peers with routes that wait.
#[derive(Debug, Default)]
pub(super) struct Stales(BTreeMap<(PeerId, Family), Stale>);

impl Stales {
    /// When the first of them has waited too long.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.values().map(|stale| stale.until).min()
    }

    /// A peer is gone for good.
    pub(super) fn forget(&mut self, id: PeerId) {
        self.0.retain(|(other, _), _| *other != id);
    }

    /// The routes of a family of a peer are gone.
    pub(super) fn forget_family(&mut self, id: PeerId, family: Family) {
        self.0.remove(&(id, family));
    }

    /// True while routes of a peer wait.
    pub(super) fn any_of(&self, id: PeerId) -> bool {
        self.0.keys().any(|(other, _)| *other == id)
    }

    fn set(&mut self, key: (PeerId, Family), until: Instant, phase: Phase) {
        self.0.insert(key, Stale { until, phase });
    }

    fn due(&self, now: Instant) -> Vec<((PeerId, Family), Phase)> {
        let due = self.0.iter().filter(|(_, stale)| stale.until <= now);
        due.map(|(key, stale)| (*key, stale.phase)).collect()
    }
}

impl TableTask {
    /// A session has ended; `graceful` says what of its routes may be kept.
    pub(super) fn keep_stale(&mut self, now: Instant, id: PeerId, graceful: &Graceful) {
        for family in Family::ALL {
            let key = (id, family);
            let long_lived = graceful.long_lived.iter().find(|(other, _)| *other == family);
            let long_lived = long_lived.map_or(Duration::ZERO, |(_, time)| *time);
            let before = self.sessions.stale.0.get(&key).copied();
            let long_gone = before.filter(|stale| stale.phase == Phase::LongLived && !long_lived.is_zero());
            if before.is_some_and(|stale| stale.phase != Phase::Refresh) && long_gone.is_none() {
                // What was stale already goes at the second loss in a row (RFC 4724 §4.2).
                self.table.sweep_stale(id, family);
            }
            self.table.mark_stale(id, family);
            if let Some(stale) = long_gone {
                // RFC 9494 §4.2: the time is not begun anew before End-of-RIB.
                self.keep_long_lived(id, family, stale.until);
            } else if graceful.families.contains(&family) {
                let until = now + graceful.restart_time;
                self.sessions.stale.set(key, until, Phase::Restart(long_lived));
            } else if long_lived.is_zero() {
                self.sessions.stale.0.remove(&key);
                self.table.sweep_stale(id, family);
            } else {
                self.keep_long_lived(id, family, now + long_lived);
            }
        }
        let (seconds, peer) = (graceful.restart_time.as_secs(), self.peer_name(id));
        info!(%peer, seconds, "routes kept while the peer restarts");
    }

    fn keep_long_lived(&mut self, id: PeerId, family: Family, until: Instant) {
        let (kept, gone) = self.table.keep_long_lived(id, family);
        self.sessions.stale.set((id, family), until, Phase::LongLived);
        let peer = self.peer_name(id);
        info!(%peer, %family, kept, gone, "routes kept as long-lived stale: any other is preferred");
    }

    /// The peer is back. What it did not keep over its restart, it has to tell
    /// anew (RFC 4724 §4.2, RFC 9494 §4.2).
    pub(super) fn stale_peer_up(&mut self, now: Instant, id: PeerId, up: &Up) {
        for family in Family::ALL {
            let Some(stale) = self.sessions.stale.0.get_mut(&(id, family)) else { continue };
            let kept = up.families.contains(&family)
                && match stale.phase {
                    Phase::LongLived => up.long_lived_preserved.contains(&family),
                    Phase::Restart(_) | Phase::Refresh => forwarding(up, family),
                };
            if !kept {
                self.sessions.stale.0.remove(&(id, family));
                self.table.sweep_stale(id, family);
            } else if stale.phase != Phase::LongLived {
                *stale = Stale { until: now + STALE_PATH, phase: Phase::Restart(Duration::ZERO) };
            }
        }
    }

    /// What has waited too long goes, or is kept for long.
    pub(super) fn stale_expired(&mut self, now: Instant) {
        for ((id, family), phase) in self.sessions.stale.due(now) {
            match phase {
                Phase::Restart(time) if !time.is_zero() => self.keep_long_lived(id, family, now + time),
                Phase::Restart(_) | Phase::LongLived | Phase::Refresh => {
                    self.sessions.unstale(id, family);
                    let routes = self.table.sweep_stale(id, family);
                    let peer = self.peer_name(id);
                    if phase == Phase::Refresh {
                        warn!(%peer, %family, routes, "peer did not end its refresh; what it has not told again goes");
                    } else {
                        warn!(%peer, %family, routes, "peer did not come back in time; its routes go");
                    }
                }
            }
        }
    }

    /// The peer has told all its routes (RFC 4724 §4.2).
    pub(super) fn stale_end_of_rib(&mut self, id: PeerId, family: Family) {
        let key = (id, family);
        if self.sessions.stale.0.get(&key).is_some_and(|stale| stale.phase != Phase::Refresh) {
            self.sessions.stale.0.remove(&key);
            let swept = self.table.sweep_stale(id, family);
            info!(peer = %self.peer_name(id), %family, swept, "peer is back and has told its routes");
        }
    }

    /// The peer begins to tell its routes anew (RFC 7313 §4). Before its
    /// End-of-RIB that says nothing: it has yet to tell them once.
    pub(super) fn refresh_begin(&mut self, now: Instant, id: PeerId, family: Family) {
        let key = (id, family);
        if self.sessions.stale.0.get(&key).is_some_and(|stale| stale.phase != Phase::Refresh) {
            debug!(peer = %self.peer_name(id), %family, "begin of a refresh before End-of-RIB ignored");
            return;
        }
        self.table.mark_stale(id, family);
        self.sessions.stale.set(key, now + STALE_PATH, Phase::Refresh);
    }

    /// The peer has told them; without a begin that says nothing (RFC 7313 §4).
    pub(super) fn refresh_end(&mut self, id: PeerId, family: Family) {
        let key = (id, family);
        if self.sessions.stale.0.get(&key).is_some_and(|stale| stale.phase == Phase::Refresh) {
            self.sessions.stale.0.remove(&key);
            let swept = self.table.sweep_stale(id, family);
            info!(peer = %self.peer_name(id), %family, swept, "peer has told its routes again");
        }
    }
}

impl super::session::Sessions {
    /// The routes of a family of a peer wait no more.
    fn unstale(&mut self, id: PeerId, family: Family) {
        self.stale.0.remove(&(id, family));
        self.forget_if_gone(id);
    }
}

/// True when the peer says that it forwarded on for this family while it
/// restarted: only then do its old routes lead anywhere.
fn forwarding(up: &Up, family: Family) -> bool {
    let restart = up.graceful_restart.as_ref();
    restart.is_some_and(|restart| restart.families.contains(&(family.afi(), family.safi(), true)))
}
