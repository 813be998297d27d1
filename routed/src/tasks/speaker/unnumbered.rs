//! Peers of interfaces: who is at the other end is found, by the discovery
//! task, and becomes a peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use bgp::peer::Admin;
use rib::PeerId;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::{debug, info};

use super::{PeerCommand, Speaker};
use crate::config::{Bgp, Peer, PeerKey, Secret};
use crate::tasks::discovery::{Absence, Neighbor, Want, Wanted};
use crate::tasks::report::PeerReport;

/// What is known of the other end of an interface.
#[derive(Clone, Debug)]
enum Known {
    Absent(Absence),
    /// The link of this index is up.
    Sought(u32),
    /// A peer was there, on the link of this index, and is heard no more.
    Gone(u32),
    /// It is there.
    Found(Ipv6Addr, u32),
}

/// An interface that has a peer.
struct Interface {
    /// What the peer is shown as while there is none.
    id: PeerId,
    /// What whoever is there is configured as.
    template: Box<Peer>,
    known: Known,
    rival: Option<Ipv6Addr>,
}

/// All interfaces that have a peer.
#[derive(Default)]
pub(super) struct Unnumbered {
    interfaces: BTreeMap<String, Interface>,
    wanted: watch::Sender<Wanted>,
}

impl Unnumbered {
    /// What the discovery task is to look at.
    pub(super) fn wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// Has the discovery task look at an interface, or look at it no more.
    pub(super) fn want(&self, name: String, want: Option<Want>) {
        self.wanted.send_if_modified(|wanted| match want {
            Some(want) => wanted.insert(name, want) != Some(want),
            None => wanted.remove(&name).is_some(),
        });
    }

    /// True when it is the peer of an interface, whoever that is.
    pub(super) fn has(&self, peer: &PeerKey) -> bool {
        matches!(peer, PeerKey::Interface(name) if self.interfaces.contains_key(name))
    }

    /// The peer of an interface has gone by itself.
    pub(super) fn gone(&mut self, peer: &PeerKey) {
        let PeerKey::Interface(name) = peer else { return };
        if let Some(interface) = self.interfaces.get_mut(name)
            && let Known::Found(_, index) = interface.known
        {
            interface.known = Known::Gone(index);
        }
    }

    fn on_link(&self, index: u32) -> Option<(&String, &Interface)> {
        self.interfaces.iter().find(|(_, interface)| interface.known.index() == Some(index))
    }
}

impl Known {
    fn index(&self) -> Option<u32> {
        match self {
            Self::Absent(_) => None,
            Self::Sought(index) | Self::Gone(index) | Self::Found(_, index) => Some(*index),
        }
    }
}

impl Interface {
    /// The peer that is there.
    fn peer(&self) -> Option<Peer> {
        let Known::Found(address, index) = self.known else { return None };
        Some(Peer { address: IpAddr::V6(address), scope: Some(index), ..(*self.template).clone() })
    }

    /// Why there is no peer.
    fn why(&self) -> String {
        match &self.known {
            Known::Absent(absence) => absence.to_string(),
            Known::Sought(_) => "nobody has been heard there; the other end must send router advertisements \
                                 (BGP on the interface does that) or dial"
                .to_owned(),
            Known::Gone(_) => "the neighbour is heard no more".to_owned(),
            Known::Found(..) => "its task has just ended".to_owned(),
        }
    }
}

impl Speaker {
    /// Looks for the peer of an interface. One that is known already is kept,
    /// where only what it is configured as has changed.
    pub(super) fn look_for(&mut self, id: PeerId, template: Box<Peer>) {
        let Some(name) = template.interface.clone() else { return };
        let fixed = fixed(&template);
        let before = self.unnumbered.interfaces.remove(&name);
        let before = before.filter(|before| self::fixed(&before.template) == fixed);
        let known = before.map_or(Known::Absent(Absence::New), |before| before.known);
        let new = matches!(known, Known::Absent(Absence::New));
        let interface = Interface { id, template, known, rival: None };
        let peer = interface.peer();
        self.unnumbered.interfaces.insert(name.clone(), interface);
        if new {
            self.unnumbered.want(name, Some(Want { fixed, many: false, number: id.0.into() }));
        }
        if let Some(peer) = peer {
            let id = self.new_id();
            self.spawn(id, peer.into(), None);
        }
    }

    pub(super) fn look_no_more(&mut self, peer: &PeerKey) {
        let PeerKey::Interface(name) = peer else { return };
        self.unnumbered.interfaces.remove(name);
        self.unnumbered.want(name.clone(), None);
    }

    /// Another template for the peer of an interface; returns what that peer
    /// is now. Others are what they are configured as.
    pub(super) fn follow_template(&mut self, peer: Box<Peer>) -> Box<Peer> {
        let interface = peer.interface.as_ref().and_then(|name| self.unnumbered.interfaces.get_mut(name));
        let Some(interface) = interface else { return peer };
        interface.template.clone_from(&peer);
        interface.peer().map_or(peer, Box::new)
    }

