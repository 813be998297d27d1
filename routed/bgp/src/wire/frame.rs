//! From a stream of bytes to whole messages (RFC 4271 §4.1, §6.1).

use bytes::BytesMut;

use super::error::WireError;
use super::notification::header;

/// The header: marker, length and type.
pub const HEADER: usize = 19;
/// The longest message of RFC 4271.
pub const MAX_MESSAGE: usize = 4096;
/// The longest message where both speak RFC 8654.
pub const MAX_EXTENDED_MESSAGE: usize = 65_535;

/// The type of a message; its number is that of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// OPEN.
    Open = 1,
    /// UPDATE.
    Update = 2,
    /// NOTIFICATION.
    Notification = 3,
    /// KEEPALIVE.
    Keepalive = 4,
    /// ROUTE-REFRESH (RFC 2918).
    RouteRefresh = 5,
}

impl Kind {
    /// The kind with this number, the least and the most octets of its
    /// messages with the header (RFC 4271 §6.1, RFC 2918 §3).
    ///
    /// OPEN and KEEPALIVE never become extended (RFC 8654 §4).
    fn of(number: u8, max: usize) -> Option<(Self, usize, usize)> {
        Some(match number {
            1 => (Self::Open, 29, max.min(MAX_MESSAGE)),
            2 => (Self::Update, 23, max),
            3 => (Self::Notification, 21, max),
            4 => (Self::Keepalive, HEADER, HEADER),
            5 => (Self::RouteRefresh, 23, max),
            _ => return None,
        })
    }
}

/// One whole message, still as bytes: the header is known to be sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The type.
    pub kind: Kind,
    /// The message with its header.
    pub message: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What stands after the header.
    pub fn body(self) -> &'a [u8] {
        self.message.get(HEADER..).unwrap_or_default()
    }
}

/// The first message in `buf` and how many octets it takes; `None` while it
/// is not there as a whole. `max` is the longest message of the session:
/// [`MAX_MESSAGE`] or [`MAX_EXTENDED_MESSAGE`].
///
/// A wrong header is an error as soon as the header is there, before anything
/// waits or makes room for a length that it claims.
pub fn frame(buf: &[u8], max: usize) -> Result<Option<(Frame<'_>, usize)>, WireError> {
    let Some((head, _)) = buf.split_first_chunk::<HEADER>() else { return Ok(None) };
    let [marker @ .., high, low, number] = head;
    if marker.iter().any(|octet| *octet != 0xff) {
        return Err(WireError::header(header::NOT_SYNCHRONIZED, "the marker is not all ones"));
    }
    let (kind, least, most) = Kind::of(*number, max)
        .ok_or_else(|| WireError::header(header::BAD_TYPE, "the message type is unknown").with(&[*number]))?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length < least || length > most {
        let error = WireError::header(header::BAD_LENGTH, "the message length does not fit its type");
        return Err(error.with(&[*high, *low]));
    }
    Ok(buf.get(..length).map(|message| (Frame { kind, message }, length)))
}

/// Writes a header whose length is to be [`close`]d.
pub(super) fn open(out: &mut BytesMut, kind: Kind) -> usize {
    let start = out.len();
    let mut header = [0xff; HEADER];
    [header[16], header[17], header[18]] = [0, 0, kind as u8];
    out.extend_from_slice(&header);
    start
}

/// Puts the length into the header that begins at `start`. A message never
/// has more octets than the field can say: the callers have seen to it.
pub(super) fn close(out: &mut [u8], start: usize) {
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    out[start + 16..start + 18].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const KEEPALIVE: [u8; 19] = hex!("ffffffffffffffffffffffffffffffff 0013 04");

    fn head(length: u16, kind: u8) -> Vec<u8> {
        let mut bytes = KEEPALIVE.to_vec();
        bytes[16..18].copy_from_slice(&length.to_be_bytes());
        bytes[18] = kind;
        bytes
    }

    /// Code, subcode and data of the refusal, or what came out.
    fn check(bytes: &[u8], max: usize) -> Result<Option<usize>, (u8, u8, Vec<u8>)> {
        frame(bytes, max).map(|found| found.map(|(_, n)| n)).map_err(|e| (e.code, e.subcode, e.data.to_vec()))
    }

    #[test]
    fn every_part_of_a_message_is_awaited() {
        for n in 0..19 {
            assert_eq!(check(&KEEPALIVE[..n], MAX_MESSAGE), Ok(None), "{n}");
        }
        assert_eq!(check(&[&KEEPALIVE[..], &[1, 2]].concat(), MAX_MESSAGE), Ok(Some(19)));
        assert_eq!(check(&head(23, 2), MAX_MESSAGE), Ok(None));
    }

    #[test]
    fn a_broken_marker_is_1_1() {
        let mut bytes = KEEPALIVE;
        bytes[15] = 0xfe;
        assert_eq!(check(&bytes, MAX_MESSAGE), Err((1, 1, vec![])));
    }

    #[test]
    fn a_length_outside_the_type_is_1_2_with_the_length() {
        for (length, kind, max) in [
            (18, 4, MAX_MESSAGE),
            (20, 4, MAX_MESSAGE),
            (28, 1, MAX_MESSAGE),
            (22, 2, MAX_MESSAGE),
            (20, 3, MAX_MESSAGE),
            (22, 5, MAX_MESSAGE),
            (4097, 2, MAX_MESSAGE),
            (4097, 1, MAX_EXTENDED_MESSAGE),
            (4097, 4, MAX_EXTENDED_MESSAGE),
        ] {
            assert_eq!(
                check(&head(length, kind), max),
                Err((1, 2, length.to_be_bytes().to_vec())),
                "{length} {kind}"
            );
        }
        assert_eq!(check(&head(4096, 2), MAX_MESSAGE), Ok(None));
        assert_eq!(check(&head(65_535, 2), MAX_EXTENDED_MESSAGE), Ok(None));
    }

    #[test]
    fn an_unknown_type_is_1_3_with_the_type() {
        assert_eq!(check(&head(19, 0), MAX_MESSAGE), Err((1, 3, vec![0])));
        assert_eq!(check(&head(19, 6), MAX_MESSAGE), Err((1, 3, vec![6])));
    }
}
