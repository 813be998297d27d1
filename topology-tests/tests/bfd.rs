//! BFD: a path that is cut in the middle, where no link goes down, is left in
//! about a second and not after the hold time.

use lab::{
    Error, Host, Lab, Result,
    cluster::{ASN, POOLS},
    watched::{BGP, LIMIT, Node, RIP, RIPNG, base, open, peer, two},
};

#[test]
fn a_path_between_two_nodes_that_is_cut_is_left_at_once_and_taken_again() -> Result<()> {
    let (first, second) = two("bfd-bgp", "bfd = true")?;
    let (one, other) = (first.host.ipv4(), second.host.ipv4());
    first.await_bfd(other, "Up")?;
    second.await_bfd(one, "Up")?;
    first.await_route(BGP, &second.host.subnet4())?;

    first.cut(&second.host, BGP, &second.host.subnet4())?;
    let session = first.await_bfd(other, "Down")?;
    assert_eq!(session["diagnostic"], "control detection time expired");
    assert_eq!(session["protocols"][0], "bgp");
    assert!(first.routed.log()?.contains("BFD says that the peer is not reachable"));

    open(&second.host)?;
    first.await_bfd(other, "Up")?;
    first.await_route(BGP, &second.host.subnet4())
}

#[test]
fn over_ipv6_too() -> Result<()> {
    let lab = Lab::new("bfd-six")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let config = |host: &Host, other: &Host| base(host) + &peer(other.ipv6(), ASN, "bfd = true");
    let first = Node::start(&one, &config(&one, &two))?;
    let second = Node::start(&two, &config(&two, &one))?;
    first.await_bfd(two.ipv6(), "Up")?;
    second.await_bfd(one.ipv6(), "Up")?;
    first.await_route(BGP, &two.subnet6())?;
    first.cut(&two, BGP, &two.subnet6())?;
    open(&two)?;
    first.await_bfd(two.ipv6(), "Up")?;
    first.await_route(BGP, &two.subnet6())
}

#[test]
fn a_peer_that_does_not_speak_bfd_is_not_held_down() -> Result<()> {
    let lab = Lab::new("bfd-never")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let first = Node::start(&one, &(base(&one) + &peer(two.ipv4(), ASN, "bfd = true")))?;
    let _second = Node::start(&two, &(base(&two) + &peer(one.ipv4(), ASN, "")))?;
    first.await_route(BGP, &two.subnet4())?;
    first.await_bfd(two.ipv4(), "Down")?;
    first.has_route(BGP, &two.subnet4())
}

/// RIPv2 and RIPng each watch their neighbour, RIPng at its link-local address.
#[test]
fn rip_and_ripng_leave_a_neighbour_at_once() -> Result<()> {
    let lab = Lab::new("bfd-rip")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let config = |host: &Host| {
        format!(
            "[node]\nname = \"{}\"\n[cluster]\npools = {POOLS}\n[[advertise]]\ninterface = \"docker0\"\n\
             [bfd]\ninterval_ms = 50\nmultiplier = 5\n[rip]\ninterfaces = [\"eth0\"]\nupdate = 5\nbfd = true\n",
            host.name()
        )
    };
    let first = Node::start(&one, &config(&one))?;
    let _second = Node::start(&two, &config(&two))?;
    let both = [
        (RIP, two.subnet4(), two.ipv4().to_string(), "rip"),
        (RIPNG, two.subnet6(), two.link_local()?, "ripng"),
    ];
    let all_is_well = || {
        both.iter().try_for_each(|(number, prefix, address, name)| {
            first.await_route(number, prefix)?;
            let session = first.await_bfd(address, "Up")?;
            assert_eq!(session["protocols"][0], *name);
            Ok::<(), Error>(())
        })
    };
    all_is_well()?;
    for (number, prefix, ..) in &both {
        first.cut(&two, number, prefix)?;
    }
    open(&two)?;
    all_is_well()
}

/// What a reload says of BFD is done, and the BGP session knows nothing of it.
#[test]
fn a_reload_starts_changes_and_ends_bfd_under_the_session() -> Result<()> {
    let (first, second) = two("bfd-reload", "")?;
    let (here, there) = (first.host.ipv4(), second.host.ipv4());
    first.await_route(BGP, &second.host.subnet4())?;
    let reload = |node: &Node, other, bfd: &str, more: &str| {
        let config = base(&node.host) + &peer(other, ASN, more) + bfd;
        node.routed.write_config(&config)?;
        node.routed.routectl(["reload"])?.ok().map(drop)
    };
    for (node, other) in [(&first, there), (&second, here)] {
        reload(node, other, "", "bfd = true")?;
    }
    first.await_bfd(there, "Up")?;
    // [bfd] is what `bfd = true` means.
    for (node, other) in [(&first, there), (&second, here)] {
        reload(node, other, "[bfd]\ninterval_ms = 200\nmultiplier = 4\n", "bfd = true")?;
    }
    let slower = |session: &serde_json::Value| {
        session["detection_time_ms"] == 800 && session["tx_interval_us"] == 200_000
    };
    let session = first.await_session(there, "is slower", slower)?;
    assert_eq!((&session["state"], &session["ups"]), (&"Up".into(), &1.into()), "{session}");
    // A peer may have its own.
    reload(&first, there, "[bfd]\ninterval_ms = 200\n", "bfd = { interval_ms = 100, multiplier = 7 }")?;
    let mixed = |session: &serde_json::Value| session["detection_time_ms"] == 1400;
    let session = second.await_session(here, "knows the other multiplier", mixed)?;
    assert_eq!(session["ups"], 1, "{session}");
    // An error changes nothing.
    let refused = base(&first.host) + &peer(there, ASN, "bfd = { interval_ms = 49 }");
    first.routed.write_config(&refused)?;
    let refused = first.routed.routectl(["reload"])?;
    assert!(refused.stderr.contains("interval_ms: from 50 to 60000 milliseconds"), "{refused:?}");
    first.await_session(there, "goes on", |session| session["ups"] == 1 && session["state"] == "Up")?;
    reload(&first, there, "", "")?;
    first.host.lab().wait_until("there is no session", LIMIT, || {
        let sessions = first.routed.routectl_json(["bfd"]).map_err(|e| e.to_string())?;
        if sessions.as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(sessions.to_string()) }
    })?;
    let session = second.await_bfd(here, "Down")?;
    assert_eq!(session["remote_diagnostic"], "administratively down");
    // It was never a failure: the first session is the only one there was.
    assert_eq!((first.times_established(there)?, second.times_established(here)?), (1, 1));
    Ok(())
}
