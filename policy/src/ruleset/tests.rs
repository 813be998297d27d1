use proptest::prelude::*;

use super::*;
use crate::{Action, Endpoint, Facts, Model, Order, Policy, Rule, Scope, Selector, Types, compile};

/// Rulesets at random, many of them equal.
fn some_ruleset() -> impl Strategy<Value = Ruleset> {
    (0_u8..3, 0_u8..3).prop_map(|(policies, endpoints)| {
        let policy = |index: u8| Policy {
            id: PolicyId { scope: Scope::Global, name: format!("p{index}") },
            labels: BTreeMap::new(),
            order: Order(None),
            selector: Selector::all(),
            types: Types::Both,
            ingress: vec![Rule {
                action: Action::Allow,
                protocol: None,
                not_protocol: None,
                source: crate::Peer::default(),
                destination: crate::Peer::default(),
            }],
            egress: Vec::new(),
        };
        let endpoint = |index| Endpoint { addresses: vec![[10, 0, 0, index].into()], ..Endpoint::default() };
        let mut model = Model::default();
        model.apply((0..policies).map(policy).collect());
        let facts = Facts {
            blocks: vec!["10.0.0.0/24".parse().unwrap()],
            endpoints: (0..endpoints).map(endpoint).collect(),
            ..Facts::default()
        };
        compile(&model, &facts)
    })
}

proptest! {
    #[test]
    fn rules_are_touched_only_where_they_differ(a in some_ruleset(), b in some_ruleset()) {
        let replaces = matches!(diff(Some(&a), &b), Transaction::Replace(_));
        prop_assert_eq!(replaces, a.chains != b.chains);
    }

    #[test]
    fn what_diff_says_makes_the_one_the_other(a in some_ruleset(), b in some_ruleset()) {
        let transaction = diff(Some(&a), &b);
        prop_assert_eq!(transaction.json().is_none(), a == b);
        prop_assert_eq!(transaction.apply(a), b.clone());
        prop_assert_eq!(diff(None, &b).apply(Ruleset::default()), b);
    }
}

#[test]
fn what_is_not_known_to_be_installed_is_replaced() {
    let empty = Ruleset::default();
    assert_eq!(diff(Some(&empty), &empty), Transaction::Nothing);
    assert_eq!(diff(None, &empty), Transaction::Replace(empty));
}

#[test]
fn a_replacement_begins_with_add_delete_add() {
    let json: serde_json::Value = serde_json::from_str(&Ruleset::default().json()).unwrap();
    let verbs: Vec<_> = json["nftables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|command| {
            let (verb, object) = command.as_object().unwrap().iter().next().unwrap();
            assert_eq!(object["table"]["name"], TABLE);
            verb.clone()
        })
        .collect();
    assert_eq!(verbs, ["add", "delete", "add"]);
}

#[test]
fn one_name_is_never_given_to_two_contents() {
    let mut names = Names::default();
    let first = names.give("net", "a");
    assert_eq!(names.give("net", "a"), first);
    assert_ne!(names.give("net", "b"), first);
    assert_eq!(Names::default().give("net", "a"), first, "stable over runs");
}

#[test]
fn a_long_policy_name_keeps_the_end_of_its_comment() {
    let policy = PolicyId { scope: Scope::Namespace("n".repeat(253)), name: "p".repeat(253) };
    let text = names::comment(&Origin::Rule { policy, direction: Direction::Ingress, index: 7 });
    assert!(text.len() <= 127 && text.ends_with("p ingress 7"), "{text}");
}
