use super::*;

fn parse(source: &str) -> Result<crate::config::Config, String> {
    let found = crate::config::parse("n1.toml", source);
    found.map(|(config, _)| config).map_err(|findings| findings[0].to_string())
}

/// A static route with these keys.
fn route(keys: &str) -> Result<StaticTo, String> {
    parse(&format!("[[static]]\nprefix = \"10.9.0.0/16\"\n{keys}\n"))
        .map(|config| config.statics[0].to.clone())
}

fn gateway(address: &str) -> Gateway {
    Gateway { address: address.parse().unwrap(), weight: 1, interface: None, onlink: false }
}

#[test]
fn a_static_route_leads_to_a_gateway_or_nowhere() {
    assert_eq!(route("via = \"fe80::1\""), Ok(StaticTo::Via(Gateways(vec![gateway("fe80::1")]))));
    assert_eq!(route("type = \"prohibit\""), Ok(StaticTo::Type(Dropped::Prohibit)));
    for wrong in ["", "type = \"hole\"", "via = \"192.0.2.1\"\ntype = \"blackhole\"", "via = []"] {
        assert!(route(wrong).is_err(), "{wrong}");
    }
    let error = parse("[[static]]\nprefix = \"fd00::/48\"\nvia = \"192.0.2.1\"\n").unwrap_err();
    assert!(error.contains("different families"), "{error}");
}

#[test]
fn several_gateways_share_the_traffic_by_weight() {
    let several = "via = [ \"192.0.2.1\", { gateway = \"192.0.2.2\", weight = 256 },\n\
                   { gateway = \"203.0.113.1\", interface = \"eth1\", onlink = true } ]";
    let expected = vec![
        gateway("192.0.2.1"),
        Gateway { weight: 256, ..gateway("192.0.2.2") },
        Gateway { interface: Some("eth1".into()), onlink: true, ..gateway("203.0.113.1") },
    ];
    assert_eq!(route(several), Ok(StaticTo::Via(Gateways(expected))));
    for (wrong, why) in [
        ("via = [{ gateway = \"192.0.2.1\", weight = 257 }]", "from 1 to 256"),
        ("via = [{ gateway = \"192.0.2.1\", weight = 0 }]", "from 1 to 256"),
        ("via = [{ weight = 2 }]", "needs the key `gateway`"),
        ("via = [\"192.0.2.1\", { gateway = \"192.0.2.1\", weight = 2 }]", "192.0.2.1 twice"),
        ("via = [{ gateway = \"192.0.2.1\", wieght = 2 }]", "did you mean `weight`"),
        ("via = [{ gateway = \"192.0.2.1\", onlink = true }]", "onlink needs the `interface`"),
    ] {
        let error = route(wrong).unwrap_err();
        assert!(error.contains(why), "{wrong}: {error}");
    }
}

#[test]
fn what_stands_beside_holds_for_every_gateway_that_does_not_say_it() {
    let beside = "via = [\"192.0.2.1\", { gateway = \"192.0.2.2\", interface = \"eth1\", onlink = false }]\n\
                  interface = \"eth0\"\nonlink = true";
    let on =
        |name: &str, onlink, address| Gateway { interface: Some(name.into()), onlink, ..gateway(address) };
    let expected = vec![on("eth0", true, "192.0.2.1"), on("eth1", false, "192.0.2.2")];
    assert_eq!(route(beside), Ok(StaticTo::Via(Gateways(expected))));
}

#[test]
fn static_routes_print_as_what_means_the_same() {
    for keys in [
        "via = \"192.0.2.1\"",
        "type = \"blackhole\"",
        "via = [\"192.0.2.1\", { gateway = \"192.0.2.2\", weight = 3 }]",
        "via = \"192.0.2.1\"\ninterface = \"eth0\"\nonlink = true",
    ] {
        let config = parse(&format!("[[static]]\nprefix = \"10.9.0.0/16\"\n{keys}\n")).unwrap();
        let printed = config.to_toml().unwrap();
        assert_eq!(parse(&printed).unwrap().statics, config.statics, "{printed}");
    }
}

#[test]
fn an_aggregate_stands_once() {
    let one = "[[aggregate]]\nprefix = \"10.0.0.0/8\"\nsummary_only = true\n";
    let config = parse(one).unwrap();
    let prefix = "10.0.0.0/8".parse().unwrap();
    assert_eq!(config.aggregates, [Aggregate { prefix, summary_only: true }]);
    assert!(parse(&one.repeat(2)).unwrap_err().contains("twice"));
}
