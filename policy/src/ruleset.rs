//! What the kernel is to do, as values: sets, verdict maps, chains, rules.
//!
//! Just the part of nftables that policy needs, so that two rulesets can be
//! compared and every value can be written as nft's JSON without failing.

mod counters;
mod diff;
mod json;
mod listed;
mod names;

use std::collections::BTreeMap;
use std::net::IpAddr;

use net::Family;
use nftables::types::{NfChainType, NfHook};

pub use counters::Counter;
pub use diff::{Elements, Transaction, diff};
pub(crate) use names::Names;

use crate::ranges::Ranges;
use crate::{Direction, PolicyId, Protocol};

/// The one table of routed, of family `inet`.
pub const TABLE: &str = "routed";

/// Everything in table `inet routed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub(crate) sets: BTreeMap<String, Set>,
    pub(crate) maps: BTreeMap<String, VerdictMap>,
    pub(crate) chains: BTreeMap<String, Chain>,
}

/// A named set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) kind: SetKind,
    pub(crate) elements: Ranges,
}

/// What a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum SetKind {
    /// Single addresses: a hash.
    Addresses(Family),
    /// Ranges of addresses: a tree.
    Nets(Family),
    /// Ranges of ports.
    Ports,
}

/// A map from the address of a container to where its packets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerdictMap {
    pub(crate) family: Family,
    pub(crate) elements: BTreeMap<IpAddr, Then>,
}

/// A chain, with a hook when it is a base chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) base: Option<Base>,
    pub(crate) rules: Vec<Statement>,
}

/// Where the kernel enters a chain. Its policy is accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) kind: NfChainType,
    pub(crate) hook: NfHook,
    pub(crate) priority: i32,
}

/// One rule of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) matches: Vec<Match>,
    /// Whose packets it counts; nothing is counted where this is `None`.
    pub(crate) origin: Option<Origin>,
    /// A prefix for the kernel log.
    pub(crate) log: Option<String>,
    pub(crate) then: Then,
}

/// What a counter counts: the packets that a part of a policy decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A rule, by its index in the document.
    Rule {
        /// The policy.
        policy: PolicyId,
        /// The list that the rule is in.
        direction: Direction,
        /// Counts from zero.
        index: usize,
    },
    /// No rule of the policies that select the container matched.
    NoRule(Direction),
    /// A host that is not known wanted to connect to a guarded service.
    Stranger,
}

/// A condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The connection is known.
    Established,
    /// An `ICMPv6` message of neighbour discovery (RFC 4861 §4).
    NeighbourDiscovery,
    /// The protocol is (or is not) this.
    Protocol { is: bool, protocol: Protocol },
    /// An address of the packet, of this family, is (or is not) in the set.
    Address { end: End, family: Family, is: bool, set: String },
    /// A port of the packet is (or is not) in the set.
    Port { end: End, is: bool, set: String },
    /// The packet is of this family.
    Family(Family),
    /// A TCP segment that begins a connection (RFC 9293 §3.5).
    Syn,
    /// The packet is of this family, and its TTL or hop limit is lower.
    TtlBelow { family: Family, ttl: u8 },
    /// The packet came in over the interface with this name.
    From(String),
    /// The verdict is looked up by an address of this family.
    Lookup { end: End, family: Family, map: String },
}

/// One end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// What a rule does with what it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Goes on with the next rule.
    Continue,
    Accept,
    Drop,
    Jump(String),
    Goto(String),
    Masquerade,
}

impl Ruleset {
    /// True when there is nothing to be in the table.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many chains, sets, maps, rules and elements there are: for logs and metrics.
    pub fn size(&self) -> Size {
        let elements = |set: &Set| set.elements.iter().count();
        Size {
            chains: self.chains.len(),
            rules: self.chains.values().map(|chain| chain.rules.len()).sum(),
            sets: self.sets.len() + self.maps.len(),
            elements: self.sets.values().map(elements).sum::<usize>()
                + self.maps.values().map(|map| map.elements.len()).sum::<usize>(),
        }
    }
}

/// How large a ruleset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Chains, base chains among them.
    pub chains: usize,
    /// Rules in all chains.
    pub rules: usize,
    /// Sets and maps.
    pub sets: usize,
    /// Elements of all sets and maps.
    pub elements: usize,
}

#[cfg(test)]
mod tests;
