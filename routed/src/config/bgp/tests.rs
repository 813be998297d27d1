use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::super::change::{Change, diff};
use super::super::runtime::Runtime;
use super::super::{Config, SendCommunities, parse};
use super::*;

const BGP: &str = "[bgp]\nasn = 64512\n";
const PEER: &str = "[bgp]\nasn = 64512\n[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 64513\n";

fn check(source: &str) -> String {
    let findings = match parse("n1.toml", source) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    findings.iter().fold(String::new(), |text, finding| text + &finding.to_string() + "\n")
}

fn good(source: &str) -> Config {
    let (config, warnings) = parse("n1.toml", source).unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert_eq!(warnings, [], "{source}");
    // What is printed means the same; groups are resolved in it.
    let printed = config.to_toml().unwrap();
    assert_eq!(parse("n1.toml", &printed).unwrap().0.to_toml().unwrap(), printed, "{printed}");
    config
}

fn bgp(source: &str) -> Bgp {
    good(source).bgp.unwrap()
}

fn peer(keys: &str) -> Peer {
    bgp(&format!("{PEER}{keys}")).peers.remove(0)
}

/// Files with keys, named by what is in them.
fn key_files(names: &[&str]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("{name}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let path = dir.path().display().to_string();
    (dir, path)
}

#[test]
fn a_peer_has_what_its_group_says_and_its_own_keys_win() {
    let group = "[[bgp.group]]\nname = \"fabric\"\nasn = 65001\nhold_time = 9\nbfd = true\n\
                 max_prefixes = { limit = 5, action = \"warn\" }\n";
    let bgp = bgp(&format!(
        "{BGP}{group}[[bgp.peer]]\naddress = \"192.0.2.2\"\ngroup = \"fabric\"\n\
         [[bgp.peer]]\naddress = \"192.0.2.3\"\ngroup = \"fabric\"\nasn = 65002\nbfd = false\n\
         [[bgp.peer]]\naddress = \"192.0.2.4\"\nasn = 65003\n"
    ));
    let [of_group, own, other] = &bgp.peers[..] else { panic!() };
    assert_eq!((of_group.asn, of_group.hold_time), (Asn(65001).into(), Duration::from_secs(9)));
    assert_eq!(of_group.max_prefixes.action, AtLimit::Warn);
    assert_eq!((of_group.group.as_deref(), of_group.bfd.is_some()), (Some("fabric"), true));
    assert_eq!(
        (own.asn, own.hold_time, own.bfd.is_none()),
        (Asn(65002).into(), Duration::from_secs(9), true)
    );
    assert_eq!((other.group.as_deref(), other.hold_time), (None, Duration::from_secs(90)));
}

#[test]
fn an_as_may_be_any_but_ours_or_ours() {
    let group = "[[bgp.group]]\nname = \"g\"\nasn = \"internal\"\n";
    let bgp = bgp(&format!(
        "{BGP}{group}[[bgp.peer]]\naddress = \"192.0.2.2\"\ngroup = \"g\"\nroute_reflector_client = true\n\
         [[bgp.peer]]\naddress = \"192.0.2.3\"\ngroup = \"g\"\nasn = \"external\"\nas_override = true\n\
         [[bgp.dynamic]]\ninterface = \"eth0\"\nasn = \"external\"\n\
         [[bgp.dynamic]]\nrange = \"192.0.2.128/25\"\ngroup = \"g\"\n"
    ));
    let peers: Vec<PeerAs> = bgp.peers.iter().map(|peer| peer.asn).collect();
    let others: Vec<PeerAs> = bgp.dynamic.iter().map(|others| others.template.asn).collect();
    assert_eq!(
        [peers, others].concat(),
        [PeerAs::Internal, PeerAs::External, PeerAs::External, PeerAs::Internal]
    );
    let wrong = PEER.replace("64513", "\"extern\"");
    assert_eq!(
        check(&wrong),
        "n1.toml:5:7: bgp.peer.asn: \"extern\" is no AS number; write 64512 or, in asdot, 1.10; \"external\" is any AS but \
         ours, \"internal\" is ours\n"
    );
    let words = |whose: &str, key: &str| check(&(PEER.replace("64513", whose) + key));
    assert!(
        words("\"external\"", "route_reflector_client = true\n").contains("for internal peers (RFC 4456)")
    );
    assert!(words("\"internal\"", "as_override = true\n").contains("the peer's AS is ours"));
    let ours = check("[bgp]\nasn = \"external\"\n");
    assert!(ours.contains("is no AS number") && !ours.contains("internal"), "{ours}");
}

#[test]
fn what_is_wrong_with_a_group_is_told_once_and_also_where_nobody_is_in_it() {
    let twice = "[[bgp.peer]]\naddress = \"192.0.2.2\"\ngroup = \"a\"\nasn = 1\n\
                 [[bgp.peer]]\naddress = \"192.0.2.3\"\ngroup = \"a\"\nasn = 1\n";
    for peers in ["", twice] {
        let findings =
            check(&format!("{BGP}[[bgp.group]]\nname = \"a\"\nhold_time = 1\nhold_tme = 9\n{peers}"));
        assert_eq!(findings.lines().count(), 2, "{findings}");
        assert!(findings.starts_with("n1.toml:5:13: hold_time: 0, or from 3"), "{findings}");
        assert!(findings.contains("n1.toml:6:1: unknown key `hold_tme`"), "{findings}");
    }
    let findings = check(&format!("{PEER}group = \"b\"\n"));
    assert_eq!(findings, "n1.toml:6:9: group: there is no [[bgp.group]] \"b\"; there are none\n");
    let twice = "[[bgp.group]]\nname = \"a\"\n[[bgp.group]]\nname = \"a\"\n";
    assert_eq!(check(&format!("{BGP}{twice}")), "n1.toml:6:8: group \"a\" stands twice; keep one\n");
}

#[test]
fn a_range_is_a_passive_peer_without_an_address() {
    let (_dir, path) = key_files(&["k"]);
    let source = format!(
        "{BGP}[[bgp.group]]\nname = \"g\"\nhold_time = 9\nsource = \"192.0.2.1\"\n\
         [[bgp.dynamic]]\nrange = \"192.0.2.0/24\"\nasn = 64512\ngroup = \"g\"\nlimit = 3\npassword_file = \"{path}/k\"\n\
         [[bgp.dynamic]]\nrange = \"192.0.2.128/25\"\nasn = 64513\n"
    );
    let bgp = bgp(&source);
    let of = |address: &str| bgp.range_of(address.parse().unwrap());
    let peer = of("192.0.2.7").unwrap().peer("192.0.2.7".parse().unwrap());
    assert_eq!((peer.address, peer.asn), (IpAddr::from([192, 0, 2, 7]), Asn(64512).into()));
    assert_eq!((peer.hold_time, peer.passive), (Duration::from_secs(9), true));
    assert_eq!(peer.origin, PeerOrigin::Range("192.0.2.0/24".parse().unwrap()));
    assert_eq!((peer.passwords.len(), bgp.dynamic[0].limit), (1, 3));
    assert_eq!(of("192.0.2.200").unwrap().template.asn, Asn(64513).into(), "the smaller range decides");
    assert_eq!(of("192.0.2.200").unwrap().limit, defaults::DYNAMIC_PEERS);
    assert_eq!(of("192.0.3.1"), None);
    // What has no effect is said, and no reason not to start.
    let idle =
        parse("n1.toml", &format!("{BGP}[[bgp.dynamic]]\nrange = \"192.0.2.0/24\"\nasn = 1\nport = 1179\n"));
    assert!(idle.is_ok_and(|(_, warnings)| warnings.len() == 1));
    for (keys, says) in [
        ("range = \"192.0.2.0/24\"\n", "needs the key `asn`"),
        ("asn = 1\n", "needs the key `range`"),
        ("range = \"192.0.2.0/24\"\nasn = 1\nport = 1179\n", "never dialled"),
        ("range = \"192.0.2.0/24\"\nasn = 1\nlimit = 0\n", "at least one peer"),
        ("range = \"224.0.0.0/8\"\nasn = 1\n", "no range of unicast"),
    ] {
        let findings = check(&format!("{BGP}[[bgp.dynamic]]\n{keys}"));
        assert!(findings.contains(says), "{findings}");
    }
}

#[test]
fn max_prefixes_is_a_number_or_a_table() {
    let plain = peer("max_prefixes = 7\n").max_prefixes;
    assert_eq!((plain.limit, plain.action, plain.restart), (7, AtLimit::Shut, None));
    let table =
        peer("max_prefixes = { limit = 200, warn = 50, action = \"shut\", restart = 30 }\n").max_prefixes;
    assert_eq!((table.limit, table.warn_from(), table.restart), (200, 100, Some(Duration::from_secs(30))));
    assert_eq!(
        peer("max_prefixes = { limit = 2, action = \"discard\" }\n").max_prefixes.action,
        AtLimit::Discard
    );
    for (value, says) in [
        ("{ warn = 50 }", "needs the key `limit`"),
        ("{ limit = 1, warn = 101 }", "from 1 to 100"),
        ("{ limit = 1, action = \"drop\" }", "\"warn\", \"discard\" or \"shut\""),
        ("{ limit = 1, action = \"warn\", restart = 3 }", "nothing is shut"),
        ("{ limit = 1, restrat = 3 }", "did you mean `restart`?"),
        ("\"many\"", "a number is expected"),
    ] {
        let findings = check(&format!("{PEER}max_prefixes = {value}\n"));
        assert!(findings.contains(says), "{value}: {findings}");
    }
}

#[test]
fn communities_are_told_all_none_or_by_kind() {
    let sent = |keys: &str| {
        let SendCommunities { standard, extended, large } = peer(keys).send_communities;
        (standard, extended, large)
    };
    assert_eq!(sent(""), (true, true, true));
    assert_eq!(sent("send_communities = true\n"), (true, true, true));
    assert_eq!(sent("send_communities = false\n"), (false, false, false));
    assert_eq!(sent("send_communities = [\"standard\", \"large\"]\n"), (true, false, true));
    let findings = check(&format!("{PEER}send_communities = \"some\"\n"));
    assert!(findings.contains("a list of \"standard\""), "{findings}");
}

#[test]
fn every_key_of_a_list_is_read() {
    let (_dir, path) = key_files(&["new", "old"]);
    let peer = peer(&format!("password_file = [\"{path}/new\", \"{path}/old\"]\n"));
    let keys: Vec<&[u8]> = peer.passwords.iter().map(crate::config::Secret::expose).collect();
    assert_eq!(keys, [&b"new"[..], b"old"]);
    let findings = check(&format!("{PEER}password_file = [\"{path}/new\", \"{path}/none\"]\n"));
    assert!(findings.contains("/none: no such file"), "{findings}");
}

#[test]
fn a_key_that_anybody_can_read_is_warned_of() {
    let ways = ["password_file = KEY", "tcp_ao = { key_file = KEY }"];
    let (_dir, path) = key_files(&["key"]);
    for (mode, warns) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
        std::fs::set_permissions(format!("{path}/key"), std::fs::Permissions::from_mode(mode)).unwrap();
        for way in ways.map(|way| way.replace("KEY", &format!("\"{path}/key\""))) {
            let findings = check(&format!("{PEER}{way}\n"));
            assert_eq!(
                findings.contains("warning") && findings.contains("chmod o-rwx"),
                warns,
                "{way} {mode:o}: {findings}"
            );
        }
    }
}

