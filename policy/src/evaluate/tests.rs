use super::*;
use crate::parse;

const WEB: &str = "
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: { name: web }
spec:
  order: 10
  selector: app == 'web'
  types: [Ingress, Egress]
  ingress:
    - { action: Log, protocol: TCP }
    - { action: Allow, protocol: TCP, destination: { ports: [80] } }
    - { action: Deny, source: { selector: app == 'bad' } }
    - { action: Pass, protocol: UDP }
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: { name: later }
spec: { order: 20, selector: has(app), ingress: [{ action: Allow, protocol: ICMP }] }
";

fn facts() -> Facts {
    let endpoint = |name: &str, address: &str, app: &str| Endpoint {
        name: name.into(),
        addresses: vec![address.parse().unwrap()],
        labels: [("app".to_owned(), app.to_owned())].into(),
        ..Endpoint::default()
    };
    Facts {
        blocks: vec!["10.1.0.0/24".parse().unwrap()],
        node: vec!["10.1.0.1".parse().unwrap()],
        endpoints: vec![
            endpoint("w", "10.1.0.2", "web"),
            endpoint("b", "10.1.0.3", "bad"),
            endpoint("far", "10.2.0.3", "bad"),
        ],
        ..Facts::default()
    }
}

fn tcp(port: u16) -> Transport {
    Transport::Ports { protocol: Protocol::TCP, source: 40_000, destination: port }
}

fn check(source: &str, destination: &str, transport: Transport) -> (Verdict, String) {
    let mut model = Model::default();
    model.apply(parse(WEB, "test").unwrap());
    let flow = Flow { source: source.parse().unwrap(), destination: destination.parse().unwrap(), transport };
    let evaluation = evaluate(&model, &facts(), &flow);
    let reason = match &evaluation.reason {
        Reason::Rule { policy, direction, index } => format!("{direction} {} {index}", policy.name),
        other => format!("{other:?}").split([' ', '{', '(']).next().unwrap_or_default().to_owned(),
    };
    (evaluation.verdict, reason)
}

#[test]
fn the_first_rule_that_matches_decides_by_order() {
    let icmp = Transport::Other(Protocol::ICMP);
    let udp = Transport::Ports { protocol: Protocol::UDP, source: 1, destination: 1 };
    for (source, destination, transport, verdict, reason) in [
        ("192.0.2.1", "10.1.0.2", tcp(80), Verdict::Allow, "ingress web 1"),
        ("192.0.2.1", "10.1.0.2", tcp(81), Verdict::Deny, "NoRule"),
        ("10.2.0.3", "10.1.0.2", tcp(80), Verdict::Allow, "ingress web 1"),
        ("10.2.0.3", "10.1.0.2", icmp, Verdict::Deny, "ingress web 2"),
        ("192.0.2.1", "10.1.0.2", icmp, Verdict::Allow, "ingress later 0"),
        ("192.0.2.1", "10.1.0.2", udp, Verdict::Allow, "Passed"),
        ("192.0.2.1", "10.1.0.3", tcp(80), Verdict::Deny, "NoRule"),
        ("192.0.2.1", "10.1.0.9", tcp(80), Verdict::Allow, "NotSelected"),
        ("10.1.0.2", "192.0.2.1", tcp(80), Verdict::Deny, "NoRule"),
        ("10.1.0.3", "10.1.0.2", tcp(80), Verdict::Allow, "ingress web 1"),
        ("10.1.0.1", "10.1.0.2", tcp(81), Verdict::Allow, "Node"),
        ("10.1.0.2", "10.1.0.1", tcp(81), Verdict::Allow, "Node"),
        ("192.0.2.1", "198.51.100.1", tcp(81), Verdict::Allow, "NoContainer"),
        ("fd00::1", "fd00::2", Transport::Icmpv6(135), Verdict::Allow, "NeighbourDiscovery"),
    ] {
        let got = check(source, destination, transport);
        assert_eq!(got, (verdict, reason.to_owned()), "{source} {destination} {transport:?}");
    }
}

#[test]
fn the_path_tells_every_rule_that_was_asked() {
    let mut model = Model::default();
    model.apply(parse(WEB, "test").unwrap());
    let flow = Flow {
        source: "10.1.0.3".parse().unwrap(),
        destination: "10.1.0.2".parse().unwrap(),
        transport: tcp(80),
    };
    let evaluation = evaluate(&model, &facts(), &flow);
    assert_eq!((evaluation.policy().unwrap().name.as_str(), evaluation.rule()), ("web", Some(1)));
    let containers: Vec<_> =
        evaluation.path.iter().filter(|step| matches!(step, Step::Container { .. })).collect();
    assert_eq!(containers.len(), 2);
    assert_eq!(
        evaluation.path[1],
        Step::Decided { verdict: Verdict::Allow, reason: Reason::NotSelected(Direction::Egress) }
    );
    assert!(evaluation.path.contains(&Step::Rule { index: 0, action: Action::Log, matched: true }));
}
