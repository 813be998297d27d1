//! What a reload must do: the difference of two configurations.

use super::{Config, Dynamic, Peer, PeerKey};

/// One thing that a reload must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A peer that was not there.
    PeerAdded(PeerKey),
    /// A peer that is gone.
    PeerRemoved(PeerKey),
    /// A peer whose session must be set up anew.
    PeerChanged(PeerKey),
    /// A peer that passes other filters now, or other limits, or is watched
    /// otherwise by BFD; its session stays.
    PeerPolicy(PeerKey),
    /// Who may dial in, and as what.
    Ranges,
    /// Whether all that is told is marked (RFC 8326).
    Marks,
    /// Whether the kernel keeps strangers from the port of BGP.
    Guard,
    /// Collectors of BMP.
    Collectors,
    /// What this node originates.
    Originated,
    /// Network policy and address translation.
    Policy,
    /// Blocks or pools of container addresses.
    Addresses,
    /// Certificates and keys of the API, or who may change something.
    Tls,
    /// A key that is read only at start; it keeps its old value.
    NeedsRestart(&'static str),
}

/// What turns `old` into `new`.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let fixed = [
        ("node.name", old.node.name != new.node.name),
        ("node.router_id", old.node.router_id != new.node.router_id),
        ("node.state_dir", old.node.state_dir != new.node.state_dir),
        ("node.table", old.node.table != new.node.table),
        ("api", old.api.fixed() != new.api.fixed()),
        ("kernel", old.kernel != new.kernel),
        ("bgp", speaker(old) != speaker(new)),
    ];
    changes.extend(fixed.iter().filter(|(_, differs)| *differs).map(|(key, _)| Change::NeedsRestart(key)));
    diff_peers(old, new, &mut changes);
    if old.bmp != new.bmp {
        changes.push(Change::Collectors);
    }
    if old.api.tls.is_some() && new.api.tls.is_some() && old.api.tls != new.api.tls {
        changes.push(Change::Tls);
    }
    let told = |config: &Config| (config.advertise.clone(), config.aggregates.clone());
    if told(old) != told(new) || old.statics != new.statics {
        changes.push(Change::Originated);
    }
    if old.ipam != new.ipam || old.cluster != new.cluster {
        changes.push(Change::Addresses);
    }
    if old.policy != new.policy || old.cluster != new.cluster || old.ipam != new.ipam {
        changes.push(Change::Policy);
    }
    changes
}

/// `[bgp]` without its peers and what can change while they are up.
fn speaker(config: &Config) -> Option<super::Bgp> {
    let levelled = |bgp| super::Bgp {
        peers: Vec::new(),
        dynamic: Vec::new(),
        graceful_shutdown: false,
        guard: true,
        ..bgp
    };
    config.bgp.clone().map(levelled)
}

/// True when a session has to be set up anew for what differs.
pub fn needs_new_session(old: &Peer, new: &Peer) -> bool {
    session_part(old) != session_part(new)
}

fn diff_peers(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let (before, after) = (peers(old), peers(new));
    let find = |list: &[Peer], key: &PeerKey| list.iter().find(|peer| peer.key() == *key).cloned();
    for peer in before {
        match find(after, &peer.key()) {
            None => changes.push(Change::PeerRemoved(peer.key())),
            Some(other) if needs_new_session(peer, &other) => {
                changes.push(Change::PeerChanged(peer.key()));
            }
            Some(other) if *peer != other || filters_of(old, peer) != filters_of(new, &other) => {
                changes.push(Change::PeerPolicy(peer.key()));
            }
            Some(_) => {}
        }
    }
    let added = after.iter().filter(|peer| find(before, &peer.key()).is_none());
    changes.extend(added.map(|peer| Change::PeerAdded(peer.key())));
    let (before, after) = (ranges(old), ranges(new));
    let filters = |config, ranges: &[Dynamic]| {
        ranges.iter().map(|range| filters_of(config, &range.template)).collect::<Vec<_>>()
    };
    if before != after || filters(old, before) != filters(new, after) {
        changes.push(Change::Ranges);
    }
    let marks = |config: &Config| config.bgp.as_ref().is_some_and(|bgp| bgp.graceful_shutdown);
    if marks(old) != marks(new) {
        changes.push(Change::Marks);
    }
    let guard = |config: &Config| config.bgp.as_ref().is_some_and(|bgp| bgp.guard);
    if guard(old) != guard(new) {
        changes.push(Change::Guard);
    }
}

fn ranges(config: &Config) -> &[Dynamic] {
    config.bgp.as_ref().map_or(&[], |bgp| &bgp.dynamic)
}

fn peers(config: &Config) -> &[Peer] {
    config.bgp.as_ref().map_or(&[], |bgp| &bgp.peers)
}

/// A peer with everything levelled that can change under a running session.
fn session_part(peer: &Peer) -> Peer {
    Peer {
        description: String::new(),
        origin: super::PeerOrigin::File,
        group: None,
        // Keys change under a session; there being any or none does not.
        password_file: Vec::new(),
        passwords: peer.passwords.first().map(|_| super::Secret::new(Vec::new())).into_iter().collect(),
        shutdown: None,
        import: String::new(),
        export: String::new(),
        max_prefixes: super::MaxPrefixes::default(),
        send_communities: super::SendCommunities::default(),
        as_override: false,
        next_hop: super::NextHopMode::Auto,
        bfd: None,
        advertisement_interval: std::time::Duration::ZERO,
        offers: super::Offers { add_path_send: None, ..peer.offers.clone() },
        ..peer.clone()
    }
}

/// The rules that a peer's routes pass: of the configured filters, the pools
/// that the built-in ones look at, and the aggregates that keep what is inside.
fn filters_of<'a>(config: &'a Config, peer: &Peer) -> impl PartialEq + use<'a> {
    let named = |name: &str| config.filters.iter().find(|filter| *filter.filter.name == *name);
    (named(&peer.import), named(&peer.export), &config.cluster.pools, &config.aggregates)
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PeerAdded(peer) => write!(f, "peer {peer} added"),
            Self::PeerRemoved(peer) => write!(f, "peer {peer} removed"),
            Self::PeerChanged(peer) => write!(f, "peer {peer} changed; its session is set up anew"),
            Self::PeerPolicy(peer) => {
                write!(
                    f,
                    "peer {peer}: filters, limits, keys, BFD or `shutdown` changed; its session is not set up anew"
                )
            }
            Self::Ranges => f.write_str("ranges of peers that may dial in changed, or their filters"),
            Self::Marks => f.write_str("bgp.graceful_shutdown changed; peers are told everything anew"),
            Self::Guard => f.write_str("bgp.guard changed"),
            Self::Collectors => f.write_str("collectors of BMP changed"),
            Self::Originated => f.write_str("advertised prefixes, aggregates or static routes changed"),
            Self::Policy => f.write_str("policy settings changed"),
            Self::Addresses => f.write_str("blocks changed"),
            Self::Tls => {
                f.write_str("api.tls: certificates, keys or operators changed; open connections stay")
            }
            Self::NeedsRestart(key) => {
                write!(f, "{key} changed; restart routed for it, until then the old value holds")
            }
        }
    }
}
