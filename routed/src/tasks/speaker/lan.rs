//! Links on which every router that is heard is a peer: `[[bgp.dynamic]]` with
//! an `interface`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Instant;

use bgp::peer::Admin;
use rib::PeerId;
use tokio::net::TcpStream;
use tracing::{debug, info, warn};

use super::{PeerCommand, Speaker};
use crate::config::{Peer, PeerKey, PeerOrigin, Secret};
use crate::tasks::discovery::{Absence, Neighbor, Want};
use crate::tasks::report::PeerReport;

/// What is known of a link.
#[derive(Debug)]
enum Known {
    /// Nobody can be there.
    Absent(Absence),
    /// It has this index, and these routers are on it.
    Up { index: u32, heard: BTreeSet<Ipv6Addr> },
}

/// One link.
#[derive(Debug)]
struct Lan {
    /// What it is shown as while it has no peer.
    id: PeerId,
    known: Known,
}

/// All of them, by the names of their interfaces.
#[derive(Debug, Default)]
pub(super) struct Lans(BTreeMap<String, Lan>);

impl Lans {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The link with this index.
    fn on_link(&self, index: u32) -> Option<&str> {
        let here = |lan: &Lan| matches!(lan.known, Known::Up { index: of, .. } if of == index);
        self.0.iter().find(|(_, lan)| here(lan)).map(|(name, _)| name.as_str())
    }

    fn heard(&mut self, name: &str) -> Option<&mut BTreeSet<Ipv6Addr>> {
        match &mut self.0.get_mut(name)?.known {
            Known::Absent(_) => None,
            Known::Up { heard, .. } => Some(heard),
        }
    }
}

impl Lan {
    /// Why there is no peer.
    fn why(&self) -> String {
        match &self.known {
            Known::Absent(absence) => absence.to_string(),
            Known::Up { .. } => "nobody has been heard there; other routers must send router advertisements \
                                 (BGP on the interface does that)"
                .to_owned(),
        }
    }
}

impl Speaker {
    /// Looks at the links of the configuration, and at no other.
    pub(super) fn look_at_lans(&mut self) {
        let wanted: Vec<String> =
            self.config.bgp.dynamic.iter().filter_map(|lan| lan.interface().map(str::to_owned)).collect();
        let gone: Vec<String> = self.lans.0.keys().filter(|name| !wanted.contains(name)).cloned().collect();
        for name in gone {
            self.lans.0.remove(&name);
            self.unnumbered.want(name, None);
        }
        for name in wanted {
            if !self.lans.has(&name) {
                let id = self.new_id();
                self.lans.0.insert(name.clone(), Lan { id, known: Known::Absent(Absence::New) });
                self.unnumbered.want(name, Some(Want { fixed: None, many: true, number: id.0.into() }));
            }
        }
    }

    /// The discovery task has news of such a link.
    pub(super) async fn neighbor_on_lan(&mut self, name: String, neighbor: Neighbor) {
        match neighbor {
            Neighbor::Absent(absence) => {
                info!(interface = name, why = %absence, "no peer can be on the interface");
                self.leave_lan(&name, Known::Absent(absence)).await;
            }
            Neighbor::Sought(index) => {
                self.leave_lan(&name, Known::Up { index, heard: BTreeSet::new() }).await;
            }
            Neighbor::Found(address, _) => {
                self.lans.heard(&name).map(|heard| heard.insert(address));
                self.fill_lan(&name);
            }
            Neighbor::Silent(address) => {
                let known = self.tell(&PeerKey::Link(address, name.clone()), PeerCommand::Unheard).await;
                if !known && let Some(heard) = self.lans.heard(&name) {
                    heard.remove(&address);
                }
            }
            Neighbor::Rival(_) => {}
        }
    }

    /// The link is another one now, or none: its peers go.
    async fn leave_lan(&mut self, name: &str, known: Known) {
        for peer in self.of_lan(name) {
            self.end(&peer, Admin::Deconfigured).await;
        }
        if let Some(lan) = self.lans.0.get_mut(name) {
            lan.known = known;
        }
        self.listen_with_keys();
    }

