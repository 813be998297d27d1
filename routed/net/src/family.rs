//! Address families that routed routes (RFC 4760).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An AFI and SAFI pair that routed speaks (RFC 4760 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// AFI 1, SAFI 1.
    #[serde(rename = "ipv4")]
    Ipv4Unicast,
    /// AFI 2, SAFI 1.
    #[serde(rename = "ipv6")]
    Ipv6Unicast,
}

impl Family {
    /// Every family, in the order of their AFI.
    pub const ALL: [Self; 2] = [Self::Ipv4Unicast, Self::Ipv6Unicast];

    /// The address family identifier of the registry.
    pub fn afi(self) -> u16 {
        match self {
            Self::Ipv4Unicast => 1,
            Self::Ipv6Unicast => 2,
        }
    }

    /// The subsequent address family identifier of the registry.
    pub fn safi(self) -> u8 {
        match self {
            Self::Ipv4Unicast | Self::Ipv6Unicast => 1,
        }
    }

    /// The family with these numbers, if routed speaks it.
    pub fn from_afi_safi(afi: u16, safi: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.afi() == afi && family.safi() == safi)
    }

    /// The family that an address belongs to.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4Unicast } else { Self::Ipv6Unicast }
    }

    /// The length of a host route: 32 or 128.
    pub fn max_length(self) -> u8 {
        match self {
            Self::Ipv4Unicast => 32,
            Self::Ipv6Unicast => 128,
        }
    }

    /// A number below [`Family::ALL`]`.len()`, for tables with a slot a family.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ipv4Unicast => "ipv4",
            Self::Ipv6Unicast => "ipv6",
        })
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ipv4" => Ok(Self::Ipv4Unicast),
            "ipv6" => Ok(Self::Ipv6Unicast),
            _ => Err(format!("{text:?} is no address family; write \"ipv4\" or \"ipv6\"")),
        }
    }
}
