//! `[bgp]` and its peers.

mod added;
pub(crate) mod ao;
mod dynamic;
mod group;
mod interface;
mod key;
mod limit;
mod name;
#[cfg(test)]
mod tests;

pub use ao::AoKey;
pub use dynamic::{Dynamic, Whose};
pub use limit::{AtLimit, MaxPrefixes};
pub use name::{NoPeerKey, PeerKey};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use net::{Asn, Family, PeerAs};
use toml::de::DeValue;

use self::group::Groups;
use super::bfd::{self, Bfd};
use super::diagnostic::Findings;
use super::file::values;
use super::reader::{FromToml, Located, Section};
use super::{Bgp, NamedFilter, NextHopMode, Peer, PeerOrigin, SendCommunities, defaults, session};

/// The names of the filters that are there without being configured; a
/// configured filter of the same name takes their place.
const BUILT_IN: [&str; 4] = ["cluster-only", "local-only", "accept-all", "reject-all"];

/// What peers are read against.
#[derive(Clone, Copy)]
struct Around<'a, 'i> {
    asn: Asn,
    filters: &'a [NamedFilter],
    bfd: &'a Bfd,
    groups: &'a Groups<'i>,
}

/// What operators have changed since the file was written.
#[derive(Clone, Copy)]
pub(super) struct Since<'i> {
    /// The tables of the peers that they added.
    pub(super) added: &'i [(PeerKey, String)],
    /// The peers that they disabled.
    pub(super) disabled: &'i BTreeMap<PeerKey, String>,
}

pub(super) fn read<'i>(
    top: &mut Section<'i>,
    (filters, bfd): (&[NamedFilter], &Bfd),
    since: Since<'i>,
    findings: &mut Findings<'_>,
) -> Option<Bgp> {
    let mut section = top.section("bgp", findings)?;
    let asn = section.required::<Asn>("asn", findings).map(|asn| asn.value);
    let listen = section.list::<SocketAddr>("listen", findings).map_or_else(defaults::bgp_listen, values);
    let cluster_id = section.get::<IpAddr>("cluster_id", findings).and_then(|id| match id {
        IpAddr::V4(id) => Some(id),
        IpAddr::V6(_) => {
            findings.error(&section.span, "bgp.cluster_id: write it as an IPv4 address (RFC 4456 §7)");
            None
        }
    });
    let groups = Groups::read(&mut section, findings);
    let mut flag = |key, default| section.get(key, findings).unwrap_or(default);
    let mut bgp = Bgp {
        always_compare_med: flag("always_compare_med", false),
        deterministic_med: flag("deterministic_med", true),
        compare_router_id: flag("compare_router_id", false),
        multipath_as_path_relax: flag("multipath_as_path_relax", false),
        reject_as_sets: flag("reject_as_sets", true),
        graceful_shutdown: flag("graceful_shutdown", false),
        guard: flag("guard", true),
        suppress_fib_pending: flag("suppress_fib_pending", false),
        asn: asn.unwrap_or_default(),
        listen,
        cluster_id,
        multipath: section.get("multipath", findings).unwrap_or(defaults::MULTIPATH).max(1),
        graceful_restart: session::graceful_restart(&mut section, findings),
        confederation: session::confederation(&mut section, asn, findings),
        max_as_path: section.get("max_as_path", findings),
        max_communities: section.get("max_communities", findings),
        peers: Vec::new(),
        dynamic: Vec::new(),
    };
    let around = Around { asn: bgp.asn, filters, bfd, groups: &groups };
    groups.check(around, findings);
    let mut seen = BTreeMap::new();
    for peer in section.sections("peer", findings) {
        bgp.peers.extend(read_peer(peer, around, &mut seen, findings));
    }
    bgp.dynamic = dynamic::read(&mut section, around, findings);
    no_link_has_one_peer_and_several(&bgp, &seen, findings);
    no_peer_is_this_node(&bgp.peers, &seen, findings);
    added::read(&mut bgp.peers, around, since, &section.span, findings);
    section.finish(findings);
    Some(bgp)
}

