//! Who dials in: a peer, one of a range of peers, or nobody.

use std::net::SocketAddr;
use std::time::Instant;

use bgp::peer::Admin;
use net::Prefix;
use tokio::net::TcpStream;
use tracing::{debug, info, warn};

use super::unnumbered::is_on_a_link;
use super::{Handle, PeerCommand, Speaker};
use crate::config::change::needs_new_session;
use crate::config::{Dynamic, Peer, PeerKey, PeerOrigin};

impl Speaker {
    /// Only known peers are spoken to, and those of a range become known as
    /// long as there is room; anybody else's connection just closes.
    pub(super) async fn accepted(&mut self, stream: TcpStream, remote: SocketAddr) {
        let address = remote.ip().to_canonical();
        if self.listeners.is_unkeyed(address) {
            if let Some(unsaid) = self.unkeyed.admit(Instant::now(), "") {
                warn!(%address, unsaid, "connection closed: the kernel has not taken the peer's key, so it may be anybody's");
            }
            return;
        }
        let key = self.listeners.key_of(address).cloned();
        if is_on_a_link(remote) {
            return self.accepted_on_a_link(stream, remote, key).await;
        }
        let peer = PeerKey::Address(address);
        let command = PeerCommand::Accepted(stream, remote, key);
        let command = match self.peers.get(&peer) {
            None => command,
            Some(handle) => match handle.commands.send(command).await {
                // A peer of a range that was just about to go comes back.
                Err(unsent) if self.range_of(&peer).is_some() => unsent.0,
                _ => return,
            },
        };
        let Some(dynamic) = self.config.bgp.range_of(address).cloned() else {
            debug!(%address, "connection from an address that is no peer");
            return;
        };
        if self.known_of(&dynamic) >= dynamic.limit as usize {
            if let Some(unsaid) = self.full.admit(Instant::now(), "") {
                let (range, limit) = (&dynamic.who, dynamic.limit);
                warn!(%address, %range, limit, unsaid, "connection refused: as many peers of the range as its limit allows");
            }
            return;
        }
        info!(peer = %address, asn = %dynamic.template.asn, range = %dynamic.who, "peer has dialled in");
        self.add(dynamic.peer(address).into());
        self.tell(&peer, command).await;
    }

    /// The range that a peer has dialled in from, if it has.
    pub(super) fn range_of(&self, peer: &PeerKey) -> Option<Prefix> {
        match self.peers.get(peer)?.config.origin {
            PeerOrigin::Range(range) => Some(range),
            PeerOrigin::File | PeerOrigin::Runtime | PeerOrigin::Link => None,
        }
    }

    fn known_of(&self, dynamic: &Dynamic) -> usize {
        let of = dynamic.template.origin;
        self.peers.values().filter(|handle| handle.config.origin == of).count()
    }

    /// What a peer that is not configured by name is now; `None`: nothing.
    fn renewed(&self, peer: &Peer) -> Option<Peer> {
        match (peer.origin, &peer.interface) {
            (PeerOrigin::Link, Some(name)) => {
                let new = self.config.bgp.on_link(name)?.peer(peer.address);
                Some(Peer { scope: peer.scope, ..new })
            }
            _ => Some(self.config.bgp.range_of(peer.address)?.peer(peer.address)),
        }
    }

    /// Other ranges and links: who is of none any more is removed, whoever must
    /// be spoken to anew dials in again or is dialled, the others go on with
    /// what is new.
    pub(super) async fn follow_ranges(&mut self, ranges: Vec<Dynamic>) {
        self.config.bgp.dynamic = ranges;
        self.look_at_lans();
        let of_none =
            |handle: &&Handle| !matches!(handle.config.origin, PeerOrigin::File | PeerOrigin::Runtime);
        let dynamic = self.peers.values().filter(of_none);
        let dynamic: Vec<_> =
            dynamic.map(|handle| (handle.config.key(), self.renewed(&handle.config))).collect();
        for (key, new) in dynamic {
            let Some(handle) = self.peers.get_mut(&key) else { continue };
            match new {
                None => self.end(&key, Admin::Deconfigured).await,
                Some(new) if needs_new_session(&handle.config, &new) => {
                    self.end(&key, Admin::ConfigChange).await;
                }
                Some(new) => {
                    *handle.config = new.clone();
                    self.tell(&key, PeerCommand::Reconfigure(new.into())).await;
                }
            }
        }
        let links: Vec<String> =
            self.config.bgp.dynamic.iter().filter_map(|lan| lan.interface().map(str::to_owned)).collect();
        for name in links {
            self.fill_lan(&name);
        }
        self.listen_with_keys();
    }
}
