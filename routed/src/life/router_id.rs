//! The BGP identifier of the node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kernel::Links;
use net::RouterId;
use tracing::info;

use super::Fatal;
use crate::config::Config;

/// The configured router id, or the highest IPv4 address on the interface of
/// the default route, one with a subnet before a single one, or one made of its IPv6 address; needed only where BGP
/// is spoken.
pub(super) fn router_id(config: &Config, links: &Links) -> Result<Option<RouterId>, Fatal> {
    if config.node.router_id.is_some() {
        return Ok(config.node.router_id);
    }
    let interface = kernel::query::default_interface()?;
    let found = interface.and_then(|index| {
        let ipv4 = |address| if let IpAddr::V4(address) = address { Some(address) } else { None };
        let ipv4 = links.highest(index, ipv4).and_then(|address| RouterId::try_from(address).ok());
        ipv4.or_else(|| of_ipv6(links, index))
    });
    if config.bgp.is_some() && found.is_none() { Err(Fatal::NoRouterId) } else { Ok(found) }
}

/// The identifier of a node without IPv4: RFC 6286 §2.1 wants any number but
/// zero that no other node of the AS has. Made of the highest address that is
/// not link-local, it is the same after every start.
fn of_ipv6(links: &Links, index: u32) -> Option<RouterId> {
    let ipv6 = |address| match address {
        IpAddr::V6(address) if !address.is_unicast_link_local() => Some(address),
        _ => None,
    };
    let address = links.highest(index, ipv6)?;
    let router_id = RouterId::try_from(hashed(address)).ok()?;
    info!(%router_id, %address, "router id made of the IPv6 address; node.router_id sets another");
    Some(router_id)
}

/// FNV-1a of the octets, in 240.0.0.0/4: no address that a node could have, so
/// that it clashes with no identifier made of one.
fn hashed(address: Ipv6Addr) -> Ipv4Addr {
    let hash = address
        .octets()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193));
    // The upper bits of the hash are folded into the lower ones that stay.
    Ipv4Addr::from(0xf000_0000 | ((hash ^ (hash >> 28)) & 0x0fff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_addresses_have_identifiers_of_their_own_that_stay_the_same() {
        let address = |n: u16| Ipv6Addr::new(0xfd44, 0, 0, 0, 0, 0, 0, n);
        let ids: std::collections::BTreeSet<Ipv4Addr> = (0..1000).map(|n| hashed(address(n))).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.octets()[0] >= 240 && RouterId::try_from(*id).is_ok()));
        assert_eq!(hashed(address(1)), hashed(address(1)));
    }
}
