//! A policy as the document that an operator would write for it.

use std::fmt::Display;

use serde_json::{Map, Value, json};

use super::parse::API_VERSION;
use super::{Action, Peer, Policy, Rule, Types};

/// The document of a policy. `parse(to_document(policy))` is the policy.
pub fn to_document(policy: &Policy) -> Value {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(policy.id.name))]);
    if let Some(namespace) = policy.id.scope.namespace() {
        metadata.insert("namespace".into(), json!(namespace));
    }
    if !policy.labels.is_empty() {
        metadata.insert("labels".into(), json!(policy.labels));
    }
    let types = match policy.types {
        Types::Ingress => json!(["Ingress"]),
        Types::Egress => json!(["Egress"]),
        Types::Both => json!(["Ingress", "Egress"]),
    };
    let mut spec = Map::from_iter([
        ("selector".to_owned(), json!(policy.selector.to_string())),
        ("types".to_owned(), types),
    ]);
    if let Some(order) = policy.order.0 {
        spec.insert("order".into(), json!(order));
    }
    for (field, rules) in [("ingress", &policy.ingress), ("egress", &policy.egress)] {
        if !rules.is_empty() {
            spec.insert(field.into(), rules.iter().map(rule).collect());
        }
    }
    json!({ "apiVersion": API_VERSION, "kind": policy.id.scope.kind(), "metadata": metadata, "spec": spec })
}

fn rule(rule: &Rule) -> Value {
    let action = Action::WORDS.iter().find(|(_, action)| *action == rule.action).map(|(word, _)| *word);
    let mut fields = Map::from_iter([("action".to_owned(), json!(action))]);
    for (field, protocol) in [("protocol", rule.protocol), ("notProtocol", rule.not_protocol)] {
        if let Some(protocol) = protocol {
            fields.insert(field.into(), protocol.name().map_or(json!(protocol.0), |name| json!(name)));
        }
    }
    for (field, end) in [("source", &rule.source), ("destination", &rule.destination)] {
        let end = peer(end);
        if !end.is_empty() {
            fields.insert(field.into(), end.into());
        }
    }
    fields.into()
}

fn peer(peer: &Peer) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut list = |field: &str, values: Vec<Value>| {
        if !values.is_empty() {
            fields.insert(field.to_owned(), values.into());
        }
    };
    list("nets", texts(&peer.nets));
    list("notNets", texts(&peer.not_nets));
    list("ports", texts(&peer.ports));
    list("notPorts", texts(&peer.not_ports));
    if let Some(selector) = &peer.selector {
        fields.insert("selector".into(), json!(selector.to_string()));
    }
    fields
}

fn texts<T: Display>(values: &[T]) -> Vec<Value> {
    values.iter().map(|value| json!(value.to_string())).collect()
}
