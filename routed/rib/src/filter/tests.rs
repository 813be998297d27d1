use net::{AsPath, Attrs, Community, LargeCommunity};

use super::*;
use crate::Why;

/// The verdict of a filter, written as rules in TOML, on one route.
fn check(rules: &str, prefix: &str, attrs: &Attrs) -> Result<Attrs, String> {
    let filter: Filter =
        toml::from_str(&format!("name = \"f\"\nrules = {rules}")).map_err(|e| e.to_string())?;
    let route = Route {
        prefix: prefix.parse().unwrap(),
        attrs,
        protocol: Protocol::Bgp,
        peer: Some("192.0.2.1".parse().unwrap()),
    };
    match filter.eval(&route) {
        Verdict::Reject(why) => Err(why.to_string()),
        Verdict::Accept(rule) => {
            let mut attrs = attrs.clone();
            rule.edit(&mut attrs, net::Asn(64512));
            attrs.next_hop = rule.next_hop_for(route.prefix.family(), true).or(attrs.next_hop);
            Ok(attrs)
        }
    }
}

fn route() -> Attrs {
    Attrs {
        as_path: AsPath::sequence([65001, 650, 65003]),
        next_hop: Some(net::NextHop::V4("192.0.2.9".parse().unwrap())),
        med: Some(10),
        communities: vec!["65001:1".parse().unwrap(), Community::NO_EXPORT],
        large_communities: vec![LargeCommunity([1, 2, 3])],
        ext_communities: vec!["rt:64512:100".parse().unwrap()],
        ..Attrs::default()
    }
}

#[test]
fn the_first_rule_that_meets_decides_and_the_end_rejects() {
    let rules = r#"[{ prefix = "10.1.0.0/16", action = "reject" },
                    { prefix = "10.0.0.0/8 le 24", action = "accept" }]"#;
    assert_eq!(check(rules, "10.1.0.0/16", &route()), Err("rejected by rule 1 of filter f".into()));
    assert_eq!(check(rules, "10.2.0.0/16", &route()), Ok(route()));
    assert_eq!(check(rules, "10.2.0.0/25", &route()), Err("no rule of filter f accepts it".into()));
}

#[test]
fn prefix_ranges_meet_what_routers_meet() {
    let meets =
        |range: &str, prefix: &str| range.parse::<PrefixMatch>().unwrap().meets(prefix.parse().unwrap());
    assert!(meets("10.0.0.0/8", "10.0.0.0/8"));
    assert!(!meets("10.0.0.0/8", "10.0.0.0/9"));
    assert!(meets("10.0.0.0/8 le 24 ge 16", "10.1.0.0/16"));
    assert!(!meets("10.0.0.0/8 ge 16 le 24", "10.0.0.0/15"));
    assert!(!meets("10.0.0.0/8 ge 16 le 24", "10.0.0.0/25"));
    assert!(meets("10.0.0.0/8 ge 16", "10.9.9.9/32"));
    assert!(meets("::/0 le 48", "2001:db8::/32"));
    assert!(!meets("0.0.0.0/0 le 32", "::/0"));
    for wrong in [
        "10.0.0.0/8 le 7",
        "10.0.0.0/8 ge 20 le 16",
        "10.0.0.0/8 le 33",
        "10.0.0.0/8 to 9",
        "10.0.0.0/8 le",
        "",
    ] {
        assert!(wrong.parse::<PrefixMatch>().is_err(), "{wrong}");
    }
}

#[test]
fn each_condition_meets_and_misses() {
    for (condition, meets) in [
        ("as_path = \"^65001 \"", true),
        ("as_path = \"_650_\"", true),
        ("as_path = \"_6500_\"", false),
        ("as_path = \"_65003$\"", true),
        ("community = \"no-export\"", true),
        ("community = [\"1:1\", \"65001:1\"]", true),
        ("community = [\"1:1\"]", false),
        ("community = \"NO_EXPORT\"", true),
        ("community = \"65001:*\"", true),
        ("community = \"*:1\"", true),
        ("community = \"*\"", true),
        ("community = [\"65002:*\", \"*:2\"]", false),
        ("large_community = \"1:*:3\"", true),
        ("large_community = \"1:*:4\"", false),
        ("as_path = [\"^$\", \"_65003$\"]", true),
        ("as_path = [\"^$\", \"_65004$\"]", false),
        ("peer = \"192.0.2.0/24\"", true),
        ("peer = [\"198.51.100.0/24\", \"192.0.2.2\"]", false),
        ("family = [\"ipv4\", \"ipv6\"]", true),
        ("family = [\"ipv6\"]", false),
        ("med = [5, \"10..20\"]", true),
        ("med = [5, \"11..20\"]", false),
        ("large_community = \"1:2:3\"", true),
        ("large_community = \"1:2:4\"", false),
        ("ext_community = [\"rt:64512:1\", \"rt:64512:100\"]", true),
        ("ext_community = \"soo:64512:100\"", false),
        ("next_hop = \"192.0.2.0/24\"", true),
        ("next_hop = \"198.51.100.0/24\"", false),
        ("peer = \"192.0.2.1\"", true),
        ("peer = \"192.0.2.2\"", false),
        ("protocol = [\"rip\", \"bgp\"]", true),
        ("protocol = \"local\"", false),
        ("med = 10", true),
        ("med = \"11..20\"", false),
        ("local_pref = 100", true),
        ("local_pref = \"0..99\"", false),
        ("family = \"ipv4\"", true),
        ("family = \"ipv6\"", false),
        ("family = \"ipv4\", med = 11", false),
    ] {
        let verdict = check(&format!("[{{ {condition}, action = \"accept\" }}]"), "10.0.0.0/8", &route());
        assert_eq!(verdict.is_ok(), meets, "{condition}: {verdict:?}");
    }
}

