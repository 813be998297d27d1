//! Views of BGP peers.

mod group;
mod negotiated;
mod settings;
mod tcp;
mod traffic;
mod trouble;

use api::v1;
use serde::Serialize;

use self::negotiated::NegotiatedView;
use self::settings::SettingsView;
use self::traffic::TrafficView;
use self::trouble::{DisabledFamilyView, MalformedView, NotificationView};
use super::bfd::BfdSessionView;
use super::{Cell, Column, Level, Row, Sheet, Tone, time};

/// A peer in the list.
#[derive(Debug, Serialize)]
pub(crate) struct PeerView {
    address: String,
    asn: Option<u32>,
    local_asn: u32,
    router_id: Option<String>,
    state: String,
    uptime_seconds: Option<u64>,
    prefixes_received: u64,
    prefixes_accepted: u64,
    prefixes_advertised: u64,
    hold_time_seconds: Option<u32>,
    families: Vec<String>,
    capabilities: Vec<String>,
    last_error: Option<String>,
    description: Option<String>,
    disabled: bool,
    external: bool,
    dynamic: bool,
    local_address: Option<String>,
    state_seconds: Option<u64>,
    interface: Option<String>,
    prefixes_best: u64,
}

impl From<v1::Peer> for PeerView {
    fn from(peer: v1::Peer) -> Self {
        Self {
            state: peer.state().to_string(),
            families: words(peer.families()),
            address: peer.address,
            asn: peer.asn,
            local_asn: peer.local_asn,
            router_id: peer.router_id,
            uptime_seconds: peer.uptime_seconds,
            prefixes_received: peer.prefixes_received,
            prefixes_accepted: peer.prefixes_accepted,
            prefixes_advertised: peer.prefixes_advertised,
            hold_time_seconds: peer.hold_time_seconds,
            capabilities: peer.capabilities,
            last_error: peer.last_error,
            description: peer.description,
            disabled: peer.disabled,
            external: peer.external,
            dynamic: peer.dynamic,
            local_address: peer.local_address,
            state_seconds: peer.state_seconds,
            interface: peer.interface,
            prefixes_best: peer.prefixes_best,
        }
    }
}

fn words(families: impl Iterator<Item = v1::Family>) -> Vec<String> {
    families.map(|family| family.to_string()).collect()
}

impl PeerView {
    /// The number, or what it may be as long as nobody has told it.
    fn asn_cell(&self) -> Cell {
        self.asn.map_or_else(|| Cell::new("external").tone(Tone::Dim), Cell::new)
    }

    fn state_cell(&self) -> Cell {
        let tone = match (self.state.as_str(), self.disabled) {
            ("Established", _) => Tone::Good,
            (_, true) => Tone::Dim,
            ("Idle" | "Active" | "Connect", false) => Tone::Bad,
            _ => Tone::Fair,
        };
        Cell::new(&self.state).tone(tone)
    }
}

impl Row for PeerView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "PEER", |p| Cell::new(&p.address)),
        Column::number(Level::Short, "AS", Self::asn_cell),
        Column::text(Level::Short, "STATE", Self::state_cell),
        Column::number(Level::Short, "UPTIME", |p| Cell::maybe(p.uptime_seconds.map(time::age))),
        Column::number(Level::Short, "RECEIVED", |p| Cell::new(p.prefixes_received)),
        Column::number(Level::Short, "ACCEPTED", |p| Cell::new(p.prefixes_accepted)),
        Column::number(Level::Short, "ADVERTISED", |p| Cell::new(p.prefixes_advertised)),
        Column::number(Level::Wide, "BEST", |p| Cell::new(p.prefixes_best)),
        Column::text(Level::Wide, "ROUTER_ID", |p| Cell::maybe(p.router_id.as_ref())),
        Column::number(Level::Wide, "LOCAL_AS", |p| Cell::new(p.local_asn)),
        Column::number(Level::Wide, "HOLD", |p| Cell::maybe(p.hold_time_seconds)),
        Column::text(Level::Wide, "FAMILIES", |p| Cell::list(&p.families)),
        Column::text(Level::Short, "DESCRIPTION", |p| Cell::maybe(p.description.as_ref())),
        Column::text(Level::Wide, "LAST_ERROR", |p| Cell::maybe(p.last_error.as_ref())),
    ];
}

