//! A peer that means harm: it costs neither the other sessions nor the log.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use lab::{
    Error, Host, Lab, Result,
    cluster::base_config,
    peer::{
        RawBgp, Routed,
        raw::{self, KEEPALIVE, NOTIFICATION, OPEN, UPDATE},
    },
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);
/// The AS of the hostile peer, and of the honest one.
const HOSTILE: u16 = 65002;
const HONEST: u16 = 65003;
/// How many log lines one misbehaviour may cost, however often it happens.
const LINES: usize = 8;

/// A daemon, a peer that behaves and has a session, one that will not.
struct Scene {
    routed: Routed,
    ours: Host,
    hostile: Host,
    honest: Host,
    session: RawBgp,
    lab: Lab,
}

impl Scene {
    fn new(name: &str) -> Result<Scene> {
        Self::with(name, "")
    }

    /// A scene with more keys of `[bgp]`.
    fn with(name: &str, keys: &str) -> Result<Scene> {
        let lab = Lab::new(name)?;
        let (ours, hostile, honest) = (lab.host("n1")?, lab.router("hostile")?, lab.router("honest")?);
        let peers = [(&hostile, HOSTILE), (&honest, HONEST)].map(|(peer, asn)| {
            format!(
                "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {asn}\npassive = true\nidle_hold = 1\n",
                peer.ipv4()
            )
        });
        let routed = Routed::start(&ours, &(base_config(&ours, 64512) + keys + &peers.concat()))?;
        let mut session = RawBgp::dial(&honest, ours.ipv4())?;
        session.establish(HONEST, honest.ipv4())?;
        Ok(Scene { routed, ours, hostile, honest, session, lab })
    }

    fn dial(&self) -> Result<RawBgp> {
        RawBgp::dial(&self.hostile, self.ours.ipv4())
    }

    /// A session of the hostile peer, as soon as it is let in.
    fn session(&self) -> Result<RawBgp> {
        self.lab.wait_until("the hostile peer is let in", LIMIT, || {
            let mut peer = self.dial().map_err(|e| e.to_string())?;
            peer.establish(HOSTILE, self.hostile.ipv4()).map_err(|e| e.to_string())?;
            Ok(peer)
        })
    }

    fn detail(&self, peer: Ipv4Addr) -> Result<Value> {
        let detail = self.routed.routectl_json(["peers", &peer.to_string()])?;
        Ok(if detail.is_array() { detail[0].clone() } else { detail })
    }

    /// Waits until the detail of the hostile peer is as `look` wants it.
    fn await_detail(&self, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        self.lab.wait_until(what, LIMIT, || {
            let detail = self.detail(self.hostile.ipv4()).map_err(|e| e.to_string())?;
            if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
        })
    }

    fn logged(&self, words: &str) -> Result<usize> {
        Ok(self.routed.log()?.lines().filter(|line| line.contains(words)).count())
    }

    /// The daemon runs, and the honest peer has its first session still.
    fn unharmed(&mut self) -> Result<()> {
        assert!(self.routed.alive()?, "the daemon runs on");
        self.session.send_message(KEEPALIVE, &[])?;
        let detail = self.detail(self.honest.ipv4())?;
        assert_eq!(detail["state"], "Established", "{detail}");
        Ok(())
    }
}

/// An OPEN that speaks IPv4 and graceful restart.
fn graceful_open(asn: u16, id: Ipv4Addr) -> Vec<u8> {
    let capabilities = [1, 4, 0, 1, 0, 1, 64, 6, 0, 120, 0, 1, 1, 0x80];
    let mut open = raw::open(asn, id);
    open.pop();
    [&open[..], &[16, 2, 14], &capabilities].concat()
}

/// A connection that is closed with a reset, perhaps before we look at it.
fn knock(host: &Host, target: Ipv4Addr) -> Result<()> {
    let target = SocketAddr::new(target.into(), 179);
    match host.run(move || TcpStream::connect_timeout(&target, LIMIT))? {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(Error::io(host.name())(error)),
        _ => Ok(()),
    }
}

/// What the daemon has in memory, in KiB.
fn memory(routed: &Routed) -> Result<u64> {
    let pid = routed.pid().ok_or_else(|| Error::Claim("routed does not run".to_owned()))?;
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Error::Claim(format!("no VmRSS in {text}")))
}

/// The answer that ends the connection.
fn notification(peer: &mut RawBgp) -> Result<Vec<u8>> {
    loop {
        let message = peer.receive()?;
        if message.kind == NOTIFICATION {
            return Ok(message.body);
        }
    }
}

