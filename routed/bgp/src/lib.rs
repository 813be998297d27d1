//! BGP-4 without sockets or clock: the wire format and the session state machine.
//!
//! *In*: bytes of a peer, events of its connections, the time. *Out*: messages
//! to send, routes learned, sessions that come and go. *Must not know*:
//! sockets, clocks, the routing table, the kernel.
//!
//! - [`wire`]: bytes and messages.
//! - [`conn`]: one TCP connection from `OpenSent` to Established.
//! - [`peer`]: one peer, its connections, its timers.
//! - [`discovery`]: who the peer at the other end of a link is.

pub mod conn;
pub mod discovery;
pub mod peer;
pub mod wire;

pub use peer::{Action, Event, Peer, PeerConfig, State};
