//! A restart loses no packet: the kernel goes on forwarding, peers keep the routes.

use std::time::Duration;

use lab::{
    Result,
    cluster::{Mesh, bgp_routes},
    peer::Routed,
    traffic::Stream,
};

/// Runs streams into and out of node 1 while `end` ends its daemon, starts it
/// again and waits until all sessions are back; no packet may be lost.
fn no_packet_is_lost(name: &str, end: impl FnOnce(&mut Routed) -> Result<()>) -> Result<()> {
    let mut mesh = Mesh::start(name, 3, 1)?;
    let (here, there) = (mesh.container(0)?.clone(), mesh.container(1)?.clone());
    let streams = [
        Stream::start(&here, &there, there.ipv4().into())?,
        Stream::start(&there, &here, here.ipv4().into())?,
        Stream::start(&there, &here, here.ipv6().into())?,
    ];
    let all_sent = |count| streams.iter().try_for_each(|stream| stream.await_sent(count));
    all_sent(50)?;
    end(&mut mesh.nodes[0].routed)?;
    all_sent(50)?;
    mesh.nodes[0].routed.restart()?;
    let address = mesh.nodes[0].host.ipv4().to_string();
    mesh.lab.wait_until("the peers have their sessions back", Duration::from_secs(30), || {
        mesh.nodes[1..].iter().try_for_each(|node| {
            let state = node.routed.session_state(&address).map_err(|e| e.to_string())?;
            if state == "Established" { Ok(()) } else { Err(format!("{}: {state}", node.host.name())) }
        })
    })?;
    mesh.await_routes(Duration::from_secs(10))?;
    // What is stale is swept after the End-of-RIB: packets go on over that.
    all_sent(200)?;
    for stream in streams {
        let report = stream.finish()?;
        assert_eq!(report.lost, 0, "{report:?}\n{}", mesh.lab.evidence());
    }
    Ok(())
}

#[test]
fn restart_after_sigterm_loses_no_packet() -> Result<()> {
    no_packet_is_lost("sigterm", |routed| {
        assert_eq!(routed.sigterm()?, 0, "a clean end");
        Ok(())
    })
}

#[test]
fn restart_after_kill_9_loses_no_packet() -> Result<()> {
    no_packet_is_lost("kill9", Routed::kill9)
}

#[test]
fn cleanup_removes_every_route_and_table_of_ours() -> Result<()> {
    let mut mesh = Mesh::start("cleanup", 2, 1)?;
    let node = &mut mesh.nodes[0];
    node.routed.sigterm()?;
    assert!(!bgp_routes(&node.host)?.is_empty(), "routes stay over a stop\n{}", mesh.lab.evidence());
    node.routed.cleanup()?.ok()?;
    assert_eq!(bgp_routes(&node.host)?, Vec::<String>::new());
    let tables = node.host.exec(["nft", "list", "tables"])?.ok()?.stdout;
    assert!(!tables.contains("routed"), "{tables}");
    Ok(())
}
