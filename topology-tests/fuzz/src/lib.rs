//! What the targets do, as functions, so that a smoke run needs no fuzzer:
//! `cargo test --lib`.

pub mod api;
pub mod bfd_packet;
pub mod bfd_session;
pub mod bgp_attr;
pub mod bgp_session;
pub mod bgp_wire;
pub mod config;
pub mod discovery;
pub mod filter;
pub mod netlink;
pub mod policy;
pub mod rip_instance;
pub mod rip_packet;

#[cfg(test)]
mod smoke;