#[test]
fn a_filter_that_begins_the_accumulated_metric_is_for_export() {
    let file = |way: &str| {
        format!(
            "{PEER}{way} = \"f\"\n[[filter]]\nname = \"f\"\nrules = [{{ action = \"accept\", set = {{ aigp = 30 }} }}]\n"
        )
    };
    assert_eq!(check(&file("export")), "");
    assert!(check(&file("import")).contains("which is for export"));
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    for (keys, says) in [
        ("route_reflector_client = true\n", "for internal peers"),
        ("as_override = true\nlocal_asn = 64513\n", "for external peers"),
        ("ttl_security = 1\nmultihop = 2\n", "exclude each other"),
        ("hold_time = 9\nkeepalive = 9\n", "shorter than hold_time"),
        ("keepalive = 0\n", "at least one second"),
        ("local_asn = 64512\n", "is bgp.asn already"),
    ] {
        let findings = check(&format!("{PEER}{keys}"));
        assert!(findings.contains(says), "{keys}: {findings}");
    }
    assert!(
        peer("local_asn = 64513\nroute_reflector_client = true\n").route_reflector_client,
        "internal by it"
    );
}

#[test]
fn a_reload_resets_a_session_only_for_what_is_said_in_the_open() {
    let (_dir, path) = key_files(&["new", "old"]);
    let file = |keys: &str| good(&format!("{PEER}{keys}"));
    let address = IpAddr::from([192, 0, 2, 2]);
    for (old, new, change) in [
        ("", "shutdown = \"work\"\n", Change::PeerPolicy(address.into())),
        ("", "max_prefixes = { limit = 1, action = \"warn\" }\n", Change::PeerPolicy(address.into())),
        ("", "send_communities = false\n", Change::PeerPolicy(address.into())),
        ("", "as_override = true\n", Change::PeerPolicy(address.into())),
        ("", "local_asn = 64999\n", Change::PeerChanged(address.into())),
        ("", "passive = true\n", Change::PeerChanged(address.into())),
    ] {
        assert_eq!(diff(&file(old), &file(new)), [change], "{new}");
    }
    let [old, new] = ["old", "new"].map(|name| file(&format!("password_file = \"{path}/{name}\"\n")));
    assert_eq!(diff(&old, &new), [Change::PeerPolicy(address.into())], "another key is put on the session");
    assert_eq!(diff(&old, &file("")), [Change::PeerChanged(address.into())], "no key at all is not");
}

