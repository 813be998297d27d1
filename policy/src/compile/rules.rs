//! One rule of a document -> one nftables rule, or one for each family where
//! it speaks of addresses.

use net::Family;

use super::Compiler;
use crate::ranges::Ranges;
use crate::ruleset::{End, Match, SetKind, Statement, Then};
use crate::{Action, Direction, Origin, Peer, Policy, Rule, Scope};

/// The kernel takes 127 bytes; what comes after the prefix needs none of them.
const MAX_LOG_PREFIX: usize = 120;

impl Compiler<'_> {
    /// What the rule at `index` becomes.
    pub(super) fn rule(&mut self, policy: &Policy, direction: Direction, index: usize) -> Vec<Statement> {
        let Some(rule) = policy.rules(direction).get(index) else { return Vec::new() };
        let id = &policy.id;
        let then = match rule.action {
            Action::Allow => Then::Accept,
            Action::Deny => Then::Drop,
            Action::Pass => self.default_verdict(),
            Action::Log => Then::Continue,
        };
        let log = (rule.action == Action::Log).then(|| {
            let mut name = id.to_string();
            name.truncate(MAX_LOG_PREFIX - 30); // names are ASCII, see parse
            format!("routed {name} {direction} {index}: ")
        });
        let statement = |matches| Statement {
            matches,
            origin: Some(Origin::Rule { policy: id.clone(), direction, index }),
            log: log.clone(),
            then: then.clone(),
        };
        let transport = self.transport(rule);
        self.addresses_of(rule, &id.scope)
            .into_iter()
            .map(|addresses| statement([addresses, transport.clone()].concat()))
            .collect()
    }

    /// The conditions on addresses, once for each family that can match.
    fn addresses_of(&mut self, rule: &Rule, scope: &Scope) -> Vec<Vec<Match>> {
        let ends = [(End::Source, &rule.source), (End::Destination, &rule.destination)];
        let speaks =
            |peer: &Peer| !peer.nets.is_empty() || !peer.not_nets.is_empty() || peer.selector.is_some();
        if !ends.iter().any(|(_, peer)| speaks(peer)) {
            return vec![Vec::new()];
        }
        let mut variants = Vec::new();
        for family in Family::ALL {
            let possible =
                |peer: &Peer| peer.nets.is_empty() || peer.nets.iter().any(|net| net.family() == family);
            if ends.iter().all(|(_, peer)| possible(peer)) {
                let mut matches = vec![Match::Family(family)];
                for (end, peer) in ends {
                    self.end(&mut matches, (end, family), peer, scope);
                }
                variants.push(matches);
            }
        }
        variants
    }

    fn end(&mut self, matches: &mut Vec<Match>, at: (End, Family), peer: &Peer, scope: &Scope) {
        let (end, family) = at;
        for (is, prefixes) in [(true, &peer.nets), (false, &peer.not_nets)] {
            let ranges = Ranges::of_prefixes(family, prefixes);
            if !ranges.is_empty() {
                let set = self.set("net", SetKind::Nets(family), ranges);
                matches.push(Match::Address { end, family, is, set });
            }
        }
        if let Some(selector) = &peer.selector {
            let set = self.selected(family, scope, selector);
            matches.push(Match::Address { end, family, is: true, set });
        }
    }

    /// The conditions on the protocol and its ports.
    fn transport(&mut self, rule: &Rule) -> Vec<Match> {
        let mut matches = Vec::new();
        for (is, protocol) in [(true, rule.protocol), (false, rule.not_protocol)] {
            matches.extend(protocol.map(|protocol| Match::Protocol { is, protocol }));
        }
        for (end, peer) in [(End::Source, &rule.source), (End::Destination, &rule.destination)] {
            for (is, ports) in [(true, &peer.ports), (false, &peer.not_ports)] {
                if !ports.is_empty() {
                    let set = self.ports(ports);
                    matches.push(Match::Port { end, is, set });
                }
            }
        }
        matches
    }
}
