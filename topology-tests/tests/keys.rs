//! Keys of ranges of peers, and TCP-AO where the kernel has it and where not.

use std::{
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use lab::{Error, Host, Lab, Result, cluster::base_config, pair::ASN, peer::Routed};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// Files with keys in the lab's directory, named by what is in them.
fn key_files(lab: &Lab, names: &[&str]) -> Result<()> {
    for name in names {
        let path = lab.dir().join(name);
        std::fs::write(&path, format!("{name}-s3cret\n")).map_err(Error::file(&path))?;
    }
    Ok(())
}

/// The value of `password_file` that names them.
fn files(lab: &Lab, names: &[&str]) -> String {
    let quoted: Vec<String> =
        names.iter().map(|name| format!("\"{}\"", lab.dir().join(name).display())).collect();
    format!("[{}]", quoted.join(", "))
}

fn detail(routed: &Routed, peer: &Host) -> Result<Value> {
    routed.routectl_json(["peers", &peer.ipv4().to_string()])
}

fn await_detail(routed: &Routed, peer: &Host, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
    peer.lab().wait_until(what, LIMIT, || {
        let detail = detail(routed, peer).map_err(|e| e.to_string())?;
        if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
    })
}

fn is_up(detail: &Value) -> bool {
    detail["state"] == "Established"
}

fn change(routed: &Routed, config: &str) -> Result<()> {
    routed.write_config(config)?;
    routed.routectl(["reload"])?.ok().map(drop)
}

fn of_range(ours: &Host, keys: &str) -> String {
    base_config(ours, ASN)
        + &format!("\n[[bgp.dynamic]]\nrange = \"192.0.2.0/24\"\nasn = {ASN}\nhold_time = 9\n{keys}\n")
}

fn of_peer(ours: &Host, theirs: &Host, keys: &str) -> String {
    base_config(ours, ASN)
        + &format!(
            "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {ASN}\nconnect_retry = 1\nhold_time = 9\n{keys}\n",
            theirs.ipv4()
        )
}

#[test]
fn keys_of_a_range_roll_over_without_a_reset() -> Result<()> {
    let lab = Lab::new("rangekeys")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    key_files(&lab, &["old", "new"])?;
    let range = |keys: &[&str]| of_range(&one, &format!("password_file = {}", files(&lab, keys)));
    let peer = |keys: &[&str]| of_peer(&two, &one, &format!("password_file = {}", files(&lab, keys)));
    let first = Routed::start(&one, &range(&["old"]))?;
    let second = Routed::start(&two, &peer(&["old"]))?;
    await_detail(&first, &two, "one of the range is up", is_up)?;
    change(&first, &range(&["new", "old"]))?;
    let kept = detail(&first, &two)?;
    assert_eq!((&kept["settings"]["tcp_md5_keys"], &kept["settings"]["tcp_md5_key"]), (&2.into(), &2.into()));
    change(&second, &peer(&["new"]))?;
    await_detail(&first, &two, "the end with the range has followed", |d| d["settings"]["tcp_md5_key"] == 1)?;
    change(&first, &range(&["new"]))?;
    let before = detail(&first, &two)?["messages"]["received"]["keepalive"].as_u64();
    let after = await_detail(&first, &two, "keepalives go on for longer than the hold time", |d| {
        d["messages"]["received"]["keepalive"].as_u64() >= before.map(|before| before + 4)
    })?;
    assert_eq!((&after["state"], &after["established_count"]), (&"Established".into(), &1.into()), "{after}");
    // A new session takes the new key.
    second.routectl(["peers", "reset", &one.ipv4().to_string()])?.ok()?;
    await_detail(&second, &one, "there is a second session", |d| is_up(d) && d["established_count"] == 2)?;
    Ok(())
}

#[test]
fn nobody_of_a_range_gets_in_without_its_key_not_even_as_the_daemon_starts() -> Result<()> {
    let lab = Lab::new("early")?;
    let (ours, theirs) = (lab.host("n1")?, lab.host("n2")?);
    key_files(&lab, &["k"])?;
    let (over, target) = (AtomicBool::new(false), SocketAddr::new(ours.ipv4().into(), 179));
    let routed = std::thread::scope(|scope| -> Result<Routed> {
        let dials = scope.spawn(|| -> Result<(u32, u32)> {
            let (mut tried, mut in_) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let dial = move || TcpStream::connect_timeout(&target, Duration::from_millis(20));
                tried += 1;
                in_ += u32::from(theirs.run(dial)?.is_ok());
            }
            Ok((tried, in_))
        });
        let routed =
            Routed::start(&ours, &of_range(&ours, &format!("password_file = {}", files(&lab, &["k"]))));
        over.store(true, Ordering::Relaxed);
        let (tried, in_) = dials.join().map_err(|_| Error::Claim("the dials ended".to_owned()))??;
        assert!(tried > 0 && in_ == 0, "{in_} of {tried} got in without the key");
        routed
    })?;
    // With the key it is another matter.
    let _dials = Routed::start(
        &theirs,
        &of_peer(&theirs, &ours, &format!("password_file = {}", files(&lab, &["k"]))),
    )?;
    await_detail(&routed, &theirs, "with the key it gets in", is_up)?;
    Ok(())
}

/// Either the kernel signs, or no session comes about and everybody is told why.
#[test]
fn tcp_ao_signs_or_the_peer_stays_idle_and_says_why() -> Result<()> {
    let lab = Lab::new("ao")?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    key_files(&lab, &["a", "b"])?;
    let file = |name: &str| lab.dir().join(name).display().to_string();
    let ao = |send: u8, receive: u8| {
        format!(
            "tcp_ao = [ {{ key_file = \"{}\", send_id = {send}, receive_id = {receive}, \
             algorithm = \"aes-128-cmac-96\" }}, {{ key_file = \"{}\", send_id = 9, receive_id = 9 }} ]",
            file("a"),
            file("b")
        )
    };
    let first = Routed::start(&one, &of_peer(&one, &two, &ao(1, 2)))?;
    let checked = first.check()?;
    let known = detail(&first, &two)?;
    assert_eq!(known["settings"]["tcp_ao_keys"], 2, "{known}");
    // The other end has no key.
    let second = Routed::start(&two, &of_peer(&two, &one, ""))?;
    if checked.stderr.contains("this kernel has no TCP-AO") {
        let idle = detail(&first, &two)?;
        let why = idle["last_error"].as_str().unwrap_or_default();
        assert!(
            idle["state"] == "Idle" && why.contains(&file("a")) && why.contains("CONFIG_TCP_AO"),
            "{idle}"
        );
        let status = first.routectl_json(["status"])?;
        let alarm = status["alarms"].to_string();
        assert!(
            alarm.contains(&format!("bgp-peer-key {}", two.ipv4())) && alarm.contains(&file("a")),
            "{status}"
        );
        // It is let in without a key as little: its connections are closed.
        await_detail(&second, &one, "the other end has tried", |d| d["last_error"].is_string())?;
        first.routectl(["peers", "enable", &two.ipv4().to_string()])?.ok()?;
        first.routectl(["peers", "reset", &two.ipv4().to_string()])?.ok()?;
        assert_eq!(first.session_state(&two.ipv4().to_string())?, "Idle");
        // Without the key there is a session again.
        change(&first, &of_peer(&one, &two, ""))?;
        await_detail(&first, &two, "there is a session where none is asked for", is_up)?;
    } else {
        change(&second, &of_peer(&two, &one, &ao(2, 1)))?;
        await_detail(&first, &two, "there is a session with TCP-AO", is_up)?;
    }
    Ok(())
}
