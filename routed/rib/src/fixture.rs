//! What the tests of this crate build their tables from.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use net::{AsPath, Asn, Attrs, NextHop, Prefix};

use crate::nexthop::Link;
use crate::peer::LocalEnd;
use crate::{PeerId, PeerInfo, Rules, Table};

/// Our own AS in the tests.
pub(crate) const OURS: u32 = 64512;

pub(crate) fn p(text: &str) -> Prefix {
    text.parse().expect("a prefix in a test")
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address in a test")
}

/// Peer number `n` is 192.0.2.n, with that as its router id.
pub(crate) fn peer(n: u8, asn: u32) -> PeerInfo {
    let address = Ipv4Addr::new(192, 0, 2, n);
    let router_id = address.try_into().expect("not zero");
    PeerInfo {
        local: LocalEnd {
            v4: Some(Ipv4Addr::new(192, 0, 2, 254)),
            v6: Some("2001:db8::fe".parse().expect("an address")),
            link_local: None,
        },
        ..PeerInfo::new(PeerId(n.into()), address.into(), Asn(asn), Asn(OURS), router_id)
    }
}

pub(crate) fn rules() -> Rules {
    Rules::new("192.0.2.254".parse().expect("a router id"))
}

/// A node at 192.0.2.254 and `2001:db8::fe`, with one link.
pub(crate) fn table(now: Instant, peers: &[PeerInfo]) -> Table {
    let mut table = Table::new(rules());
    let links =
        [Link { prefix: p("192.0.2.0/24"), ifindex: 2 }, Link { prefix: p("2001:db8::/64"), ifindex: 2 }];
    table.set_links(now, &links, [ip("192.0.2.254"), ip("2001:db8::fe")]);
    for peer in peers {
        table.peer_up(peer.clone());
    }
    table.take_changes(usize::MAX);
    table
}

pub(crate) fn attrs(path: &[u32], next_hop: &str) -> Arc<Attrs> {
    Arc::new(Attrs {
        as_path: AsPath::sequence(path.iter().copied()),
        next_hop: Some(NextHop::from(ip(next_hop))),
        ..Attrs::default()
    })
}
