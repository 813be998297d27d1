//! What every other implementation can do, each seen by both ends' own
//! commands: communities of both kinds under TCP-MD5, reflection, limits,
//! refresh, the longest messages.

use lab::{
    Error, Host, Lab, Result,
    cluster::{ASN, base_config},
    pair::THEIR_4,
    peer::{
        RawBgp, Routed,
        raw::{self, UPDATE},
    },
    speaker::{Kind, Neighbor, Speaker},
    watched::{BGP, LIMIT, Node, base, peer},
};
use serde_json::Value;

const THEIRS: u32 = 65001;
const KEY: &str = "s3cret";

/// Waits until what a speaker tells of a prefix has all these words.
fn tells(lab: &Lab, other: &Speaker, prefix: &str, words: &[&str]) -> Result<()> {
    lab.wait_until(&format!("the other tells {words:?} of {prefix}"), LIMIT, || {
        let said = other.told(prefix).map_err(|e| e.to_string())?;
        if words.iter().all(|word| said.contains(word)) { Ok(()) } else { Err(said) }
    })
}

/// Waits until our best route to a prefix is as wanted.
fn we_have(routed: &Routed, prefix: &str, look: impl Fn(&Value) -> bool) -> Result<()> {
    routed.host().lab().wait_until(&format!("{} has {prefix}", routed.host().name()), LIMIT, || {
        let shown = routed.routectl_json(["routes", prefix]).map_err(|e| e.to_string())?;
        if look(&shown[0]) { Ok(()) } else { Err(shown.to_string()) }
    })
}

/// What `routectl peers ADDR` says, once `look` is content with it.
fn detail(node: &Node, far: &Host, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
    let address = far.ipv4().to_string();
    node.host.lab().wait_until(what, LIMIT, || {
        let detail = node.routed.routectl_json(["peers", &address]).map_err(|e| e.to_string())?;
        if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
    })
}

const MARKED: &str = "\n[[filter]]\nname = \"marked\"\nrules = [ { protocol = \"local\", action = \"accept\", \
                      add = { large_community = \"64512:5:6\", community = \"64512:9\" } } ]\n";

/// Communities both ways, on a session under a key.
fn communities_come_along(kind: Kind) -> Result<()> {
    let lab = Lab::new(&format!("tags-{kind:?}").to_lowercase())?;
    let (one, far) = (lab.host("n1")?, lab.router("far")?);
    let file = lab.dir().join("key");
    std::fs::write(&file, KEY).map_err(Error::file(&file))?;
    let keys = format!("families = [\"ipv4\"]\nexport = \"marked\"\npassword_file = \"{}\"", file.display());
    let node = Node::start(&one, &(base(&one) + &peer(far.ipv4(), THEIRS, &keys) + MARKED))?;
    let key = Neighbor { password: Some(KEY), ..Neighbor::new(one.ipv4(), ASN) };
    let speaker = Speaker::start(kind, &far, THEIRS, &[THEIR_4], &[key])?;
    tells(&lab, &speaker, &one.subnet4(), &["64512:5:6", "64512:9", &one.ipv4().to_string()])?;
    we_have(&node.routed, THEIR_4, |route| {
        let text = route.to_string();
        text.contains("65001:1:2") && text.contains("65001:7")
    })?;
    node.await_route(BGP, THEIR_4)?;
    detail(&node, &far, "it is under its key", |detail| detail["settings"]["tcp_md5_key"] == 1)?;
    assert!(speaker.is_up(one.ipv4())?);
    Ok(())
}

#[test]
fn communities_come_along_with_bird_under_tcp_md5() -> Result<()> {
    communities_come_along(Kind::Bird)
}

#[test]
fn communities_come_along_with_frr_under_tcp_md5() -> Result<()> {
    communities_come_along(Kind::Frr)
}

#[test]
fn communities_come_along_with_gobgp_under_tcp_md5() -> Result<()> {
    communities_come_along(Kind::Gobgp)
}

#[test]
fn communities_come_along_with_openbgpd_under_tcp_md5() -> Result<()> {
    communities_come_along(Kind::Openbgpd)
}

#[test]
fn communities_come_along_with_exabgp_under_tcp_md5() -> Result<()> {
    communities_come_along(Kind::Exabgp)
}

