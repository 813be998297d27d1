//! Communities: RFC 1997, extended (RFC 4360) and large (RFC 8092).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A community of RFC 1997: an AS number and a value, 16 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Community(pub u32);

/// Well-known communities and the names that operators know them by.
const WELL_KNOWN: [(Community, &str); 7] = [
    (Community::GRACEFUL_SHUTDOWN, "graceful-shutdown"),
    (Community::LLGR_STALE, "llgr-stale"),
    (Community::NO_LLGR, "no-llgr"),
    (Community::BLACKHOLE, "blackhole"),
    (Community::NO_EXPORT, "no-export"),
    (Community::NO_ADVERTISE, "no-advertise"),
    (Community::NO_EXPORT_SUBCONFED, "no-export-subconfed"),
];

impl Community {
    /// RFC 8326.
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// RFC 9494 §4.6.
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// RFC 9494 §4.6.
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// RFC 7999.
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// RFC 1997.
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// RFC 1997.
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// RFC 1997.
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match WELL_KNOWN.iter().find(|(community, _)| community == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff),
        }
    }
}

impl FromStr for Community {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // As other routers write them, and the RFCs: NO_EXPORT, no_export.
        let plain = text.to_ascii_lowercase().replace('_', "-");
        if let Some((community, _)) = WELL_KNOWN.iter().find(|(_, name)| *name == plain) {
            return Ok(*community);
        }
        let parts = text.split_once(':').and_then(|(high, low)| {
            Some(u32::from(high.parse::<u16>().ok()?) << 16 | u32::from(low.parse::<u16>().ok()?))
        });
        parts
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no community; write 64512:100 or a name such as no-export"))
    }
}

/// A large community of RFC 8092: three 32-bit numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LargeCommunity(pub [u32; 3]);

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [global, first, second] = self.0;
        write!(f, "{global}:{first}:{second}")
    }
}

impl FromStr for LargeCommunity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
        numbers
            .and_then(|numbers| numbers.try_into().ok())
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no large community; write 64512:1:2"))
    }
}

/// An extended community of RFC 4360, its eight octets as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExtCommunity(pub u64);

impl ExtCommunity {
    /// True when other ASes must not hear it (RFC 4360 §2, the T bit).
    pub fn is_non_transitive(self) -> bool {
        self.0 >> 62 & 1 == 1
    }

    /// The bandwidth of a link in octets a second, if it tells one above 0
    /// (draft-ietf-idr-link-bandwidth), whether other ASes may hear it or not.
    pub fn link_bandwidth(self) -> Option<f32> {
        let [kind, sub, _, _, float @ ..] = self.0.to_be_bytes();
        let told = f32::from_be_bytes(float);
        (kind & 0xbf == 0x00 && sub == LINK_BANDWIDTH && told.is_normal() && told > 0.0).then_some(told)
    }
}

/// The sub-type of a link bandwidth.
const LINK_BANDWIDTH: u8 = 0x04;

/// The kinds of a link bandwidth by name: the one stays inside the AS, the
/// other does not.
const BANDWIDTHS: [(&str, u8); 2] = [("bandwidth", 0x40), ("bandwidth-transitive", 0x00)];

/// The sub-types that have a name: route target and site of origin.
const EXT_NAMES: [(u8, &str); 2] = [(0x02, "rt"), (0x03, "soo")];

impl fmt::Display for ExtCommunity {
    /// `rt:64512:100`, `soo:192.0.2.1:7` (RFC 4360 §4, §5; RFC 5668),
    /// `bandwidth:64512:125000000` in octets a second, and its octets where it
    /// has no such form: `0x030c000000000008`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.0.to_be_bytes();
        let bandwidth = BANDWIDTHS.iter().find(|(_, kind)| *kind == octets[0]);
        if let Some(((name, _), told)) = bandwidth.zip(self.link_bandwidth()) {
            return write!(f, "{name}:{}:{told}", self.0 >> 32 & 0xffff);
        }
        let name = EXT_NAMES.iter().find(|(known, _)| *known == octets[1]).map(|(_, name)| name);
        // The low octets of the number, in the two ways to divide them.
        let (low, short) = (self.0 & 0xffff_ffff, self.0 & 0xffff);
        match (name, octets[0]) {
            (Some(name), 0x00) => write!(f, "{name}:{}:{low}", self.0 >> 32 & 0xffff),
            (Some(name), 0x01) => {
                let [_, _, one, two, three, four, ..] = octets;
                write!(f, "{name}:{}:{short}", Ipv4Addr::new(one, two, three, four))
            }
            // An AS that fits in two octets says by an `L` that it has four.
            (Some(name), 0x02) => {
                let asn = self.0 >> 16 & 0xffff_ffff;
                write!(f, "{name}:{asn}{}:{short}", if asn > 0xffff { "" } else { "L" })
            }
            _ => write!(f, "0x{:016x}", self.0),
        }
    }
}

