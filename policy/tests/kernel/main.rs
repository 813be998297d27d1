//! Compiled rules in a real kernel: what it does with real packets is what
//! the evaluator says. Needs root; everything happens in namespaces that end
//! with the test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod generate;
mod lab;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use lab::{Lab, in_namespace, nft};
use policy::{
    DefaultAction, Endpoint, Evaluation, Facts, Flow, Guard, Model, Nat, Origin, Protocol, Reason, Ruleset,
    Transaction, Transport, Verdict, compile, diff, evaluate, parse,
};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 16, ..Config::default() })
}

fn install(ruleset: &Ruleset) {
    nft(&["-f", "-"], &ruleset.json()).unwrap();
}

fn judge(model: &Model, facts: &Facts, flows: &[Flow]) -> Vec<Evaluation> {
    flows.iter().map(|flow| evaluate(model, facts, flow)).collect()
}

fn allowed(evaluations: &[Evaluation]) -> HashSet<usize> {
    let passes =
        |(index, evaluation): (usize, &Evaluation)| (evaluation.verdict == Verdict::Allow).then_some(index);
    evaluations.iter().enumerate().filter_map(passes).collect()
}

/// Holds the kernel to the evaluator on every flow of the lab; answers how
/// many were let through and how many dropped.
fn compare(lab: &mut Lab, model: &Model, facts: &Facts) -> Result<[usize; 2], TestCaseError> {
    install(&compile(model, facts));
    let flows = lab.flows();
    let evaluations = judge(model, facts, &flows);
    let expected = allowed(&evaluations);
    let seen = lab.probe(&flows, &expected);
    match seen.symmetric_difference(&expected).next() {
        None => Ok([expected.len(), flows.len() - expected.len()]),
        Some(index) => Err(TestCaseError::fail(format!(
            "{:?}: the kernel says the opposite of {:#?}",
            flows[*index], evaluations[*index]
        ))),
    }
}

fn model(text: &str) -> Model {
    let mut model = Model::default();
    model.apply(parse(text, "test").unwrap());
    model
}

