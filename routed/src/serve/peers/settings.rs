//! What is configured for a peer, as the API tells it.

use api::v1;
use rib::filter;

use super::seconds;
use crate::config::{NextHopMode, PeerOrigin};
use crate::tasks::PeerReport;

pub(super) fn settings(report: &PeerReport, external: bool) -> v1::PeerSettings {
    let peer = &report.config;
    let max = peer.max_prefixes;
    let sent = peer.send_communities;
    let kinds = [(sent.standard, "standard"), (sent.extended, "extended"), (sent.large, "large")];
    v1::PeerSettings {
        group: peer.group.clone(),
        range: match peer.origin {
            PeerOrigin::File | PeerOrigin::Runtime | PeerOrigin::Link => None,
            PeerOrigin::Range(range) => Some(range.to_string()),
        },
        max_prefixes: max.limit,
        max_prefixes_warn: u32::try_from(max.warn_from()).unwrap_or(u32::MAX),
        max_prefixes_action: max.action.word().to_owned(),
        max_prefixes_restart: max.restart.map(seconds),
        tcp_md5_keys: u32::try_from(peer.passwords.len()).unwrap_or(u32::MAX),
        tcp_md5_key: u32::try_from(report.key).unwrap_or(u32::MAX),
        tcp_ao_keys: u32::try_from(peer.tcp_ao.len()).unwrap_or(u32::MAX),
        ttl_security: peer.ttl_security.map(Into::into),
        multihop: peer.multihop.map(Into::into),
        passive: peer.passive,
        source: peer.source.map(|source| source.to_string()),
        port: peer.port.into(),
        next_hop: match peer.next_hop {
            NextHopMode::Auto => "auto",
            NextHopMode::Own => "self",
            NextHopMode::Keep => "keep",
        }
        .to_owned(),
        route_reflector_client: peer.route_reflector_client,
        allow_own_asn: peer.allow_own_asn.into(),
        as_override: peer.as_override,
        send_communities: kinds.iter().filter(|(on, _)| *on).map(|(_, kind)| (*kind).to_owned()).collect(),
        shutdown: peer.shutdown.clone(),
        import_note: note(&peer.import, external),
        export_note: note(&peer.export, external),
        keepalive: peer.keepalive.map(seconds),
        connect_retry: seconds(peer.connect_retry),
        idle_hold: seconds(peer.idle_hold),
        send_hold: peer.offers.send_hold.map(seconds),
        runtime: peer.origin == PeerOrigin::Runtime,
    }
}

/// What a filter of the cluster's defaults does. An external peer without
/// filters of its own has these: nothing else goes in or out (RFC 8212).
fn note(name: &str, external: bool) -> Option<String> {
    let what = match name {
        filter::CLUSTER_ONLY => "only prefixes inside cluster.pools come in",
        filter::LOCAL_ONLY => "only what this node owns goes out",
        _ => return None,
    };
    let rfc = if external { " (RFC 8212)" } else { "" };
    Some(format!("{what}; the default where no filter is configured{rfc}"))
}
