//! RIPv2 and RIPng without sockets or clock: one state machine over two wire
//! formats.
//!
//! *In*: interfaces, datagrams, what the table tells, the time. *Out*:
//! datagrams, routes learned and lost, neighbours that come and go. *Must not
//! know*: sockets, clocks, the routing table, the kernel. Randomness comes
//! from a seed, so a run can be repeated.
//!
//! ```text
//!  Received ─► auth ─► wire ─► instance ─► Import ─► table ─► Learned, Lost
//!                                 ▲                    │ what changed
//!  Advertise ─────────────────────┘                    ▼
//!                  Send ◄─ auth ◄─ wire ◄─ iface (outlets: sweep, triggered)
//! ```
//!
//! - [`wire`]: packets and entries of both versions, and what is wrong with them.
//! - [`auth`]: text, keyed MD5 and HMAC-SHA, key chains, replay.
//! - [`instance`]: the machine.
//! - [`status`]: what `routectl rip` shows.
//!
//! RFC 2453 (RIPv2), RFC 2080 (RIPng), RFC 2082 (keyed MD5), RFC 4822
//! (HMAC-SHA), RFC 1724 (names of the counters).
//!
//! Ours:
//! - What every neighbour last said is kept, not only the best of it, so the
//!   loss of the best route is answered at once by the next best.
//! - RIPv1 is not spoken: it has neither masks nor authentication.
//! - Long updates are paced, because many receivers have room for a few
//!   packets only.
//! - Packets of one second carry one sequence number (RFC 2082 §3.2.1 asks
//!   for non-decreasing ones), so the number is never ahead of the time and a
//!   restart cannot take it back; an exact copy is still refused.

pub mod auth;
pub mod config;
pub mod event;
mod iface;
pub mod instance;
mod neighbor;
mod routes;
mod split_horizon;
pub mod status;
mod table;
mod timers;
pub mod wire;

pub use config::{Accept, Clock, Config, Import, Interface, Offer, Settings, SplitHorizon};
pub use event::{Action, Advert, Event, Learned, NextHop, Received, WhyDown};
pub use instance::Instance;

/// The metric of what cannot be reached (RFC 2453 §3.6).
pub const INFINITY: u8 = 16;