#[test]
fn edits_delete_then_set_then_add_then_prepend() {
    let rules = r#"[{ action = "accept", prepend = 2,
        set = { local_pref = 200, origin = "egp", next_hop = "192.0.2.7" },
        add = { community = ["64512:1", "65001:1"], ext_community = "soo:64512:7" },
        delete = { ext_community = "rt:64512:100", community = "no-export", large_community = "1:2:3", med = true } }]"#;
    let edited = check(rules, "10.0.0.0/8", &route()).unwrap();
    let expected = Attrs {
        origin: net::Origin::Egp,
        as_path: AsPath::sequence([64512, 64512, 65001, 650, 65003]),
        next_hop: Some(net::NextHop::V4("192.0.2.7".parse().unwrap())),
        local_pref: Some(200),
        communities: vec!["65001:1".parse().unwrap(), "64512:1".parse().unwrap()],
        ext_communities: vec!["soo:64512:7".parse().unwrap()],
        ..Attrs::default()
    };
    assert_eq!(edited, expected);
}

#[test]
fn each_attribute_is_set_and_each_kind_of_community_is_added_once() {
    let edited = |actions: &str| {
        check(&format!("[{{ action = \"accept\", {actions} }}]"), "10.0.0.0/8", &route()).unwrap()
    };
    let large = |last| LargeCommunity([1, 2, last]);
    let longer = |front: &[u32]| AsPath::sequence(front.iter().copied().chain([65001, 650, 65003]));
    let cases: [(&str, Attrs); 14] = [
        ("set = { med = 7 }", Attrs { med: Some(7), ..route() }),
        ("set = { local_pref = 7 }", Attrs { local_pref: Some(7), ..route() }),
        ("set = { next_hop = \"2001:db8::1\" }", {
            let address: std::net::IpAddr = "2001:db8::1".parse().unwrap();
            Attrs { next_hop: Some(address.into()), ..route() }
        }),
        ("set = { community = \"1:1\" }", Attrs { communities: vec!["1:1".parse().unwrap()], ..route() }),
        ("set = { large_community = [] }", Attrs { large_communities: vec![], ..route() }),
        ("set = { ext_community = \"rt:1:1\" }", {
            Attrs { ext_communities: vec!["rt:1:1".parse().unwrap()], ..route() }
        }),
        ("add = { large_community = [\"1:2:3\", \"1:2:4\"] }", {
            Attrs { large_communities: vec![large(3), large(4)], ..route() }
        }),
        (
            "delete = { community = \"65001:*\" }",
            Attrs { communities: vec![Community::NO_EXPORT], ..route() },
        ),
        ("delete = { community = \"*\", large_community = \"1:2:*\" }", {
            Attrs { communities: vec![], large_communities: vec![], ..route() }
        }),
        ("prepend = \"64512 65010\"", Attrs { as_path: longer(&[64512, 65010]), ..route() }),
        ("prepend = [65010, \"1.10\"]", Attrs { as_path: longer(&[65010, 65546]), ..route() }),
        ("prepend = { asn = 65010, count = 2 }", Attrs { as_path: longer(&[65010, 65010]), ..route() }),
        ("prepend = { count = 2 }", Attrs { as_path: longer(&[64512, 64512]), ..route() }),
        ("prepend = 1", Attrs { as_path: AsPath::sequence([64512, 65001, 650, 65003]), ..route() }),
    ];
    for (actions, wanted) in cases {
        assert_eq!(edited(actions), wanted, "{actions}");
    }
}

