//! `PolicyService`: documents in, verdicts out.

use api::v1::policy_service_server::PolicyService;
use api::v1::{self, delete_request};
use api::{Problem, problem};
use policy::{
    Action, Change, Counter, Direction, Flow, Origin, Policy, PolicyId, Protocol, Scope, Transport, Verdict,
};
use tonic::{Request, Response, Status};

use super::audit::Object;
use super::convert;
use crate::tasks::policy::{PolicyCommand, PolicyHandle, diagnostic};

pub(super) struct Policies {
    pub(super) policy: PolicyHandle,
}

impl Policies {
    async fn model(&self) -> Result<(std::sync::Arc<policy::Model>, std::sync::Arc<policy::Facts>), Status> {
        self.policy.ask(PolicyCommand::Look).await.ok_or_else(convert::stopping)
    }
}

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        let object = Object::of(&request);
        let v1::ApplyRequest { documents, dry_run } = request.into_inner();
        let v1::PolicyText { text, file_name } = documents.unwrap_or_default();
        let policies = match policy::parse(&text, &file_name) {
            Ok(policies) => policies,
            Err(found) => {
                object.say(FAULTY);
                let diagnostics = found.iter().map(diagnostic).collect();
                return Ok(Response::new(v1::ApplyResponse { changes: vec![], diagnostics }));
            }
        };
        let names = listed(policies.iter().map(|policy| &policy.id));
        object.say(if dry_run { format!("{names} (dry run)") } else { names });
        let answer = self.policy.ask(|reply| PolicyCommand::Apply(policies, dry_run, reply)).await;
        let changes = answer.ok_or_else(convert::stopping)??;
        let changes = changes.iter().map(change).collect();
        Ok(Response::new(v1::ApplyResponse { changes, diagnostics: vec![] }))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::DeleteResponse>, Status> {
        let object = Object::of(&request);
        let ids = match request.into_inner().target {
            Some(delete_request::Target::Policy(named)) => vec![id_of(named)?],
            Some(delete_request::Target::Documents(text)) => match policy::parse(&text.text, &text.file_name)
            {
                Ok(policies) => policies.into_iter().map(|policy| policy.id).collect(),
                Err(found) => {
                    object.say(FAULTY);
                    let diagnostics = found.iter().map(diagnostic).collect();
                    return Ok(Response::new(v1::DeleteResponse { changes: vec![], diagnostics }));
                }
            },
            None => {
                object.say("nothing");
                return Err(Problem::invalid("target", "name a policy, or give documents").into());
            }
        };
        object.say(listed(ids.iter()));
        let answer = self.policy.ask(|reply| PolicyCommand::Delete(ids, reply)).await;
        let changes = answer.ok_or_else(convert::stopping)??;
        let changes = changes.iter().map(change).collect();
        Ok(Response::new(v1::DeleteResponse { changes, diagnostics: vec![] }))
    }

    async fn list(
        &self,
        request: Request<v1::ListPoliciesRequest>,
    ) -> Result<Response<v1::ListPoliciesResponse>, Status> {
        let namespace = request.into_inner().namespace;
        let (model, facts) = self.model().await?;
        let wanted =
            |policy: &&&Policy| namespace.is_none() || policy.id.scope.namespace() == namespace.as_deref();
        let policies = model.in_order();
        let policies = policies.iter().filter(wanted).map(|policy| summary(policy, &facts)).collect();
        Ok(Response::new(v1::ListPoliciesResponse { policies }))
    }

    async fn show(
        &self,
        request: Request<v1::ShowPolicyRequest>,
    ) -> Result<Response<v1::ShowPolicyResponse>, Status> {
        let id = id_of(request.into_inner().policy.unwrap_or_default())?;
        let (model, _) = self.model().await?;
        let policy = model.get(&id).ok_or_else(|| Status::from(unknown(&id)))?;
        let document = document_text(policy)?;
        Ok(Response::new(v1::ShowPolicyResponse { document }))
    }

    async fn trace(&self, request: Request<v1::TraceRequest>) -> Result<Response<v1::TraceResponse>, Status> {
        let flow = flow_of(request.get_ref())?;
        let found =
            self.policy.ask(|reply| PolicyCommand::Trace(flow, reply)).await.ok_or_else(convert::stopping)?;
        Ok(Response::new(v1::TraceResponse {
            verdict: match found.verdict {
                Verdict::Allow => v1::Verdict::Allow as i32,
                Verdict::Deny => v1::Verdict::Deny as i32,
            },
            policy: found.policy().map(reference),
            direction: found.reason.direction().map(direction),
            rule: found.rule().and_then(|rule| u32::try_from(rule).ok()),
            tier: found.policy().map(|_| policy::TIER.to_owned()),
            path: found.path.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn counters(
        &self,
        request: Request<v1::CountersRequest>,
    ) -> Result<Response<v1::CountersResponse>, Status> {
        let wanted = request.into_inner().policy.map(id_of).transpose()?;
        let (model, _) = self.model().await?;
        let counters = self.policy.ask(PolicyCommand::Counters).await.ok_or_else(convert::stopping)??;
        let of_wanted = |counter: &&Counter| match (&wanted, &counter.origin) {
            (None, Origin::Rule { .. } | Origin::NoRule(_)) => true,
            (Some(wanted), Origin::Rule { policy, .. }) => policy == wanted,
            // The latter is no policy's; the status of the node has it.
            (Some(_), Origin::NoRule(_)) | (_, Origin::Stranger) => false,
        };
        let counters =
            counters.iter().filter(of_wanted).map(|counter| rule_counter(counter, &model)).collect();
        Ok(Response::new(v1::CountersResponse { counters }))
    }
}

/// What the audit log says of documents that do not parse.
const FAULTY: &str = "documents with errors, not taken";

/// Policies for the audit log.
fn listed<'a>(ids: impl Iterator<Item = &'a PolicyId>) -> String {
    let names: Vec<String> = ids.map(ToString::to_string).collect();
    if names.is_empty() { "no policy".to_owned() } else { format!("policy {}", names.join(", ")) }
}

fn unknown(id: &PolicyId) -> Problem {
    Problem::not_found(format!("policy {id}")).hint("`routectl policy list` shows what there is")
}

/// The document as YAML.
fn document_text(policy: &Policy) -> Result<String, Status> {
    serde_saphyr::to_string(&policy::to_document(policy)).map_err(|error| {
        Problem::new(problem::Kind::Internal, format!("policy {}", policy.id), error.to_string()).into()
    })
}

fn id_of(named: v1::PolicyRef) -> Result<PolicyId, Status> {
    let text = match named.namespace {
        Some(namespace) => format!("{}/{namespace}/{}", named.kind, named.name),
        None => format!("{}/{}", named.kind, named.name),
    };
    text.parse()
        .map_err(|error: policy::ParsePolicyIdError| Problem::invalid("policy", error.to_string()).into())
}

fn reference(id: &PolicyId) -> v1::PolicyRef {
    v1::PolicyRef {
        kind: id.scope.kind().to_owned(),
        namespace: match &id.scope {
            Scope::Global => None,
            Scope::Namespace(namespace) => Some(namespace.clone()),
        },
        name: id.name.clone(),
    }
}

fn change((id, change): &(PolicyId, Change)) -> v1::PolicyChange {
    let outcome = match change {
        Change::Created => v1::Outcome::Created,
        Change::Replaced => v1::Outcome::Changed,
        Change::Unchanged | Change::Absent => v1::Outcome::Unchanged,
        Change::Deleted => v1::Outcome::Removed,
    };
    v1::PolicyChange { policy: Some(reference(id)), outcome: outcome as i32 }
}

fn direction(direction: Direction) -> i32 {
    match direction {
        Direction::Ingress => v1::Direction::Ingress as i32,
        Direction::Egress => v1::Direction::Egress as i32,
    }
}

fn summary(policy: &Policy, facts: &policy::Facts) -> v1::PolicySummary {
    let count = |rules: &[policy::Rule]| u32::try_from(rules.len()).unwrap_or(u32::MAX);
    let selects = |endpoint: &&policy::Endpoint| {
        let namespace = endpoint.namespace.as_deref();
        policy.id.scope.holds(namespace) && policy.selector.matches(&endpoint.labels, namespace)
    };
    let types = [Direction::Ingress, Direction::Egress].into_iter().filter(|way| policy.types.has(*way));
    v1::PolicySummary {
        policy: Some(reference(&policy.id)),
        tier: policy::TIER.to_owned(),
        order: policy.order.0,
        selector: policy.selector.to_string(),
        types: types.map(direction).collect(),
        ingress_rules: count(&policy.ingress),
        egress_rules: count(&policy.egress),
        endpoints: facts.endpoints.iter().filter(selects).count() as u64,
    }
}

fn flow_of(request: &v1::TraceRequest) -> Result<Flow, Status> {
    let number = u8::try_from(request.ip_protocol)
        .map_err(|_| Status::from(Problem::invalid("ip_protocol", "an IP protocol number is at most 255")))?;
    let protocol = Protocol(number);
    let port = |field: &str, port: Option<u32>| {
        u16::try_from(port.unwrap_or(0))
            .map_err(|_| Status::from(Problem::invalid(field, "a port is at most 65535")))
    };
    let transport = if protocol.has_ports() {
        Transport::Ports {
            protocol,
            source: port("source_port", request.source_port)?,
            destination: port("destination_port", request.destination_port)?,
        }
    } else if protocol == Protocol::ICMPV6 {
        /// An echo request.
        const ECHO: u8 = 128;
        Transport::Icmpv6(ECHO)
    } else {
        Transport::Other(protocol)
    };
    Ok(Flow {
        source: convert::address("source", &request.source)?,
        destination: convert::address("destination", &request.destination)?,
        transport,
    })
}

fn rule_counter(counter: &Counter, model: &policy::Model) -> v1::RuleCounter {
    let (policy, way, rule, action) = match &counter.origin {
        Origin::Rule { policy, direction, index } => {
            let rule = model.get(policy).and_then(|policy| policy.rules(*direction).get(*index));
            (Some(reference(policy)), *direction, u32::try_from(*index).ok(), rule.map(|rule| rule.action))
        }
        Origin::NoRule(direction) => (None, *direction, None, Some(Action::Deny)),
        Origin::Stranger => (None, Direction::Ingress, None, Some(Action::Deny)),
    };
    let action = match action {
        Some(Action::Allow) => v1::RuleAction::Allow,
        Some(Action::Deny) => v1::RuleAction::Deny,
        Some(Action::Log) => v1::RuleAction::Log,
        Some(Action::Pass) => v1::RuleAction::Pass,
        None => v1::RuleAction::Unspecified,
    };
    v1::RuleCounter {
        policy,
        direction: direction(way),
        rule,
        action: action as i32,
        packets: counter.packets,
        bytes: counter.bytes,
    }
}
