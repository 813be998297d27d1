//! What others are shown of BGP: BMP to a collector, MRT into a file.
//!
//! *In*: sessions that come and go, routes with their attributes, numbers.
//! *Out*: the octets of BMP messages ([`bmp`]) and of MRT records ([`mrt`]).
//! UPDATE, OPEN and NOTIFICATION inside of them, and path attributes, are
//! those of [`bgp::wire`]: there is one codec.
//!
//! *Must not know*: sockets, the clock (times are arguments, counted from
//! 1970), the table, who the collector is.
//!
//! RFC 7854 (BMP), 8671 (Adj-RIB-Out), 9069 (Loc-RIB); RFC 6396 §4.3
//! (`TABLE_DUMP_V2`), 8050 (with path identifiers).

pub mod bmp;
pub mod mrt;

use std::time::Duration;

/// Since 1970, in seconds and microseconds as the formats have them; what does
/// not fit is the last moment that does.
fn moment(at: Duration) -> (u32, u32) {
    (u32::try_from(at.as_secs()).unwrap_or(u32::MAX), at.subsec_micros())
}
