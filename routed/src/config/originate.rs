//! `[[static]]` and `[[aggregate]]`: routes by hand, and prefixes that stand
//! for what lies inside.

use std::net::IpAddr;
use std::ops::Range;

use net::{Family, Prefix};
use serde::{Serialize, Serializer};

use super::diagnostic::Findings;
use super::file::report_no_range;
use super::reader::{Entry, Located, Section};

/// The largest weight of a gateway, as the kernel has it.
const MOST_WEIGHT: u16 = 256;

/// One `[[static]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StaticRoute {
    /// The destination.
    pub prefix: Prefix,
    /// Where its packets go.
    #[serde(flatten)]
    pub to: StaticTo,
}

/// Where the packets of a static route go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StaticTo {
    /// To one gateway, or shared among several.
    Via(Gateways),
    /// Nowhere.
    Type(Dropped),
}

/// The gateways of a static route, one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateways(pub Vec<Gateway>);

/// A gateway of a static route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gateway {
    /// Its address. An IPv6 one may carry IPv4.
    #[serde(rename = "gateway")]
    pub address: IpAddr,
    /// Its share of the traffic beside the others, 1 to 256.
    pub weight: u16,
    /// The interface that it is on; `None`: the table finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// It is on the interface although no subnet says so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub onlink: bool,
}

impl Serialize for Gateways {
    /// A single address where that says it all, else a list of tables.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [Gateway { address, weight: 1, interface: None, .. }] => address.serialize(serializer),
            several => serializer.collect_seq(several),
        }
    }
}

/// How packets are dropped, in the words of `ip route`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dropped {
    /// In silence.
    Blackhole,
    /// The sender hears "host unreachable".
    Unreachable,
    /// The sender hears "administratively prohibited".
    Prohibit,
}

impl Dropped {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "blackhole" => Self::Blackhole,
            "unreachable" => Self::Unreachable,
            "prohibit" => Self::Prohibit,
            _ => return None,
        })
    }
}

/// One `[[aggregate]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Aggregate {
    /// The prefix: told while there is a route to something inside.
    pub prefix: Prefix,
    /// What lies inside is not told.
    pub summary_only: bool,
}

pub(super) fn statics(top: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<StaticRoute> {
    let mut list: Vec<StaticRoute> = Vec::new();
    for mut section in top.sections("static", findings) {
        let prefix = section.required::<Prefix>("prefix", findings);
        let via = section.entries::<IpAddr>("via", findings);
        let beside = Beside::read(&mut section, findings);
        let drop = section.located::<String>("type", findings);
        if let Some(prefix) = prefix {
            if list.iter().any(|route| route.prefix == prefix.value) {
                let text = format!(
                    "[[static]] has {} twice; keep one, with all gateways: via = [\"…\", \"…\"]",
                    prefix.value
                );
                findings.error(&prefix.span, text);
            }
            let to = match (via, drop) {
                (Some(via), None) => gateways(prefix.value, via, &beside, findings).map(StaticTo::Via),
                (None, Some(drop)) => dropped(&drop, findings),
                _ => {
                    findings.error(&section.span, "[[static]] takes `via` or `type`, one of the two");
                    None
                }
            };
            list.extend(to.map(|to| StaticRoute { prefix: prefix.value, to }));
        }
        section.finish(findings);
    }
    list
}

/// What stands beside `via` holds for every gateway that does not say it.
struct Beside {
    interface: Option<Located<String>>,
    onlink: Option<Located<bool>>,
}

impl Beside {
    fn read(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Self {
        Self {
            interface: section.located("interface", findings),
            onlink: section.located("onlink", findings),
        }
    }
}

fn gateways(
    prefix: Prefix,
    via: Vec<Entry<'_, IpAddr>>,
    beside: &Beside,
    findings: &mut Findings<'_>,
) -> Option<Gateways> {
    let mut list: Vec<Gateway> = Vec::new();
    for entry in via {
        let (address, weight, own) = match entry {
            Entry::Value(address) => (Some(address), 1, None),
            Entry::Table(mut table) => {
                let address = table.required::<IpAddr>("gateway", findings);
                let weight = table.located::<u16>("weight", findings);
                let own = Beside::read(&mut table, findings);
                table.finish(findings);
                (address, weight.map_or(1, |weight| in_range(&weight, findings)), Some(own))
            }
        };
        let Some(address) = address else { continue };
        let interface = own.as_ref().and_then(|own| own.interface.as_ref()).or(beside.interface.as_ref());
        let onlink = own.as_ref().and_then(|own| own.onlink.as_ref()).or(beside.onlink.as_ref());
        let gateway = Gateway {
            address: address.value,
            weight,
            interface: interface.map(|interface| interface.value.clone()),
            onlink: onlink.is_some_and(|onlink| onlink.value),
        };
        judge(prefix, &gateway, &address.span, findings);
        if list.iter().any(|other| (other.address, &other.interface) == (gateway.address, &gateway.interface))
        {
            findings.error(&address.span, format!("static.via has {} twice; keep one", gateway.address));
        }
        list.push(gateway);
    }
    (!list.is_empty()).then_some(Gateways(list))
}

fn in_range(weight: &Located<u16>, findings: &mut Findings<'_>) -> u16 {
    if !(1..=MOST_WEIGHT).contains(&weight.value) {
        findings
            .error(&weight.span, format!("static.via.weight: a number from 1 to {MOST_WEIGHT} is expected"));
    }
    weight.value
}

/// Says what is wrong with a gateway.
fn judge(prefix: Prefix, gateway: &Gateway, span: &Range<usize>, findings: &mut Findings<'_>) {
    let address = gateway.address;
    if prefix.family() == Family::Ipv6Unicast && address.is_ipv4() {
        findings.error(span, "static.via: the gateway and the prefix are of different families");
    }
    if gateway.interface.is_some() {
        return;
    }
    if gateway.onlink {
        findings.error(span, format!("static.via: onlink needs the `interface` that {address} is on"));
    } else if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
        findings.warning(
            span,
            format!("static.via: {address} is link-local and leads nowhere; name its `interface`"),
        );
    }
}

fn dropped(drop: &Located<String>, findings: &mut Findings<'_>) -> Option<StaticTo> {
    let known = Dropped::named(&drop.value);
    if known.is_none() {
        let text = format!("static.type: {:?} is none of blackhole, unreachable, prohibit", drop.value);
        findings.error(&drop.span, text);
    }
    known.map(StaticTo::Type)
}

pub(super) fn aggregates(top: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<Aggregate> {
    let mut list: Vec<Aggregate> = Vec::new();
    for mut section in top.sections("aggregate", findings) {
        let prefix = section.required::<Prefix>("prefix", findings);
        let summary_only = section.get::<bool>("summary_only", findings).unwrap_or(false);
        if let Some(prefix) = prefix {
            report_no_range("aggregate.prefix", &prefix, findings);
            if list.iter().any(|other| other.prefix == prefix.value) {
                findings.error(&prefix.span, format!("[[aggregate]] has {} twice; keep one", prefix.value));
            }
            list.push(Aggregate { prefix: prefix.value, summary_only });
        }
        section.finish(findings);
    }
    list
}

#[cfg(test)]
mod tests;
