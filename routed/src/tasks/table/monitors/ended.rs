//! The end of a session as collectors are told it.

use bgp::conn::Up;
use bgp::peer::Why;
use monitor::bmp::Ended;

/// Why a session is down, in the words of RFC 7854 §4.9.
pub(super) fn ended(why: &Why, up: &Up) -> Ended {
    /// `TcpConnectionFails` (RFC 4271 §8.1.4) and `SendHoldTimer_Expires` (RFC 9687 §3.1).
    const NONE: u16 = 0;
    const SEND_HOLD: u16 = 29;
    match (why, why.sent(up)) {
        (_, Some(notification)) => Ended::Sent(notification),
        (Why::Received(notification), None) => Ended::Received(notification.clone()),
        (Why::Closed(_), None) => Ended::Closed,
        (Why::SendHoldExpired, None) => Ended::Local(SEND_HOLD),
        (Why::NotStarted, None) => Ended::Unmonitored,
        _ => Ended::Local(NONE),
    }
}
