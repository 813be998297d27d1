//! The view of BFD sessions.

use api::v1;
use serde::Serialize;

use super::{Cell, Column, Level, Row, Tone, time};

/// A session.
#[derive(Debug, Serialize)]
pub(crate) struct BfdSessionView {
    peer: String,
    interface: Option<String>,
    local_address: Option<String>,
    state: String,
    remote_state: Option<String>,
    protocols: Vec<String>,
    local_discriminator: u32,
    remote_discriminator: Option<u32>,
    tx_interval_us: u64,
    rx_interval_us: u64,
    detection_time_ms: Option<u64>,
    diagnostic: Option<String>,
    remote_diagnostic: Option<String>,
    uptime_seconds: Option<u64>,
    authenticated: bool,
    auth: Option<AuthView>,
    packets_received: u64,
    packets_sent: u64,
    packets_discarded: u64,
    discards: DiscardsView,
    last_discard: Option<String>,
    ups: u64,
    reason: Option<String>,
    remote_independent: bool,
    remote_demand: bool,
}

#[derive(Debug, Serialize)]
struct AuthView {
    mode: String,
    key_id: u32,
    remote_key_id: Option<u32>,
}

#[derive(Debug, Default, Serialize)]
struct DiscardsView {
    ttl: u64,
    malformed: u64,
    discriminator: u64,
    authentication: u64,
    replay: u64,
    admin_down: u64,
}

impl From<v1::BfdDiscards> for DiscardsView {
    fn from(discards: v1::BfdDiscards) -> Self {
        let v1::BfdDiscards { ttl, malformed, discriminator, authentication, replay, admin_down } = discards;
        Self { ttl, malformed, discriminator, authentication, replay, admin_down }
    }
}

impl From<v1::BfdSession> for BfdSessionView {
    fn from(session: v1::BfdSession) -> Self {
        let remote = session.remote_state();
        Self {
            state: session.state().to_string(),
            remote_state: (remote != v1::BfdState::Unspecified).then(|| remote.to_string()),
            protocols: session.protocols().map(|protocol| protocol.to_string()).collect(),
            peer: session.peer,
            interface: session.interface,
            local_address: session.local_address,
            local_discriminator: session.local_discriminator,
            remote_discriminator: session.remote_discriminator,
            tx_interval_us: session.tx_interval_us,
            rx_interval_us: session.rx_interval_us,
            detection_time_ms: session.detection_time_ms,
            diagnostic: session.diagnostic,
            remote_diagnostic: session.remote_diagnostic,
            uptime_seconds: session.uptime_seconds,
            authenticated: session.authenticated,
            auth: session.auth.map(|v1::BfdAuth { mode, key_id, remote_key_id }| AuthView {
                mode,
                key_id,
                remote_key_id,
            }),
            packets_received: session.packets_received,
            packets_sent: session.packets_sent,
            packets_discarded: session.packets_discarded,
            discards: session.discards.map(Into::into).unwrap_or_default(),
            last_discard: session.last_discard,
            ups: session.ups,
            reason: session.reason,
            remote_independent: session.remote_independent,
            remote_demand: session.remote_demand,
        }
    }
}

impl BfdSessionView {
    fn state_cell(&self) -> Cell {
        let tone = match self.state.as_str() {
            "Up" => Tone::Good,
            "Init" => Tone::Fair,
            _ => Tone::Bad,
        };
        Cell::new(&self.state).tone(tone)
    }

    /// One line for the sheet of a peer.
    pub(crate) fn line(&self) -> String {
        let up = self.uptime_seconds.map(|seconds| format!(" for {}", time::age(seconds)));
        let lost = self.detection_time_ms.filter(|_| up.is_some());
        let lost = lost.map(|detection| format!(", lost after {detection}ms of silence"));
        let auth = self.auth.as_ref().map(|auth| format!(", {} with key {}", auth.mode, auth.key_id));
        let why = self.why().map(|why| format!(": {why}"));
        [Some(self.state.clone()), up, lost, auth, why].into_iter().flatten().collect()
    }

    /// Why it is not up: that there is no session, or why it left Up.
    fn why(&self) -> Option<&String> {
        self.reason.as_ref().or(self.diagnostic.as_ref())
    }
}

/// 0: there is no session.
fn milliseconds(micros: u64) -> Cell {
    Cell::maybe((micros > 0).then(|| format!("{}ms", micros / 1000)))
}

impl Row for BfdSessionView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "PEER", |s| Cell::new(&s.peer)),
        Column::text(Level::Short, "INTERFACE", |s| Cell::maybe(s.interface.as_ref())),
        Column::text(Level::Short, "STATE", Self::state_cell),
        Column::number(Level::Short, "UPTIME", |s| Cell::maybe(s.uptime_seconds.map(time::age))),
        Column::text(Level::Short, "PROTOCOLS", |s| Cell::list(&s.protocols)),
        Column::number(Level::Short, "TX", |s| milliseconds(s.tx_interval_us)),
        Column::number(Level::Short, "RX", |s| milliseconds(s.rx_interval_us)),
        Column::number(Level::Short, "DETECTION", |s| {
            Cell::maybe(s.detection_time_ms.map(|time| format!("{time}ms")))
        }),
        Column::text(Level::Wide, "LOCAL_ADDRESS", |s| Cell::maybe(s.local_address.as_ref())),
        Column::number(Level::Wide, "LOCAL", |s| Cell::new(s.local_discriminator)),
        Column::number(Level::Wide, "REMOTE", |s| Cell::maybe(s.remote_discriminator)),
        Column::text(Level::Wide, "REMOTE_STATE", |s| Cell::maybe(s.remote_state.as_ref())),
        Column::text(Level::Wide, "AUTH", |s| {
            Cell::maybe(s.auth.as_ref().map(|auth| format!("{}/{}", auth.mode, auth.key_id)))
        }),
        Column::number(Level::Wide, "RECEIVED", |s| Cell::new(s.packets_received)),
        Column::number(Level::Wide, "SENT", |s| Cell::new(s.packets_sent)),
        Column::number(Level::Wide, "DISCARDED", |s| Cell::new(s.packets_discarded)),
        Column::number(Level::Wide, "UPS", |s| Cell::new(s.ups)),
        Column::text(Level::Wide, "LAST_DISCARD", |s| Cell::maybe(s.last_discard.as_ref())),
        Column::text(Level::Short, "DIAGNOSTIC", |s| Cell::maybe(s.why())),
    ];
}
