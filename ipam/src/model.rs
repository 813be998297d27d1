//! What callers see: requests, allocations, blocks, snapshots.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use net::{Family, Prefix};
use serde::{Deserialize, Serialize};

/// Longest handle, in bytes.
pub const HANDLE_BYTES: usize = 256;

/// Most bytes that the labels of one allocation may have together.
pub const LABEL_BYTES: usize = 4096;

/// One address and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// The address.
    pub address: IpAddr,
    /// The cluster pool that holds it.
    pub pool: Prefix,
    /// The block of this node that it was taken from.
    pub block: Prefix,
    /// Who owns it, in the caller's words (a container's id); asking again
    /// with the same handle gives the same address.
    #[serde(default)]
    pub handle: Option<String>,
    /// The caller's notes.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When, in seconds since 1970, as the request said.
    pub allocated_at: u64,
}

/// Which families a request wants an address of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// One IPv4 address.
    #[default]
    V4,
    /// One IPv6 address.
    V6,
    /// One of each, or nothing.
    Both,
}

impl Families {
    /// The families, IPv4 first.
    pub fn list(self) -> &'static [Family] {
        match self {
            Self::V4 => &[Family::Ipv4Unicast],
            Self::V6 => &[Family::Ipv6Unicast],
            Self::Both => &Family::ALL,
        }
    }
}

/// A request for an address (with [`Families::Both`], for two).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllocateRequest {
    /// This address and no other. It decides the family, unless `families`
    /// is [`Families::Both`]: then the other family's address is chosen.
    pub address: Option<IpAddr>,
    /// The owner. What it already holds is the answer, whatever the labels.
    pub handle: Option<String>,
    /// Only from this pool.
    pub pool: Option<Prefix>,
    /// Which families.
    pub families: Families,
    /// Kept with a new allocation.
    pub labels: BTreeMap<String, String>,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// Whether a block gives out addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockState {
    /// It is this node's and gives out addresses.
    Active,
    /// It is no longer this node's; addresses in it are kept until released,
    /// no new ones are given out.
    Retired,
}

impl fmt::Display for BlockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Retired => "retired",
        })
    }
}

/// A block as readers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockView {
    /// The block.
    pub prefix: Prefix,
    /// The pool that holds it; `None` for a retired block whose pool is gone.
    pub pool: Option<Prefix>,
    /// The node that owns it: this one.
    pub node: String,
    /// Whether it gives out addresses.
    pub state: BlockState,
    /// Addresses that it could give out: all but the reserved ones. Counts
    /// over 2^64 - 1 are shown as that.
    pub addresses_total: u64,
    /// Addresses that are allocated.
    pub addresses_used: u64,
}

/// Everything at one instant, for readers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The cluster's pools.
    pub pools: Vec<Prefix>,
    /// The blocks, ordered by prefix.
    pub blocks: Vec<BlockView>,
    /// The allocations, ordered by address.
    pub allocations: Vec<Allocation>,
    /// Ranges that `reserve` took out.
    pub reserved: Vec<Prefix>,
}
