//! routed and BIRD's rip tell each other their prefixes, RIPv2 and RIPng.

use lab::{
    Result,
    pair::{THEIR_4, THEIR_6},
    peer::Bird,
    rip_pair::{LIMIT, QUICK, RipPair, config},
    zero::{RIP, RIPNG},
};
use serde_json::Value;

use std::time::Duration;

/// Patience with a change of keys.
const ROLLED: Duration = Duration::from_secs(60);

const KEY: &str = "s3cret";

/// BIRD's side; `interface` for RIPv2 on eth0.
fn bird(pair: &RipPair, interface: &str) -> Result<Bird> {
    let timers = "update time 5; timeout time 15; garbage time 10;";
    let rip = |name: &str, family: &str, more: &str| {
        let (ng, family) = if family == "ipv6" { ("ng ", "ipv6") } else { ("", "ipv4") };
        format!(
            "protocol rip {ng}{name} {{ {family} {{ import all; export where source = RTS_STATIC; }};\n \
             interface \"eth0\" {{ {timers} {more} }}; }}\n"
        )
    };
    let config = format!(
        "protocol device {{ scan time 1; }}\n\
         protocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
         protocol static s6 {{ ipv6; route {THEIR_6} blackhole; }}\n{}{}",
        rip("r4", "ipv4", interface),
        rip("r6", "ipv6", ""),
    );
    Bird::start(&pair.theirs, &config)
}

fn exchange(name: &str, rip: &str, interface: &str) -> Result<()> {
    let pair = RipPair::start(name, rip)?;
    let bird = bird(&pair, interface)?;
    pair.they_have_ours(2, || bird.rip_routes())?;
    pair.we_have_theirs(2)
}

#[test]
fn bird_and_routed_exchange_routes_and_poison_what_goes() -> Result<()> {
    let pair = RipPair::start("rbird", "")?;
    let bird = bird(&pair, "")?;
    pair.they_have_ours(2, || bird.rip_routes())?;
    pair.we_have_theirs(2)?;
    let near = bird.birdc("show rip neighbors r4")?;
    assert!(near.contains(&pair.ours.ipv4().to_string()), "{near}");
    // Our timeout is 180 s: only poison is that quick.
    bird.birdc_write("disable s4")?;
    bird.birdc_write("disable s6")?;
    pair.we_lack(THEIR_4, RIP)?;
    pair.we_lack(THEIR_6, RIPNG)?;
    let gone = pair.ours.subnet4();
    pair.ours.ip(&["link set docker0 down"])?;
    pair.they_lack(&gone, || bird.rip_routes())
}

#[test]
fn bird_and_routed_exchange_routes_under_a_text_password() -> Result<()> {
    let (_dir, key) = RipPair::key_file(KEY)?;
    let rip = format!("auth = {{ mode = \"text\", key_file = \"{key}\" }}");
    exchange("rbird-text", &rip, "authentication plaintext; password \"s3cret\";")
}

/// Keyed MD5 and every HMAC-SHA that RFC 4822 has, one lab each.
#[test]
fn bird_and_routed_exchange_routes_under_each_digest() -> Result<()> {
    let (_dir, key) = RipPair::key_file(KEY)?;
    for (ours, theirs) in [
        ("keyed-md5", "keyed md5"),
        ("hmac-sha-1", "hmac sha1"),
        ("hmac-sha-256", "hmac sha256"),
        ("hmac-sha-384", "hmac sha384"),
        ("hmac-sha-512", "hmac sha512"),
    ] {
        let rip = format!("{QUICK}\nauth = {{ mode = \"{ours}\", key_id = 7, key_file = \"{key}\" }}");
        let interface =
            format!("authentication cryptographic; password \"s3cret\" {{ id 7; algorithm {theirs}; }};");
        exchange(&format!("rbird-{ours}"), &rip, &interface)?;
    }
    Ok(())
}

#[test]
fn wrong_key_is_counted_and_teaches_nothing_and_the_right_one_does() -> Result<()> {
    let (_dir, key) = RipPair::key_file("another")?;
    let rip = format!("{QUICK}\nng = false\nauth = {{ mode = \"hmac-sha-256\", key_file = \"{key}\" }}");
    let mut pair = RipPair::start("rbird-key", &rip)?;
    let auth = "authentication cryptographic; password \"s3cret\" { id 1; algorithm hmac sha256; };";
    let bird = bird(&pair, auth)?;
    let theirs = pair.theirs.ipv4().to_string();
    let near = pair.await_neighbor(&theirs, "fails to authenticate", |near| near["auth_failures"] != 0)?;
    assert_eq!(near["routes"], 0, "{near}");
    assert!(near["last_error"].as_str().is_some(), "{near}");
    pair.we_lack(THEIR_4, RIP)?;
    assert_eq!(bird.rip_routes()?, [], "nor does BIRD take ours");
    std::fs::write(&key, KEY).map_err(lab::Error::file(&key))?;
    pair.routed.routectl(["reload"])?.ok()?;
    pair.we_have(THEIR_4, RIP)?;
    pair.routed.sigterm().map(drop)
}

