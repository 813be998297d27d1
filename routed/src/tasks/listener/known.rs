//! Who may connect: the peers, and the ranges that peers may dial in from.

use std::net::IpAddr;

use net::Prefix;
use policy::Guard;

use crate::config::{Bgp, Peer, Whose};

/// Addresses that are let in. The kernel is told by [`Known::guard`], and the
/// sockets look here too, for the kernel may have no nftables.
#[derive(Clone, Debug, Default)]
pub(in crate::tasks) struct Known {
    prefixes: Vec<Prefix>,
    /// Those with TTL security, and the least TTL.
    near: Vec<(Prefix, u8)>,
    /// Interfaces whose other end is a peer, with whichever link-local address.
    links: Vec<String>,
}

impl Known {
    pub(in crate::tasks) fn of(bgp: &Bgp) -> Self {
        let mut known = Self::default();
        for peer in &bgp.peers {
            match &peer.interface {
                Some(interface) => known.links.push(interface.clone()),
                None => known.add(Prefix::host(peer.address), peer),
            }
        }
        for range in &bgp.dynamic {
            match &range.who {
                Whose::Range(prefix) => known.add(*prefix, &range.template),
                Whose::Interface(name) => known.links.push(name.clone()),
            }
        }
        known
    }

    fn add(&mut self, prefix: Prefix, peer: &Peer) {
        self.prefixes.push(prefix);
        self.near.extend(peer.least_ttl().map(|ttl| (prefix, ttl)));
    }

    /// True for the address of a peer, or of a range of peers; for any
    /// link-local one where a link has a peer, for the speaker knows the links.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        let on_a_link = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        (on_a_link && !self.links.is_empty()) || self.prefixes.iter().any(|prefix| prefix.contains(address))
    }

    /// The rule of the kernel that lets nobody else connect.
    pub(in crate::tasks) fn guard(self, bgp: &Bgp) -> Guard {
        Guard { listen: bgp.listen.clone(), known: self.prefixes, near: self.near, links: self.links }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_and_ranges_are_known_and_nobody_else() {
        let source = "[bgp]\nasn = 1\n[[bgp.peer]]\naddress = \"192.0.2.7\"\nasn = 1\n\
                      [[bgp.dynamic]]\nrange = \"2001:db8::/64\"\nasn = 1\n";
        let known = Known::of(&crate::config::parse("t", source).unwrap().0.bgp.unwrap());
        let admits = |address: &str| known.admits(address.parse().unwrap());
        assert!(admits("192.0.2.7") && admits("2001:db8::7"));
        assert!(!admits("192.0.2.8") && !admits("2001:db8:0:1::7") && !admits("fe80::7"));
    }

    #[test]
    fn who_has_ttl_security_is_known_from_near_only() {
        let source = "[bgp]\nasn = 1\n[[bgp.peer]]\naddress = \"192.0.2.7\"\nasn = 2\nttl_security = 2\n\
                      [[bgp.dynamic]]\nrange = \"2001:db8::/64\"\nasn = 2\nttl_security = 1\n";
        let bgp = crate::config::parse("t", source).unwrap().0.bgp.unwrap();
        let near = [("192.0.2.7/32", 254), ("2001:db8::/64", 255)];
        let near = near.map(|(prefix, ttl)| (prefix.parse().unwrap(), ttl));
        assert_eq!(Known::of(&bgp).guard(&bgp).near, near);
    }

    #[test]
    fn on_a_link_that_has_a_peer_every_address_of_the_link_is_known() {
        let source = "[bgp]\nasn = 1\n[[bgp.peer]]\ninterface = \"eth1\"\nasn = 1\n";
        let bgp = crate::config::parse("t", source).unwrap().0.bgp.unwrap();
        let known = Known::of(&bgp);
        assert!(known.admits("fe80::7".parse().unwrap()) && !known.admits("::".parse().unwrap()));
        let guard = known.guard(&bgp);
        assert_eq!((guard.links, guard.known), (vec!["eth1".to_owned()], vec![]));
        let several = "[bgp]\nasn = 1\n[[bgp.dynamic]]\ninterface = \"eth1\"\nasn = 1\n";
        let several = Known::of(&crate::config::parse("t", several).unwrap().0.bgp.unwrap());
        assert!(several.admits("fe80::7".parse().unwrap()) && !several.admits("fd00::7".parse().unwrap()));
    }
}
