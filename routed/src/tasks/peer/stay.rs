//! How long a peer stays, and when one that was shut is tried again.

use std::time::Instant;

use bgp::peer::{Down, State, Why};
use tracing::{info, warn};

use super::{Event, PeerTask};
use crate::config::{self, PeerOrigin};
use crate::tasks::table::TableInput;

/// What a peer waits for beside its machine.
#[derive(Default)]
pub(super) struct Stay {
    /// Somebody has dialled in.
    pub(super) came: bool,
    /// Until when its routes are kept although it has gone (RFC 4724).
    kept: Option<Instant>,
    /// When the session that sent too many prefixes is tried again.
    restart: Option<Instant>,
}

impl PeerTask {
    /// What is due beside the deadlines of the machine.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let Stay { kept, restart, .. } = self.stay;
        [kept, restart, self.try_key_at()].into_iter().flatten().min()
    }

    pub(super) fn due(&mut self, now: Instant) {
        if self.stay.restart.is_some_and(|at| at <= now) {
            self.stay.restart = None;
            info!(peer = %self.config.name(), "peer that sent too many prefixes is tried again");
            self.handle(Event::Start);
        }
        if self.stay.kept.is_some_and(|at| at <= now) {
            self.stay.kept = None;
        }
        if self.try_key_at().is_some_and(|at| at <= now) {
            let key = self.keys.next(now);
            info!(peer = %self.config.name(), "peer is silent; the next TCP-MD5 key is tried on the session");
            self.rekey(key);
        }
    }

    /// The session is down.
    pub(super) fn went_down(&mut self, down: &Down) {
        let now = Instant::now();
        self.stay.kept = down.graceful.as_ref().map(|graceful| now + graceful.restart_time);
        let many = matches!(down.why, Why::Stopped(bgp::peer::Admin::MaxPrefixes { .. }));
        self.stay.restart = self.config.max_prefixes.restart.filter(|_| many).map(|wait| now + wait);
    }

    /// True when a peer that has dialled in from a range is no more: it has
    /// gone, its routes are not kept, and it is neither held back nor stopped.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.config.origin, PeerOrigin::Range(_))
            && self.stay.came
            && self.stay.kept.is_none()
            && self.conns.is_empty()
            && self.machine.state() == State::Active
    }

    /// True where there is nothing to lose: neither a session, nor one that
    /// begins, nor routes that are kept over a restart.
    pub(super) fn is_alone(&self) -> bool {
        self.session.is_none() && self.stay.kept.is_none() && self.conns.is_empty()
    }

    /// Another configuration; the session stays.
    pub(super) fn reconfigure(&mut self, config: Box<config::Peer>) {
        if self.config.passwords != config.passwords {
            let key = self.keys.replace(config.passwords.clone());
            self.rekey(key);
        }
        let shutdown = (self.config.shutdown != config.shutdown).then(|| config.shutdown.clone());
        self.config = config;
        if let Some(shutdown) = shutdown {
            self.handle(start(shutdown));
        }
        let config = self.config.clone();
        self.outbox.push(TableInput::PeerConfig { id: self.id, config });
    }

    fn try_key_at(&self) -> Option<Instant> {
        let session = self.session.as_ref()?;
        self.keys.try_at(self.machine.status().last_heard, session.up.hold_time)
    }

    /// Puts a key on the open connections.
    fn rekey(&self, key: Option<crate::config::Secret>) {
        let Some(key) = key else { return };
        for (_, conn) in &self.conns {
            if let Err(error) = conn.rekey(self.config.address, &key) {
                warn!(peer = %self.config.name(), %error, "TCP-MD5 key not changed on the open connection");
            }
        }
    }
}

/// The event that brings a peer to where its configuration wants it: running,
/// or shut down with a message (RFC 9003).
pub(super) fn start(shutdown: Option<String>) -> Event {
    match shutdown {
        None => Event::Start,
        Some(text) => Event::Stop(bgp::peer::Admin::Shutdown(Some(text).filter(|text| !text.is_empty()))),
    }
}

/// The sooner of two deadlines.
pub(super) fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