/// An address that one peer's session comes from is not that of another peer.
fn no_peer_is_this_node(
    peers: &[Peer],
    places: &BTreeMap<PeerKey, Range<usize>>,
    findings: &mut Findings<'_>,
) {
    for peer in peers {
        let other = |other: &&Peer| other.address != peer.address && other.source == Some(peer.address);
        if let (Some(other), Some(place)) = (peers.iter().find(other), places.get(&peer.key())) {
            let message = format!(
                "address: {} is this node, for it is the source of peer {}; a node is no peer of itself",
                peer.address, other.address
            );
            findings.error(place, message);
        }
    }
}

/// A link has one peer, or whoever is there.
fn no_link_has_one_peer_and_several(
    bgp: &Bgp,
    places: &BTreeMap<PeerKey, Range<usize>>,
    findings: &mut Findings<'_>,
) {
    for name in bgp.dynamic.iter().filter_map(Dynamic::interface) {
        if let Some(place) = places.get(&PeerKey::Interface(name.to_owned())) {
            let message = format!("interface: on {name} every router is a peer by [[bgp.dynamic]]; keep one");
            findings.error(place, message);
        }
    }
}

fn read_peer<'i>(
    mut section: Section<'i>,
    around: Around<'_, 'i>,
    seen: &mut BTreeMap<PeerKey, Range<usize>>,
    findings: &mut Findings<'_>,
) -> Option<Peer> {
    let interface = interface::read(&mut section, findings);
    let group = around.groups.inherit(&mut section, findings);
    if interface.is_some() {
        // Those of a group are for its other peers.
        for (key, _) in interface::ALONE {
            let _ = section.discard(key);
        }
    }
    let address = match interface {
        None => section.required::<IpAddr>("address", findings),
        Some(_) => section.located::<IpAddr>("address", findings),
    };
    let asn = section.required::<PeerAs>("asn", findings);
    if let Some(address) = &address
        && let Err(kind) = unicast(address.value)
    {
        findings
            .error(&address.span, format!("address: {} is {kind} and no peer can have it", address.value));
    }
    interface::check(interface.as_ref(), address.as_ref(), findings);
    let source = source(&mut section, address.as_ref(), findings);
    let peer = settings(section, asn.as_ref().map(|asn| asn.value), around, findings);
    let span = interface.as_ref().map(|interface| &interface.span).or(address.as_ref().map(|a| &a.span))?;
    let span = span.clone();
    let unknown = interface.as_ref().map(|_| IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let address = address.map(|address| address.value).or(unknown)?;
    let interface = interface.map(|interface| interface.value);
    let peer = Peer { address, interface, group, source, ..peer };
    if seen.insert(peer.key(), span.clone()).is_some() {
        findings.error(&span, format!("peer {} stands twice; keep one", peer.key()));
    }
    Some(Peer { asn: asn?.value, ..peer })
}

/// The keys that peers, ranges of peers and groups have in common; the
/// address, which they do not, is left open.
fn settings(
    mut section: Section<'_>,
    asn: Option<PeerAs>,
    around: Around<'_, '_>,
    findings: &mut Findings<'_>,
) -> Peer {
    let span = section.span.clone();
    let (password_file, passwords) = key::read(&mut section, findings);
    let tcp_ao = ao::read(&mut section, findings);
    if !tcp_ao.is_empty() && !password_file.is_empty() {
        findings.error(&span, "password_file and tcp_ao exclude each other; TCP-AO is the stronger one");
    }
    let local_asn = local_asn(&mut section, around, findings);
    let peer = Peer {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        interface: None,
        scope: None,
        asn: asn.unwrap_or(PeerAs::External),
        origin: PeerOrigin::File,
        group: None,
        description: section.get("description", findings).unwrap_or_default(),
        port: port(&mut section, findings),
        source: None,
        passive: section.get("passive", findings).unwrap_or(false),
        password_file,
        passwords,
        tcp_ao,
        ttl_security: hops(&mut section, "ttl_security", findings),
        multihop: hops(&mut section, "multihop", findings),
        hold_time: hold_time(&mut section, findings),
        keepalive: at_least_a_second(&mut section, "keepalive", findings),
        connect_retry: at_least_a_second(&mut section, "connect_retry", findings)
            .unwrap_or(defaults::CONNECT_RETRY),
        idle_hold: at_least_a_second(&mut section, "idle_hold", findings).unwrap_or(defaults::IDLE_HOLD),
        advertisement_interval: advertisement_interval(&mut section, findings),
        families: families(&mut section, findings),
        import: filter_name(&mut section, "import", "cluster-only", around.filters, findings),
        export: filter_name(&mut section, "export", "local-only", around.filters, findings),
        max_prefixes: limit::read(&mut section, findings),
        next_hop: section.get("next_hop", findings).unwrap_or_default(),
        route_reflector_client: section.get("route_reflector_client", findings).unwrap_or(false),
        local_asn,
        allow_own_asn: section.get("allow_own_asn", findings).unwrap_or(0),
        as_override: section.get("as_override", findings).unwrap_or(false),
        send_communities: send_communities(&mut section, findings),
        shutdown: section.get("shutdown", findings),
        offers: session::read(&mut section, findings),
        bfd: bfd::of_peer(&mut section, around.bfd, findings),
    };
    let hops = peer.multihop.or(peer.ttl_security);
    let peer = Peer { bfd: peer.bfd.map(|bfd| bfd.over(hops, &span, findings)), ..peer };
    section.finish(findings);
    if asn.is_some() {
        consistent(&peer, around.asn, &span, findings);
    }
    peer
}

/// What keys say of each other.
fn consistent(peer: &Peer, our_asn: Asn, span: &Range<usize>, findings: &mut Findings<'_>) {
    let external = peer.asn.is_external(peer.local_asn.unwrap_or(our_asn));
    if peer.route_reflector_client && external {
        findings
            .error(span, "route_reflector_client is for internal peers (RFC 4456); the peer's AS differs");
    }
    if peer.as_override && !external {
        findings.error(span, "as_override is for external peers; the peer's AS is ours");
    }
    if peer.ttl_security.is_some() && peer.multihop.is_some() {
        findings.error(span, "ttl_security and multihop exclude each other; ttl_security = N allows N hops");
    }
    if peer.keepalive.is_some_and(|keepalive| !peer.hold_time.is_zero() && keepalive >= peer.hold_time) {
        findings.error(span, "keepalive must be shorter than hold_time, or every session ends");
    }
}

fn local_asn(section: &mut Section<'_>, around: Around<'_, '_>, findings: &mut Findings<'_>) -> Option<Asn> {
    let local = section.located::<Asn>("local_asn", findings)?;
    if local.value == around.asn {
        findings.warning(&local.span, "local_asn is bgp.asn already; the key changes nothing");
    }
    Some(local.value)
}

fn send_communities(section: &mut Section<'_>, findings: &mut Findings<'_>) -> SendCommunities {
    let all = SendCommunities::default();
    let Some(kinds) = section.list::<Kinds>("send_communities", findings) else { return all };
    let says = |kind| kinds.iter().any(|said| said.value == kind || said.value == Kinds::All);
    SendCommunities {
        standard: says(Kinds::Standard),
        extended: says(Kinds::Extended),
        large: says(Kinds::Large),
    }
}

/// Whether an address can be that of a peer; else what it is.
fn unicast(address: IpAddr) -> Result<(), &'static str> {
    let broadcast = IpAddr::V4(Ipv4Addr::BROADCAST);
    match address.to_canonical() {
        address if address.is_unspecified() => Err("no address"),
        address if address.is_loopback() => Err("a loopback address"),
        address if address.is_multicast() => Err("a multicast address"),
        address if address == broadcast => Err("the broadcast address"),
        canonical if canonical != address => Err("an IPv4 address in the form of IPv6"),
        _ => Ok(()),
    }
}

