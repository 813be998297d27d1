//! OPEN (RFC 4271 §4.2), its optional parameters and their extended form
//! (RFC 9072).

use std::net::Ipv4Addr;

use bytes::{BufMut, BytesMut};

use super::capability;
use super::error::{EncodeError, WireError};
use super::message::{Capability, Open};
use super::notification::open;
use super::read::Reader;

/// The parameter that holds capabilities (RFC 5492 §4).
const CAPABILITIES: u8 = 2;
/// In the place of the first parameter's type: the extended form (RFC 9072 §2).
const EXTENDED: u8 = 255;

/// Known, but malformed (RFC 4271 §6.2).
fn malformed(what: &'static str) -> WireError {
    WireError::new(open::CODE, open::UNSPECIFIC, what)
}

/// Reads the body. Whether the values are acceptable is the session's to say;
/// but what another version has in its body nobody knows.
pub(super) fn decode(body: &[u8]) -> Result<Open, WireError> {
    let mut reader = Reader(body);
    let version = reader.u8().ok_or_else(|| malformed("the OPEN is empty"))?;
    if version != 4 {
        let error = WireError::new(open::CODE, open::UNSUPPORTED_VERSION, "the peer's BGP version is not 4");
        return Err(error.with(&[0, 4]));
    }
    let fixed = (reader.u16(), reader.u16(), reader.array().map(Ipv4Addr::from));
    let (Some(my_as), Some(hold_time), Some(identifier)) = fixed else {
        return Err(malformed("the OPEN is too short"));
    };
    let capabilities = parameters(reader)?;
    Ok(Open { version, my_as, hold_time, identifier, capabilities })
}

/// The capabilities of all parameters; the length must be that of the rest of
/// the message.
fn parameters(mut reader: Reader<'_>) -> Result<Vec<Capability>, WireError> {
    // RFC 9072 §2: the length octet is not zero and 255 stands for a type.
    let extended = matches!(reader.0, [length, EXTENDED, ..] if *length != 0);
    let list = if extended {
        reader.u16(); // what the length octet and the type are in the short form
        reader.counted16()
    } else {
        reader.counted8()
    };
    let list = list
        .filter(|_| reader.is_empty())
        .ok_or_else(|| malformed("the length of the optional parameters is not that of the OPEN"))?;
    let mut list = Reader(list);
    let mut capabilities = Vec::new();
    while let Some(kind) = list.u8() {
        let value = if extended { list.counted16() } else { list.counted8() };
        let value = value.ok_or_else(|| malformed("an optional parameter runs over the end of the OPEN"))?;
        if kind != CAPABILITIES {
            let what = "an optional parameter is unknown";
            return Err(WireError::new(open::CODE, open::UNSUPPORTED_PARAMETER, what));
        }
        capability::decode(value, &mut capabilities).map_err(malformed)?;
    }
    Ok(capabilities)
}

