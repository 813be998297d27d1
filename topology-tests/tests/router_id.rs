//! The BGP identifier where none is configured: of an address of the node, and
//! of no service that stands there; on a node without IPv4 too.

use std::net::Ipv4Addr;

use lab::{
    Error, Host, Lab, Result,
    cluster::{ASN, has_routes},
    pair::LIMIT,
    peer::Routed,
    watched::peer,
};

fn config(host: &Host, other: &Host) -> String {
    format!(
        "[node]\nname = \"{}\"\n\n[cluster]\npools = [\"10.244.0.0/16\", \"fd44::/48\"]\n\n[[advertise]]\n\
         interface = \"docker0\"\n\n[bgp]\nasn = {ASN}\n",
        host.name()
    ) + &peer(other.ipv6(), ASN, "")
}

fn router_id(routed: &Routed) -> Result<Ipv4Addr> {
    let status = routed.routectl_json(["status"])?;
    let status = if status.is_array() { &status[0] } else { &status };
    let id = status["router_id"].as_str().unwrap_or_default().parse();
    id.map_err(|why| Error::Claim(format!("{why}: {status}")))
}

#[test]
fn nodes_without_ipv4_have_identifiers_of_their_own_that_stay() -> Result<()> {
    let lab = Lab::new("router-id-6")?;
    let hosts = [lab.host("n1")?, lab.host("n2")?];
    let containers = [hosts[0].container("c1")?, hosts[1].container("c1")?];
    for host in &hosts {
        for link in ["eth0", "docker0"] {
            host.exec(["ip", "-4", "address", "flush", "dev", link])?.ok()?;
        }
    }
    let mut routed = [
        Routed::start(&hosts[0], &config(&hosts[0], &hosts[1]))?,
        Routed::start(&hosts[1], &config(&hosts[1], &hosts[0]))?,
    ];
    let reach = || {
        for (host, other) in [(0, 1), (1, 0)] {
            let wanted = [hosts[other].subnet6()];
            lab.wait_until("the routes of the other", LIMIT, || has_routes(&hosts[host], &wanted))?;
        }
        let address = containers[1].ipv6().into();
        lab.wait_until("the container answers", LIMIT, || {
            let output = containers[0].ping(address).and_then(lab::Output::ok);
            output.map(drop).map_err(|e| e.to_string())
        })
    };
    reach()?;
    let before = [router_id(&routed[0])?, router_id(&routed[1])?];
    assert_ne!(before[0], before[1]);
    for (id, (node, other)) in before.iter().zip([(0, 1), (1, 0)]) {
        assert!(id.octets()[0] >= 240, "{id}: no address that a node could have");
        let peer = routed[other].routectl_json(["peers", &hosts[node].ipv6().to_string()])?;
        assert_eq!(peer["router_id"], id.to_string(), "{peer}");
    }
    routed[0].kill9()?;
    routed[0].restart()?;
    reach()?;
    assert_eq!(router_id(&routed[0])?, before[0]);
    Ok(())
}

#[test]
fn no_node_is_called_after_a_service_that_stands_on_it() -> Result<()> {
    let lab = Lab::new("router-id-vip")?;
    let hosts = [lab.host("n1")?, lab.host("n2")?];
    for (host, other) in [(0, 1), (1, 0)] {
        hosts[host].ip(&["addr add 203.0.113.10/32 dev eth0"])?;
        let routed = Routed::start(&hosts[host], &config(&hosts[host], &hosts[other]))?;
        assert_eq!(router_id(&routed)?, hosts[host].ipv4());
    }
    Ok(())
}
