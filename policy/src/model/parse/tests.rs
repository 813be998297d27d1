use expect_test::{Expect, expect};

use super::*;
use crate::{Direction, to_document};

fn check_errors(text: &str, expected: &Expect) {
    let diagnostics = parse(text, "p.yaml").unwrap_err();
    let lines: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

const WEB: &str = r#"
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy            # NetworkPolicy with a namespace
metadata: { name: web-only, labels: { team: web } }
spec:
  order: 100
  selector: all()
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: { nets: [10.244.2.0/24] }
      destination: { ports: [80, "8000:8010"] }
"#;

#[test]
fn the_example_of_the_contract_is_read() {
    let [policy] = parse(WEB, "p.yaml").unwrap().try_into().unwrap();
    assert_eq!(policy.id.to_string(), "GlobalNetworkPolicy/web-only");
    assert_eq!(policy.order, Order(Some(100.0)));
    assert!(policy.types.has(Direction::Ingress) && !policy.types.has(Direction::Egress));
    let [rule] = &policy.ingress[..] else { panic!("{policy:?}") };
    assert_eq!((rule.action, rule.protocol), (Action::Allow, Some(Protocol::TCP)));
    assert_eq!(rule.source.nets, ["10.244.2.0/24".parse().unwrap()]);
    assert_eq!(
        rule.destination.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["80", "8000:8010"]
    );
}

#[test]
fn json_is_read_as_yaml_is() {
    let policies = parse(WEB, "p.yaml").unwrap();
    let json = to_document(&policies[0]);
    assert_eq!(parse(&json.to_string(), "p.json").unwrap(), policies);
    assert_eq!(parse(&serde_json::to_string_pretty(&json).unwrap(), "p.json").unwrap(), policies);
}

#[test]
fn several_documents_are_read_and_empty_ones_left_out() {
    let second = "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: web-only, namespace: a}\nspec: {}\n";
    let policies = parse(&format!("---\n{WEB}---\n# nothing\n---\n{second}"), "p").unwrap();
    assert_eq!(policies[1].id.to_string(), "NetworkPolicy/a/web-only");
    assert_eq!(policies[1].selector, Selector::all());
    assert!(parse("", "p").unwrap().is_empty());
}

#[test]
fn types_default_to_ingress_and_egress_where_egress_rules_are_given() {
    let types = |spec: &str| {
        let text = format!(
            "{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {{name: a}}, spec: {spec}}}"
        );
        parse(&text, "p").unwrap()[0].types
    };
    assert_eq!(types("{order: 1}"), Types::Ingress);
    assert_eq!(types("{egress: []}"), Types::Ingress);
    assert_eq!(types("{egress: [{action: Allow}]}"), Types::Both);
    assert_eq!(types("{types: [Egress]}"), Types::Egress);
    assert_eq!(types("{types: [Egress, Ingress]}"), Types::Both);
}

#[test]
fn every_error_is_told_at_once_with_place_field_and_cure() {
    let text = r#"
apiVersion: projectcalico.org/v2
kind: GlobalNetworkPolicy
metadata: { name: Web_Only, namespace: a }
spec:
  odrer: 3
  order: high
  selector: app = 'web'
  types: [ingress]
  ingress:
    - action: Permit
      protocol: TPC
    - action: Allow
      protocol: TCP
      source: { nets: [10.0.0.1/8, 10.0.0/8], selector: }
      destination: { ports: [80, "90:80", http, 70000] }
    - action: Allow
      protocol: ICMP
      destination: { ports: [80] }
    - protocol: 6
      icmp: { type: 8 }
      source: 10.0.0.0/8
  egress: { action: Allow }
---
kind: Service
metadata: { name: x }
---
just text
"#;
    check_errors(
        text,
        &expect![[r#"
        p.yaml:2:13: document 1: apiVersion: "projectcalico.org/v2" is not read here; write projectcalico.org/v3
        p.yaml:4:19: document 1: metadata.name: "Web_Only" is no name; write at most 253 of a-z 0-9 - and . that begin and end with a letter or digit
        p.yaml:4:40: document 1: metadata.namespace: a GlobalNetworkPolicy has no namespace; take it out, or make the kind NetworkPolicy
        p.yaml:6:3: document 1: spec.odrer: unknown field; known here are tier, order, selector, types, ingress, egress
        p.yaml:7:10: document 1: spec.order: "high" is no order; write a number as 100
        p.yaml:8:13: document 1: spec.selector: selector "app = 'web'": at character 5 there is '=', where ==, !=, in, not in, contains, starts with or ends with belongs
        p.yaml:9:11: document 1: spec.types[0]: "ingress" is no type; write Ingress or Egress
        p.yaml:11:15: document 1: spec.ingress[0].action: "Permit" is no action; write Allow, Deny, Log or Pass
        p.yaml:12:17: document 1: spec.ingress[0].protocol: "TPC" is no protocol; write TCP, UDP, ICMP, ICMPv6, SCTP or a number from 1 to 255
        p.yaml:15:24: document 1: spec.ingress[1].source.nets[0]: "10.0.0.1/8" has host bits set; write 10.0.0.0/8
        p.yaml:15:36: document 1: spec.ingress[1].source.nets[1]: "10.0.0/8" is no prefix; write it as 10.244.0.0/16 or fd00::/48
        p.yaml:16:34: document 1: spec.ingress[1].destination.ports[1]: the range "90:80" ends before it begins; write "80:90"
        p.yaml:16:43: document 1: spec.ingress[1].destination.ports[2]: "http" is no port; write a number from 0 to 65535 or a range as "8000:8010"
        p.yaml:16:49: document 1: spec.ingress[1].destination.ports[3]: "70000" is no port; write a number from 0 to 65535 or a range as "8000:8010"
        p.yaml:19:29: document 1: spec.ingress[2].destination.ports: ports need a protocol that has them; add protocol: TCP, UDP or SCTP to the rule
        p.yaml:20:7: document 1: spec.ingress[3].action: missing; write Allow, Deny, Log or Pass
        p.yaml:21:7: document 1: spec.ingress[3].icmp: routed does not know this field of Calico's; take it out, or the rule would match more than it says
        p.yaml:22:15: document 1: spec.ingress[3].source: a text or number where a mapping belongs; its fields are nets, notNets, ports, notPorts, selector
        p.yaml:23:11: document 1: spec.egress: a mapping where a list belongs; write [a, b]
        p.yaml:25:1: document 2: apiVersion: missing; write projectcalico.org/v3
        p.yaml:25:1: document 2: spec: missing; write selector, types, ingress and egress under it
        p.yaml:25:7: document 2: kind: "Service" is not read here; write GlobalNetworkPolicy or NetworkPolicy
        p.yaml:28:1: document 3: a text or number where a mapping belongs; its fields are apiVersion, kind, metadata, spec
    "#]],
    );
}

#[test]
fn a_broken_text_is_told_with_its_place() {
    check_errors(
        "a: [1, 2\nb: }",
        &expect![[r"
        p.yaml:2:2: syntax: illegal placement of ':' indicator
    "]],
    );
    check_errors(
        "a: &x 1\nb: *x\n",
        &expect![[r"
        p.yaml:2:4: syntax: aliases are not read; write the value in full
    "]],
    );
    check_errors(
        "a: \"open\n",
        &expect![[r"
        p.yaml:2:1: syntax: invalid indentation in multiline quoted scalar
    "]],
    );
    check_errors(
        &format!("{WEB}---{WEB}"),
        &expect![[r"
        p.yaml:15:1: GlobalNetworkPolicy/web-only: it is in this text twice; keep one
    "]],
    );
}

#[test]
fn deep_nesting_is_refused() {
    assert!(parse(&"[".repeat(100_000), "p").is_err());
    assert!(parse(&"- ".repeat(100_000), "p").is_err());
    assert!(parse(&format!("spec: {}", "{a: ".repeat(100_000)), "p").is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in r#"[a-c:\-\[\]{}, \n"'&*|>#?!%0-9]{0,60}"#) {
        let _ = parse(&text, "p");
    }
}
