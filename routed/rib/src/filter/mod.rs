//! Filters: named, ordered rules; the first that meets a route decides.
//!
//! A rule without a condition meets everything; within one rule every
//! condition must hold, and a condition with several values holds when one
//! does. The end of the rules rejects. The types are the shape of `[[filter]]`
//! in the configuration file, so what is parsed is what is evaluated.

mod communities;
mod eval;
pub mod model;
mod prepend;
mod text;

use std::sync::Arc;

use net::Prefix;

pub use communities::{CommunityMatch, LargeCommunityMatch};
pub use eval::{Route, Verdict};
pub use model::{Action, AsPathPattern, Delete, Filter, Match, PrefixMatch, Range, Rule, Set, Values};
pub use prepend::Prepend;

use crate::Protocol;

/// The name of the built-in filter [`cluster_only`].
pub const CLUSTER_ONLY: &str = "cluster-only";
/// The name of the built-in filter [`local_only`].
pub const LOCAL_ONLY: &str = "local-only";

/// Takes what lies inside the pools and nothing else: the default for import.
pub fn cluster_only(pools: &[Prefix]) -> Filter {
    let inside = pools
        .iter()
        .map(|pool| PrefixMatch { prefix: *pool, at_least: pool.len(), at_most: pool.family().max_length() })
        .collect();
    let rule = Rule { matches: Match { prefix: inside, ..Match::default() }, ..Rule::accept() };
    // Without pools the rule would have no condition and take everything.
    let rules = if pools.is_empty() { vec![] } else { vec![rule] };
    Filter { name: Arc::from(CLUSTER_ONLY), rules }
}

/// Tells what this node owns and advertises, and nothing else: no transit, no
/// links, no static routes. The default for export.
pub fn local_only() -> Filter {
    let protocol = vec![Protocol::Local];
    let rule = Rule { matches: Match { protocol, ..Match::default() }, ..Rule::accept() };
    Filter { name: Arc::from(LOCAL_ONLY), rules: vec![rule] }
}

/// Takes everything.
pub fn accept_all() -> Filter {
    Filter { name: Arc::from("accept-all"), rules: vec![Rule::accept()] }
}

/// Takes nothing.
pub fn reject_all() -> Filter {
    Filter { name: Arc::from("reject-all"), rules: vec![Rule::default()] }
}

#[cfg(test)]
mod tests;
