//! What `check` finds: each finding with its cure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use net::{Family, Prefix};

use crate::allocate::reservation;
use crate::event::Image;
use crate::ledger::Ledger;
use crate::model::BlockState;
use crate::why::Reservation;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Notice,
    /// Will hurt if nothing is done.
    Warning,
    /// Wrong now.
    Error,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An address is allocated in a block that is not this node's any more.
    Retired {
        /// The address.
        address: IpAddr,
        /// The block it was taken from.
        block: Prefix,
        /// Its owner.
        handle: Option<String>,
    },
    /// An address is allocated that must not be given out: a bridge got it
    /// afterwards, or its block changed.
    OnReserved {
        /// The address.
        address: IpAddr,
        /// What reserves it.
        by: Reservation,
    },
    /// A block has nothing left.
    Full {
        /// The block.
        block: Prefix,
        /// How many addresses it has.
        total: u64,
    },
    /// A handle has more than one address of a family, which only a recovery
    /// from damage can bring about.
    HandleTwice {
        /// The handle.
        handle: String,
        /// What it holds.
        addresses: Vec<IpAddr>,
    },
    /// The database does not take writes; the journal carries on alone.
    DatabaseDown {
        /// What went wrong.
        error: String,
    },
    /// A copy on disk cannot be read.
    Unreadable {
        /// `journal` or `database`.
        copy: &'static str,
        /// What went wrong.
        error: String,
    },
    /// A copy on disk differs from memory.
    Differs {
        /// `journal` or `database`.
        copy: &'static str,
        /// Addresses and claims that memory has and the copy has not, or otherwise.
        missing: usize,
        /// Addresses and claims that the copy has and memory has not.
        extra: usize,
    },
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Retired { .. } => Severity::Notice,
            Self::OnReserved { .. } | Self::Full { .. } => Severity::Warning,
            Self::HandleTwice { .. }
            | Self::DatabaseDown { .. }
            | Self::Unreadable { .. }
            | Self::Differs { .. } => Severity::Error,
        }
    }

    /// What to do about it.
    pub fn cure(&self) -> String {
        match self {
            Self::Retired { address, .. } | Self::OnReserved { address, .. } => {
                format!("when its owner is gone: routectl ipam release {address}")
            }
            Self::Full { .. } => {
                "release addresses, or give the node another block ([ipam] blocks)".to_owned()
            }
            Self::HandleTwice { .. } => "release the address that its owner does not use".to_owned(),
            Self::DatabaseDown { .. } => {
                "see that the disk has space and is sound, then restart routed; nothing is lost meanwhile"
                    .to_owned()
            }
            Self::Unreadable { .. } | Self::Differs { .. } => {
                "keep routectl ipam export in a safe place, then restart routed: start repairs the copy"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retired { address, block, handle } => {
                let handle = handle.as_deref().unwrap_or("nobody by name");
                write!(f, "{address} (of {handle}) is in block {block}, which this node no longer has")
            }
            Self::OnReserved { address, by } => write!(f, "{address} is allocated, but {by}"),
            Self::Full { block, total } => write!(f, "block {block} is full: {total} of {total} allocated"),
            Self::HandleTwice { handle, addresses } => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "handle {handle:?} holds {} of one family", addresses.join(", "))
            }
            Self::DatabaseDown { error } => write!(f, "the address database takes no writes: {error}"),
            Self::Unreadable { copy, error } => write!(f, "the address {copy} cannot be read: {error}"),
            Self::Differs { copy, missing, extra } => {
                write!(
                    f,
                    "the address {copy} differs from memory: {missing} missing or other, {extra} too many"
                )
            }
        }
    }
}

/// Findings of the ledger itself.
pub(crate) fn check_ledger(ledger: &Ledger) -> Vec<Finding> {
    let snapshot = ledger.snapshot();
    let layout = ledger.layout();
    let mut findings = Vec::new();
    for allocation in snapshot.allocations {
        let (address, block) = (allocation.address, allocation.block);
        if layout.block_of(address).is_none() {
            findings.push(Finding::Retired { address, block, handle: allocation.handle });
        } else if let Some((by, _)) = reservation(layout, &ledger.image().reserved, block, address) {
            findings.push(Finding::OnReserved { address, by });
        }
    }
    for block in snapshot.blocks {
        if block.state == BlockState::Active && block.addresses_used >= block.addresses_total {
            findings.push(Finding::Full { block: block.prefix, total: block.addresses_total });
        }
    }
    for (handle, addresses) in ledger.handles() {
        let families: BTreeSet<_> = addresses.iter().map(|address| Family::of(*address)).collect();
        if families.len() < addresses.len() {
            let addresses = addresses.iter().copied().collect();
            findings.push(Finding::HandleTwice { handle: handle.clone(), addresses });
        }
    }
    findings
}

/// The finding about one copy on disk, if it is not what memory has.
pub(crate) fn check_copy(
    copy: &'static str,
    memory: &Image,
    found: Result<Image, String>,
) -> Option<Finding> {
    let image = match found {
        Ok(image) if image.same_facts(memory) => return None,
        Ok(image) => image,
        Err(error) => return Some(Finding::Unreadable { copy, error }),
    };
    let has = |address: &IpAddr, allocation| image.allocations.get(address) == Some(allocation);
    let missing = memory.allocations.iter().filter(|(address, allocation)| !has(address, allocation)).count();
    let missing = missing + memory.claims.difference(&image.claims).count();
    let extra = image.allocations.keys().filter(|address| !memory.allocations.contains_key(address)).count();
    let extra = extra + image.claims.difference(&memory.claims).count();
    Some(Finding::Differs { copy, missing, extra })
}
