//! BFD over routers (RFC 5883): between two loopback addresses, through a
//! router that takes one from the TTL.

use std::net::UdpSocket;

use lab::{
    Error, Host, Lab, Result,
    cluster::ASN,
    peer::{Bird, Frr},
    watched::{LIMIT, Node, SOON, base, close, open, peer},
};

const OURS: &str = "198.51.100.1";
const THEIRS: &str = "198.51.100.2";

/// Two hosts and a router between their loopback addresses.
struct Path {
    lab: Lab,
    one: Host,
    two: Host,
    router: Host,
}

impl Path {
    /// `with_bridge`: the other host is a node of ours.
    fn new(name: &str, with_bridge: bool) -> Result<Path> {
        let lab = Lab::new(name)?;
        let (one, router) = (lab.host("n1")?, lab.router("r")?);
        let two = if with_bridge { lab.host("n2")? } else { lab.router("peer")? };
        for (host, own, other) in [(&one, OURS, THEIRS), (&two, THEIRS, OURS)] {
            host.ip(&[
                "link set lo up".to_owned(),
                format!("addr add {own}/32 dev lo"),
                format!("route add {other}/32 via {} src {own}", router.ipv4()),
            ])?;
        }
        router.ip(&[
            format!("route add {OURS}/32 via {}", one.ipv4()),
            format!("route add {THEIRS}/32 via {}", two.ipv4()),
        ])?;
        for setting in [
            "net.ipv4.ip_forward=1",
            "net.ipv4.conf.all.send_redirects=0",
            "net.ipv4.conf.eth0.send_redirects=0",
        ] {
            router.exec(["sysctl", "-qw", setting])?.ok()?;
        }
        Ok(Path { lab, one, two, router })
    }

    fn ours(&self, asn: u32, more: &str) -> Result<Node> {
        let more = format!("source = \"{OURS}\"\nmultihop = 2\n{more}");
        Node::start(&self.one, &(base(&self.one) + &peer(THEIRS, asn, &more)))
    }

    /// The session is one over routers, a cut of the path ends it, and BGP
    /// with it; then both come again.
    fn is_watched(&self, node: &Node) -> Result<()> {
        let session = node.await_bfd(THEIRS, "Up")?;
        assert_eq!(
            (&session["local_address"], &session["interface"]),
            (&OURS.into(), &serde_json::Value::Null)
        );
        self.await_bgp(node, true)?;
        close(&self.two)?;
        let (lab, limit) = (&self.lab, SOON);
        lab.wait_until("BGP hears of it", limit, || {
            let state = node.routed.session_state(THEIRS).map_err(|e| e.to_string())?;
            if state == "Established" { Err(state) } else { Ok(()) }
        })?;
        let why = node.routed.routectl_json(["peers", THEIRS])?;
        assert!(why["last_error"].to_string().contains("BFD says"), "{why}");
        open(&self.two)?;
        node.await_bfd(THEIRS, "Up")?;
        self.await_bgp(node, true)
    }

    fn await_bgp(&self, node: &Node, up: bool) -> Result<()> {
        self.lab.wait_until("BGP is as wanted", LIMIT, || {
            let state = node.routed.session_state(THEIRS).map_err(|e| e.to_string())?;
            if (state == "Established") == up { Ok(()) } else { Err(state) }
        })
    }
}

#[test]
fn two_nodes_watch_a_path_over_a_router() -> Result<()> {
    let path = Path::new("bfd-mh", true)?;
    let key = path.lab.dir().join("bfd.key");
    std::fs::write(&key, "s3cret\n").map_err(Error::file(&key))?;
    let auth =
        format!("bfd = {{ auth = {{ mode = \"meticulous-sha1\", key_file = \"{}\" }} }}", key.display());
    let first = path.ours(ASN, &auth)?;
    let theirs = format!("source = \"{THEIRS}\"\nmultihop = 2\n{auth}");
    let second = Node::start(&path.two, &(base(&path.two) + &peer(OURS, ASN, &theirs)))?;
    path.is_watched(&first)?;
    assert!(!first.routed.log()?.contains("set bfd.auth at both ends"));
    let shown = second.routed.routectl(["peers", OURS])?.ok()?.stdout;
    assert!(shown.contains("lost after 300ms of silence, meticulous-sha1 with key 1"), "{shown}");
    Ok(())
}

#[test]
fn over_ipv6_too() -> Result<()> {
    let lab = Lab::new("bfd-mh6")?;
    let (one, router, two) = (lab.host("n1")?, lab.router("r")?, lab.host("n2")?);
    let (ours, theirs) = ("2001:db8:ff::1", "2001:db8:ff::2");
    for (host, own, other) in [(&one, ours, theirs), (&two, theirs, ours)] {
        host.ip(&[
            "link set lo up".to_owned(),
            format!("addr add {own}/128 dev lo nodad"),
            format!("route add {other}/128 via {}", router.ipv6()),
        ])?;
    }
    router.ip(&[format!("route add {ours}/128 via {}", one.ipv6())])?;
    router.ip(&[format!("route add {theirs}/128 via {}", two.ipv6())])?;
    router.exec(["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"])?.ok()?;
    let config = |host: &Host, own: &str, other: &str| {
        base(host) + &peer(other, ASN, &format!("source = \"{own}\"\nmultihop = 2\nbfd = true"))
    };
    let first = Node::start(&one, &config(&one, ours, theirs))?;
    let second = Node::start(&two, &config(&two, theirs, ours))?;
    let session = first.await_bfd(theirs, "Up")?;
    assert_eq!(session["local_address"], ours, "{session}");
    second.await_bfd(ours, "Up")?;
    close(&two)?;
    first.await_bfd(theirs, "Down")?;
    open(&two)?;
    first.await_bfd(theirs, "Up").map(drop)
}

