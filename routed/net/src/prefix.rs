//! Prefixes whose host bits are zero by construction.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::Family;

/// An IPv4 or IPv6 prefix. Host bits are always zero, so equal prefixes are
/// equal values, hash alike and print alike. The order is that of families,
/// then of addresses, then the shorter first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    family: Family,
    /// The address from the left; zeros after it and after the length.
    octets: [u8; 16],
    len: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParsePrefixError {
    /// Neither an address nor an address with a length.
    Malformed(String),
    /// The length is longer than the address.
    Length(String),
    /// Bits after the length are set; the second field is what was likely meant.
    HostBits(String, Prefix),
}

impl fmt::Display for ParsePrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => {
                write!(f, "{text:?} is no prefix; write it as 10.244.0.0/16 or fd00::/48")
            }
            Self::Length(text) => write!(f, "{text:?} has a length that its address family does not have"),
            Self::HostBits(text, masked) => write!(f, "{text:?} has host bits set; write {masked}"),
        }
    }
}

impl std::error::Error for ParsePrefixError {}

impl Prefix {
    /// The prefix of `length` bits that holds `address`; `None` when the
    /// family has no such length.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::v4(address, length),
            IpAddr::V6(address) => Self::v6(address, length),
        }
    }

    /// As [`Prefix::new`], for who knows the family.
    #[inline]
    pub fn v4(address: Ipv4Addr, length: u8) -> Option<Self> {
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(length.into())?).unwrap_or(0);
        let [a, b, c, d] = (address.to_bits() & mask).to_be_bytes();
        let octets = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Some(Self { family: Family::Ipv4Unicast, octets, len: length })
    }

    /// As [`Prefix::new`], for who knows the family.
    #[inline]
    pub fn v6(address: Ipv6Addr, length: u8) -> Option<Self> {
        (length <= 128).then(|| Self::from_key(Family::Ipv6Unicast, address.to_bits() & mask(length), length))
    }

    /// The host route of an address (/32 or /128).
    pub fn host(address: IpAddr) -> Self {
        let family = Family::of(address);
        Self::from_key(family, left(address), family.max_length())
    }

    /// The address of the network from the left, zeros after it.
    #[inline]
    pub fn octets(self) -> [u8; 16] {
        self.octets
    }

    /// The bits from the left, and how many there are.
    pub(crate) fn key(self) -> (u128, u8) {
        (u128::from_be_bytes(self.octets), self.len)
    }

    /// The reverse of [`Prefix::key`]: the bits after the length must be zero.
    pub(crate) fn from_key(family: Family, bits: u128, len: u8) -> Self {
        Self { family, octets: bits.to_be_bytes(), len }
    }

    /// The prefix of a smaller length, or the same, that covers this one.
    pub(crate) fn shortened(self, len: u8) -> Self {
        Self::from_key(self.family, self.key().0 & mask(len), len)
    }

    /// The address of the network: the first address of the prefix.
    pub fn address(self) -> IpAddr {
        self.with_host_bits(0)
    }

    /// The prefix with these bits after its length.
    fn with_host_bits(self, host: u128) -> IpAddr {
        let bits = u128::from_be_bytes(self.octets) | host;
        match self.family {
            Family::Ipv4Unicast => {
                let [a, b, c, d, ..] = bits.to_be_bytes();
                Ipv4Addr::new(a, b, c, d).into()
            }
            Family::Ipv6Unicast => Ipv6Addr::from(bits).into(),
        }
    }

    /// The length in bits.
    #[expect(clippy::len_without_is_empty, reason = "a length in bits, not a count")]
    pub fn len(self) -> u8 {
        self.len
    }

    /// The family of the prefix.
    pub fn family(self) -> Family {
        self.family
    }

    /// True for `0.0.0.0/0` and `::/0`.
    pub fn is_default(self) -> bool {
        self.len() == 0
    }

    /// True when the prefix is one address.
    pub fn is_host(self) -> bool {
        self.len() == self.family().max_length()
    }

    /// True when `address` lies inside.
    pub fn contains(self, address: IpAddr) -> bool {
        self.family == Family::of(address) && left(address) & mask(self.len) == self.key().0
    }

    /// True when `other` is this prefix or lies inside it.
    pub fn covers(self, other: Self) -> bool {
        self.family == other.family && self.len <= other.len && other.key().0 & mask(self.len) == self.key().0
    }

    /// True when an address lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The last address of the prefix.
    pub fn last_address(self) -> IpAddr {
        self.with_host_bits(!mask(self.len))
    }

    /// True where no unicast route may point: multicast, loopback, link-local
    /// (IPv6), "this network" and 240/4, or anything inside them.
    pub fn is_martian(self) -> bool {
        match self.address() {
            IpAddr::V4(address) => {
                let [first, ..] = address.octets();
                self.len() > 0 && (first == 0 || first == 127 || first >= 224)
            }
            IpAddr::V6(address) => {
                let inside = |network: Ipv6Addr, length| {
                    Self::new(network.into(), length).is_some_and(|martian| martian.covers(self))
                };
                address.is_loopback()
                    || (self.len() == 128 && address.is_unspecified())
                    || inside(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8)
                    || inside(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)
            }
        }
    }

    /// The same as an [`IpNetwork`], for libraries that speak it.
    pub fn network(self) -> IpNetwork {
        // Every length of ours is one of the family.
        IpNetwork::new(self.address(), self.len).unwrap_or_else(|_| self.address().into())
    }
}

