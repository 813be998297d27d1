//! Who may connect to a service of the node itself.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};

use net::{Family, Prefix};
use nftables::types::{NfChainType, NfHook};

use super::{Compiler, FILTER, statement};
use crate::ranges::Ranges;
use crate::ruleset::{Base, Chain, End, Match, SetKind, Statement, Then};
use crate::{Guard, Origin, Protocol};

/// The base chain; it picks out the SYNs to the service.
const CHAIN: &str = "guard";
/// Where they go: those of strangers end here.
const NEW: &str = "guard_new";

impl Compiler<'_> {
    /// The chains and sets of a guard. The sets have names of their own, so
    /// that a host that comes or goes changes elements, not rules: the
    /// counter goes on, and people can look the set up.
    pub(super) fn guard(&mut self, guard: &Guard) {
        let picked = guard.listen.iter().map(|at| self.new_connections(*at)).collect();
        let base = Some(Base { kind: NfChainType::Filter, hook: NfHook::Input, priority: FILTER });
        let mut rules = self.too_far(guard);
        rules.extend(guard.links.iter().map(|link| self.over(link)));
        for family in Family::ALL {
            let set = format!("{CHAIN}_{family}");
            let elements = Ranges::of_prefixes(family, &guard.known);
            let kind = SetKind::Nets(family);
            self.ruleset.sets.insert(set.clone(), crate::ruleset::Set { kind, elements });
            rules.push(statement(
                vec![Match::Address { end: End::Source, family, is: true, set }],
                Then::Accept,
            ));
        }
        rules.push(refused(Vec::new()));
        self.ruleset.chains.insert(CHAIN.into(), Chain { base, rules: picked });
        self.ruleset.chains.insert(NEW.into(), Chain { base: None, rules });
    }

    /// SYNs to where the service listens.
    fn new_connections(&mut self, at: SocketAddr) -> Statement {
        let family = Family::of(at.ip());
        let mut matches = vec![Match::Family(family), Match::Protocol { is: true, protocol: Protocol::TCP }];
        if !at.ip().is_unspecified() {
            let address = Ranges::of_addresses(family, [at.ip()]);
            let set = self.set("guard_at", SetKind::Nets(family), address);
            matches.push(Match::Address { end: End::Destination, family, is: true, set });
        }
        let port = u128::from(at.port());
        let set = self.set("port", SetKind::Ports, Ranges::new([(port, port)]));
        matches.extend([Match::Port { end: End::Destination, is: true, set }, Match::Syn]);
        statement(matches, Then::Goto(NEW.into()))
    }

    /// What comes from further away than the host that it names can be. The
    /// socket looks at TTLs too, but not before the connection stands.
    fn too_far(&mut self, guard: &Guard) -> Vec<Statement> {
        let mut near: BTreeMap<u8, Vec<Prefix>> = BTreeMap::new();
        for (prefix, ttl) in &guard.near {
            near.entry(*ttl).or_default().push(*prefix);
        }
        let mut rules = Vec::new();
        for (ttl, prefixes) in near {
            for family in Family::ALL {
                let ranges = Ranges::of_prefixes(family, &prefixes);
                if ranges.is_empty() {
                    continue;
                }
                let set = self.set("guard_near", SetKind::Nets(family), ranges);
                let source = Match::Address { end: End::Source, family, is: true, set };
                rules.push(refused(vec![source, Match::TtlBelow { family, ttl }]));
            }
        }
        rules
    }

    /// What comes from a link-local address over an interface.
    fn over(&mut self, link: &str) -> Statement {
        let family = Family::Ipv6Unicast;
        let local = Prefix::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10);
        let set = self.set("guard_link", SetKind::Nets(family), Ranges::of_prefixes(family, &local));
        let matches =
            vec![Match::From(link.to_owned()), Match::Address { end: End::Source, family, is: true, set }];
        statement(matches, Then::Accept)
    }
}

/// Drops and counts.
fn refused(matches: Vec<Match>) -> Statement {
    Statement { origin: Some(Origin::Stranger), ..statement(matches, Then::Drop) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile_guard;

    fn guard(known: &[&str]) -> Guard {
        Guard {
            listen: vec!["0.0.0.0:179".parse().unwrap(), "[2001:db8::1]:1179".parse().unwrap()],
            known: known.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            near: vec![],
            links: vec!["eth0".to_owned()],
        }
    }

    #[test]
    fn a_host_that_comes_changes_elements_and_no_rule() {
        let (old, new) =
            (compile_guard(&guard(&[])), compile_guard(&guard(&["192.0.2.0/24", "2001:db8::2/128"])));
        assert_eq!(old.chains, new.chains);
        assert!(matches!(crate::diff(Some(&old), &new), crate::Transaction::Elements(_)));
    }

    #[test]
    fn it_is_the_same_beside_policy() {
        let guard = guard(&["192.0.2.2/32"]);
        let alone = compile_guard(&guard);
        let facts = crate::Facts { guard: Some(guard), ..crate::Facts::default() };
        let beside = crate::compile(&crate::Model::default(), &facts);
        for (name, chain) in &alone.chains {
            assert_eq!(beside.chains.get(name), Some(chain));
        }
        assert!(alone.sets.iter().all(|(name, set)| beside.sets.get(name) == Some(set)));
    }

    #[test]
    fn a_service_that_listens_nowhere_has_nothing_to_guard() {
        let rules = compile_guard(&Guard::default());
        assert!(rules.chains[CHAIN].rules.is_empty());
    }
}