fn source(
    section: &mut Section<'_>,
    peer: Option<&Located<IpAddr>>,
    findings: &mut Findings<'_>,
) -> Option<IpAddr> {
    let source = section.located::<IpAddr>("source", findings)?;
    if let Err(kind) = unicast(source.value) {
        findings.error(&source.span, format!("source: {} is {kind}", source.value));
    }
    match peer.map(|peer| peer.value) {
        Some(peer) if peer == source.value => {
            findings.error(
                &source.span,
                format!("source: {peer} is the peer itself; name an address of this node"),
            );
        }
        Some(peer) if Family::of(peer) != Family::of(source.value) => {
            findings.error(
                &source.span,
                format!("source: {} cannot reach {peer}, for the families differ", source.value),
            );
        }
        _ => {}
    }
    Some(source.value)
}

fn port(section: &mut Section<'_>, findings: &mut Findings<'_>) -> u16 {
    let Some(port) = section.located::<u16>("port", findings) else { return defaults::BGP_PORT };
    if port.value == 0 {
        findings.error(&port.span, "port: a port from 1 to 65535 is expected; BGP's own is 179");
    }
    port.value
}

fn hops(section: &mut Section<'_>, key: &'static str, findings: &mut Findings<'_>) -> Option<u8> {
    let hops = section.located::<u8>(key, findings)?;
    if hops.value == 0 {
        findings.error(&hops.span, format!("{key}: a number of hops from 1 to 255 is expected"));
    }
    Some(hops.value)
}

