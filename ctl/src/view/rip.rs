//! Views of RIP: interfaces and neighbours.

use api::v1;
use serde::Serialize;

use super::{Cell, Column, Level, Row, Tone, time};

/// All that is known of RIP.
#[derive(Debug, Serialize)]
pub(crate) struct RipView {
    pub(crate) interfaces: Vec<RipInterfaceView>,
    pub(crate) neighbors: Vec<RipNeighborView>,
}

/// One version of RIP on one interface.
#[derive(Debug, Serialize)]
pub(crate) struct RipInterfaceView {
    name: String,
    index: Option<u32>,
    version: String,
    up: bool,
    reason: Option<String>,
    passive: bool,
    addresses: Vec<String>,
    update_seconds: u32,
    timeout_seconds: u32,
    garbage_seconds: u32,
    auth: String,
    auth_key_id: Option<u32>,
    auth_key_expired: bool,
    offset_in: u32,
    offset_out: u32,
    split_horizon: String,
    next_update_seconds: Option<u32>,
    neighbors: u32,
    routes: u64,
    packets_received: u64,
    packets_sent: u64,
    updates_received: u64,
    updates_sent: u64,
    triggered_updates: u64,
    bad_packets: u64,
    bad_routes: u64,
    auth_failures: u64,
    unsigned_packets: u64,
    destinations: Vec<String>,
    last_off_link: Option<String>,
}

impl From<v1::RipInterface> for RipInterfaceView {
    fn from(interface: v1::RipInterface) -> Self {
        Self {
            version: interface.version().to_string(),
            auth: interface.auth().to_string(),
            split_horizon: interface.split_horizon().to_string(),
            name: interface.name,
            index: interface.index,
            up: interface.up,
            reason: Some(interface.reason).filter(|reason| !reason.is_empty()),
            passive: interface.passive,
            addresses: interface.addresses,
            update_seconds: interface.update_seconds,
            timeout_seconds: interface.timeout_seconds,
            garbage_seconds: interface.garbage_seconds,
            auth_key_id: interface.auth_key_id,
            auth_key_expired: interface.auth_key_expired,
            offset_in: interface.offset_in,
            offset_out: interface.offset_out,
            next_update_seconds: interface.next_update_seconds,
            neighbors: interface.neighbors,
            routes: interface.routes,
            packets_received: interface.packets_received,
            packets_sent: interface.packets_sent,
            updates_received: interface.updates_received,
            updates_sent: interface.updates_sent,
            triggered_updates: interface.triggered_updates,
            bad_packets: interface.bad_packets,
            bad_routes: interface.bad_routes,
            auth_failures: interface.auth_failures,
            unsigned_packets: interface.unsigned_packets,
            destinations: interface.destinations,
            last_off_link: interface.last_off_link,
        }
    }
}

impl RipInterfaceView {
    fn state_cell(&self) -> Cell {
        match (self.up, self.passive) {
            (true, false) => Cell::new("up").tone(Tone::Good),
            (true, true) => Cell::new("passive"),
            (false, _) => Cell::new("down").tone(Tone::Bad),
        }
    }

    /// The three timers as the RFCs list them: update, timeout, garbage.
    fn timers(&self) -> String {
        format!("{}/{}/{}", self.update_seconds, self.timeout_seconds, self.garbage_seconds)
    }

    /// Mode and key. That version 2 has none is worth a look; the other never has one.
    fn auth_cell(&self) -> Cell {
        match (self.auth.as_str(), self.auth_key_id) {
            ("none", _) if self.version == "ripv2" => Cell::new("none").tone(Tone::Fair),
            (mode, Some(key)) if self.auth_key_expired => {
                Cell::new(format_args!("{mode}:{key}-expired")).tone(Tone::Fair)
            }
            (mode, Some(key)) => Cell::new(format_args!("{mode}:{key}")),
            (mode, None) => Cell::new(mode),
        }
    }
}

