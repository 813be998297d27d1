//! BGP-4 without sockets or clock: the wire format and the session state machine.

pub mod wire;