/// A peer with everything that is known of it.
#[derive(Debug, Serialize)]
pub(crate) struct PeerDetailView {
    #[serde(flatten)]
    peer: PeerView,
    timers: TimersView,
    negotiated: Option<NegotiatedView>,
    messages: MessagesView,
    malformed: MalformedView,
    disabled_families: Vec<DisabledFamilyView>,
    notification_sent: Option<NotificationView>,
    notification_received: Option<NotificationView>,
    filtered: u64,
    rejected: u64,
    established_count: u64,
    remote_port: Option<u32>,
    import_filter: Option<String>,
    export_filter: Option<String>,
    bfd: Option<BfdSessionView>,
    settings: Option<SettingsView>,
    discarded: u64,
    capabilities_sent: Vec<String>,
    hostname: Option<String>,
    software: Option<String>,
    #[serde(flatten)]
    traffic: TrafficView,
}

#[derive(Debug, Default, Serialize)]
struct TimersView {
    hold_time: u32,
    hold_due: Option<u32>,
    keepalive_due: Option<u32>,
    connect_retry_due: Option<u32>,
    idle_hold_due: Option<u32>,
    send_hold_due: Option<u32>,
}

#[derive(Debug, Serialize)]
struct MessagesView {
    received: CountsView,
    sent: CountsView,
}

#[derive(Debug, Default, Serialize)]
struct CountsView {
    open: u64,
    update: u64,
    notification: u64,
    keepalive: u64,
    route_refresh: u64,
    bytes: u64,
}

impl From<v1::PeerDetail> for PeerDetailView {
    fn from(mut detail: v1::PeerDetail) -> Self {
        Self {
            traffic: TrafficView::take(&mut detail),
            peer: detail.peer.unwrap_or_default().into(),
            timers: detail.timers.map(Into::into).unwrap_or_default(),
            negotiated: detail.negotiated.map(Into::into),
            messages: MessagesView {
                received: detail.messages_received.map(Into::into).unwrap_or_default(),
                sent: detail.messages_sent.map(Into::into).unwrap_or_default(),
            },
            malformed: detail.malformed.map(Into::into).unwrap_or_default(),
            disabled_families: detail.disabled_families.into_iter().map(Into::into).collect(),
            notification_sent: detail.notification_sent.map(Into::into),
            notification_received: detail.notification_received.map(Into::into),
            filtered: detail.filtered,
            rejected: detail.rejected,
            established_count: detail.established_count,
            remote_port: detail.remote_port,
            import_filter: detail.import_filter,
            export_filter: detail.export_filter,
            bfd: detail.bfd.map(Into::into),
            settings: detail.settings.map(Into::into),
            discarded: detail.discarded,
            capabilities_sent: detail.capabilities_sent,
            hostname: detail.hostname,
            software: detail.software,
        }
    }
}

impl From<v1::PeerTimers> for TimersView {
    fn from(timers: v1::PeerTimers) -> Self {
        Self {
            hold_time: timers.hold_time,
            hold_due: timers.hold_due,
            keepalive_due: timers.keepalive_due,
            connect_retry_due: timers.connect_retry_due,
            idle_hold_due: timers.idle_hold_due,
            send_hold_due: timers.send_hold_due,
        }
    }
}

impl From<v1::MessageCounts> for CountsView {
    fn from(counts: v1::MessageCounts) -> Self {
        Self {
            open: counts.open,
            update: counts.update,
            notification: counts.notification,
            keepalive: counts.keepalive,
            route_refresh: counts.route_refresh,
            bytes: counts.bytes,
        }
    }
}

impl Sheet for PeerDetailView {
    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let mut lines = self.session();
        lines.extend(self.traffic.ends());
        lines.extend(self.negotiated.iter().flat_map(NegotiatedView::lines));
        lines.extend(self.routes());
        lines.extend(self.traffic.lines());
        lines.extend(self.messages());
        lines.extend(self.settings.iter().flat_map(SettingsView::lines));
        lines
    }
}

