//! Network policy: what the operator says, compiled to what the kernel does.
//!
//! ```text
//!  documents ─► parse ─► Model ─┐
//!                               ├─► compile ─► Ruleset ─► diff(installed) ─► Transaction ─► nft
//!  blocks, endpoints ─► Facts ──┤
//!                               └─► evaluate(flow) ─► Evaluation   what must happen, and why
//! ```
//!
//! *In*: documents as text, the addresses and labels of this node's
//! containers, a flow to judge. *Out*: one nftables transaction as JSON, and
//! the verdict of a flow with the rule that made it. *Must not know*: the nft
//! program, netlink, where documents come from, who runs the containers.
//!
//! # What is filtered
//! What the node forwards from or to one of its containers, IPv4 and IPv6. A
//! container is an address inside the node's own blocks; one that no endpoint
//! has carries no labels and no namespace. A flow between two containers of
//! one node passes the egress rules of the one and the ingress rules of the
//! other. Replies pass, as connections are tracked.
//!
//! Between the node itself and its containers nothing is filtered, but for
//! the one service of the node that a [`Guard`] is for: who may connect to it
//! is a named set, and a chain at the input hook drops the SYNs of others. It
//! is there with policy or without ([`compile_guard`]). Frames
//! that a bridge switches without routing are seen only where the host has
//! `net.bridge.bridge-nf-call-iptables` (and `-ip6tables`) on.
//!
//! # How
//! Two base chains at the forward hook, `egress` before `ingress`, so that an
//! accept in the one goes on to the other. Each looks the container's address
//! up in a verdict map and goes to the chain of its group: all endpoints that
//! the same policies select share it, and it jumps to one chain for each of
//! these policies. So a packet pays for the policies that select its
//! container, however many others there are, and packets of a known
//! connection pay for none.
//!
//! [`compile`] and [`evaluate`] are written apart from each other; a test
//! sends real packets through the kernel and holds the one against the other.

mod compile;
mod evaluate;
mod explain;
mod facts;
mod model;
mod ranges;
mod ruleset;

pub use compile::{compile, compile_guard};
pub use evaluate::{Evaluation, Flow, Reason, Step, TIER, Transport, Verdict, evaluate};
pub use facts::{DefaultAction, Endpoint, Facts, Guard, Nat};
pub use model::{
    Action, Change, Diagnostic, Direction, Labels, Model, Order, ParsePolicyIdError, ParseSelectorError,
    Peer, Policy, PolicyId, PortRange, Protocol, RestoreError, Rule, Scope, Selector, Types, parse,
    to_document,
};
pub use ruleset::{Counter, Elements, Origin, Ruleset, Size, TABLE, Transaction, diff};
