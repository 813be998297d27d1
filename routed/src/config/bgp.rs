//! `[bgp]` and its peers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use net::{Asn, Family};
use toml::de::DeValue;

use super::bfd::{self, Bfd};
use super::diagnostic::Findings;
use super::file::{read_file, values};
use super::reader::{FromToml, Located, Section};
use super::{Bgp, GracefulRestart, NamedFilter, NextHopMode, Peer, Secret, defaults};

/// The names of the filters that are there without being configured; a
/// configured filter of the same name takes their place.
const BUILT_IN: [&str; 4] = ["cluster-only", "local-only", "accept-all", "reject-all"];

/// The longest TCP-MD5 key that the kernel takes (`TCP_MD5SIG_MAXKEYLEN`).
const MAX_KEY: usize = 80;

pub(super) fn read(
    top: &mut Section<'_>,
    filters: &[NamedFilter],
    bfd: &Bfd,
    findings: &mut Findings<'_>,
) -> Option<Bgp> {
    let mut section = top.section("bgp", findings)?;
    let asn = section.required::<Asn>("asn", findings);
    let listen = section.list::<SocketAddr>("listen", findings).map_or_else(defaults::bgp_listen, values);
    let cluster_id = section.get::<IpAddr>("cluster_id", findings).and_then(|id| match id {
        IpAddr::V4(id) => Some(id),
        IpAddr::V6(_) => {
            findings.error(&section.span, "bgp.cluster_id: write it as an IPv4 address (RFC 4456 §7)");
            None
        }
    });
    let mut flag = |key, default| section.get(key, findings).unwrap_or(default);
    let mut bgp = Bgp {
        always_compare_med: flag("always_compare_med", false),
        deterministic_med: flag("deterministic_med", true),
        compare_router_id: flag("compare_router_id", false),
        multipath_as_path_relax: flag("multipath_as_path_relax", false),
        asn: asn.map_or(Asn(0), |asn| asn.value),
        listen,
        cluster_id,
        multipath: section.get("multipath", findings).unwrap_or(defaults::MULTIPATH).max(1),
        graceful_restart: graceful_restart(&mut section, findings),
        peers: Vec::new(),
    };
    let mut seen = BTreeMap::new();
    for mut peer in section.sections("peer", findings) {
        let (span, bfd) = (peer.span.clone(), bfd::of_peer(&mut peer, bfd, findings));
        if let Some(peer) = read_peer(peer, &bgp, filters, &mut seen, findings) {
            let bfd = bfd.map(|bfd| bfd.over(peer.multihop.or(peer.ttl_security), &span, findings));
            bgp.peers.push(Peer { bfd, ..peer });
        }
    }
    no_peer_is_this_node(&bgp.peers, &seen, findings);
    section.not_yet(
        &[
            "reject_as_sets",
            "confederation",
            "graceful_shutdown",
            "max_as_path",
            "max_communities",
            "dynamic",
            "group",
        ],
        findings,
    );
    section.finish(findings);
    Some(bgp)
}

/// An address that one peer's session comes from is not that of another peer.
fn no_peer_is_this_node(
    peers: &[Peer],
    places: &BTreeMap<IpAddr, Range<usize>>,
    findings: &mut Findings<'_>,
) {
    for peer in peers {
        let other = |other: &&Peer| other.address != peer.address && other.source == Some(peer.address);
        if let (Some(other), Some(place)) = (peers.iter().find(other), places.get(&peer.address)) {
            let message = format!(
                "address: {} is this node, for it is the source of peer {}; a node is no peer of itself",
                peer.address, other.address
            );
            findings.error(place, message);
        }
    }
}

fn graceful_restart(section: &mut Section<'_>, findings: &mut Findings<'_>) -> GracefulRestart {
    let mut restart = GracefulRestart { time: defaults::RESTART_TIME };
    if let Some(mut table) = section.section("graceful_restart", findings) {
        if let Some(time) = table.located::<Duration>("time", findings) {
            if time.value > Duration::from_secs(4095) {
                findings
                    .error(&time.span, "bgp.graceful_restart.time: at most 4095 seconds fit (RFC 4724 §3)");
            }
            restart.time = time.value;
        }
        table.finish(findings);
    }
    restart
}

