//! Who may connect: the peers, and the ranges that peers may dial in from.

use std::net::IpAddr;

use net::Prefix;
use policy::Guard;

use crate::config::Bgp;

/// Addresses that are let in. The kernel is told by [`Known::guard`], and the
/// sockets look here too, for the kernel may have no nftables.
#[derive(Clone, Debug, Default)]
pub(in crate::tasks) struct Known {
    prefixes: Vec<Prefix>,
}

impl Known {
    pub(in crate::tasks) fn of(bgp: &Bgp) -> Self {
        let peers = bgp.peers.iter().map(|peer| Prefix::host(peer.address));
        Self { prefixes: peers.chain(bgp.dynamic.iter().map(|range| range.range)).collect() }
    }

    /// True for the address of a peer, or of a range of peers.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(address))
    }

    /// The rule of the kernel that lets nobody else connect.
    pub(in crate::tasks) fn guard(self, bgp: &Bgp) -> Guard {
        Guard { listen: bgp.listen.clone(), known: self.prefixes, links: Vec::new() }
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
}
