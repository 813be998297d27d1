//! The NOTIFICATIONs that the state machine sends, and what a received one means.

use net::Family;

use crate::wire::Notification;

/// The longest shutdown communication, in octets (RFC 9003 §2).
const MAX_COMMUNICATION: usize = 255;

/// Cease (RFC 4486 §3).
const CEASE: u8 = 6;

/// Hard Reset, a subcode of Cease (RFC 8538 §3).
const HARD_RESET: u8 = 9;

fn new(code: u8, subcode: u8, data: impl Into<Box<[u8]>>) -> Notification {
    Notification { code, subcode, data: data.into() }
}

/// OPEN error, Unsupported Version Number; the data is the version that we
/// speak (RFC 4271 §6.2).
pub(crate) fn unsupported_version() -> Notification {
    new(2, 1, [0, 4])
}

/// OPEN error, Bad Peer AS (RFC 4271 §6.2, RFC 7607 §2).
pub(crate) fn bad_peer_as() -> Notification {
    new(2, 2, [])
}

/// OPEN error, Bad BGP Identifier (RFC 4271 §6.2, RFC 6286 §2.2).
pub(crate) fn bad_identifier() -> Notification {
    new(2, 3, [])
}

/// OPEN error, Unacceptable Hold Time (RFC 4271 §6.2).
pub(crate) fn unacceptable_hold_time() -> Notification {
    new(2, 6, [])
}

/// OPEN error, Role Mismatch (RFC 9234 §4.2).
pub(crate) fn role_mismatch() -> Notification {
    new(2, 11, [])
}

/// True for the answer of a speaker that knows no capabilities (RFC 5492 §3):
/// OPEN error, Unsupported Optional Parameter.
pub(crate) fn means_no_capabilities(notification: &Notification) -> bool {
    (notification.code, notification.subcode) == (2, 4)
}

/// OPEN error, Unsupported Capability: the data lists the multiprotocol
/// capabilities that we need and the peer did not offer (RFC 5492 §5).
pub(crate) fn no_common_family(wanted: &[Family]) -> Notification {
    let data: Vec<u8> = wanted
        .iter()
        .flat_map(|family| {
            let [high, low] = family.afi().to_be_bytes();
            [1, 4, high, low, 0, family.safi()]
        })
        .collect();
    new(2, 7, data)
}

/// Hold Timer Expired (RFC 4271 §6.5).
pub(crate) fn hold_timer_expired() -> Notification {
    new(4, 0, [])
}

/// Finite State Machine Error; the subcode names the state (RFC 6608 §4).
pub(crate) fn unexpected_message(subcode: u8) -> Notification {
    new(5, subcode, [])
}

/// Cease, Maximum Number of Prefixes Reached (RFC 4486 §4).
pub(crate) fn max_prefixes(family: Family, limit: u32) -> Notification {
    let mut data = family.afi().to_be_bytes().to_vec();
    data.push(family.safi());
    data.extend(limit.to_be_bytes());
    new(CEASE, 1, data)
}

/// Cease, Administrative Shutdown, with the operator's words (RFC 9003 §2).
pub(crate) fn administrative_shutdown(text: Option<&str>) -> Notification {
    new(CEASE, 2, communication(text))
}

/// Cease, Peer De-configured (RFC 4486 §4).
pub(crate) fn deconfigured() -> Notification {
    new(CEASE, 3, [])
}

/// Cease, Administrative Reset, with the operator's words (RFC 9003 §2).
pub(crate) fn administrative_reset(text: Option<&str>) -> Notification {
    new(CEASE, 4, communication(text))
}

/// Cease, Connection Rejected (RFC 4486 §4).
pub(crate) fn connection_rejected() -> Notification {
    new(CEASE, 5, [])
}

/// Cease, Other Configuration Change (RFC 4486 §4).
pub(crate) fn configuration_change() -> Notification {
    new(CEASE, 6, [])
}

/// Cease, Connection Collision Resolution (RFC 4486 §4).
pub(crate) fn collision() -> Notification {
    new(CEASE, 7, [])
}

/// Cease, BFD Down (RFC 9384 §3).
pub(crate) fn bfd_down() -> Notification {
    new(CEASE, 10, [])
}

/// The same NOTIFICATION wrapped as Hard Reset, so that a peer that would
/// keep our routes does not (RFC 8538 §3).
pub(crate) fn hard_reset(inner: &Notification) -> Notification {
    let mut data = vec![inner.code, inner.subcode];
    data.extend(&inner.data);
    new(CEASE, HARD_RESET, data)
}

/// True for Cease/Hard Reset (RFC 8538 §3).
pub(crate) fn is_hard_reset(notification: &Notification) -> bool {
    (notification.code, notification.subcode) == (CEASE, HARD_RESET)
}

/// True for Hold Timer Expired, also as Hard Reset.
pub(crate) fn is_hold_expiry(notification: &Notification) -> bool {
    notification.code == 4 || is_hard_reset(notification) && notification.data.first() == Some(&4)
}

/// True for what a healthy peer says to a connection that comes at the wrong
/// moment: Cease with Connection Rejected or Connection Collision Resolution.
pub(crate) fn means_not_now(notification: &Notification) -> bool {
    matches!((notification.code, notification.subcode), (CEASE, 5 | 7))
}

/// True for what an operator of the peer has done: Cease with Administrative
/// Shutdown or Reset, Peer De-configured, Other Configuration Change.
pub(crate) fn is_operators_doing(notification: &Notification) -> bool {
    matches!((notification.code, notification.subcode), (CEASE, 2 | 3 | 4 | 6))
}

/// A length octet and the text, cut at a character so that it fits
/// (RFC 9003 §2); nothing for no text.
fn communication(text: Option<&str>) -> Vec<u8> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return vec![];
    };
    let mut length = text.len().min(MAX_COMMUNICATION);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    let mut data = vec![u8::try_from(length).unwrap_or(u8::MAX)];
    data.extend(&text.as_bytes()[..length]);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_communication_is_cut_between_characters() {
        let data = administrative_shutdown(Some(&"é".repeat(200))).data;
        assert_eq!(data[0], 254);
        assert_eq!(data.len(), 255);
        assert!(std::str::from_utf8(&data[1..]).is_ok());
        assert!(administrative_shutdown(Some("")).data.is_empty());
    }

    #[test]
    fn hard_reset_carries_the_notification_it_stands_for() {
        let wrapped = hard_reset(&administrative_shutdown(Some("hi")));
        assert!(is_hard_reset(&wrapped));
        assert_eq!(&*wrapped.data, [6, 2, 2, b'h', b'i']);
    }

    #[test]
    fn max_prefixes_names_family_and_limit() {
        assert_eq!(&*max_prefixes(Family::Ipv6Unicast, 258).data, [0, 2, 1, 0, 0, 1, 2]);
    }
}
