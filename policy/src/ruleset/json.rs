//! A ruleset in nft's JSON (libnftables-json(5)).

use net::Family;
use serde_json::{Map, Value, json};

use super::diff::Elements;
use super::names::comment;
use super::{Chain, End, Match, Ruleset, Set, SetKind, Statement, TABLE, Then, VerdictMap};
use crate::ranges::address;

/// Lines that one rule may write to the log in a second; a flood must not
/// fill the log of the host.
const LOG_RATE: u32 = 10;

/// Router solicitation to redirect (RFC 4861 §4.1 to §4.5).
const NEIGHBOUR_DISCOVERY: [u8; 2] = [133, 137];

impl Ruleset {
    /// The transaction that puts this ruleset in the place of whatever is in
    /// the table. The kernel takes it as one step or not at all.
    pub fn json(&self) -> String {
        let table = json!({ "table": { "family": "inet", "name": TABLE } });
        // The first `add` makes the `delete` good where there is no table yet.
        let mut commands = vec![json!({ "add": table }), json!({ "delete": table }), json!({ "add": table })];
        commands.extend(self.sets.iter().map(|(name, set)| add(set_json(name, set))));
        commands.extend(self.chains.iter().map(|(name, chain)| add(chain_json(name, chain))));
        commands.extend(self.maps.iter().map(|(name, map)| add(map_json(name, map))));
        for (name, chain) in &self.chains {
            commands.extend(chain.rules.iter().map(|rule| add(rule_json(name, rule))));
        }
        json!({ "nftables": commands }).to_string()
    }
}

fn add(what: Value) -> Value {
    object([("add", what)])
}

/// An object of values that are moved; `json!` would copy them.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

impl Elements {
    /// The transaction that empties each set and fills it again.
    pub(super) fn json(&self) -> String {
        let refill = |what: &'static str, name: &str, elements: Vec<Value>| {
            let target = json!({ "family": "inet", "table": TABLE, "name": name });
            let flush = object([("flush", object([(what, target.clone())]))]);
            let mut filled = target;
            put_elements(&mut filled, elements);
            let fill = filled.get("elem").is_some().then(|| add(object([("element", filled)])));
            std::iter::once(flush).chain(fill)
        };
        let sets = self.sets.iter().flat_map(|(name, set)| refill("set", name, set_elements(set)));
        let maps = self.maps.iter().flat_map(|(name, map)| refill("map", name, map_elements(map)));
        json!({ "nftables": sets.chain(maps).collect::<Vec<_>>() }).to_string()
    }
}

fn set_json(name: &str, set: &Set) -> Value {
    let (kind, flags) = match set.kind {
        SetKind::Addresses(family) => (address_type(family), json!([])),
        SetKind::Nets(family) => (address_type(family), json!(["interval"])),
        SetKind::Ports => ("inet_service", json!(["interval"])),
    };
    let mut set_object =
        json!({ "family": "inet", "table": TABLE, "name": name, "type": kind, "flags": flags });
    put_elements(&mut set_object, set_elements(set));
    object([("set", set_object)])
}

fn set_elements(set: &Set) -> Vec<Value> {
    let element = |number| match set.kind {
        SetKind::Addresses(family) | SetKind::Nets(family) => json!(address(family, number).to_string()),
        SetKind::Ports => json!(u64::try_from(number).unwrap_or(u64::MAX)),
    };
    let range = |(first, last)| {
        if first == last { element(first) } else { json!({ "range": [element(first), element(last)] }) }
    };
    match set.kind {
        // A hash has single elements only, also where addresses are neighbours.
        SetKind::Addresses(_) => {
            set.elements.iter().flat_map(|(first, last)| first..=last).map(element).collect()
        }
        SetKind::Nets(_) | SetKind::Ports => set.elements.iter().map(range).collect(),
    }
}

fn map_json(name: &str, map: &VerdictMap) -> Value {
    let mut map_object = json!({
        "family": "inet", "table": TABLE, "name": name, "type": address_type(map.family), "map": "verdict",
    });
    put_elements(&mut map_object, map_elements(map));
    object([("map", map_object)])
}