/// A moment `seconds` from now, as TOML and as BIRD write it.
fn moment(pair: &RipPair, seconds: u64) -> Result<[String; 2]> {
    let when = format!("now + {seconds} seconds");
    let text = |utc: &[&str], form: &str| {
        let argv = [&["date"], utc, &["-d", &when, form]].concat();
        Ok::<_, lab::Error>(pair.ours.exec(argv)?.ok()?.stdout.trim().to_owned())
    };
    Ok([text(&["-u"], "+%FT%TZ")?, text(&[], "+%F %T")?])
}

/// Both sides change from one key to the next at the same moment, and for a
/// while take what is signed with either: no packet is refused, no route goes.
#[test]
fn keys_change_on_both_sides_while_the_routes_stay() -> Result<()> {
    let (_one, first) = RipPair::key_file(KEY)?;
    let (_two, second) = RipPair::key_file("n3xt")?;
    let mut pair = RipPair::start("rbird-roll", "")?;
    let [change, there_change] = moment(&pair, 12)?;
    let [end, there_end] = moment(&pair, 20)?;
    let rip = format!(
        "{QUICK}\nauth = {{ mode = \"hmac-sha-256\", keys = [\n\
         {{ id = 1, key_file = \"{first}\", send_until = {change}, accept_until = {end} }},\n\
         {{ id = 2, key_file = \"{second}\", send_from = {change} }} ] }}"
    );
    pair.routed.write_config(&config(&rip))?;
    pair.routed.restart()?;
    let auth = format!(
        "authentication cryptographic;\n\
         password \"s3cret\" {{ id 1; algorithm hmac sha256; generate to \"{there_change}\"; accept to \"{there_end}\"; }};\n\
         password \"n3xt\" {{ id 2; algorithm hmac sha256; generate from \"{there_change}\"; }};"
    );
    let bird = bird(&pair, &auth)?;
    pair.they_have_ours(2, || bird.rip_routes())?;
    pair.we_have_theirs(2)?;
    let key = || -> Result<Value, String> {
        let all = pair.routed.routectl_json(["rip", "interfaces"]).map_err(|e| e.to_string())?;
        let mut all = all.as_array().into_iter().flatten();
        Ok(all
            .find(|one| one["version"] == "ripv2")
            .map(|one| one["auth_key_id"].clone())
            .unwrap_or_default())
    };
    assert_eq!(key(), Ok(1.into()));
    // Longer than any timeout after the change, and after the end of the first key.
    pair.lab.wait_until("the second key is used, and the route is the first one", ROLLED, || {
        let (key, routes) =
            (key()?, pair.routed.routectl_json(["routes", THEIR_4]).map_err(|e| e.to_string())?);
        let age = routes[0]["age_seconds"].as_u64();
        if key == 2 && age >= Some(30) { Ok(()) } else { Err(format!("key {key}, {routes}")) }
    })?;
    pair.they_have_ours(2, || bird.rip_routes())?;
    let near = pair.await_neighbor(&pair.theirs.ipv4().to_string(), "is there", |_| true)?;
    assert_eq!((&near["auth_failures"], &near["bad_packets"]), (&0.into(), &0.into()), "{near}");
    Ok(())
}

#[test]
fn either_side_may_restart() -> Result<()> {
    let (_dir, key) = RipPair::key_file(KEY)?;
    let rip = format!("{QUICK}\nauth = {{ mode = \"hmac-sha-256\", key_file = \"{key}\" }}");
    let mut pair = RipPair::start("rbird-re", &rip)?;
    let auth = "authentication cryptographic; password \"s3cret\" { id 1; algorithm hmac sha256; };";
    let first = bird(&pair, auth)?;
    pair.they_have_ours(2, || first.rip_routes())?;
    pair.we_have_theirs(2)?;
    pair.routed.kill9()?;
    pair.routed.restart()?;
    pair.we_have_theirs(2)?;
    drop(first);
    pair.we_lack(THEIR_4, RIP)?;
    let second = bird(&pair, auth)?;
    pair.we_have_theirs(2)?;
    pair.they_have_ours(2, || second.rip_routes())?;
    pair.lab.wait_until("BIRD has heard the restarted daemon", LIMIT, || {
        let near = second.birdc("show rip neighbors r4").map_err(|e| e.to_string())?;
        if near.contains("192.0.2.1") { Ok(()) } else { Err(near) }
    })
}
