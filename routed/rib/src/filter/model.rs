//! The shape of a filter, as it is written and as it is evaluated.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use net::{Asn, Community, ExtCommunity, Family, LargeCommunity, Origin, Prefix};
use regex_lite::Regex;
use serde::Deserialize;

use super::communities::{CommunityMatch, LargeCommunityMatch};
use super::prepend::Prepend;
use super::text;
use crate::Protocol;

/// A named list of rules; its end rejects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The name that peers refer to, and that refusals print.
    #[serde(deserialize_with = "text::name")]
    pub name: Arc<str>,
    /// The rules; the first that meets decides.
    pub rules: Vec<Rule>,
}

/// Conditions, and what to do with a route that meets all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The conditions.
    pub matches: Match,
    /// What becomes of it.
    pub action: Action,
    /// What is overwritten.
    pub set: Set,
    /// What is added.
    pub add: Values,
    /// What is taken away.
    pub delete: Delete,
    /// What is put in front of the path.
    pub prepend: Prepend,
}

impl Rule {
    /// The rule that takes everything and changes nothing.
    pub fn accept() -> Self {
        Self { action: Action::Accept, ..Self::default() }
    }
}

/// What a rule does with a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It passes, with the edits of the rule.
    Accept,
    /// It does not.
    #[default]
    Reject,
    /// It passes, and its packets are dropped here (RFC 7999 §3.3); towards a
    /// peer: it is asked to drop them.
    Blackhole,
}

/// The conditions of a rule; an empty one is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// The prefix is one of these.
    pub prefix: Vec<PrefixMatch>,
    /// The printed AS path contains one of these patterns.
    pub as_path: Vec<AsPathPattern>,
    /// One of these communities is there.
    pub community: Vec<CommunityMatch>,
    /// One of these large communities is there.
    pub large_community: Vec<LargeCommunityMatch>,
    /// One of these extended communities is there.
    pub ext_community: Vec<ExtCommunity>,
    /// The next hop lies in one of these.
    pub next_hop: Vec<Prefix>,
    /// The address of the peer that told the route lies in one of these.
    pub peer: Vec<Prefix>,
    /// The protocol is one of these.
    pub protocol: Vec<Protocol>,
    /// The MED is in one of these ranges; a route without one counts as 0.
    pub med: Vec<Range>,
    /// The local preference is in one of these ranges; a route without one counts as 100.
    pub local_pref: Vec<Range>,
    /// The route tag is in one of these ranges; a route without one counts as 0.
    pub tag: Vec<Range>,
    /// The family is one of these.
    pub family: Vec<Family>,
}

/// Attributes that a rule overwrites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Set {
    /// `LOCAL_PREF`.
    pub local_pref: Option<u32>,
    /// `MULTI_EXIT_DISC`.
    pub med: Option<u32>,
    /// ORIGIN: `igp`, `egp` or `incomplete`.
    #[serde(deserialize_with = "text::origin")]
    pub origin: Option<Origin>,
    /// The next hop.
    pub next_hop: Option<IpAddr>,
    /// The route tag; 0 takes it away.
    pub tag: Option<u16>,
    /// `AIGP`, of a route that has none, towards peers that are told it as from
    /// us (RFC 7311 §3.4.1). What comes in is left as it is.
    pub aigp: Option<u64>,
    /// The communities, all of them.
    #[serde(deserialize_with = "text::some_list")]
    pub community: Option<Vec<Community>>,
    /// The large communities, all of them.
    #[serde(deserialize_with = "text::some_list")]
    pub large_community: Option<Vec<LargeCommunity>>,
    /// The extended communities, all of them.
    #[serde(deserialize_with = "text::some_list")]
    pub ext_community: Option<Vec<ExtCommunity>>,
}

/// Communities that a rule adds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Values {
    /// Communities.
    #[serde(deserialize_with = "text::list")]
    pub community: Vec<Community>,
    /// Large communities.
    #[serde(deserialize_with = "text::list")]
    pub large_community: Vec<LargeCommunity>,
    /// Extended communities.
    #[serde(deserialize_with = "text::list")]
    pub ext_community: Vec<ExtCommunity>,
}

/// Attributes that a rule takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delete {
    /// These communities.
    #[serde(deserialize_with = "text::list")]
    pub community: Vec<CommunityMatch>,
    /// These large communities.
    #[serde(deserialize_with = "text::list")]
    pub large_community: Vec<LargeCommunityMatch>,
    /// These extended communities.
    #[serde(deserialize_with = "text::list")]
    pub ext_community: Vec<ExtCommunity>,
    /// The MED.
    pub med: bool,
}

