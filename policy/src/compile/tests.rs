use std::fmt::Write;

use super::*;
use crate::{Endpoint, parse};

fn policies(count: usize) -> Model {
    let mut text = String::new();
    for index in 0..count {
        let _ = writeln!(
            text,
            "---\n{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {{name: p{index}}}, spec: {{selector: \"app == 'a{index}'\", ingress: [{{action: Allow, protocol: TCP, source: {{nets: [10.0.0.0/8]}}, destination: {{ports: [80]}}}}]}}}}"
        );
    }
    let mut model = Model::default();
    model.apply(parse(&text, "test").unwrap());
    model
}

fn endpoints(count: u8, apps: u8) -> Facts {
    let endpoint = |index: u8| Endpoint {
        name: format!("e{index}"),
        addresses: vec![[10, 1, 0, index].into()],
        labels: [("app".to_owned(), format!("a{}", index % apps))].into(),
        ..Endpoint::default()
    };
    Facts {
        blocks: vec!["10.1.0.0/24".parse().unwrap()],
        endpoints: (0..count).map(endpoint).collect(),
        ..Facts::default()
    }
}

#[test]
fn endpoints_with_the_same_policies_share_chains() {
    let few = compile(&policies(4), &endpoints(4, 4)).size();
    let many = compile(&policies(4), &endpoints(200, 4)).size();
    assert_eq!((few.chains, few.rules, few.sets), (many.chains, many.rules, many.sets));
    assert_eq!(many.elements - few.elements, 2 * 196, "one element each way for each container");
}

#[test]
fn policies_that_select_nobody_here_cost_nothing() {
    let size = |count| compile(&policies(count), &endpoints(8, 4)).size();
    assert_eq!(size(4), size(400));
}

/// What a packet may walk through: the rules of the base chain, of its group
/// and of the policies that select its container. None of them grows.
#[test]
fn the_rules_that_a_packet_meets_do_not_grow_with_policies_or_endpoints() {
    let longest = |policies_count, endpoints_count| {
        let ruleset = compile(&policies(policies_count), &endpoints(endpoints_count, 200));
        ruleset.chains.values().map(|chain| chain.rules.len()).max()
    };
    assert_eq!(longest(2, 2), longest(200, 200));
}

#[test]
fn equal_sets_are_one_set() {
    let ruleset = compile(&policies(50), &endpoints(50, 50));
    let names: Vec<_> = ruleset.sets.keys().map(|name| name.split('_').next().unwrap_or_default()).collect();
    assert_eq!(names, ["net", "port"], "{:?}", ruleset.sets.keys());
}

#[test]
fn a_container_that_comes_changes_elements_and_nothing_else() {
    let mut old = compile(&policies(4), &endpoints(8, 4));
    let new = compile(&policies(4), &endpoints(9, 4));
    assert_eq!(old.chains, new.chains);
    assert_ne!(old.maps, new.maps);
    old.maps.clone_from(&new.maps);
    assert_eq!(old, new);
}

#[test]
fn the_order_of_endpoints_does_not_matter() {
    let mut facts = endpoints(20, 3);
    let forward = compile(&policies(3), &facts);
    facts.endpoints.reverse();
    assert_eq!(compile(&policies(3), &facts), forward);
}

#[test]
fn every_name_is_shorter_than_32_bytes() {
    let mut facts = endpoints(9, 3);
    facts.nat = Some(Nat { pools: vec!["10.0.0.0/8".parse().unwrap()], exempt: Vec::new() });
    facts.default_action = DefaultAction::Deny;
    let ruleset = compile(&policies(3), &facts);
    let names = ruleset.chains.keys().chain(ruleset.sets.keys()).chain(ruleset.maps.keys());
    let longest = names.map(String::len).max();
    assert!(longest.is_some_and(|length| length < 32), "{longest:?}");
}

#[test]
fn a_default_of_deny_drops_what_no_policy_selects() {
    let facts = Facts { default_action: DefaultAction::Deny, ..endpoints(1, 1) };
    let ruleset = compile(&Model::default(), &facts);
    assert!(ruleset.maps.values().flat_map(|map| map.elements.values()).all(|then| *then == Then::Drop));
    let ends = |name: &str| ruleset.chains[name].rules.last().map(|rule| rule.then.clone());
    assert_eq!((ends("ingress"), ends("egress")), (Some(Then::Drop), Some(Then::Drop)));
}
