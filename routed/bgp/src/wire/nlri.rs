//! Lists of prefixes (RFC 4271 §4.3, RFC 7911 §3).

use bytes::BytesMut;
use net::{Family, Prefix};

use super::message::Nlri;

/// The octets that the bits of a prefix take.
fn octets(length: u8) -> usize {
    usize::from(length).div_ceil(8)
}

/// Reads a list of prefixes. Host bits are masked; a length that the family
/// does not have, or a prefix that runs over the end, spoils the list.
pub(super) fn decode(bytes: &[u8], family: Family, add_path: bool) -> Result<Vec<Nlri>, &'static str> {
    match family {
        Family::Ipv4Unicast => read::<4>(bytes, add_path, |bits, length| Prefix::v4(bits.into(), length)),
        Family::Ipv6Unicast => read::<16>(bytes, add_path, |bits, length| Prefix::v6(bits.into(), length)),
    }
}

/// Reads prefixes of a family whose addresses have `N` octets.
///
/// Room is made once, for as many as there are if all are as long as most are:
/// a /17 at least, or a /25 of IPv6. Where shorter ones fill the field, the
/// room doubles twice or thrice. To count them first would take as long as to
/// read them, for where a prefix begins is known only when the one before it
/// has been looked at.
fn read<const N: usize>(
    mut rest: &[u8],
    add_path: bool,
    prefix: impl Fn([u8; N], u8) -> Option<Prefix>,
) -> Result<Vec<Nlri>, &'static str> {
    const RUNS_OVER: &str = "a prefix runs over the end of its field";
    let usual = if add_path { 4 } else { 0 } + if N == 4 { 4 } else { 5 };
    let mut list = Vec::with_capacity(rest.len().div_ceil(usual));
    while !rest.is_empty() {
        let mut path_id = 0;
        if add_path {
            let (id, tail) = rest.split_first_chunk().ok_or(RUNS_OVER)?;
            (path_id, rest) = (u32::from_be_bytes(*id), tail);
        }
        let (&length, tail) = rest.split_first().ok_or(RUNS_OVER)?;
        // What stands behind the prefix is masked away: copies of a fixed size
        // take half the time of those that are just long enough.
        let bits = tail.first_chunk().copied().unwrap_or_else(|| padded(tail));
        let prefix = prefix(bits, length).ok_or("a prefix is longer than its family allows")?;
        rest = tail.get(octets(length)..).ok_or(RUNS_OVER)?;
        list.push(Nlri { path_id, prefix });
    }
    Ok(list)
}

/// The last octets of a field, fewer than an address has.
#[cold]
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut octets = [0; N];
    for (octet, byte) in octets.iter_mut().zip(bytes) {
        *octet = *byte;
    }
    octets
}

/// What [`encode`] needs for a moment behind what it writes: an address.
pub(super) const SPARE: usize = 16;

/// Prefixes that go into one message, and their octets there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    /// The prefixes.
    pub(super) list: &'a [Nlri],
    /// The octets that they take.
    pub(super) octets: usize,
    /// The family of all of them.
    pub(super) family: Family,
    /// Whether their path identifiers are written.
    pub(super) add_path: bool,
}

impl<'a> Packed<'a> {
    /// Nothing.
    pub(super) fn none(family: Family) -> Self {
        Self { list: &[], octets: 0, family, add_path: false }
    }

    /// As many of the first prefixes as fit into `room` octets; an error is
    /// the first that is of another family.
    pub(super) fn fit(list: &'a [Nlri], family: Family, add_path: bool, room: usize) -> Result<Self, Prefix> {
        let head = if add_path { 5 } else { 1 };
        let (mut used, mut count) = (0, 0);
        for nlri in list {
            if nlri.prefix.family() != family {
                return Err(nlri.prefix);
            }
            let size = head + octets(nlri.prefix.len());
            if used + size > room {
                break;
            }
            (used, count) = (used + size, count + 1);
        }
        Ok(Self { list: &list[..count], octets: used, family, add_path })
    }
}

/// Writes a list of prefixes.
pub(super) fn encode(packed: Packed<'_>, out: &mut BytesMut) {
    match packed.family {
        Family::Ipv4Unicast => write::<4>(packed, out),
        Family::Ipv6Unicast => write::<16>(packed, out),
    }
}

/// From so many prefixes on it pays to make room for all of them at once.
const MANY: usize = 8;

/// Writes prefixes of a family whose addresses have `N` octets, each with its
/// whole address, to be overwritten from its length on: copies of a fixed size
/// take half the time.
fn write<const N: usize>(packed: Packed<'_>, out: &mut BytesMut) {
    if packed.list.len() < MANY {
        return write_few::<N>(packed, out);
    }
    let start = out.len();
    out.resize(start + packed.octets + SPARE, 0);
    let mut at = start;
    for nlri in packed.list {
        if packed.add_path {
            out[at..at + 4].copy_from_slice(&nlri.path_id.to_be_bytes());
            at += 4;
        }
        let (length, address) = (nlri.prefix.len(), nlri.prefix.octets());
        let entry = &mut out[at..=at + N];
        entry[0] = length;
        entry[1..].copy_from_slice(&address[..N]);
        at += 1 + octets(length);
    }
    out.truncate(at);
}

/// As [`write`], one after the other.
fn write_few<const N: usize>(packed: Packed<'_>, out: &mut BytesMut) {
    for nlri in packed.list {
        if packed.add_path {
            out.extend_from_slice(&nlri.path_id.to_be_bytes());
        }
        let (length, address) = (nlri.prefix.len(), nlri.prefix.octets());
        let end = out.len() + 1 + octets(length);
        out.extend_from_slice(&[length]);
        out.extend_from_slice(&address[..N]);
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
