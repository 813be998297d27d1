//! Address management: which address belongs to whom, and never to two.
//!
//! *Role*: hand out single addresses from this node's blocks, remember them
//! across every kind of crash, give them back.
//!
//! *In*: the cluster's pools, this node's blocks, requests with the time in
//! them. *Out*: allocations, refusals that say what to do next ([`Why`]),
//! snapshots for readers, findings for `routectl ipam check`, and a
//! [`Recovery`] that tells what was found on disk at start.
//!
//! *Must not know*: routing protocols, the kernel, containers, the API, the
//! clock, an async runtime.
//!
//! ```text
//!  callers (any thread)                    writer thread                         disk
//!  Ipam::allocate ──Request──► bounded ──► Ledger::apply ──Event──► Store::commit ─► ipam.journal  fdatasync
//!       ▲                      channel     (working copy)             (a batch)    └► ipam/  (sled) flush + fdatasync
//!       └───────────── answer ◄──────────── after the commit ◄───────────┘
//!  Ipam::snapshot ──────────► published Ledger ◄── absorbs the same events
//! ```
//!
//! Apart from that, [`claim`] says which block a node takes where none is
//! configured: a machine of its own that the daemon drives with what the
//! routing protocols hear.
//!
//! The state is a fold of [`Event`]s and nothing else: the writer's copy, the
//! published copy, the journal and the database absorb the same events. An
//! answer leaves only after the journal is on disk. The journal is the truth;
//! the database is a second copy that may be lost, and the other way round:
//! losing either one of them loses nothing (see [`store`]).
//!
//! Files in the state directory: `ipam/` the database, `ipam.journal` and
//! `ipam.journal.1`, `ipam.json` and `ipam.json.1` the exports that the
//! journals continue, `ipam.corrupt-N` what a recovery set aside.

pub mod allocate;
pub mod block;
pub mod check;
pub mod claim;
pub mod event;
pub mod ledger;
pub mod model;
pub mod pool;
pub mod store;
mod why;
mod writer;

pub use check::{Finding, Severity};
pub use event::{Event, Image, Op};
pub use ledger::Ledger;
pub use model::{AllocateRequest, Allocation, BlockState, BlockView, Families, Snapshot};
pub use pool::{Layout, LayoutError};
pub use store::export::ExportError;
pub use store::{OpenError, Recovery, Repair};
pub use why::{Reservation, Why};
pub use writer::{Ipam, OpenConfig};
