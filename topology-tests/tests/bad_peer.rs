//! A peer that errs: the daemon answers as the RFC says and runs on.

use std::time::Duration;

use lab::{
    Host, Lab, Result,
    cluster::{base_config, bgp_routes},
    peer::{
        RawBgp, Routed,
        raw::{self, KEEPALIVE, NOTIFICATION, OPEN, UPDATE},
    },
};

const LIMIT: Duration = Duration::from_secs(15);
/// The AS that the daemon expects of the peer.
const ASN: u16 = 65002;
/// What the peer announces.
const PREFIX: [u8; 3] = [10, 244, 60];
const PREFIX_TEXT: &str = "10.244.60.0/24";

struct Scene {
    routed: Routed,
    peer: Host,
    ours: Host,
    lab: Lab,
}

impl Scene {
    /// A daemon that waits for a peer which has bare hands.
    fn new(name: &str) -> Result<Scene> {
        Scene::of(name, "\"ipv4\"")
    }

    /// The same with these families.
    fn of(name: &str, families: &str) -> Result<Scene> {
        let lab = Lab::new(name)?;
        let (ours, peer) = (lab.host("n1")?, lab.router("peer")?);
        let config = base_config(&ours, 64512)
            + &format!(
                "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {ASN}\npassive = true\nidle_hold = 1\n\
                 families = [{families}]\n",
                peer.ipv4()
            );
        let routed = Routed::start(&ours, &config)?;
        Ok(Scene { routed, peer, ours, lab })
    }

    fn dial(&self) -> Result<RawBgp> {
        RawBgp::dial(&self.peer, self.ours.ipv4())
    }

    /// A session that is up. The daemon may hold a peer down for a moment after
    /// an error (RFC 4271 §8.1.1), so this tries until it is let in.
    fn session(&self) -> Result<RawBgp> {
        self.lab.wait_until("the peer is let in", LIMIT, || {
            let mut peer = self.dial().map_err(|e| e.to_string())?;
            peer.establish(ASN, self.peer.ipv4()).map_err(|e| e.to_string())?;
            Ok(peer)
        })
    }

    fn detail(&self) -> Result<serde_json::Value> {
        let detail = self.routed.routectl_json(["peers", &self.peer.ipv4().to_string()])?;
        // One object, or an array of one.
        Ok(if detail.is_array() { detail[0].clone() } else { detail })
    }

    /// The kernel has the peer's prefix, or has it not.
    fn await_prefix(&self, there: bool) -> Result<()> {
        self.lab.wait_until(&format!("{PREFIX_TEXT} in the kernel: {there}"), LIMIT, || {
            let have = bgp_routes(&self.ours).map_err(|e| e.to_string())?;
            let now = have.iter().any(|p| p == PREFIX_TEXT);
            if now == there { Ok(()) } else { Err(format!("{have:?}")) }
        })
    }

    /// The daemon runs and a correct session comes up and carries a route.
    fn runs_on(&mut self) -> Result<()> {
        assert!(self.routed.alive()?, "the daemon runs on");
        let mut peer = self.session()?;
        peer.send_message(UPDATE, &raw::update(PREFIX, 0, ASN, self.peer.ipv4()))?;
        self.await_prefix(true)
    }

    /// The peer's detail shows the NOTIFICATION that was sent and `text` in the last error.
    fn tells(&self, code: u8, subcode: u8, text: &str) -> Result<()> {
        let detail = self.detail()?;
        let sent = &detail["notification_sent"];
        assert_eq!((&sent["code"], &sent["subcode"]), (&code.into(), &subcode.into()), "{detail}");
        let error = detail["last_error"].as_str().unwrap_or_default();
        assert!(error.contains(text), "{text} is not in the last error: {detail}");
        Ok(())
    }
}

#[test]
fn peer_with_the_wrong_as_is_told_bad_peer_as() -> Result<()> {
    let mut scene = Scene::new("asn")?;
    let mut peer = scene.dial()?;
    peer.send_message(OPEN, &raw::open(65009, scene.peer.ipv4()))?;
    let answer = receive_notification(&mut peer)?;
    assert_eq!(answer[..2], [2, 2], "OPEN Message Error, Bad Peer AS (RFC 4271 §6.2)");
    scene.tells(2, 2, "65009")?;
    scene.runs_on()
}

#[test]
fn truncated_open_is_told_bad_message_length() -> Result<()> {
    let mut scene = Scene::new("short")?;
    let mut peer = scene.dial()?;
    peer.send_message(OPEN, &[4, 0xfd])?;
    let answer = receive_notification(&mut peer)?;
    assert_eq!(answer, [1, 2, 0, 21], "Message Header Error, Bad Message Length, the length (RFC 4271 §6.1)");
    scene.runs_on()
}

#[test]
fn wrong_marker_is_told_connection_not_synchronized() -> Result<()> {
    let mut scene = Scene::new("marker")?;
    let mut peer = scene.dial()?;
    let mut bytes = raw::message(OPEN, &raw::open(ASN, scene.peer.ipv4()));
    bytes[3] = 0;
    peer.send(&bytes)?;
    let answer = receive_notification(&mut peer)?;
    assert_eq!(answer[..2], [1, 1], "Connection Not Synchronized (RFC 4271 §6.1)");
    scene.runs_on()
}

