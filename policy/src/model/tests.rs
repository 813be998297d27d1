use super::*;

fn policy(name: &str, order: &str) -> Policy {
    let text = format!(
        "{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {{name: {name}}}, spec: {{order: {order}}}}}"
    );
    parse(&text, "test").unwrap().remove(0)
}

#[test]
fn policies_are_asked_by_order_then_by_name() {
    let mut model = Model::default();
    model.apply(vec![
        policy("last", "~"),
        policy("b", "10"),
        policy("a", "10"),
        policy("z", "-1.5"),
        policy("also-last", "~"),
    ]);
    let names: Vec<_> = model.in_order().iter().map(|policy| policy.id.name.as_str()).collect();
    assert_eq!(names, ["z", "a", "b", "also-last", "last"]);
}

#[test]
fn the_revision_counts_what_changed() {
    let mut model = Model::default();
    let change = |changes: Vec<(PolicyId, Change)>| changes[0].1;
    assert_eq!(change(model.apply(vec![policy("a", "1")])), Change::Created);
    assert_eq!(change(model.apply(vec![policy("a", "1")])), Change::Unchanged);
    assert_eq!(model.revision(), 1);
    assert_eq!(change(model.apply(vec![policy("a", "2")])), Change::Replaced);
    let id = policy("a", "1").id;
    assert_eq!(change(model.delete([&id])), Change::Deleted);
    assert_eq!(change(model.delete([&id])), Change::Absent);
    assert_eq!((model.revision(), model.list().count()), (3, 0));
}

#[test]
fn a_stored_model_comes_back_and_a_damaged_one_does_not() {
    let mut model = Model::default();
    model.apply(vec![policy("a", "1"), policy("b", "0.25")]);
    let stored = model.to_json();
    assert_eq!(Model::from_json(&stored).unwrap(), model);
    assert!(Model::from_json(&stored[..stored.len() - 1]).is_err());
    let error = Model::from_json(&stored.replace("selector", "slector")).unwrap_err();
    assert!(error.to_string().contains("spec.slector"), "{error}");
}

#[test]
fn a_policy_is_named_by_kind_namespace_and_name() {
    for text in ["GlobalNetworkPolicy/web", "NetworkPolicy/prod/web"] {
        assert_eq!(text.parse::<PolicyId>().unwrap().to_string(), text);
    }
    for text in ["web", "GlobalNetworkPolicy/", "NetworkPolicy/web", "NetworkPolicy//web", "Pod/a/b"] {
        assert!(text.parse::<PolicyId>().is_err(), "{text}");
    }
}
