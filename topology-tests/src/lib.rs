//! `lab`: clusters of network namespaces with real peers.
//!
//! A [`Lab`] is a small data centre on one machine. Every [`Host`] is a network
//! namespace with an uplink `eth0` on a shared LAN bridge (which lives in a
//! namespace of its own) and a bridge `docker0`; every [`Container`] is a
//! namespace behind such a bridge. Daemons run inside, commands run anywhere,
//! tests wait on conditions and read what real packets did.
//!
//! ```no_run
//! use lab::{Lab, peer::Bird};
//! # fn main() -> Result<(), lab::Error> {
//! let lab = Lab::new("example")?;
//! let n1 = lab.host("n1")?;
//! let c1 = n1.container("c1")?;
//! let bird = Bird::start(&n1, "protocol device {}")?;
//! c1.exec(["ping", "-c1", "10.244.1.1"])?.ok()?;
//! # Ok(()) }
//! ```
//!
//! *In*: names, configuration texts, commands. *Out*: outputs, typed readings
//! of the peers' tables, what a stream of packets met on its way.
//! *Must not know*: the code of routed. The daemon is a binary, met through its
//! files, its exit codes, `routectl -o json`, the kernel and the wire.
//!
//! Invariants:
//! - nothing is left behind: see [`undertaker`];
//! - several labs run side by side: every name holds the creator's pid, a
//!   counter and a random part, every file lives in the lab's own directory;
//! - nothing sleeps for a fixed time: [`wait`] is the one place that waits.

pub mod bench;
pub mod bench_bfd;
pub mod bench_rip;
pub mod cable;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod error;
mod lab;
pub mod netns;
mod node;
pub mod pair;
pub mod peer;
pub mod process;
pub mod report;
pub mod rip_pair;
pub mod speaker;
pub mod traffic;
pub mod undertaker;
pub mod wait;
pub mod watched;
pub mod zero;

pub use command::Output;
pub use error::Error;
pub use lab::Lab;
pub use netns::Netns;
pub use node::{Container, Host};
pub use process::Process;

/// What every function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
