//! NOTIFICATION (RFC 4271 §4.5): its names, and the text that Cease can carry
//! (RFC 9003).

use std::fmt;

use bytes::BytesMut;

use super::error::WireError;
use super::message::Notification;
use super::read::Reader;

/// Message header errors (RFC 4271 §6.1).
pub mod header {
    /// The error code.
    pub const CODE: u8 = 1;
    /// Connection not synchronized: a wrong marker.
    pub const NOT_SYNCHRONIZED: u8 = 1;
    /// Bad message length; data: the length field.
    pub const BAD_LENGTH: u8 = 2;
    /// Bad message type; data: the type.
    pub const BAD_TYPE: u8 = 3;
}

/// OPEN message errors (RFC 4271 §6.2).
pub mod open {
    /// The error code.
    pub const CODE: u8 = 2;
    /// Unspecific: a parameter or capability that is known but malformed.
    pub const UNSPECIFIC: u8 = 0;
    /// Unsupported version number; data: the version that is supported, 16 bits.
    pub const UNSUPPORTED_VERSION: u8 = 1;
    /// Bad peer AS.
    pub const BAD_PEER_AS: u8 = 2;
    /// Bad BGP identifier.
    pub const BAD_IDENTIFIER: u8 = 3;
    /// Unsupported optional parameter.
    pub const UNSUPPORTED_PARAMETER: u8 = 4;
    /// Unacceptable hold time.
    pub const UNACCEPTABLE_HOLD_TIME: u8 = 6;
    /// Unsupported capability (RFC 5492 §5); data: the capabilities that are wanted.
    pub const UNSUPPORTED_CAPABILITY: u8 = 7;
    /// Role mismatch (RFC 9234 §4.2).
    pub const ROLE_MISMATCH: u8 = 11;
}

/// UPDATE message errors (RFC 4271 §6.3).
pub mod update {
    /// The error code.
    pub const CODE: u8 = 3;
    /// Malformed attribute list.
    pub const MALFORMED_LIST: u8 = 1;
    /// Unrecognized well-known attribute; data: the attribute.
    pub const UNRECOGNIZED_WELL_KNOWN: u8 = 2;
    /// Missing well-known attribute; data: its type code.
    pub const MISSING_WELL_KNOWN: u8 = 3;
    /// Attribute flags error; data: the attribute.
    pub const FLAGS: u8 = 4;
    /// Attribute length error; data: the attribute.
    pub const LENGTH: u8 = 5;
    /// Invalid ORIGIN; data: the attribute.
    pub const ORIGIN: u8 = 6;
    /// Invalid `NEXT_HOP`; data: the attribute.
    pub const NEXT_HOP: u8 = 8;
    /// Optional attribute error; data: the attribute.
    pub const OPTIONAL: u8 = 9;
    /// Invalid network field.
    pub const NETWORK: u8 = 10;
    /// Malformed `AS_PATH`.
    pub const AS_PATH: u8 = 11;
}

/// Cease (RFC 4486).
pub mod cease {
    /// The error code.
    pub const CODE: u8 = 6;
    /// Maximum number of prefixes reached.
    pub const MAX_PREFIXES: u8 = 1;
    /// Administrative shutdown; data: a shutdown communication (RFC 9003).
    pub const SHUTDOWN: u8 = 2;
    /// Peer de-configured.
    pub const DECONFIGURED: u8 = 3;
    /// Administrative reset; data: a shutdown communication (RFC 9003).
    pub const RESET: u8 = 4;
    /// Connection rejected.
    pub const REJECTED: u8 = 5;
    /// Other configuration change.
    pub const CONFIGURATION: u8 = 6;
    /// Connection collision resolution.
    pub const COLLISION: u8 = 7;
    /// Out of resources.
    pub const RESOURCES: u8 = 8;
    /// Hard reset (RFC 8538 §3); data: the NOTIFICATION that it stands for.
    pub const HARD_RESET: u8 = 9;
    /// BFD down (RFC 9384).
    pub const BFD_DOWN: u8 = 10;
}

