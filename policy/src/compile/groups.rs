//! Which policies are for which container: groups, their chains, and the
//! verdict maps that lead to them.

use std::collections::BTreeMap;

use net::Family;

use super::{Compiler, statement};
use crate::ruleset::{Chain, Statement, Then, VerdictMap};
use crate::{Direction, Labels, Origin, Policy};

impl Compiler<'_> {
    /// Everything of one direction.
    pub(super) fn direction(&mut self, direction: Direction, policies: &[&Policy]) {
        let mut maps = Family::ALL.map(|family| VerdictMap { family, elements: BTreeMap::new() });
        let known: Vec<_> = self.known.iter().map(|(address, endpoint)| (*address, *endpoint)).collect();
        let mut groups: BTreeMap<(Option<&str>, &Labels), Then> = BTreeMap::new();
        for (address, endpoint) in known {
            if !self.facts.blocks.iter().any(|block| block.contains(address)) {
                continue;
            }
            let key = (endpoint.namespace.as_deref(), &endpoint.labels);
            let then = groups.entry(key).or_insert_with(|| self.group(direction, policies, key)).clone();
            maps[Family::of(address).index()].elements.insert(address, then);
        }
        let unlabelled = self.group(direction, policies, (None, &Labels::new()));
        self.base(direction, maps, &unlabelled);
    }

    /// Where the packets go of containers in this namespace with these labels.
    fn group(&mut self, direction: Direction, policies: &[&Policy], key: (Option<&str>, &Labels)) -> Then {
        let (namespace, labels) = key;
        let selecting: Vec<_> = policies
            .iter()
            .filter(|policy| {
                policy.types.has(direction)
                    && policy.id.scope.holds(namespace)
                    && policy.selector.matches(labels, namespace)
            })
            .collect();
        if selecting.is_empty() {
            return self.default_verdict();
        }
        let ids: Vec<_> = selecting.iter().map(|policy| policy.id.to_string()).collect();
        let name = self.names.give(&format!("{direction}_all"), &ids.join(" "));
        if !self.ruleset.chains.contains_key(&name) {
            let mut rules: Vec<_> = selecting
                .iter()
                .map(|policy| statement(Vec::new(), Then::Jump(self.policy_chain(direction, policy))))
                .collect();
            let origin = Some(Origin::NoRule(direction));
            rules.push(Statement { origin, ..statement(Vec::new(), Then::Drop) });
            self.ruleset.chains.insert(name.clone(), Chain { base: None, rules });
        }
        Then::Goto(name)
    }

    /// The chain with the rules of a policy in a direction.
    fn policy_chain(&mut self, direction: Direction, policy: &Policy) -> String {
        let name = self.names.give(&direction.to_string(), &policy.id.to_string());
        if !self.ruleset.chains.contains_key(&name) {
            let rules = policy.rules(direction).iter().enumerate();
            let rules = rules.flat_map(|(index, _)| self.rule(policy, direction, index)).collect();
            self.ruleset.chains.insert(name.clone(), Chain { base: None, rules });
        }
        name
    }
}
