//! Why a request was refused, with the object and the next step.

use std::fmt;
use std::net::IpAddr;

use net::{Family, Prefix};
use thiserror::Error;

use crate::model::{HANDLE_BYTES, LABEL_BYTES};
use crate::pool::LayoutError;
use crate::store::export::ExportError;

/// What takes an address out of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The first address of a block (RFC 922; RFC 4291 §2.6.1 in IPv6).
    Network,
    /// The last address of an IPv4 block (RFC 919).
    Broadcast,
    /// An address of the bridge itself.
    Bridge,
    /// A range that was reserved by hand.
    Range(Prefix),
}

impl fmt::Display for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => write!(f, "it is the address of the network itself"),
            Self::Broadcast => write!(f, "it is the broadcast address of its block"),
            Self::Bridge => write!(f, "it is the bridge's own address"),
            Self::Range(prefix) => write!(f, "it lies in the reserved range {prefix}"),
        }
    }
}

fn holder(handle: Option<&String>) -> String {
    handle.map_or_else(|| "without a handle".to_owned(), |handle| format!("to {handle:?}"))
}

fn within(pool: Option<&Prefix>) -> String {
    pool.map_or_else(String::new, |pool| format!(" of pool {pool}"))
}

fn list(prefixes: &[Prefix]) -> String {
    if prefixes.is_empty() {
        return "none".to_owned();
    }
    prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn name(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "IPv4",
        Family::Ipv6Unicast => "IPv6",
    }
}

/// Why a request was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// Every address of the blocks asked is taken.
    #[error(
        "no free {} address: all {total} in this node's blocks{} are allocated; release some (routectl ipam \
         addresses) or give the node another block ([ipam] blocks)", name(*family), within(pool.as_ref())
    )]
    Exhausted {
        /// The family asked for.
        family: Family,
        /// The pool asked for.
        pool: Option<Prefix>,
        /// How many addresses the blocks have.
        total: u64,
    },
    /// This node has no block to take an address from.
    #[error(
        "this node has no {} block{}; add one to [ipam] blocks, or a bridge with such a subnet to [[advertise]]",
        name(*family), within(pool.as_ref())
    )]
    NoBlock {
        /// The family asked for.
        family: Family,
        /// The pool asked for.
        pool: Option<Prefix>,
    },
    /// The pool is not one of the cluster's.
    #[error(
        "{pool} is no pool of this cluster (its pools: {}); name one of them or leave the pool out",
        list(pools)
    )]
    UnknownPool {
        /// The pool asked for.
        pool: Prefix,
        /// The pools there are.
        pools: Vec<Prefix>,
    },
    /// The address or range is outside every pool.
    #[error(
        "{prefix} is outside the cluster's pools ({}); ask for one inside, or add its pool to [cluster] pools",
        list(pools)
    )]
    OutsidePools {
        /// The address or range asked for.
        prefix: Prefix,
        /// The pools there are.
        pools: Vec<Prefix>,
    },
    /// The address is in a pool, but not in the pool asked for.
    #[error("{address} is not in pool {pool}; name the pool that holds it or leave the pool out")]
    NotInPool {
        /// The address asked for.
        address: IpAddr,
        /// The pool asked for.
        pool: Prefix,
    },
    /// The address is in a pool, but in no block of this node.
    #[error(
        "{address} is in pool {pool} but in no block of node {node} ({}); ask the node that owns its block",
        list(blocks)
    )]
    OutsideBlocks {
        /// The address asked for.
        address: IpAddr,
        /// The pool that holds it.
        pool: Prefix,
        /// This node.
        node: String,
        /// The blocks of this node.
        blocks: Vec<Prefix>,
    },
    /// Somebody has the address.
    #[error(
        "{address} is already allocated {}; release it first (routectl ipam release {address}) or ask for another",
        holder(handle.as_ref())
    )]
    Allocated {
        /// The address asked for.
        address: IpAddr,
        /// Its owner.
        handle: Option<String>,
    },
    /// The address must not be given out.
    #[error("{address} is reserved: {by}; ask for another address")]
    Reserved {
        /// The address asked for.
        address: IpAddr,
        /// What reserves it.
        by: Reservation,
    },
    /// The handle has another address of that family than the one asked for.
    #[error(
        "handle {handle:?} already holds {address}, which is not what was asked for; release it first or use another handle"
    )]
    HandleHolds {
        /// The handle.
        handle: String,
        /// What it holds.
        address: IpAddr,
    },
    /// Nothing to release.
    #[error("{address} is not allocated; routectl ipam addresses lists what is")]
    NotAllocated {
        /// The address asked for.
        address: IpAddr,
    },
    /// Nothing to release.
    #[error("handle {handle:?} holds no address; routectl ipam addresses lists what is allocated")]
    UnknownHandle {
        /// The handle asked for.
        handle: String,
    },
    /// The range to reserve holds an allocated address.
    #[error("{prefix} cannot be reserved: {address} in it is allocated {}; release it first", holder(handle.as_ref()))]
    RangeInUse {
        /// The range asked for.
        prefix: Prefix,
        /// The lowest allocated address in it.
        address: IpAddr,
        /// The owner of that address.
        handle: Option<String>,
    },
    /// The range was not reserved.
    #[error("{prefix} is not reserved; the reserved ranges are: {}", list(reserved))]
    NotReserved {
        /// The range asked for.
        prefix: Prefix,
        /// The reserved ranges.
        reserved: Vec<Prefix>,
    },
    /// The handle cannot be stored or printed.
    #[error("handle {handle:?} is not usable; use 1 to {HANDLE_BYTES} bytes without control characters")]
    BadHandle {
        /// The handle asked for.
        handle: String,
    },
    /// The labels are too long.
    #[error("the labels have {bytes} bytes; {LABEL_BYTES} are the most that an allocation may carry")]
    BadLabels {
        /// How many bytes.
        bytes: usize,
    },
    /// The pools or blocks contradict each other.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The export to import is not usable.
    #[error("nothing imported: {0}")]
    Import(#[from] ExportError),
    /// An imported allocation contradicts an existing one.
    #[error("nothing imported: {address} is allocated {} here and {} in the export; release one of them",
        holder(here.as_ref()), holder(there.as_ref()))]
    ImportConflict {
        /// The address.
        address: IpAddr,
        /// Its owner here.
        here: Option<String>,
        /// Its owner in the export.
        there: Option<String>,
    },
    /// The disk did not take it. What is allocated stays allocated.
    #[error("not stored: {path}: {error}; nothing was changed, free space or repair the disk and ask again")]
    Store {
        /// The file.
        path: String,
        /// What the system said.
        error: String,
    },
    /// The store was closed.
    #[error("the address store is closed because routed is stopping; ask again when it is back")]
    Closed,
}