/// ROUTE-REFRESH message errors (RFC 7313 §5).
pub mod refresh {
    /// The error code.
    pub const CODE: u8 = 7;
    /// Invalid message length; data: the message.
    pub const BAD_LENGTH: u8 = 1;
}

/// The names of the error codes, as the registry has them.
const CODES: [&str; 9] = [
    "Reserved",
    "Message Header Error",
    "OPEN Message Error",
    "UPDATE Message Error",
    "Hold Timer Expired",
    "Finite State Machine Error",
    "Cease",
    "ROUTE-REFRESH Message Error",
    "Send Hold Timer Expired",
];

/// The names of the subcodes, by error code; an empty name is a deprecated or
/// unassigned number.
const SUBCODES: [&[&str]; 8] = [
    &[],
    &["Unspecific", "Connection Not Synchronized", "Bad Message Length", "Bad Message Type"],
    &[
        "Unspecific",
        "Unsupported Version Number",
        "Bad Peer AS",
        "Bad BGP Identifier",
        "Unsupported Optional Parameter",
        "",
        "Unacceptable Hold Time",
        "Unsupported Capability",
        "",
        "",
        "",
        "Role Mismatch",
    ],
    &[
        "Unspecific",
        "Malformed Attribute List",
        "Unrecognized Well-known Attribute",
        "Missing Well-known Attribute",
        "Attribute Flags Error",
        "Attribute Length Error",
        "Invalid ORIGIN Attribute",
        "",
        "Invalid NEXT_HOP Attribute",
        "Optional Attribute Error",
        "Invalid Network Field",
        "Malformed AS_PATH",
    ],
    &[],
    &[
        "Unspecified Error",
        "Receive Unexpected Message in OpenSent State",
        "Receive Unexpected Message in OpenConfirm State",
        "Receive Unexpected Message in Established State",
    ],
    &[
        "Unspecific",
        "Maximum Number of Prefixes Reached",
        "Administrative Shutdown",
        "Peer De-configured",
        "Administrative Reset",
        "Connection Rejected",
        "Other Configuration Change",
        "Connection Collision Resolution",
        "Out of Resources",
        "Hard Reset",
        "BFD Down",
    ],
    &["Unspecific", "Invalid Message Length"],
];

/// The most octets of a shutdown communication (RFC 9003 §2).
const MAX_COMMUNICATION: usize = 255;

/// What a NOTIFICATION carries for the operator (RFC 9003 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Communication<'a> {
    /// This code and subcode carry none, or the peer sent an empty one.
    None,
    /// The text.
    Text(&'a str),
    /// The length is wrong or the text is not UTF-8; it is not to be shown
    /// as text (RFC 9003 §4).
    Malformed,
}

impl Notification {
    /// A Cease with a text for the other operator, cut to 255 octets at a
    /// character's border; for [`cease::SHUTDOWN`] and [`cease::RESET`].
    pub fn cease(subcode: u8, text: &str) -> Self {
        let mut end = text.len().min(MAX_COMMUNICATION);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = &text[..end];
        let mut data = Vec::with_capacity(1 + text.len());
        data.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        data.extend_from_slice(text.as_bytes());
        Self { code: cease::CODE, subcode, data: data.into() }
    }

    /// The name of the error code.
    pub fn code_text(&self) -> &'static str {
        CODES.get(usize::from(self.code)).copied().unwrap_or("Unknown Error")
    }

    /// The name of the error: the subcode's where it has one, else the code's.
    pub fn text(&self) -> &'static str {
        let names = SUBCODES.get(usize::from(self.code)).copied().unwrap_or_default();
        match names.get(usize::from(self.subcode)) {
            Some(name) if !name.is_empty() && (self.subcode != 0 || self.code == 5) => name,
            _ => self.code_text(),
        }
    }

    /// What a Hard Reset stands for (RFC 8538 §3); `None` for any other, and
    /// for one that says nothing.
    pub fn inner(&self) -> Option<Self> {
        match (self.code, self.subcode, &*self.data) {
            (cease::CODE, cease::HARD_RESET, [code, subcode, data @ ..]) => {
                Some(Self { code: *code, subcode: *subcode, data: data.into() })
            }
            _ => None,
        }
    }

    /// The text of an administrative shutdown or reset (RFC 9003), also inside
    /// a Hard Reset.
    pub fn communication(&self) -> Communication<'_> {
        if let (cease::CODE, cease::HARD_RESET, [code, subcode, data @ ..]) =
            (self.code, self.subcode, &*self.data)
        {
            return communication(*code, *subcode, data);
        }
        communication(self.code, self.subcode, &self.data)
    }
}

