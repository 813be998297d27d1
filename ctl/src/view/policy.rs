//! Views of policies, verdicts and counters.

use std::fmt::Write as _;

use api::v1::{self, PolicyRef};
use serde::Serialize;

use super::{Cell, Column, Level, Row, Tone};

/// `KIND/NAME` or `KIND/NAMESPACE/NAME`, as the command line takes it.
pub(crate) fn name(policy: &PolicyRef) -> String {
    match &policy.namespace {
        Some(namespace) => format!("{}/{namespace}/{}", policy.kind, policy.name),
        None => format!("{}/{}", policy.kind, policy.name),
    }
}

/// A policy in the list.
#[derive(Debug, Serialize)]
pub(crate) struct PolicyView {
    kind: String,
    namespace: Option<String>,
    name: String,
    tier: String,
    order: Option<f64>,
    selector: String,
    types: Vec<String>,
    ingress_rules: u32,
    egress_rules: u32,
    endpoints: u64,
}

impl From<v1::PolicySummary> for PolicyView {
    fn from(policy: v1::PolicySummary) -> Self {
        let types = policy.types().map(|direction| direction.to_string()).collect();
        let PolicyRef { kind, namespace, name } = policy.policy.unwrap_or_default();
        Self {
            kind,
            namespace,
            name,
            tier: policy.tier,
            order: policy.order,
            selector: policy.selector,
            types,
            ingress_rules: policy.ingress_rules,
            egress_rules: policy.egress_rules,
            endpoints: policy.endpoints,
        }
    }
}

impl Row for PolicyView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "KIND", |p| Cell::new(&p.kind)),
        Column::text(Level::Short, "NAMESPACE", |p| Cell::maybe(p.namespace.as_ref())),
        Column::text(Level::Short, "NAME", |p| Cell::new(&p.name)),
        Column::text(Level::Wide, "TIER", |p| Cell::new(&p.tier)),
        Column::number(Level::Short, "ORDER", |p| Cell::maybe(p.order)),
        Column::text(Level::Short, "TYPES", |p| Cell::list(&p.types)),
        Column::number(Level::Wide, "INGRESS_RULES", |p| Cell::new(p.ingress_rules)),
        Column::number(Level::Wide, "EGRESS_RULES", |p| Cell::new(p.egress_rules)),
        Column::number(Level::Wide, "ENDPOINTS", |p| Cell::new(p.endpoints)),
        Column::text(Level::Short, "SELECTOR", |p| Cell::new(&p.selector)),
    ];
}

/// What became of a policy.
#[derive(Debug, Serialize)]
pub(crate) struct PolicyChangeView {
    kind: String,
    namespace: Option<String>,
    name: String,
    outcome: String,
}

impl From<v1::PolicyChange> for PolicyChangeView {
    fn from(change: v1::PolicyChange) -> Self {
        let outcome = change.outcome().to_string();
        let PolicyRef { kind, namespace, name } = change.policy.unwrap_or_default();
        Self { kind, namespace, name, outcome }
    }
}

impl Row for PolicyChangeView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "KIND", |c| Cell::new(&c.kind)),
        Column::text(Level::Short, "NAMESPACE", |c| Cell::maybe(c.namespace.as_ref())),
        Column::text(Level::Short, "NAME", |c| Cell::new(&c.name)),
        Column::text(Level::Short, "OUTCOME", |c| Cell::new(&c.outcome)),
    ];
}

/// What would happen to a flow.
#[derive(Debug, Serialize)]
pub(crate) struct TraceView {
    verdict: String,
    policy: Option<String>,
    direction: Option<String>,
    rule: Option<u32>,
    tier: Option<String>,
    path: Vec<String>,
}

impl From<v1::TraceResponse> for TraceView {
    fn from(trace: v1::TraceResponse) -> Self {
        Self {
            verdict: trace.verdict().to_string(),
            policy: trace.policy.as_ref().map(name),
            direction: trace.direction.map(|_| trace.direction().to_string()),
            rule: trace.rule,
            tier: trace.tier,
            path: trace.path,
        }
    }
}

impl TraceView {
    /// The steps, a line each, and the verdict last.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            text.push_str(step);
            text.push('\n');
        }
        text.push_str(&self.verdict);
        if let Some(policy) = &self.policy {
            text.push_str(": ");
            text.push_str(policy);
        }
        if let Some(direction) = &self.direction {
            text.push(' ');
            text.push_str(direction);
        }
        if let Some(rule) = self.rule {
            // Writing to a String cannot fail.
            let _ = write!(text, " rule {rule}");
        }
        text.push('\n');
        text
    }
}

/// What a rule has met.
#[derive(Debug, Serialize)]
pub(crate) struct CounterView {
    policy: Option<String>,
    direction: String,
    rule: Option<u32>,
    action: String,
    packets: u64,
    bytes: u64,
}

impl From<v1::RuleCounter> for CounterView {
    fn from(counter: v1::RuleCounter) -> Self {
        Self {
            policy: counter.policy.as_ref().map(name),
            direction: counter.direction().to_string(),
            rule: counter.rule,
            action: counter.action().to_string(),
            packets: counter.packets,
            bytes: counter.bytes,
        }
    }
}

impl Row for CounterView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "POLICY", |c| Cell::new(c.policy.as_deref().unwrap_or("default"))),
        Column::text(Level::Short, "DIRECTION", |c| Cell::new(&c.direction)),
        Column::number(Level::Short, "RULE", |c| Cell::maybe(c.rule)),
        Column::text(Level::Short, "ACTION", |c| {
            Cell::new(&c.action).tone(if c.action == "deny" { Tone::Bad } else { Tone::Plain })
        }),
        Column::number(Level::Short, "PACKETS", |c| Cell::new(c.packets)),
        Column::number(Level::Short, "BYTES", |c| Cell::new(c.bytes)),
    ];
}
