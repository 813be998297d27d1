//! Aggregates: prefixes that are told while there is a route to something
//! inside (RFC 4271 §9.2.2.2).
//!
//! An aggregate is a local route that discards what no longer prefix takes, so
//! nothing loops. Its AS path begins here: paths are not merged, which
//! `ATOMIC_AGGREGATE` says; sets of AS numbers are not to be sent (RFC 9774).
//! With `summary_only` what lies inside is not told: that is a rule in front of
//! every export filter, for where something lies inside, the aggregate is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use net::{Aggregator, Attrs, Prefix, RouterId};
use rib::filter::{Match, PrefixMatch, Rule};
use rib::{Change, Filter, Origination, Protocol, Via};

use super::TableTask;
use crate::config::Config;

/// Which aggregates have something inside, and which are to be looked at.
#[derive(Default)]
pub(super) struct Aggregates {
    /// This node, as AGGREGATOR names it.
    pub(super) node: Option<RouterId>,
    active: BTreeSet<Prefix>,
    due: BTreeSet<Prefix>,
}

impl Aggregates {
    /// A best route changed: one that came or went may matter.
    pub(super) fn change(&mut self, config: &Config, change: &Change) {
        if change.old.is_some() == change.new.is_some() {
            return;
        }
        let around = |prefix: &Prefix| *prefix != change.prefix && prefix.covers(change.prefix);
        self.due.extend(config.aggregates.iter().map(|aggregate| aggregate.prefix).filter(around));
    }

    /// Every aggregate is to be looked at: the configuration changed.
    pub(super) fn again(&mut self, config: &Config) {
        self.active.retain(|prefix| config.aggregates.iter().any(|aggregate| aggregate.prefix == *prefix));
        self.due.extend(config.aggregates.iter().map(|aggregate| aggregate.prefix));
    }

    /// What this node originates of them.
    pub(super) fn originations(
        &self,
        config: &Config,
    ) -> impl Iterator<Item = ((Prefix, Protocol, u32), Origination)> {
        let aggregator = config.bgp.as_ref().zip(self.node);
        let aggregator = aggregator.map(|(bgp, id)| Aggregator { asn: bgp.asn, router: id.into() });
        self.active.iter().map(move |prefix| {
            let attrs = Attrs { atomic_aggregate: true, aggregator, ..Attrs::default() };
            let via = if prefix.is_host() { Via::Kernel } else { Via::Discard };
            let origination = Origination { attrs, owned: false, ..Origination::new(Protocol::Local, via) };
            ((*prefix, Protocol::Local, 0), origination)
        })
    }
}

impl TableTask {
    /// Begins and ends aggregates as routes inside have come and gone; true
    /// when there is something new to settle.
    pub(super) fn aggregate(&mut self) -> bool {
        let due = std::mem::take(&mut self.local.aggregates.due);
        let mut differs = false;
        for prefix in due {
            let active = &mut self.local.aggregates.active;
            differs |=
                if self.table.has_inside(prefix) { active.insert(prefix) } else { active.remove(&prefix) };
        }
        if differs {
            self.follow_links(Instant::now());
        }
        differs
    }
}

/// An export filter with the rule of the aggregates in front.
pub(super) fn summarised(config: &Config, filter: Arc<Filter>) -> Arc<Filter> {
    let inside: Vec<PrefixMatch> = config
        .aggregates
        .iter()
        .filter(|aggregate| aggregate.summary_only)
        .map(|aggregate| PrefixMatch {
            prefix: aggregate.prefix,
            at_least: aggregate.prefix.len() + 1,
            at_most: aggregate.prefix.family().max_length(),
        })
        .collect();
    if inside.is_empty() {
        return filter;
    }
    let rule = Rule { matches: Match { prefix: inside, ..Match::default() }, ..Rule::default() };
    let rules = std::iter::once(rule).chain(filter.rules.iter().cloned()).collect();
    Arc::new(Filter { name: format!("summary_only + {}", filter.name).into(), rules })
}

#[cfg(test)]
mod tests {
    use rib::filter::{Route, Verdict, accept_all};

    use super::*;

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn config(summary_only: bool) -> Config {
        let source = format!("[[aggregate]]\nprefix = \"10.0.0.0/8\"\nsummary_only = {summary_only}\n");
        crate::config::parse("n1.toml", &source).unwrap().0
    }

    #[test]
    fn with_summary_only_what_lies_inside_is_not_told() {
        let told = |summary_only, prefix| {
            let filter = summarised(&config(summary_only), Arc::new(accept_all()));
            let attrs = Attrs::default();
            let route = Route { prefix: p(prefix), attrs: &attrs, protocol: Protocol::Bgp, peer: None };
            matches!(filter.eval(&route), Verdict::Accept(_))
        };
        assert!(told(false, "10.1.0.0/16"));
        assert!(!told(true, "10.1.0.0/16"));
        assert!(told(true, "10.0.0.0/8") && told(true, "11.0.0.0/16"));
    }

    #[test]
    fn only_what_comes_or_goes_inside_matters() {
        let config = config(false);
        let mut aggregates = Aggregates::default();
        let change = |prefix| Change { prefix: p(prefix), old: None, new: None };
        aggregates.change(&config, &change("10.1.0.0/16"));
        assert!(aggregates.due.is_empty(), "neither came nor went");
        aggregates.again(&config);
        assert_eq!(aggregates.due.len(), 1);
        assert_eq!(aggregates.originations(&config).count(), 0, "nothing is told before it was looked at");
    }
}