#[test]
fn the_kernel_does_what_the_evaluator_says() {
    in_namespace(|| {
        let lab = RefCell::new(Lab::new());
        let verdicts = RefCell::new([0_usize; 2]);
        let result = runner(64).run(&(generate::model(), generate::facts()), |(model, facts)| {
            let [passed, dropped] = compare(&mut lab.borrow_mut(), &model, &facts)?;
            verdicts.borrow_mut()[0] += passed;
            verdicts.borrow_mut()[1] += dropped;
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{error}"));
        let [passed, dropped] = verdicts.into_inner();
        assert!(passed > 500 && dropped > 500, "one-sided cases prove nothing: {passed} {dropped}");
    });
}

#[test]
fn what_is_stored_comes_back() {
    let result = runner(256).run(&generate::model(), |model| {
        let restored =
            Model::from_json(&model.to_json()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        proptest::prop_assert_eq!(restored, model);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// What random models seldom reach.
#[test]
fn the_kernel_agrees_on_pass_namespaces_and_unlabelled_containers() {
    let policy = |kind: &str, metadata: &str, spec: &str| {
        format!(
            "---\n{{apiVersion: projectcalico.org/v3, kind: {kind}, metadata: {{{metadata}}}, spec: {{{spec}}}}}\n"
        )
    };
    let global = |spec: &str| policy("GlobalNetworkPolicy", "name: a", spec);
    let both = "types: [Ingress, Egress], egress: [{action: Allow}]";
    let cases = [
        global(&format!("{both}, ingress: [{{action: Pass, protocol: TCP}}, {{action: Allow}}]")),
        global(
            "types: [Egress], egress: [{action: Log}, {action: Pass, destination: {notNets: [192.0.2.0/24]}}]",
        ),
        global(&format!("{both}, ingress: [{{action: Allow, source: {{selector: \"!has(app)\"}}}}]")),
        global(&format!("{both}, ingress: [{{action: Allow, source: {{selector: \"all()\"}}}}]")),
        policy(
            "NetworkPolicy",
            "name: a, namespace: prod",
            "ingress: [{action: Allow, source: {selector: \"all()\"}}, {action: Deny, protocol: UDP}]",
        ),
        policy(
            "NetworkPolicy",
            "name: a, namespace: dev",
            "ingress: [{action: Allow, source: {selector: global()}}]",
        ),
    ];
    in_namespace(move || {
        let mut lab = Lab::new();
        let endpoint = |address: &str, namespace: &str, app: Option<&str>| Endpoint {
            name: address.into(),
            namespace: Some(namespace.into()),
            addresses: vec![address.parse().unwrap()],
            labels: app.map(|app| ("app".to_owned(), app.to_owned())).into_iter().collect(),
        };
        for text in cases {
            for default_action in [DefaultAction::Allow, DefaultAction::Deny] {
                let facts = Facts {
                    blocks: ["10.9.1.0/24", "fd00:9:1::/64"].map(|text| text.parse().unwrap()).to_vec(),
                    endpoints: vec![
                        endpoint("10.9.1.10", "prod", Some("web")),
                        endpoint("10.9.1.20", "prod", None),
                        endpoint("10.9.1.21", "dev", Some("web")),
                        endpoint("fd00:9:1::10", "prod", None),
                        endpoint("fd00:9:1::20", "prod", Some("web")),
                        endpoint("192.0.2.2", "dev", Some("web")),
                    ],
                    default_action,
                    ..Facts::default()
                };
                compare(&mut lab, &model(&text), &facts).unwrap_or_else(|error| panic!("{text}{error}"));
            }
        }
    });
}

#[test]
fn nft_takes_whatever_the_compiler_makes() {
    in_namespace(|| {
        let facts = (generate::model(), generate::facts(), proptest::bool::ANY);
        let result = runner(48).run(&facts, |(model, mut facts, nat)| {
            let prefixes = |texts: [&str; 3]| texts.map(|text| text.parse().unwrap()).to_vec();
            facts.nat = nat.then(|| Nat {
                pools: prefixes(["10.0.0.0/8", "10.9.0.0/16", "fd00::/16"]),
                exempt: prefixes(["192.0.2.0/24", "11.0.0.0/8", "2001:db8::/32"]),
            });
            facts.guard = nat.then(|| Guard {
                listen: ["0.0.0.0:179", "[2001:db8::1]:1179"].map(|text| text.parse().unwrap()).to_vec(),
                known: prefixes(["0.0.0.0/0", "192.0.2.7/32", "2001:db8::/64"]),
                near: [("192.0.2.7/32", 255), ("198.51.100.0/24", 255), ("2001:db8::/64", 254)]
                    .map(|(text, ttl)| (text.parse().unwrap(), ttl))
                    .to_vec(),
                links: vec!["eth0".to_owned(), "fifteen-letters".to_owned()],
            });
            nft(&["-c", "-f", "-"], &compile(&model, &facts).json()).map(drop).map_err(TestCaseError::fail)
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    });
}

/// What the kernel lists, without the numbers that it gives to objects.
fn listed() -> serde_json::Value {
    let text = nft(&["list", "table", "inet", "routed"], "").unwrap();
    let mut listed: serde_json::Value = serde_json::from_str(&text).unwrap();
    for item in listed["nftables"].as_array_mut().unwrap() {
        for object in item.as_object_mut().unwrap().values_mut() {
            object.as_object_mut().unwrap().remove("handle");
            if let Some(elements) = object.get_mut("elem").and_then(|elements| elements.as_array_mut()) {
                elements.sort_by_key(ToString::to_string);
            }
        }
    }
    listed
}

#[test]
fn a_difference_leads_the_kernel_to_where_a_replacement_does() {
    in_namespace(|| {
        let kinds = RefCell::new([0_usize; 3]);
        let cases = (generate::model(), generate::facts(), generate::facts());
        let result = runner(64).run(&cases, |(model, before, mut after)| {
            after.default_action = before.default_action;
            let (old, new) = (compile(&model, &before), compile(&model, &after));
            install(&old);
            let transaction = diff(Some(&old), &new);
            let kind = match transaction {
                Transaction::Nothing => 0,
                Transaction::Elements(_) => 1,
                Transaction::Replace(_) => 2,
            };
            kinds.borrow_mut()[kind] += 1;
            if let Some(json) = transaction.json() {
                nft(&["-f", "-"], &json).map_err(TestCaseError::fail)?;
            }
            let stepped = listed();
            install(&new);
            proptest::prop_assert_eq!(stepped, listed());
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{error}"));
        let [_, elements, replace] = kinds.into_inner();
        assert!(elements > 5 && replace > 5, "one-sided cases prove nothing: {elements} {replace}");
    });
}

#[test]
fn counters_say_which_rule_decided() {
    in_namespace(|| {
        let mut lab = Lab::new();
        let model = model(
            "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: web}, spec: {
               selector: \"app == 'web'\", types: [Ingress, Egress], egress: [{action: Allow}], ingress: [
                 {action: Log, protocol: UDP},
                 {action: Allow, protocol: UDP, source: {notNets: [192.0.2.0/24]}, destination: {ports: [53]}},
                 {action: Deny, protocol: UDP, destination: {ports: [53]}}]}}",
        );
        let labels = [("app".to_owned(), "web".to_owned())].into();
        let facts = Facts {
            blocks: ["10.9.1.0/24", "fd00:9:1::/64"].map(|text| text.parse().unwrap()).to_vec(),
            endpoints: vec![Endpoint {
                name: "web".into(),
                addresses: vec!["10.9.1.10".parse().unwrap(), "fd00:9:1::10".parse().unwrap()],
                labels,
                ..Endpoint::default()
            }],
            ..Facts::default()
        };
        let ruleset = compile(&model, &facts);
        install(&ruleset);
        let udp = |flow: &Flow| matches!(flow.transport, Transport::Ports { protocol: Protocol::UDP, .. });
        let flows: Vec<_> = lab.flows().into_iter().filter(udp).collect();
        let evaluations = judge(&model, &facts, &flows);
        let expected = allowed(&evaluations);
        assert_eq!(lab.probe(&flows, &expected), expected);

        let mut counts: HashMap<Origin, u64> = HashMap::new();
        for evaluation in &evaluations {
            for step in &evaluation.path {
                let policy::Step::Decided { reason, .. } = step else { continue };
                let origin = match reason.clone() {
                    Reason::Rule { policy, direction, index } => Origin::Rule { policy, direction, index },
                    Reason::NoRule(direction) => Origin::NoRule(direction),
                    _ => continue,
                };
                *counts.entry(origin).or_default() += 1;
            }
        }
        let listed = serde_json::from_str(&nft(&["list", "table", "inet", "routed"], "").unwrap()).unwrap();
        let counters = ruleset.counters(&listed);
        assert_eq!(counters.len(), 6, "{counters:?}");
        for counter in counters {
            let log = matches!(
                counter.origin,
                Origin::Rule { direction: policy::Direction::Ingress, index: 0, .. }
            );
            let wanted = if log { 12 } else { counts.remove(&counter.origin).unwrap_or(0) };
            assert_eq!(counter.packets, wanted, "{:?}", counter.origin);
        }
        assert!(counts.is_empty(), "{counts:?}");
    });
}

#[test]
fn what_leaves_the_pools_gets_the_address_of_the_node_unless_exempt() {
    in_namespace(|| {
        let mut lab = Lab::new();
        let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let seen_with = |lab: &mut Lab, exempt: &[&str]| {
            let nat = Nat { pools: prefixes(&["10.9.0.0/16", "fd00:9::/32"]), exempt: prefixes(exempt) };
            install(&compile(&Model::default(), &Facts { nat: Some(nat), ..Facts::default() }));
            let flows = lab.flows();
            let outside =
                |flow: &Flow| !matches!(flow.destination.to_string().as_str(), "192.0.2.2" | "2001:db8::2");
            let own_address: HashSet<_> = (0..flows.len())
                .filter(|index| {
                    outside(&flows[*index])
                        || !exempt.is_empty()
                        || matches!(flows[*index].transport, Transport::Other(_) | Transport::Icmpv6(_))
                })
                .collect();
            (lab.probe(&flows, &own_address), own_address)
        };
        // The lab knows UDP and TCP flows by their source, so what is masqueraded is not seen.
        let (seen, own_address) = seen_with(&mut lab, &[]);
        assert!(seen.is_subset(&own_address), "{seen:?}");
        let (seen, own_address) = seen_with(&mut lab, &["192.0.2.0/24", "2001:db8::/32"]);
        assert_eq!(seen, own_address);
    });
}
