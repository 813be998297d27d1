//! Placeholder page, written with the crate.

pub mod nft;
