//! The rules of the decision, from the configuration.

use net::RouterId;
use rib::Rules;

use crate::config::Config;

/// The rules that `[bgp]` asks for.
pub(super) fn rules(config: &Config, router_id: Option<RouterId>) -> Rules {
    // Without BGP the rules that compare router ids are never asked.
    let router_id = router_id.unwrap_or_else(|| {
        RouterId::try_from(std::net::Ipv4Addr::LOCALHOST).expect("127.0.0.1 is not 0.0.0.0")
    });
    let mut rules = Rules::new(router_id);
    if let Some(bgp) = &config.bgp {
        rules.cluster_id = bgp.cluster_id.unwrap_or(rules.cluster_id);
        rules.multipath = bgp.multipath.into();
        rules.multipath_as_path_relax = bgp.multipath_as_path_relax;
        rules.always_compare_med = bgp.always_compare_med;
        rules.deterministic_med = bgp.deterministic_med;
        rules.compare_router_id = bgp.compare_router_id;
        rules.reject_as_sets = bgp.reject_as_sets;
        rules.asn = Some(bgp.asn);
        rules.confederation = bgp.confederation.as_ref().map(|confederation| confederation.asn);
        rules.max_as_path = bgp.max_as_path.map(usize::from);
        rules.max_communities = bgp.max_communities.map(usize::from);
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_knob_of_the_file_turns_its_own_rule() {
        let read = |keys: &str| {
            let source = format!("[bgp]\nasn = 64512\n{keys}");
            rules(&crate::config::parse("test", &source).unwrap().0, "192.0.2.1".parse().ok())
        };
        let plain = read("");
        for (keys, turned) in [
            ("always_compare_med = true", Rules { always_compare_med: true, ..plain }),
            ("deterministic_med = false", Rules { deterministic_med: false, ..plain }),
            ("compare_router_id = true", Rules { compare_router_id: true, ..plain }),
            ("multipath_as_path_relax = true", Rules { multipath_as_path_relax: true, ..plain }),
            ("multipath = 3", Rules { multipath: 3, ..plain }),
            ("reject_as_sets = false", Rules { reject_as_sets: false, ..plain }),
            ("max_as_path = 50", Rules { max_as_path: Some(50), ..plain }),
            ("max_communities = 50", Rules { max_communities: Some(50), ..plain }),
        ] {
            assert_eq!(read(keys), turned, "{keys}");
            assert_ne!(turned, plain, "{keys}");
        }
    }
}
