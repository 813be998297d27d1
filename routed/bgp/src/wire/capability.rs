//! Capabilities (RFC 5492 §4): code, length, value.

use net::Asn;

use super::error::EncodeError;
use super::message::{AddPath, Capability, GracefulRestart, LongLived};
use super::read::Reader;

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGE: u8 = 6;
const ROLE: u8 = 9;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_AS: u8 = 65;
const ADD_PATH: u8 = 69;
const ENHANCED_ROUTE_REFRESH: u8 = 70;
const LONG_LIVED: u8 = 71;
const FQDN: u8 = 73;
const SOFTWARE_VERSION: u8 = 75;

/// The R and N bits and the F bit (RFC 4724 §3, RFC 8538 §2).
const RESTARTING: u16 = 0x8000;
const NOTIFICATION: u16 = 0x4000;
const RESTART_TIME: u16 = 0x0fff;
const FORWARDING: u8 = 0x80;
/// The longest stale time that fits (RFC 9494 §3.1: 24 bits).
pub(crate) const MAX_STALE_TIME: u32 = 0x00ff_ffff;

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
        EXTENDED_NEXT_HOP => {
            let tuples = value.as_chunks::<6>().0.iter();
            reader.take(value.len() / 6 * 6);
            Capability::ExtendedNextHop(
                tuples.map(|[a, b, c, d, e, f]| (word(*a, *b), word(*c, *d), word(*e, *f))).collect(),
            )
        }
        EXTENDED_MESSAGE => Capability::ExtendedMessage,
        ROLE => Capability::Role(reader.u8()?),
        GRACEFUL_RESTART => Capability::GracefulRestart(graceful_restart(&mut reader)?),
        FOUR_OCTET_AS => Capability::FourOctetAs(Asn(reader.u32()?)),
        ADD_PATH => add_path(&mut reader)?,
        ENHANCED_ROUTE_REFRESH => Capability::EnhancedRouteRefresh,
        LONG_LIVED => Capability::LongLivedGracefulRestart(long_lived(&mut reader)?),
        // Of no consequence, so a malformed one costs nobody the session.
        FQDN => {
            return Some(fqdn(reader).unwrap_or_else(|| Capability::Unknown { code, value: value.into() }));
        }
        SOFTWARE_VERSION => {
            return Some(
                software(reader).unwrap_or_else(|| Capability::Unknown { code, value: value.into() }),
            );
        }
        _ => return Some(Capability::Unknown { code, value: value.into() }),
    };
    reader.is_empty().then_some(capability)
}

