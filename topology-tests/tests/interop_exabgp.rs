//! routed and `ExaBGP`: routes of both families, keys, communities, limits and
//! refresh, each seen by both.

use lab::{
    Error, Result,
    pair::{ASN, LIMIT, Pair, THEIR_4, THEIR_6},
    peer::Exabgp,
};
use serde_json::Value;

/// A session for each family, with `more` in each and `routes` in the first.
fn exabgp(pair: &Pair, asn: u32, more: &str, routes: &str) -> Result<Exabgp> {
    let (ours, theirs) = (&pair.ours, &pair.theirs);
    let inside = |local: String, family: &str, routes: &str| {
        format!(
            " local-address {local};\n local-as {asn};\n peer-as {ASN};\n {more}\n family {{ {family} unicast; }}\n \
             capability {{ route-refresh enable; }}\n static {{ {routes} }}"
        )
    };
    let v6 = format!("route {THEIR_6} next-hop self;");
    Exabgp::start(
        theirs,
        &[
            (ours.ipv4().to_string(), inside(theirs.ipv4().to_string(), "ipv4", routes)),
            (ours.ipv6().to_string(), inside(theirs.ipv6().to_string(), "ipv6", &v6)),
        ],
    )
}

fn ours_to(routes: &[&str]) -> String {
    routes
        .iter()
        .map(|prefix| {
            format!("route {prefix} next-hop self large-community [ 65001:1:2 ] community [ 65001:7 ];")
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn exchange(name: &str, asn: u32, ours: &str, theirs: &str) -> Result<()> {
    let pair = Pair::start(name, asn, ours)?;
    let exabgp = exabgp(&pair, asn, theirs, &ours_to(&[THEIR_4]))?;
    pair.sessions_are_up()?;
    pair.they_have_ours(asn, || exabgp.routes())?;
    pair.we_have_theirs()?;
    for address in [pair.ours.ipv4().to_string(), pair.ours.ipv6().to_string()] {
        assert_eq!(exabgp.session_state(&address)?, "up");
    }
    let route = pair.routed.routectl_json(["routes", THEIR_4])?.to_string();
    assert!(route.contains("65001:1:2") && route.contains("65001:7"), "the communities came along: {route}");
    Ok(())
}

#[test]
fn exabgp_and_routed_exchange_routes_inside_one_as() -> Result<()> {
    exchange("exabgp-i", ASN, "", "")
}

#[test]
fn exabgp_and_routed_exchange_routes_between_two_as_under_tcp_md5() -> Result<()> {
    let dir = tempfile::tempdir().map_err(Error::io("make a directory"))?;
    let key = dir.path().join("peer.key");
    std::fs::write(&key, "s3cret\n").map_err(Error::file(&key))?;
    let ours = format!("password_file = \"{}\"", key.display());
    exchange("exabgp-e", 65001, &ours, "md5-password s3cret;")
}

#[test]
fn exabgp_sees_our_communities_our_refresh_and_why_we_end_at_the_limit() -> Result<()> {
    let keys =
        "export = \"marked\"\nenhanced_refresh = false\nmax_prefixes = { limit = 1, action = \"warn\" }";
    let pair = Pair::start("exabgp-r", 65001, keys.replace("marked", "local-only").as_str())?;
    let exabgp = exabgp(&pair, 65001, "", &ours_to(&[THEIR_4, "10.244.51.0/24"]))?;
    pair.sessions_are_up()?;
    let (us, them) = (pair.ours.ipv4().to_string(), pair.theirs.ipv4().to_string());
    pair.they_have_ours(65001, || exabgp.routes())?;
    // A filter that marks, and a limit that ends, by a reload.
    let config =
        std::fs::read_to_string(pair.routed.config_path()).map_err(Error::file(pair.routed.config_path()))?;
    let filter = "\n[[filter]]\nname = \"marked\"\nrules = [ { protocol = \"local\", action = \"accept\", \
                  add = { large_community = \"64512:5:6\", community = \"64512:9\" } } ]\n";
    let marked = config.replace("local-only", "marked") + filter;
    pair.routed.write_config(&marked)?;
    pair.routed.routectl(["reload"])?.ok()?;
    pair.lab.wait_until("ExaBGP hears our communities", LIMIT, || {
        let heard = exabgp.attributes(&pair.ours.subnet4()).map_err(|e| e.to_string())?;
        let has = heard["large-community"] == serde_json::json!([[64512, 5, 6]])
            && heard["community"] == serde_json::json!([[64512, 9]]);
        if has { Ok(()) } else { Err(heard.to_string()) }
    })?;

    let heard = |what: &str, look: &dyn Fn(&Value) -> bool| {
        pair.lab.wait_until(what, LIMIT, || {
            let events = exabgp.events().map_err(|e| e.to_string())?;
            let last = events.last().map(ToString::to_string).unwrap_or_default();
            if events.iter().any(look) { Ok(()) } else { Err(last) }
        })
    };
    let sent = || -> Result<usize> {
        let again = |event: &&Value| {
            let update = &event["neighbor"]["message"]["update"]["announce"]["ipv4 unicast"];
            event["neighbor"]["direction"] == "send" && update.to_string().contains(THEIR_4)
        };
        Ok(exabgp.events()?.iter().filter(again).count())
    };
    let sent_more_than = |times: usize| {
        pair.lab.wait_until("ExaBGP sends its routes", LIMIT, || {
            let now = sent().map_err(|e| e.to_string())?;
            if now > times { Ok(now) } else { Err(format!("sent {now} times")) }
        })
    };
    let before = sent_more_than(0)?;
    pair.routed.routectl(["peers", "refresh", &them])?.ok()?;
    sent_more_than(before)?;
    assert_eq!(exabgp.sessions(&us)?, 1, "marks by a reload and a refresh leave the session alone");
    // What we withdraw is gone there too.
    let extra = "10.244.70.0/24";
    let has_extra = |wanted: bool| {
        pair.lab.wait_until("ExaBGP follows our routes", LIMIT, || {
            let routes = exabgp.routes().map_err(|e| e.to_string())?;
            let has = routes.iter().any(|route| route.prefix == extra);
            if has == wanted { Ok(()) } else { Err(format!("{routes:?}")) }
        })
    };
    pair.routed.routectl(["routes", "announce", extra])?.ok()?;
    has_extra(true)?;
    pair.routed.routectl(["routes", "withdraw", extra])?.ok()?;
    has_extra(false)?;

    pair.routed.write_config(&marked.replace("\"warn\"", "\"shut\""))?;
    pair.routed.routectl(["reload"])?.ok()?;
    // It dials again at once, and is then told that it is not wanted (6/5).
    heard("ExaBGP is told why we end the session", &|event| {
        let notification = &event["neighbor"]["message"]["notification"];
        let notification =
            if notification.is_null() { &event["neighbor"]["notification"] } else { notification };
        notification["code"] == 6 && notification["subcode"] == 1
    })?;
    Ok(())
}
