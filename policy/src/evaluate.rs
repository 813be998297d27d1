//! What must happen to a flow, and why: the oracle.
//!
//! Written from the contract, without looking at `compile`: a test sends
//! real packets through compiled rules and holds the kernel to this.

use std::net::IpAddr;

use crate::{
    Action, DefaultAction, Direction, Endpoint, Facts, Labels, Model, Peer, Policy, PolicyId, PortRange,
    Protocol, Rule,
};

/// The one tier that there is.
pub const TIER: &str = "default";

/// The first packet of a flow that the node forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes to, after any translation of destinations.
    pub destination: IpAddr,
    /// What it carries.
    pub transport: Transport,
}

/// What a flow carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A protocol with ports: TCP, UDP or SCTP.
    Ports {
        /// Which of them.
        protocol: Protocol,
        /// The source port.
        source: u16,
        /// The destination port.
        destination: u16,
    },
    /// An `ICMPv6` message, by its type.
    Icmpv6(u8),
    /// Any other protocol.
    Other(Protocol),
}

impl Transport {
    fn protocol(self) -> Protocol {
        match self {
            Self::Ports { protocol, .. } | Self::Other(protocol) => protocol,
            Self::Icmpv6(_) => Protocol::ICMPV6,
        }
    }
}

/// What becomes of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It is dropped.
    Deny,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rule that says Allow or Deny.
    Rule {
        /// Whose rule.
        policy: PolicyId,
        /// In which of its lists.
        direction: Direction,
        /// Counts from zero.
        index: usize,
    },
    /// A rule that says Pass: the default action decided.
    Passed {
        /// Whose rule.
        policy: PolicyId,
        /// In which of its lists.
        direction: Direction,
        /// Counts from zero.
        index: usize,
    },
    /// Policies select the container, and no rule of theirs matched.
    NoRule(Direction),
    /// No policy selects the container: the default action decided.
    NotSelected(Direction),
    /// Neither end is a container of this node.
    NoContainer,
    /// One end is the node itself; that is not filtered.
    Node,
    /// Neighbour discovery is never dropped.
    NeighbourDiscovery,
}

/// One thing that was asked on the way to the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A container was found at an end of the flow; `endpoint` names it, if
    /// it has a name.
    Container {
        /// Which rules it is asked for.
        direction: Direction,
        /// Its address.
        address: IpAddr,
        /// The name of its endpoint.
        endpoint: Option<String>,
    },
    /// A policy that selects the container was asked.
    Policy {
        /// Which one.
        policy: PolicyId,
        /// In which direction.
        direction: Direction,
    },
    /// A rule was held against the flow.
    Rule {
        /// Counts from zero.
        index: usize,
        /// What the rule says.
        action: Action,
        /// Whether it matched.
        matched: bool,
    },
    /// The direction was decided.
    Decided {
        /// How.
        verdict: Verdict,
        /// By what.
        reason: Reason,
    },
}

/// The verdict on a flow with everything that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether the flow passes.
    pub verdict: Verdict,
    /// What decided: for a flow that two directions let through, the latter.
    pub reason: Reason,
    /// Each step on the way, in order.
    pub path: Vec<Step>,
}

impl Evaluation {
    /// The policy whose rule decided; none when no rule did, see `reason`.
    pub fn policy(&self) -> Option<&PolicyId> {
        match &self.reason {
            Reason::Rule { policy, .. } | Reason::Passed { policy, .. } => Some(policy),
            _ => None,
        }
    }

    /// The index of the rule that decided; none when no rule did, see `reason`.
    pub fn rule(&self) -> Option<usize> {
        match &self.reason {
            Reason::Rule { index, .. } | Reason::Passed { index, .. } => Some(*index),
            _ => None,
        }
    }
}

/// Judges a flow: egress of the container that sends it, then ingress of the
/// container that gets it.
pub fn evaluate(model: &Model, facts: &Facts, flow: &Flow) -> Evaluation {
    let mut path = Vec::new();
    let ends = [flow.source, flow.destination];
    let mut last = if ends.iter().any(|end| facts.node.contains(end)) {
        Some((Verdict::Allow, Reason::Node))
    } else if matches!(flow.transport, Transport::Icmpv6(133..=137)) {
        Some((Verdict::Allow, Reason::NeighbourDiscovery))
    } else {
        None
    };
    if last.is_none() {
        for (direction, address) in [(Direction::Egress, flow.source), (Direction::Ingress, flow.destination)]
        {
            let Whose::Container(container) = whose(facts, address) else { continue };
            let endpoint = container.map(|endpoint| endpoint.name.clone());
            path.push(Step::Container { direction, address, endpoint });
            let judge = Judge { model, facts, flow, direction };
            let (verdict, reason) = judge.container(container, &mut path);
            path.push(Step::Decided { verdict, reason: reason.clone() });
            last = Some((verdict, reason));
            if verdict == Verdict::Deny {
                break;
            }
        }
    }
    let (verdict, reason) = last.unwrap_or((Verdict::Allow, Reason::NoContainer));
    Evaluation { verdict, reason, path }
}