#[test]
fn each_bad_beginning_is_told_by_its_own_code() -> Result<()> {
    let mut scene = Scene::new("begin")?;
    let id = scene.hostile.ipv4();
    let good = raw::open(HOSTILE, id);
    let open = |at: usize, bytes: &[u8]| {
        let mut open = good.clone();
        open[at..at + bytes.len()].copy_from_slice(bytes);
        raw::message(OPEN, &open)
    };
    let update = raw::message(UPDATE, &raw::update([10, 244, 60], 0, HOSTILE, id));
    let twice = [raw::message(OPEN, &good), raw::message(OPEN, &good)].concat();
    let early = [raw::message(OPEN, &good), update.clone()].concat();
    let cases: [(&str, Vec<u8>, [u8; 2], &str); 10] = [
        ("version 3", open(0, &[3]), [2, 1], "Version"),
        ("another AS", open(1, &65009u16.to_be_bytes()), [2, 2], "65009"),
        ("hold time 1", open(3, &[0, 1]), [2, 6], "1 s"),
        ("no identifier", open(5, &[0; 4]), [2, 3], "0.0.0.0"),
        ("garbage", vec![b'x'; 64], [1, 1], "Not Synchronized"),
        ("KEEPALIVE first", raw::message(KEEPALIVE, &[]), [5, 1], "Unexpected"),
        ("UPDATE first", update, [5, 1], "Unexpected"),
        ("OPEN twice", twice, [5, 2], "Unexpected"),
        ("UPDATE before Established", early, [5, 2], "Unexpected"),
        ("an unknown type", raw::message(9, &[]), [1, 3], "Bad Message Type"),
    ];
    for (what, bytes, code, words) in cases {
        let answer = scene.lab.wait_until(what, LIMIT, || {
            let mut peer = scene.dial().map_err(|e| e.to_string())?;
            // Held in Idle, the daemon closes at once; then nothing is to be read.
            peer.receive_kind(OPEN).map_err(|e| e.to_string())?;
            peer.send(&bytes).map_err(|e| e.to_string())?;
            notification(&mut peer).map_err(|e| e.to_string())
        })?;
        assert_eq!(answer[..2], code, "{what}");
        let detail = scene.detail(id)?;
        let sent = &detail["notification_sent"];
        assert_eq!((&sent["code"], &sent["subcode"]), (&code[0].into(), &code[1].into()), "{what}: {detail}");
        let error = detail["last_error"].as_str().unwrap_or_default();
        assert!(error.contains(words), "{what}: {words} is not in {error}");
        // The hold in Idle grows with each failure; an operator may end it.
        scene.routed.routectl(["peers", "reset", &id.to_string()])?.ok()?;
    }
    assert!(scene.logged("no session")? > 0, "a refusal is in the log");
    scene.unharmed()
}

#[test]
fn flood_of_broken_updates_is_counted_and_not_logged_one_by_one() -> Result<()> {
    const UPDATES: u64 = 20_000;
    let mut scene = Scene::new("broken")?;
    let mut peer = scene.session()?;
    let broken = raw::message(UPDATE, &raw::update([10, 244, 60], 9, HOSTILE, scene.hostile.ipv4()));
    let many = broken.repeat(100);
    for _ in 0..UPDATES / 100 {
        peer.send(&many)?;
    }
    let counted = |detail: &Value| detail["malformed"]["treat_as_withdraw"] == UPDATES;
    let detail = scene.await_detail("every broken UPDATE is counted", counted)?;
    assert_eq!(detail["state"], "Established", "{detail}");
    let lines = scene.logged("malformed")?;
    assert!((1..=LINES).contains(&lines), "{lines} lines for {UPDATES} broken messages");
    scene.unharmed()
}

#[test]
fn peer_that_flaps_is_held_down_and_not_logged_each_time() -> Result<()> {
    let mut scene = Scene::new("flap")?;
    let id = scene.hostile.ipv4();
    let hello = [raw::message(OPEN, &graceful_open(HOSTILE, id)), raw::message(KEEPALIVE, &[])].concat();
    for _ in 0..200 {
        let mut peer = scene.dial()?;
        // Held in Idle, the daemon closes: then this fails, as it should.
        if peer.send(&hello).and_then(|()| peer.receive_kind(KEEPALIVE)).is_err() {
            break;
        }
    }
    scene.await_detail("the peer is held in Idle", |detail| detail["state"] == "Idle")?;
    let (ups, downs) = (scene.logged("peer up")?, scene.logged("peer down")?);
    assert!(ups <= LINES && downs <= LINES, "{ups} ups and {downs} downs in the log");
    scene.unharmed()
}

