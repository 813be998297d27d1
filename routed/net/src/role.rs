//! The role of a speaker towards an external peer (RFC 9234 §4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a speaker is to its peer; the numbers are those of the capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// 0: sells transit to the peer.
    Provider,
    /// 1: a route server whose client the peer is.
    Rs,
    /// 2: the client of a route server.
    RsClient,
    /// 3: buys transit from the peer.
    Customer,
    /// 4: exchanges customers' routes with the peer.
    Peer,
}

impl Role {
    /// Every role, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Provider, Self::Rs, Self::RsClient, Self::Customer, Self::Peer];

    /// The value of the capability (RFC 9234 §4.1).
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The role with this number; `None` for one that is not assigned.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.number() == number)
    }

    /// The only role that the other side can have (RFC 9234 §4.2, table 2).
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::Rs => Self::RsClient,
            Self::RsClient => Self::Rs,
            Self::Peer => Self::Peer,
        }
    }

    /// The word for it, as in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Rs => "rs",
            Self::RsClient => "rs-client",
            Self::Customer => "customer",
            Self::Peer => "peer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            format!("{text:?} is no role; write provider, customer, peer, rs or rs-client: what this node is")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_their_numbers_words_and_opposites() {
        for (number, role) in (0..).zip(Role::ALL) {
            assert_eq!(Role::from_number(number), Some(role));
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(role.opposite().opposite(), role);
        }
        assert_eq!(Role::from_number(5), None);
        assert_eq!(Role::RsClient.to_string(), "rs-client");
        assert!("transit".parse::<Role>().is_err());
    }
}
