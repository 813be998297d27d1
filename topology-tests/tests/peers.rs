//! Who may be a peer, how many prefixes it may send, with which key, and what
//! each end is told when the other is shut down.

use std::time::Duration;

use lab::{
    Error, Host, Lab, Result,
    cluster::{base_config, bgp_routes},
    pair::{ASN, THEIR_4},
    peer::{Bird, Frr, Routed},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
/// The AS of the other router.
const THEIRS: u32 = 65001;

fn detail(routed: &Routed, peer: &Host) -> Result<Value> {
    routed.routectl_json(["peers", &peer.ipv4().to_string()])
}

/// Waits until the detail of a peer is as `look` wants it.
fn await_detail(routed: &Routed, peer: &Host, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
    peer.lab().wait_until(what, LIMIT, || {
        let detail = detail(routed, peer).map_err(|e| e.to_string())?;
        if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
    })
}

fn is_up(detail: &Value) -> bool {
    detail["state"] == "Established"
}

/// BIRD with one session to `ours`, and a prefix.
fn bird(host: &Host, ours: &Host, more: &str) -> Result<Bird> {
    bird_to(host, ours, ASN, more, "next hop self;")
}

/// The same to routed as AS `asn`, with `channel` in what it tells and takes.
fn bird_to(host: &Host, ours: &Host, asn: u32, more: &str, channel: &str) -> Result<Bird> {
    let config = format!(
        "protocol device {{}}\nprotocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
         protocol bgp r4 {{ local {} as {THEIRS}; neighbor {} as {asn}; {more} connect retry time 1;\n \
         error wait time 1, 2; ipv4 {{ import all; export where source = RTS_STATIC; {channel} }}; }}\n",
        host.ipv4(),
        ours.ipv4()
    );
    Bird::start(host, &config)
}

/// FRR that waits for a session with `ours`, and these prefixes.
fn frr(host: &Host, ours: &Host, prefixes: &[&str]) -> Result<Frr> {
    let networks = prefixes.iter().map(|prefix| format!("  network {prefix}\n")).collect::<Vec<_>>().concat();
    let config = format!(
        "router bgp {THEIRS}\n bgp router-id {id}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         neighbor {v4} remote-as {ASN}\n neighbor {v4} passive\n \
         address-family ipv4 unicast\n{networks} exit-address-family\n",
        id = host.ipv4(),
        v4 = ours.ipv4(),
    );
    Frr::start(host, &config, "")
}

fn configured(peer: &Host, keys: &str) -> String {
    format!("\n[[bgp.peer]]\naddress = \"{}\"\nasn = {THEIRS}\nconnect_retry = 1\n{keys}\n", peer.ipv4())
}

#[test]
fn peers_of_a_range_dial_in_with_its_key_up_to_its_limit_and_are_forgotten_when_gone() -> Result<()> {
    let lab = Lab::new("range")?;
    let (ours, one, two) = (lab.host("n1")?, lab.router("one")?, lab.router("two")?);
    let _container = ours.container("c1")?;
    let key = lab.dir().join("range.key");
    std::fs::write(&key, "s3cret\n").map_err(Error::file(&key))?;
    let range = format!(
        "\n[bgp.graceful_restart]\ntime = 0\n[[bgp.group]]\nname = \"leaves\"\nhold_time = 9\n\
         [[bgp.dynamic]]\nrange = \"192.0.2.0/24\"\nasn = {THEIRS}\nlimit = 1\ngroup = \"leaves\"\n\
         password_file = \"{}\"\n",
        key.display()
    );
    let routed = Routed::start(&ours, &(base_config(&ours, ASN) + &range))?;
    assert_eq!(
        routed.routectl_json(["peers"])?,
        serde_json::json!([]),
        "nobody is there before somebody dials"
    );

    let first = bird(&one, &ours, "password \"s3cret\";")?;
    let detail = await_detail(&routed, &one, "the first of the range is up", is_up)?;
    assert_eq!((&detail["dynamic"], &detail["settings"]["group"]), (&Value::from(true), &"leaves".into()));
    assert_eq!(
        (&detail["settings"]["range"], &detail["settings"]["tcp_md5_key"]),
        (&"192.0.2.0/24".into(), &1.into())
    );
    lab.wait_until("its prefix is in our kernel, and ours in its table", LIMIT, || {
        let have = bgp_routes(&ours).map_err(|e| e.to_string())?;
        let told = first.routes().map_err(|e| e.to_string())?;
        let both = have.iter().any(|p| p == THEIR_4) && told.iter().any(|r| r.prefix == ours.subnet4());
        if both { Ok(()) } else { Err(format!("{have:?}, {told:?}")) }
    })?;

    let second = bird(&two, &ours, "password \"s3cret\";")?;
    lab.wait_until("the second is refused", LIMIT, || {
        let log = routed.log().map_err(|e| e.to_string())?;
        if log.contains("as many peers of the range as its limit allows") {
            Ok(())
        } else {
            Err("no word".into())
        }
    })?;
    assert_ne!(second.protocol_state("r4")?, "Established");

    first.birdc_write("disable r4")?;
    await_detail(&routed, &two, "the second has the place of the first", is_up)?;
    assert_eq!(routed.session_state(&one.ipv4().to_string())?, "no such peer", "who has gone is forgotten");

    // The key of the range is needed.
    std::fs::write(&key, "other\n").map_err(Error::file(&key))?;
    second.birdc_write("disable r4")?;
    routed.routectl(["reload"])?.ok()?;
    second.birdc_write("enable r4")?;
    lab.wait_until("without its key nobody gets in", LIMIT, || {
        let state = second.protocol_state("r4").map_err(|e| e.to_string())?;
        let peers = routed.routectl_json(["peers"]).map_err(|e| e.to_string())?;
        if state.starts_with("Connect") && peers == serde_json::json!([]) {
            Ok(())
        } else {
            Err(format!("{state} {peers}"))
        }
    })
}

#[test]
fn shutdown_with_a_message_is_shown_at_both_ends() -> Result<()> {
    let lab = Lab::new("shutdown")?;
    let (ours, theirs) = (lab.host("n1")?, lab.router("peer")?);
    let config = |keys: &str| base_config(&ours, ASN) + &configured(&theirs, keys);
    let routed = Routed::start(&ours, &config(""))?;
    let bird = bird(&theirs, &ours, "")?;
    await_detail(&routed, &theirs, "the session is up", is_up)?;

    routed.write_config(&config("shutdown = \"new cables until noon\""))?;
    routed.routectl(["reload"])?.ok()?;
    lab.wait_until("BIRD logs our message", LIMIT, || {
        let log = bird.log().map_err(|e| e.to_string())?;
        if log.contains("new cables until noon") { Ok(()) } else { Err(log) }
    })?;
    let down = await_detail(&routed, &theirs, "the peer is disabled", |d| d["disabled"] == true)?;
    assert!(down["last_error"].as_str().is_some_and(|e| e.contains("new cables until noon")), "{down}");
    let sent = down["notification_sent"]["text"].as_str().unwrap_or_default();
    assert!(sent.contains("Administrative Shutdown") && sent.contains("new cables until noon"), "{down}");

    routed.write_config(&config(""))?;
    routed.routectl(["reload"])?.ok()?;
    await_detail(&routed, &theirs, "the session is up again", is_up)?;

    // The words of a shutdown go out whatever else the same reload changes.
    routed.write_config(&config("shutdown = \"and a new hold time\"\nhold_time = 30"))?;
    routed.routectl(["reload"])?.ok()?;
    lab.wait_until("BIRD logs our other message", LIMIT, || {
        let log = bird.log().map_err(|e| e.to_string())?;
        if log.contains("and a new hold time") { Ok(()) } else { Err(log) }
    })?;
    let address = theirs.ipv4().to_string();
    let refused = routed.routectl(["peers", "refresh", &address])?;
    assert!(refused.status == 1 && refused.stderr.contains("is not Established"), "{refused:?}");
    routed.write_config(&config(""))?;
    routed.routectl(["reload"])?.ok()?;
    await_detail(&routed, &theirs, "the session is up once more", is_up)?;

    bird.birdc_write("disable r4 \"moving house\"")?;
    await_detail(&routed, &theirs, "we show the message of BIRD", |d| {
        d["notification_received"]["text"].as_str().is_some_and(|text| text.contains("moving house"))
    })?;
    Ok(())
}

#[test]
fn prefixes_beyond_the_limit_are_discarded_or_end_the_session_for_a_while() -> Result<()> {
    let lab = Lab::new("maxprefix")?;
    let (ours, theirs) = (lab.host("n1")?, lab.router("peer")?);
    let config = |max: &str| {
        base_config(&ours, ASN)
            + &configured(&theirs, &format!("export = \"reject-all\"\nmax_prefixes = {max}"))
    };
    let routed = Routed::start(&ours, &config("{ limit = 2, action = \"discard\" }"))?;
    let frr = frr(&theirs, &ours, &["10.244.50.0/24", "10.244.51.0/24", "10.244.52.0/24"])?;
    let discarded = await_detail(&routed, &theirs, "one of three is discarded", |d| d["discarded"] == 1)?;
    assert!(is_up(&discarded) && discarded["prefixes_received"] == 2, "{discarded}");
    lab.wait_until("two are in the kernel", LIMIT, || {
        let have = bgp_routes(&ours).map_err(|e| e.to_string())?;
        if have.len() == 2 { Ok(()) } else { Err(format!("{have:?}")) }
    })?;

    routed.write_config(&config("{ limit = 2, action = \"warn\" }"))?;
    routed.routectl(["reload"])?.ok()?;
    routed.routectl(["peers", "refresh", &theirs.ipv4().to_string()])?.ok()?;
    let warned =
        await_detail(&routed, &theirs, "with a warning all are taken", |d| d["prefixes_received"] == 3)?;
    assert!(is_up(&warned), "{warned}");
    assert!(routed.log()?.contains("more prefixes than max_prefixes; they are taken"));

    routed.write_config(&config("{ limit = 2, action = \"shut\", restart = 2 }"))?;
    routed.routectl(["reload"])?.ok()?;
    // As Hard Reset, for FRR would keep routes over any other NOTIFICATION (RFC 8538 §3).
    await_detail(&routed, &theirs, "the session is shut", |d| {
        d["notification_sent"]["text"].as_str().is_some_and(|text| text.contains("(6/1)"))
    })?;
    lab.wait_until("it is tried again, more than once", LIMIT, || {
        let log = routed.log().map_err(|e| e.to_string())?;
        let tried = log.matches("sent too many prefixes is tried again").count();
        if tried >= 2 { Ok(()) } else { Err(format!("{tried} times")) }
    })?;
    frr.configure(&[
        &format!("router bgp {THEIRS}"),
        "address-family ipv4 unicast",
        "no network 10.244.52.0/24",
    ])?;
    await_detail(&routed, &theirs, "with fewer prefixes it stays up", |d| {
        is_up(d) && d["prefixes_received"] == 2
    })?;
    Ok(())
}

#[test]
fn keys_roll_over_without_a_reset() -> Result<()> {
    let lab = Lab::new("rollover")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let file = |name: &str| lab.dir().join(name).display().to_string();
    for name in ["old", "new"] {
        std::fs::write(file(name), format!("{name}-s3cret\n")).map_err(Error::file(lab.dir()))?;
    }
    let config = |here: &Host, there: &Host, keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|key| format!("\"{}\"", file(key))).collect();
        base_config(here, ASN)
            + &format!(
                "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {ASN}\nconnect_retry = 1\nhold_time = 9\n\
                 password_file = [{}]\n",
                there.ipv4(),
                keys.join(", ")
            )
    };
    let first = Routed::start(&one, &config(&one, &two, &["old"]))?;
    let second = Routed::start(&two, &config(&two, &one, &["old"]))?;
    await_detail(&first, &two, "the session is up", is_up)?;
    let change = |routed: &Routed, config: String| -> Result<()> {
        routed.write_config(&config)?;
        routed.routectl(["reload"])?.ok().map(drop)
    };
    // The first still accepts the old key, and goes on with it.
    change(&first, config(&one, &two, &["new", "old"]))?;
    let kept = detail(&first, &two)?;
    assert_eq!((&kept["settings"]["tcp_md5_keys"], &kept["settings"]["tcp_md5_key"]), (&2.into(), &2.into()));
    // The second has the new one only: the first follows before the hold time is over.
    change(&second, config(&two, &one, &["new"]))?;
    await_detail(&first, &two, "the first has followed", |d| d["settings"]["tcp_md5_key"] == 1)?;
    change(&first, config(&one, &two, &["new"]))?;
    let before = detail(&first, &two)?["messages"]["received"]["keepalive"].as_u64();
    let after = await_detail(&first, &two, "keepalives go on for longer than the hold time", |d| {
        d["messages"]["received"]["keepalive"].as_u64() >= before.map(|before| before + 4)
    })?;
    assert_eq!((&after["state"], &after["established_count"]), (&"Established".into(), &1.into()), "{after}");
    // A new session takes the new key.
    first.routectl(["peers", "reset", &two.ipv4().to_string()])?.ok()?;
    await_detail(&first, &two, "there is a second session", |d| is_up(d) && d["established_count"] == 2)?;
    Ok(())
}

