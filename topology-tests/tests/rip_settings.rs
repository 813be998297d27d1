//! What the keys of `[rip]` do, seen on the wire and in the kernel.

use std::net::Ipv4Addr;

use lab::{
    Host, Result,
    peer::raw_rip::{Entry, PORT, RawRip, response, response_under},
    rip_pair::{LIMIT, QUICK, RipPair, config},
    zero::RIP,
};
use serde_json::{Value, json};

/// The peer itself is the next hop (RFC 2453 §4.4).
const SELF: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const UNREACHABLE: u32 = 16;

/// 10.244.N.0/24 with a metric.
fn inside(n: u8, metric: u32) -> Entry {
    (Ipv4Addr::new(10, 244, n, 0), 24, SELF, metric)
}

/// Waits until an update of ours says `wanted` of a prefix, and gives all of it.
fn await_told(pair: &RipPair, raw: &RawRip, from: Ipv4Addr, wanted: (Ipv4Addr, u32)) -> Result<Vec<Entry>> {
    pair.lab.wait_until(&format!("{from} tells {wanted:?}"), LIMIT, || {
        match raw.next_response().map_err(|e| e.to_string())? {
            Some((sender, told)) if sender == from => {
                let found = told.iter().any(|(prefix, .., metric)| (*prefix, *metric) == wanted);
                if found { Ok(told) } else { Err(format!("{told:?}")) }
            }
            other => Err(format!("{other:?}")),
        }
    })
}

/// The gateways of our kernel's route to `prefix`, in order.
fn gateways(host: &Host, prefix: &str) -> Result<Vec<String>> {
    let routes = host.kernel_routes()?;
    let route = routes.iter().find(|route| route["dst"] == prefix && route["protocol"] == RIP);
    let hops = |route: &Value| match route["nexthops"].as_array() {
        Some(hops) => hops.clone(),
        None => vec![route.clone()],
    };
    let hops = route.map(hops).unwrap_or_default();
    let mut found: Vec<String> =
        hops.iter().filter_map(|hop| hop["gateway"].as_str().map(str::to_owned)).collect();
    found.sort();
    Ok(found)
}