impl FromStr for ExtCommunity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.strip_prefix("0x") {
            Some(hex) if hex.len() == 16 => u64::from_str_radix(hex, 16).ok(),
            Some(_) => None,
            None => named(text).map(u64::from_be_bytes),
        };
        parsed.map(Self).ok_or_else(|| {
            format!(
                "{text:?} is no extended community; write rt:64512:100, soo:192.0.2.1:7, \
                 bandwidth:64512:125000000 or 0x and 16 digits"
            )
        })
    }
}

/// The octets of `rt:ADMINISTRATOR:NUMBER`.
fn named(text: &str) -> Option<[u8; 8]> {
    let (name, rest) = text.split_once(':')?;
    let (administrator, number) = rest.rsplit_once(':')?;
    if let Some((_, kind)) = BANDWIDTHS.iter().find(|(known, _)| *known == name) {
        let [high, low] = administrator.parse::<u16>().ok()?.to_be_bytes();
        let [one, two, three, four] = number.parse::<f32>().ok()?.to_be_bytes();
        let octets = [*kind, LINK_BANDWIDTH, high, low, one, two, three, four];
        return ExtCommunity(u64::from_be_bytes(octets)).link_bandwidth().map(|_| octets);
    }
    let (sub, _) = EXT_NAMES.iter().find(|(_, known)| *known == name)?;
    let with = |kind: u8, left: &[u8], right: &[u8]| {
        let mut octets = [kind, *sub, 0, 0, 0, 0, 0, 0];
        octets[2..2 + left.len()].copy_from_slice(left);
        octets[8 - right.len()..].copy_from_slice(right);
        octets
    };
    if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        return Some(with(0x01, &address.octets(), &number.parse::<u16>().ok()?.to_be_bytes()));
    }
    let four = administrator.strip_suffix('L');
    let asn: u32 = four.unwrap_or(administrator).parse().ok()?;
    match u16::try_from(asn) {
        Ok(asn) if four.is_none() => {
            Some(with(0x00, &asn.to_be_bytes(), &number.parse::<u32>().ok()?.to_be_bytes()))
        }
        _ => Some(with(0x02, &asn.to_be_bytes(), &number.parse::<u16>().ok()?.to_be_bytes())),
    }
}

/// An extended community with an IPv6 address (RFC 5701 §2), its twenty octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ipv6ExtCommunity(pub [u8; 20]);

impl Ipv6ExtCommunity {
    /// True when other ASes must not hear it (RFC 5701 §2, the T bit).
    pub fn is_non_transitive(self) -> bool {
        self.0[0] & 0x40 != 0
    }
}

impl fmt::Display for Ipv6ExtCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_print_as_they_are_written() {
        for text in ["64512:100", "no-export", "blackhole", "0:0"] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        assert_eq!("1:2:3".parse::<LargeCommunity>().unwrap().to_string(), "1:2:3");
        for text in [
            "rt:64512:100000",
            "soo:192.0.2.1:7",
            "rt:70000:9",
            "rt:100L:9",
            "0x4004000000000001",
            "bandwidth-transitive:64512:12500000000",
        ] {
            assert_eq!(text.parse::<ExtCommunity>().unwrap().to_string(), text);
        }
        assert_eq!("rt:64512:100".parse::<ExtCommunity>().unwrap(), ExtCommunity(0x0002_fc00_0000_0064));
        let bandwidth = ExtCommunity(0x4004_fc00_4e95_02f9);
        assert_eq!("bandwidth:64512:1250000000".parse::<ExtCommunity>().unwrap(), bandwidth);
        // What is near, and what is no number, comes back as it was.
        for low in [0x4e95_02f8, 0x4e95_02fa, 0x7f80_0000, 0x7fc0_0001, 0xce95_02f9, 0, 1, 0x3f00_0000] {
            for kind in [0x4004_fc00_u64, 0x0004_fc00] {
                let told = ExtCommunity(kind << 32 | low);
                assert_eq!(told.to_string().parse::<ExtCommunity>(), Ok(told));
            }
        }
        for text in ["rt:1", "xx:1:2", "rt:70000:70000", "0x1", "rt:1:-1"] {
            assert!(text.parse::<ExtCommunity>().is_err(), "{text}");
        }
        for text in ["bandwidth:1:0", "bandwidth:1:nan", "bandwidth:1:-5", "bandwidth:70000:1", "bandwidth:1"]
        {
            assert!(text.parse::<ExtCommunity>().is_err(), "{text}");
        }
        assert!("1:2".parse::<LargeCommunity>().is_err());
        assert!("70000:1".parse::<Community>().is_err());
    }
}
