//! `[[bgp.dynamic]]`: ranges of addresses whose owners may dial in, and links on
//! which every router is a peer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use bgp::discovery::MOST;
use net::{Family, PeerAs, Prefix};
use serde::Serialize;

use super::{Around, interface, settings};
use crate::config::diagnostic::Findings;
use crate::config::reader::{Located, Section};
use crate::config::{Peer, PeerOrigin, defaults};

/// One `[[bgp.dynamic]]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dynamic {
    /// Who they are.
    #[serde(flatten)]
    pub who: Whose,
    /// How many of them at a time.
    pub limit: u32,
    /// What each of them is configured as; without an address.
    #[serde(flatten)]
    pub template: Peer,
}

/// Who become peers without being named.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// Those of these addresses who dial in.
    Range(Prefix),
    /// The routers that are heard on this link.
    Interface(String),
}

impl Dynamic {
    /// The range, if it is one.
    pub fn range(&self) -> Option<Prefix> {
        match self.who {
            Whose::Range(range) => Some(range),
            Whose::Interface(_) => None,
        }
    }

    /// The interface, if it is one.
    pub fn interface(&self) -> Option<&str> {
        match &self.who {
            Whose::Range(_) => None,
            Whose::Interface(name) => Some(name),
        }
    }

    /// The peer that somebody of the range is.
    pub fn peer(&self, address: IpAddr) -> Peer {
        Peer { address, interface: self.interface().map(str::to_owned), ..self.template.clone() }
    }

    /// The router with this address on the link, whose index is `scope`.
    pub fn router(&self, address: Ipv6Addr, scope: u32) -> Peer {
        Peer { scope: Some(scope), ..self.peer(address.into()) }
    }
}

pub(super) fn read<'i>(
    bgp: &mut Section<'i>,
    around: Around<'_, 'i>,
    findings: &mut Findings<'_>,
) -> Vec<Dynamic> {
    let mut list: Vec<Dynamic> = Vec::new();
    for mut section in bgp.sections("dynamic", findings) {
        let place = section.span.clone();
        let interface = interface::read(&mut section, findings);
        let range = section.located::<Prefix>("range", findings);
        let Some(who) = whose(&place, range, interface, findings) else {
            continue;
        };
        if list.iter().any(|other| other.who == who.value) {
            findings.error(&who.span, format!("{} stands twice; keep one", who.value));
        }
        let of_range = matches!(who.value, Whose::Range(_));
        for key in ["source", "port"].into_iter().filter(|_| of_range) {
            if let Some(value) = section.discard(key) {
                let message =
                    format!("{key}: no effect, for a peer of a range dials in and is never dialled");
                findings.warning(&value, message);
            }
        }
        let group = around.groups.inherit(&mut section, findings);
        section.discard("source");
        if !of_range {
            section.discard("multihop");
        }
        let asn = section.required::<PeerAs>("asn", findings);
        let limit = section.located::<u32>("limit", findings);
        if let Some(limit) = limit.as_ref().filter(|limit| limit.value == 0) {
            findings.error(&limit.span, "limit: at least one peer must be allowed");
        }
        if let Some(limit) = limit.as_ref().filter(|limit| !of_range && limit.value as usize > MOST) {
            findings.error(&limit.span, format!("limit: at most {MOST} routers of a link are heard"));
        }
        let template = settings(section, asn.as_ref().map(|asn| asn.value), around, findings);
        let Some(asn) = asn else { continue };
        let template = match who.value {
            Whose::Range(range) => Peer {
                address: match range.family() {
                    Family::Ipv4Unicast => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    Family::Ipv6Unicast => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                },
                origin: PeerOrigin::Range(range),
                port: defaults::BGP_PORT,
                passive: true,
                ..template
            },
            Whose::Interface(_) => {
                Peer { address: Ipv6Addr::UNSPECIFIED.into(), origin: PeerOrigin::Link, ..template }
            }
        };
        let limit = limit.map_or(defaults::DYNAMIC_PEERS, |limit| limit.value);
        list.push(Dynamic { who: who.value, limit, template: Peer { asn: asn.value, group, ..template } });
    }
    list
}

/// `range` or `interface`, one of the two.
fn whose(
    place: &Range<usize>,
    range: Option<Located<Prefix>>,
    interface: Option<Located<String>>,
    findings: &mut Findings<'_>,
) -> Option<Located<Whose>> {
    match (range, interface) {
        (Some(range), None) => {
            if range.value.is_martian() && !range.value.is_default() {
                findings
                    .error(&range.span, format!("range: {} is no range of unicast addresses", range.value));
            }
            Some(Located { value: Whose::Range(range.value), span: range.span })
        }
        (None, Some(interface)) => {
            Some(Located { value: Whose::Interface(interface.value), span: interface.span })
        }
        (Some(_), Some(interface)) => {
            let message = "interface: not beside `range`; write two [[bgp.dynamic]]";
            findings.error(&interface.span, message);
            None
        }
        (None, None) => {
            findings.error(place, "bgp.dynamic needs the key `range`, or `interface`");
            None
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => write!(f, "range {range}"),
            Self::Interface(name) => write!(f, "interface {name}"),
        }
    }
}