#[test]
fn a_peer_with_the_other_key_of_the_list_gets_in_whoever_dials() -> Result<()> {
    let lab = Lab::new("keys")?;
    let (ours, theirs) = (lab.host("n1")?, lab.router("peer")?);
    for name in ["old", "new"] {
        std::fs::write(lab.dir().join(name), format!("{name}-s3cret\n")).map_err(Error::file(lab.dir()))?;
    }
    let dir = lab.dir().display();
    let keys = format!("password_file = [\"{dir}/new\", \"{dir}/old\"]");
    let config = |more: &str| base_config(&ours, ASN) + &configured(&theirs, &format!("{keys}\n{more}"));
    let routed = Routed::start(&ours, &config("passive = true"))?;
    let dials = bird(&theirs, &ours, "password \"old-s3cret\";")?;
    await_detail(&routed, &theirs, "BIRD gets in with the old key", is_up)?;
    drop(dials);
    let _waits = bird(&theirs, &ours, "password \"old-s3cret\"; passive yes;")?;
    routed.write_config(&config(""))?;
    routed.routectl(["reload"])?.ok()?;
    await_detail(&routed, &theirs, "BIRD answers to the old key", |d| {
        is_up(d) && d["settings"]["tcp_md5_key"] == 2
    })?;
    Ok(())
}