impl PeerDetailView {
    fn session(&self) -> Vec<(&'static str, Cell)> {
        let peer = &self.peer;
        vec![
            ("peer", Cell::new(&peer.address)),
            ("description", Cell::maybe(peer.description.as_ref())),
            ("as", peer.asn_cell()),
            ("local as", Cell::new(peer.local_asn)),
            ("type", Cell::new(if peer.external { "external" } else { "internal" })),
            ("router id", Cell::maybe(peer.router_id.as_ref())),
            ("host name", Cell::maybe(self.hostname.as_ref())),
            ("software", Cell::maybe(self.software.as_ref())),
            ("state", peer.state_cell()),
            ("disabled", Cell::new(if peer.disabled { "yes" } else { "no" })),
            ("uptime", Cell::maybe(peer.uptime_seconds.map(time::age))),
            ("times established", Cell::new(self.established_count)),
            ("local address", Cell::maybe(peer.local_address.as_ref())),
            ("remote port", Cell::maybe(self.remote_port)),
            ("last error", self.traffic.last_error(peer.last_error.as_ref())),
            ("timers", Cell::new(self.timers.summary())),
            ("families", Cell::list(&peer.families)),
            ("capabilities", Cell::list(&peer.capabilities)),
            ("capabilities sent", Cell::list(&self.capabilities_sent)),
        ]
    }

    fn routes(&self) -> Vec<(&'static str, Cell)> {
        let (peer, notes) = (&self.peer, self.settings.as_ref());
        vec![
            (
                "prefixes",
                Cell::new(format_args!(
                    "{} received, {} accepted, {} best, {} filtered, {} rejected, {} discarded, {} advertised",
                    peer.prefixes_received,
                    peer.prefixes_accepted,
                    peer.prefixes_best,
                    self.filtered,
                    self.rejected,
                    self.discarded,
                    peer.prefixes_advertised
                )),
            ),
            ("bfd", Cell::maybe(self.bfd.as_ref().map(BfdSessionView::line))),
            (
                "import filter",
                filter(self.import_filter.as_ref(), notes.and_then(|n| n.import_note.as_ref())),
            ),
            (
                "export filter",
                filter(self.export_filter.as_ref(), notes.and_then(|n| n.export_note.as_ref())),
            ),
        ]
    }

    fn messages(&self) -> Vec<(&'static str, Cell)> {
        let (messages, malformed) = (&self.messages, &self.malformed);
        let lost: Vec<_> = self.disabled_families.iter().map(DisabledFamilyView::summary).collect();
        vec![
            ("messages received", Cell::new(messages.received.summary())),
            ("messages sent", Cell::new(messages.sent.summary())),
            ("malformed updates", Cell::new(malformed.counts())),
            ("last malformed", Cell::maybe(malformed.last())),
            ("families disabled", Cell::list(&lost)),
            (
                "notification sent",
                Cell::maybe(self.notification_sent.as_ref().map(NotificationView::summary)),
            ),
            (
                "notification received",
                Cell::maybe(self.notification_received.as_ref().map(NotificationView::summary)),
            ),
        ]
    }
}

/// A filter by name, with what it does where it is a built-in one.
fn filter(name: Option<&String>, note: Option<&String>) -> Cell {
    Cell::maybe(name.map(|name| match note {
        Some(note) => format!("{name} ({note})"),
        None => name.clone(),
    }))
}

impl TimersView {
    fn summary(&self) -> String {
        let due = [
            ("hold", self.hold_due),
            ("keepalive", self.keepalive_due),
            ("connect retry", self.connect_retry_due),
            ("idle hold", self.idle_hold_due),
            ("send hold", self.send_hold_due),
        ];
        let due = due.iter().filter_map(|(name, due)| due.map(|due| format!(", {name} due in {due}s")));
        std::iter::once(format!("hold time {}s configured", self.hold_time)).chain(due).collect()
    }
}

impl CountsView {
    fn summary(&self) -> String {
        format!(
            "{} open, {} update, {} notification, {} keepalive, {} route-refresh, {} bytes",
            self.open, self.update, self.notification, self.keepalive, self.route_refresh, self.bytes
        )
    }
}

/// What became of a peer.
#[derive(Debug, Serialize)]
pub(crate) struct PeerActionView {
    pub(crate) address: String,
    pub(crate) state: String,
}
