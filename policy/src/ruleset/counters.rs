//! Counters, read back from what the kernel lists.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::names::comment;
use super::{Origin, Ruleset};

/// How much one rule of a policy, or the end of the policies, decided since
/// the table was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Whose it is.
    pub origin: Origin,
    /// Packets; the first ones of connections, as the later ones pass before policy.
    pub packets: u64,
    /// Their bytes, IP headers included.
    pub bytes: u64,
}

impl Ruleset {
    /// How many SYNs of strangers a guard has dropped, by what is `listed` as
    /// for [`Ruleset::counters`].
    pub fn strangers(&self, listed: &Value) -> u64 {
        let counters = self.counters(listed).into_iter();
        counters.filter(|counter| counter.origin == Origin::Stranger).map(|counter| counter.packets).sum()
    }

    /// The counters in `listed`, which is what `nft -j list table inet routed`
    /// says while this ruleset is installed. Rules that are not of this
    /// ruleset are passed over. Every rule of the ruleset is in the answer.
    pub fn counters(&self, listed: &Value) -> Vec<Counter> {
        let mut sums: BTreeMap<&Origin, (u64, u64)> = BTreeMap::new();
        let mut origins: HashMap<(&str, String), &Origin> = HashMap::new();
        for (name, chain) in &self.chains {
            for origin in chain.rules.iter().filter_map(|rule| rule.origin.as_ref()) {
                sums.entry(origin).or_default();
                origins.insert((name, comment(origin)), origin);
            }
        }
        for rule in listed["nftables"].as_array().into_iter().flatten().filter_map(|item| item.get("rule")) {
            let key = (rule["chain"].as_str().unwrap_or_default(), rule["comment"].as_str());
            let Some(origin) = key.1.and_then(|comment| origins.get(&(key.0, comment.to_owned()))) else {
                continue;
            };
            let counters =
                rule["expr"].as_array().into_iter().flatten().filter_map(|item| item.get("counter"));
            for counter in counters {
                let sum = sums.entry(origin).or_default();
                sum.0 += counter["packets"].as_u64().unwrap_or(0);
                sum.1 += counter["bytes"].as_u64().unwrap_or(0);
            }
        }
        let counter =
            |(origin, (packets, bytes)): (&Origin, _)| Counter { origin: origin.clone(), packets, bytes };
        sums.into_iter().map(counter).collect()
    }
}