/// We reflect between two clients: each tells of the other's prefix with the
/// originator and our cluster (RFC 4456 §8).
fn we_reflect(kind: Kind) -> Result<()> {
    let lab = Lab::new(&format!("rr-{kind:?}").to_lowercase())?;
    let (reflector, one, two) = (lab.host("rr")?, lab.router("one")?, lab.router("two")?);
    let client = "route_reflector_client = true\nfamilies = [\"ipv4\"]\nexport = \"accept-all\"";
    let config = base(&reflector) + &peer(one.ipv4(), ASN, client) + &peer(two.ipv4(), ASN, client);
    let _routed = Routed::start(&reflector, &config)?;
    let prefixes = ["10.244.61.0/24", "10.244.62.0/24"];
    let neighbor = [Neighbor::new(reflector.ipv4(), ASN)];
    let first = Speaker::start(kind, &one, ASN, &prefixes[..1], &neighbor)?;
    let second = Speaker::start(kind, &two, ASN, &prefixes[1..], &neighbor)?;
    let cluster = reflector.ipv4().to_string();
    tells(&lab, &first, prefixes[1], &[&two.ipv4().to_string(), &cluster])?;
    tells(&lab, &second, prefixes[0], &[&one.ipv4().to_string(), &cluster])
}

#[test]
fn we_reflect_between_two_birds() -> Result<()> {
    we_reflect(Kind::Bird)
}

#[test]
fn we_reflect_between_two_frrs() -> Result<()> {
    we_reflect(Kind::Frr)
}

#[test]
fn we_reflect_between_two_gobgps() -> Result<()> {
    we_reflect(Kind::Gobgp)
}

#[test]
fn we_reflect_between_two_openbgpds() -> Result<()> {
    we_reflect(Kind::Openbgpd)
}

#[test]
fn we_reflect_between_two_exabgps() -> Result<()> {
    we_reflect(Kind::Exabgp)
}

/// It reflects between two of ours: each shows the other as the originator,
/// and has its prefix in its kernel.
fn it_reflects(kind: Kind) -> Result<()> {
    let lab = Lab::new(&format!("client-{kind:?}").to_lowercase())?;
    let (one, two, reflector) = (lab.host("n1")?, lab.host("n2")?, lab.router("rr")?);
    let start = |host: &Host| {
        Node::start(host, &(base(host) + &peer(reflector.ipv4(), ASN, "families = [\"ipv4\"]")))
    };
    let client = |host: &Host| Neighbor { client: true, ..Neighbor::new(host.ipv4(), ASN) };
    // First, for OpenBGPD can have sessions before it knows that it is to reflect.
    let _speaker = Speaker::start(kind, &reflector, ASN, &[], &[client(&one), client(&two)])?;
    let (first, second) = (start(&one)?, start(&two)?);
    for (here, there) in [(&first, &two), (&second, &one)] {
        here.await_route(BGP, &there.subnet4())?;
        we_have(&here.routed, &there.subnet4(), |route| {
            route["originator_id"] == there.ipv4().to_string()
                && route["cluster_list"][0] == reflector.ipv4().to_string()
                && route.to_string().contains(&there.ipv4().to_string())
        })?;
    }
    Ok(())
}

#[test]
fn bird_reflects_between_two_of_us() -> Result<()> {
    it_reflects(Kind::Bird)
}

#[test]
fn frr_reflects_between_two_of_us() -> Result<()> {
    it_reflects(Kind::Frr)
}

#[test]
fn gobgp_reflects_between_two_of_us() -> Result<()> {
    it_reflects(Kind::Gobgp)
}

#[test]
fn openbgpd_reflects_between_two_of_us() -> Result<()> {
    it_reflects(Kind::Openbgpd)
}

