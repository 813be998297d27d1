use super::change::{Change, diff};
use super::*;

/// Parses and renders the findings, a line each.
fn check(source: &str) -> String {
    let findings = match parse("n1.toml", source) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    findings.iter().fold(String::new(), |text, finding| text + &finding.to_string() + "\n")
}

fn good(source: &str) -> Config {
    parse("n1.toml", source).unwrap_or_else(|findings| panic!("{findings:#?}")).0
}

const PEER: &str = "[bgp]\nasn = 64512\n[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 64512\n";

#[test]
fn an_empty_file_is_the_defaults() {
    let config = good("");
    assert_eq!(config.node.table, 254);
    assert_eq!(config.cluster.pools, defaults::pools());
    assert_eq!(config.bgp, None);
    assert!(config.policy.enabled);
}

#[test]
fn a_node_without_bgp_claims_a_block_unless_it_has_something_to_advertise() {
    for (source, claims) in [
        ("", true),
        ("[rip]\nupdate = 5\n", true),
        ("[cluster]\npools = [\"10.9.0.0/16\"]\n", true),
        ("[ipam]\nclaim = false\n", false),
        ("[ipam]\nblocks = [\"10.244.3.0/24\"]\n", false),
        ("[[advertise]]\ninterface = \"docker0\"\n", false),
        ("[bgp]\nasn = 64512\n", false),
    ] {
        let config = good(source);
        assert_eq!(config.ipam.claim, claims, "{source}");
        assert_eq!(config.rip.is_some(), config.bgp.is_none(), "{source}");
    }
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_known_one() {
    assert_eq!(
        check("[bgp]\nasn = 64512\n[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 1\nhold_tme = 9\n"),
        "n1.toml:6:1: unknown key `hold_tme` in [bgp.peer]; did you mean `hold_time`?\n"
    );
    assert!(
        check("nodes = 1\n")
            .starts_with("n1.toml:1:1: unknown key `nodes` at the top level; did you mean `node`?")
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    let findings = check(
        "[cluster]\npools = [\"10.244.0.1/16\", \"fd00::/200\"]\n[node]\nrouter_id = \"0.0.0.0\"\ntable = 255\n",
    );
    assert_eq!(findings.lines().count(), 4, "{findings}");
    assert!(
        findings.contains(
            "n1.toml:2:10: cluster.pools: \"10.244.0.1/16\" has host bits set; write 10.244.0.0/16"
        )
    );
    assert!(findings.contains("n1.toml:4:13: node.router_id: a router id must not be 0.0.0.0"));
}

#[test]
fn a_peer_that_stands_twice_is_refused() {
    let twice = format!("{PEER}[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 64513\n");
    assert_eq!(check(&twice), "n1.toml:7:11: peer 192.0.2.2 stands twice; keep one\n");
}

#[test]
fn an_address_that_no_peer_can_have_is_refused() {
    let peer = |lines: &str| check(&format!("[bgp]\nasn = 64512\n[[bgp.peer]]\nasn = 64512\n{lines}"));
    for (address, kind) in [
        ("0.0.0.0", "no address"),
        ("::", "no address"),
        ("127.0.0.1", "a loopback address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("224.0.0.5", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("::ffff:192.0.2.2", "an IPv4 address in the form of IPv6"),
        ("255.255.255.255", "the broadcast address"),
    ] {
        assert_eq!(
            peer(&format!("address = \"{address}\"\n")),
            format!("n1.toml:5:11: address: {address} is {kind} and no peer can have it\n")
        );
    }
    let itself = peer("address = \"192.0.2.2\"\nsource = \"192.0.2.2\"\n");
    assert!(itself.starts_with("n1.toml:6:10: source: 192.0.2.2 is the peer itself"), "{itself}");
    let families = peer("address = \"192.0.2.2\"\nsource = \"2001:db8::1\"\n");
    assert!(families.starts_with("n1.toml:6:10: source: 2001:db8::1 cannot reach"), "{families}");
    let port = peer("address = \"192.0.2.2\"\nport = 0\n");
    assert!(port.starts_with("n1.toml:6:8: port: a port from 1 to 65535"), "{port}");
    let ours =
        check(&format!("{PEER}source = \"192.0.2.1\"\n[[bgp.peer]]\nasn = 64512\naddress = \"192.0.2.1\"\n"));
    assert!(ours.starts_with("n1.toml:9:11: address: 192.0.2.1 is this node"), "{ours}");
    assert_eq!(check(&format!("{PEER}source = \"192.0.2.1\"\nport = 1179\n")), "");
}

#[test]
fn what_is_advertised_is_a_range_of_unicast_addresses() {
    for (prefix, what) in [
        ("0.0.0.0/0", "every address"),
        ("::/0", "every address"),
        ("127.0.0.0/8", "loopback"),
        ("224.0.0.0/4", "multicast"),
        ("fe80::/64", "link-local"),
    ] {
        let finding = check(&format!("[[advertise]]\nprefix = \"{prefix}\"\n"));
        assert!(
            finding.starts_with("n1.toml:2:10: advertise.prefix: ") && finding.contains(what),
            "{finding}"
        );
        let finding = check(&format!("[cluster]\npools = [\"{prefix}\"]\n"));
        assert!(finding.starts_with("n1.toml:2:10: cluster.pools: ") && finding.contains(what), "{finding}");
    }
    assert_eq!(check("[[advertise]]\nprefix = \"10.1.10.0/24\"\n"), "");
}

#[test]
fn a_prefix_may_be_advertised_while_an_address_of_it_is_there() {
    let source = "[[advertise]]\nprefix = \"10.96.0.10/32\"\nwhile = \"present\"\n";
    let config = good(source);
    let condition = While::Present;
    let tracked = Advertise::Tracked { prefix: "10.96.0.10/32".parse().unwrap(), condition };
    assert_eq!(config.advertise, [tracked]);
    let printed = config.to_toml().unwrap();
    assert!(printed.contains("prefix = \"10.96.0.10/32\"\nwhile = \"present\""), "{printed}");
    assert_eq!(good(&printed), config);
    assert!(check(&source.replace("present", "there")).contains("\"present\" is expected"));
    let of_link = check("[[advertise]]\ninterface = \"lo\"\nwhile = \"present\"\n");
    assert!(of_link.starts_with("n1.toml:3:9: while: "), "{of_link}");
}

#[test]
fn a_missing_password_file_is_named() {
    let findings = check(&format!("{PEER}password_file = \"/nonexistent/peer.key\"\n"));
    assert_eq!(
        findings,
        "n1.toml:6:17: password_file: /nonexistent/peer.key: no such file; make it, or remove the key\n"
    );
}

#[test]
fn overlapping_pools_are_refused() {
    assert_eq!(
        check("[cluster]\npools = [\"10.0.0.0/8\", \"10.244.0.0/16\"]\n"),
        "n1.toml:2:24: cluster.pools: 10.244.0.0/16 overlaps 10.0.0.0/8 of the same list; keep one\n"
    );
}

#[test]
fn a_syntax_error_has_its_place() {
    assert!(check("[node\nname = 1\n").starts_with("n1.toml:1:"));
}

#[test]
fn an_unknown_filter_is_named_with_those_that_there_are() {
    assert_eq!(
        check(&format!("{PEER}import = \"clusteronly\"\n")),
        "n1.toml:6:10: import: there is no filter \"clusteronly\"; \
         there are cluster-only, local-only, accept-all, reject-all\n"
    );
}

#[test]
fn hold_times_of_one_and_two_seconds_are_refused() {
    for (seconds, fine) in [(0, true), (1, false), (2, false), (3, true), (65535, true), (65536, false)] {
        assert_eq!(check(&format!("{PEER}hold_time = {seconds}\n")).is_empty(), fine, "{seconds}");
    }
}

#[test]
fn keys_of_later_versions_are_named_not_swallowed() {
    let findings = check("[docker]\nsocket = \"/var/run/docker.sock\"\n");
    assert!(findings.contains("n1.toml:1:1: warning: docker: this version knows the key"), "{findings}");
}

#[test]
fn an_interface_of_rip_has_what_the_whole_has_and_its_own() {
    let config = good(
        "[rip]\ninterfaces = [\"eth0\", \"eth1\"]\nupdate = 5\ntimeout = 30\npassive = [\"eth1\"]\n\
         [rip.interface.\"eth1\"]\noffset_in = 3\n",
    );
    let rip = config.rip.as_ref().unwrap();
    assert_eq!(rip.settings_of("eth1").offset_in, 3);
    assert_eq!(rip.settings_of("eth1").update, Duration::from_secs(5));
    assert!(rip.settings_of("eth1").passive.holds_for("eth1"));
    assert_eq!(rip.settings_of("eth0").offset_in, 0);
    assert_eq!(good(&config.to_toml().unwrap()), config);
    assert!(check("[rip]\noffset_in = 16\n").contains("at most 15"));
    assert!(check("[rip]\nversion = 1\n").contains("only version 2"));
}

#[test]
fn keys_of_rip_are_read_from_files_with_their_lifetimes() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "s3cret\n").unwrap();
    let file = key.display();
    let config = good(&format!(
        "[rip]\nauth = {{ mode = \"hmac-sha-256\", keys = [ {{ id = 1, key_file = \"{file}\", \
         send_until = 2027-01-01T00:00:00Z }}, {{ id = 2, key_file = \"{file}\" }} ] }}\n"
    ));
    let auth = config.rip.as_ref().unwrap().settings.auth.as_ref().unwrap();
    assert_eq!(auth.keys[0].send_until, Some(1_798_761_600));
    assert_eq!(auth.keys[1].secret.as_ref().unwrap().expose(), b"s3cret");
    let printed = config.to_toml().unwrap();
    assert!(!printed.contains("s3cret"));
    assert_eq!(good(&printed), config, "{printed}");
    assert!(
        check("[rip]\nauth = { mode = \"text\", key_file = \"/nonexistent\" }\n").contains("no such file")
    );
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let source = format!(
        "[[advertise]]\ninterface = \"docker0\"\n[[advertise]]\nprefix = \"10.1.0.0/24\"\n\
         [[static]]\nprefix = \"10.9.0.0/16\"\nvia = \"192.0.2.254\"\n{PEER}hold_time = 9\n\
         [[filter]]\nname = \"mine\"\nrules = [ {{ prefix = \"10.244.0.0/16 le 32\", action = \"accept\", \
         set = {{ local_pref = 200 }} }}, {{ action = \"reject\" }} ]\n"
    );
    let config = good(&source);
    let printed = config.to_toml().unwrap();
    assert_eq!(good(&printed), config, "{printed}");
}

#[test]
fn what_is_wrong_with_a_filter_is_told_at_the_very_key_all_of_it() {
    let source = "\
[[filter]]
name = \"mine\"
rules = [
  { prefix = \"10.0.0.0/8 le 24\", action = \"accept\" },
  { prefix = \"10.0.0.1/8\", community = \"x\", action = \"allow\" },
  { action = \"accept\", set = { med = 1, local_pref = -1 } },
  { prefx = \"10.0.0.0/8\", action = \"reject\" },
  { prefix = \"10.0.0.0/8\" },
  \"accept\",
]
";
    let findings = check(source);
    let found: Vec<&str> = findings.lines().collect();
    for (line, begins) in found.iter().zip([
        "n1.toml:5:14: filter \"mine\", rule 2: prefix: \"10.0.0.1/8\" has host bits set; write 10.0.0.0/8",
        "n1.toml:5:40: filter \"mine\", rule 2: community: \"x\" is no community",
        "n1.toml:5:54: filter \"mine\", rule 2: action: unknown variant `allow`, expected one of",
        "n1.toml:6:54: filter \"mine\", rule 3: set.local_pref: ",
        "n1.toml:7:13: filter \"mine\", rule 4: prefx: unknown field `prefx`, expected one of",
        "n1.toml:8:3: filter \"mine\", rule 5: a filter rule needs action = ",
        "n1.toml:9:3: filter \"mine\", rule 6: a table is expected, not a string",
    ]) {
        assert!(line.starts_with(begins), "{line}\n{begins}");
    }
    assert_eq!(found.len(), 7, "{findings}");
    assert_eq!(
        check("[[filter]]\nnam = \"a\"\nrules = 1\n"),
        "n1.toml:1:1: [filter] needs the key `name`\n\
         n1.toml:2:1: unknown key `nam` in [filter]; did you mean `name`?\n\
         n1.toml:3:9: filter.rules: a list is expected, not a integer\n"
    );
}

#[test]
fn an_empty_list_is_never_taken_for_no_condition_or_no_key() {
    for condition in ["prefix", "community", "peer", "protocol", "next_hop"] {
        let source =
            format!("[[filter]]\nname = \"a\"\nrules = [ {{ {condition} = [], action = \"accept\" }} ]\n");
        assert!(check(&source).contains("the list is empty and meets nothing"), "{source}");
    }
    let clears = "[[filter]]\nname = \"a\"\nrules = [ { action = \"accept\", set = { community = [] } } ]\n";
    assert_eq!(check(clears), "");
    let source = format!("{PEER}password_file = []\n");
    let expected = "n1.toml:6:17: password_file: the list is empty; name a file, or remove the key\n";
    assert_eq!(check(&source), expected);
}

#[test]
fn the_built_in_filters_are_printed_as_what_they_are() {
    let config = good("[cluster]\npools = [\"10.9.0.0/16\", \"fd00::/48\"]\n");
    let printed = config.to_toml().unwrap();
    let start = printed.find("# [[filter]]").unwrap();
    let uncommented = printed.replace("\n# ", "\n").replace("Built in;", "# Built in;");
    assert!(printed[start..].contains("\"10.9.0.0/16 le 32\", \"fd00::/48 le 128\""), "{printed}");
    let read = good(&uncommented);
    let rules = |name: &str| read.filters.iter().find(|f| &*f.filter.name == name).unwrap().filter.clone();
    assert_eq!(*rules("cluster-only"), rib::filter::cluster_only(&config.cluster.pools));
    assert_eq!(*rules("local-only"), rib::filter::local_only());
}

#[test]
fn a_key_is_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "s3cret\n").unwrap();
    let config = good(&format!("{PEER}password_file = \"{}\"\n", key.display()));
    assert!(!config.to_toml().unwrap().contains("s3cret"));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn our_own_as_in_a_path_is_allowed_as_often_as_is_said() {
    let allowed = |text: &str| good(&format!("{PEER}{text}")).bgp.unwrap().peers[0].allow_own_asn;
    assert_eq!(allowed(""), 0);
    assert_eq!(allowed("allow_own_asn = 2\n"), 2);
    let findings = check(&format!("{PEER}allow_own_asn = true\n"));
    assert_eq!(findings, "n1.toml:6:17: bgp.peer.allow_own_asn: a number is expected, not a boolean\n");
    let once = format!("{PEER}allow_own_asn = 1\n");
    assert_eq!(check(&once), "", "the key acts");
    assert_eq!(good(&good(&once).to_toml().unwrap()), good(&once));
    let address = IpAddr::from([192, 0, 2, 2]);
    assert_eq!(diff(&good(PEER), &good(&once)), [Change::PeerChanged(address.into())]);
}

#[test]
fn a_reload_touches_only_what_changed() {
    let old = good(PEER);
    assert_eq!(diff(&old, &old), []);
    let address = IpAddr::from([192, 0, 2, 2]);
    assert_eq!(diff(&old, &good(&format!("{PEER}hold_time = 9\n"))), [Change::PeerChanged(address.into())]);
    assert_eq!(
        diff(&old, &good(&format!("{PEER}import = \"accept-all\"\n"))),
        [Change::PeerPolicy(address.into())]
    );
    assert_eq!(diff(&old, &good("[bgp]\nasn = 64512\n")), [Change::PeerRemoved(address.into())]);
    assert_eq!(
        diff(&old, &good(&format!("{PEER}[node]\ntable = 100\n"))),
        [Change::NeedsRestart("node.table")]
    );
}

#[test]
fn a_collector_says_what_it_is_shown_and_only_where_there_is_bgp() {
    let bmp = "[[bmp]]\ncollector = \"192.0.2.9:11019\"\n";
    let config = good(&format!("{PEER}{bmp}"));
    let words: Vec<_> = config.bmp[0].monitor.iter().map(|rib| bmp::name_of(*rib)).collect();
    assert_eq!((words, config.bmp[0].statistics), (vec!["pre-policy", "post-policy"], None));
    let all = "monitor = [\"pre-policy\", \"post-policy\", \"loc-rib\", \"adj-rib-out\"]\nstatistics = 60\n";
    let config = good(&format!("{PEER}{bmp}{all}"));
    assert_eq!(config.bmp[0].monitor.len(), 4);
    assert_eq!(config.bmp[0].statistics, Some(Duration::from_secs(60)));
    assert_eq!(good(&config.to_toml().unwrap()), config);
    assert_eq!(diff(&good(PEER), &config), [Change::Collectors]);
    for (source, said) in [
        (bmp.to_owned(), "n1.toml:1:1: [[bmp]] shows BGP sessions and there is no [bgp]; add one\n"),
        (format!("{PEER}{bmp}monitor = \"rib\"\n"), "adj-rib-out\" is expected"),
        (format!("{PEER}{bmp}monitor = []\n"), "bmp.monitor is empty"),
        (format!("{PEER}{bmp}monitr = []\n"), "unknown key `monitr` in [bmp]; did you mean `monitor`?"),
        (format!("{PEER}{bmp}{bmp}"), "has the collector 192.0.2.9:11019 twice"),
        (format!("{PEER}[[bmp]]\n"), "[bmp] needs the key `collector`"),
    ] {
        assert!(check(&source).contains(said), "{}", check(&source));
    }
}
