//! Three nodes become one container network.

use std::{net::IpAddr, time::Duration};

use lab::{
    Result,
    cluster::{self, HOLD_SECONDS, Mesh},
    traffic::Stream,
};

/// Packets of each stream of the reachability tests.
const PACKETS: u64 = 20;

/// Streams between all pairs of containers at once; all must arrive, from the
/// container's own address, over two routers.
fn all_reach_all(mesh: &Mesh, family: usize) -> Result<()> {
    let pairs = mesh.pairs();
    assert_eq!(pairs.len(), 24, "3 nodes with 2 containers: 6 times 4");
    let started: Vec<(Stream, IpAddr, String)> = pairs
        .iter()
        .map(|(a, b)| {
            let stream = Stream::start(a, b, b.addresses()[family])?;
            Ok((stream, a.addresses()[family], format!("{} to {}", a.name(), b.name())))
        })
        .collect::<Result<_>>()?;
    for (stream, source, name) in started {
        stream.await_sent(PACKETS)?;
        let report = stream.finish()?;
        assert_eq!(report.lost, 0, "{name}: {report:?}");
        assert_eq!(report.sources, [source].into(), "{name}: own source address");
        assert_eq!(report.ttls, [62].into(), "{name}: two routers lie between");
    }
    Ok(())
}

#[test]
fn every_container_reaches_every_other_over_ipv4_with_its_own_source() -> Result<()> {
    all_reach_all(&Mesh::start("mesh4", 3, 2)?, 0)
}

#[test]
fn every_container_reaches_every_other_over_ipv6_with_its_own_source() -> Result<()> {
    all_reach_all(&Mesh::start("mesh6", 3, 2)?, 1)
}

#[test]
fn every_session_is_established_and_every_route_shows_its_peer() -> Result<()> {
    let mesh = Mesh::start("views", 3, 1)?;
    for node in &mesh.nodes {
        for other in mesh.nodes.iter().filter(|o| o.host.name() != node.host.name()) {
            let address = other.host.ipv4().to_string();
            assert_eq!(node.routed.session_state(&address)?, "Established");
            let routes = node.routed.routectl_json(["routes"])?;
            let route = routes.as_array().into_iter().flatten().find(|r| r["prefix"] == other.host.subnet4());
            let route = route.unwrap_or_else(|| panic!("{} is not in {routes}", other.host.subnet4()));
            assert_eq!(route["protocol"], "bgp");
            assert_eq!(route["peer"], address);
            assert_eq!(route["next_hops"][0]["address"], address);
            assert_eq!(route["best"], true);
            assert_eq!(route["installed"], true);
        }
    }
    Ok(())
}

#[test]
fn routes_of_a_node_cut_off_go_within_the_hold_time_and_come_back() -> Result<()> {
    let mesh = Mesh::start("cut", 3, 1)?;
    let lost = &mesh.nodes[2].host;
    lost.cut()?;
    let gone = [lost.subnet4(), lost.subnet6()];
    let limit = Duration::from_secs(HOLD_SECONDS + 2);
    mesh.lab.wait_until("the routes to the lost node are gone", limit, || {
        mesh.nodes[..2].iter().try_for_each(|node| {
            let have = cluster::bgp_routes(&node.host).map_err(|e| e.to_string())?;
            let left: Vec<_> = have.iter().filter(|p| gone.contains(p)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{} still has {left:?}", node.host.name())) }
        })
    })?;
    cluster::has_routes(&mesh.nodes[0].host, &[mesh.nodes[1].host.subnet4()])
        .expect("the others keep theirs");
    lost.mend()?;
    mesh.await_routes(Duration::from_secs(30))
}