/// It takes two prefixes and is told more: it ends the session with Cease/1.
/// We take one and are told two: so do we.
fn limits_end_the_session(kind: Kind) -> Result<()> {
    let lab = Lab::new(&format!("limit-{kind:?}").to_lowercase())?;
    let (one, far) = (lab.host("n1")?, lab.router("far")?);
    let config = |limit: u32| {
        let keys = format!(
            "families = [\"ipv4\"]\nmax_prefixes = {{ limit = {limit}, action = \"shut\", restart = 3600 }}"
        );
        base_config(&one, ASN) + &peer(far.ipv4(), THEIRS, &keys)
    };
    let mut node = Node::start(&one, &config(100))?;
    let neighbor = Neighbor { limit: Some(2), ..Neighbor::new(one.ipv4(), ASN) };
    let theirs = [THEIR_4, "10.244.51.0/24"];
    let speaker = Speaker::start(kind, &far, THEIRS, &theirs, &[neighbor])?;
    // FRR tells us our own, too.
    detail(&node, &far, "its prefixes have come", |detail| detail["prefixes_accepted"].as_u64() >= Some(2))?;
    tells(&lab, &speaker, &one.subnet4(), &[&one.ipv4().to_string()])?;
    // FRR looks before it counts the new one, so it takes three.
    for prefix in ["10.244.70.0/24", "10.244.71.0/24", "10.244.72.0/24"] {
        node.routed.routectl(["routes", "announce", prefix])?.ok()?;
    }
    detail(&node, &far, "the other ends the session", |detail| ended(&detail["notification_received"]))?;
    drop(speaker);

    node.routed.write_config(&config(1))?;
    node.routed.restart()?;
    let speaker = Speaker::start(kind, &far, THEIRS, &theirs, &[Neighbor::new(one.ipv4(), ASN)])?;
    detail(&node, &far, "we end the session", |detail| ended(&detail["notification_sent"]))?;
    lab.wait_until("the other shows that it is down", LIMIT, || match speaker.is_up(one.ipv4()) {
        Ok(false) => Ok(()),
        Ok(true) => Err("it is up".to_owned()),
        Err(why) => Err(why.to_string()),
    })
}

/// Cease, Maximum Number of Prefixes Reached (RFC 4486 §4), maybe inside a Hard
/// Reset (RFC 8538 §3.1).
fn ended(notification: &Value) -> bool {
    let hard = notification["text"].as_str().is_some_and(|text| text.contains("(6/1)"));
    notification["code"] == 6 && (notification["subcode"] == 1 || hard)
}

#[test]
fn limits_end_the_session_with_bird() -> Result<()> {
    limits_end_the_session(Kind::Bird)
}

#[test]
fn limits_end_the_session_with_frr() -> Result<()> {
    limits_end_the_session(Kind::Frr)
}

#[test]
fn limits_end_the_session_with_gobgp() -> Result<()> {
    limits_end_the_session(Kind::Gobgp)
}

/// Either asks the other for its routes, and sees that the other asks; `GoBGP`
/// keeps what it was told and never asks.
fn both_refresh(kind: Kind) -> Result<()> {
    let lab = Lab::new(&format!("again-{kind:?}").to_lowercase())?;
    let (one, far) = (lab.host("n1")?, lab.router("far")?);
    let node = Node::start(&one, &(base(&one) + &peer(far.ipv4(), THEIRS, "families = [\"ipv4\"]")))?;
    let speaker = Speaker::start(kind, &far, THEIRS, &[THEIR_4], &[Neighbor::new(one.ipv4(), ASN)])?;
    node.await_route(BGP, THEIR_4)?;
    tells(&lab, &speaker, &one.subnet4(), &[&one.ipv4().to_string()])?;
    if kind != Kind::Gobgp {
        speaker.refresh(one.ipv4())?;
        detail(&node, &far, "we are asked for our routes", |detail| {
            detail["messages"]["received"]["route_refresh"].as_u64() >= Some(1)
        })?;
    }
    let before = speaker.refreshes(one.ipv4())?;
    node.routed.routectl(["peers", "refresh", &far.ipv4().to_string()])?.ok()?;
    lab.wait_until("the other is asked for its routes", LIMIT, || match speaker.refreshes(one.ipv4()) {
        Ok(count) if count > before => Ok(()),
        Ok(count) => Err(format!("{count} times")),
        Err(why) => Err(why.to_string()),
    })?;
    tells(&lab, &speaker, &one.subnet4(), &[&one.ipv4().to_string()])?;
    node.has_route(BGP, THEIR_4)
}

#[test]
fn frr_and_we_refresh_each_other() -> Result<()> {
    both_refresh(Kind::Frr)
}

#[test]
fn gobgp_tells_its_routes_again() -> Result<()> {
    both_refresh(Kind::Gobgp)
}

