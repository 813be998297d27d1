//! BFD: a path that is cut in the middle, where no link goes down, is left in
//! about a second and not after the hold time.

use std::time::Duration;

use lab::{
    Container, Host, Lab, Result,
    cluster::{ASN, POOLS, base_config, has_routes_of, lacks_route_of},
    pair::THEIR_4,
    peer::{Bird, Frr, Routed},
};

/// Patience with daemons that find each other.
const LIMIT: Duration = Duration::from_secs(30);
/// Three times 100 ms, and what a busy machine takes; hold time 90 s, RIP 180 s.
const SOON: Duration = Duration::from_secs(2);
/// The kernel's numbers of protocols.
const BGP: &str = "186";
const RIP: &str = "189";

/// A host with routed and one container, that its bridge has a carrier.
struct Node {
    routed: Routed,
    host: Host,
    _container: Container,
}

fn node(host: &Host, config: &str) -> Result<Node> {
    let container = host.container("c1")?;
    Ok(Node { routed: Routed::start(host, config)?, host: host.clone(), _container: container })
}

fn peer(of: &Host, asn: u32, more: &str) -> String {
    let address = of.ipv4();
    format!(
        "\n[[bgp.peer]]\naddress = \"{address}\"\nasn = {asn}\nconnect_retry = 1\nidle_hold = 1\n{more}\n"
    )
}

/// Sets the port of a host on the LAN: the bridge drops all or forwards all;
/// no end sees its link change.
fn port(host: &Host, state: &str) -> Result<()> {
    let name = format!("p{}", host.ipv4().octets()[3]);
    host.lab().lan().exec(["bridge", "link", "set", "dev", &name, "state", state])?.ok().map(drop)
}

/// Waits until `routectl bfd` shows the session with a host in a state.
fn await_bfd(routed: &Routed, with: &Host, state: &str, protocol: &str) -> Result<()> {
    let address = with.ipv4().to_string();
    routed.host().lab().wait_until(&format!("BFD with {address} is {state}"), LIMIT, || {
        let sessions = routed.routectl_json(["bfd"]).map_err(|e| e.to_string())?;
        let found = sessions.as_array().into_iter().flatten().any(|session| {
            session["peer"] == *address && session["state"] == state && session["protocols"][0] == protocol
        });
        if found { Ok(()) } else { Err(sessions.to_string()) }
    })
}

fn await_route(host: &Host, protocol: &str, prefix: &str) -> Result<()> {
    let wanted = [prefix.to_owned()];
    host.lab().wait_until("the route comes", LIMIT, || has_routes_of(host, protocol, &wanted))
}

/// Cuts the path to `far` and waits until `near` has left it.
fn cut(near: &Host, far: &Host, protocol: &str, prefix: &str) -> Result<()> {
    port(far, "0")?;
    let lacks = || lacks_route_of(near, protocol, prefix);
    near.lab().wait_until("the route goes at once", SOON, lacks)
}

#[test]
fn a_path_between_two_nodes_that_is_cut_is_left_at_once_and_taken_again() -> Result<()> {
    let lab = Lab::new("bfd-bgp")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let key = lab.dir().join("bfd.key");
    std::fs::write(&key, "s3cret\n").map_err(lab::Error::file(&key))?;
    let auth =
        format!("bfd = {{ auth = {{ mode = \"meticulous-sha1\", key_file = \"{}\" }} }}", key.display());
    let first = node(&one, &(base_config(&one, ASN) + &peer(&two, ASN, &auth)))?;
    let second = node(&two, &(base_config(&two, ASN) + &peer(&one, ASN, &auth)))?;
    await_bfd(&first.routed, &two, "Up", "bgp")?;
    await_bfd(&second.routed, &one, "Up", "bgp")?;
    await_route(&one, BGP, &two.subnet4())?;

    cut(&one, &two, BGP, &two.subnet4())?;
    await_bfd(&first.routed, &two, "Down", "bgp")?;
    let sessions = first.routed.routectl_json(["bfd"])?;
    assert_eq!(sessions[0]["diagnostic"], "control detection time expired");
    assert!(first.routed.log()?.contains("BFD says that the peer is not reachable"));

    port(&two, "3")?;
    await_bfd(&first.routed, &two, "Up", "bgp")?;
    await_route(&one, BGP, &second.host.subnet4())
}

#[test]
fn a_peer_that_does_not_speak_bfd_is_not_held_down() -> Result<()> {
    let lab = Lab::new("bfd-never")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let first = node(&one, &(base_config(&one, ASN) + &peer(&two, ASN, "bfd = true")))?;
    let _second = node(&two, &(base_config(&two, ASN) + &peer(&one, ASN, "")))?;
    await_route(&one, BGP, &two.subnet4())?;
    await_bfd(&first.routed, &two, "Down", "bgp")
}

