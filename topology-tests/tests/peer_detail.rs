//! What `routectl peers ADDR` tells beside what BIRD, FRR and `ss` tell of the
//! same sessions.

use lab::{
    Container, Host, Lab, Result,
    pair::{ASN, LIMIT},
    peer::{Bird, Frr, Routed},
};
use serde_json::Value;

/// What BIRD and FRR both announce; BIRD is first.
const BOTH: &str = "10.244.50.0/24";
const OF_BIRD: &str = "10.244.51.0/24";
const OF_FRR: &str = "10.244.52.0/24";

struct Scene {
    routed: Routed,
    bird: Bird,
    frr: Frr,
    ours: Host,
    /// Where BIRD is, and FRR.
    theirs: [Host; 2],
    lab: Lab,
    _container: Container,
}

impl Scene {
    fn start(name: &str) -> Result<Scene> {
        let lab = Lab::new(name)?;
        let (ours, theirs) = (lab.host("n1")?, [lab.router("bird")?, lab.router("frr")?]);
        let container = ours.container("c1")?;
        let peer = |host: &Host, asn: u32| {
            format!(
                "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {asn}\nfamilies = [\"ipv4\"]\nconnect_retry = 1\nidle_hold = 1\n\
                 extended_messages = false\n",
                host.ipv4()
            )
        };
        let config =
            lab::cluster::base_config(&ours, ASN) + &peer(&theirs[0], 65001) + &peer(&theirs[1], 65002);
        let routed = Routed::start(&ours, &config)?;
        let bird = Bird::start(
            &theirs[0],
            &format!(
                "protocol device {{}}\nprotocol static s4 {{ ipv4; route {BOTH} blackhole; route {OF_BIRD} blackhole; }}\n\
                 protocol bgp r4 {{ local {here} as 65001; neighbor {there} as {ASN}; connect retry time 1;\n\
                 ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }}; }}\n",
                here = theirs[0].ipv4(),
                there = ours.ipv4(),
            ),
        )?;
        has_told(&lab, &routed, &theirs[0])?;
        let frr = Frr::start(
            &theirs[1],
            &format!(
                "router bgp 65002\n bgp router-id {id}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
                 neighbor {there} remote-as {ASN}\n neighbor {there} timers connect 1\n \
                 address-family ipv4 unicast\n  network {BOTH}\n  network {OF_FRR}\n exit-address-family\n",
                id = theirs[1].ipv4(),
                there = ours.ipv4(),
            ),
            "",
        )?;
        has_told(&lab, &routed, &theirs[1])?;
        Ok(Scene { routed, bird, frr, ours, theirs, lab, _container: container })
    }
}

/// What `routectl peers ADDR` says.
fn detail(routed: &Routed, of: &Host) -> Result<Value> {
    let detail = routed.routectl_json(["peers", &of.ipv4().to_string()])?;
    Ok(if detail.is_array() { detail[0].clone() } else { detail })
}

/// Waits until a peer has told all its routes.
fn has_told(lab: &Lab, routed: &Routed, of: &Host) -> Result<Value> {
    lab.wait_until("the peer has told all its routes", LIMIT, || {
        let detail = detail(routed, of).map_err(|e| e.to_string())?;
        let told = detail["by_family"][0]["end_of_rib"] == true && detail["prefixes_accepted"] == 2;
        if told { Ok(detail) } else { Err(detail.to_string()) }
    })
}

/// What follows a name in a text: `mss` of `mss:1448 pmtu:1500` is 1448.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))
}

/// Milliseconds in words, as microseconds.
fn microseconds(text: &str) -> Option<u64> {
    let (whole, thousandths) = text.split_once('.').unwrap_or((text, "0"));
    Some(whole.parse::<u64>().ok()? * 1000 + format!("{thousandths:0<3}").parse::<u64>().ok()?)
}

