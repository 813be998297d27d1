//! One file for each thing that is measured.

pub(super) mod failover;
pub(super) mod fib;
pub(super) mod peers;
pub(super) mod restart;
pub(super) mod steady;
pub(super) mod table;

use super::{engine::Running, swarm::Swarm};
use crate::Error;

/// Why a wait failed: that the router or a session has ended says more than
/// what did not come.
fn cause(why: Error, router: &mut Running, swarm: &Swarm) -> Error {
    router.check().and_then(|()| swarm.check()).err().unwrap_or(why)
}
