//! Model and facts -> ruleset.
//!
//! The crate's page says how the result looks. Everything here depends on
//! the arguments alone, so the same policies and facts have the same chains
//! and names in every run.

mod groups;
mod guard;
mod rules;
mod sets;

use net::Family;
use nftables::types::{NfChainType, NfHook};

use crate::ranges::Ranges;
use crate::ruleset::{Base, Chain, End, Match, Names, SetKind, Statement, Then, VerdictMap};
use crate::{DefaultAction, Direction, Facts, Guard, Model, Nat, Ruleset};

/// `filter`: after any translation of destinations.
const FILTER: i32 = 0;
/// `srcnat`: after every filter.
const SRCNAT: i32 = 100;

/// The ruleset that makes the kernel do what the model says.
pub fn compile(model: &Model, facts: &Facts) -> Ruleset {
    let mut compiler =
        Compiler { facts, known: sets::known(facts), names: Names::default(), ruleset: Ruleset::default() };
    let policies = model.in_order();
    for direction in Direction::ALL {
        compiler.direction(direction, &policies);
    }
    if let Some(nat) = &facts.nat {
        compiler.nat(nat);
    }
    if let Some(guard) = &facts.guard {
        compiler.guard(guard);
    }
    compiler.ruleset
}

/// The ruleset of a node without policy whose service is guarded all the same.
pub fn compile_guard(guard: &Guard) -> Ruleset {
    let facts = Facts::default();
    let mut compiler = Compiler {
        facts: &facts,
        known: sets::Known::new(),
        names: Names::default(),
        ruleset: Ruleset::default(),
    };
    compiler.guard(guard);
    compiler.ruleset
}

/// What is known while compiling, and what has been made.
struct Compiler<'a> {
    facts: &'a Facts,
    known: sets::Known<'a>,
    names: Names,
    ruleset: Ruleset,
}

impl Compiler<'_> {
    /// The base chain of a direction with its two verdict maps.
    fn base(&mut self, direction: Direction, maps: [VerdictMap; 2], unlabelled: &Then) {
        let (end, priority) = match direction {
            Direction::Egress => (End::Source, FILTER),
            Direction::Ingress => (End::Destination, FILTER + 1),
        };
        let mut rules = vec![
            statement(vec![Match::Established], Then::Accept),
            statement(vec![Match::NeighbourDiscovery], Then::Accept),
        ];
        for map in maps {
            let (family, name) = (map.family, format!("{direction}_{}", map.family));
            rules.push(statement(vec![Match::Lookup { end, family, map: name.clone() }], Then::Continue));
            self.ruleset.maps.insert(name, map);
        }
        if *unlabelled != Then::Accept {
            for family in Family::ALL {
                let blocks = Ranges::of_prefixes(family, &self.facts.blocks);
                if !blocks.is_empty() {
                    let set = self.set("block", SetKind::Nets(family), blocks);
                    rules.push(statement(
                        vec![Match::Address { end, family, is: true, set }],
                        unlabelled.clone(),
                    ));
                }
            }
        }
        let base = Some(Base { kind: NfChainType::Filter, hook: NfHook::Forward, priority });
        self.ruleset.chains.insert(direction.to_string(), Chain { base, rules });
    }

    fn nat(&mut self, nat: &Nat) {
        let mut rules = Vec::new();
        for family in Family::ALL {
            let pools = Ranges::of_prefixes(family, &nat.pools);
            if pools.is_empty() {
                continue;
            }
            let kept = pools.union(&Ranges::of_prefixes(family, &nat.exempt));
            let from = self.set("nat_pool", SetKind::Nets(family), pools);
            let kept = self.set("nat_keep", SetKind::Nets(family), kept);
            let matches = vec![
                Match::Address { end: End::Source, family, is: true, set: from },
                Match::Address { end: End::Destination, family, is: false, set: kept },
            ];
            rules.push(statement(matches, Then::Masquerade));
        }
        let base = Some(Base { kind: NfChainType::NAT, hook: NfHook::Postrouting, priority: SRCNAT });
        self.ruleset.chains.insert("postrouting".into(), Chain { base, rules });
    }

    /// Where a flow goes that no policy is for, or that a policy passes.
    fn default_verdict(&self) -> Then {
        match self.facts.default_action {
            DefaultAction::Allow => Then::Accept,
            DefaultAction::Deny => Then::Drop,
        }
    }
}

/// A rule that nobody counts.
fn statement(matches: Vec<Match>, then: Then) -> Statement {
    Statement { matches, origin: None, log: None, then }
}

#[cfg(test)]
mod tests;