fn word(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

/// The add-path capability (RFC 7911 §4). With a Send/Receive octet that has
/// no meaning it is not understood, and kept as bytes.
fn add_path(reader: &mut Reader<'_>) -> Option<Capability> {
    let (value, mut families) = (reader.0, Vec::with_capacity(reader.0.len() / 4));
    let mut understood = true;
    while !reader.is_empty() {
        let (afi, safi, way) = (reader.u16()?, reader.u8()?, reader.u8()?);
        understood &= matches!(way, 1..=3);
        families.push(AddPath { afi, safi, receive: way & 1 != 0, send: way & 2 != 0 });
    }
    let unknown = || Capability::Unknown { code: ADD_PATH, value: value.into() };
    Some(if understood { Capability::AddPath(families) } else { unknown() })
}

/// The families of the long-lived graceful restart capability (RFC 9494 §3.1).
fn long_lived(reader: &mut Reader<'_>) -> Option<Vec<LongLived>> {
    let mut families = Vec::with_capacity(reader.0.len() / 7);
    while !reader.is_empty() {
        let (afi, safi, flags) = (reader.u16()?, reader.u8()?, reader.u8()?);
        let [a, b, c] = reader.array()?;
        let stale_time = u32::from_be_bytes([0, a, b, c]);
        families.push(LongLived { afi, safi, forwarding: flags & FORWARDING != 0, stale_time });
    }
    Some(families)
}

/// Two names, each behind its length; `None` where they are no such thing.
fn fqdn(mut reader: Reader<'_>) -> Option<Capability> {
    let mut name = || std::str::from_utf8(reader.counted8()?).ok().map(Into::into);
    let (host, domain) = (name()?, name()?);
    reader.is_empty().then_some(Capability::Fqdn { host, domain })
}

/// A text behind its length (draft-ietf-idr-software-version §3); `None` where
/// it is no such thing.
fn software(mut reader: Reader<'_>) -> Option<Capability> {
    let text = std::str::from_utf8(reader.counted8()?).ok()?.into();
    reader.is_empty().then_some(Capability::SoftwareVersion(text))
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
        Capability::ExtendedNextHop(tuples) => {
            for (afi, safi, next_hop) in tuples {
                out.extend([afi, safi, next_hop].iter().flat_map(|number| number.to_be_bytes()));
            }
        }
        Capability::Role(number) => out.push(*number),
        Capability::AddPath(families) => {
            for AddPath { afi, safi, receive, send } in families {
                let [high, low] = afi.to_be_bytes();
                out.extend_from_slice(&[high, low, *safi, u8::from(*receive) | u8::from(*send) << 1]);
            }
        }
        Capability::LongLivedGracefulRestart(families) => {
            for LongLived { afi, safi, forwarding, stale_time } in families {
                let ([high, low], [_, a, b, c]) =
                    (afi.to_be_bytes(), (*stale_time).min(MAX_STALE_TIME).to_be_bytes());
                out.extend_from_slice(&[high, low, *safi, if *forwarding { FORWARDING } else { 0 }, a, b, c]);
            }
        }
        Capability::Fqdn { host, domain } => {
            for name in [host, domain] {
                out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
                out.extend_from_slice(name.as_bytes());
            }
        }
        Capability::SoftwareVersion(text) => {
            out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(text.as_bytes());
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
        Capability::ExtendedNextHop(_) => EXTENDED_NEXT_HOP,
        Capability::ExtendedMessage => EXTENDED_MESSAGE,
        Capability::Role(_) => ROLE,
        Capability::AddPath(_) => ADD_PATH,
        Capability::LongLivedGracefulRestart(_) => LONG_LIVED,
        Capability::Fqdn { .. } => FQDN,
        Capability::SoftwareVersion(_) => SOFTWARE_VERSION,
        Capability::GracefulRestart(_) => GRACEFUL_RESTART,
        Capability::FourOctetAs(_) => FOUR_OCTET_AS,
        Capability::EnhancedRouteRefresh => ENHANCED_ROUTE_REFRESH,
        Capability::Unknown { code, .. } => *code,
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// Reads what stands in a parameter and writes it again.
    fn check(bytes: &[u8]) -> Capability {
        let mut read = Vec::new();
        decode(bytes, &mut read).unwrap();
        let [capability] = &read[..] else { panic!("{read:?}") };
        let mut written = Vec::new();
        encode(capability, &mut written).unwrap();
        assert_eq!(written, bytes);
        read.remove(0)
    }

    #[test]
    fn each_capability_is_read_and_written_as_its_rfc_draws_it() {
        assert_eq!(check(&hex!("05 06 0001 0001 0002")), Capability::ExtendedNextHop(vec![(1, 1, 2)]));
        assert_eq!(check(&hex!("09 01 03")), Capability::Role(3));
        let both = AddPath { afi: 1, safi: 1, receive: true, send: true };
        let one = AddPath { afi: 2, safi: 1, receive: false, send: true };
        assert_eq!(check(&hex!("45 08 0001 01 03 0002 01 02")), Capability::AddPath(vec![both, one]));
        let long = LongLived { afi: 1, safi: 1, forwarding: true, stale_time: 86400 };
        assert_eq!(check(&hex!("47 07 0001 01 80 015180")), Capability::LongLivedGracefulRestart(vec![long]));
        let name = Capability::Fqdn { host: "n1".into(), domain: "".into() };
        assert_eq!(check(&hex!("49 04 02 6e31 00")), name);
        let software = Capability::SoftwareVersion("routed/1".into());
        assert_eq!(check(&hex!("4b 09 08 726f757465642f31")), software);
    }

    #[test]
    fn what_has_no_meaning_is_kept_as_bytes_and_costs_no_session() {
        for bytes in [
            &hex!("45 04 0001 01 04")[..],
            &hex!("45 04 0001 01 00"),
            &hex!("49 02 05 61"),
            &hex!("4b 00"),          // no length
            &hex!("4b 02 02 61"),    // runs over the end
            &hex!("4b 03 01 61 62"), // ends before it
            &hex!("4b 02 01 ff"),    // no UTF-8
        ] {
            assert!(matches!(check(bytes), Capability::Unknown { .. }), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_wrong_length_is_refused() {
        for bytes in [
            &hex!("05 05 0001 0001 00")[..],
            &hex!("09 00"),
            &hex!("09 02 03 03"),
            &hex!("45 03 0001 01"),
            &hex!("47 06 0001 01 80 0151"),
        ] {
            assert!(decode(bytes, &mut Vec::new()).is_err(), "{bytes:02x?}");
        }
    }
}
