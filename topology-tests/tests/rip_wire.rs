//! What routed says and refuses on the wire, against a peer made of bytes.

use std::net::{Ipv4Addr, UdpSocket};

use lab::{
    Error, Result,
    peer::raw_rip::{Entry, PORT, RawRip, response},
    rip_pair::{LIMIT, QUICK, RipPair},
    zero::RIP,
};

/// What the peer tells, inside the pools.
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 244, 60, 0);
const PREFIX: &str = "10.244.60.0/24";
/// The peer itself is the next hop (RFC 2453 §4.4).
const SELF: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// routed with a raw peer on port 520.
fn start(name: &str, rip: &str) -> Result<(RipPair, RawRip)> {
    let pair = RipPair::start(name, &format!("ng = false\n{QUICK}\n{rip}"))?;
    let raw = RawRip::open(&pair.theirs, pair.theirs.ipv4(), PORT)?;
    Ok((pair, raw))
}

/// What routed says of `prefix` in an update that also has its own subnet,
/// while the raw peer goes on telling it with metric 3.
fn said_of(pair: &RipPair, raw: &RawRip, updates: usize) -> Result<Vec<Option<u32>>> {
    let ours: Ipv4Addr = pair.ours.subnet4().trim_end_matches("/24").parse().expect("a subnet");
    let mut said = Vec::new();
    pair.lab.wait_until(&format!("{updates} updates come"), LIMIT, || {
        raw.send(pair.ours.ipv4(), &response(&[(THEIRS, 24, SELF, 3)])).map_err(|e| e.to_string())?;
        if let Some((from, entries)) = raw.next_response().map_err(|e| e.to_string())?
            && from == pair.ours.ipv4()
            && entries.iter().any(|(prefix, ..)| *prefix == ours)
        {
            let of_it = |(prefix, .., metric): &Entry| (*prefix == THEIRS).then_some(*metric);
            said.push(entries.iter().find_map(of_it));
        }
        if said.len() >= updates { Ok(()) } else { Err(format!("{said:?}")) }
    })?;
    Ok(said)
}

#[test]
fn split_horizon_poisons_or_is_silent_or_off_as_configured() -> Result<()> {
    for (mode, said) in [("poison", Some(16)), ("simple", None), ("off", Some(4))] {
        let (pair, raw) = start(&format!("split-{mode}"), &format!("split_horizon = \"{mode}\""))?;
        raw.send(pair.ours.ipv4(), &response(&[(THEIRS, 24, SELF, 3)]))?;
        pair.we_have(PREFIX, RIP)?;
        // The first update may have been on its way before the route came.
        assert_eq!(said_of(&pair, &raw, 3)?[1..], [said, said], "{mode}");
    }
    Ok(())
}

#[test]
fn packet_from_another_port_or_off_the_link_is_counted_and_teaches_nothing() -> Result<()> {
    let (pair, raw) = start("badport", "")?;
    let other = RawRip::open(&pair.theirs, pair.theirs.ipv4(), 5200)?;
    other.send(pair.ours.ipv4(), &response(&[(THEIRS, 24, SELF, 1)]))?;
    let near = pair.await_neighbor("192.0.2.2", "sends a bad packet", |near| near["bad_packets"] == 1)?;
    assert!(near["last_error"].as_str().unwrap_or_default().contains("5200"), "{near}");

    drop(raw);
    pair.theirs.ip(&["addr add 203.0.113.9/32 dev eth0"])?;
    let stranger = pair.theirs.run(|| UdpSocket::bind(("203.0.113.9", PORT)))?;
    let stranger = stranger.map_err(Error::io("bind the stranger"))?;
    let sent = stranger.send_to(&response(&[(THEIRS, 24, SELF, 1)]), (pair.ours.ipv4(), PORT));
    sent.map_err(Error::io("send as a stranger"))?;
    pair.lab.wait_until("the stranger is noted", LIMIT, || {
        let all = pair.routed.routectl_json(["rip", "interfaces"]).map_err(|e| e.to_string())?;
        let noted = all[0]["last_off_link"] == "203.0.113.9" && all[0]["bad_packets"] == 2;
        if noted { Ok(()) } else { Err(all.to_string()) }
    })?;
    drop(stranger);
    // What comes after it, and is right, is taken; so the others were not.
    pair.we_lack(PREFIX, RIP)?;
    let raw = RawRip::open(&pair.theirs, pair.theirs.ipv4(), PORT)?;
    raw.send(pair.ours.ipv4(), &response(&[(THEIRS, 24, SELF, 1)]))?;
    pair.we_have(PREFIX, RIP)
}

