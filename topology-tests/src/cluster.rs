//! A cluster ready made: N nodes with containers, routed on each, full mesh.

use crate::{Container, Error, Host, Lab, Result, peer::Routed};
use std::time::Duration;

/// Container pools of the clusters here.
pub const POOLS: &str = r#"["10.244.0.0/16", "fd44::/48"]"#;
/// The AS of the clusters here.
pub const ASN: u32 = 64512;
/// Hold time of the sessions, seconds: the least that RFC 4271 §4.2 allows.
pub const HOLD_SECONDS: u64 = 3;

/// A node: host, daemon, containers.
#[derive(Debug)]
pub struct Node {
    /// The daemon.
    pub routed: Routed,
    /// The machine.
    pub host: Host,
    /// Its containers.
    pub containers: Vec<Container>,
}

/// An iBGP full mesh of nodes that tell each other the subnets of `docker0`.
#[derive(Debug)]
pub struct Mesh {
    /// The nodes, `n1` first.
    pub nodes: Vec<Node>,
    /// The lab, last to go.
    pub lab: Lab,
}

impl Mesh {
    /// Builds `nodes` hosts with `containers` each, starts the daemons and waits
    /// until every session is up and every node has the others' subnets in its
    /// kernel.
    pub fn start(name: &str, nodes: usize, containers: usize) -> Result<Mesh> {
        let mesh = Mesh::launch(name, nodes, containers)?;
        mesh.await_routes(Duration::from_secs(30))?;
        Ok(mesh)
    }

    /// As [`Mesh::start`], without waiting for sessions and routes.
    pub fn launch(name: &str, nodes: usize, containers: usize) -> Result<Mesh> {
        let lab = Lab::new(name)?;
        let hosts = (1..=nodes).map(|n| lab.host(&format!("n{n}"))).collect::<Result<Vec<_>>>()?;
        let mut mesh = Mesh { nodes: Vec::new(), lab };
        for host in &hosts {
            let containers =
                (1..=containers).map(|c| host.container(&format!("c{c}"))).collect::<Result<Vec<_>>>()?;
            let routed = Routed::start(host, &config(host, &hosts))?;
            mesh.nodes.push(Node { routed, host: host.clone(), containers });
        }
        Ok(mesh)
    }

    /// Waits until every node's kernel has a BGP route to every other's subnets.
    pub fn await_routes(&self, limit: Duration) -> Result<()> {
        self.lab.wait_until("every node has routes to every other", limit, || {
            self.nodes.iter().try_for_each(|node| {
                let others = self.nodes.iter().filter(|o| o.host.name() != node.host.name());
                let wanted = others.flat_map(|o| [o.host.subnet4(), o.host.subnet6()]);
                has_routes(&node.host, &wanted.collect::<Vec<_>>())
            })
        })
    }

    /// All ordered pairs of containers on different nodes.
    pub fn pairs(&self) -> Vec<(Container, Container)> {
        let all: Vec<&Container> = self.nodes.iter().flat_map(|n| &n.containers).collect();
        let pairs = all.iter().flat_map(|a| all.iter().map(move |b| ((*a).clone(), (*b).clone())));
        pairs.filter(|(a, b)| a.host().name() != b.host().name()).collect()
    }

    /// The only container, or the first, of node `index` (from 0).
    pub fn container(&self, index: usize) -> Result<&Container> {
        let found = self.nodes.get(index).and_then(|node| node.containers.first());
        found.ok_or_else(|| Error::Claim(format!("the cluster has no container on node {index}")))
    }
}

/// The start of every configuration here: name, pools, `docker0`, AS.
pub fn base_config(host: &Host, asn: u32) -> String {
    format!(
        "[node]\nname = \"{}\"\nrouter_id = \"{}\"\n\n[cluster]\npools = {POOLS}\nnat_outgoing = false\n\n\
         [[advertise]]\ninterface = \"docker0\"\n\n[bgp]\nasn = {asn}\n",
        host.name(),
        host.ipv4(),
    )
}

/// A configuration in which `host` peers with all `others` over IPv4.
pub fn config(host: &Host, all: &[Host]) -> String {
    let others = all.iter().filter(|other| other.name() != host.name());
    let peers = others.map(|other| {
        format!(
            "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {ASN}\ndescription = \"{}\"\nhold_time = {HOLD_SECONDS}\n\
             connect_retry = 1\nfamilies = [\"ipv4\", \"ipv6\"]\n",
            other.ipv4(),
            other.name(),
        )
    });
    base_config(host, ASN) + &peers.collect::<String>()
}

/// Whether the kernel of `host` has routes with protocol `bgp` (186) to all of
/// `wanted`; the error lists what is missing.
pub fn has_routes(host: &Host, wanted: &[String]) -> Result<(), String> {
    has_routes_of(host, "186", wanted)
}

/// Prefixes of the kernel's routes with protocol `bgp` (186).
pub fn bgp_routes(host: &Host) -> Result<Vec<String>> {
    routes_of(host, "186")
}

/// As [`has_routes`], for the protocol of that number.
pub fn has_routes_of(host: &Host, protocol: &str, wanted: &[String]) -> Result<(), String> {
    let have = routes_of(host, protocol).map_err(|e| e.to_string())?;
    let missing: Vec<&String> = wanted.iter().filter(|prefix| !have.contains(prefix)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("{} lacks {missing:?}, has {have:?}", host.name())) }
}

/// Whether the kernel of `host` has no route of that protocol to `prefix`.
pub fn lacks_route_of(host: &Host, protocol: &str, prefix: &str) -> Result<(), String> {
    let have = routes_of(host, protocol).map_err(|e| e.to_string())?;
    let found = have.iter().any(|have| have == prefix);
    if found { Err(format!("{} has {prefix}", host.name())) } else { Ok(()) }
}

/// Prefixes of the kernel's routes with the protocol of that number: 186 is
/// `bgp`, 189 is `rip`, 190 is RIPng's.
pub fn routes_of(host: &Host, protocol: &str) -> Result<Vec<String>> {
    let routes = host.kernel_routes()?;
    let ours = routes.iter().filter(|r| r["protocol"] == protocol);
    Ok(ours.filter_map(|r| r["dst"].as_str().map(str::to_owned)).collect())
}