fn hold_time(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Duration {
    let Some(hold) = section.located::<Duration>("hold_time", findings) else { return defaults::HOLD_TIME };
    if matches!(hold.value.as_secs(), 1 | 2) || hold.value.as_secs() > u64::from(u16::MAX) {
        findings.error(&hold.span, "hold_time: 0, or from 3 to 65535 seconds (RFC 4271 §4.2)");
    }
    hold.value
}

fn at_least_a_second(
    section: &mut Section<'_>,
    key: &'static str,
    findings: &mut Findings<'_>,
) -> Option<Duration> {
    let time = section.located::<Duration>(key, findings)?;
    if time.value.is_zero() {
        findings.error(&time.span, format!("{key}: at least one second is expected"));
    }
    Some(time.value)
}

/// As long as FRR takes it at most: who waits longer is told old news.
fn advertisement_interval(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Duration {
    const KEY: &str = "advertisement_interval";
    const MOST: Duration = Duration::from_secs(600);
    let Some(time) = section.located::<Duration>(KEY, findings) else { return Duration::ZERO };
    if time.value > MOST {
        findings.error(&time.span, format!("{KEY}: 0 (off) to {} seconds are expected", MOST.as_secs()));
    }
    time.value
}

fn families(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<Family> {
    if let Some(span) = section.empty_list("families") {
        findings.error(&span, "families: name at least one of \"ipv4\" and \"ipv6\"");
    }
    let Some(list) = section.list::<Family>("families", findings) else { return Family::ALL.to_vec() };
    let mut families: Vec<Family> = values(list);
    families.sort_unstable();
    families.dedup();
    families
}

pub(super) fn filter_name(
    section: &mut Section<'_>,
    key: &'static str,
    default: &str,
    filters: &[NamedFilter],
    findings: &mut Findings<'_>,
) -> String {
    let Some(name) = section.located::<String>(key, findings) else { return default.to_owned() };
    let known = filters.iter().any(|filter| *filter.filter.name == *name.value)
        || BUILT_IN.contains(&name.value.as_str());
    let begins = |filter: &NamedFilter| {
        *filter.filter.name == *name.value && filter.filter.rules.iter().any(|rule| rule.set.aigp.is_some())
    };
    if key == "import" && filters.iter().any(begins) {
        let message = format!(
            "import: filter {:?} has set = {{ aigp = … }}, which is for export: who begins the metric must be \
             the next hop (RFC 7311 §3.4.1)",
            name.value
        );
        findings.error(&name.span, message);
    }
    if !known {
        let configured = filters.iter().map(|filter| &*filter.filter.name);
        let names = configured.chain(BUILT_IN).collect::<Vec<_>>().join(", ");
        findings.error(&name.span, format!("{key}: there is no filter {:?}; there are {names}", name.value));
    }
    name.value
}

/// An entry of `send_communities`: a kind, or true or false for all of them.
#[derive(PartialEq)]
enum Kinds {
    All,
    None,
    Standard,
    Extended,
    Large,
}

impl FromToml for Kinds {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match (value.as_bool(), value.as_str()) {
            (Some(true), _) => Ok(Self::All),
            (Some(false), _) => Ok(Self::None),
            (_, Some("standard")) => Ok(Self::Standard),
            (_, Some("extended")) => Ok(Self::Extended),
            (_, Some("large")) => Ok(Self::Large),
            _ => {
                Err("true, false, or a list of \"standard\", \"extended\", \"large\" is expected".to_owned())
            }
        }
    }
}

impl FromToml for NextHopMode {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("auto") => Ok(Self::Auto),
            Some("self") => Ok(Self::Own),
            Some("keep") => Ok(Self::Keep),
            _ => Err("\"auto\", \"self\" or \"keep\" is expected".to_owned()),
        }
    }
}
