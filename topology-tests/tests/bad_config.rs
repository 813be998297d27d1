//! A configuration with errors: each is told with file, line and column, and
//! the daemon keeps what it had.

use lab::{Host, Lab, Result, cluster::base_config, peer::Routed, wait::wait_until};

/// The positions `LINE:COL: message` that `routed --check` prints of `config`;
/// it must exit 2.
fn problems(host: &Host, config: &str) -> Result<Vec<(u32, u32, String)>> {
    let routed = Routed::prepare(host, config)?;
    let output = routed.check()?;
    assert_eq!(output.status, 2, "{output}");
    let file = format!("{}:", routed.config_path().display());
    let lines = output.stdout.lines().chain(output.stderr.lines());
    let told = lines.filter_map(|line| {
        let mut parts = line.split_once(&file)?.1.splitn(3, ':');
        let (line, column) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((line, column, parts.next()?.trim().to_owned()))
    });
    let told: Vec<_> = told.collect();
    assert!(!told.is_empty(), "no FILE:LINE:COL: in {output}");
    Ok(told)
}

/// One of the problems must be on `line` and speak of `object`.
fn check(name: &str, config: &str, line: u32, object: &str) -> Result<()> {
    let lab = Lab::new(name)?;
    let told = problems(&lab.router("n1")?, config)?;
    let found = told.iter().any(|(l, column, text)| *l == line && *column >= 1 && text.contains(object));
    assert!(found, "nothing on line {line} about {object}: {told:?}");
    Ok(())
}

#[test]
fn unknown_key_is_told_with_its_place() -> Result<()> {
    check("key", "[node]\nname = \"n1\"\ncolour = \"red\"\n", 3, "colour")
}

#[test]
fn prefix_with_host_bits_is_told_with_its_place() -> Result<()> {
    check("bits", "[bgp]\nasn = 64512\n\n[[advertise]]\nprefix = \"10.1.10.5/24\"\n", 5, "10.1.10.5/24")
}

#[test]
fn duplicate_peer_is_told_with_its_place() -> Result<()> {
    let peer = "[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 64512\n";
    check("twice", &format!("[bgp]\nasn = 64512\n{peer}{peer}"), 7, "192.0.2.2")
}

#[test]
fn missing_password_file_is_told_with_its_place() -> Result<()> {
    let config = "[bgp]\nasn = 64512\n[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 64512\n\
                  password_file = \"/nowhere/peer.key\"\n";
    check("key-file", config, 6, "/nowhere/peer.key")
}

#[test]
fn overlapping_pools_are_told_with_their_place() -> Result<()> {
    check("pools", "[cluster]\npools = [\"10.244.0.0/16\", \"10.244.7.0/24\"]\n", 2, "10.244.7.0/24")
}

#[test]
fn all_problems_are_told_at_once() -> Result<()> {
    let lab = Lab::new("all")?;
    let config = "[[advertise]]\nprefix = \"10.1.10.5/24\"\n[[advertise]]\nprefix = \"nonsense\"\n\
                  [[static]]\nprefix = \"10.9.0.0/16\"\nvia = \"somewhere\"\n";
    let told = problems(&lab.router("n1")?, config)?;
    let lines: Vec<u32> = told.iter().map(|(line, ..)| *line).collect();
    for line in [2, 4, 7] {
        assert!(lines.contains(&line), "line {line} is not in {told:?}");
    }
    Ok(())
}

#[test]
fn good_configuration_passes_the_check() -> Result<()> {
    let lab = Lab::new("good")?;
    let host = lab.host("n1")?;
    Routed::prepare(&host, &base_config(&host, 64512))?.check()?.ok().map(drop)
}

#[test]
fn daemon_does_not_start_on_a_bad_configuration_and_says_why() -> Result<()> {
    let lab = Lab::new("start")?;
    let host = lab.host("n1")?;
    let mut routed = Routed::prepare(&host, "[node]\ncolour = \"red\"\n")?;
    assert!(routed.restart().is_err(), "it must not run");
    wait_until("the log names the key", std::time::Duration::from_secs(5), || {
        let log = routed.log().map_err(|e| e.to_string())?;
        if log.contains("colour") { Ok(()) } else { Err(log) }
    })
}

#[test]
fn reload_of_a_bad_configuration_keeps_what_was() -> Result<()> {
    let lab = Lab::new("reload")?;
    let host = lab.host("n1")?;
    let peer = "\n[[bgp.peer]]\naddress = \"192.0.2.9\"\nasn = 64512\n";
    let good = base_config(&host, 64512) + peer;
    let mut routed = Routed::start(&host, &good)?;
    routed.write_config(&(good.clone() + "colour = \"red\"\n"))?;
    let reload = routed.routectl(["reload"])?;
    assert_eq!(reload.status, 1, "{reload}");
    assert!(reload.stderr.contains("colour"), "{reload}");
    assert!(routed.alive()?);
    assert_eq!(routed.routectl_json(["peers"])?[0]["address"], "192.0.2.9");
    Ok(())
}

#[test]
fn absent_daemon_is_exit_3_with_a_sentence_that_helps() -> Result<()> {
    let lab = Lab::new("absent")?;
    let routed = Routed::prepare(&lab.router("n1")?, "")?;
    for words in [["status"], ["peers"], ["routes"]] {
        let output = routed.routectl(words)?;
        assert_eq!(output.status, 3, "{output}");
        assert!(output.stdout.is_empty(), "{output}");
        assert!(output.stderr.contains(&routed.socket().display().to_string()), "{output}");
        assert!(output.stderr.contains("routed"), "{output}");
    }
    assert_eq!(routed.routectl(["no-such-command"])?.status, 2);
    Ok(())
}