/// Writes the body: all capabilities in one parameter, in the extended form
/// only where they do not fit the other (RFC 9072 §2).
pub(super) fn encode(message: &Open, out: &mut BytesMut) -> Result<(), EncodeError> {
    out.put_u8(message.version);
    out.extend_from_slice(&message.my_as.to_be_bytes());
    out.extend_from_slice(&message.hold_time.to_be_bytes());
    out.extend_from_slice(&message.identifier.octets());
    let mut list = Vec::new();
    for capability in &message.capabilities {
        capability::encode(capability, &mut list)?;
    }
    match u8::try_from(list.len()) {
        Ok(0) => out.put_u8(0),
        Ok(length @ 1..=253) => out.extend_from_slice(&[length + 2, CAPABILITIES, length]),
        _ => {
            let length = list.len();
            let field = |n: usize| {
                u16::try_from(n).map_err(|_| EncodeError::Oversize {
                    what: "the capabilities",
                    length,
                    max: 4064,
                })
            };
            out.extend_from_slice(&[EXTENDED, EXTENDED]);
            out.extend_from_slice(&field(length + 3)?.to_be_bytes());
            out.put_u8(CAPABILITIES);
            out.extend_from_slice(&field(length)?.to_be_bytes());
        }
    }
    out.extend_from_slice(&list);
    Ok(())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use net::Asn;

    use super::*;
    use crate::wire::GracefulRestart;

    const FIXED: [u8; 9] = hex!("04 fde8 005a c0000201");

    fn check(parameters: &[u8]) -> Result<Vec<Capability>, (u8, u8)> {
        decode(&[&FIXED[..], parameters].concat())
            .map(|open| open.capabilities)
            .map_err(|error| (error.code, error.subcode))
    }

    #[test]
    fn capabilities_are_read_from_one_parameter_or_many() {
        let as4 = Capability::FourOctetAs(Asn(70000));
        let v6 = Capability::Multiprotocol { afi: 2, safi: 1 };
        let expect = Ok(vec![as4, Capability::RouteRefresh, v6]);
        assert_eq!(check(&hex!("10 02 0e 4104 00011170 0200 0104 0002 00 01")), expect);
        assert_eq!(check(&hex!("14 02 06 4104 00011170 02 02 0200 02 06 0104 0002 00 01")), expect);
        assert_eq!(check(&hex!("ff ff 0011 02 000e 4104 00011170 0200 0104 0002 00 01")), expect);
        assert_eq!(check(&[0]), Ok(vec![]));
    }

    #[test]
    fn unknown_capabilities_are_kept() {
        let expect = Capability::Unknown { code: 200, value: [1, 2].into() };
        assert_eq!(check(&hex!("06 02 04 c8 02 01 02")), Ok(vec![expect]));
    }

    #[test]
    fn graceful_restart_is_read() {
        let expect = GracefulRestart {
            restarting: true,
            notification: true,
            restart_time: 120,
            families: vec![(1, 1, true), (2, 1, false)],
        };
        let bytes = hex!("0e 02 0c 40 0a c078 0001 01 80 0002 01 00");
        assert_eq!(check(&bytes), Ok(vec![Capability::GracefulRestart(expect)]));
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for bytes in [
            &hex!("")[..],
            &hex!("01")[..],                    // longer than the message
            &hex!("00 00")[..],                 // shorter than the message
            &hex!("03 02 02 02")[..],           // the parameter runs over
            &hex!("04 02 02 02 05")[..],        // the capability runs over
            &hex!("05 02 03 02 01 00")[..],     // route refresh has no value
            &hex!("07 02 05 41 03 000000")[..], // an AS number of three octets
            &hex!("05 02 03 40 01 00")[..],     // graceful restart of one octet
            &hex!("ff ff 0004 02 0002 02")[..], // the extended parameter runs over
            &hex!("ff ff 00")[..],              // the extended length is cut
        ] {
            assert_eq!(check(bytes), Err((2, 0)), "{bytes:02x?}");
        }
        assert_eq!(check(&hex!("02 01 00")), Err((2, 4)));
    }

    #[test]
    fn another_version_is_told_ours() {
        let error = decode(&hex!("03 fde8 005a c0000201 00")).unwrap_err();
        assert_eq!((error.code, error.subcode, &*error.data), (2, 1, &[0, 4][..]));
    }

    #[test]
    fn many_capabilities_take_the_extended_form() {
        for count in [0_u8, 1, 25, 26, 100] {
            let capabilities =
                (0..count).map(|n| Capability::Unknown { code: 100 + n, value: [n; 8].into() }).collect();
            let open = Open { capabilities, ..decode(&[&FIXED[..], &[0]].concat()).unwrap() };
            let mut bytes = BytesMut::new();
            encode(&open, &mut bytes).unwrap();
            assert_eq!(decode(&bytes), Ok(open), "{count}");
            assert_eq!(bytes.get(9..11) == Some(&[255, 255]), count > 25, "{count}");
        }
    }
}