#[test]
fn bad_routes_are_counted_and_the_good_one_beside_them_is_taken() -> Result<()> {
    let (pair, raw) = start("badroute", "")?;
    let bad: [Entry; 4] = [
        (Ipv4Addr::new(10, 244, 61, 0), 24, SELF, 0),
        (Ipv4Addr::new(10, 244, 62, 0), 24, SELF, 17),
        (Ipv4Addr::new(127, 0, 0, 0), 8, SELF, 1),
        (Ipv4Addr::new(224, 0, 0, 0), 4, SELF, 1),
    ];
    let outside: Entry = (Ipv4Addr::new(198, 51, 100, 0), 24, SELF, 1);
    let packet = response(&[bad[0], bad[1], bad[2], bad[3], outside, (THEIRS, 24, SELF, 1)]);
    raw.send(pair.ours.ipv4(), &packet)?;
    pair.we_have(PREFIX, RIP)?;
    let near = pair.await_neighbor("192.0.2.2", "is heard", |near| near["routes"] == 1)?;
    assert_eq!((&near["bad_routes"], &near["routes_filtered"]), (&4.into(), &1.into()), "{near}");
    assert_eq!(lab::cluster::routes_of(&pair.ours, RIP)?, [PREFIX]);
    assert_eq!(near["bad_packets"], 0, "{near}");
    Ok(())
}

#[test]
fn unsigned_packet_is_refused_where_a_key_is_set_and_garbage_is_counted() -> Result<()> {
    let (_dir, key) = RipPair::key_file("s3cret")?;
    let auth = format!("auth = {{ mode = \"keyed-md5\", key_file = \"{key}\" }}");
    let (pair, raw) = start("badauth", &auth)?;
    raw.send(pair.ours.ipv4(), &response(&[(THEIRS, 24, SELF, 1)]))?;
    pair.await_neighbor("192.0.2.2", "fails to authenticate", |near| near["auth_failures"] == 1)?;
    raw.send(pair.ours.ipv4(), &[2, 2])?;
    let near = pair.await_neighbor("192.0.2.2", "sends a short packet", |near| near["bad_packets"] == 2)?;
    assert_eq!((&near["auth_failures"], &near["routes"]), (&1.into(), &0.into()), "{near}");
    pair.we_lack(PREFIX, RIP)
}

#[test]
fn routes_beyond_the_limit_of_a_neighbour_are_not_taken() -> Result<()> {
    let (pair, raw) = start("limit", "max_routes_per_neighbor = 3")?;
    let many: Vec<Entry> = (60..65).map(|n| (Ipv4Addr::new(10, 244, n, 0), 24, SELF, 1)).collect();
    raw.send(pair.ours.ipv4(), &response(&many))?;
    let near = pair.await_neighbor("192.0.2.2", "is at its limit", |near| near["routes"] == 3)?;
    assert_eq!(near["routes_over_limit"], 2, "{near}");
    pair.we_have("10.244.62.0/24", RIP)?;
    assert_eq!(lab::cluster::routes_of(&pair.ours, RIP)?.len(), 3);
    let status = pair.routed.routectl_json(["status"])?;
    let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
    let alarm = alarms.iter().find(|alarm| alarm["id"] == "rip-route-limit 192.0.2.2");
    let text = alarm.and_then(|alarm| alarm["text"].as_str()).unwrap_or_default();
    assert!(text.contains("192.0.2.2 on eth0 tells more routes than the 3"), "{status}");
    Ok(())
}