#[test]
fn a_reload_follows_ranges_and_their_filters() {
    let range = format!("{BGP}[[bgp.dynamic]]\nrange = \"192.0.2.0/24\"\nasn = 64512\nimport = \"f\"\n");
    let with =
        |rule: &str| good(&format!("{range}[[filter]]\nname = \"f\"\nrules = [{{ action = \"{rule}\" }}]\n"));
    assert_eq!(diff(&with("accept"), &with("accept")), []);
    assert_eq!(diff(&with("accept"), &with("reject")), [Change::Ranges]);
    assert_eq!(diff(&with("accept"), &good(BGP)), [Change::Ranges]);
}

#[test]
fn paths_with_sets_are_refused_unless_the_file_says_otherwise() {
    assert!(bgp(BGP).reject_as_sets && !bgp(BGP).graceful_shutdown);
    let other = bgp(&format!("{BGP}reject_as_sets = false\ngraceful_shutdown = true\n"));
    assert!(!other.reject_as_sets && other.graceful_shutdown);
    let marked = good(&format!("{BGP}graceful_shutdown = true\n"));
    assert_eq!(diff(&good(BGP), &marked), [Change::Marks]);
}

#[test]
fn what_is_told_when_it_is_installed_is_a_question_for_the_start() {
    let pending = good(&format!("{BGP}suppress_fib_pending = true\n"));
    assert!(pending.tells_installed_only() && !good(BGP).tells_installed_only());
    let off = good(&format!("[kernel]\ninstall = false\n{BGP}suppress_fib_pending = true\n"));
    assert!(!off.tells_installed_only(), "nothing could ever be told");
    assert_eq!(diff(&good(BGP), &pending), [Change::NeedsRestart("bgp")]);
}