/// The rule as it stands in the file: conditions and actions side by side.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct FlatRule {
    #[serde(deserialize_with = "text::any_of")]
    prefix: Vec<PrefixMatch>,
    #[serde(deserialize_with = "text::any_of")]
    as_path: Vec<AsPathPattern>,
    #[serde(deserialize_with = "text::any_of")]
    community: Vec<CommunityMatch>,
    #[serde(deserialize_with = "text::any_of")]
    large_community: Vec<LargeCommunityMatch>,
    #[serde(deserialize_with = "text::any_of")]
    ext_community: Vec<ExtCommunity>,
    #[serde(deserialize_with = "text::any_of")]
    next_hop: Vec<Prefix>,
    #[serde(deserialize_with = "text::any_of")]
    peer: Vec<Prefix>,
    #[serde(deserialize_with = "text::any_of")]
    protocol: Vec<Protocol>,
    #[serde(deserialize_with = "text::any_of")]
    med: Vec<Range>,
    #[serde(deserialize_with = "text::any_of")]
    local_pref: Vec<Range>,
    #[serde(deserialize_with = "text::any_of")]
    tag: Vec<Range>,
    #[serde(deserialize_with = "text::any_of")]
    family: Vec<Family>,
    action: Option<Action>,
    set: Set,
    add: Values,
    delete: Delete,
    prepend: Prepend,
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flat = FlatRule::deserialize(deserializer)?;
        let action = flat.action.ok_or_else(|| {
            serde::de::Error::custom("a filter rule needs action = \"accept\", \"reject\" or \"blackhole\"")
        })?;
        let matches = Match {
            prefix: flat.prefix,
            as_path: flat.as_path,
            community: flat.community,
            large_community: flat.large_community,
            ext_community: flat.ext_community,
            next_hop: flat.next_hop,
            peer: flat.peer,
            protocol: flat.protocol,
            med: flat.med,
            local_pref: flat.local_pref,
            tag: flat.tag,
            family: flat.family,
        };
        let FlatRule { set, add, delete, prepend, .. } = flat;
        Ok(Self { matches, action, set, add, delete, prepend })
    }
}

/// A prefix, or a range of lengths inside it: `10.0.0.0/8`,
/// `10.0.0.0/8 le 24`, `10.0.0.0/8 ge 16 le 24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixMatch {
    /// The prefix that holds what is met.
    pub prefix: Prefix,
    /// The shortest length that is met.
    pub at_least: u8,
    /// The longest.
    pub at_most: u8,
}

impl PrefixMatch {
    /// True when the prefix is met.
    pub fn meets(&self, prefix: Prefix) -> bool {
        (self.at_least..=self.at_most).contains(&prefix.len()) && self.prefix.covers(prefix)
    }
}

impl FromStr for PrefixMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let prefix: Prefix = words.next().unwrap_or_default().parse().map_err(|e| format!("{e}"))?;
        let (mut ge, mut le) = (None, None);
        while let Some(word) = words.next() {
            let bound = match word {
                "ge" => &mut ge,
                "le" => &mut le,
                _ => return Err(format!("{text:?}: {word:?} is neither \"ge\" nor \"le\"")),
            };
            let length = words.next().and_then(|length| length.parse::<u8>().ok());
            *bound = Some(length.ok_or_else(|| format!("{text:?}: {word:?} needs a length after it"))?);
        }
        // As routers have it: `ge` alone reaches down to host routes, `le` alone starts at the prefix.
        let longest = prefix.family().max_length();
        let at_least = ge.unwrap_or(prefix.len());
        let at_most = le.unwrap_or(if ge.is_some() { longest } else { prefix.len() });
        if prefix.len() <= at_least && at_least <= at_most && at_most <= longest {
            Ok(Self { prefix, at_least, at_most })
        } else {
            Err(format!("{text:?} meets nothing; lengths must be {} <= ge <= le <= {longest}", prefix.len()))
        }
    }
}

/// A number, or a range with both ends: `100`, `100..200`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The smallest number that is met.
    pub low: u32,
    /// The largest.
    pub high: u32,
}

impl Range {
    /// True when the number is met.
    pub fn meets(self, number: u32) -> bool {
        (self.low..=self.high).contains(&number)
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        match (low.trim().parse(), high.trim().parse()) {
            (Ok(low), Ok(high)) if low <= high => Ok(Self { low, high }),
            _ => Err(format!("{text:?} is neither a number nor a range such as 100..200")),
        }
    }
}

/// A regular expression over the printed AS path (`65001 65002 {65003,65004}`).
/// `_` meets an end of the path or what stands between two numbers, as in
/// other routers' configurations.
#[derive(Clone, Debug)]
pub struct AsPathPattern {
    text: String,
    regex: Regex,
}

impl AsPathPattern {
    /// True when the pattern is found in the printed path.
    pub fn meets(&self, printed: &str) -> bool {
        self.regex.is_match(printed)
    }

    /// A pattern that meets paths with this AS anywhere in them.
    pub fn through(asn: Asn) -> Result<Self, String> {
        format!("_{asn}_").parse()
    }
}

impl PartialEq for AsPathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for AsPathPattern {}

impl fmt::Display for AsPathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for AsPathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expression = text.replace('_', r"(?:^|$|[ ,{}()\[\]])");
        let regex = Regex::new(&expression)
            .map_err(|e| format!("{text:?} is no regular expression over an AS path: {e}"))?;
        Ok(Self { text: text.to_owned(), regex })
    }
}
