//! ROUTE-REFRESH (RFC 2918 §3, RFC 7313).

use bytes::BytesMut;

use super::error::WireError;
use super::frame::Frame;
use super::message::RouteRefresh;
use super::notification::refresh;
use super::read::Reader;

/// Subtypes 1 and 2, begin and end, are four octets and nothing else
/// (RFC 7313 §5). A request may carry filters that we do not speak (RFC 5291).
pub(super) fn decode(frame: Frame<'_>) -> Result<RouteRefresh, WireError> {
    let mut body = Reader(frame.body());
    let wrong = || {
        WireError::new(refresh::CODE, refresh::BAD_LENGTH, "the ROUTE-REFRESH has a wrong length")
            .with(frame.message)
    };
    let (Some(afi), Some(subtype), Some(safi)) = (body.u16(), body.u8(), body.u8()) else {
        return Err(wrong());
    };
    if matches!(subtype, 1 | 2) && !body.is_empty() {
        return Err(wrong());
    }
    Ok(RouteRefresh { afi, subtype, safi })
}

/// Writes the body.
pub(super) fn encode(message: RouteRefresh, out: &mut BytesMut) {
    let [high, low] = message.afi.to_be_bytes();
    out.extend_from_slice(&[high, low, message.subtype, message.safi]);
}
