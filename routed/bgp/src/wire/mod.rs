//! The wire format of BGP-4: bytes to values and back.
//!
//! *In*: octets of a TCP stream. [`frame`] cuts them into messages, [`decode`]
//! makes a [`Message`] of each, or a [`WireError`] that is the NOTIFICATION to
//! send. *Out*: [`Encoder`] packs routes that share their attributes into as
//! few messages as the session allows.
//!
//! What a session has negotiated comes in as [`Rx`] and [`Tx`]: nothing is
//! guessed from the bytes. Malformed UPDATEs are handled as RFC 7606 says.
//!
//! *Must not know*: who the peer is, what a route is worth, sockets, time.
//!
//! RFC 2545, 2918, 4271, 4360, 4456, 4724, 4760, 5065, 5492, 5701, 6793, 7311,
//! 7313, 7606, 7607, 7911, 8092, 8538, 8654, 8950, 9003, 9072, 9234, 9494.
//!
//! Ours: a next hop that no host can have (0/8, 224/3, `::`, multicast)
//! withdraws the routes; routes of a family that was not negotiated are
//! ignored with a [`Fault`]; where RFC 7606 leaves the choice between
//! disabling a family and resetting the session, the family is disabled if the
//! session has another one; an unknown optional non-transitive attribute is
//! dropped without one.

mod as_path;
mod attr;
mod capability;
mod encode;
mod error;
mod frame;
pub mod message;
mod nlri;
pub mod notification;
mod open;
mod read;
mod refresh;
mod update;
mod write;

pub use encode::{Encoder, encode_attributes, encode_message, fits};
pub use error::{EncodeError, WireError};
pub use frame::{Frame, HEADER, Kind, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, frame};
pub use message::{
    AddPath, Capability, Fault, GracefulRestart, LongLived, Message, Nlri, Notification, Open, Reach,
    RouteRefresh, Treatment, Update,
};
pub use notification::Communication;

/// What reading depends on: what was negotiated for this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one negotiated property of the session")]
pub struct Rx {
    /// AS numbers have four octets (RFC 6793).
    pub as4: bool,
    /// The peer is outside our AS, and outside our confederation.
    pub external: bool,
    /// The peer may send messages of more than 4096 octets (RFC 8654).
    pub extended: bool,
    /// Prefixes come with path identifiers (RFC 7911), by [`net::Family::index`].
    pub add_path: [bool; 2],
    /// IPv4 prefixes may have an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// AIGP is taken (RFC 7311 §3.2: `AIGP_SESSION`); else it is ignored.
    pub aigp: bool,
    /// The families that both offered, by [`net::Family::index`].
    pub families: [bool; 2],
    /// Of these, the ones that a malformed message has disabled (RFC 4760 §7),
    /// by [`net::Family::index`].
    pub disabled: [bool; 2],
}

impl Rx {
    /// The longest message that the peer may send, for [`frame`].
    pub fn max(self) -> usize {
        max(self.extended)
    }
}

impl Default for Rx {
    /// An external session of four-octet speakers, both families, no options.
    fn default() -> Self {
        Self {
            as4: true,
            external: true,
            extended: false,
            add_path: [false; 2],
            extended_next_hop: false,
            aigp: false,
            families: [true; 2],
            disabled: [false; 2],
        }
    }
}

/// What writing depends on: what was negotiated for this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tx {
    /// AS numbers have four octets (RFC 6793).
    pub as4: bool,
    /// The peer takes messages of more than 4096 octets (RFC 8654).
    pub extended_messages: bool,
    /// Prefixes go with path identifiers (RFC 7911), by [`net::Family::index`].
    pub add_path: [bool; 2],
    /// The peer knows the marks of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
}

impl Tx {
    /// The longest message that the peer takes.
    pub fn max(self) -> usize {
        max(self.extended_messages)
    }
}

impl Default for Tx {
    /// A session of four-octet speakers without options.
    fn default() -> Self {
        Self { as4: true, extended_messages: false, add_path: [false; 2], enhanced_refresh: false }
    }
}

/// The longest message of a session.
fn max(extended: bool) -> usize {
    if extended { MAX_EXTENDED_MESSAGE } else { MAX_MESSAGE }
}

/// Reads a message. Total: every input gives a message or the error to send;
/// nothing panics, and room is made only for what is there.
pub fn decode(frame: Frame<'_>, rx: &Rx) -> Result<Message, WireError> {
    match frame.kind {
        Kind::Open => open::decode(frame.body()).map(Message::Open),
        Kind::Update => update::decode(frame.body(), *rx).map(Message::Update),
        Kind::Notification => notification::decode(frame.body()).map(Message::Notification),
        Kind::Keepalive => Ok(Message::Keepalive),
        Kind::RouteRefresh => refresh::decode(frame).map(Message::RouteRefresh),
    }
}
