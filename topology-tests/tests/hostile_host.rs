//! A host on which something is in the way: the daemon says what, and leaves
//! everything as it was.

use std::{fs, time::Duration};

use lab::{
    Error, Lab, Result,
    cluster::{base_config, has_routes},
    peer::{RawBgp, Routed, find_binary, raw},
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn file_in_the_place_of_the_socket_is_not_touched() -> Result<()> {
    let lab = Lab::new("file")?;
    let host = lab.host("n1")?;
    let routed = Routed::prepare(&host, &base_config(&host, 64512))?;
    let socket = routed.socket();
    fs::write(&socket, "precious").map_err(Error::file(&socket))?;
    let output = host.exec(routed.command_line()?)?;
    assert_eq!(output.status, 1, "{output}");
    assert!(output.stderr.contains("no socket"), "{output}");
    assert_eq!(fs::read_to_string(&socket).map_err(Error::file(&socket))?, "precious");
    Ok(())
}

#[test]
fn daemon_whose_port_is_taken_has_changed_nothing() -> Result<()> {
    let lab = Lab::new("port")?;
    let host = lab.host("n1")?;
    host.exec(["sysctl", "-qw", "net.ipv4.ip_forward=0"])?.ok()?;
    let _taken =
        host.run(|| std::net::TcpListener::bind("0.0.0.0:179"))?.map_err(Error::io("listen on port 179"))?;
    let routed = Routed::prepare(&host, &base_config(&host, 64512))?;
    let output = host.exec(routed.command_line()?)?;
    assert_eq!(output.status, 1, "{output}");
    assert!(output.stderr.contains("another BGP daemon"), "{output}");
    assert_eq!(host.exec(["nft", "list", "tables"])?.ok()?.stdout, "", "no rules were made");
    assert_eq!(host.exec(["sysctl", "-n", "net.ipv4.ip_forward"])?.ok()?.stdout.trim(), "0");
    assert!(!routed.socket().exists(), "the socket is gone with the daemon");
    Ok(())
}

#[test]
fn routectl_finds_out_that_the_daemon_hangs() -> Result<()> {
    let lab = Lab::new("hang")?;
    let host = lab.host("n1")?;
    let routed = Routed::start(&host, &base_config(&host, 64512))?;
    let pid = routed.pid().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::Claim("routed does not run".to_owned()))?;
    let signal = |signal| kill(pid, signal).map_err(|e| Error::Claim(format!("signal to routed: {e}")));
    signal(Signal::SIGSTOP)?;
    // `timeout` ends with 124 where routectl would wait on.
    let mut argv =
        vec!["timeout".to_owned(), "20".to_owned(), find_binary("routectl")?.display().to_string()];
    argv.extend(["--socket".to_owned(), routed.socket().display().to_string(), "status".to_owned()]);
    let output = host.exec(&argv);
    signal(Signal::SIGCONT)?;
    let output = output?;
    assert_eq!(output.status, 3, "{output}");
    routed.routectl(["status"])?.ok()?;
    Ok(())
}

#[test]
fn peer_whose_password_is_taken_away_can_dial_in_without_one() -> Result<()> {
    let lab = Lab::new("md5")?;
    let (host, peer) = (lab.host("n1")?, lab.router("peer")?);
    let key = host.dir("key")?.join("key");
    fs::write(&key, "secret\n").map_err(Error::file(&key))?;
    let config = |password: &str| {
        base_config(&host, 64512)
            + &format!(
                "\n[[bgp.peer]]\naddress = \"{}\"\nasn = 65002\npassive = true\n{password}\n",
                peer.ipv4()
            )
    };
    let routed = Routed::start(&host, &config(&format!("password_file = \"{}\"", key.display())))?;
    routed.write_config(&config(""))?;
    routed.routectl(["reload"])?.ok()?;
    lab.wait_until("the peer has a session", LIMIT, || {
        let mut dialled = RawBgp::dial(&peer, host.ipv4()).map_err(|e| e.to_string())?;
        dialled.establish(65002, peer.ipv4()).map_err(|e| e.to_string())
    })
}

#[test]
fn missing_nft_is_told_once_and_not_at_every_retry() -> Result<()> {
    let lab = Lab::new("nft")?;
    let host = lab.host("n1")?;
    let routed = Routed::prepare(&host, &base_config(&host, 64512))?;
    // Long enough for two retries, in a mount namespace where nft is no program.
    let script = "for nft in /usr/sbin/nft /sbin/nft /usr/bin/nft; do [ -f $nft ] && mount --bind /dev/null $nft; done; \
                  exec timeout 12 \"$@\"";
    let mut argv = ["unshare", "-m", "sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    argv.extend(routed.command_line()?);
    let said = host.exec(&argv)?.stderr;
    let lines = said.lines().filter(|line| line.contains("policy is not in the kernel")).count();
    assert_eq!(lines, 1, "{said}");
    Ok(())
}

#[test]
fn full_disk_at_start_costs_addresses_and_nothing_else() -> Result<()> {
    let lab = Lab::new("full")?;
    let (host, peer) = (lab.host("n1")?, lab.router("peer")?);
    let _container = host.container("c1")?;
    let config = base_config(&host, 64512)
        + &format!("\n[[bgp.peer]]\naddress = \"{}\"\nasn = 65002\npassive = true\n", peer.ipv4());
    let routed = Routed::prepare(&host, &config)?;
    let state = routed.config_path().with_file_name("state");
    // A small disk in a mount namespace of the daemon's own, filled to the last byte.
    let script = format!(
        "mkdir -p {0} && mount -t tmpfs -o size=4m tmpfs {0} && {{ cat /dev/zero > {0}/filler; exec \"$@\"; }}",
        state.display()
    );
    let mut argv = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    argv.extend(routed.command_line()?);
    let process = host.spawn("routed", &argv)?;
    let status = lab.wait_until("routed answers", LIMIT, || {
        let status = routed.routectl_json(["status"]).map_err(|e| e.to_string())?;
        if status.is_object() { Ok(status) } else { Err(status.to_string()) }
    })?;
    let alarm = |status: &serde_json::Value| status["alarms"].to_string().contains("No space left");
    assert!(alarm(&status), "the full disk is an alarm: {status}");
    let allocate = || routed.routectl(["ipam", "allocate", "--family", "4", "--handle", "web"]);
    let refused = allocate()?;
    assert_eq!(refused.status, 1, "{refused}");
    assert!(refused.stderr.contains("No space left"), "{refused}");

    // Routing goes on.
    let mut session = RawBgp::dial(&peer, host.ipv4())?;
    session.establish(65002, peer.ipv4())?;
    session.send_message(raw::UPDATE, &raw::update([10, 244, 60], 0, 65002, peer.ipv4()))?;
    let theirs = ["10.244.60.0/24".to_owned()];
    lab.wait_until("the peer's route is installed", LIMIT, || has_routes(&host, &theirs))?;

    let filler = format!("/proc/{}/root{}/filler", process.pid(), state.display());
    fs::remove_file(&filler).map_err(Error::file(&filler))?;
    lab.wait_until("the alarm is over", LIMIT, || {
        let status = routed.routectl_json(["status"]).map_err(|e| e.to_string())?;
        if alarm(&status) { Err(status["alarms"].to_string()) } else { Ok(()) }
    })?;
    assert!(allocate()?.ok()?.stdout.starts_with("10.244.1."));
    has_routes(&host, &theirs).map_err(Error::Claim)
}