/// An address from the left, zeros after it.
fn left(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Ones for a length from the left.
fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

impl Hash for Prefix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Three words, where a derived one would go byte by byte. A hasher that
        // multiplies carries only upwards, so what prefixes differ in must
        // stand among the lowest bits: the first octets do, and the later ones
        // are folded onto them.
        let bits = u128::from_le_bytes(self.octets);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves, one after the other")]
        for half in [bits as u64, (bits >> 64) as u64] {
            state.write_u64(half ^ (half >> 32));
        }
        state.write_u8(self.len);
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() {
            return f.pad(&format!("{}/{}", self.address(), self.len));
        }
        write!(f, "{}/{}", self.address(), self.len)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Prefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ParsePrefixError::Malformed(text.to_owned());
        let (address, length) = match text.split_once('/') {
            None => (text.parse::<IpAddr>().map_err(|_| malformed())?, None),
            Some((address, length)) => {
                let length = length.parse::<u16>().map_err(|_| malformed())?;
                (address.parse().map_err(|_| malformed())?, Some(length))
            }
        };
        let prefix = match length {
            None => Self::host(address),
            Some(length) => u8::try_from(length)
                .ok()
                .and_then(|length| Self::new(address, length))
                .ok_or_else(|| ParsePrefixError::Length(text.to_owned()))?,
        };
        if prefix.address() == address {
            Ok(prefix)
        } else {
            Err(ParsePrefixError::HostBits(text.to_owned(), prefix))
        }
    }
}

impl From<(Ipv4Addr, u8)> for Prefix {
    /// The prefix that holds the address. Panics on a length over 32, which
    /// only a literal in the program can have; outside data goes through
    /// [`Prefix::new`].
    fn from((address, length): (Ipv4Addr, u8)) -> Self {
        Self::new(address.into(), length).expect("a literal IPv4 length is at most 32")
    }
}

impl TryFrom<String> for Prefix {
    type Error = ParsePrefixError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_refused_with_what_was_meant() {
        let error = "10.0.0.1/24".parse::<Prefix>().unwrap_err();
        assert_eq!(error.to_string(), "\"10.0.0.1/24\" has host bits set; write 10.0.0.0/24");
        assert!(matches!("10.0.0.0/33".parse::<Prefix>(), Err(ParsePrefixError::Length(_))));
        assert!(matches!("10.0.0/8".parse::<Prefix>(), Err(ParsePrefixError::Malformed(_))));
        assert_eq!(p("10.0.0.1"), p("10.0.0.1/32"));
    }

    #[test]
    fn construction_masks() {
        assert_eq!(Prefix::new("10.1.2.3".parse().unwrap(), 16), Some(p("10.1.0.0/16")));
        assert_eq!(Prefix::new("fd00::1".parse().unwrap(), 64), Some(p("fd00::/64")));
        assert_eq!(Prefix::new("10.1.2.3".parse().unwrap(), 33), None);
    }

    #[test]
    fn covers_and_overlaps() {
        assert!(p("10.0.0.0/8").covers(p("10.1.0.0/16")));
        assert!(p("10.0.0.0/8").covers(p("10.0.0.0/8")));
        assert!(!p("10.1.0.0/16").covers(p("10.0.0.0/8")));
        assert!(p("10.1.0.0/16").overlaps(p("10.0.0.0/8")));
        assert!(!p("0.0.0.0/0").overlaps(p("::/0")));
    }

    #[test]
    fn martians_are_known() {
        for text in [
            "127.0.0.0/8",
            "224.0.0.0/4",
            "0.0.0.0/8",
            "255.255.255.255/32",
            "ff02::/16",
            "fe80::/64",
            "::1/128",
        ] {
            assert!(p(text).is_martian(), "{text}");
        }
        for text in ["0.0.0.0/0", "::/0", "10.0.0.0/8", "fd00::/8", "2000::/3"] {
            assert!(!p(text).is_martian(), "{text}");
        }
    }

    #[test]
    fn hashes_of_neighbouring_prefixes_differ_where_tables_look() {
        use std::collections::BTreeSet;
        use std::hash::{BuildHasher, BuildHasherDefault};
        let hasher = BuildHasherDefault::<rustc_hash::FxHasher>::default();
        for base in ["10.0.0.0/8", "2001:db8::/32"] {
            let base: Prefix = base.parse().unwrap();
            let (mut tags, mut places) = (BTreeSet::new(), BTreeSet::new());
            for n in 0..=255u8 {
                let mut octets = base.octets;
                octets[if base.family == Family::Ipv4Unicast { 2 } else { 5 }] = n;
                let hash = hasher.hash_one(Prefix { octets, len: base.len + 16, ..base });
                tags.insert(hash >> 57);
                places.insert(hash & 0xff);
            }
            assert!(
                tags.len() > 64 && places.len() > 64,
                "{base}: {} tags, {} places",
                tags.len(),
                places.len()
            );
        }
    }
}
