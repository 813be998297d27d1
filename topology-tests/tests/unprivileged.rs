//! routed needs no root: three capabilities are enough for all that it does,
//! and without one of them it says so.

use std::{
    net::SocketAddr,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    time::Duration,
};

use lab::{
    Error, Host, Lab, Result,
    cluster::{ASN, base_config, has_routes, has_routes_of},
    peer::{Bird, Routed},
    traffic::{self, Reach},
};

const LIMIT: Duration = Duration::from_secs(30);
/// Patience with a packet that should not come.
const SILENCE: Duration = Duration::from_millis(500);
/// What a service of routed is given.
const ALL: &str = "+net_admin,+net_bind_service,+net_raw";
/// What BIRD tells by BGP and by RIP.
const BY_BGP: &str = "10.244.50.0/24";
const BY_RIP: &str = "10.244.60.0/24";

/// Nobody reaches a container on another port than 80.
const WEB_ONLY: &str = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: { name: web }\n\
    spec: { selector: all(), types: [Ingress], ingress: [ { action: Allow, protocol: TCP, destination: \
    { ports: [80] } } ] }\n";

/// Everything at once: keys, TTL security, BFD, RIP, and a peer that is to be
/// found by router advertisements.
fn everything(ours: &Host, theirs: &Host, key: &str) -> String {
    base_config(ours, ASN)
        + &format!(
            "[[bgp.peer]]\naddress = \"{}\"\nasn = {ASN}\nconnect_retry = 1\nttl_security = 1\n\
             password_file = \"{key}\"\nbfd = true\n[[bgp.peer]]\ninterface = \"eth0\"\nasn = 65001\n\
             [rip]\ninterfaces = [\"eth0\"]\nauth = {{ mode = \"text\", key_file = \"{key}\" }}\n",
            theirs.ipv4()
        )
}

fn bird(ours: &Host, theirs: &Host) -> Result<Bird> {
    let config = format!(
        "protocol device {{}}\n\
         protocol static by_bgp {{ ipv4; route {BY_BGP} blackhole; }}\n\
         protocol static by_rip {{ ipv4; route {BY_RIP} blackhole; }}\n\
         protocol bfd watch {{ interface \"eth0\" {{ interval 100 ms; }}; }}\n\
         protocol bgp peer {{ local {0} as {ASN}; neighbor {1} as {ASN}; connect retry time 1; password \"s3cret\";\n \
         direct; ttl security yes; bfd yes; ipv4 {{ import all; export where proto = \"by_bgp\"; next hop self; }}; }}\n\
         protocol rip here {{ ipv4 {{ import all; export where proto = \"by_rip\"; }};\n \
         interface \"eth0\" {{ version 2; update time 2; authentication plaintext; password \"s3cret\"; }}; }}\n",
        theirs.ipv4(),
        ours.ipv4(),
    );
    Bird::start(theirs, &config)
}

#[test]
fn three_capabilities_are_enough_for_everything() -> Result<()> {
    let lab = Lab::new("unpriv")?;
    let (ours, theirs, stranger) = (lab.host("n1")?, lab.router("peer")?, lab.router("stranger")?);
    let container = ours.container("c1")?;
    // What the daemon is to switch on itself.
    ours.sysctl(&[("net.ipv4.ip_forward", "0"), ("net.ipv6.conf.all.forwarding", "0")])?;
    let key = ours.dir("routed")?.join("key");
    std::fs::write(&key, "s3cret").map_err(Error::file(&key))?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).map_err(Error::file(&key))?;
    let config = everything(&ours, &theirs, &key.display().to_string());
    let mut routed = Routed::prepare(&ours, &config)?.unprivileged(ALL)?;
    routed.restart()?;
    let _bird = bird(&ours, &theirs)?;
    let pid = routed.pid().ok_or_else(|| Error::Claim("it runs".to_owned()))?;
    let status = ours.exec(["cat", &format!("/proc/{pid}/status")])?.ok()?.stdout;
    for line in ["Uid:\t65534", "CapEff:\t0000000000003400", "CapBnd:\t0000000000003400", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line} in {status}");
    }

    lab.wait_until("routes of BGP are in the kernel", LIMIT, || has_routes(&ours, &[BY_BGP.to_owned()]))?;
    lab.wait_until("routes of RIP too", LIMIT, || has_routes_of(&ours, "189", &[BY_RIP.to_owned()]))?;
    lab.wait_until("BFD watches the peer", LIMIT, || {
        let sessions = routed.routectl_json(["bfd"]).map_err(|e| e.to_string())?;
        let up = sessions.as_array().into_iter().flatten().any(|session| session["state"] == "Up");
        if up { Ok(()) } else { Err(sessions.to_string()) }
    })?;
    for setting in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        assert_eq!(ours.exec(["sysctl", "-n", setting])?.ok()?.stdout.trim(), "1", "{setting}");
    }

    // Policy and guard.
    let route = format!("route add {} via {}", ours.subnet4(), ours.ipv4());
    stranger.ip(&[route])?;
    let _services =
        [80, 81].map(|port| traffic::listen(&container, SocketAddr::new(container.ipv4().into(), port)));
    routed.routectl_with(["policy", "apply", "-f", "-"], WEB_ONLY)?.ok()?;
    let reach = |port| {
        let target = SocketAddr::new(container.ipv4().into(), port);
        traffic::tcp(&stranger, target, SILENCE)
    };
    assert_eq!((reach(80)?, reach(81)?), (Reach::Open, Reach::Silent));
    assert_eq!(traffic::tcp(&stranger, SocketAddr::new(ours.ipv4().into(), 179), SILENCE)?, Reach::Silent);
    let log = routed.log()?;
    assert!(!log.contains("ermitted") && !log.contains("ermission"), "{log}");

    // A restart adopts what the run before it left, and the clean-up takes it away.
    assert_eq!(routed.sigterm()?, 0);
    routed.restart()?;
    assert!(routed.log()?.contains("adopted"));
    assert_eq!(routed.sigterm()?, 0);
    routed.cleanup()?.ok()?;
    assert_eq!(ours.exec(["nft", "list", "ruleset"])?.ok()?.stdout, "");
    assert_eq!(ours.exec(["sysctl", "-n", "net.ipv4.ip_forward"])?.ok()?.stdout.trim(), "0");
    has_routes(&ours, &[BY_BGP.to_owned()]).unwrap_err();
    Ok(())
}