#[test]
fn the_interval_of_announcements_is_off_has_a_bound_and_changes_under_a_session() {
    let peer = |key: &str| format!("{BGP}[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 65001\n{key}");
    let interval = |key: &str| bgp(&peer(key)).peers[0].advertisement_interval.as_secs();
    assert_eq!((interval(""), interval("advertisement_interval = 30\n")), (0, 30));
    let (old, new) = (good(&peer("")), good(&peer("advertisement_interval = 600\n")));
    assert_eq!(diff(&old, &new), [Change::PeerPolicy(new.bgp.as_ref().unwrap().peers[0].key())]);
    let findings = crate::config::parse("test", &peer("advertisement_interval = 601\n")).unwrap_err();
    assert!(findings[0].message.contains("0 (off) to 600"), "{findings:?}");
}

#[test]
fn peers_added_over_the_api_are_read_with_the_file_which_comes_first() {
    let table = |text: &str| text.parse::<toml::Table>().unwrap();
    let (file, added, bad): (IpAddr, IpAddr, IpAddr) =
        ("192.0.2.2".parse().unwrap(), "192.0.2.9".parse().unwrap(), "192.0.2.10".parse().unwrap());
    let runtime = Runtime {
        peers: [
            (file.into(), table("asn = 1")),
            (added.into(), table("asn = 64514\ngroup = \"g\"")),
            (bad.into(), table("asn = 1\nimport = \"gone\"")),
        ]
        .into(),
        disabled: [(file.into(), "work".to_owned())].into(),
    };
    let source = format!("{PEER}[[bgp.group]]\nname = \"g\"\nhold_time = 9\n");
    let (config, warnings) = super::super::parse_with("n1.toml", &source, &runtime).unwrap();
    let peers = config.bgp.unwrap().peers;
    assert_eq!(peers.iter().map(|peer| peer.address).collect::<Vec<_>>(), [file, added]);
    assert_eq!((peers[0].asn, peers[0].shutdown.as_deref()), (Asn(64513).into(), Some("work")));
    assert_eq!((peers[1].origin, peers[1].hold_time), (PeerOrigin::Runtime, Duration::from_secs(9)));
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[0].contains("192.0.2.2 was added over the API and stands in the file"), "{warnings:?}");
    assert!(
        warnings[1].contains("192.0.2.10, added over the API, is left out: import: there is no filter"),
        "{warnings:?}"
    );
    let kept: Runtime = serde_json::from_str(&serde_json::to_string(&runtime).unwrap()).unwrap();
    assert_eq!(kept, runtime, "the state directory keeps it");
}