    fn of_lan(&self, name: &str) -> Vec<PeerKey> {
        let here = |peer: &&PeerKey| matches!(peer, PeerKey::Link(_, of) if of == name);
        self.peers.keys().filter(here).cloned().collect()
    }

    /// Makes a peer of each router of the link that is none yet, as long as
    /// there is room.
    pub(super) fn fill_lan(&mut self, name: &str) {
        let Some(dynamic) = self.config.bgp.on_link(name).cloned() else { return };
        let Some(Known::Up { index, heard }) = self.lans.0.get(name).map(|lan| &lan.known) else { return };
        let is_new = |address: &Ipv6Addr| !self.peers.contains_key(&PeerKey::Link(*address, name.to_owned()));
        let mut new: Vec<Peer> =
            heard.iter().filter(|a| is_new(a)).map(|a| dynamic.router(*a, *index)).collect();
        let room = (dynamic.limit as usize).saturating_sub(self.of_lan(name).len());
        if new.len() > room
            && let Some(unsaid) = self.full.admit(Instant::now(), name)
        {
            let (limit, more) = (dynamic.limit, new.len() - room);
            warn!(
                interface = name,
                limit, more, unsaid, "more routers on the interface than its limit allows to be peers"
            );
        }
        new.truncate(room);
        if new.is_empty() {
            return;
        }
        for peer in new {
            info!(peer = %peer.name(), asn = %peer.asn, "peer found");
            let id = self.new_id();
            self.spawn(id, peer.into(), None);
        }
        self.listen_with_keys();
    }

    /// A peer has gone by itself: it is heard no more.
    pub(super) fn gone_from_lan(&mut self, peer: &PeerKey) {
        let PeerKey::Link(address, name) = peer else { return };
        if let Some(heard) = self.lans.heard(name) {
            heard.remove(address);
        }
        self.fill_lan(name);
    }

    /// Somebody dials from a link-local address of such a link. Who has yet to
    /// be heard is not known, and will be in seconds, for both advertise.
    pub(super) async fn accepted_on_lan(
        &mut self,
        stream: TcpStream,
        remote: SocketAddr,
        secret: Option<Secret>,
    ) {
        let SocketAddr::V6(from) = remote else { return };
        let Some(name) = self.lans.on_link(from.scope_id()) else {
            debug!(address = %remote, "connection from a link that has no peer");
            return;
        };
        let key = PeerKey::Link(*from.ip(), name.to_owned());
        let Some(handle) = self.peers.get(&key) else {
            debug!(address = %remote, interface = name, "connection from a router that has not been heard");
            return;
        };
        let keys = &handle.config.passwords;
        let signed = secret.as_ref().map_or(keys.is_empty(), |secret| keys.contains(secret));
        if signed {
            self.tell(&key, PeerCommand::Accepted(stream, remote, secret)).await;
        } else {
            debug!(peer = %key, "connection without the key of the peer");
        }
    }

    /// The peers of such links, as they are.
    pub(super) fn on_lans(&self) -> impl Iterator<Item = Peer> + '_ {
        let of_link = |config: &&Peer| config.origin == PeerOrigin::Link;
        self.peers.values().map(|handle| &*handle.config).filter(of_link).cloned()
    }

    /// The links that have no peer.
    pub(super) fn report_lans(&self, wanted: Option<&PeerKey>) -> Vec<(PeerId, PeerReport)> {
        let alone = self.lans.0.iter().filter(|(name, _)| {
            let key = PeerKey::Interface((*name).clone());
            wanted.is_none_or(|wanted| *wanted == key) && self.of_lan(name).is_empty()
        });
        let report = |(name, lan): (&String, &Lan)| {
            let peer = self.config.bgp.on_link(name)?.router(Ipv6Addr::UNSPECIFIED, 0);
            let machine = bgp::Peer::new(self.machine_config(&peer));
            let report = PeerReport {
                last_error: Some(lan.why()),
                ..PeerReport::new(&peer, &machine.status(), Instant::now())
            };
            Some((lan.id, report))
        };
        alone.filter_map(report).collect()
    }
}
