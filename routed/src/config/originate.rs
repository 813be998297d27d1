//! `[[static]]` and `[[aggregate]]`: routes by hand, and prefixes that stand
//! for what lies inside.

use std::net::IpAddr;

use net::{Family, Prefix};
use serde::Serialize;

use super::diagnostic::Findings;
use super::file::report_no_range;
use super::reader::{Located, Section};

/// One `[[static]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StaticRoute {
    /// The destination.
    pub prefix: Prefix,
    /// Where its packets go.
    #[serde(flatten)]
    pub to: StaticTo,
}

/// Where the packets of a static route go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StaticTo {
    /// To a gateway. An IPv6 one may carry IPv4.
    Via(IpAddr),
    /// Nowhere.
    Type(Dropped),
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
        let via = section.located::<IpAddr>("via", findings);
        let drop = section.located::<String>("type", findings);
        if let Some(prefix) = prefix {
            if list.iter().any(|route| route.prefix == prefix.value) {
                findings.error(&prefix.span, format!("[[static]] has {} twice; keep one", prefix.value));
            }
            let to = match (via, drop) {
                (Some(via), None) => gateway(prefix.value, &via, findings),
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

fn gateway(prefix: Prefix, via: &Located<IpAddr>, findings: &mut Findings<'_>) -> Option<StaticTo> {
    if prefix.family() == Family::Ipv6Unicast && via.value.is_ipv4() {
        findings.error(&via.span, "static.via: the gateway and the prefix are of different families");
        return None;
    }
    Some(StaticTo::Via(via.value))
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
mod tests {
    use super::*;

    fn parse(source: &str) -> Result<crate::config::Config, String> {
        let found = crate::config::parse("n1.toml", source);
        found.map(|(config, _)| config).map_err(|findings| findings[0].to_string())
    }

    #[test]
    fn a_static_route_leads_to_a_gateway_or_nowhere() {
        let config = parse(
            "[[static]]\nprefix = \"10.9.0.0/16\"\nvia = \"fe80::1\"\n\
             [[static]]\nprefix = \"10.8.0.0/16\"\ntype = \"prohibit\"\n",
        );
        let to: Vec<StaticTo> = config.unwrap().statics.iter().map(|route| route.to).collect();
        assert_eq!(to, [StaticTo::Via("fe80::1".parse().unwrap()), StaticTo::Type(Dropped::Prohibit)]);
        for wrong in ["", "type = \"hole\"\n", "via = \"192.0.2.1\"\ntype = \"blackhole\"\n"] {
            assert!(parse(&format!("[[static]]\nprefix = \"10.9.0.0/16\"\n{wrong}")).is_err(), "{wrong}");
        }
        let error = parse("[[static]]\nprefix = \"fd00::/48\"\nvia = \"192.0.2.1\"\n").unwrap_err();
        assert!(error.contains("different families"), "{error}");
    }

    #[test]
    fn an_aggregate_stands_once() {
        let one = "[[aggregate]]\nprefix = \"10.0.0.0/8\"\nsummary_only = true\n";
        let config = parse(one).unwrap();
        let prefix = "10.0.0.0/8".parse().unwrap();
        assert_eq!(config.aggregates, [Aggregate { prefix, summary_only: true }]);
        assert!(parse(&one.repeat(2)).unwrap_err().contains("twice"));
    }
}
