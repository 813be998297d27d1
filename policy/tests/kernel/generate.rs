//! Models and facts at random, around the addresses of the lab.

use policy::{
    Action, DefaultAction, Endpoint, Facts, Model, Order, Peer, Policy, PolicyId, PortRange, Protocol, Rule,
    Scope, Selector, Types,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const NETS: [&str; 12] = [
    "0.0.0.0/0",
    "10.9.1.0/24",
    "10.9.1.8/29",
    "10.9.1.10",
    "10.9.1.16/28",
    "192.0.2.0/24",
    "::/0",
    "fd00:9:1::/64",
    "fd00:9:1::10",
    "fd00:9:1::20/124",
    "2001:db8::/32",
    "198.51.100.0/24",
];
const PORTS: [&str; 7] = ["80", "53", "8080", "50:90", "81:8080", "20000:39999", "0:65535"];
const SELECTORS: [&str; 9] = [
    "all()",
    "app == 'web'",
    "app != 'web'",
    "has(app)",
    "!has(app)",
    "app in {'web', 'db'}",
    "global()",
    "app == 'web' && zone == 'a' || app == 'db'",
    "!all()",
];

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(texts: &[&str]) -> Vec<T> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Nothing, mostly; otherwise a few of these.
fn some<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let most = values.len().min(4);
    prop_oneof![3 => Just(Vec::new()), 2 => subsequence(values, 1..=most)]
}

fn peer(ports: bool) -> impl Strategy<Value = Peer> {
    let range = move || -> BoxedStrategy<Vec<PortRange>> {
        if ports { some(parsed(&PORTS)).boxed() } else { Just(Vec::new()).boxed() }
    };
    let selector = prop::option::weighted(0.3, select(parsed::<Selector>(&SELECTORS)));
    (some(parsed(&NETS)), some(parsed(&NETS)), range(), range(), selector).prop_map(
        |(nets, not_nets, ports, not_ports, selector)| Peer { nets, not_nets, ports, not_ports, selector },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    let action = prop_oneof![
        4 => Just(Action::Allow), 2 => Just(Action::Deny), 1 => Just(Action::Pass), 1 => Just(Action::Log)
    ];
    let protocols =
        vec![Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMPV6, Protocol::SCTP, Protocol(47)];
    let protocol = prop::option::of(select(protocols.clone()));
    let not_protocol = prop::option::weighted(0.2, select(protocols));
    (action, protocol, not_protocol).prop_flat_map(|(action, protocol, not_protocol)| {
        let ports = protocol.is_some_and(Protocol::has_ports);
        (peer(ports), peer(ports)).prop_map(move |(source, destination)| Rule {
            action,
            protocol,
            not_protocol,
            source,
            destination,
        })
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let scope = prop_oneof![
        3 => Just(Scope::Global),
        1 => Just(Scope::Namespace("prod".into())),
        1 => Just(Scope::Namespace("dev".into())),
    ];
    let name =
        select(["a", "b", "c", "d"].map(|name| name.repeat(if name == "d" { 253 } else { 1 })).to_vec());
    let order = select(vec![None, Some(1.0), Some(2.5), Some(-3.0)]);
    let types = select(vec![Types::Ingress, Types::Egress, Types::Both]);
    let rules = || prop::collection::vec(rule(), 0..4);
    let selector = select(parsed::<Selector>(&SELECTORS));
    (scope, name, order, types, selector, rules(), rules()).prop_map(
        |(scope, name, order, types, selector, ingress, egress)| Policy {
            id: PolicyId { scope, name },
            labels: std::collections::BTreeMap::new(),
            order: Order(order),
            selector,
            types,
            ingress,
            egress,
        },
    )
}

/// A few policies.
pub(crate) fn model() -> impl Strategy<Value = Model> {
    prop::collection::vec(policy(), 0..5).prop_map(|policies| {
        let mut model = Model::default();
        model.apply(policies);
        model
    })
}

fn endpoint(addresses: &'static [&'static str]) -> impl Strategy<Value = Option<Endpoint>> {
    let namespace = select(vec![None, Some("prod"), Some("dev")]);
    let label = |key: &'static str, values: [&'static str; 2]| {
        prop::option::of(select(values.to_vec()).prop_map(move |value| (key.to_owned(), value.to_owned())))
    };
    let endpoint = (namespace, label("app", ["web", "db"]), label("zone", ["a", "b"]));
    prop::option::weighted(
        0.8,
        endpoint.prop_map(|(namespace, app, zone)| Endpoint {
            name: addresses[0].to_owned(),
            namespace: namespace.map(str::to_owned),
            addresses: parsed(addresses),
            labels: app.into_iter().chain(zone).collect(),
        }),
    )
}

/// The lab's containers, each with or without a name; one of the outside too.
pub(crate) fn facts() -> impl Strategy<Value = Facts> {
    let endpoints = (
        endpoint(&["10.9.1.10", "fd00:9:1::10"]),
        endpoint(&["10.9.1.11", "fd00:9:1::11"]),
        endpoint(&["10.9.1.20", "fd00:9:1::20", "10.9.1.10"]),
        endpoint(&["10.9.1.21"]),
        endpoint(&["192.0.2.2", "2001:db8::2"]),
    );
    let default_action = select(vec![DefaultAction::Allow, DefaultAction::Deny]);
    (endpoints, default_action).prop_map(|((a, b, c, d, e), default_action)| Facts {
        blocks: parsed(&["10.9.1.0/28", "10.9.1.16/28", "10.9.1.20/32", "fd00:9:1::/64"]),
        node: parsed(&["10.9.1.1"]),
        endpoints: [a, b, c, d, e].into_iter().flatten().collect(),
        default_action,
        nat: None,
        guard: None,
    })
}
