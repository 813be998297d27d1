//! Documents of policy: findings with a place in the text, or a model that
//! survives the disk, compiles for any node, and judges every flow.

use std::net::IpAddr;

use net::Prefix;
use policy::{
    Endpoint, Facts, Flow, Model, Protocol, Transport, compile, diff, evaluate, parse, to_document,
};

/// A node with three containers, one of them without a name.
fn facts() -> Facts {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let endpoint = |name: &str, namespace: Option<&str>, at: &str, label: (&str, &str)| Endpoint {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        addresses: vec![address(at)],
        labels: [(label.0.to_owned(), label.1.to_owned())].into(),
    };
    let block = |text: &str| text.parse::<Prefix>().expect("a prefix");
    Facts {
        blocks: vec![block("10.244.1.0/24"), block("fd00:1::/64")],
        node: vec![address("10.244.1.1")],
        endpoints: vec![
            endpoint("web", Some("default"), "10.244.1.2", ("app", "web")),
            endpoint("db", None, "fd00:1::3", ("app", "db")),
        ],
        ..Facts::default()
    }
}

/// Reads documents.
///
/// # Panics
/// When a property does not hold.
pub fn run(text: &str) {
    let policies = match parse(text, "policy.yaml") {
        Ok(policies) => policies,
        Err(findings) => {
            assert!(!findings.is_empty());
            let lines =
                text.chars().filter(|c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}'));
            // The reader of YAML ends a last line that has no end, and may say so on the next.
            let lines = lines.count() + 2;
            for finding in &findings {
                assert!(!finding.message.is_empty(), "{finding:?}");
                assert!((1..=lines).contains(&finding.line) && finding.column > 0, "{finding:?} in {text:?}");
            }
            return;
        }
    };
    for policy in &policies {
        let document = to_document(policy).to_string();
        assert_eq!(parse(&document, "again"), Ok(vec![policy.clone()]), "{document}");
    }
    let mut model = Model::default();
    model.apply(policies);
    let again = Model::from_json(&model.to_json()).expect("what was written can be read");
    assert_eq!(again, model);
    let facts = facts();
    let ruleset = compile(&model, &facts);
    assert_eq!(ruleset, compile(&again, &facts));
    let _ = (diff(None, &ruleset).json(), diff(Some(&ruleset), &ruleset).json());
    let addresses = ["10.244.1.2", "10.244.1.9", "192.0.2.1", "fd00:1::3", "2001:db8::1"];
    let addresses = addresses.map(|text| text.parse::<IpAddr>().expect("an address"));
    let transports = [
        Transport::Ports { protocol: Protocol(6), source: 40_000, destination: 80 },
        Transport::Ports { protocol: Protocol(17), source: 53, destination: 53 },
        Transport::Icmpv6(128),
        Transport::Other(Protocol(1)),
    ];
    for (source, destination) in addresses.iter().flat_map(|a| addresses.map(|b| (*a, b))) {
        for transport in transports {
            let flow = Flow { source, destination, transport };
            let judged = evaluate(&model, &facts, &flow);
            assert_eq!(judged, evaluate(&again, &facts, &flow));
        }
    }
}