fn read_peer(
    mut section: Section<'_>,
    bgp: &Bgp,
    filters: &[NamedFilter],
    seen: &mut BTreeMap<IpAddr, Range<usize>>,
    findings: &mut Findings<'_>,
) -> Option<Peer> {
    let address = section.required::<IpAddr>("address", findings);
    let asn = section.required::<Asn>("asn", findings);
    if let Some(address) = &address {
        if seen.insert(address.value, address.span.clone()).is_some() {
            findings.error(&address.span, format!("peer {} stands twice; keep one", address.value));
        } else if let Err(kind) = unicast(address.value) {
            findings.error(
                &address.span,
                format!("address: {} is {kind} and no peer can have it", address.value),
            );
        }
    }
    let source = source(&mut section, address.as_ref(), findings);
    let (password_file, password) = password(&mut section, findings);
    let peer = Peer {
        address: address.as_ref().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.value),
        asn: asn.as_ref().map_or(Asn(0), |asn| asn.value),
        description: section.get("description", findings).unwrap_or_default(),
        port: port(&mut section, findings),
        source,
        passive: section.get("passive", findings).unwrap_or(false),
        password_file,
        password,
        ttl_security: hops(&mut section, "ttl_security", findings),
        multihop: hops(&mut section, "multihop", findings),
        hold_time: hold_time(&mut section, findings),
        keepalive: section.get("keepalive", findings),
        connect_retry: at_least_a_second(&mut section, "connect_retry", findings)
            .unwrap_or(defaults::CONNECT_RETRY),
        idle_hold: at_least_a_second(&mut section, "idle_hold", findings).unwrap_or(defaults::IDLE_HOLD),
        families: families(&mut section, findings),
        import: filter_name(&mut section, "import", "cluster-only", filters, findings),
        export: filter_name(&mut section, "export", "local-only", filters, findings),
        max_prefixes: max_prefixes(&mut section, findings),
        next_hop: section.get("next_hop", findings).unwrap_or_default(),
        route_reflector_client: section.get("route_reflector_client", findings).unwrap_or(false),
        allow_own_asn: section.get("allow_own_asn", findings).unwrap_or(0),
        shutdown: section.get("shutdown", findings),
        bfd: None,
    };
    if peer.route_reflector_client && peer.asn != bgp.asn {
        findings.error(
            &section.span,
            "route_reflector_client is for internal peers (RFC 4456); the peer's AS differs",
        );
    }
    section.not_yet(
        &[
            "interface",
            "role",
            "local_asn",
            "as_override",
            "add_path",
            "extended_messages",
            "enhanced_refresh",
            "aigp",
            "send_communities",
            "send_hold",
            "long_lived_graceful_restart",
            "group",
        ],
        findings,
    );
    section.finish(findings);
    (address.is_some() && asn.is_some()).then_some(peer)
}

fn password(section: &mut Section<'_>, findings: &mut Findings<'_>) -> (Option<PathBuf>, Option<Secret>) {
    let Some(files) = section.list::<PathBuf>("password_file", findings) else { return (None, None) };
    if let Some(second) = files.get(1) {
        findings.warning(&second.span, "password_file: this version uses the first file of the list only");
    }
    let Some(file) = files.into_iter().next() else { return (None, None) };
    let key = read_file(&file.value).and_then(|mut key| {
        while key.last().is_some_and(u8::is_ascii_whitespace) {
            key.pop();
        }
        match key.len() {
            0 => Err(format!("{}: the key file is empty; write the key into it", file.value.display())),
            1..=MAX_KEY => Ok(Secret::new(key)),
            length => {
                Err(format!("{}: the key has {length} bytes, TCP-MD5 takes {MAX_KEY}", file.value.display()))
            }
        }
    });
    match key {
        Ok(key) => (Some(file.value), Some(key)),
        Err(message) => {
            findings.error(&file.span, format!("password_file: {message}"));
            (Some(file.value), None)
        }
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

fn families(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<Family> {
    let Some(list) = section.list::<Family>("families", findings) else { return Family::ALL.to_vec() };
    let mut families: Vec<Family> = values(list);
    families.sort_unstable();
    families.dedup();
    if families.is_empty() {
        findings.error(&section.span, "families: name at least one of \"ipv4\" and \"ipv6\"");
    }
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
    if !known {
        let configured = filters.iter().map(|filter| &*filter.filter.name);
        let names = configured.chain(BUILT_IN).collect::<Vec<_>>().join(", ");
        findings.error(&name.span, format!("{key}: there is no filter {:?}; there are {names}", name.value));
    }
    name.value
}

fn max_prefixes(section: &mut Section<'_>, findings: &mut Findings<'_>) -> u32 {
    section.get::<MaxPrefixes>("max_prefixes", findings).map_or(defaults::MAX_PREFIXES, |max| max.0)
}

/// A number, or a table whose `limit` is the number.
struct MaxPrefixes(u32);

impl FromToml for MaxPrefixes {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Table(table) => {
                let limit = table.get("limit").ok_or("the table needs `limit`")?;
                u32::from_toml(limit.get_ref()).map(Self)
            }
            number => u32::from_toml(number).map(Self),
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