fn map_elements(map: &VerdictMap) -> Vec<Value> {
    map.elements.iter().map(|(address, then)| json!([address.to_string(), then_json(then)])).collect()
}

/// nft refuses an empty list of elements.
fn put_elements(object: &mut Value, elements: Vec<Value>) {
    if !elements.is_empty() {
        object["elem"] = elements.into();
    }
}

fn address_type(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "ipv4_addr",
        Family::Ipv6Unicast => "ipv6_addr",
    }
}

fn chain_json(name: &str, chain: &Chain) -> Value {
    let mut chain_object = json!({ "family": "inet", "table": TABLE, "name": name });
    if let Some(base) = chain.base {
        chain_object["type"] = base.kind.into();
        chain_object["hook"] = base.hook.into();
        chain_object["prio"] = base.priority.into();
        chain_object["policy"] = "accept".into();
    }
    object([("chain", chain_object)])
}

fn rule_json(chain: &str, rule: &Statement) -> Value {
    let mut expressions: Vec<_> = rule.matches.iter().map(match_json).collect();
    if rule.origin.is_some() {
        expressions.push(json!({ "counter": { "packets": 0, "bytes": 0 } }));
    }
    if let Some(prefix) = &rule.log {
        expressions.push(json!({ "limit": { "rate": LOG_RATE, "per": "second" } }));
        expressions.push(json!({ "log": { "prefix": prefix } }));
    }
    if rule.then != Then::Continue {
        expressions.push(then_json(&rule.then));
    }
    let mut rule_object = json!({ "family": "inet", "table": TABLE, "chain": chain, "expr": expressions });
    if let Some(origin) = &rule.origin {
        rule_object["comment"] = comment(origin).into();
    }
    object([("rule", rule_object)])
}

fn then_json(then: &Then) -> Value {
    match then {
        Then::Continue => json!({ "continue": null }),
        Then::Accept => json!({ "accept": null }),
        Then::Drop => json!({ "drop": null }),
        Then::Jump(chain) => json!({ "jump": { "target": chain } }),
        Then::Goto(chain) => json!({ "goto": { "target": chain } }),
        Then::Masquerade => json!({ "masquerade": null }),
    }
}

fn match_json(condition: &Match) -> Value {
    match condition {
        Match::Established => json!({ "match": {
            "op": "in", "left": { "ct": { "key": "state" } }, "right": ["established", "related"],
        } }),
        Match::NeighbourDiscovery => {
            compare("==", payload("icmpv6", "type"), json!({ "range": NEIGHBOUR_DISCOVERY }))
        }
        Match::Protocol { is, protocol } => compare(op(*is), meta("l4proto"), json!(protocol.0)),
        Match::Address { end, family, is, set } => compare(op(*is), address_of(*end, *family), of_set(set)),
        Match::Port { end, is, set } => {
            let field = if *end == End::Source { "sport" } else { "dport" };
            compare(op(*is), payload("th", field), of_set(set))
        }
        Match::Family(family) => compare("==", meta("nfproto"), json!(family.to_string())),
        Match::Lookup { end, family, map } => {
            json!({ "vmap": { "key": address_of(*end, *family), "data": of_set(map) } })
        }
    }
}

fn compare(op: &str, left: Value, right: Value) -> Value {
    object([("match", object([("op", op.into()), ("left", left), ("right", right)]))])
}

fn op(is: bool) -> &'static str {
    if is { "==" } else { "!=" }
}

fn meta(key: &str) -> Value {
    json!({ "meta": { "key": key } })
}

fn payload(protocol: &str, field: &str) -> Value {
    json!({ "payload": { "protocol": protocol, "field": field } })
}

fn address_of(end: End, family: Family) -> Value {
    let protocol = match family {
        Family::Ipv4Unicast => "ip",
        Family::Ipv6Unicast => "ip6",
    };
    payload(protocol, if end == End::Source { "saddr" } else { "daddr" })
}

fn of_set(name: &str) -> Value {
    json!(format!("@{name}"))
}
