//! A filter and a route: what comes of it.

use std::net::IpAddr;
use std::sync::Arc;

use net::{Asn, Attrs, Family, NextHop, Prefix};

use super::model::{Action, Delete, Filter, Match, Rule, Set, Values};
use crate::{Protocol, Why};

/// A route as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The prefix.
    pub prefix: Prefix,
    /// The attributes.
    pub attrs: &'a Attrs,
    /// The protocol that it is from.
    pub protocol: Protocol,
    /// The peer that told it, if one did.
    pub peer: Option<IpAddr>,
}

/// What a filter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The route passes, with the edits of this rule.
    Accept(&'a Rule),
    /// It does not.
    Reject(Why),
}

impl Filter {
    /// The verdict of the first rule that meets the route.
    pub fn eval(&self, route: &Route<'_>) -> Verdict<'_> {
        let met = self.rules.iter().enumerate().find(|(_, rule)| rule.matches.meets(route));
        match met {
            Some((_, rule)) if rule.action != Action::Reject => Verdict::Accept(rule),
            Some((index, _)) => Verdict::Reject(Why::FilterRule {
                filter: Arc::clone(&self.name),
                rule: u16::try_from(index + 1).unwrap_or(u16::MAX),
            }),
            None => Verdict::Reject(Why::FilterEnd(Arc::clone(&self.name))),
        }
    }

    /// True when the verdict can differ between routes that differ in nothing
    /// but the prefix.
    pub fn looks_at_prefix(&self) -> bool {
        self.rules.iter().any(|rule| !rule.matches.prefix.is_empty() || !rule.matches.family.is_empty())
    }
}

impl Match {
    /// True when every condition holds, the cheap ones asked first.
    pub fn meets(&self, route: &Route<'_>) -> bool {
        let attrs = route.attrs;
        none_or_any(&self.protocol, |protocol| *protocol == route.protocol)
            && none_or_any(&self.family, |family| *family == route.prefix.family())
            && none_or_any(&self.prefix, |range| range.meets(route.prefix))
            && none_or_any(&self.peer, |range| route.peer.is_some_and(|peer| range.contains(peer)))
            && none_or_any(&self.next_hop, |inside| {
                attrs.next_hop.is_some_and(|next_hop| inside.contains(next_hop.address()))
            })
            && none_or_any(&self.med, |range| range.meets(attrs.med.unwrap_or(0)))
            && none_or_any(&self.local_pref, |range| range.meets(attrs.effective_local_pref()))
            && none_or_any(&self.tag, |range| range.meets(attrs.tag.into()))
            && none_or_any(&self.community, |wanted| attrs.communities.iter().any(|c| wanted.meets(*c)))
            && none_or_any(&self.large_community, |wanted| {
                attrs.large_communities.iter().any(|c| wanted.meets(*c))
            })
            && none_or_any(&self.ext_community, |community| attrs.ext_communities.contains(community))
            && self.meets_path(attrs)
    }

    /// The path is printed only where a condition asks for it.
    fn meets_path(&self, attrs: &Attrs) -> bool {
        if self.as_path.is_empty() {
            return true;
        }
        let printed = attrs.as_path.to_string();
        self.as_path.iter().any(|pattern| pattern.meets(&printed))
    }
}

impl Rule {
    /// True when the rule changes what it accepts.
    pub fn edits(&self) -> bool {
        let Self { set, add, delete, prepend, .. } = self;
        self.action == Action::Blackhole
            || *set != Set::default()
            || *add != Values::default()
            || *delete != Delete::default()
            || !prepend.is_empty()
    }

    /// Makes the changes of the rule: `delete`, then `set`, then `add`, then
    /// `prepend`, with `local_asn` where it means our own AS. The next hop is
    /// left, see [`Rule::next_hop_for`]; an accumulated metric is a matter of
    /// the export, which knows the next hop.
    pub fn edit(&self, attrs: &mut Attrs, local_asn: Asn) {
        attrs.communities.retain(|c| !self.delete.community.iter().any(|gone| gone.meets(*c)));
        attrs.large_communities.retain(|c| !self.delete.large_community.iter().any(|gone| gone.meets(*c)));
        attrs.ext_communities.retain(|community| !self.delete.ext_community.contains(community));
        if self.delete.med {
            attrs.med = None;
        }
        attrs.med = self.set.med.or(attrs.med);
        attrs.local_pref = self.set.local_pref.or(attrs.local_pref);
        attrs.origin = self.set.origin.unwrap_or(attrs.origin);
        attrs.tag = self.set.tag.unwrap_or(attrs.tag);
        if let Some(communities) = &self.set.community {
            attrs.communities.clone_from(communities);
        }
        if let Some(communities) = &self.set.large_community {
            attrs.large_communities.clone_from(communities);
        }
        if let Some(communities) = &self.set.ext_community {
            attrs.ext_communities.clone_from(communities);
        }
        add_missing(&mut attrs.communities, &self.add.community);
        add_missing(&mut attrs.large_communities, &self.add.large_community);
        add_missing(&mut attrs.ext_communities, &self.add.ext_community);
        if !self.prepend.is_empty() {
            attrs.as_path = self.prepend.before(&attrs.as_path, local_asn);
        }
    }

    /// The next hop that the rule names, for prefixes of this family; one of
    /// the other family only for IPv4, where `extended` (RFC 8950).
    pub fn next_hop_for(&self, family: Family, extended: bool) -> Option<NextHop> {
        let fits =
            |address: &IpAddr| Family::of(*address) == family || family == Family::Ipv4Unicast && extended;
        self.set.next_hop.filter(fits).map(Into::into)
    }
}

/// A condition without values holds; one with values when one of them does.
fn none_or_any<T>(values: &[T], holds: impl Fn(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(holds)
}

fn add_missing<T: Copy + PartialEq>(list: &mut Vec<T>, added: &[T]) {
    for value in added {
        if !list.contains(value) {
            list.push(*value);
        }
    }
}
