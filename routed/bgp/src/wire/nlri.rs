//! Lists of prefixes (RFC 4271 §4.3, RFC 7911 §3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use net::{Family, Prefix};

use super::message::Nlri;

/// The octets that the bits of a prefix take.
fn octets(length: u8) -> usize {
    usize::from(length).div_ceil(8)
}

/// Reads a list of prefixes. Host bits are masked; a length that the family
/// does not have, or a prefix that runs over the end, spoils the list.
///
/// One pass counts and judges, the second builds: one allocation, and never
/// for more prefixes than there are.
pub(super) fn decode(bytes: &[u8], family: Family, add_path: bool) -> Result<Vec<Nlri>, &'static str> {
    let count = count(bytes, family, add_path)?;
    let mut list = Vec::with_capacity(count);
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut path_id = 0;
        if add_path {
            let Some((id, tail)) = rest.split_first_chunk() else { break };
            (path_id, rest) = (u32::from_be_bytes(*id), tail);
        }
        let Some((&length, tail)) = rest.split_first() else { break };
        let Some((bits, tail)) = tail.split_at_checked(octets(length)) else { break };
        rest = tail;
        let Some(prefix) = Prefix::new(address(bits, family), length) else { break };
        list.push(Nlri { path_id, prefix });
    }
    debug_assert_eq!(list.len(), count, "the first pass has judged every prefix");
    Ok(list)
}

/// How many prefixes the list has.
fn count(mut bytes: &[u8], family: Family, add_path: bool) -> Result<usize, &'static str> {
    let head = if add_path { 4 } else { 0 };
    let mut count = 0;
    while !bytes.is_empty() {
        let length = *bytes.get(head).ok_or("a prefix runs over the end of its field")?;
        if length > family.max_length() {
            return Err("a prefix is longer than its family allows");
        }
        bytes = bytes.get(head + 1 + octets(length)..).ok_or("a prefix runs over the end of its field")?;
        count += 1;
    }
    Ok(count)
}

/// The address whose first octets are `bits`; there are never too many.
fn address(bits: &[u8], family: Family) -> IpAddr {
    match family {
        Family::Ipv4Unicast => {
            let mut octets = [0; 4];
            octets[..bits.len()].copy_from_slice(bits);
            Ipv4Addr::from(octets).into()
        }
        Family::Ipv6Unicast => {
            let mut octets = [0; 16];
            octets[..bits.len()].copy_from_slice(bits);
            Ipv6Addr::from(octets).into()
        }
    }
}

/// Prefixes that go into one message, and their octets there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    /// The prefixes.
    pub(super) list: &'a [Nlri],
    /// The octets that they take.
    pub(super) octets: usize,
    /// Whether their path identifiers are written.
    pub(super) add_path: bool,
}

/// As many of the first prefixes as fit into `room` octets.
pub(super) fn fit(list: &[Nlri], add_path: bool, room: usize) -> Packed<'_> {
    let head = if add_path { 5 } else { 1 };
    let mut used = 0;
    for (index, nlri) in list.iter().enumerate() {
        let size = head + octets(nlri.prefix.len());
        if used + size > room {
            return Packed { list: &list[..index], octets: used, add_path };
        }
        used += size;
    }
    Packed { list, octets: used, add_path }
}

/// Writes a list of prefixes.
///
/// Each is written with its whole address and cut to its length: copies of a
/// fixed size take half the time of those that are just long enough.
pub(super) fn encode(packed: Packed<'_>, out: &mut BytesMut) {
    out.reserve(packed.octets + 16);
    for nlri in packed.list {
        if packed.add_path {
            out.extend_from_slice(&nlri.path_id.to_be_bytes());
        }
        let length = nlri.prefix.len();
        let end = out.len() + 1 + octets(length);
        match nlri.prefix.address() {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                out.extend_from_slice(&[length, a, b, c, d]);
            }
            IpAddr::V6(address) => {
                let mut entry = [length; 17];
                entry[1..].copy_from_slice(&address.octets());
                out.extend_from_slice(&entry);
            }
        }
        out.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    fn check(bytes: &[u8], family: Family, add_path: bool) -> Result<Vec<String>, &'static str> {
        decode(bytes, family, add_path)
            .map(|list| list.iter().map(|nlri| format!("{} {}", nlri.path_id, nlri.prefix)).collect())
    }

    #[test]
    fn prefixes_are_read_with_and_without_path_ids() {
        let v4 = Family::Ipv4Unicast;
        assert_eq!(
            check(&hex!("08 0a 00 18 c00002"), v4, false).unwrap(),
            ["0 10.0.0.0/8", "0 0.0.0.0/0", "0 192.0.2.0/24"]
        );
        assert_eq!(check(&hex!("00000007 08 0a"), v4, true).unwrap(), ["7 10.0.0.0/8"]);
        assert_eq!(
            check(&hex!("30 20010db80001"), Family::Ipv6Unicast, false).unwrap(),
            ["0 2001:db8:1::/48"]
        );
        assert_eq!(check(&[], v4, true).unwrap(), [""; 0]);
    }

    #[test]
    fn host_bits_are_masked() {
        assert_eq!(check(&hex!("0c 0aff"), Family::Ipv4Unicast, false).unwrap(), ["0 10.240.0.0/12"]);
    }

    #[test]
    fn a_wrong_list_is_refused_whole() {
        for (bytes, family, add_path) in [
            (&hex!("21 0a000000 00")[..], Family::Ipv4Unicast, false),
            (&hex!("18 0a00")[..], Family::Ipv4Unicast, false),
            (&hex!("81 00")[..], Family::Ipv6Unicast, false),
            (&hex!("000000")[..], Family::Ipv4Unicast, true),
            (&hex!("00000001")[..], Family::Ipv4Unicast, true),
        ] {
            assert!(check(bytes, family, add_path).is_err(), "{bytes:02x?}");
        }
    }
}