    /// The discovery task has news.
    pub(super) async fn neighbor(&mut self, name: String, neighbor: Neighbor) {
        if self.lans.has(&name) {
            return self.neighbor_on_lan(name, neighbor).await;
        }
        let key = PeerKey::Interface(name.clone());
        let Some(interface) = self.unnumbered.interfaces.get_mut(&name) else { return };
        match neighbor {
            Neighbor::Rival(rival) => interface.rival = rival,
            Neighbor::Silent(_) => drop(self.tell(&key, PeerCommand::Unheard).await),
            Neighbor::Absent(absence) => {
                info!(interface = name, why = %absence, "no peer can be on the interface");
                self.lost(&key, Known::Absent(absence)).await;
            }
            Neighbor::Sought(index) => self.lost(&key, Known::Sought(index)).await,
            Neighbor::Found(address, index) => self.found(name, address, index).await,
        }
    }

    /// There is no peer on an interface any more.
    async fn lost(&mut self, peer: &PeerKey, known: Known) {
        let PeerKey::Interface(name) = peer else { return };
        if let Some(interface) = self.unnumbered.interfaces.get_mut(name) {
            (interface.known, interface.rival) = (known, None);
        }
        self.end(peer, Admin::Deconfigured).await;
        self.listen_with_keys();
    }

    /// The peer of an interface has this address, now or still.
    async fn found(&mut self, name: String, address: Ipv6Addr, index: u32) {
        let Some(interface) = self.unnumbered.interfaces.get_mut(&name) else { return };
        let same = matches!(interface.known, Known::Found(old, of) if (old, of) == (address, index));
        if same {
            return;
        }
        (interface.known, interface.rival) = (Known::Found(address, index), None);
        let Some(peer) = interface.peer() else { return };
        self.end(&PeerKey::Interface(name), Admin::Deconfigured).await;
        self.listen_with_keys();
        info!(peer = %peer.name(), asn = %peer.asn, "peer found");
        let id = self.new_id();
        self.spawn(id, peer.into(), None);
    }

    /// Somebody dials from a link-local address: the peer of that interface,
    /// who may not have been heard yet; or nobody.
    pub(super) async fn accepted_on_a_link(
        &mut self,
        stream: TcpStream,
        remote: SocketAddr,
        secret: Option<Secret>,
    ) {
        let SocketAddr::V6(from) = remote else { return };
        let Some((name, interface)) = self.unnumbered.on_link(from.scope_id()) else {
            return self.accepted_on_lan(stream, remote, secret).await;
        };
        // The address may be that of another peer on another link, and the key too.
        let keys = &interface.template.passwords;
        let signed = secret.as_ref().map_or(keys.is_empty(), |secret| keys.contains(secret));
        let known = match interface.known {
            Known::Found(address, _) => address == *from.ip(),
            Known::Absent(_) | Known::Sought(_) | Known::Gone(_) => {
                interface.template.address.is_unspecified()
            }
        };
        if !(signed && known) {
            debug!(address = %remote, interface = name, signed, "connection from somebody who is not the peer");
            return;
        }
        let name = name.clone();
        self.found(name.clone(), *from.ip(), from.scope_id()).await;
        self.tell(&PeerKey::Interface(name), PeerCommand::Accepted(stream, remote, secret)).await;
    }

    /// Has the listening sockets take the keys of the peers that are known.
    pub(super) fn listen_with_keys(&mut self) {
        let of_links = self.unnumbered.interfaces.values();
        let found = of_links.map(|interface| interface.peer().unwrap_or((*interface.template).clone()));
        let peers = self.config.bgp.peers.iter().filter(|peer| peer.interface.is_none()).cloned();
        let bgp =
            Bgp { peers: peers.chain(found).chain(self.on_lans()).collect(), ..self.config.bgp.clone() };
        self.listeners.configure(&bgp);
    }

    /// How the peers are that are looked for.
    pub(super) fn report_sought(&self, wanted: Option<&PeerKey>) -> Vec<(PeerId, PeerReport)> {
        let sought = self.unnumbered.interfaces.iter().filter(|(name, _)| {
            let key = PeerKey::Interface((*name).clone());
            wanted.is_none_or(|wanted| wanted.means(&key)) && !self.peers.contains_key(&key)
        });
        let report = |interface: &Interface| {
            let machine = bgp::Peer::new(self.machine_config(&interface.template));
            PeerReport {
                last_error: Some(interface.why()),
                disabled: interface.template.shutdown.is_some(),
                ..PeerReport::new(&interface.template, &machine.status(), Instant::now())
            }
        };
        sought.map(|(_, interface)| (interface.id, report(interface))).collect()
    }

    /// The same with the second router that was heard beside the peer.
    pub(super) fn with_rival(&self, report: PeerReport) -> PeerReport {
        let name = report.config.interface.as_ref();
        let rival = name.and_then(|name| self.unnumbered.interfaces.get(name)?.rival);
        PeerReport { rival, ..report }
    }
}

/// True for an address that means nothing without its link.
pub(super) fn is_on_a_link(remote: SocketAddr) -> bool {
    matches!(remote, SocketAddr::V6(remote) if remote.ip().is_unicast_link_local())
}

/// The address that the peer of an interface is configured with.
fn fixed(template: &Peer) -> Option<Ipv6Addr> {
    match template.address {
        IpAddr::V6(address) if !address.is_unspecified() => Some(address),
        _ => None,
    }
}
