//! Which TCP-AO keys (RFC 5925) whoever dials in must have.

use std::collections::BTreeMap;
use std::io;

use kernel::sockopt::{self, AoPeer};
use net::Prefix;
use socket2::Socket;

use crate::config::{AoKey, Bgp};

/// Keys by peer, a host prefix, or range of peers.
#[derive(Debug, Default)]
pub(super) struct AoKeys(BTreeMap<Prefix, Vec<AoKey>>);

impl AoKeys {
    pub(super) fn of(bgp: &Bgp) -> Self {
        let ranges = bgp.dynamic.iter().filter_map(|of| Some((of.range()?, &of.template.tcp_ao)));
        let peers = bgp.peers.iter().map(|peer| (Prefix::host(peer.address), &peer.tcp_ao));
        let keys = ranges.chain(peers).filter(|(_, keys)| !keys.is_empty());
        Self(keys.map(|(who, keys)| (who, keys.clone())).collect())
    }

    /// Those who have keys here and others or none there, with the keys.
    pub(super) fn changed(&self, there: &Self) -> Vec<(Prefix, Vec<AoKey>)> {
        let differs = |(who, keys): &(&Prefix, &Vec<AoKey>)| there.0.get(who) != Some(keys);
        self.0.iter().filter(differs).map(|(who, keys)| (*who, keys.clone())).collect()
    }
}

/// Puts a key on a socket.
pub(super) fn add(socket: &Socket, who: Prefix, key: &AoKey) -> io::Result<()> {
    sockopt::add_tcp_ao(socket, peer(who), key.raw(), false)
}

/// Takes a key off a socket; where there is none, there is none to take.
pub(super) fn end(socket: &Socket, who: Prefix, key: &AoKey) {
    let _ = sockopt::end_tcp_ao(socket, peer(who), key.send_id, key.receive_id);
}

fn peer(who: Prefix) -> AoPeer {
    AoPeer { address: who.address(), prefix_length: Some(who.len()) }
}
