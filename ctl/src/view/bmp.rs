//! The view of BMP collectors.

use api::v1;
use serde::Serialize;

use super::{Cell, Column, Level, Row, Tone, time};

/// A collector.
#[derive(Debug, Serialize)]
pub(crate) struct CollectorView {
    address: String,
    connected: bool,
    uptime_seconds: Option<u64>,
    monitor: Vec<String>,
    messages: u64,
    octets: u64,
    connects: u64,
    last_error: Option<String>,
}

impl From<v1::BmpCollector> for CollectorView {
    fn from(collector: v1::BmpCollector) -> Self {
        let v1::BmpCollector {
            address,
            monitor,
            connected,
            uptime_seconds,
            last_error,
            messages,
            octets,
            connects,
        } = collector;
        Self { address, connected, uptime_seconds, monitor, messages, octets, connects, last_error }
    }
}

impl CollectorView {
    fn state_cell(&self) -> Cell {
        if self.connected {
            Cell::new("connected").tone(Tone::Good)
        } else {
            Cell::new("down").tone(Tone::Bad)
        }
    }
}

impl Row for CollectorView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "COLLECTOR", |c| Cell::new(&c.address)),
        Column::text(Level::Short, "STATE", Self::state_cell),
        Column::number(Level::Short, "UPTIME", |c| Cell::maybe(c.uptime_seconds.map(time::age))),
        Column::text(Level::Short, "MONITOR", |c| Cell::list(&c.monitor)),
        Column::number(Level::Short, "MESSAGES", |c| Cell::new(c.messages)),
        Column::number(Level::Wide, "OCTETS", |c| Cell::new(c.octets)),
        Column::number(Level::Wide, "CONNECTS", |c| Cell::new(c.connects)),
        Column::text(Level::Short, "LAST_ERROR", |c| Cell::maybe(c.last_error.as_ref())),
    ];
}
