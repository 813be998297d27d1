//! `[[bgp.dynamic]]`: ranges of addresses whose owners may dial in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::{Asn, Family, Prefix};
use serde::Serialize;

use super::{Around, settings};
use crate::config::diagnostic::Findings;
use crate::config::reader::Section;
use crate::config::{Peer, PeerOrigin, defaults};

/// One `[[bgp.dynamic]]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dynamic {
    /// Who may dial in.
    pub range: Prefix,
    /// How many of them at a time.
    pub limit: u32,
    /// What each of them is configured as; without an address.
    #[serde(flatten)]
    pub template: Peer,
}

impl Dynamic {
    /// The peer that somebody of the range is.
    pub fn peer(&self, address: IpAddr) -> Peer {
        Peer { address, ..self.template.clone() }
    }
}

pub(super) fn read<'i>(
    bgp: &mut Section<'i>,
    around: Around<'_, 'i>,
    findings: &mut Findings<'_>,
) -> Vec<Dynamic> {
    let mut list: Vec<Dynamic> = Vec::new();
    for mut section in bgp.sections("dynamic", findings) {
        for key in ["source", "port"] {
            if let Some(value) = section.discard(key) {
                findings.error(&value, format!("{key}: a peer of a range dials in and is never dialled"));
            }
        }
        let group = around.groups.inherit(&mut section, findings);
        section.discard("source");
        let range = section.required::<Prefix>("range", findings);
        let asn = section.required::<Asn>("asn", findings);
        let limit = section.located::<u32>("limit", findings);
        if let Some(limit) = limit.as_ref().filter(|limit| limit.value == 0) {
            findings.error(&limit.span, "limit: at least one peer must be allowed");
        }
        if let Some(range) = &range {
            if list.iter().any(|other| other.range == range.value) {
                findings.error(&range.span, format!("range {} stands twice; keep one", range.value));
            } else if range.value.is_martian() && !range.value.is_default() {
                findings
                    .error(&range.span, format!("range: {} is no range of unicast addresses", range.value));
            }
        }
        let template = settings(section, asn.as_ref().map(|asn| asn.value), around, findings);
        let (Some(range), Some(asn)) = (range, asn) else { continue };
        let address = match range.value.family() {
            Family::Ipv4Unicast => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::Ipv6Unicast => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let origin = PeerOrigin::Range(range.value);
        let port = defaults::BGP_PORT;
        let template = Peer { address, asn: asn.value, origin, group, port, passive: true, ..template };
        let limit = limit.map_or(defaults::DYNAMIC_PEERS, |limit| limit.value);
        list.push(Dynamic { range: range.value, limit, template });
    }
    list
}