#[test]
fn without_a_capability_it_does_not_start_and_says_which() -> Result<()> {
    let lab = Lab::new("nocaps")?;
    let ours = lab.host("n1")?;
    let says = |capabilities: &str, wanted: &[&str], unwanted: &[&str]| -> Result<()> {
        let routed = Routed::prepare(&ours, &base_config(&ours, ASN))?.unprivileged(capabilities)?;
        let output = ours.exec(routed.command_line()?)?;
        assert_eq!(output.status, 1, "{output}");
        let said = format!("{}{}", output.stdout, output.stderr);
        let names = |name: &&str| said.contains(&format!("{name} (to "));
        assert!(wanted.iter().all(names) && !unwanted.iter().any(names), "{capabilities:?}: {said}");
        Ok(())
    };
    let (admin, bind) = ("CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE");
    says("", &[admin, bind], &[])?;
    says("+net_bind_service,+net_raw", &[admin], &[bind])?;
    says("+net_admin,+net_raw", &[bind], &[admin])?;
    assert_eq!(ours.exec(["nft", "list", "ruleset"])?.ok()?.stdout, "", "nothing was touched");
    Ok(())
}

#[test]
fn it_goes_on_without_what_finds_peers_and_says_so() -> Result<()> {
    let lab = Lab::new("noraw")?;
    let ours = lab.host("n1")?;
    let config = base_config(&ours, ASN) + "[[bgp.peer]]\ninterface = \"eth0\"\nasn = 65001\n";
    let mut routed = Routed::prepare(&ours, &config)?.unprivileged("+net_admin,+net_bind_service")?;
    routed.restart()?;
    let log = routed.log()?;
    assert!(log.contains("CAP_NET_RAW") && log.contains("find the peers of eth0"), "{log}");
    Ok(())
}

#[test]
fn the_service_manager_hears_when_it_is_ready_and_when_it_ends() -> Result<()> {
    let lab = Lab::new("notify")?;
    let ours = lab.host("n1")?;
    let path = lab.dir().join("notify");
    let manager = UnixDatagram::bind(&path).map_err(Error::file(&path))?;
    manager.set_read_timeout(Some(LIMIT)).map_err(Error::file(&path))?;
    let hear = || -> Result<String> {
        let mut text = [0; 64];
        let length = manager.recv(&mut text).map_err(Error::file(&path))?;
        Ok(String::from_utf8_lossy(&text[..length]).into_owned())
    };
    let routed = Routed::prepare(&ours, &base_config(&ours, ASN))?;
    let socket = format!("NOTIFY_SOCKET={}", path.display());
    let argv: Vec<String> = ["env".to_owned(), socket].into_iter().chain(routed.command_line()?).collect();
    let mut process = ours.spawn("routed", &argv)?;
    assert_eq!(hear()?, "READY=1");
    // Whoever hears it finds the API there.
    routed.routectl(["status"])?.ok()?;
    process.signal(nix::sys::signal::Signal::SIGTERM)?;
    assert_eq!(hear()?, "STOPPING=1");
    assert_eq!(process.wait(LIMIT)?, 0);
    Ok(())
}
