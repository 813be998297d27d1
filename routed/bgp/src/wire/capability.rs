//! Capabilities (RFC 5492 §4): code, length, value.

use net::Asn;

use super::error::EncodeError;
use super::message::{Capability, GracefulRestart};
use super::read::Reader;

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_MESSAGE: u8 = 6;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_AS: u8 = 65;
const ENHANCED_ROUTE_REFRESH: u8 = 70;

/// The R and N bits and the F bit (RFC 4724 §3, RFC 8538 §2).
const RESTARTING: u16 = 0x8000;
const NOTIFICATION: u16 = 0x4000;
const RESTART_TIME: u16 = 0x0fff;
const FORWARDING: u8 = 0x80;

/// Reads the capabilities of one parameter; several may stand in one, and
/// several parameters may have some (RFC 5492 §4).
pub(super) fn decode(parameter: &[u8], into: &mut Vec<Capability>) -> Result<(), &'static str> {
    let mut reader = Reader(parameter);
    while let Some(code) = reader.u8() {
        let value = reader.counted8().ok_or("a capability runs over the end of its parameter")?;
        into.push(one(code, value).ok_or("a capability has a wrong length")?);
    }
    Ok(())
}

/// One capability; `None` where its value has a wrong length.
fn one(code: u8, value: &[u8]) -> Option<Capability> {
    let mut reader = Reader(value);
    let capability = match code {
        MULTIPROTOCOL => {
            let (afi, _reserved, safi) = (reader.u16()?, reader.u8()?, reader.u8()?);
            Capability::Multiprotocol { afi, safi }
        }
        ROUTE_REFRESH => Capability::RouteRefresh,
        EXTENDED_MESSAGE => Capability::ExtendedMessage,
        GRACEFUL_RESTART => Capability::GracefulRestart(graceful_restart(&mut reader)?),
        FOUR_OCTET_AS => Capability::FourOctetAs(Asn(reader.u32()?)),
        ENHANCED_ROUTE_REFRESH => Capability::EnhancedRouteRefresh,
        _ => return Some(Capability::Unknown { code, value: value.into() }),
    };
    reader.is_empty().then_some(capability)
}

/// The value of the graceful restart capability (RFC 4724 §3).
fn graceful_restart(reader: &mut Reader<'_>) -> Option<GracefulRestart> {
    let head = reader.u16()?;
    let mut families = Vec::with_capacity(reader.0.len() / 4);
    while !reader.is_empty() {
        let (afi, safi, flags) = (reader.u16()?, reader.u8()?, reader.u8()?);
        families.push((afi, safi, flags & FORWARDING != 0));
    }
    Some(GracefulRestart {
        restarting: head & RESTARTING != 0,
        notification: head & NOTIFICATION != 0,
        restart_time: head & RESTART_TIME,
        families,
    })
}

/// Writes one capability. A restart time over 4095 s becomes 4095.
pub(super) fn encode(capability: &Capability, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&[code(capability), 0]);
    match capability {
        Capability::Multiprotocol { afi, safi } => {
            let [high, low] = afi.to_be_bytes();
            out.extend_from_slice(&[high, low, 0, *safi]);
        }
        Capability::RouteRefresh | Capability::ExtendedMessage | Capability::EnhancedRouteRefresh => {}
        Capability::GracefulRestart(restart) => {
            let bit = |set, bit| if set { bit } else { 0 };
            let head = bit(restart.restarting, RESTARTING)
                | bit(restart.notification, NOTIFICATION)
                | restart.restart_time.min(RESTART_TIME);
            out.extend_from_slice(&head.to_be_bytes());
            for (afi, safi, forwarding) in &restart.families {
                let [high, low] = afi.to_be_bytes();
                out.extend_from_slice(&[high, low, *safi, if *forwarding { FORWARDING } else { 0 }]);
            }
        }
        Capability::FourOctetAs(asn) => out.extend_from_slice(&asn.0.to_be_bytes()),
        Capability::Unknown { value, .. } => out.extend_from_slice(value),
    }
    let length = out.len() - start - 2;
    out[start + 1] =
        u8::try_from(length).map_err(|_| EncodeError::Oversize { what: "a capability", length, max: 255 })?;
    Ok(())
}

/// The code of a capability.
fn code(capability: &Capability) -> u8 {
    match capability {
        Capability::Multiprotocol { .. } => MULTIPROTOCOL,
        Capability::RouteRefresh => ROUTE_REFRESH,
        Capability::ExtendedMessage => EXTENDED_MESSAGE,
        Capability::GracefulRestart(_) => GRACEFUL_RESTART,
        Capability::FourOctetAs(_) => FOUR_OCTET_AS,
        Capability::EnhancedRouteRefresh => ENHANCED_ROUTE_REFRESH,
        Capability::Unknown { code, .. } => *code,
    }
}
