//! What can be wrong with a message, received or to be sent.

use net::{Family, NextHop, Prefix};

use super::message::Notification;
use super::notification::{header, update};

/// A received message that ends the session: what to put into the
/// NOTIFICATION, and what was wrong in words.
///
/// Milder malformations are no error: they stand in
/// [`Update::faults`](super::Update::faults), with what was done about them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; sending NOTIFICATION {code}/{subcode}")]
pub struct WireError {
    /// The error code (RFC 4271 §6).
    pub code: u8,
    /// The error subcode.
    pub subcode: u8,
    /// What the RFC wants in the data field: a length, a type, an attribute.
    pub data: Box<[u8]>,
    /// What was wrong, in one clause.
    pub what: &'static str,
}

impl WireError {
    /// An error with an empty data field.
    pub(super) fn new(code: u8, subcode: u8, what: &'static str) -> Self {
        Self { code, subcode, data: Box::default(), what }
    }

    /// The same with a data field.
    pub(super) fn with(self, data: &[u8]) -> Self {
        Self { data: data.into(), ..self }
    }

    /// RFC 4271 §6.1.
    pub(super) fn header(subcode: u8, what: &'static str) -> Self {
        Self::new(header::CODE, subcode, what)
    }

    /// RFC 4271 §6.3.
    pub(super) fn update(subcode: u8, what: &'static str) -> Self {
        Self::new(update::CODE, subcode, what)
    }

    /// The NOTIFICATION to send before the connection is closed.
    pub fn notification(&self) -> Notification {
        Notification { code: self.code, subcode: self.subcode, data: self.data.clone() }
    }
}

impl From<WireError> for Notification {
    fn from(error: WireError) -> Self {
        Self { code: error.code, subcode: error.subcode, data: error.data }
    }
}

/// A value that has no wire form; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A route has no next hop, or one that its family cannot carry.
    #[error("an {family} route cannot carry the next hop {next_hop:?}; set one of its own family")]
    NextHop {
        /// The family of the route.
        family: Family,
        /// What it has for a next hop.
        next_hop: Option<NextHop>,
    },
    /// A prefix does not belong to the family of the call.
    #[error("{prefix} is no {family} prefix; encode each family by itself")]
    Family {
        /// The family of the call.
        family: Family,
        /// The prefix.
        prefix: Prefix,
    },
    /// The attributes leave no room for a prefix; the longest one is named.
    #[error("attribute {code} has {length} octets, so that no message of {max} holds a route; shorten it")]
    TooLong {
        /// The type code of the longest attribute.
        code: u8,
        /// The length of its value.
        length: usize,
        /// The most octets that a message to this peer may have.
        max: usize,
    },
    /// A raw attribute has the code of one with a field of its own in `Attrs`.
    #[error("attribute {code} has a field of its own; it cannot be sent from the unknown ones")]
    NotUnknown {
        /// The type code.
        code: u8,
    },
    /// A message or a field of one (not an UPDATE) is longer than its length
    /// field or the session allows.
    #[error("{what} has {length} octets, more than {max}; shorten it")]
    Oversize {
        /// What is too long.
        what: &'static str,
        /// Its length in octets.
        length: usize,
        /// The most that it may have.
        max: usize,
    },
}