#[test]
fn update_with_a_broken_attribute_withdraws_and_keeps_the_session() -> Result<()> {
    let mut scene = Scene::new("origin")?;
    let mut peer = scene.session()?;
    peer.send_message(UPDATE, &raw::update(PREFIX, 0, ASN, scene.peer.ipv4()))?;
    scene.await_prefix(true)?;
    // ORIGIN 9 is none: treat as withdraw, RFC 7606 §7.1.
    peer.send_message(UPDATE, &raw::update(PREFIX, 9, ASN, scene.peer.ipv4()))?;
    scene.await_prefix(false)?;
    let detail = scene.detail()?;
    assert_eq!(detail["state"], "Established", "{detail}");
    assert_eq!(detail["malformed"]["treat_as_withdraw"], 1, "{detail}");
    let last = &detail["malformed"]["last"];
    let marker = last["octets"].as_str().is_some_and(|octets| octets.starts_with(&"ff".repeat(16)));
    assert!(last["attribute"] == 1 && marker, "the octets of the message: {detail}");
    // The same session goes on.
    peer.send_message(UPDATE, &raw::update(PREFIX, 0, ASN, scene.peer.ipv4()))?;
    scene.await_prefix(true)?;
    peer.send_message(KEEPALIVE, &[])?;
    assert!(scene.routed.alive()?);
    Ok(())
}

#[test]
fn broken_next_hop_of_ipv6_ends_ipv6_and_leaves_ipv4_alone() -> Result<()> {
    let mut scene = Scene::of("disable", "\"ipv4\", \"ipv6\"")?;
    let id = scene.peer.ipv4();
    let dual = |scene: &Scene| -> Result<RawBgp> {
        scene.lab.wait_until("the peer is let in", LIMIT, || {
            let mut peer = scene.dial().map_err(|e| e.to_string())?;
            let mut open = raw::open(ASN, id);
            open.pop();
            let families = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1];
            let open = [&open[..], &[14, 2, 12], &families].concat();
            peer.establish_with(&open).map_err(|e| e.to_string())?;
            Ok(peer)
        })
    };
    let hop = scene.peer.ipv6().octets();
    let ipv6 = |hop: &[u8]| raw::update_ipv6([0xfd44, 0, 60], ASN, hop);
    let mut peer = dual(&scene)?;
    peer.send_message(UPDATE, &raw::update(PREFIX, 0, ASN, id))?;
    peer.send_message(UPDATE, &ipv6(&hop))?;
    let received = |scene: &Scene, count: u64| {
        scene.lab.wait_until(&format!("{count} prefixes received"), LIMIT, || {
            let detail = scene.detail().map_err(|e| e.to_string())?;
            if detail["prefixes_received"] == count { Ok(detail) } else { Err(detail.to_string()) }
        })
    };
    received(&scene, 2)?;
    scene.await_prefix(true)?;

    // A next hop of four octets is none of IPv6: RFC 7606 §7.11.
    peer.send_message(UPDATE, &ipv6(&hop[..4]))?;
    let detail = received(&scene, 1)?;
    assert_eq!(detail["state"], "Established", "{detail}");
    assert_eq!(detail["malformed"]["family_disable"], 1, "{detail}");
    let lost = &detail["disabled_families"][0];
    assert_eq!(
        (&lost["family"], &lost["reason"]),
        (&"ipv6".into(), &"the next hop has a wrong length".into())
    );
    let alarm = format!("family-disabled {id} ipv6");
    let alarmed = |scene: &Scene| -> Result<bool> {
        let status = scene.routed.routectl_json(["status"])?;
        Ok(status["alarms"].as_array().is_some_and(|list| list.iter().any(|one| one["id"] == alarm.as_str())))
    };
    assert!(alarmed(&scene)?);
    // What it tells of IPv6 from now on is ignored, and IPv4 goes on.
    peer.send_message(UPDATE, &ipv6(&hop))?;
    peer.send_message(UPDATE, &raw::update([10, 244, 61], 0, ASN, id))?;
    let detail = received(&scene, 2)?;
    assert_eq!(detail["malformed"]["attribute_discard"], 0, "ignored without a word: {detail}");
    scene.await_prefix(true)?;

    // The next session has both again.
    scene.routed.routectl(["peers", "reset", &id.to_string()])?.ok()?;
    let mut peer = dual(&scene)?;
    peer.send_message(UPDATE, &ipv6(&hop))?;
    let detail = received(&scene, 1)?;
    assert_eq!(detail["disabled_families"], serde_json::json!([]), "{detail}");
    assert!(!alarmed(&scene)?);
    assert!(scene.routed.alive()?);
    Ok(())
}

#[test]
fn stranger_is_refused_and_the_daemon_runs_on() -> Result<()> {
    let mut scene = Scene::new("stranger")?;
    let stranger = scene.lab.router("stranger")?;
    // Dropped by the kernel, it gets no connection at all.
    let target = std::net::SocketAddr::new(scene.ours.ipv4().into(), 179);
    let dial = move || std::net::TcpStream::connect_timeout(&target, std::time::Duration::from_millis(300));
    assert!(stranger.run(dial)?.is_err());
    scene.runs_on()
}

/// The body of the NOTIFICATION that ends the connection.
fn receive_notification(peer: &mut RawBgp) -> Result<Vec<u8>> {
    loop {
        let message = peer.receive()?;
        if message.kind == NOTIFICATION {
            return Ok(message.body);
        }
    }
}