#[test]
fn peer_with_too_many_prefixes_is_ended_and_its_routes_go() -> Result<()> {
    let mut scene = Scene::new("many")?;
    let mut peer = scene.session()?;
    let attributes = raw::update([0, 0, 0], 0, HOSTILE, scene.hostile.ipv4());
    let attributes = &attributes[..attributes.len() - 4];
    let prefixes: Vec<[u8; 5]> =
        (512..20_512u16).map(u16::to_be_bytes).map(|[a, b]| [32, 10, 244, a, b]).collect();
    for some in prefixes.chunks(500) {
        // The connection may be ended before all is said.
        if peer.send_message(UPDATE, &[attributes, &some.concat()].concat()).is_err() {
            break;
        }
    }
    let ended = |detail: &Value| detail["notification_sent"]["code"] == 6 && detail["state"] == "Idle";
    let detail = scene.await_detail("the session is ended", ended)?;
    assert_eq!(detail["notification_sent"]["subcode"], 1, "{detail}");
    let words = detail["last_error"].as_str().unwrap_or_default();
    assert!(words.contains("10000"), "{words}");
    scene.lab.wait_until("its routes are gone", LIMIT, || {
        let routes = lab::cluster::bgp_routes(&scene.ours).map_err(|e| e.to_string())?;
        if routes.is_empty() { Ok(()) } else { Err(format!("{} routes", routes.len())) }
    })?;
    assert_eq!(scene.logged("max_prefixes")?, 2, "once as the cause, once as the end of the session");
    scene.unharmed()
}

#[test]
fn hundreds_of_connections_cost_nothing_that_stays() -> Result<()> {
    // The kernel lets strangers through.
    let mut scene = Scene::with("conns", "guard = false\n")?;
    let stranger = scene.lab.router("stranger")?;
    let descriptors = |scene: &Scene| -> Result<usize> {
        let pid = scene.routed.pid().ok_or_else(|| Error::Claim("routed does not run".to_owned()))?;
        let path = format!("/proc/{pid}/fd");
        Ok(std::fs::read_dir(&path).map_err(Error::file(&path))?.count())
    };
    let before = descriptors(&scene)?;
    let all: Result<Vec<RawBgp>> = (0..300).map(|_| scene.dial()).collect();
    drop(all?);
    for _ in 0..300 {
        knock(&stranger, scene.ours.ipv4())?;
    }
    scene.lab.wait_until("the descriptors are given back", LIMIT, || {
        let now = descriptors(&scene).map_err(|e| e.to_string())?;
        if now <= before + 2 { Ok(()) } else { Err(format!("{before} before, {now} now")) }
    })?;
    let _ = scene.session()?;
    scene.unharmed()
}

#[test]
fn strangers_by_the_thousand_keep_no_peer_waiting_and_leave_nothing_behind() -> Result<()> {
    let mut scene = Scene::with("strangers", "guard = false\n")?;
    let stranger = scene.lab.router("stranger")?;
    let before = memory(&scene.routed)?;
    let (ours, over) = (scene.ours.ipv4(), AtomicBool::new(false));
    // At least so many, and they go on until the peer has its session.
    let dialled = std::thread::scope(|scope| -> Result<usize> {
        let flood = || -> Result<usize> {
            let mut count = 0;
            while count < 250 || !over.load(Ordering::Relaxed) {
                knock(&stranger, ours)?;
                count += 1;
            }
            Ok(count)
        };
        let floods = [(); 4].map(|()| scope.spawn(flood));
        // The flood has begun.
        let begun = scene.lab.wait_until("strangers are turned away", LIMIT, || {
            let status = scene.routed.routectl_json(["status"]).map_err(|e| e.to_string())?;
            let closed = &status["counts"]["strangers_closed"];
            if closed.as_u64() > Some(0) { Ok(()) } else { Err(closed.to_string()) }
        });
        let session = begun.and_then(|()| {
            let mut peer = scene.dial()?;
            peer.establish(HOSTILE, scene.hostile.ipv4())?;
            Ok(peer)
        });
        over.store(true, Ordering::Relaxed);
        let ended = |_| Error::Claim("the flood ended".to_owned());
        let counts: Result<Vec<usize>> =
            floods.into_iter().map(|flood| flood.join().map_err(ended).flatten()).collect();
        session.and(Ok(counts?.iter().sum()))
    })?;
    scene.lab.wait_until("each of them was closed", LIMIT, || {
        let status = scene.routed.routectl_json(["status"]).map_err(|e| e.to_string())?;
        let counts = &status["counts"];
        let all = counts["strangers_closed"].as_u64() == u64::try_from(dialled).ok();
        if all { Ok(()) } else { Err(format!("{dialled} came: {counts}")) }
    })?;
    let lines = scene.logged("that of no peer")?;
    assert!((1..=LINES).contains(&lines), "{lines} lines for {dialled} strangers");
    let left = scene.ours.exec(["ss", "-Htan", "dst", &stranger.ipv4().to_string()])?.ok()?.stdout;
    assert!(left.lines().count() < 10, "sockets of strangers stay with the kernel: {left}");
    let after = memory(&scene.routed)?;
    assert!(after < before + 4 * 1024, "{before} KiB before, {after} after {dialled} strangers");
    scene.unharmed()
}

