//! What `routectl` announces, the others hear; what it withdraws, they forget.

use std::time::Duration;

use lab::{
    Result,
    cluster::{Mesh, bgp_routes},
};

const LIMIT: Duration = Duration::from_secs(15);
/// Inside the pools, on no bridge.
const PREFIX: &str = "10.244.77.0/24";

fn await_at_peer(mesh: &Mesh, there: bool) -> Result<()> {
    let peer = &mesh.nodes[1];
    mesh.lab.wait_until(&format!("the peer's kernel has {PREFIX}: {there}"), LIMIT, || {
        let have = bgp_routes(&peer.host).map_err(|e| e.to_string())?;
        if have.iter().any(|p| p == PREFIX) == there { Ok(()) } else { Err(format!("{have:?}")) }
    })
}

#[test]
fn announced_prefix_is_heard_and_withdrawn_prefix_is_forgotten() -> Result<()> {
    let mesh = Mesh::start("announce", 2, 1)?;
    let node = &mesh.nodes[0].routed;
    node.routectl(["routes", "announce", PREFIX])?.ok()?;
    await_at_peer(&mesh, true)?;
    let heard = mesh.nodes[1].routed.routectl_json(["routes", PREFIX])?;
    assert_eq!(heard[0]["peer"], mesh.nodes[0].host.ipv4().to_string(), "{heard}");
    node.routectl(["routes", "withdraw", PREFIX])?.ok()?;
    await_at_peer(&mesh, false)?;
    let again = node.routectl(["routes", "withdraw", PREFIX])?;
    assert_eq!(again.status, 1, "there is nothing to withdraw: {again}");
    Ok(())
}

#[test]
fn lookup_names_the_route_that_carries_an_address() -> Result<()> {
    let mesh = Mesh::start("lookup", 2, 1)?;
    let far = &mesh.nodes[1].host;
    let address = mesh.nodes[1].containers[0].ipv4().to_string();
    let found = mesh.nodes[0].routed.routectl_json(["routes", "lookup", &address])?;
    let found = if found.is_array() { &found[0] } else { &found };
    assert_eq!(found["prefix"], far.subnet4(), "{found}");
    assert_eq!(found["next_hops"][0]["address"], far.ipv4().to_string(), "{found}");
    Ok(())
}

#[test]
fn bridge_that_appears_is_told_and_one_that_goes_is_withdrawn() -> Result<()> {
    let mesh = Mesh::start("bridge", 2, 1)?;
    let (here, there) = (&mesh.nodes[0].host, &mesh.nodes[1].host);
    here.ip(&["addr add 10.244.77.1/24 dev docker0"])?;
    await_at_peer(&mesh, true)?;
    here.ip(&["addr del 10.244.77.1/24 dev docker0"])?;
    await_at_peer(&mesh, false)?;
    assert!(bgp_routes(there)?.contains(&here.subnet4()), "the bridge's other subnet stays");
    Ok(())
}