#[test]
fn packets_from_further_away_than_allowed_are_discarded_and_counted() -> Result<()> {
    let path = Path::new("bfd-mttl", true)?;
    let first = path.ours(ASN, "bfd = { minimum_ttl = 255 }")?;
    let theirs = format!("source = \"{THEIRS}\"\nmultihop = 2\nbfd = true");
    let _second = Node::start(&path.two, &(base(&path.two) + &peer(OURS, ASN, &theirs)))?;
    assert!(first.routed.log()?.contains("set bfd.auth at both ends (RFC 5883 §6)"));
    path.await_bgp(&first, true)?;
    let refused = |session: &serde_json::Value| session["discards"]["ttl"].as_u64() > Some(0);
    let session = first.await_session(THEIRS, "refuses", refused)?;
    assert_eq!(
        session["last_discard"],
        "its TTL of 254 is below 255: it has come from further away than the peer is, or the sender does not set it"
    );
    assert_eq!(session["state"], "Down", "{session}");
    // With the router's one hop allowed, it comes up.
    let more = format!("source = \"{OURS}\"\nmultihop = 2\nbfd = {{ minimum_ttl = 254 }}");
    first.routed.write_config(&(base(&path.one) + &peer(THEIRS, ASN, &more)))?;
    first.routed.routectl(["reload"])?.ok()?;
    first.await_bfd(THEIRS, "Up")?;
    // A stranger on the way is nobody's session.
    let before = first.await_bfd(THEIRS, "Up")?;
    path.router
        .run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_ttl(255)?;
            socket.send_to(&[0x20; 24], (OURS, 4784)).map(drop)
        })?
        .map_err(Error::io("send"))?;
    let more = before["packets_received"].as_u64().map(|n| n + 10);
    let session =
        first.await_session(THEIRS, "goes on", |session| session["packets_received"].as_u64() > more)?;
    assert_eq!((&session["state"], &session["ups"]), (&"Up".into(), &1.into()), "{session}");
    Ok(())
}

/// BIRD sends with TTL 64 over routers, so a key has to keep strangers out.
#[test]
fn bird_and_routed_watch_a_path_over_a_router() -> Result<()> {
    let path = Path::new("bfd-mbird", false)?;
    let key = path.lab.dir().join("bfd.key");
    std::fs::write(&key, "s3cret\n").map_err(Error::file(&key))?;
    let auth = format!("bfd = {{ auth = {{ mode = \"keyed-sha1\", key_file = \"{}\" }} }}", key.display());
    let node = path.ours(65001, &auth)?;
    let config = format!(
        "protocol device {{}}\nprotocol bfd {{ multihop {{ interval 100 ms; multiplier 3;\n\
         authentication keyed sha1; password \"s3cret\" {{ id 1; }}; }}; }}\n\
         protocol bgp r4 {{ local {THEIRS} as 65001; neighbor {OURS} as {ASN}; multihop 2; bfd on;\n\
         connect retry time 1; connect delay time 1; error wait time 1, 2;\n\
         ipv4 {{ import all; export none; }}; }}\n",
    );
    let bird = Bird::start(&path.two, &config)?;
    path.is_watched(&node)?;
    let said = bird.birdc("show bfd sessions")?;
    assert!(said.lines().any(|line| line.contains(OURS) && line.contains(" Up ")), "{said}");
    Ok(())
}

#[test]
fn frr_and_routed_watch_a_path_over_a_router() -> Result<()> {
    let path = Path::new("bfd-mfrr", false)?;
    let node = path.ours(65001, "bfd = true")?;
    let config = format!(
        "router bgp 65001\n bgp router-id {THEIRS}\n no bgp ebgp-requires-policy\n neighbor {OURS} remote-as {ASN}\n \
         neighbor {OURS} ebgp-multihop 2\n neighbor {OURS} update-source {THEIRS}\n \
         neighbor {OURS} timers connect 1\n neighbor {OURS} bfd profile fast\n",
    );
    let bfd = "bfd\n profile fast\n  detect-multiplier 3\n  receive-interval 100\n  transmit-interval 100\n";
    let frr = Frr::start_bfd(&path.two, &config, bfd)?;
    path.is_watched(&node)?;
    let peers = frr.json("show bfd peers json")?;
    assert_eq!((&peers[0]["status"], &peers[0]["multihop"]), (&"up".into(), &true.into()), "{peers}");
    Ok(())
}
