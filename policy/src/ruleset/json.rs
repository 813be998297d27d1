//! A ruleset in nft's JSON (libnftables-json(5)), by the types of the crate
//! `nftables`. Of that crate only the types are used: `kernel` runs nft.
//!
//! What the crate has no form for is [`MapObject`]: its set types know no
//! verdicts, so it cannot declare a verdict map, and it writes the verdict
//! `accept` of an element as a word where nft wants an object. (Its
//! statements are right, and stand in for these verdicts.)

use std::collections::HashSet;
use std::net::IpAddr;

use net::Family;
use nftables::expr::{self, Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField};
use nftables::schema::{self, FlushObject, NfCmd, NfListObject, SetFlag, SetType, SetTypeValue};
use nftables::stmt::{self, AnonymousCounter, Counter, JumpTarget, Limit, Log, Operator};
use nftables::types::{NfChainPolicy, NfFamily};
use serde::Serialize;

use super::diff::Elements;
use super::names::comment;
use super::{Chain, End, Match, Ruleset, Set, SetKind, Statement, TABLE, Then, VerdictMap};
use crate::ranges::address;

/// The family of our table.
const INET: NfFamily = NfFamily::INet;

/// Lines that one rule may write to the log in a second; a flood must not
/// fill the log of the host.
const LOG_RATE: u32 = 10;

/// Router solicitation to redirect (RFC 4861 §4.1 to §4.5).
const NEIGHBOUR_DISCOVERY: [u32; 2] = [133, 137];

/// The bits of the TCP header that tell the first segment of a connection: SYN
/// without ACK.
const SYN: u32 = 0x02;
const SYN_OR_ACK: u32 = 0x12;