#[test]
fn sites_of_one_as_hear_each_other_through_an_as_of_their_own_choosing() -> Result<()> {
    let lab = Lab::new("override")?;
    let (ours, one, two) = (lab.host("n1")?, lab.router("one")?, lab.router("two")?);
    let keys = "export = \"all\"\nlocal_asn = 64999\nas_override = true\n\
                send_communities = [\"standard\", \"extended\"]";
    let filter = "\n[[filter]]\nname = \"all\"\nrules = [ { action = \"accept\", add = { community = \"64512:7\", \
                  large_community = \"64512:1:2\", ext_community = \"rt:64512:100\" } } ]\n";
    let config = base_config(&ours, ASN) + &configured(&one, keys) + &configured(&two, keys) + filter;
    let routed = Routed::start(&ours, &config)?;
    let _first = bird_to(&one, &ours, 64999, "", "next hop self;")?;
    let second = Bird::start(
        &two,
        &format!(
            "protocol device {{}}\nprotocol direct {{ ipv4; }}\n\
             protocol bgp r4 {{ local {} as {THEIRS}; neighbor {} as 64999; ipv4 {{ import all; export none; }}; }}\n",
            two.ipv4(),
            ours.ipv4()
        ),
    )?;
    let text = lab.wait_until("the second site has the prefix of the first", LIMIT, || {
        let text = second.birdc(&format!("show route for {THEIR_4} all")).map_err(|e| e.to_string())?;
        if text.contains("BGP.as_path: 64999 64999\n") { Ok(text) } else { Err(text) }
    })?;
    assert!(text.contains("(64512,7)") && text.contains("(rt, 64512, 100)"), "{text}");
    assert!(!text.contains("64512, 1, 2"), "large communities are not told: {text}");
    assert_eq!(detail(&routed, &one)?["local_asn"], 64999);
    Ok(())
}

