//! `policy`.

use expect_test::expect;

use crate::check;
use crate::fake::Fake;

#[test]
fn policies_are_applied_from_a_file_or_standard_input() {
    let fake = Fake::start();
    fake.file("web.yaml", "kind: GlobalNetworkPolicy\n");
    let applied = fake.done("policy apply -f web.yaml");
    expect![[r#"
        KIND                 NAMESPACE  NAME      OUTCOME
        GlobalNetworkPolicy  -          web-only  created
    "#]]
    .assert_eq(&applied);
    let output = fake.run_with("policy apply -f -", "kind: GlobalNetworkPolicy\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), applied);
}

#[test]
fn a_policy_with_errors_is_refused_with_file_and_line() {
    let fake = Fake::start();
    fake.file("web.yaml", "spec:\n  selektor: all()\n");
    let (code, stderr) = fake.failed("policy apply -f web.yaml");
    expect![[r#"
        web.yaml:2: error: GlobalNetworkPolicy/web-only: unknown field spec.selektor; did you mean selector?
        routectl: the documents have errors; nothing was changed
    "#]]
    .assert_eq(&stderr);
    assert_eq!(code, 1);
}

#[test]
fn policies_are_listed_shown_counted_and_deleted() {
    check(
        "policy list",
        &expect![[r#"
        KIND                 NAMESPACE  NAME      ORDER  TYPES    SELECTOR
        GlobalNetworkPolicy  -          web-only    100  ingress  all()
    "#]],
    );
    check(
        "policy list -o json",
        &expect![[r#"
        [
          {"kind":"GlobalNetworkPolicy","namespace":null,"name":"web-only","tier":"default","order":100.0,"selector":"all()","types":["ingress"],"ingress_rules":1,"egress_rules":0,"endpoints":3}
        ]
    "#]],
    );
    check(
        "policy show gnp/web-only",
        &expect![[r#"
        kind: GlobalNetworkPolicy
        spec:
          order: 100
    "#]],
    );
    check(
        "policy show gnp/web-only -o json",
        &expect![[r#"
        {
          "kind": "GlobalNetworkPolicy",
          "spec": {
            "order": 100
          }
        }
    "#]],
    );
    check(
        "policy counters",
        &expect![[r#"
        POLICY                        DIRECTION  RULE  ACTION  PACKETS  BYTES
        GlobalNetworkPolicy/web-only  ingress       0  allow        12    840
    "#]],
    );
    check(
        "policy delete gnp/web-only",
        &expect![[r#"
        KIND                 NAMESPACE  NAME      OUTCOME
        GlobalNetworkPolicy  -          web-only  removed
    "#]],
    );
}

#[test]
fn a_flow_is_traced() {
    check(
        "policy trace 10.244.2.7 10.244.1.2 tcp:443",
        &expect![[r#"
        ingress of 10.244.1.2: selected by GlobalNetworkPolicy/web-only
        deny: GlobalNetworkPolicy/web-only ingress
    "#]],
    );
    check(
        "policy trace 10.244.2.7 10.244.1.2 tcp:443 -o json",
        &expect![[r#"
        {
          "verdict": "deny",
          "policy": "GlobalNetworkPolicy/web-only",
          "direction": "ingress",
          "rule": null,
          "tier": "default",
          "path": [
            "ingress of 10.244.1.2: selected by GlobalNetworkPolicy/web-only"
          ]
        }
    "#]],
    );
}
