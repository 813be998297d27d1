//! BFD packets of somebody who means ill, from the very address of the peer:
//! each is discarded, counted under what is wrong with it, and moves nothing.

use std::net::UdpSocket;

use lab::{
    Error, Result,
    watched::{BGP, Node, two},
};
use serde_json::Value;

/// The nodes, both with a meticulous key, and Up.
fn authenticated(name: &str) -> Result<(Node, Node)> {
    let key = tempfile::NamedTempFile::new().map_err(Error::io("key file"))?;
    std::fs::write(key.path(), "s3cret\n").map_err(Error::file(key.path()))?;
    let auth = format!(
        "bfd = {{ auth = {{ mode = \"meticulous-sha1\", key_file = \"{}\" }} }}",
        key.path().display()
    );
    let (first, second) = two(name, &auth)?;
    first.await_bfd(second.host.ipv4(), "Up")?;
    second.await_bfd(first.host.ipv4(), "Up")?;
    first.await_route(BGP, &second.host.subnet4())?;
    Ok((first, second))
}

/// A packet that says Down, to the session with this discriminator.
fn down(yours: u32) -> Vec<u8> {
    let mut packet = vec![0x20, 0x40, 3, 24, 0, 0, 0, 9];
    packet.extend(yours.to_be_bytes());
    packet.extend([100_000u32, 100_000, 0].into_iter().flat_map(u32::to_be_bytes));
    packet
}

/// Adds an authentication section of this type and key, with a digest that is none.
fn signed(mut packet: Vec<u8>, kind: u8, key: u8, sequence: u32) -> Vec<u8> {
    packet[1] |= 0x04;
    packet[3] = 52;
    packet.extend([kind, 28, key, 0]);
    packet.extend(sequence.to_be_bytes());
    packet.extend([0xab; 20]);
    packet
}

#[test]
fn what_is_forged_from_the_address_of_the_peer_is_counted_and_moves_nothing() -> Result<()> {
    let (first, second) = authenticated("bfd-forged")?;
    let (us, them) = (first.host.ipv4(), second.host.ipv4());
    let session = first.await_bfd(them, "Up")?;
    let ours = session["local_discriminator"].as_u64().and_then(|number| u32::try_from(number).ok());
    let ours = ours.ok_or_else(|| Error::Claim(format!("no discriminator: {session}")))?;
    let send = |ttl: u32, bytes: Vec<u8>| {
        let forged = move || {
            let socket = UdpSocket::bind((them, 0))?;
            socket.set_ttl(ttl)?;
            (0..7).try_for_each(|_| socket.send_to(&bytes, (us, 3784)).map(drop))
        };
        second.host.run(forged)?.map_err(Error::io("a forged packet"))
    };
    let mut multipoint = down(ours);
    multipoint[1] |= 0x01;
    for (ttl, bytes, kind, why) in [
        (254, down(ours), "ttl", "its TTL of 254 is below 255"),
        (255, vec![0x20; 9], "malformed", "shorter than a control packet"),
        (255, multipoint, "malformed", "a multipoint packet"),
        (255, down(ours ^ 1), "discriminator", "no session here has discriminator"),
        (255, down(ours), "authentication", "it is not authenticated"),
        (255, signed(down(ours), 4, 1, 1), "authentication", "type 4 is not the one"),
        (255, signed(down(ours), 5, 9, 1), "authentication", "key 9 is not the one"),
        (255, signed(down(ours), 5, 1, 0x7fff_ffff), "replay", "it has been sent before"),
    ] {
        let count = |session: &Value| session["discards"][kind].as_u64();
        let before = count(&first.await_bfd(them, "Up")?);
        send(ttl, bytes)?;
        let seven = |session: &Value| count(session) == before.map(|before| before + 7);
        let session = first.await_session(them, &format!("counts {kind}: {why}"), seven)?;
        assert!(session["last_discard"].as_str().is_some_and(|text| text.contains(why)), "{why}: {session}");
    }
    let session = first.await_bfd(them, "Up")?;
    assert_eq!((&session["ups"], &session["packets_discarded"]), (&1.into(), &56.into()), "{session}");
    assert_eq!(first.times_established(them)?, 1);
    first.has_route(BGP, &second.host.subnet4())
}

/// The bridge hands every packet of the peer over twice.
#[test]
fn what_is_replayed_is_counted_and_moves_nothing() -> Result<()> {
    let (first, second) = authenticated("bfd-replay")?;
    let them = second.host.ipv4();
    for rule in [
        "add table netdev twice",
        "add chain netdev twice in { type filter hook ingress device p2 priority 0 ; }",
        "add rule netdev twice in udp dport 3784 dup to p1",
    ] {
        first.host.lab().lan().exec(["nft", rule])?.ok()?;
    }
    let many = |session: &Value| session["discards"]["replay"].as_u64() > Some(30);
    let session = first.await_session(them, "counts replays", many)?;
    assert_eq!((&session["state"], &session["ups"]), (&"Up".into(), &1.into()), "{session}");
    assert_eq!(session["packets_discarded"], session["discards"]["replay"], "{session}");
    assert_eq!(first.times_established(them)?, 1);
    Ok(())
}