/// Everything that nft shall do in one step.
#[derive(Serialize)]
struct Document<'a> {
    nftables: Vec<Command<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Command<'a> {
    Known(Box<NfCmd<'a>>),
    OfMap(MapCommand<'a>),
}

/// What is done with a verdict map.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum MapCommand<'a> {
    Add(MapObject<'a>),
    Flush(MapObject<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum MapObject<'a> {
    Map(MapBody<'a>),
    Element(MapBody<'a>),
}

/// A verdict map or a part of it.
#[derive(Serialize)]
struct MapBody<'a> {
    family: NfFamily,
    table: &'static str,
    name: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    declared: Option<Declared>,
    /// nft refuses an empty list.
    #[serde(rename = "elem", skip_serializing_if = "Vec::is_empty")]
    elements: Vec<(IpAddr, stmt::Statement<'a>)>,
}

/// What a map maps: a type to `verdict`.
#[derive(Serialize)]
struct Declared {
    #[serde(rename = "type")]
    key: SetType,
    map: &'static str,
}

impl Document<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("the document has only string keys")
    }
}

impl Ruleset {
    /// The transaction that puts this ruleset in the place of whatever is in
    /// the table. The kernel takes it as one step or not at all.
    pub fn json(&self) -> String {
        let table = || NfListObject::Table(schema::Table { family: INET, name: TABLE.into(), handle: None });
        // The first `add` makes the `delete` good where there is no table yet.
        let mut commands = vec![add(table()), known(NfCmd::Delete(table())), add(table())];
        commands
            .extend(self.sets.iter().map(|(name, set)| add(NfListObject::Set(Box::new(set_of(name, set))))));
        commands.extend(self.chains.iter().map(|(name, chain)| add(chain_of(name, chain))));
        commands.extend(self.maps.iter().map(|(name, map)| {
            let declared = Declared { key: address_type(map.family), map: "verdict" };
            Command::OfMap(MapCommand::Add(MapObject::Map(map_body(name, Some(declared), elements_of(map)))))
        }));
        for (name, chain) in &self.chains {
            commands.extend(chain.rules.iter().map(|rule| add(rule_of(name, rule))));
        }
        Document { nftables: commands }.text()
    }
}

impl Elements {
    /// The transaction that empties each set and fills it again.
    pub(super) fn json(&self) -> String {
        let mut commands = Vec::new();
        for (name, set) in &self.sets {
            let mut flushed = set_of(name, set);
            // nft refuses an empty list of elements.
            let elements = flushed.elem.take();
            commands.push(known(NfCmd::Flush(FlushObject::Set(Box::new(flushed)))));
            commands.extend(elements.map(|elem| {
                let (table, name) = (TABLE.into(), name.into());
                add(NfListObject::Element(schema::Element { family: INET, table, name, elem }))
            }));
        }
        for (name, map) in &self.maps {
            let body = |elements| map_body(name, None, elements);
            commands.push(Command::OfMap(MapCommand::Flush(MapObject::Map(body(Vec::new())))));
            if !map.elements.is_empty() {
                commands.push(Command::OfMap(MapCommand::Add(MapObject::Element(body(elements_of(map))))));
            }
        }
        Document { nftables: commands }.text()
    }
}

fn known(command: NfCmd<'_>) -> Command<'_> {
    Command::Known(Box::new(command))
}

fn add(what: NfListObject<'_>) -> Command<'_> {
    known(NfCmd::Add(what))
}

/// The whole set; one without elements has no list, as nft refuses an empty one.
fn set_of<'a>(name: &'a str, set: &Set) -> schema::Set<'a> {
    let (set_type, is_interval) = match set.kind {
        SetKind::Addresses(family) => (address_type(family), false),
        SetKind::Nets(family) => (address_type(family), true),
        SetKind::Ports => (SetType::InetService, true),
    };
    let elements = set_elements(set);
    schema::Set {
        family: INET,
        table: TABLE.into(),
        name: name.into(),
        set_type: SetTypeValue::Single(set_type),
        flags: is_interval.then(|| HashSet::from([SetFlag::Interval])),
        elem: (!elements.is_empty()).then_some(elements.into()),
        ..schema::Set::default()
    }
}

fn set_elements(set: &Set) -> Vec<Expression<'static>> {
    let element = |number| match set.kind {
        SetKind::Addresses(family) | SetKind::Nets(family) => {
            Expression::String(address(family, number).to_string().into())
        }
        SetKind::Ports => Expression::Number(u32::try_from(number).unwrap_or(u32::MAX)),
    };
    let either = |(first, last)| {
        if first == last { element(first) } else { range([element(first), element(last)]) }
    };
    match set.kind {
        // A hash has single elements only, also where addresses are neighbours.
        SetKind::Addresses(_) => {
            set.elements.iter().flat_map(|(first, last)| first..=last).map(element).collect()
        }
        SetKind::Nets(_) | SetKind::Ports => set.elements.iter().map(either).collect(),
    }
}

fn range(range: [Expression<'_>; 2]) -> Expression<'_> {
    Expression::Range(Box::new(expr::Range { range }))
}

fn map_body<'a>(
    name: &'a str,
    declared: Option<Declared>,
    elements: Vec<(IpAddr, stmt::Statement<'a>)>,
) -> MapBody<'a> {
    MapBody { family: INET, table: TABLE, name, declared, elements }
}

fn elements_of(map: &VerdictMap) -> Vec<(IpAddr, stmt::Statement<'_>)> {
    map.elements.iter().map(|(address, then)| (*address, then_of(then))).collect()
}

fn address_type(family: Family) -> SetType {
    match family {
        Family::Ipv4Unicast => SetType::Ipv4Addr,
        Family::Ipv6Unicast => SetType::Ipv6Addr,
    }
}

fn chain_of<'a>(name: &'a str, chain: &Chain) -> NfListObject<'a> {
    let base = chain.base;
    NfListObject::Chain(schema::Chain {
        family: INET,
        table: TABLE.into(),
        name: name.into(),
        _type: base.map(|base| base.kind),
        hook: base.map(|base| base.hook),
        prio: base.map(|base| base.priority),
        policy: base.map(|_| NfChainPolicy::Accept),
        ..schema::Chain::default()
    })
}

fn rule_of<'a>(chain: &'a str, rule: &'a Statement) -> NfListObject<'a> {
    let mut statements: Vec<_> = rule.matches.iter().map(match_of).collect();
    if rule.origin.is_some() {
        let zero = AnonymousCounter { packets: Some(0), bytes: Some(0) };
        statements.push(stmt::Statement::Counter(Counter::Anonymous(Some(zero))));
    }
    if let Some(prefix) = &rule.log {
        statements.push(stmt::Statement::Limit(log_limit()));
        let log = Log { prefix: Some(prefix.into()), ..Log::new(None) };
        statements.push(stmt::Statement::Log(Some(log)));
    }
    if rule.then != Then::Continue {
        statements.push(then_of(&rule.then));
    }
    NfListObject::Rule(schema::Rule {
        family: INET,
        table: TABLE.into(),
        chain: chain.into(),
        expr: statements.into(),
        comment: rule.origin.as_ref().map(|origin| comment(origin).into()),
        ..schema::Rule::default()
    })
}

