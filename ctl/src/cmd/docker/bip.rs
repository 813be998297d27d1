//! `bip`: the address of Docker's bridge, with the length of its subnet.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 address that a host can have, and the length of its subnet. A subnet
/// has room for the bridge and a container at least: 30 bits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bip {
    address: Ipv4Addr,
    length: u8,
}

impl Bip {
    /// The first host of a block; none in a block of IPv6 or of fewer than four
    /// addresses.
    pub(crate) fn first_of(block: &str) -> Option<Self> {
        let (network, length) = split(block).ok()?;
        Some(Self { address: first(network, length), length })
    }

    /// The subnet of the bridge.
    pub(crate) fn subnet(self) -> (Ipv4Addr, u8) {
        (network(self.address, self.length), self.length)
    }

    /// The address lies in the subnet of the bridge.
    pub(crate) fn covers(self, address: Ipv4Addr) -> bool {
        network(address, self.length) == self.subnet().0
    }
}

impl fmt::Display for Bip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Bip {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = split(text)?;
        let network = network(address, length);
        let broadcast = Ipv4Addr::from_bits(network.to_bits() | !mask(length));
        if address == network || address == broadcast {
            return Err(format!("no host can have it; did you mean {}/{length}?", first(network, length)));
        }
        Ok(Self { address, length })
    }
}

fn split(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let (address, length) =
        text.split_once('/').ok_or("expected the bridge's address and a length, as in 10.244.1.1/24")?;
    let address = address.parse().map_err(|_| format!("{address} is not an IPv4 address"))?;
    match length.parse() {
        Ok(length @ 1..=30) => Ok((address, length)),
        _ => Err(format!("{length} is not a length from 1 to 30")),
    }
}

fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn network(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & mask(length))
}

fn first(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(network(address, length).to_bits() | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_block_keeps_the_length_of_the_block() {
        let first = |block| Bip::first_of(block).map(|bip| bip.to_string());
        assert_eq!(first("10.244.1.0/24").as_deref(), Some("10.244.1.1/24"));
        assert_eq!(first("172.17.0.0/16").as_deref(), Some("172.17.0.1/16"));
        assert_eq!(first("10.244.1.4/30").as_deref(), Some("10.244.1.5/30"));
        assert_eq!(first("10.244.1.4/31"), None);
        assert_eq!(first("2001:db8::/64"), None);
    }

    #[test]
    fn a_bip_is_an_address_that_a_host_can_have() {
        let bip: Bip = "10.244.1.254/24".parse().expect("a host");
        assert_eq!(bip.subnet(), (Ipv4Addr::new(10, 244, 1, 0), 24));
        assert!(bip.covers(Ipv4Addr::new(10, 244, 1, 7)) && !bip.covers(Ipv4Addr::new(10, 244, 2, 7)));
        let refused = |text: &str| text.parse::<Bip>().expect_err("no host");
        assert_eq!(refused("10.244.1.0/24"), "no host can have it; did you mean 10.244.1.1/24?");
        assert_eq!(refused("10.244.1.255/24"), "no host can have it; did you mean 10.244.1.1/24?");
        assert_eq!(refused("10.244.1.1/31"), "31 is not a length from 1 to 30");
        assert_eq!(refused("10.244.1.1"), "expected the bridge's address and a length, as in 10.244.1.1/24");
        assert_eq!(refused("2001:db8::1/64"), "2001:db8::1 is not an IPv4 address");
    }
}
