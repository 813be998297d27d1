//! Which address a request gets: pure functions of the ledger.
//!
//! Lowest free address first. Behind the address that was given out last the
//! search goes on, round the block, so that an address just released rests
//! while others are free: neighbours may still have it in their caches.

use std::collections::BTreeSet;
use std::net::IpAddr;

use net::{Family, Prefix};

use crate::block::{Part, size};
use crate::ledger::Ledger;
use crate::model::Allocation;
use crate::pool::Layout;
use crate::why::{Reservation, Why};

/// What reserves an address inside a block, and the last address of what is
/// reserved there.
pub(crate) fn reservation(
    layout: &Layout,
    reserved: &BTreeSet<Prefix>,
    block: Prefix,
    address: IpAddr,
) -> Option<(Reservation, IpAddr)> {
    // RFC 3021 and RFC 6164: in a /31 and a /127 both addresses are hosts.
    let has_ends = block.family().max_length() - block.len() > 1;
    if has_ends && address == block.address() {
        Some((Reservation::Network, address))
    } else if has_ends && address.is_ipv4() && address == block.last_address() {
        Some((Reservation::Broadcast, address))
    } else if layout.is_bridge(address) {
        Some((Reservation::Bridge, address))
    } else {
        let range = reserved.iter().find(|range| range.contains(address))?;
        Some((Reservation::Range(*range), range.last_address()))
    }
}

/// How many addresses of a block can be given out at all.
pub(crate) fn total(layout: &Layout, reserved: &BTreeSet<Prefix>, block: Prefix) -> u64 {
    if reserved.iter().any(|range| range.covers(block)) {
        return 0;
    }
    let mut out: BTreeSet<Prefix> = reserved.iter().copied().filter(|range| block.covers(*range)).collect();
    let single = [block.address(), block.last_address()].into_iter().chain(layout.bridges_in(block));
    out.extend(single.filter(|one| reservation(layout, reserved, block, *one).is_some()).map(Prefix::host));
    let mut kept: Option<Prefix> = None;
    let mut count = 0_u128;
    for range in out {
        if !kept.is_some_and(|kept| kept.covers(range)) {
            kept = Some(range);
            count = count.saturating_add(size(range));
        }
    }
    u64::try_from(size(block).saturating_sub(count)).unwrap_or(u64::MAX)
}

/// The address that a request without a wish gets, with its block.
pub(crate) fn choose(ledger: &Ledger, family: Family, pool: Option<Prefix>) -> Result<(Prefix, IpAddr), Why> {
    let (layout, reserved) = (ledger.layout(), &ledger.image().reserved);
    let asked = |block: &Prefix| block.family() == family && pool.is_none_or(|pool| pool.covers(*block));
    let blocks: Vec<Prefix> = layout.blocks().iter().copied().filter(asked).collect();
    if blocks.is_empty() {
        return Err(Why::NoBlock { family, pool });
    }
    for part in Part::ORDER {
        for &prefix in &blocks {
            let until = |address| reservation(layout, reserved, prefix, address).map(|(_, last)| last);
            if let Some(address) = ledger.block(prefix).and_then(|block| block.search(part, until)) {
                return Ok((prefix, address));
            }
        }
    }
    let total = blocks.iter().map(|block| total(layout, reserved, *block)).fold(0, u64::saturating_add);
    Err(Why::Exhausted { family, pool, total })
}

/// The block and pool of an address that a request names, if it can have it.
pub(crate) fn claim(ledger: &Ledger, address: IpAddr, pool: Option<Prefix>) -> Result<(Prefix, Prefix), Why> {
    let layout = ledger.layout();
    let Some(its_pool) = layout.pool_of(address) else {
        return Err(Why::OutsidePools { prefix: Prefix::host(address), pools: layout.pools().to_vec() });
    };
    if let Some(pool) = pool.filter(|pool| *pool != its_pool) {
        return Err(Why::NotInPool { address, pool });
    }
    if let Some(Allocation { handle, .. }) = ledger.image().allocations.get(&address) {
        return Err(Why::Allocated { address, handle: handle.clone() });
    }
    let Some(block) = layout.block_of(address) else {
        let (node, blocks) = (layout.node().to_owned(), layout.blocks().to_vec());
        return Err(Why::OutsideBlocks { address, pool: its_pool, node, blocks });
    };
    match reservation(layout, &ledger.image().reserved, block, address) {
        Some((by, _)) => Err(Why::Reserved { address, by }),
        None => Ok((block, its_pool)),
    }
}