fn log_limit() -> Limit<'static> {
    Limit {
        rate: LOG_RATE,
        per: Some("second".into()),
        rate_unit: None,
        burst: None,
        burst_unit: None,
        inv: None,
    }
}

fn then_of(then: &Then) -> stmt::Statement<'_> {
    match then {
        Then::Continue => stmt::Statement::Continue(None),
        Then::Accept => stmt::Statement::Accept(None),
        Then::Drop => stmt::Statement::Drop(None),
        Then::Jump(chain) => stmt::Statement::Jump(JumpTarget { target: chain.into() }),
        Then::Goto(chain) => stmt::Statement::Goto(JumpTarget { target: chain.into() }),
        Then::Masquerade => stmt::Statement::Masquerade(None),
    }
}

fn match_of(condition: &Match) -> stmt::Statement<'_> {
    match condition {
        Match::Established => {
            let state = expr::CT { key: "state".into(), family: None, dir: None };
            let known = ["established", "related"].map(|state| Expression::String(state.into()));
            compare(Operator::IN, named(NamedExpression::CT(state)), Expression::List(known.into()))
        }
        Match::NeighbourDiscovery => {
            let types = range(NEIGHBOUR_DISCOVERY.map(Expression::Number));
            compare(Operator::EQ, payload("icmpv6", "type"), types)
        }
        Match::Protocol { is, protocol } => {
            compare(op(*is), meta(MetaKey::L4proto), Expression::Number(protocol.0.into()))
        }
        Match::Address { end, family, is, set } => compare(op(*is), address_of(*end, *family), of_set(set)),
        Match::Port { end, is, set } => {
            let field = if *end == End::Source { "sport" } else { "dport" };
            compare(op(*is), payload("th", field), of_set(set))
        }
        Match::Family(family) => {
            let family = Expression::String(family.to_string().into());
            compare(Operator::EQ, meta(MetaKey::Nfproto), family)
        }
        Match::Syn => {
            let flags = expr::BinaryOperation::AND(payload("tcp", "flags"), Expression::Number(SYN_OR_ACK));
            compare(Operator::EQ, Expression::BinaryOperation(Box::new(flags)), Expression::Number(SYN))
        }
        Match::TtlBelow { family, ttl } => {
            let field = match family {
                Family::Ipv4Unicast => payload("ip", "ttl"),
                Family::Ipv6Unicast => payload("ip6", "hoplimit"),
            };
            // A range, as the crate writes its operator "less" as ">".
            let below = range([0, ttl.saturating_sub(1)].map(|ttl| Expression::Number(ttl.into())));
            compare(Operator::EQ, field, below)
        }
        Match::From(link) => compare(Operator::EQ, meta(MetaKey::Iifname), Expression::String(link.into())),
        Match::Lookup { end, family, map } => stmt::Statement::VerdictMap(stmt::VerdictMap {
            key: address_of(*end, *family),
            data: of_set(map),
        }),
    }
}

fn compare<'a>(op: Operator, left: Expression<'a>, right: Expression<'a>) -> stmt::Statement<'a> {
    stmt::Statement::Match(stmt::Match { left, right, op })
}

fn op(is: bool) -> Operator {
    if is { Operator::EQ } else { Operator::NEQ }
}

fn named(expression: NamedExpression<'_>) -> Expression<'_> {
    Expression::Named(expression)
}

fn meta(key: MetaKey) -> Expression<'static> {
    named(NamedExpression::Meta(Meta { key }))
}

fn payload(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let field = PayloadField { protocol: protocol.into(), field: field.into() };
    named(NamedExpression::Payload(Payload::PayloadField(field)))
}

fn address_of(end: End, family: Family) -> Expression<'static> {
    let protocol = match family {
        Family::Ipv4Unicast => "ip",
        Family::Ipv6Unicast => "ip6",
    };
    payload(protocol, if end == End::Source { "saddr" } else { "daddr" })
}

fn of_set(name: &str) -> Expression<'static> {
    Expression::String(format!("@{name}").into())
}
