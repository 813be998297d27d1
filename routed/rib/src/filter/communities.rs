//! Communities as a filter names them: one, or all that agree in some numbers.

use std::str::FromStr;

use net::{Community, LargeCommunity};

/// A community, or those that agree in one half: `64512:100`, `64512:*`, `*:666`,
/// and `*` for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommunityMatch {
    value: u32,
    mask: u32,
}

impl CommunityMatch {
    /// True when the community is one of these.
    pub fn meets(self, community: Community) -> bool {
        community.0 & self.mask == self.value
    }
}

impl From<Community> for CommunityMatch {
    fn from(community: Community) -> Self {
        Self { value: community.0, mask: u32::MAX }
    }
}

impl FromStr for CommunityMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let half = |text: &str| match text {
            "*" => Some((0, 0)),
            number => number.parse::<u16>().ok().map(|number| (u32::from(number), 0xffff)),
        };
        if !text.contains('*') {
            return text.parse::<Community>().map(Self::from);
        }
        let halves = if text == "*" { Some(("*", "*")) } else { text.split_once(':') };
        match halves.map(|(high, low)| (half(high), half(low))) {
            Some((Some(high), Some(low))) => {
                Ok(Self { value: high.0 << 16 | low.0, mask: high.1 << 16 | low.1 })
            }
            _ => {
                Err(format!("{text:?} is no community; write 64512:100, 64512:* or a name such as no-export"))
            }
        }
    }
}

/// A large community, or those that agree in some of its three numbers:
/// `64512:1:2`, `64512:1:*`, and `*` for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeCommunityMatch([Option<u32>; 3]);

impl LargeCommunityMatch {
    /// True when the community is one of these.
    pub fn meets(&self, community: LargeCommunity) -> bool {
        self.0.iter().zip(community.0).all(|(wanted, number)| wanted.is_none_or(|wanted| wanted == number))
    }
}

impl FromStr for LargeCommunityMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self([None; 3]));
        }
        let number = |part: &str| match part {
            "*" => Some(None),
            number => number.parse().ok().map(Some),
        };
        let numbers: Option<Vec<Option<u32>>> = text.split(':').map(number).collect();
        numbers
            .and_then(|numbers| numbers.try_into().ok())
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no large community; write 64512:1:2 or 64512:1:*"))
    }
}
