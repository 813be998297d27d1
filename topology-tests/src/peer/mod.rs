//! The daemons that a lab starts: routed and its peers, each with its own
//! configuration, control socket and pid file in the lab's directory, and typed
//! readings of what it knows.
//!
//! Versions read here: BIRD 2.0, FRR 8.4, `GoBGP` 3.10, `OpenBGPD` 7.7, `ExaBGP` 4.2.

mod bird;
mod collector;
mod exabgp;
mod frr;
mod gobgp;
mod openbgpd;
pub mod raw;
pub mod raw_rip;
mod routed;

pub use bird::Bird;
pub use collector::{Collector, View};
pub use exabgp::Exabgp;
pub use frr::Frr;
pub(crate) use frr::frr_user;
pub use gobgp::Gobgp;
pub use openbgpd::Openbgpd;
pub use raw::RawBgp;
pub use raw_rip::RawRip;
pub use routed::{Routed, find_binary};

use std::{path::Path, time::Duration};

use crate::{Error, Result};

/// How long a daemon may take to answer on its control socket.
const START: Duration = Duration::from_secs(10);

/// A route as a peer tells it, reduced to what all peers tell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The prefix, `10.0.0.0/24`.
    pub prefix: String,
    /// Next hop address; empty where the route has none (blackhole, connected).
    pub next_hop: String,
    /// AS numbers of the path, nearest first; empty inside one AS.
    pub as_path: Vec<u32>,
    /// Whether the peer uses it.
    pub best: bool,
}

/// A route by RIP as a peer tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RipRoute {
    /// The prefix.
    pub prefix: String,
    /// The next hop's address; link-local in IPv6.
    pub next_hop: String,
    /// The metric, the peer's own link included.
    pub metric: u8,
}

/// Finds an installed program, or says which package brings it.
pub(crate) fn installed(candidates: &[&str], package: &str) -> Result<String> {
    let found = candidates.iter().find(|path| Path::new(path).exists());
    found.map(|path| (*path).to_owned()).ok_or_else(|| Error::Missing {
        program: candidates.first().copied().unwrap_or(package).to_owned(),
        looked: candidates.join(", "),
        hint: format!(
            "install the package {package} (topology-tests/install.sh installs all that a lab needs)"
        ),
    })
}

/// Writes a file of a daemon.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(Error::file(path))
}
