//! The gRPC contract of routed, version 1: package `routed.v1`.
//!
//! The `.proto` files under `proto/routed/v1` are the reference; [`v1`] is what
//! the build makes of them: messages, clients and server traits. What is here
//! beside them is small: [`problem`] gives errors an object and a next step on
//! both sides of the wire, [`words`] is how enumerations are spelled for people,
//! [`calls`] which calls change something.
//!
//! *In*: what `routectl`, orchestrators and other clients ask. *Out*: answers
//! and streams. *Must not know*: any of the daemon's own types; the daemon
//! converts at its edge.

pub mod calls;
pub mod problem;
pub mod words;

/// Messages, clients and server traits of package `routed.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "generated; its documentation is that of the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("routed.v1");
}

pub use problem::Problem;

/// The compiled `.proto` files, for the reflection service.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/routed.v1.bin"));