#[test]
fn best_routes_tcp_and_update_group_are_what_others_say() -> Result<()> {
    let mut scene = Scene::start("peer-detail")?;
    let [of_bird, of_frr] = scene.theirs.each_ref().map(|host| detail(&scene.routed, host));
    let (of_bird, of_frr) = (of_bird?, of_frr?);

    // What both tell is BIRD's, for it was first. BIRD has chosen our one route.
    assert_eq!(
        (&of_bird["prefixes_best"], &of_bird["by_family"][0]["best"]),
        (&2.into(), &2.into()),
        "{of_bird}"
    );
    assert_eq!((&of_frr["prefixes_accepted"], &of_frr["prefixes_best"]), (&2.into(), &1.into()), "{of_frr}");
    let theirs = scene.bird.birdc("show protocols all r4")?;
    let routes = format!(
        "{} imported, {} exported, {} preferred",
        of_bird["prefixes_advertised"], of_bird["prefixes_received"], of_bird["prefixes_advertised"]
    );
    assert!(theirs.contains(&routes), "{routes}: {theirs}");

    // What went out is what BIRD has heard: one update, accepted.
    assert_eq!(of_bird["changes"]["sent_announced"], 1, "{of_bird}");
    let updates: Vec<_> = theirs
        .lines()
        .find_map(|line| line.trim().strip_prefix("Import updates:"))
        .map(|numbers| numbers.split_whitespace().collect())
        .unwrap_or_default();
    assert_eq!(updates, ["1", "0", "0", "0", "1"], "received to accepted: {theirs}");
    // FRR told back what it had from BIRD or us, which is a loop.
    let refused = [&of_frr["changes"]["looped"], &of_frr["changes"]["filtered"]];
    assert_eq!(
        refused.map(Value::as_u64),
        [of_frr["rejected"].as_u64(), of_frr["filtered"].as_u64()],
        "{of_frr}"
    );

    // Both ends of the table have been told, and each capability by its words.
    let heard = scene.frr.json("show bgp neighbors json")?;
    let heard = &heard[&scene.ours.ipv4().to_string()]["gracefulRestartInfo"];
    assert_eq!(heard["endOfRibRecv"]["ipv4Unicast"], of_frr["by_family"][0]["end_of_rib_sent"], "{heard}");
    assert_eq!(of_frr["by_family"][0]["end_of_rib_sent"], true, "{of_frr}");
    let offers = |of: &Value, which: &str, wanted: &str| {
        assert!(of[which].as_array().is_some_and(|all| all.contains(&wanted.into())), "{wanted}: {of}");
    };
    offers(&of_frr, "offers_received", "add-path ipv4 receive");
    offers(&of_bird, "offers_received", "four-octet-as 65001");
    for of in [&of_bird, &of_frr] {
        offers(of, "offers_sent", "graceful-restart 120s, over notification, ipv4 preserved");
        assert_eq!(of["settings"]["connect_retry"], 1, "{of}");
    }

    // One export filter and the same capabilities: the same octets.
    let members: Vec<_> = scene.theirs.iter().map(|host| host.ipv4().to_string()).collect();
    assert_eq!(of_bird["update_group"]["members"], Value::from(members), "{of_bird}");
    assert_eq!(of_bird["update_group"], of_frr["update_group"]);
    assert_eq!(of_bird["update_group"]["in_step"], true, "{of_bird}");

    // Both look at a socket that lives on; so until they have seen the same.
    for host in &scene.theirs {
        let filter = format!("dst {}", host.ipv4());
        scene.lab.wait_until("ss says the same of the connection", LIMIT, || {
            let said = scene.ours.netns().exec(["ss", "-tinHO", &filter]).map_err(|e| e.to_string())?;
            let said = said.ok().map_err(|e| e.to_string())?.stdout;
            let detail = detail(&scene.routed, host).map_err(|e| e.to_string())?;
            let number = |name| after(&said, name)?.parse::<u64>().ok();
            let (rtt, rttvar) = after(&said, "rtt").and_then(|both| both.split_once('/')).unzip();
            let wanted = [
                ("rtt_microseconds", rtt.and_then(microseconds)),
                ("rttvar_microseconds", rttvar.and_then(microseconds)),
                ("snd_mss", number("mss")),
                ("rcv_mss", number("rcvmss")),
                ("advmss", number("advmss")),
                ("pmtu", number("pmtu")),
                ("snd_cwnd", number("cwnd")),
            ];
            let ours = said.contains(&format!(":{} ", detail["local_port"]));
            let differs =
                wanted.iter().find(|(name, value)| value.is_none() || detail["tcp"][name].as_u64() != *value);
            if ours && differs.is_none() {
                Ok(())
            } else {
                Err(format!("{differs:?} in {detail} and {said}"))
            }
        })?;
    }
    assert!(scene.frr.vtysh("show bgp neighbors")?.contains("1 accepted prefixes"), "FRR has our route");

    // BIRD's end leaves its routes to FRR, and FRR alone in the group.
    scene.bird.kill9()?;
    scene.routed.routectl(["peers", "disable", &scene.theirs[0].ipv4().to_string()])?.ok()?;
    scene.lab.wait_until("FRR's routes are the best", LIMIT, || {
        let detail = detail(&scene.routed, &scene.theirs[1]).map_err(|e| e.to_string())?;
        let alone = detail["update_group"]["members"].as_array().is_some_and(|members| members.len() == 1);
        if alone && detail["prefixes_best"] == 2 { Ok(()) } else { Err(detail.to_string()) }
    })?;
    let gone = detail(&scene.routed, &scene.theirs[0])?;
    assert_eq!(
        (&gone["prefixes_best"], &gone["tcp"], &gone["update_group"]),
        (&0.into(), &Value::Null, &Value::Null)
    );
    Ok(())
}
