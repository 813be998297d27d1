//! BFD beside BIRD and FRR: with authentication where they have it, each end
//! asked what it thinks, and over routers.

use lab::{
    Error, Host, Lab, Result,
    cluster::ASN,
    pair::THEIR_4,
    peer::{Bird, Frr},
    watched::{BGP, LIMIT, Node, base, open, peer},
};

/// BIRD in AS 65001 that tells a prefix, with this in `protocol bfd` and this
/// in `protocol bgp`.
fn bird(host: &Host, us: &Host, bfd: &str, bgp: &str) -> Result<Bird> {
    let config = format!(
        "protocol device {{}}\nprotocol bfd {{ {bfd} }}\n\
         protocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
         protocol bgp r4 {{ local {} as 65001; neighbor {} as {ASN}; {bgp};\n\
         connect retry time 1; connect delay time 1; error wait time 1, 2;\n\
         ipv4 {{ import all; export all; next hop self; }}; }}\n",
        host.ipv4(),
        us.ipv4(),
    );
    Bird::start(host, &config)
}

fn frr(host: &Host, us: &Host, more: &str) -> Result<Frr> {
    let neighbor = us.ipv4();
    let config = format!(
        "router bgp 65001\n bgp router-id {}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         neighbor {neighbor} remote-as {ASN}\n neighbor {neighbor} timers connect 1\n {more}\n \
         neighbor {neighbor} bfd profile fast\n \
         address-family ipv4 unicast\n  network {THEIR_4}\n exit-address-family\n",
        host.ipv4(),
    );
    let bfd = "bfd\n profile fast\n  detect-multiplier 3\n  receive-interval 100\n  transmit-interval 100\n";
    Frr::start_bfd(host, &config, bfd)
}

/// Our end and theirs agree that the session is up.
fn bird_agrees(bird: &Bird, lab: &Lab, us: &Host) -> Result<()> {
    let address = us.ipv4().to_string();
    lab.wait_until("BIRD says that it is up", LIMIT, || {
        let said = bird.birdc("show bfd sessions").map_err(|e| e.to_string())?;
        let up = |line: &str| line.contains(&address) && line.contains(" Up ");
        if said.lines().any(up) { Ok(()) } else { Err(said) }
    })
}

fn key(lab: &Lab, name: &str, text: &str) -> Result<String> {
    let file = lab.dir().join(name);
    std::fs::write(&file, format!("{text}\n")).map_err(Error::file(&file))?;
    Ok(file.display().to_string())
}

#[test]
fn bird_and_routed_watch_their_path() -> Result<()> {
    let lab = Lab::new("bfd-bird")?;
    let (one, two) = (lab.host("n1")?, lab.router("peer")?);
    let node = Node::start(&one, &(base(&one) + &peer(two.ipv4(), 65001, "bfd = true")))?;
    let bird = bird(&two, &one, "interface \"eth0\" { interval 100 ms; multiplier 3; };", "bfd on")?;
    node.await_bfd(two.ipv4(), "Up")?;
    node.await_route(BGP, THEIR_4)?;
    bird_agrees(&bird, &lab, &one)?;
    node.cut(&two, BGP, THEIR_4)?;
    open(&two)?;
    node.await_bfd(two.ipv4(), "Up")?;
    node.await_route(BGP, THEIR_4)
}

#[test]
fn bird_and_routed_authenticate_each_other_in_every_mode() -> Result<()> {
    let modes = [
        ("password", "simple"),
        ("keyed-md5", "keyed md5"),
        ("meticulous-md5", "meticulous keyed md5"),
        ("keyed-sha1", "keyed sha1"),
        ("meticulous-sha1", "meticulous keyed sha1"),
    ];
    for (index, (ours, theirs)) in modes.into_iter().enumerate() {
        let lab = Lab::new(&format!("bfd-auth{index}"))?;
        let (one, two) = (lab.host("n1")?, lab.router("peer")?);
        let file = key(&lab, "bfd.key", "s3cret")?;
        let auth = format!("bfd = {{ auth = {{ mode = \"{ours}\", key_id = 7, key_file = \"{file}\" }} }}");
        let node = Node::start(&one, &(base(&one) + &peer(two.ipv4(), 65001, &auth)))?;
        let bfd = format!(
            "interface \"eth0\" {{ interval 100 ms; authentication {theirs}; password \"s3cret\" {{ id 7; }}; }};"
        );
        let bird = bird(&two, &one, &bfd, "bfd on")?;
        let session = node.await_bfd(two.ipv4(), "Up")?;
        bird_agrees(&bird, &lab, &one)?;
        let auth = &session["auth"];
        assert_eq!((&auth["mode"], &auth["remote_key_id"]), (&ours.into(), &7.into()), "{session}");
        // It stays so, for as long as numbers are compared.
        let more = |session: &serde_json::Value| session["packets_received"].as_u64() > Some(30);
        let session = node.await_session(two.ipv4(), "has gone on for a while", more)?;
        assert_eq!((&session["ups"], &session["packets_discarded"]), (&1.into(), &0.into()), "{session}");
    }
    Ok(())
}

