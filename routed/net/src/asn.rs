//! Autonomous system numbers (RFC 6793), with asdot input (RFC 5396).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// A four-octet autonomous system number (RFC 6793).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Asn(pub u32);

impl Asn {
    /// `AS_TRANS`: stands for a wide AS number where only two octets fit (RFC 6793 §9).
    pub const TRANS: Self = Self(23456);

    /// The number as two octets, or [`Asn::TRANS`] when it does not fit.
    pub fn as_two_octets(self) -> u16 {
        u16::try_from(self.0).unwrap_or(23456)
    }

    /// True for numbers that no speaker may use: 0 (RFC 7607) and the last of
    /// each width (RFC 7300).
    pub fn is_reserved(self) -> bool {
        matches!(self.0, 0 | 65_535 | u32::MAX)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u32> for Asn {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

/// Which AS a peer may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerAs {
    /// This one.
    Number(Asn),
    /// Any but ours.
    External,
    /// Ours.
    Internal,
}

impl PeerAs {
    /// True when such a peer is in another AS than `local`, ours on the session.
    pub fn is_external(self, local: Asn) -> bool {
        match self {
            Self::Number(number) => number != local,
            Self::External => true,
            Self::Internal => false,
        }
    }

    /// The number that such a peer has; `None`: it is known only when the peer
    /// has told it.
    pub fn number(self, local: Asn) -> Option<Asn> {
        match self {
            Self::Number(number) => Some(number),
            Self::External => None,
            Self::Internal => Some(local),
        }
    }

    /// True when a peer may say that it is AS `told`. `local` is ours on the
    /// session, `ours` are the other numbers that are.
    ///
    /// AS 0 is nobody (RFC 7607 §2), and no external peer has a reserved number
    /// or the one that stands for others (RFC 7300, RFC 6793 §9).
    pub fn admits(self, told: Asn, local: Asn, ours: &[Asn]) -> bool {
        let sound = !told.is_reserved() && told != Asn::TRANS;
        match self {
            Self::Number(number) => told == number && told != Asn(0),
            Self::External => sound && told != local && !ours.contains(&told),
            Self::Internal => told == local && told != Asn(0),
        }
    }
}

impl From<Asn> for PeerAs {
    fn from(number: Asn) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for PeerAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::External => f.write_str("external"),
            Self::Internal => f.write_str("internal"),
        }
    }
}

impl Serialize for PeerAs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => number.serialize(serializer),
            Self::External | Self::Internal => serializer.collect_str(self),
        }
    }
}

/// The text is no AS number; holds the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseAsnError(String);

impl fmt::Display for ParseAsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no AS number; write 64512 or, in asdot, 1.10", self.0)
    }
}

impl std::error::Error for ParseAsnError {}

impl FromStr for Asn {
    type Err = ParseAsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("AS").unwrap_or(text);
        let parsed = match digits.split_once('.') {
            None => digits.parse().ok(),
            Some((high, low)) => match (high.parse::<u16>(), low.parse::<u16>()) {
                (Ok(high), Ok(low)) => Some(u32::from(high) << 16 | u32::from(low)),
                _ => None,
            },
        };
        parsed.map(Self).ok_or_else(|| ParseAsnError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asplain_and_asdot_are_read() {
        assert_eq!("64512".parse(), Ok(Asn(64512)));
        assert_eq!("AS64512".parse(), Ok(Asn(64512)));
        assert_eq!("1.10".parse(), Ok(Asn(65546)));
        assert!("1.70000".parse::<Asn>().is_err());
        assert!("-1".parse::<Asn>().is_err());
    }

    #[test]
    fn an_external_peer_has_any_number_but_ours_and_an_internal_one_ours() {
        let (local, ours) = (Asn(64512), [Asn(65100), Asn(65101)]);
        let admitted = |whose: PeerAs| {
            let told = [0, 64512, 64513, 65100, 65101, 23456, 65535, 70000, u32::MAX];
            told.into_iter().filter(|told| whose.admits(Asn(*told), local, &ours)).collect::<Vec<_>>()
        };
        assert_eq!(admitted(PeerAs::External), [64513, 70000]);
        assert_eq!(admitted(PeerAs::Internal), [64512]);
        assert_eq!(admitted(Asn(65100).into()), [65100]);
        assert!(admitted(Asn(0).into()).is_empty());
    }

    #[test]
    fn a_wide_number_becomes_as_trans_in_two_octets() {
        assert_eq!(Asn(70000).as_two_octets(), 23456);
        assert_eq!(Asn(65001).as_two_octets(), 65001);
    }
}