#[test]
fn a_restart_of_a_neighbour_is_no_failure_of_the_path() -> Result<()> {
    let lab = Lab::new("bfd-restart")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let first = node(&one, &(base_config(&one, ASN) + &peer(&two, ASN, "bfd = true")))?;
    let mut second = node(&two, &(base_config(&two, ASN) + &peer(&one, ASN, "bfd = true")))?;
    await_bfd(&first.routed, &two, "Up", "bgp")?;
    await_route(&one, BGP, &two.subnet4())?;
    second.routed.sigterm()?;
    await_bfd(&first.routed, &two, "Down", "bgp")?;
    assert!(!first.routed.log()?.contains("BFD says that the peer is not reachable"));
    // Graceful restart keeps what it told.
    has_routes_of(&one, BGP, &[two.subnet4()]).map_err(lab::Error::Claim)?;
    second.routed.restart()?;
    await_bfd(&first.routed, &two, "Up", "bgp")
}

#[test]
fn rip_leaves_a_neighbour_at_once() -> Result<()> {
    let lab = Lab::new("bfd-rip")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let config = |host: &Host| {
        format!(
            "[node]\nname = \"{}\"\n[cluster]\npools = {POOLS}\n[[advertise]]\ninterface = \"docker0\"\n\
             [bfd]\ninterval_ms = 50\nmultiplier = 5\n[rip]\ninterfaces = [\"eth0\"]\nupdate = 5\nbfd = true\n",
            host.name()
        )
    };
    let first = node(&one, &config(&one))?;
    let _second = node(&two, &config(&two))?;
    await_route(&one, RIP, &two.subnet4())?;
    await_bfd(&first.routed, &two, "Up", "rip")?;
    cut(&one, &two, RIP, &two.subnet4())?;
    port(&two, "3")?;
    await_route(&one, RIP, &two.subnet4())?;
    await_bfd(&first.routed, &two, "Up", "rip")
}

#[test]
fn bird_and_routed_watch_their_path() -> Result<()> {
    let lab = Lab::new("bfd-bird")?;
    let (one, two) = (lab.host("n1")?, lab.router("peer")?);
    let first = node(&one, &(base_config(&one, ASN) + &peer(&two, 65001, "bfd = true")))?;
    let config = format!(
        "protocol device {{}}\nprotocol bfd {{ interface \"eth0\" {{ interval 100 ms; multiplier 3; }}; }}\n\
         protocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
         protocol bgp r4 {{ local {} as 65001; neighbor {} as {ASN}; bfd on; connect retry time 1; connect delay time 1; error wait time 1, 2;\n\
         ipv4 {{ import all; export all; next hop self; }}; }}\n",
        two.ipv4(),
        one.ipv4(),
    );
    let bird = Bird::start(&two, &config)?;
    await_bfd(&first.routed, &two, "Up", "bgp")?;
    await_route(&one, BGP, THEIR_4)?;
    let sessions = bird.birdc("show bfd sessions")?;
    assert!(sessions.contains("Up"), "{sessions}");
    cut(&one, &two, BGP, THEIR_4)?;
    port(&two, "3")?;
    await_bfd(&first.routed, &two, "Up", "bgp")?;
    await_route(&one, BGP, THEIR_4)
}

#[test]
fn frr_and_routed_watch_their_path() -> Result<()> {
    let lab = Lab::new("bfd-frr")?;
    let (one, two) = (lab.host("n1")?, lab.router("peer")?);
    let first = node(&one, &(base_config(&one, ASN) + &peer(&two, 65002, "bfd = true")))?;
    let us = one.ipv4();
    let config = format!(
        "router bgp 65002\n bgp router-id {}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         neighbor {us} remote-as {ASN}\n neighbor {us} timers connect 1\n neighbor {us} bfd profile fast\n \
         address-family ipv4 unicast\n  network {THEIR_4}\n exit-address-family\n",
        two.ipv4(),
    );
    let bfd = "bfd\n profile fast\n  detect-multiplier 3\n  receive-interval 100\n  transmit-interval 100\n";
    let frr = Frr::start_bfd(&two, &config, bfd)?;
    await_bfd(&first.routed, &two, "Up", "bgp")?;
    await_route(&one, BGP, THEIR_4)?;
    let peers = frr.json("show bfd peers json")?;
    assert_eq!(peers[0]["status"], "up", "{peers}");
    cut(&one, &two, BGP, THEIR_4)?;
    port(&two, "3")?;
    await_bfd(&first.routed, &two, "Up", "bgp")?;
    await_route(&one, BGP, THEIR_4)
}
