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
