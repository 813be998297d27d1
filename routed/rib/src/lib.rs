//! The routing table: who says what, which of it is best, and who must hear.
//!
//! *In*: routes of peers with their attributes ([`Table::update`]), routes of
//! this node ([`Table::originate`]), links and local addresses
//! ([`Table::set_links`]), filters. *Out*: [`Change`]s of the best routes
//! ([`Table::take_changes`]), what each peer has yet to be told
//! ([`AdjOut::pull`]), and pages for readers ([`query`]).
//!
//! *Must not know*: sockets, the kernel, tasks, the wire format, the clock
//! (instants are arguments).
//!
//! ```text
//!  peer ─ update ─► import checks ─► filter ─► paths ┐
//!  node ─ originate ───────────────────────► paths ┤ one `Dest` a prefix
//!  links ─ set_links ──► next hops ────────────────┘
//!                                  │ dirty prefixes
//!                      take_changes: decide ─► Change ─┬─► kernel, RIP, watchers
//!                                                      └─► AdjOut: group ─ export once ─► written once ─► members
//! ```
//!
//! Three rules hold the crate together:
//! - A path that may not be used stays, with the reason as data ([`Why`]).
//! - What is best is a function of the current inputs, never of their order.
//! - What somebody has yet to hear is a set of prefixes, never a queue.
//!
//! RFC 4271 §9 (decision), 4456 (route reflection), 1997 (communities),
//! 4724 §4.2 (stale paths), 2545 §3 (link-local next hops), 2918 (refresh),
//! 5065 (confederations), 7311 (AIGP), 8326 (graceful shutdown), 9234 (roles),
//! 9494 (long-lived stale paths).

pub mod adj_out;
mod chosen;
pub mod decide;
mod dest;
pub mod export;
pub mod filter;
mod import;
pub mod intern;
pub mod nexthop;
pub mod observe;
pub mod path;
pub mod peer;
mod pending;
pub mod query;
mod roles;
mod settle;
pub mod several;
mod share;
mod shared;
mod store;
pub mod table;
mod tally;
pub mod why;

#[cfg(test)]
mod fixture;

pub use adj_out::{AdjOut, Advertised, Left, Limits, Line, Out, Post, To, Together};
pub use decide::{Decided, Rules, Step};
pub use export::Exported;
pub use filter::{Filter, Verdict};
pub use nexthop::{Hop, Link, Target};
pub use path::{Path, PeerId, Protocol, Source, Via};
pub use peer::{Carries, NextHopMode, Paths, PeerInfo, SendCommunities};
pub use query::{CandidateView, Page, Query, RouteView, Standing};
pub use several::{Offer, Offered, Offers};
pub use table::{Best, Change, Counts, Origination, Table, UnknownPeer};
pub use tally::Tally;
pub use why::Why;
