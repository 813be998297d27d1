//! BGP identifiers (RFC 6286).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A BGP Identifier: a four-octet, non-zero number written as an IPv4 address
/// (RFC 6286 §2.1). It is compared as an unsigned number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Ipv4Addr", into = "Ipv4Addr")]
pub struct RouterId(Ipv4Addr);

/// 0.0.0.0 is no BGP identifier (RFC 6286 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroRouterId;

impl fmt::Display for ZeroRouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a router id must not be 0.0.0.0; use an IPv4 address that only this node has")
    }
}

impl std::error::Error for ZeroRouterId {}

impl TryFrom<Ipv4Addr> for RouterId {
    type Error = ZeroRouterId;

    fn try_from(address: Ipv4Addr) -> Result<Self, Self::Error> {
        if address.is_unspecified() { Err(ZeroRouterId) } else { Ok(Self(address)) }
    }
}

impl From<RouterId> for Ipv4Addr {
    fn from(id: RouterId) -> Self {
        id.0
    }
}

impl From<RouterId> for u32 {
    fn from(id: RouterId) -> Self {
        id.0.to_bits()
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RouterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address: Ipv4Addr =
            text.parse().map_err(|_| format!("{text:?} is no router id; write it as an IPv4 address"))?;
        Self::try_from(address).map_err(|e| e.to_string())
    }
}
