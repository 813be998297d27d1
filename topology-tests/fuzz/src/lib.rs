//! What the targets do, as functions, so that a smoke run needs no fuzzer:
//! `cargo test --lib`.

pub mod bfd_packet;
pub mod bfd_session;
pub mod bgp_attr;
pub mod bgp_session;
pub mod bgp_wire;
pub mod discovery;
pub mod rip_instance;
pub mod rip_packet;

#[cfg(test)]
mod smoke;