/// So many communities that the message is nearly as long as RFC 8654 allows.
const MANY: u16 = 16_000;
const LONG: &str = "10.244.60.0/24";
/// IPv4, and extended messages.
const EXTENDED: [u8; 8] = [1, 4, 0, 1, 0, 1, 6, 0];
const FAR_AWAY: u16 = 65_002;

/// A message that nobody splits goes through us.
fn the_longest_message_passes(kind: Kind, takes: bool) -> Result<()> {
    let lab = Lab::new(&format!("long-{kind:?}").to_lowercase())?;
    let (one, far, source) = (lab.host("n1")?, lab.router("far")?, lab.router("source")?);
    let config = base(&one)
        + &peer(far.ipv4(), THEIRS, "families = [\"ipv4\"]\nexport = \"accept-all\"")
        + &peer(source.ipv4(), FAR_AWAY.into(), "passive = true");
    let node = Node::start(&one, &config)?;
    let speaker = Speaker::start(kind, &far, THEIRS, &[], &[Neighbor::new(one.ipv4(), ASN)])?;
    detail(&node, &far, "the session is up", |detail| detail["state"] == "Established")?;
    let mut session = RawBgp::dial(&source, one.ipv4())?;
    session.establish_with(&raw::open_with(FAR_AWAY, source.ipv4(), &EXTENDED))?;
    session.send_message(UPDATE, &raw::long_update([10, 244, 60], MANY, FAR_AWAY, source.ipv4()))?;
    node.await_route(BGP, LONG)?;
    if takes {
        let last = format!("0:{}", MANY - 1);
        return tells(&lab, &speaker, LONG, &["0:1", &last]);
    }
    // Who takes no longer ones hears what comes after it, and not that.
    node.routed.routectl(["routes", "announce", "10.244.70.0/24"])?.ok()?;
    tells(&lab, &speaker, "10.244.70.0/24", &[&one.ipv4().to_string()])?;
    assert!(!speaker.told(LONG)?.contains("0:1"), "{kind:?}");
    assert!(speaker.is_up(one.ipv4())?);
    Ok(())
}

#[test]
fn the_longest_message_passes_to_bird() -> Result<()> {
    the_longest_message_passes(Kind::Bird, true)
}

#[test]
fn the_longest_message_passes_to_frr() -> Result<()> {
    the_longest_message_passes(Kind::Frr, true)
}

#[test]
fn the_longest_message_passes_to_exabgp() -> Result<()> {
    the_longest_message_passes(Kind::Exabgp, true)
}

#[test]
fn the_longest_message_spares_gobgp() -> Result<()> {
    the_longest_message_passes(Kind::Gobgp, false)
}

#[test]
fn the_longest_message_spares_openbgpd() -> Result<()> {
    the_longest_message_passes(Kind::Openbgpd, false)
}

/// The same the other way: it passes on what it has heard, to us.
fn the_longest_message_comes(kind: Kind) -> Result<()> {
    let lab = Lab::new(&format!("longer-{kind:?}").to_lowercase())?;
    let (one, far, source) = (lab.host("n1")?, lab.router("far")?, lab.router("source")?);
    let node = Node::start(&one, &(base(&one) + &peer(far.ipv4(), THEIRS, "families = [\"ipv4\"]")))?;
    let neighbors = [Neighbor::new(one.ipv4(), ASN), Neighbor::new(source.ipv4(), FAR_AWAY.into())];
    let _speaker = Speaker::start(kind, &far, THEIRS, &[], &neighbors)?;
    detail(&node, &far, "the session is up", |detail| detail["state"] == "Established")?;
    let mut session = RawBgp::dial(&source, far.ipv4())?;
    session.establish_with(&raw::open_with(FAR_AWAY, source.ipv4(), &EXTENDED))?;
    session.send_message(UPDATE, &raw::long_update([10, 244, 60], MANY, FAR_AWAY, source.ipv4()))?;
    we_have(&node.routed, LONG, |route| {
        route["communities"].as_array().map(Vec::len) == Some(usize::from(MANY))
    })
}

#[test]
fn the_longest_message_comes_from_bird() -> Result<()> {
    the_longest_message_comes(Kind::Bird)
}

#[test]
fn the_longest_message_comes_from_frr() -> Result<()> {
    the_longest_message_comes(Kind::Frr)
}
