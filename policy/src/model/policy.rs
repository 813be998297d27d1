//! A policy as a value: everything parsed, nothing left as text.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use net::Prefix;

use super::Selector;

/// Where a policy holds: its kind, and for the namespaced kind the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// `GlobalNetworkPolicy`: endpoints of every namespace and of none.
    Global,
    /// `NetworkPolicy`: endpoints of this namespace.
    Namespace(String),
}

impl Scope {
    /// The kind of the document.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Global => "GlobalNetworkPolicy",
            Self::Namespace(_) => "NetworkPolicy",
        }
    }

    /// The namespace, of the kind that has one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Global => None,
            Self::Namespace(namespace) => Some(namespace),
        }
    }

    /// True when an endpoint of this namespace is in the scope.
    pub fn holds(&self, namespace: Option<&str>) -> bool {
        match self {
            Self::Global => true,
            Self::Namespace(own) => namespace == Some(own),
        }
    }
}

/// What names one policy: `GlobalNetworkPolicy/name` or
/// `NetworkPolicy/namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId {
    /// Kind and namespace.
    pub scope: Scope,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Scope::Global => write!(f, "GlobalNetworkPolicy/{}", self.name),
            Scope::Namespace(namespace) => write!(f, "NetworkPolicy/{namespace}/{}", self.name),
        }
    }
}

/// Why a text names no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no policy; write GlobalNetworkPolicy/NAME or NetworkPolicy/NAMESPACE/NAME")]
pub struct ParsePolicyIdError(String);

impl FromStr for PolicyId {
    type Err = ParsePolicyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.split('/').collect();
        let (scope, name) = match parts[..] {
            ["GlobalNetworkPolicy", name] => (Scope::Global, name),
            ["NetworkPolicy", namespace, name] if !namespace.is_empty() => {
                (Scope::Namespace(namespace.to_owned()), name)
            }
            _ => return Err(ParsePolicyIdError(text.to_owned())),
        };
        if name.is_empty() {
            return Err(ParsePolicyIdError(text.to_owned()));
        }
        Ok(Self { scope, name: name.to_owned() })
    }
}

/// The place of a policy among others: lower is asked first, none is last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Order(pub Option<f64>);

impl Eq for Order {}

impl Ord for Order {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |order: &Self| order.0.unwrap_or(f64::INFINITY);
        key(self).total_cmp(&key(other))
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One policy document.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Kind, namespace and name.
    pub id: PolicyId,
    /// `metadata.labels`: kept for the operator, without a meaning here.
    pub labels: BTreeMap<String, String>,
    /// `spec.order`.
    pub order: Order,
    /// `spec.selector`: which endpoints the policy is for; absent is `all()`.
    pub selector: Selector,
    /// `spec.types`: the directions that it is for.
    pub types: Types,
    /// Rules for what comes to the endpoint; the first that matches decides.
    pub ingress: Vec<Rule>,
    /// Rules for what comes from the endpoint; the first that matches decides.
    pub egress: Vec<Rule>,
}

impl Policy {
    /// The rules of a direction.
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Seen from the container: what comes to it, what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// To the container.
    Ingress,
    /// From the container.
    Egress,
}

impl Direction {
    /// Both, in the order of the document.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// The directions that a policy is for: one or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// `[Ingress]`
    Ingress,
    /// `[Egress]`
    Egress,
    /// `[Ingress, Egress]`
    Both,
}

impl Types {
    /// True when the policy is for this direction.
    pub fn has(self, direction: Direction) -> bool {
        matches!(
            (self, direction),
            (Self::Both, _) | (Self::Ingress, Direction::Ingress) | (Self::Egress, Direction::Egress)
        )
    }
}

/// One rule: a flow that meets every condition is treated as the action says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What to do.
    pub action: Action,
    /// Only this protocol.
    pub protocol: Option<Protocol>,
    /// Any protocol but this.
    pub not_protocol: Option<Protocol>,
    /// Conditions on where the flow comes from.
    pub source: Peer,
    /// Conditions on where the flow goes to.
    pub destination: Peer,
}

/// What a rule does with a flow that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lets it through in this direction.
    Allow,
    /// Drops it without an answer.
    Deny,
    /// Writes it to the kernel log and goes on with the next rule.
    Log,
    /// Leaves policy: the default action of the node decides.
    Pass,
}

impl Action {
    /// Every action with its word in a document.
    pub(crate) const WORDS: [(&'static str, Self); 4] =
        [("Allow", Self::Allow), ("Deny", Self::Deny), ("Log", Self::Log), ("Pass", Self::Pass)];
}

/// Conditions on one end of a flow. An empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The address is in one of these.
    pub nets: Vec<Prefix>,
    /// The address is in none of these.
    pub not_nets: Vec<Prefix>,
    /// The port is one of these.
    pub ports: Vec<PortRange>,
    /// The port is none of these.
    pub not_ports: Vec<PortRange>,
    /// The address is an endpoint's (of the policy's namespace, for a
    /// namespaced policy) with these labels.
    pub selector: Option<Selector>,
}

/// An IP protocol by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u8);

impl Protocol {
    /// RFC 792.
    pub const ICMP: Self = Self(1);
    /// RFC 9293.
    pub const TCP: Self = Self(6);
    /// RFC 768.
    pub const UDP: Self = Self(17);
    /// RFC 4443.
    pub const ICMPV6: Self = Self(58);
    /// RFC 9260.
    pub const SCTP: Self = Self(132);

    const NAMES: [(&'static str, Self); 5] = [
        ("TCP", Self::TCP),
        ("UDP", Self::UDP),
        ("ICMP", Self::ICMP),
        ("ICMPv6", Self::ICMPV6),
        ("SCTP", Self::SCTP),
    ];

    /// True for the protocols whose ports a rule can name.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }

    /// The word of a document for it, where there is one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.iter().find(|(_, protocol)| *protocol == self).map(|(name, _)| *name)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        match (named, text.parse()) {
            (Some((_, protocol)), _) => Ok(*protocol),
            (None, Ok(number)) if number > 0 => Ok(Self(number)),
            _ => Err(format!(
                "{text:?} is no protocol; write TCP, UDP, ICMP, ICMPv6, SCTP or a number from 1 to 255"
            )),
        }
    }
}

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The ports from `first` to `last`; `None` when `last` comes before `first`.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// True when the port is one of these.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}:{}", self.first, self.last) }
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = |text: &str| {
            text.parse::<u16>().map_err(|_| {
                format!("{text:?} is no port; write a number from 0 to 65535 or a range as \"8000:8010\"")
            })
        };
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        Self::new(first, last)
            .ok_or_else(|| format!("the range {text:?} ends before it begins; write \"{last}:{first}\""))
    }
}
