//! Views of pools, blocks and addresses.

use std::collections::BTreeMap;

use api::v1;
use serde::Serialize;

use super::{Cell, Column, Level, Row, Tone, time};

/// A pool.
#[derive(Debug, Serialize)]
pub(crate) struct PoolView {
    prefix: String,
    block_length: Option<u32>,
    blocks: u64,
    addresses_total: u64,
    addresses_used: u64,
}

impl From<v1::Pool> for PoolView {
    fn from(pool: v1::Pool) -> Self {
        Self {
            prefix: pool.prefix,
            block_length: pool.block_length,
            blocks: pool.blocks,
            addresses_total: pool.addresses_total,
            addresses_used: pool.addresses_used,
        }
    }
}

impl Row for PoolView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "POOL", |p| Cell::new(&p.prefix)),
        Column::number(Level::Short, "BLOCK_LENGTH", |p| Cell::maybe(p.block_length)),
        Column::number(Level::Short, "BLOCKS", |p| Cell::new(p.blocks)),
        Column::number(Level::Short, "ADDRESSES", |p| Cell::new(p.addresses_total)),
        Column::number(Level::Short, "USED", |p| Cell::new(p.addresses_used)),
    ];
}

/// A block.
#[derive(Debug, Serialize)]
pub(crate) struct BlockView {
    prefix: String,
    pool: Option<String>,
    node: String,
    state: String,
    addresses_total: u64,
    addresses_used: Option<u64>,
}

impl From<v1::Block> for BlockView {
    fn from(block: v1::Block) -> Self {
        Self {
            state: block.state().to_string(),
            prefix: block.prefix,
            pool: block.pool,
            node: block.node,
            addresses_total: block.addresses_total,
            addresses_used: block.addresses_used,
        }
    }
}

impl BlockView {
    fn state_cell(&self) -> Cell {
        let tone = match self.state.as_str() {
            "owned" => Tone::Good,
            "conflict" => Tone::Bad,
            "claiming" | "draining" => Tone::Fair,
            _ => Tone::Plain,
        };
        Cell::new(&self.state).tone(tone)
    }
}

impl Row for BlockView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "BLOCK", |b| Cell::new(&b.prefix)),
        Column::text(Level::Short, "POOL", |b| Cell::maybe(b.pool.as_ref())),
        Column::text(Level::Short, "NODE", |b| Cell::new(&b.node)),
        Column::text(Level::Short, "STATE", Self::state_cell),
        Column::number(Level::Short, "ADDRESSES", |b| Cell::new(b.addresses_total)),
        Column::number(Level::Short, "USED", |b| Cell::maybe(b.addresses_used)),
    ];
}

/// An address that was handed out.
#[derive(Debug, Serialize)]
pub(crate) struct AddressView {
    address: String,
    pool: Option<String>,
    block: String,
    handle: Option<String>,
    labels: BTreeMap<String, String>,
    allocated_at: String,
}

impl From<v1::Address> for AddressView {
    fn from(address: v1::Address) -> Self {
        Self {
            address: address.address,
            pool: address.pool,
            block: address.block,
            handle: address.handle,
            labels: address.labels.into_iter().collect(),
            allocated_at: time::moment(address.allocated_at),
        }
    }
}

impl AddressView {
    /// The address itself.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn labels(&self) -> String {
        self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }
}

impl Row for AddressView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "ADDRESS", |a| Cell::new(&a.address)),
        Column::text(Level::Short, "BLOCK", |a| Cell::new(&a.block)),
        Column::text(Level::Wide, "POOL", |a| Cell::maybe(a.pool.as_ref())),
        Column::text(Level::Short, "HANDLE", |a| Cell::maybe(a.handle.as_ref())),
        Column::text(Level::Short, "ALLOCATED_AT", |a| Cell::new(&a.allocated_at)),
        Column::text(Level::Short, "LABELS", |a| Cell::new(a.labels())),
    ];
}

/// What became of a reservation.
#[derive(Debug, Serialize)]
pub(crate) struct ReservationView {
    pub(crate) prefix: String,
    pub(crate) outcome: String,
}

/// What an import did.
#[derive(Debug, Serialize)]
pub(crate) struct ImportView {
    pub(crate) created: u64,
    pub(crate) unchanged: u64,
}
