//! What is asked of the ledger, what happened, and what is kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use net::Prefix;
use serde::{Deserialize, Serialize};

use crate::model::{AllocateRequest, Allocation};

/// What is asked of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Give an address.
    Allocate(AllocateRequest),
    /// Take one address back.
    ReleaseAddress(IpAddr),
    /// Take every address of a handle back.
    ReleaseHandle(String),
    /// Never give out addresses of this range.
    Reserve(Prefix),
    /// Undo a reservation.
    Unreserve(Prefix),
    /// Add everything that an export holds; its claims are another node's.
    Import(Image),
    /// These blocks, and no others, are claimed.
    RememberClaims(BTreeSet<Prefix>),
}

/// What happened. A fact: absorbing it cannot fail, and absorbing it twice is
/// absorbing it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// These addresses got an owner, all at once.
    Allocated {
        /// The new allocations.
        new: Vec<Allocation>,
        /// What the handle held before and is part of the answer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        held: Vec<Allocation>,
        /// The addresses that the ledger chose itself; the next search in
        /// their block starts behind them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        chosen: Vec<IpAddr>,
    },
    /// These allocations ended.
    Released(Vec<Allocation>),
    /// A range is out of use.
    Reserved(Prefix),
    /// A range is in use again.
    Unreserved(Prefix),
    /// Allocations and reservations came from an export.
    Imported {
        /// Allocations that were not there.
        allocations: Vec<Allocation>,
        /// Reserved ranges that were not there.
        reserved: Vec<Prefix>,
    },
    /// This node claims these blocks and no others.
    Claimed(BTreeSet<Prefix>),
}

impl Event {
    /// True when the state is other after it than before; only such events
    /// are written to disk.
    pub fn changes(&self) -> bool {
        match self {
            Self::Allocated { new, .. } => !new.is_empty(),
            Self::Released(old) => !old.is_empty(),
            Self::Reserved(_) | Self::Unreserved(_) | Self::Claimed(_) => true,
            Self::Imported { allocations, reserved } => !(allocations.is_empty() && reserved.is_empty()),
        }
    }

    /// The allocations that the asker gets to see, IPv4 first.
    pub fn into_answer(self) -> Vec<Allocation> {
        let mut answer = match self {
            Self::Allocated { mut new, held, .. } => {
                new.extend(held);
                new
            }
            Self::Released(allocations) | Self::Imported { allocations, .. } => allocations,
            Self::Reserved(_) | Self::Unreserved(_) | Self::Claimed(_) => Vec::new(),
        };
        answer.sort_by_key(|allocation| allocation.address);
        answer
    }
}

/// All that must survive: the fold of the events up to a generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The node that wrote it.
    pub node: String,
    /// How many events are folded into it.
    pub generation: u64,
    /// Who has which address.
    #[serde(with = "as_list")]
    pub allocations: BTreeMap<IpAddr, Allocation>,
    /// Ranges out of use.
    pub reserved: BTreeSet<Prefix>,
    /// The address that each block gave out last.
    pub cursors: BTreeMap<Prefix, IpAddr>,
    /// The blocks that the node claimed; an export without any is written as
    /// before there were claims, so that its checksum holds.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub claims: BTreeSet<Prefix>,
}

impl Image {
    /// Takes a fact in. Does not count the generation: who writes events
    /// numbers them.
    pub fn absorb(&mut self, event: &Event) {
        match event {
            Event::Allocated { new, chosen, .. } => {
                for allocation in new {
                    if chosen.contains(&allocation.address) {
                        self.cursors.insert(allocation.block, allocation.address);
                    }
                    self.allocations.insert(allocation.address, allocation.clone());
                }
            }
            Event::Released(old) => {
                for allocation in old {
                    self.allocations.remove(&allocation.address);
                }
            }
            Event::Reserved(prefix) => {
                self.reserved.insert(*prefix);
            }
            Event::Unreserved(prefix) => {
                self.reserved.remove(prefix);
            }
            Event::Imported { allocations, reserved } => {
                self.allocations.extend(allocations.iter().map(|one| (one.address, one.clone())));
                self.reserved.extend(reserved);
            }
            Event::Claimed(claims) => self.claims.clone_from(claims),
        }
    }

    /// True when both hold the same allocations, reservations and claims.
    pub fn same_facts(&self, other: &Self) -> bool {
        self.allocations == other.allocations
            && self.reserved == other.reserved
            && self.claims == other.claims
    }
}

/// Allocations as a list: the address is in each of them already.
mod as_list {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Allocation;

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<IpAddr, Allocation>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<IpAddr, Allocation>, D::Error> {
        let list = Vec::<Allocation>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|allocation| (allocation.address, allocation)).collect())
    }
}