/// The text that the data of a NOTIFICATION is (RFC 9003 §2).
fn communication(code: u8, subcode: u8, data: &[u8]) -> Communication<'_> {
    if code != cease::CODE || !matches!(subcode, cease::SHUTDOWN | cease::RESET) {
        return Communication::None;
    }
    let mut data = Reader(data);
    if data.is_empty() {
        return Communication::None;
    }
    match data.counted8().filter(|_| data.is_empty()).map(std::str::from_utf8) {
        Some(Ok("")) => Communication::None,
        Some(Ok(text)) => Communication::Text(text),
        _ => Communication::Malformed,
    }
}

impl fmt::Display for Notification {
    /// As a log line has it: `Administrative Shutdown (6/2)`; a Hard Reset says
    /// what it stands for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}/{})", self.text(), self.code, self.subcode)?;
        match self.inner() {
            Some(inner) => write!(f, ": {} ({}/{})", inner.text(), inner.code, inner.subcode),
            None => Ok(()),
        }
    }
}

/// Reads the body; framing has seen to its least length.
pub(super) fn decode(body: &[u8]) -> Result<Notification, WireError> {
    match body {
        [code, subcode, data @ ..] => Ok(Notification { code: *code, subcode: *subcode, data: data.into() }),
        _ => Err(WireError::header(header::BAD_LENGTH, "the NOTIFICATION has no error code")),
    }
}

/// Writes the body.
pub(super) fn encode(message: &Notification, out: &mut BytesMut) {
    out.extend_from_slice(&[message.code, message.subcode]);
    out.extend_from_slice(&message.data);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(code: u8, subcode: u8, data: &[u8]) -> Notification {
        Notification { code, subcode, data: data.into() }
    }

    #[test]
    fn errors_have_their_names() {
        for (code, subcode, text) in [
            (6, 2, "Administrative Shutdown (6/2)"),
            (2, 11, "Role Mismatch (2/11)"),
            (4, 0, "Hold Timer Expired (4/0)"),
            (5, 3, "Receive Unexpected Message in Established State (5/3)"),
            (3, 7, "UPDATE Message Error (3/7)"),
            (6, 0, "Cease (6/0)"),
            (8, 0, "Send Hold Timer Expired (8/0)"),
            (99, 1, "Unknown Error (99/1)"),
            (6, 9, "Hard Reset (6/9)"),
        ] {
            assert_eq!(notification(code, subcode, &[]).to_string(), text);
        }
        let hard = notification(6, 9, &[6, 2, 2, b'h', b'i']);
        assert_eq!(hard.to_string(), "Hard Reset (6/9): Administrative Shutdown (6/2)");
        assert_eq!(hard.communication(), Communication::Text("hi"));
    }

    #[test]
    fn the_shutdown_communication_is_checked() {
        assert_eq!(notification(6, 2, b"\x02hi").communication(), Communication::Text("hi"));
        assert_eq!(notification(6, 4, b"\x00").communication(), Communication::None);
        assert_eq!(notification(6, 2, b"").communication(), Communication::None);
        assert_eq!(notification(6, 3, b"\x02hi").communication(), Communication::None);
        assert_eq!(notification(6, 2, b"\x03hi").communication(), Communication::Malformed);
        assert_eq!(notification(6, 2, b"\x01hi").communication(), Communication::Malformed);
        assert_eq!(notification(6, 2, b"\x02\xff\xff").communication(), Communication::Malformed);
    }

    #[test]
    fn a_long_communication_is_cut_between_characters() {
        let cut = Notification::cease(cease::SHUTDOWN, &"ü".repeat(200));
        assert_eq!(cut.data.len(), 255);
        assert_eq!(cut.communication(), Communication::Text(&"ü".repeat(127)));
    }
}
