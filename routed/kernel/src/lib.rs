//! The kernel's side of routed: what is written into the FIB, and what the
//! kernel tells about links, addresses and routes.
//!
//! *In*: desired routes ([`fib::Command`]), and what happens on the host.
//! *Out*: what became of each route ([`fib::FibEvent`]), kernel events
//! ([`watch::KernelEvent`]) and a table of links made from them ([`links::Links`]).
//! *Must not know*: protocols, the routing table, configuration files.
//!
//! ```text
//!  Command ──► [ fib: bounded channel ] ──► writer thread ──► netlink socket 1
//!  FibEvent ◄── [ bounded channel ] ◄───── desired, installed, nexthop objects
//!
//!  KernelEvent ◄── [ bounded channel ] ◄── watch task ◄────── netlink socket 2 (groups)
//!       ├──► Links::apply   by name, by index, connected subnets
//!       └──► Fib::heard     repairs what somebody deleted, comes back after a flap
//! ```
//!
//! Routes of other owners are never touched: routed adds exclusively, and
//! replaces only what it installed or adopted. See [`fib`] for how.

pub mod bridge;
pub mod fib;
pub mod links;
pub mod nft;
pub mod query;
pub mod refusal;
pub mod route;
pub mod sockopt;
pub mod start;
pub mod sysctl;
pub mod watch;

mod batch;
mod echo;
mod msg;
mod socket;
mod writer;

pub use batch::{Batch, InBatch};
pub use fib::{Alarm, Command, Done, Fib, FibConfig, FibError, FibEvent, FibStats, NexthopObjects, Nexthops};
pub use links::{Link, Links};
pub use refusal::Refusal;
pub use route::{FibRoute, Hop, NextHops, RouteOwner, Target};
#[doc(hidden)] // for the fuzz target: the writer reads answers as they come
pub use socket::refusals_of;
pub use start::{StartError, Started, start};
pub use watch::KernelEvent;