#[test]
fn what_is_not_understood_is_an_error_that_names_it() {
    for (rules, names) in [
        ("[{ prefx = \"10.0.0.0/8\", action = \"accept\" }]", "prefx"),
        ("[{ action = \"accept\", set = { localpref = 1 } }]", "localpref"),
        ("[{ action = \"allow\" }]", "allow"),
        ("[{ prefix = \"10.0.0.0/8\" }]", "action"),
        ("[{ action = \"accept\", as_path = \"(\" }]", "regular expression"),
        ("[{ action = \"accept\", prefix = \"10.0.0.1/8\" }]", "10.0.0.0/8"),
        ("[{ action = \"accept\", protocol = \"ospf\" }]", "ospf"),
        ("[{ action = \"accept\", community = \"1\" }]", "community"),
        ("[{ action = \"accept\", set = { tag = 65536 } }]", "65536"),
        ("[{ action = \"accept\", ext_community = \"rt:1\" }]", "extended community"),
    ] {
        let error = check(rules, "10.0.0.0/8", &route()).unwrap_err();
        assert!(error.contains(names), "{rules}: {error}");
    }
}

#[test]
fn a_tag_is_a_condition_and_is_set() {
    let rules = "[{ tag = \"7..9\", action = \"accept\", set = { tag = 12 } },
                  { tag = 0, action = \"accept\" }]";
    let tagged = |tag| Attrs { tag, ..route() };
    let tag = |tag| check(rules, "10.0.0.0/8", &tagged(tag)).map(|attrs| attrs.tag);
    assert_eq!((tag(0), tag(7), tag(9)), (Ok(0), Ok(12), Ok(12)));
    assert!(tag(10).is_err());
    assert_eq!(check("[{ action = \"accept\", set = { tag = 0 } }]", "10.0.0.0/8", &tagged(7)), Ok(route()));
}

#[test]
fn the_built_in_filters_do_what_their_names_say() {
    let pools: [Prefix; 2] = ["10.244.0.0/16".parse().unwrap(), "fd00::/48".parse().unwrap()];
    let verdict = |filter: &Filter, prefix: &str, protocol| {
        let attrs = Attrs::default();
        let route = Route { prefix: prefix.parse().unwrap(), attrs: &attrs, protocol, peer: None };
        matches!(filter.eval(&route), Verdict::Accept(_))
    };
    let cluster = cluster_only(&pools);
    assert!(verdict(&cluster, "10.244.0.0/16", Protocol::Bgp));
    assert!(verdict(&cluster, "10.244.9.9/32", Protocol::Bgp));
    assert!(verdict(&cluster, "fd00::/64", Protocol::Bgp));
    assert!(!verdict(&cluster, "10.0.0.0/8", Protocol::Bgp));
    assert!(!verdict(&cluster_only(&[]), "10.244.0.0/16", Protocol::Bgp));
    for protocol in Protocol::ALL {
        let ours = protocol == Protocol::Local;
        assert_eq!(verdict(&local_only(), "10.0.0.0/8", protocol), ours, "{protocol}");
        assert!(verdict(&accept_all(), "10.0.0.0/8", protocol));
        assert!(!verdict(&reject_all(), "10.0.0.0/8", protocol));
    }
    let attrs = Attrs::default();
    let route = Route { prefix: pools[0], attrs: &attrs, protocol: Protocol::Rip, peer: None };
    assert_eq!(local_only().eval(&route), Verdict::Reject(Why::FilterEnd("local-only".into())));
}

#[test]
fn words_that_mean_nothing_are_refused_with_what_to_write() {
    for (rule, says) in [
        ("community = \"64512:1:*\"", "is no community; write 64512:100, 64512:*"),
        ("large_community = \"1:*\"", "is no large community"),
        ("prepend = 64512", "to put another AS in front write"),
        ("prepend = \"0\"", "AS 0 is reserved"),
        ("prepend = { as = 1 }", "unknown field `as`"),
        ("peer = []", "the list is empty and meets nothing"),
    ] {
        let rules = format!("[{{ {rule}, action = \"accept\" }}]");
        let error = check(&rules, "10.0.0.0/8", &route()).unwrap_err();
        assert!(error.contains(says), "{rule}: {error}");
    }
}

#[test]
fn a_next_hop_is_set_only_where_the_family_can_have_it() {
    let rule = |address: &str| {
        let set = Set { next_hop: Some(address.parse().unwrap()), ..Set::default() };
        Rule { set, ..Rule::accept() }
    };
    let (v4, v6) = (rule("192.0.2.7"), rule("2001:db8::7"));
    let (ipv4, ipv6) = (net::Family::Ipv4Unicast, net::Family::Ipv6Unicast);
    let set = |rule: &Rule, family, extended| rule.next_hop_for(family, extended).is_some();
    assert_eq!([set(&v4, ipv4, false), set(&v6, ipv6, false)], [true, true]);
    assert_eq!([set(&v4, ipv6, true), set(&v6, ipv4, false), set(&v6, ipv4, true)], [false, false, true]);
}