#[test]
fn tcp_ao_takes_keys_with_ids_and_nothing_beside_them() {
    let (_dir, path) = key_files(&["a", "b"]);
    // Whether this kernel has TCP-AO is a warning, no error.
    let ao = |text: &str| {
        let source = format!("{PEER}tcp_ao = {text}\n");
        parse("n1.toml", &source).map(|(config, _)| config).map_err(|_| check(&source))
    };
    let one = ao(&format!("{{ key_file = \"{path}/a\" }}")).unwrap();
    let keys = &one.bgp.as_ref().unwrap().peers[0].tcp_ao;
    assert_eq!((keys[0].send_id, keys[0].receive_id, keys[0].key.expose()), (1, 1, &b"a"[..]));
    let two = ao(&format!(
        "[ {{ key_file = \"{path}/b\", send_id = 2, receive_id = 3, algorithm = \"aes-128-cmac-96\" }}, \
         {{ key_file = \"{path}/a\" }} ]"
    ))
    .unwrap();
    let printed = two.to_toml().unwrap();
    assert!(printed.contains("aes-128-cmac-96") && printed.contains("receive_id = 3"), "{printed}");
    assert_eq!(parse("n1.toml", &printed).unwrap().0.to_toml().unwrap(), printed);
    assert_eq!(diff(&one, &two), [Change::PeerChanged(PeerKey::Address(IpAddr::from([192, 0, 2, 2])))]);
    for (text, says) in [
        (
            format!("[ {{ key_file = \"{path}/a\" }}, {{ key_file = \"{path}/b\" }} ]"),
            "a send_id and a receive_id of its own",
        ),
        ("{ send_id = 1 }".to_owned(), "needs the key `key_file`"),
        (format!("{{ key_file = \"{path}/none\" }}"), "none: no such file"),
        (format!("{{ key_file = \"{path}/a\", algorithm = \"md5\" }}"), "aes-128-cmac-96"),
        (format!("{{ key_file = \"{path}/a\" }}\npassword_file = \"{path}/b\""), "exclude each other"),
    ] {
        let findings = ao(&text).unwrap_err();
        assert!(findings.contains(says), "{text}: {findings}");
    }
}

const INTERFACE: &str = "[bgp]\nasn = 64512\n[[bgp.peer]]\ninterface = \"eth1\"\nasn = 64513\n";

#[test]
fn the_peer_of_an_interface_needs_no_address() {
    assert_eq!(check(INTERFACE), "");
    let peer = good(INTERFACE).bgp.unwrap().peers[0].clone();
    assert_eq!((peer.key().to_string(), peer.name()), ("eth1".to_owned(), "eth1".to_owned()));
    let found = Peer { address: "fe80::7".parse().unwrap(), scope: Some(3), ..peer };
    assert_eq!((found.key().to_string(), found.name()), ("eth1".to_owned(), "fe80::7%eth1".to_owned()));
    assert_eq!(found.socket_address().to_string(), "[fe80::7%3]:179");
    let fixed = good(&format!("{INTERFACE}address = \"fe80::9\"\n"));
    assert_eq!(fixed.bgp.as_ref().unwrap().peers[0].name(), "fe80::9%eth1");
    for config in [good(INTERFACE), fixed] {
        assert_eq!(good(&config.to_toml().unwrap()), config);
    }
}

#[test]
fn the_guard_is_on_unless_the_file_says_otherwise_and_needs_no_restart() {
    assert!(bgp(BGP).guard);
    let off = good(&format!("{BGP}guard = false\n"));
    assert_eq!(diff(&good(BGP), &off), [Change::Guard]);
}