impl Row for RipInterfaceView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "INTERFACE", |i| Cell::new(&i.name)),
        Column::text(Level::Short, "VERSION", |i| Cell::new(&i.version)),
        Column::text(Level::Short, "STATE", Self::state_cell),
        Column::text(Level::Wide, "ADDRESSES", |i| Cell::list(&i.addresses)),
        Column::text(Level::Short, "AUTH", Self::auth_cell),
        Column::number(Level::Short, "NEIGHBORS", |i| Cell::new(i.neighbors)),
        Column::number(Level::Short, "ROUTES", |i| Cell::new(i.routes)),
        Column::number(Level::Short, "TIMERS", |i| Cell::new(i.timers())),
        Column::number(Level::Short, "NEXT_UPDATE", |i| {
            Cell::maybe(i.next_update_seconds.map(|seconds| time::age(seconds.into())))
        }),
        Column::text(Level::Wide, "SPLIT_HORIZON", |i| Cell::new(&i.split_horizon)),
        Column::number(Level::Wide, "OFFSET_IN", |i| Cell::new(i.offset_in)),
        Column::number(Level::Wide, "OFFSET_OUT", |i| Cell::new(i.offset_out)),
        Column::number(Level::Wide, "PACKETS_RECEIVED", |i| Cell::new(i.packets_received)),
        Column::number(Level::Wide, "PACKETS_SENT", |i| Cell::new(i.packets_sent)),
        Column::number(Level::Wide, "UPDATES_RECEIVED", |i| Cell::new(i.updates_received)),
        Column::number(Level::Wide, "UPDATES_SENT", |i| Cell::new(i.updates_sent)),
        Column::number(Level::Wide, "TRIGGERED", |i| Cell::new(i.triggered_updates)),
        Column::number(Level::Short, "BAD_PACKETS", |i| Cell::new(i.bad_packets)),
        Column::number(Level::Short, "BAD_ROUTES", |i| Cell::new(i.bad_routes)),
        Column::number(Level::Wide, "AUTH_FAILURES", |i| Cell::new(i.auth_failures)),
        Column::number(Level::Wide, "UNSIGNED", |i| Cell::new(i.unsigned_packets)),
        Column::text(Level::Wide, "DESTINATIONS", |i| Cell::list(&i.destinations)),
        Column::text(Level::Wide, "LAST_OFF_LINK", |i| Cell::maybe(i.last_off_link.as_ref())),
        Column::text(Level::Wide, "REASON", |i| Cell::maybe(i.reason.as_ref())),
    ];
}

/// A router that speaks RIP to this node.
#[derive(Debug, Serialize)]
pub(crate) struct RipNeighborView {
    address: String,
    interface: Option<String>,
    protocol: String,
    version: Option<u32>,
    last_heard_seconds: Option<u64>,
    uptime_seconds: Option<u64>,
    routes: u64,
    bad_packets: u64,
    bad_routes: u64,
    auth_failures: u64,
    last_error: Option<String>,
    configured: bool,
    routes_filtered: u64,
    routes_over_limit: u64,
}

impl From<v1::RipNeighbor> for RipNeighborView {
    fn from(neighbor: v1::RipNeighbor) -> Self {
        Self {
            protocol: neighbor.protocol().to_string(),
            address: neighbor.address,
            interface: neighbor.interface,
            version: neighbor.version,
            last_heard_seconds: neighbor.last_heard_seconds,
            uptime_seconds: neighbor.uptime_seconds,
            routes: neighbor.routes,
            bad_packets: neighbor.bad_packets,
            bad_routes: neighbor.bad_routes,
            auth_failures: neighbor.auth_failures,
            last_error: neighbor.last_error,
            configured: neighbor.configured,
            routes_filtered: neighbor.routes_filtered,
            routes_over_limit: neighbor.routes_over_limit,
        }
    }
}

impl RipNeighborView {
    fn uptime_cell(&self) -> Cell {
        match self.uptime_seconds {
            Some(seconds) => Cell::new(time::age(seconds)).tone(Tone::Good),
            None => Cell::new("down").tone(Tone::Bad),
        }
    }
}

impl Row for RipNeighborView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "NEIGHBOR", |n| Cell::new(&n.address)),
        Column::text(Level::Short, "INTERFACE", |n| Cell::maybe(n.interface.as_ref())),
        Column::text(Level::Short, "PROTOCOL", |n| Cell::new(&n.protocol)),
        Column::number(Level::Wide, "VERSION", |n| Cell::maybe(n.version)),
        Column::number(Level::Short, "UPTIME", Self::uptime_cell),
        Column::number(Level::Short, "LAST_HEARD", |n| Cell::maybe(n.last_heard_seconds.map(time::age))),
        Column::number(Level::Short, "ROUTES", |n| Cell::new(n.routes)),
        Column::number(Level::Short, "BAD_PACKETS", |n| Cell::new(n.bad_packets)),
        Column::number(Level::Short, "BAD_ROUTES", |n| Cell::new(n.bad_routes)),
        Column::number(Level::Short, "AUTH_FAILURES", |n| Cell::new(n.auth_failures)),
        Column::number(Level::Wide, "FILTERED", |n| Cell::new(n.routes_filtered)),
        Column::number(Level::Wide, "OVER_LIMIT", |n| Cell::new(n.routes_over_limit)),
        Column::text(Level::Wide, "CONFIGURED", |n| Cell::new(if n.configured { "yes" } else { "no" })),
        Column::text(Level::Wide, "LAST_ERROR", |n| Cell::maybe(n.last_error.as_ref())),
    ];
}