#[test]
fn a_peer_has_packets_dropped_here_where_a_filter_allows_it() -> Result<()> {
    let lab = Lab::new("blackhole")?;
    let (ours, theirs) = (lab.host("n1")?, lab.router("peer")?);
    let rules = |action: &str| {
        format!(
            "{}\n[[filter]]\nname = \"in\"\nrules = [ {{ community = \"blackhole\", prefix = \"{THEIR_4} ge 32\", \
             action = \"{action}\" }}, {{ action = \"accept\" }} ]\n",
            configured(&theirs, "import = \"in\"")
        )
    };
    let routed = Routed::start(&ours, &(base_config(&ours, ASN) + &rules("blackhole")))?;
    let asks = format!(
        "protocol device {{}}\nprotocol static s4 {{ ipv4; route 10.244.50.66/32 blackhole; }}\n\
         protocol bgp r4 {{ local {} as {THEIRS}; neighbor {} as {ASN}; connect retry time 1; ipv4 {{ import none; \
         export filter {{ bgp_community.add((65535,666)); accept; }}; next hop self; }}; }}\n",
        theirs.ipv4(),
        ours.ipv4()
    );
    let _bird = Bird::start(&theirs, &asks)?;
    let kernel = |wanted: &str| {
        lab.wait_until(&format!("the kernel says {wanted}"), LIMIT, || {
            let said = ours.exec(["ip", "route", "show", "10.244.50.66"]).and_then(lab::Output::ok);
            let said = said.map_err(|e| e.to_string())?.stdout;
            if said.contains(wanted) { Ok(()) } else { Err(said) }
        })
    };
    kernel("blackhole 10.244.50.66 proto bgp")?;
    // Another filter acts on what is there, without a new session.
    routed.write_config(&(base_config(&ours, ASN) + &rules("accept")))?;
    routed.routectl(["reload"])?.ok()?;
    kernel(&format!("via {} ", theirs.ipv4()))?;
    assert_eq!(detail(&routed, &theirs)?["established_count"], 1);
    Ok(())
}

