//! As much of BGP as an injector and a monitor need (RFC 4271, RFC 6793).

use std::net::Ipv4Addr;

use super::prefixes::{Prefix, Random};

/// Message types (RFC 4271 §4.1).
pub(super) const OPEN: u8 = 1;
/// UPDATE.
pub(super) const UPDATE: u8 = 2;
/// NOTIFICATION.
pub(super) const NOTIFICATION: u8 = 3;
/// KEEPALIVE.
pub(super) const KEEPALIVE: u8 = 4;

/// Prefixes in an UPDATE.
const IN_AN_UPDATE: usize = 500;
/// Sets of path attributes among which the prefixes are dealt out.
const ATTRIBUTE_SETS: usize = 50;
/// Length of a header.
pub(super) const HEADER: usize = 19;

/// A message with marker, length and type before `body`.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![0xff; 16];
    bytes.extend(length.to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

/// An OPEN of AS `asn` with IPv4 unicast and four-octet AS numbers.
pub(super) fn open(asn: u32, id: Ipv4Addr, hold: u16) -> Vec<u8> {
    let mut body = vec![4];
    body.extend(u16::try_from(asn).unwrap_or(23456).to_be_bytes());
    body.extend(hold.to_be_bytes());
    body.extend(id.octets());
    // One parameter of capabilities: multiprotocol IPv4 unicast, four-octet AS.
    body.extend([14, 2, 12, 1, 4, 0, 1, 0, 1, 65, 4]);
    body.extend(asn.to_be_bytes());
    message(OPEN, &body)
}

/// A KEEPALIVE.
pub(super) fn keepalive() -> Vec<u8> {
    message(KEEPALIVE, &[])
}

/// Cease, administrative shutdown (RFC 4486).
pub(super) fn cease() -> Vec<u8> {
    message(NOTIFICATION, &[6, 2])
}

/// Who tells the prefixes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Teller {
    /// First AS of every path.
    pub asn: u32,
    /// The next hop.
    pub next_hop: Ipv4Addr,
    /// AS numbers that follow in every path, so that another teller's path may
    /// be shorter.
    pub longer: usize,
}

/// UPDATEs that announce `prefixes` in their order, at most 500 in each, the
/// next of 50 sets of attributes in each.
pub(super) fn announce(teller: Teller, prefixes: &[Prefix]) -> Vec<u8> {
    let sets: Vec<Vec<u8>> = (0..ATTRIBUTE_SETS).map(|set| attributes(teller, set)).collect();
    let mut bytes = Vec::with_capacity(prefixes.len() * 4 + prefixes.len() / 4);
    for (chunk, set) in prefixes.chunks(IN_AN_UPDATE).zip(sets.iter().cycle()) {
        let mut body = vec![0, 0];
        body.extend(u16::try_from(set.len()).unwrap_or(0).to_be_bytes());
        body.extend(set);
        for prefix in chunk {
            nlri(*prefix, &mut body);
        }
        bytes.extend(message(UPDATE, &body));
    }
    bytes
}

/// UPDATEs that withdraw `prefixes`.
pub(super) fn withdraw(prefixes: &[Prefix]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in prefixes.chunks(IN_AN_UPDATE) {
        let mut gone = Vec::new();
        for prefix in chunk {
            nlri(*prefix, &mut gone);
        }
        let mut body = u16::try_from(gone.len()).unwrap_or(0).to_be_bytes().to_vec();
        body.extend(gone);
        body.extend([0, 0]);
        bytes.extend(message(UPDATE, &body));
    }
    bytes
}

/// ORIGIN, a path of two to five AS numbers that depend on the set, `NEXT_HOP`.
fn attributes(teller: Teller, set: usize) -> Vec<u8> {
    let mut random = Random::new(set as u64);
    let more = 1 + random.index(4) + teller.longer;
    let mut path = vec![2, u8::try_from(1 + more).unwrap_or(1)];
    path.extend(teller.asn.to_be_bytes());
    for _ in 0..more {
        path.extend((1000 + u32::try_from(random.below(50_000)).unwrap_or(0)).to_be_bytes());
    }
    let mut bytes = vec![0x40, 1, 1, 0, 0x40, 2, u8::try_from(path.len()).unwrap_or(0)];
    bytes.extend(path);
    bytes.extend([0x40, 3, 4]);
    bytes.extend(teller.next_hop.octets());
    bytes
}

/// One prefix as RFC 4271 §4.3 writes it.
fn nlri((address, length): Prefix, bytes: &mut Vec<u8>) {
    bytes.push(length);
    bytes.extend(&address.to_be_bytes()[..usize::from(length.div_ceil(8))]);
}

/// Length and type of the message that `bytes` begin with, once the header is there.
pub(super) fn header(bytes: &[u8]) -> Option<(usize, u8)> {
    let header = bytes.get(..HEADER)?;
    Some((usize::from(u16::from_be_bytes([header[16], header[17]])), header[18]))
}

/// The withdrawn and the announced prefixes of an UPDATE's body, as on the wire.
pub(super) fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = |at: usize| Some(usize::from(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?])));
    let gone = length(0)?;
    let attributes = length(2 + gone)?;
    Some((body.get(2..2 + gone)?, body.get(4 + gone + attributes..)?))
}

/// Calls `each` with every prefix of a field.
#[inline]
pub(super) fn walk(mut field: &[u8], mut each: impl FnMut(Prefix)) {
    while let [length, rest @ ..] = field {
        // What is most of it by far, without a copy of unknown length.
        if let ([a, b, c, rest @ ..], 24) = (rest, *length) {
            each((u32::from_be_bytes([*a, *b, *c, 0]), 24));
            field = rest;
            continue;
        }
        let octets = usize::from(length.div_ceil(8));
        let mut address = [0; 4];
        if octets > 4 || rest.len() < octets {
            return;
        }
        address[..octets].copy_from_slice(&rest[..octets]);
        each((u32::from_be_bytes(address), *length));
        field = &rest[octets..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::prefixes::mix;

    const TELLER: Teller = Teller { asn: 65001, next_hop: Ipv4Addr::new(192, 0, 2, 1), longer: 0 };

    fn read(mut bytes: &[u8]) -> (Vec<Prefix>, Vec<Prefix>) {
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        while let Some((length, kind)) = header(bytes) {
            assert_eq!(kind, UPDATE);
            assert!(length <= 4096);
            let (withdrawn, announced) = split(&bytes[HEADER..length]).expect("a whole UPDATE");
            walk(withdrawn, |prefix| gone.push(prefix));
            walk(announced, |prefix| come.push(prefix));
            bytes = &bytes[length..];
        }
        (gone, come)
    }

    #[test]
    fn what_is_told_can_be_read_again() {
        let set = mix(1_234);
        assert_eq!(read(&announce(TELLER, &set)), (vec![], set.clone()));
        assert_eq!(read(&withdraw(&set)), (set, vec![]));
    }

    #[test]
    fn a_cut_message_is_no_update() {
        assert_eq!(split(&[0, 9, 1]), None);
        assert_eq!(header(&[0xff; 18]), None);
    }
}
