//! Named sets: nets, ports, and the addresses that a selector means.

use std::collections::BTreeMap;
use std::net::IpAddr;

use net::Family;

use super::Compiler;
use crate::ranges::Ranges;
use crate::ruleset::{Set, SetKind};
use crate::{Endpoint, Facts, Labels, PortRange, Scope, Selector};

/// Every address that an endpoint has, in the blocks or not.
pub(super) type Known<'a> = BTreeMap<IpAddr, &'a Endpoint>;

/// The first endpoint with an address has it; the node's own are no container's.
pub(super) fn known(facts: &Facts) -> Known<'_> {
    let mut known = Known::new();
    for endpoint in &facts.endpoints {
        for address in &endpoint.addresses {
            known.entry(*address).or_insert(endpoint);
        }
    }
    known.retain(|address, _| !facts.node.contains(address));
    known
}

impl Compiler<'_> {
    /// The name of a set with this content, made if there is none.
    pub(super) fn set(&mut self, word: &str, kind: SetKind, elements: Ranges) -> String {
        let name = self.names.give(word, &format!("{kind:?} {elements:?}"));
        self.ruleset.sets.insert(name.clone(), Set { kind, elements });
        name
    }

    /// The set of these ports.
    pub(super) fn ports(&mut self, ports: &[PortRange]) -> String {
        let ranges = ports.iter().map(|range| (range.first().into(), range.last().into()));
        self.set("port", SetKind::Ports, Ranges::new(ranges))
    }

    /// The set of the addresses that a selector of a rule means. Its name
    /// comes from the selector, so that a container that comes or goes
    /// changes elements, not rules.
    pub(super) fn selected(&mut self, family: Family, scope: &Scope, selector: &Selector) -> String {
        let unlabelled = scope.holds(None) && selector.matches(&Labels::new(), None);
        let kind = if unlabelled { SetKind::Nets(family) } else { SetKind::Addresses(family) };
        let content = format!("{kind:?} {scope:?} {selector}");
        let name = self.names.give("sel", &content);
        if !self.ruleset.sets.contains_key(&name) {
            let elements = self.addresses(family, scope, selector, unlabelled);
            self.ruleset.sets.insert(name.clone(), Set { kind, elements });
        }
        name
    }

    /// The addresses of endpoints that a selector means, with those that no
    /// endpoint has where `unlabelled` says that it means them too.
    fn addresses(&self, family: Family, scope: &Scope, selector: &Selector, unlabelled: bool) -> Ranges {
        let meant = |endpoint: &Endpoint| {
            let namespace = endpoint.namespace.as_deref();
            scope.holds(namespace) && selector.matches(&endpoint.labels, namespace)
        };
        let named = self.known.iter().filter(|(_, endpoint)| meant(endpoint)).map(|(address, _)| *address);
        let named = Ranges::of_addresses(family, named);
        if !unlabelled {
            return named;
        }
        let taken = self.known.keys().chain(&self.facts.node).copied();
        let blocks = Ranges::of_prefixes(family, &self.facts.blocks);
        blocks.without(&Ranges::of_addresses(family, taken)).union(&named)
    }
}
