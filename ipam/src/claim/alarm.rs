//! What people must decide, with who is concerned and what helps.

use std::fmt;
use std::net::IpAddr;

use net::Prefix;

/// What of this node is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ours {
    /// A block that it claimed.
    Claimed(Prefix),
    /// A subnet that it has by configuration or by a bridge: `docker0`.
    Fixed(Prefix),
}

/// Something that does not end by itself, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// This node and a neighbour both advertise the same addresses.
    Conflict {
        /// What this node has.
        ours: Ours,
        /// What the neighbour has.
        theirs: Prefix,
        /// The neighbour.
        by: IpAddr,
    },
    /// A subnet of this host lies across its own claimed block, whose
    /// addresses are in use.
    Blocked {
        /// The block.
        block: Prefix,
        /// The subnet.
        by: Prefix,
    },
    /// No block of the pool is free.
    Exhausted {
        /// The pool.
        pool: Prefix,
        /// The length of a block in bits.
        length: u8,
    },
}

impl Alarm {
    /// What to do about it.
    pub fn cure(&self) -> String {
        match self {
            Self::Conflict { ours: Ours::Claimed(block), .. } => format!(
                "the one without containers gives way by itself within a minute; where both have some, stop \
                 those in {block} on one of the two nodes (routectl ipam addresses lists them)"
            ),
            Self::Conflict { ours: Ours::Fixed(subnet), .. } => format!(
                "give {subnet} another subnet on one of the two hosts; for docker0: routectl docker configure"
            ),
            Self::Blocked { block, by } => {
                format!("give the network {by} a subnet outside the pools, or stop the containers in {block}")
            }
            Self::Exhausted { .. } => {
                "add a pool to [cluster] pools, or make node_block longer on every node".to_owned()
            }
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { ours, theirs, by } => {
                let (kind, ours) = match ours {
                    Ours::Claimed(block) => ("block", block),
                    Ours::Fixed(subnet) => ("subnet", subnet),
                };
                write!(f, "{kind} {ours} of this node is also at {by}")?;
                if theirs == ours { Ok(()) } else { write!(f, ", which has {theirs}") }
            }
            Self::Blocked { block, by } => {
                write!(f, "block {block} of this node is in use, and its own network {by} lies across it")
            }
            Self::Exhausted { pool, length } => {
                write!(f, "no /{length} of pool {pool} is free, so this node has no block of it")
            }
        }
    }
}