#[test]
fn peers_added_and_disabled_over_the_api_are_kept_over_restarts_and_not_in_the_file() -> Result<()> {
    let lab = Lab::new("runtime")?;
    let (ours, theirs) = (lab.host("n1")?, lab.router("peer")?);
    let config = base_config(&ours, ASN)
        + "\n[[bgp.group]]\nname = \"g\"\nconnect_retry = 1\nhold_time = 9\n\
           [[bgp.peer]]\naddress = \"192.0.2.77\"\nasn = 64999\n";
    let mut routed = Routed::start(&ours, &config)?;
    let _bird = bird(&theirs, &ours, "")?;
    let (peer, asn) = (theirs.ipv4().to_string(), THEIRS.to_string());
    let add = ["peers", "add", &peer, "--asn", &asn, "--group", "g"];
    let refused = |routed: &Routed, words: &[&str], says: &str| -> Result<()> {
        let answer = routed.routectl(words.iter().copied())?;
        assert!(answer.status == 1 && answer.stderr.contains(says), "{words:?}: {answer}");
        Ok(())
    };
    refused(
        &routed,
        &["peers", "add", &peer, "--asn", &asn, "--set", "hold_tme=9"],
        "did you mean `hold_time`",
    )?;
    refused(&routed, &["peers", "add", &peer, "--asn", &asn, "--import", "none-such"], "there is no filter")?;
    routed.routectl(add)?.ok()?;
    let added = await_detail(&routed, &theirs, "the added peer is up", is_up)?;
    assert_eq!((&added["settings"]["runtime"], &added["hold_time_seconds"]), (&true.into(), &9.into()));
    routed.routectl(add)?.ok()?;
    refused(&routed, &["peers", "add", &peer, "--asn", "7"], "configured already")?;
    refused(&routed, &["peers", "remove", "192.0.2.77"], "stands in ")?;

    // A reload leaves it alone, and so does a restart.
    routed.routectl(["reload"])?.ok()?;
    assert_eq!(detail(&routed, &theirs)?["established_count"], 1);
    routed.restart()?;
    await_detail(&routed, &theirs, "it is there after a restart", is_up)?;

    routed.routectl(["peers", "disable", &peer, "--message", "moving house"])?.ok()?;
    await_detail(&routed, &theirs, "it is disabled", |d| d["disabled"] == true)?;
    routed.routectl(["peers", "disable", "192.0.2.77"])?.ok()?;
    routed.restart()?;
    let kept = await_detail(&routed, &theirs, "it is disabled after a restart", |d| d["disabled"] == true)?;
    assert_eq!(kept["settings"]["shutdown"], "moving house");
    let of_file = routed.routectl_json(["peers", "192.0.2.77"])?;
    assert_eq!(of_file["disabled"], true, "one of the file stays disabled too");
    routed.routectl(["peers", "enable", &peer])?.ok()?;
    await_detail(&routed, &theirs, "it is up again", is_up)?;

    routed.routectl(["peers", "remove", &peer])?.ok()?;
    assert_eq!(routed.session_state(&peer)?, "no such peer");
    routed.restart()?;
    assert_eq!(routed.session_state(&peer)?, "no such peer");
    let file = std::fs::read_to_string(routed.config_path()).map_err(Error::file(&routed.config_path()))?;
    assert_eq!(file, config, "the file is the user's");
    Ok(())
}
