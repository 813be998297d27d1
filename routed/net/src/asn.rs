//! Autonomous system numbers (RFC 6793), with asdot input (RFC 5396).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
    fn a_wide_number_becomes_as_trans_in_two_octets() {
        assert_eq!(Asn(70000).as_two_octets(), 23456);
        assert_eq!(Asn(65001).as_two_octets(), 65001);
    }
}