#[test]
fn path_that_does_not_begin_with_the_peer_is_refused_and_says_why() -> Result<()> {
    let mut scene = Scene::new("first")?;
    let mut peer = scene.session()?;
    let id = scene.hostile.ipv4();
    // The empty path leaves out the segment of four bytes.
    let mut empty = raw::update([10, 244, 61], 0, HOSTILE, id);
    empty.splice(8..15, [0x40, 2, 0]);
    empty[3] -= 4;
    for body in [raw::update([10, 244, 60], 0, 65009, id), empty, raw::update([10, 244, 62], 0, HOSTILE, id)]
    {
        peer.send_message(UPDATE, &body)?;
    }
    let control = ["10.244.62.0/24".to_owned()];
    scene.lab.wait_until("the good route is installed", LIMIT, || {
        lab::cluster::has_routes(&scene.ours, &control)
    })?;
    assert_eq!(lab::cluster::bgp_routes(&scene.ours)?, control, "the others are not");
    let received = scene.routed.routectl_json(["routes", "--peer", &id.to_string(), "--received"])?;
    let reason = |prefix: &str| {
        let found = received.as_array().into_iter().flatten().find(|route| route["prefix"] == prefix);
        found.map_or_else(String::new, |route| route["reason"].to_string())
    };
    assert!(reason("10.244.60.0/24").contains("begins with AS 65009"), "{received}");
    assert!(reason("10.244.61.0/24").contains("AS path is empty"), "{received}");
    scene.unharmed()
}

#[test]
fn peer_that_never_reads_costs_neither_memory_nor_the_others() -> Result<()> {
    /// More than the buffers of both kernels take.
    const ROUNDS: u32 = 80;
    const ROUTES: u16 = 8_000;
    let mut scene = Scene::new("deaf")?;
    let peers: String = [(&scene.hostile, HOSTILE), (&scene.honest, HONEST)]
        .map(|(peer, asn)| {
            format!(
                "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {asn}\npassive = true\nidle_hold = 1\n\
                 export = \"accept-all\"\n",
                peer.ipv4()
            )
        })
        .concat();
    scene.routed.write_config(&(base_config(&scene.ours, 64512) + &peers))?;
    scene.routed.routectl(["reload"])?.ok()?;
    let deaf = scene.session()?;
    // The honest peer tells thousands of routes, each as a message of its own
    // towards the deaf one, again and again.
    let mut peak = Vec::new();
    for round in 0..ROUNDS {
        let mut messages = Vec::new();
        for n in 512..512 + ROUTES {
            let [a, b] = n.to_be_bytes();
            let mut body = raw::update([10, 244, a], 0, HONEST, scene.honest.ipv4());
            // Another community each time, so that nothing is told as it was.
            let community = (round * 10_000 + u32::from(n)).to_be_bytes();
            body.splice(22..22, [&[0xc0, 8, 4][..], &community].concat());
            body[3] += 7;
            let at = body.len() - 4;
            body.splice(at..=at, [32]);
            body.push(b);
            messages.extend(raw::message(UPDATE, &body));
        }
        scene.session.send(&messages)?;
        let (last, community) = (511 + ROUTES, round * 10_000 + u32::from(511 + ROUTES));
        let control = format!("10.244.{}.{}/32", last >> 8, last & 0xff);
        let community = format!("{}:{}", community >> 16, community & 0xffff);
        scene.lab.wait_until("the last route is in the table", LIMIT, || {
            let found = scene.routed.routectl_json(["routes", &control]).map_err(|e| e.to_string())?;
            if found[0]["communities"][0] == community { Ok(()) } else { Err(found.to_string()) }
        })?;
        peak.push(memory(&scene.routed)?);
    }
    // The least of ten rounds, for what the allocator keeps goes up and down,
    // a step of ten megabytes among it; forty rounds that nobody reads are 20 MB.
    let least = |rounds: &[u64]| rounds.iter().copied().min().unwrap_or_default();
    let (early, late) = (least(&peak[30..40]), least(&peak[70..]));
    assert!(late < early + 12 * 1024, "memory grows with what is not read: {peak:?} KiB");
    let detail = scene.detail(scene.hostile.ipv4())?;
    assert_eq!(detail["state"], "Established", "a slow peer is not ended before its time: {detail}");
    let sent = detail["messages"]["sent"]["update"].as_u64().unwrap_or_default();
    let all = u64::from(ROUNDS) * u64::from(ROUTES);
    assert!(
        (1..all * 9 / 10).contains(&sent),
        "the peer is stuck, what changed meanwhile is one change: {sent} of {all}"
    );
    drop(deaf);
    scene.unharmed()
}