/// Whose an address is.
enum Whose<'a> {
    /// A container's on this node, with a name or without.
    Container(Option<&'a Endpoint>),
    /// A container's elsewhere that is known here.
    Elsewhere(&'a Endpoint),
    /// Nobody's that is known.
    Unknown,
}

fn whose(facts: &Facts, address: IpAddr) -> Whose<'_> {
    if facts.node.contains(&address) {
        return Whose::Unknown;
    }
    let endpoint = facts.endpoints.iter().find(|endpoint| endpoint.addresses.contains(&address));
    let here = facts.blocks.iter().any(|block| block.contains(address));
    match (here, endpoint) {
        (true, endpoint) => Whose::Container(endpoint),
        (false, Some(endpoint)) => Whose::Elsewhere(endpoint),
        (false, None) => Whose::Unknown,
    }
}

/// What a container is asked by: its labels and namespace.
fn identity(container: Option<&Endpoint>) -> (Labels, Option<&str>) {
    container
        .map_or((Labels::new(), None), |endpoint| (endpoint.labels.clone(), endpoint.namespace.as_deref()))
}

struct Judge<'a> {
    model: &'a Model,
    facts: &'a Facts,
    flow: &'a Flow,
    direction: Direction,
}

impl Judge<'_> {
    fn container(&self, container: Option<&Endpoint>, path: &mut Vec<Step>) -> (Verdict, Reason) {
        let direction = self.direction;
        let (labels, namespace) = identity(container);
        let mut selected = false;
        for policy in self.model.in_order() {
            let selects = policy.types.has(direction)
                && policy.id.scope.holds(namespace)
                && policy.selector.matches(&labels, namespace);
            if !selects {
                continue;
            }
            selected = true;
            path.push(Step::Policy { policy: policy.id.clone(), direction });
            if let Some(decided) = self.policy(policy, path) {
                return decided;
            }
        }
        if selected {
            (Verdict::Deny, Reason::NoRule(direction))
        } else {
            (self.default(), Reason::NotSelected(direction))
        }
    }

    fn policy(&self, policy: &Policy, path: &mut Vec<Step>) -> Option<(Verdict, Reason)> {
        let direction = self.direction;
        for (index, rule) in policy.rules(direction).iter().enumerate() {
            let matched = self.matches(policy, rule);
            path.push(Step::Rule { index, action: rule.action, matched });
            if !matched {
                continue;
            }
            let id = policy.id.clone();
            let decided = Reason::Rule { policy: id.clone(), direction, index };
            match rule.action {
                Action::Allow => return Some((Verdict::Allow, decided)),
                Action::Deny => return Some((Verdict::Deny, decided)),
                Action::Pass => {
                    return Some((self.default(), Reason::Passed { policy: id, direction, index }));
                }
                Action::Log => {}
            }
        }
        None
    }

    fn default(&self) -> Verdict {
        match self.facts.default_action {
            DefaultAction::Allow => Verdict::Allow,
            DefaultAction::Deny => Verdict::Deny,
        }
    }

    fn matches(&self, policy: &Policy, rule: &Rule) -> bool {
        let flow = self.flow;
        let protocol = flow.transport.protocol();
        let (source_port, destination_port) = match flow.transport {
            Transport::Ports { source, destination, .. } => (Some(source), Some(destination)),
            _ => (None, None),
        };
        rule.protocol.is_none_or(|wanted| wanted == protocol)
            && rule.not_protocol.is_none_or(|unwanted| unwanted != protocol)
            && self.end(policy, &rule.source, flow.source, source_port)
            && self.end(policy, &rule.destination, flow.destination, destination_port)
    }

    fn end(&self, policy: &Policy, peer: &Peer, address: IpAddr, port: Option<u16>) -> bool {
        let in_ports = |ports: &[PortRange]| port.is_some_and(|port| ports.iter().any(|p| p.contains(port)));
        (peer.nets.is_empty() || peer.nets.iter().any(|net| net.contains(address)))
            && !peer.not_nets.iter().any(|net| net.contains(address))
            && (peer.ports.is_empty() || in_ports(&peer.ports))
            && !in_ports(&peer.not_ports)
            && peer.selector.as_ref().is_none_or(|selector| {
                let (labels, namespace) = match whose(self.facts, address) {
                    Whose::Container(container) => identity(container),
                    Whose::Elsewhere(endpoint) => identity(Some(endpoint)),
                    Whose::Unknown => return false,
                };
                policy.id.scope.holds(namespace) && selector.matches(&labels, namespace)
            })
    }
}

#[cfg(test)]
mod tests;
