//! What is true on this node, apart from policy.

use std::net::{IpAddr, SocketAddr};

use net::Prefix;

use crate::Labels;

/// The node as policy sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The blocks of this node: an address in one of them is a container's.
    pub blocks: Vec<Prefix>,
    /// The node's own addresses. Inside the blocks there is the bridge's,
    /// which is no container.
    pub node: Vec<IpAddr>,
    /// Containers with names and labels. Those outside the blocks are not
    /// filtered here, but selectors of rules mean them too. An address that
    /// several have is the first one's.
    pub endpoints: Vec<Endpoint>,
    /// What becomes of a flow where no policy selects the container.
    pub default_action: DefaultAction,
    /// Masquerading of what leaves the pools; `None` is no masquerading.
    pub nat: Option<Nat>,
    /// The port that only known hosts may connect to; `None` guards none.
    pub guard: Option<Guard>,
}

/// What becomes of a flow that no policy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultAction {
    /// It passes.
    #[default]
    Allow,
    /// It is dropped.
    Deny,
}

/// A container with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name, for the operator.
    pub name: String,
    /// Its namespace; `None` only for what has none.
    pub namespace: Option<String>,
    /// Its addresses, of either family.
    pub addresses: Vec<IpAddr>,
    /// What selectors ask.
    pub labels: Labels,
}

/// Masquerading: what goes from `pools` to anywhere but `pools` and `exempt`
/// gets the node's address as its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// The pools of the cluster.
    pub pools: Vec<Prefix>,
    /// Destinations that shall see the containers' own addresses.
    pub exempt: Vec<Prefix>,
}

/// A TCP service of the node itself that only known hosts may connect to:
/// SYNs of others are dropped and counted. Connections that stand are left
/// alone, and so are those that the node has dialled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Where the service listens; an unspecified address is every one of its
    /// family.
    pub listen: Vec<SocketAddr>,
    /// Who may connect, single addresses and ranges of them.
    pub known: Vec<Prefix>,
    /// Of these, the ones whose packets must have at least this TTL or hop
    /// limit when they come in (RFC 5082 §3).
    pub near: Vec<(Prefix, u8)>,
    /// Interfaces over which any link-local IPv6 address may connect.
    pub links: Vec<String>,
}
