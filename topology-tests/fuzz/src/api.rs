//! Requests of the API as they come in, and the documents in them: what is
//! taken can be told on, what is refused says why.

use api::v1;
use bgp::wire::{Encoder, Nlri, Tx};
use bytes::BytesMut;
use ipam::store::export;
use ipam::{Image, Layout, Ledger, Op};
use net::{Family, NextHop};
use prost::Message;
use routed::config::parse_with;
use routed::config::runtime::Runtime;
use routed::request;

/// Takes one request: what it is for, and its octets.
///
/// # Panics
/// When a property does not hold.
pub fn run(kind: u8, octets: &[u8]) {
    match kind % 3 {
        0 => v1::AddPeerRequest::decode(octets).map_or((), add),
        1 => v1::AnnounceRouteRequest::decode(octets).map_or((), |request| announce(&request)),
        _ => v1::ImportRequest::decode(octets).map_or((), |request| import(&request.document)),
    }
}

/// A peer, and a configuration that has it, or findings.
fn add(asked: v1::AddPeerRequest) {
    // Keys are read from files; none that answers for ever.
    if asked.settings.values().any(|value| value.contains("/dev") || value.contains("/proc")) {
        return;
    }
    let (peer, keys) = match request::added(asked) {
        Ok(added) => added,
        Err(refused) => return assert!(!refused.message().is_empty()),
    };
    let runtime = Runtime { peers: [(peer.clone(), keys)].into(), ..Runtime::default() };
    let kept = serde_json::to_string(&runtime).expect("what operators changed can be written");
    assert_eq!(serde_json::from_str::<Runtime>(&kept).expect("and read"), runtime);
    match parse_with("routed.toml", "[bgp]\nasn = 64512\n", &runtime) {
        Ok((config, _)) => {
            let peers = &config.bgp.as_ref().expect("there is a [bgp]").peers;
            assert_eq!(peers.len(), 1, "{peer}");
            config.to_toml().expect("a configuration can be printed");
        }
        Err(findings) => {
            assert!(findings.iter().all(|finding| !finding.message.is_empty() && finding.line > 0))
        }
    }
}

/// A route that can be told to a peer, unless it is too long for a message.
fn announce(asked: &v1::AnnounceRouteRequest) {
    let (prefix, mut attrs) = match request::announced(asked) {
        Ok(announced) => announced,
        Err(refused) => return assert!(!refused.message().is_empty()),
    };
    assert!(!prefix.is_martian());
    let family = prefix.family();
    if attrs.next_hop.is_none_or(|next_hop| next_hop.family() == Family::Ipv4Unicast) {
        attrs.next_hop = Some(match family {
            Family::Ipv4Unicast => NextHop::V4([192, 0, 2, 1].into()),
            Family::Ipv6Unicast => NextHop::V6 { global: [0xfd; 16].into(), link_local: None },
        });
    }
    let mut out = BytesMut::new();
    let told = Encoder::new(Tx::default()).encode_update(&mut out, family, &attrs, &[Nlri::from(prefix)]);
    let long = 4 * attrs.communities.len() + 12 * attrs.large_communities.len() > 3000;
    assert!(told == Ok(1) || long, "{told:?} {attrs:?}");
}

/// The text of an export, with a checksum that is right or not.
fn import(text: &str) {
    if let Err(refused) = export::decode(text) {
        assert!(!refused.to_string().is_empty());
    }
    let Ok(image) = serde_json::from_str::<Image>(text) else { return };
    let whole = export::encode(&image);
    assert_eq!(export::decode(&whole).as_ref(), Ok(&image), "{whole}");
    let prefix = |text: &str| text.parse().expect("a prefix");
    let layout = Layout::new("n1".to_owned(), &[prefix("10.244.0.0/16")], &[prefix("10.244.1.0/24")], &[]);
    let mut ledger = Ledger::new(layout.expect("a layout"), Image::default());
    if ledger.apply(Op::Import(image.clone())).is_ok() {
        let again = ledger.apply(Op::Import(image)).expect("the same again is nothing new");
        assert!(!again.changes(), "{again:?}");
    }
    let _ = ledger.snapshot();
}