#[test]
fn a_wrong_key_keeps_bird_down_and_a_change_of_keys_keeps_it_up() -> Result<()> {
    let lab = Lab::new("bfd-keys")?;
    let (one, two) = (lab.host("n1")?, lab.router("peer")?);
    let (old, new) = (key(&lab, "old.key", "before")?, key(&lab, "new.key", "after")?);
    let config = |keys: &[(u8, &str)]| {
        let keys: Vec<String> =
            keys.iter().map(|(id, file)| format!("{{ id = {id}, key_file = \"{file}\" }}")).collect();
        let auth =
            format!("bfd = {{ auth = {{ mode = \"meticulous-sha1\", keys = [{}] }} }}", keys.join(", "));
        base(&one) + &peer(two.ipv4(), 65001, &auth)
    };
    let node = Node::start(&one, &config(&[(2, &old)]))?;
    let reload = |keys: &[(u8, &str)]| {
        node.routed.write_config(&config(keys))?;
        node.routed.routectl(["reload"])?.ok().map(drop)
    };
    // BIRD takes both keys, and signs with the first.
    let bfd = "interface \"eth0\" { interval 100 ms; authentication meticulous keyed sha1;\n\
               password \"before\" { id 1; }; password \"after\" { id 2; }; };";
    let bird = bird(&two, &one, bfd, "bfd on")?;
    // Key 2 is another one there.
    let refused = |session: &serde_json::Value| session["discards"]["authentication"].as_u64() > Some(0);
    let session = node.await_session(two.ipv4(), "refuses", refused)?;
    assert_eq!(session["state"], "Down", "{session}");
    reload(&[(1, &old)])?;
    node.await_bfd(two.ipv4(), "Up")?;
    bird_agrees(&bird, &lab, &one)?;
    reload(&[(2, &new), (1, &old)])?;
    let ours =
        |session: &serde_json::Value| session["auth"]["key_id"] == 2 && session["auth"]["remote_key_id"] == 1;
    let session = node.await_session(two.ipv4(), "signs with the new key", ours)?;
    let since = session["packets_received"].as_u64();
    let more = |session: &serde_json::Value| session["packets_received"].as_u64() > since.map(|n| n + 30);
    let session = node.await_session(two.ipv4(), "has gone on", more)?;
    assert_eq!((&session["ups"], &session["state"]), (&1.into(), &"Up".into()), "{session}");
    bird_agrees(&bird, &lab, &one)
}

#[test]
fn frr_and_routed_watch_their_path() -> Result<()> {
    let lab = Lab::new("bfd-frr")?;
    let (one, two) = (lab.host("n1")?, lab.router("peer")?);
    let node = Node::start(&one, &(base(&one) + &peer(two.ipv4(), 65001, "bfd = true")))?;
    let frr = frr(&two, &one, "")?;
    node.await_bfd(two.ipv4(), "Up")?;
    node.await_route(BGP, THEIR_4)?;
    lab.wait_until("FRR says that it is up", LIMIT, || {
        let peers = frr.json("show bfd peers json").map_err(|e| e.to_string())?;
        if peers[0]["status"] == "up" { Ok(()) } else { Err(peers.to_string()) }
    })?;
    node.cut(&two, BGP, THEIR_4)?;
    open(&two)?;
    node.await_bfd(two.ipv4(), "Up")?;
    node.await_route(BGP, THEIR_4)
}
