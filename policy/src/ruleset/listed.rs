//! Whether the kernel still has what was installed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Ruleset;

impl Ruleset {
    /// True when `listed`, which is what `nft -j list table inet routed` says,
    /// has the sets, maps and chains of this ruleset, and as many rules in
    /// each chain. Somebody who flushes or deletes is noticed; somebody who
    /// rewrites a rule with care is not.
    pub fn is_in(&self, listed: &Value) -> bool {
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut sets, mut maps) = (0, 0);
        for item in listed["nftables"].as_array().into_iter().flatten() {
            if let Some(chain) = item["chain"]["name"].as_str() {
                rules.entry(chain).or_default();
            } else if let Some(chain) = item["rule"]["chain"].as_str() {
                *rules.entry(chain).or_default() += 1;
            }
            sets += usize::from(item.get("set").is_some());
            maps += usize::from(item.get("map").is_some());
        }
        let wanted: BTreeMap<&str, usize> =
            self.chains.iter().map(|(name, chain)| (name.as_str(), chain.rules.len())).collect();
        rules == wanted && sets == self.sets.len() && maps == self.maps.len()
    }
}
