//! A reload changes what changed and touches nothing else.

use std::time::Duration;

use lab::{
    Result,
    cluster::{Mesh, bgp_routes, config},
    peer::Routed,
};

const LIMIT: Duration = Duration::from_secs(15);

/// Seconds that the session with `peer` is up.
fn uptime(routed: &Routed, peer: &str) -> Result<u64, String> {
    let peers = routed.routectl_json(["peers"]).map_err(|e| e.to_string())?;
    let found = peers.as_array().into_iter().flatten().find(|p| p["address"] == peer);
    found.and_then(|p| p["uptime_seconds"].as_u64()).ok_or_else(|| format!("no uptime of {peer} in {peers}"))
}

#[test]
fn reload_on_sighup_takes_what_is_new_and_keeps_the_sessions() -> Result<()> {
    let mesh = Mesh::start("sighup", 2, 1)?;
    let [here, there] = [0, 1].map(|n| &mesh.nodes[n]);
    let address = here.host.ipv4().to_string();
    // An uptime to compare with: a session that starts again starts at zero.
    let before = mesh.lab.wait_until("the session is two seconds old", LIMIT, || {
        let age = uptime(&there.routed, &address)?;
        if age >= 2 { Ok(age) } else { Err(format!("{age} s")) }
    })?;
    let hosts: Vec<_> = mesh.nodes.iter().map(|n| n.host.clone()).collect();
    let more = "\n[[advertise]]\nprefix = \"10.244.78.0/24\"\n\n\
                [[bgp.peer]]\naddress = \"192.0.2.99\"\nasn = 64999\n";
    here.routed.write_config(&(config(&here.host, &hosts) + more))?;
    here.routed.sighup()?;
    mesh.lab.wait_until("the new peer is listed and the new prefix told", LIMIT, || {
        let state = here.routed.session_state("192.0.2.99").map_err(|e| e.to_string())?;
        let heard = bgp_routes(&there.host).map_err(|e| e.to_string())?;
        let told = heard.iter().any(|p| p == "10.244.78.0/24");
        if state != "no such peer" && told { Ok(()) } else { Err(format!("{state}; {heard:?}")) }
    })?;
    let after = uptime(&there.routed, &address);
    assert!(after.as_ref().is_ok_and(|after| *after >= before), "the session went on: {before} s, {after:?}");

    here.routed.write_config(&config(&here.host, &hosts))?;
    here.routed.routectl(["reload"])?.ok()?;
    mesh.lab.wait_until("what was taken out is gone", LIMIT, || {
        let state = here.routed.session_state("192.0.2.99").map_err(|e| e.to_string())?;
        let heard = bgp_routes(&there.host).map_err(|e| e.to_string())?;
        let told = heard.iter().any(|p| p == "10.244.78.0/24");
        if state == "no such peer" && !told { Ok(()) } else { Err(format!("{state}; {heard:?}")) }
    })
}

#[test]
fn bad_file_and_same_file_change_nothing_and_a_filter_needs_no_reset() -> Result<()> {
    let mut mesh = Mesh::start("filters", 2, 1)?;
    let hosts: Vec<_> = mesh.nodes.iter().map(|n| n.host.clone()).collect();
    let [good, refused] = ["10.244.70.0/24", "10.244.71.0/24"];
    for prefix in [good, refused] {
        mesh.nodes[1].routed.routectl(["routes", "announce", prefix])?.ok()?;
    }
    let usual = config(&hosts[0], &hosts);
    let here = &mesh.nodes[0];
    let peer = hosts[1].ipv4().to_string();
    let holds = |what: &str, wanted: &[&str], unwanted: &[&str]| {
        mesh.lab.wait_until(what, LIMIT, || {
            let have = bgp_routes(&here.host).map_err(|e| e.to_string())?;
            let has = |prefix: &&str| have.iter().any(|have| have == prefix);
            if wanted.iter().all(has) && !unwanted.iter().any(has) {
                Ok(())
            } else {
                Err(format!("{have:?}"))
            }
        })
    };
    let logged = |words: &str| here.routed.log().map(|log| log.matches(words).count());
    let reloaded = |words: &str| {
        let before = logged(words)?;
        here.routed.sighup()?;
        mesh.lab.wait_until(&format!("the log says {words}"), LIMIT, || {
            let now = logged(words).map_err(|e| e.to_string())?;
            if now > before { Ok(()) } else { Err(format!("{now} times")) }
        })
    };
    holds("both are there", &[good, refused], &[])?;
    let before = mesh.lab.wait_until("the session is two seconds old", LIMIT, || {
        let age = uptime(&here.routed, &peer)?;
        if age >= 2 { Ok(age) } else { Err(format!("{age} s")) }
    })?;

    here.routed.write_config(&(usual.clone() + "\n[bgpp]\nasn = 1\n"))?;
    reloaded("unknown key")?;
    let answer = here.routed.routectl(["reload"])?;
    assert_eq!(answer.status, 1, "a bad file is refused: {answer}");
    assert!((answer.stderr.clone() + &answer.stdout).contains("bgpp"), "{answer}");
    here.routed.write_config(&usual)?;
    reloaded("configuration reloaded")?;
    holds("nothing has changed", &[good, refused], &[])?;

    let filter = format!(
        "\n[[filter]]\nname = \"some\"\nrules = [ {{ prefix = \"{refused}\", action = \"reject\" }}, \
         {{ action = \"accept\" }} ]\n"
    );
    let filtered = usual.replace("connect_retry = 1\n", "connect_retry = 1\nimport = \"some\"\n") + &filter;
    assert_ne!(filtered.len(), usual.len() + filter.len());
    here.routed.write_config(&filtered)?;
    reloaded("configuration reloaded")?;
    holds("the filter takes one away", &[good], &[refused])?;
    // The same name with other rules.
    here.routed.write_config(&filtered.replace("10.244.71.0/24", "10.244.70.0/24"))?;
    reloaded("configuration reloaded")?;
    holds("the other rules take the other away", &[refused], &[good])?;
    here.routed.write_config(&usual)?;
    reloaded("configuration reloaded")?;
    holds("without the filter both are back", &[good, refused], &[])?;
    let after = uptime(&here.routed, &peer);
    assert!(after.as_ref().is_ok_and(|after| *after >= before), "the session went on: {before} s, {after:?}");
    assert!(mesh.nodes[0].routed.alive()?);
    Ok(())
}