fn await_gateways(pair: &RipPair, prefix: &str, wanted: &[&str]) -> Result<()> {
    pair.lab.wait_until(&format!("{prefix} goes by {wanted:?}"), LIMIT, || {
        let found = gateways(&pair.ours, prefix).map_err(|e| e.to_string())?;
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
}

/// What `routectl rip interfaces` says of an interface.
fn interface(pair: &RipPair, name: &str) -> Result<Value> {
    let all = pair.routed.routectl_json(["rip", "interfaces"])?;
    let found = all.as_array().into_iter().flatten().find(|one| one["name"] == name);
    found.cloned().ok_or_else(|| lab::Error::Claim(format!("no {name} in {all}")))
}

/// Equal metrics of two neighbours: the kernel shares the traffic, as far as
/// `multipath` allows.
#[test]
fn equal_routes_of_two_neighbours_share_the_traffic_as_multipath_allows() -> Result<()> {
    let mut pair = RipPair::start("rip-ecmp", "ng = false")?;
    let second = pair.lab.router("second")?;
    let raws = [&pair.theirs, &second]
        .map(|host| RawRip::open(host, host.ipv4(), PORT))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let tell = |raw: &RawRip, metric| raw.send(Ipv4Addr::new(192, 0, 2, 1), &response(&[inside(60, metric)]));
    let (prefix, near, far) = ("10.244.60.0/24", "192.0.2.2", "192.0.2.3");
    raws.iter().try_for_each(|raw| tell(raw, 3))?;
    await_gateways(&pair, prefix, &[near, far])?;
    tell(&raws[1], 4)?;
    await_gateways(&pair, prefix, &[near])?;
    tell(&raws[1], 3)?;
    await_gateways(&pair, prefix, &[near, far])?;
    tell(&raws[0], UNREACHABLE)?;
    await_gateways(&pair, prefix, &[far])?;

    pair.routed.write_config(&config("ng = false\nmultipath = 1"))?;
    pair.routed.sigterm()?;
    pair.routed.restart()?;
    raws.iter().try_for_each(|raw| tell(raw, 3))?;
    let both = |near: &Value| near["routes"] == 1;
    pair.await_neighbor("192.0.2.2", "is heard", both)?;
    pair.await_neighbor("192.0.2.3", "is heard", both)?;
    await_gateways(&pair, prefix, &[near])
}

/// Every key that an interface may have of its own differs on eth1: what the
/// whole says would show there as something else.
#[test]
fn an_interface_with_a_table_of_its_own_differs_in_each_setting() -> Result<()> {
    let (_dir, key) = RipPair::key_file("s3cret")?;
    let mut pair = RipPair::start("rip-own", "ng = false")?;
    let side = pair.lab.router("side")?;
    pair.ours.ip(&[
        format!("link add eth1 type veth peer name eth1 netns {}", (*side).name()),
        "addr add 198.18.0.1/24 dev eth1".to_owned(),
        "link set eth1 up".to_owned(),
    ])?;
    side.ip(&["addr add 198.18.0.2/24 dev eth1", "link set eth1 up"])?;
    pair.routed.write_config(&config(&format!(
        "ng = false\ninterfaces = [\"eth0\", \"eth1\"]\npassive = [\"eth0\", \"eth1\"]\n\
         split_horizon = \"off\"\noffset_in = 1\n\
         [rip.interface.\"eth1\"]\npassive = false\nsplit_horizon = \"poison\"\noffset_in = 4\noffset_out = 3\n\
         update = 1\ntimeout = 4\ngarbage = 2\nneighbors = [\"198.18.0.2\"]\n\
         auth = {{ mode = \"text\", key_file = \"{key}\" }}\n"
    )))?;
    pair.routed.sigterm()?;
    pair.routed.restart()?;
    let main = RawRip::open(&pair.theirs, pair.theirs.ipv4(), PORT)?;
    let raw = RawRip::open(&side, Ipv4Addr::new(198, 18, 0, 2), PORT)?;
    let here = Ipv4Addr::new(198, 18, 0, 1);

    main.send(pair.ours.ipv4(), &response(&[inside(60, 2)]))?;
    raw.send(here, &response(&[inside(61, 2)]))?;
    pair.await_neighbor("198.18.0.2", "is refused without the password", |near| near["auth_failures"] == 1)?;
    raw.send(here, &response_under("s3cret", &[inside(61, 2)]))?;
    let metric = |prefix: &str, wanted: u64| -> Result<()> {
        pair.we_have(prefix, RIP)?;
        let found = pair.routed.routectl_json(["routes", prefix])?;
        assert_eq!(found[0]["metric"], wanted, "{found}");
        Ok(())
    };
    metric("10.244.61.0/24", 2 + 1 + 4)?;
    metric("10.244.60.0/24", 2 + 1 + 1)?;

    // The route of eth0 with the offset of eth1, and its own route poisoned.
    let told = await_told(&pair, &raw, here, (Ipv4Addr::new(10, 244, 60, 0), 4 + 3))?;
    let own = told.iter().find(|(prefix, ..)| *prefix == Ipv4Addr::new(10, 244, 61, 0));
    assert_eq!(own.map(|(.., metric)| *metric), Some(UNREACHABLE), "{told:?}");
    // Its updates come every second, and what is not heard goes after 4.
    let before = interface(&pair, "eth1")?["updates_sent"].as_u64();
    pair.lab.wait_until("three more updates", LIMIT, || {
        let sent = interface(&pair, "eth1").map_err(|e| e.to_string())?["updates_sent"].as_u64();
        if sent >= before.map(|sent| sent + 3) { Ok(()) } else { Err(format!("{before:?}, then {sent:?}")) }
    })?;
    pair.we_lack("10.244.61.0/24", RIP)?;
    pair.we_have("10.244.60.0/24", RIP)?;

    let (eth0, eth1) = (interface(&pair, "eth0")?, interface(&pair, "eth1")?);
    assert_eq!((&eth0["passive"], &eth0["packets_sent"]), (&json!(true), &json!(0)), "{eth0}");
    assert_eq!(main.next_response()?, None, "nothing is told on eth0");
    assert_eq!(eth1["destinations"], json!(["198.18.0.2"]), "{eth1}");
    Ok(())
}

/// By default neither a default route nor what lies outside the pools comes
/// in, and only what is the node's own goes out; filters say otherwise, with
/// metrics.
#[test]
fn filters_let_in_and_out_what_the_pools_keep() -> Result<()> {
    let base = format!("ng = false\ninterfaces = [\"eth0\"]\n{QUICK}");
    let pair = RipPair::start("rip-filters", &base)?;
    // The host's own default route would stand above any that is learned.
    pair.ours.ip(&["route del default via 192.0.2.254"])?;
    let raw = RawRip::open(&pair.theirs, pair.theirs.ipv4(), PORT)?;
    let outside: Entry = (Ipv4Addr::new(198, 51, 100, 0), 24, SELF, 1);
    let default: Entry = (Ipv4Addr::UNSPECIFIED, 0, SELF, 1);
    let tell = || raw.send(pair.ours.ipv4(), &response(&[default, outside, inside(60, 1)]));
    tell()?;
    pair.we_have("10.244.60.0/24", RIP)?;
    let near = pair.await_neighbor("192.0.2.2", "is heard", |near| near["routes"] == 1)?;
    assert_eq!((&near["routes_filtered"], &near["bad_routes"]), (&json!(2), &json!(0)), "{near}");
    assert_eq!(lab::cluster::routes_of(&pair.ours, RIP)?, ["10.244.60.0/24"]);

    let open = "import = \"in\"\nexport = \"out\"\n[[filter]]\nname = \"in\"\nrules = [\n\
         { prefix = \"0.0.0.0/0\", action = \"accept\" },\n\
         { prefix = \"198.51.100.0/24\", action = \"accept\", set = { med = 9 } } ]\n\
         [[filter]]\nname = \"out\"\nrules = [\n\
         { protocol = \"static\", action = \"accept\", set = { med = 5 } },\n\
         { protocol = \"local\", prefix = \"198.19.0.0/24\", action = \"accept\", set = { med = 6 } } ]\n\
         [[static]]\nprefix = \"203.0.113.0/24\"\nvia = \"192.0.2.254\"\n\
         [[advertise]]\ninterface = \"ext0\"\n";
    pair.ours.ip(&[
        "link add ext0 type veth peer name ext1",
        "addr add 198.19.0.1/24 dev ext0",
        "link set ext0 up",
        "link set ext1 up",
    ])?;
    pair.routed.write_config(&config(&format!("{base}\n{open}")))?;
    pair.routed.routectl(["reload"])?.ok()?;
    let told = await_told(&pair, &raw, pair.ours.ipv4(), (Ipv4Addr::new(203, 0, 113, 0), 5))?;
    let connected = (Ipv4Addr::new(198, 19, 0, 0), 6);
    let told = if told.iter().any(|(prefix, .., metric)| (*prefix, *metric) == connected) {
        told
    } else {
        await_told(&pair, &raw, pair.ours.ipv4(), connected)?
    };
    let bridge = Ipv4Addr::new(10, 244, 1, 0);
    let reachable = |(prefix, .., metric): &Entry| *prefix == bridge && *metric < UNREACHABLE;
    assert!(!told.iter().any(reachable), "the filter leaves the bridge out: {told:?}");

    tell()?;
    pair.we_have("default", RIP)?;
    pair.we_have("198.51.100.0/24", RIP)?;
    pair.we_lack("10.244.60.0/24", RIP)?;
    let found = pair.routed.routectl_json(["routes", "198.51.100.0/24"])?;
    assert_eq!(found[0]["metric"], 9, "{found}");
    Ok(())
}

/// RIPv2 alone, and nothing of version 1 (RFC 2453 §5): it has no masks.
#[test]
fn without_ng_no_ripng_is_spoken_and_version_1_is_refused() -> Result<()> {
    let pair = RipPair::start("rip-version", &format!("ng = false\nversion = 2\n{QUICK}"))?;
    let raw = RawRip::open(&pair.theirs, pair.theirs.ipv4(), PORT)?;
    let mut old = response(&[inside(60, 1)]);
    old[1] = 1;
    raw.send(pair.ours.ipv4(), &old)?;
    let near = pair.await_neighbor("192.0.2.2", "sends a bad packet", |near| near["bad_packets"] == 1)?;
    assert!(near["last_error"].as_str().unwrap_or_default().contains("version 1"), "{near}");
    pair.we_lack("10.244.60.0/24", RIP)?;
    raw.send(pair.ours.ipv4(), &response(&[inside(60, 1)]))?;
    pair.we_have("10.244.60.0/24", RIP)?;

    let all = pair.routed.routectl_json(["rip", "interfaces"])?;
    let versions: Vec<&Value> = all.as_array().into_iter().flatten().map(|one| &one["version"]).collect();
    assert_eq!(versions, ["ripv2"], "{all}");
    let sockets = pair.ours.exec(["ss", "-Hlnu"])?.ok()?.stdout;
    assert!(sockets.contains(":520 ") && !sockets.contains(":521 "), "{sockets}");

    pair.routed.write_config(&config("version = 1"))?;
    let refused = pair.routed.check()?;
    assert_eq!(refused.status, 2, "{refused}");
    Ok(())
}
