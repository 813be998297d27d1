//! Which peer is meant: what it is configured by, and what people call it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::{Peer, PeerOrigin};

/// The longest name of an interface (`IFNAMSIZ`, less the end).
const NAME_MAX: usize = 15;

/// Which peer: there is one of each address, and one on each interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PeerKey {
    /// The one with this address.
    Address(IpAddr),
    /// The one at the other end of the link with this name, whatever its
    /// link-local address is.
    Interface(String),
    /// The one with this link-local address on the link with this name, which
    /// may have several.
    Link(Ipv6Addr, String),
}

impl PeerKey {
    /// True where this, as somebody has written it, means that peer: the only
    /// one of a link is meant by whatever address on it.
    pub fn means(&self, peer: &Self) -> bool {
        let only = matches!((self, peer), (Self::Link(_, name), Self::Interface(of)) if name == of);
        self == peer || only
    }

    /// The peer of the configuration that it means.
    #[must_use]
    pub fn configured(self) -> Self {
        match self {
            Self::Link(_, name) => Self::Interface(name),
            other => other,
        }
    }
}

/// A text that names no peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor the name of an interface")]
pub struct NoPeerKey;

impl FromStr for PeerKey {
    type Err = NoPeerKey;

    /// Reads `192.0.2.1`, `eth1` or `fe80::1%eth1`.
    fn from_str(text: &str) -> Result<Self, NoPeerKey> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let (address, name) = match text.split_once('%') {
            None => (None, text),
            Some((address, zone)) => match address.parse::<Ipv6Addr>() {
                Ok(address) if address.is_unicast_link_local() => (Some(address), zone),
                _ => return Err(NoPeerKey),
            },
        };
        let key = match address {
            None => Self::Interface(name.to_owned()),
            Some(address) => Self::Link(address, name.to_owned()),
        };
        if is_interface(name) { Ok(key) } else { Err(NoPeerKey) }
    }
}

impl TryFrom<String> for PeerKey {
    type Error = NoPeerKey;

    fn try_from(text: String) -> Result<Self, NoPeerKey> {
        text.parse()
    }
}

impl From<PeerKey> for String {
    fn from(key: PeerKey) -> Self {
        key.to_string()
    }
}

impl From<IpAddr> for PeerKey {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Interface(name) => name.fmt(f),
            Self::Link(address, name) => write!(f, "{address}%{name}"),
        }
    }
}

/// True for a name that an interface can have.
pub(super) fn is_interface(name: &str) -> bool {
    let fits = !name.is_empty() && name.len() <= NAME_MAX && name != "." && name != "..";
    fits && name.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | '%' | ':'))
}

/// True for an address that says nothing without its link (RFC 4007 §6).
pub(super) fn link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

impl Peer {
    /// Which peer it is.
    pub fn key(&self) -> PeerKey {
        match (&self.interface, self.address) {
            (Some(interface), IpAddr::V6(address)) if self.origin == PeerOrigin::Link => {
                PeerKey::Link(address, interface.clone())
            }
            (Some(interface), _) => PeerKey::Interface(interface.clone()),
            (None, address) => PeerKey::Address(address),
        }
    }

    /// What people call it: `192.0.2.1`, `fe80::1%eth1`, or `eth1` while
    /// nobody knows who is there.
    pub fn name(&self) -> String {
        match &self.interface {
            None => self.address.to_string(),
            Some(interface) if self.address.is_unspecified() => interface.clone(),
            Some(interface) => format!("{}%{interface}", self.address),
        }
    }

    /// The least TTL or hop limit that its packets have when they come in, by
    /// GTSM (RFC 5082 §3); `None`: any.
    pub fn least_ttl(&self) -> Option<u8> {
        self.ttl_security.map(|hops| u8::MAX - hops.saturating_sub(1))
    }

    /// Where it is dialled.
    pub fn socket_address(&self) -> SocketAddr {
        match self.address {
            IpAddr::V4(_) => SocketAddr::new(self.address, self.port),
            IpAddr::V6(address) => {
                SocketAddrV6::new(address, self.port, 0, self.scope.unwrap_or_default()).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_by_address_by_interface_or_by_both() {
        let read = |text: &str| text.parse::<PeerKey>();
        let eth1 = PeerKey::Interface("eth1".into());
        assert_eq!(read("192.0.2.1"), Ok(PeerKey::Address([192, 0, 2, 1].into())));
        assert_eq!(read("fd00::1"), Ok(PeerKey::Address("fd00::1".parse().unwrap())));
        assert_eq!(read("eth1"), Ok(eth1.clone()));
        let on_eth1 = read("fe80::1%eth1").unwrap();
        assert_eq!(on_eth1, PeerKey::Link("fe80::1".parse().unwrap(), "eth1".into()));
        assert_eq!(on_eth1.to_string(), "fe80::1%eth1");
        assert!(on_eth1.means(&eth1) && on_eth1.means(&on_eth1) && !eth1.means(&on_eth1));
        assert!(!on_eth1.means(&read("eth2").unwrap()) && !on_eth1.means(&read("fe80::2%eth1").unwrap()));
        assert_eq!(on_eth1.configured(), eth1);
        for wrong in
            ["", "fe80::1%", "fe80::1%eth0%eth1", "fd00::1%eth1", "%eth1", "a b", "0123456789abcdef", "a/b"]
        {
            assert_eq!(read(wrong), Err(NoPeerKey), "{wrong}");
        }
    }
}