#[test]
fn what_does_not_go_with_an_interface_is_said() {
    for (keys, says) in [
        ("address = \"192.0.2.1\"", "goes with a link-local address"),
        ("address = \"fd00::1\"", "goes with a link-local address"),
        ("source = \"fe80::1\"", "source: not with `interface`"),
        ("multihop = 2", "multihop: not with `interface`"),
        ("[[bgp.peer]]\ninterface = \"eth1\"\nasn = 1", "peer eth1 stands twice"),
        ("[[bgp.peer]]\ninterface = \"a/b\"\nasn = 1", "no name that an interface can have"),
        ("[[bgp.peer]]\naddress = \"fe80::1\"\nasn = 1", "say with `interface` on which one"),
        ("[[bgp.dynamic]]\nrange = \"fd00::/64\"\ninterface = \"eth1\"\nasn = 1", "not beside `range`"),
    ] {
        let findings = check(&format!("{INTERFACE}{keys}\n"));
        assert!(findings.contains(says), "{keys}: {findings}");
    }
    let group = format!("{INTERFACE}group = \"g\"\n[[bgp.group]]\nname = \"g\"\nsource = \"fd00::1\"\n");
    assert_eq!(check(&group), "", "what a group says for others does not count here");
}

#[test]
fn a_reload_follows_the_peers_of_interfaces() {
    let none = good("[bgp]\nasn = 64512\n");
    let key = || PeerKey::Interface("eth1".to_owned());
    assert_eq!(diff(&none, &good(INTERFACE)), [Change::PeerAdded(key())]);
    assert_eq!(diff(&good(INTERFACE), &none), [Change::PeerRemoved(key())]);
    let fixed = good(&format!("{INTERFACE}address = \"fe80::9\"\n"));
    assert_eq!(diff(&good(INTERFACE), &fixed), [Change::PeerChanged(key())]);
}

#[test]
fn every_router_of_a_link_is_a_peer_where_a_dynamic_one_says_so() {
    let source = "[bgp]\nasn = 64512\n[[bgp.group]]\nname = \"g\"\nsource = \"192.0.2.1\"\nmultihop = 3\n\
                  [[bgp.dynamic]]\ninterface = \"eth1\"\nasn = 64512\ngroup = \"g\"\nport = 1179\nlimit = 3\n";
    let config = good(source);
    let bgp = config.bgp.clone().unwrap();
    let dynamic = bgp.on_link("eth1").unwrap();
    assert_eq!((dynamic.limit, dynamic.range(), bgp.on_link("eth2")), (3, None, None));
    let address = "fe80::7".parse().unwrap();
    let peer = dynamic.router(address, 5);
    assert_eq!((peer.name(), peer.key()), ("fe80::7%eth1".into(), PeerKey::Link(address, "eth1".into())));
    assert_eq!((peer.scope, peer.port, peer.passive), (Some(5), 1179, false));
    assert_eq!((peer.source, peer.multihop, peer.origin), (None, None, PeerOrigin::Link));
    assert_eq!(bgp.range_of(address.into()), None);
    let printed = config.to_toml().unwrap();
    assert!(printed.contains("interface = \"eth1\""), "{printed}");
    let again = good(&printed).bgp.unwrap().dynamic;
    assert_eq!((again[0].who.clone(), again[0].limit), (dynamic.who.clone(), 3), "{printed}");
    assert_eq!(diff(&good("[bgp]\nasn = 64512\n"), &config), [Change::Ranges]);
    for (keys, says) in [
        ("interface = \"a/b\"\nasn = 1\n", "no name that an interface can have"),
        ("interface = \"eth1\"\nasn = 1\nsource = \"fe80::1\"\n", "source: not with `interface`"),
        ("interface = \"eth1\"\nasn = 1\nlimit = 2000\n", "at most 1024"),
        (
            "interface = \"eth1\"\nasn = 1\n[[bgp.dynamic]]\ninterface = \"eth1\"\nasn = 1\n",
            "interface eth1 stands twice",
        ),
        ("interface = \"eth1\"\nasn = 1\n[[bgp.peer]]\ninterface = \"eth1\"\nasn = 1\n", "keep one"),
    ] {
        let findings = check(&format!("[bgp]\nasn = 64512\n[[bgp.dynamic]]\n{keys}"));
        assert!(findings.contains(says), "{findings}");
    }
}
