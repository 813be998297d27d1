//! What the scenarios of unnumbered peers share: two hosts with a container
//! each, and nothing between them but cables without addresses.

use serde_json::Value;

use crate::{
    Container, Error, Host, Lab, Result,
    cluster::{base_config, has_routes_of, lacks_route_of},
    pair::LIMIT,
    peer::Routed,
    watched::BGP,
};

/// The AS of the first host, that runs routed.
pub const OURS: u32 = 64512;

/// Two hosts and a cable named `eth1` at both ends.
#[derive(Debug)]
pub struct Cable {
    /// Their containers.
    pub containers: [Container; 2],
    /// The hosts; the first runs routed.
    pub hosts: [Host; 2],
    /// The lab, last to go.
    pub lab: Lab,
}

impl Cable {
    /// Builds them; the way to the LAN is cut, so that no packet goes there.
    pub fn lay(name: &str) -> Result<Cable> {
        let lab = Lab::new(name)?;
        let hosts = [lab.host("n1")?, lab.host("n2")?];
        let containers = [hosts[0].container("c1")?, hosts[1].container("c1")?];
        for host in &hosts {
            host.ip(&["link set eth0 down", "addr flush dev eth0"])?;
        }
        let cable = Cable { containers, hosts, lab };
        cable.add("eth1")?;
        Ok(cable)
    }

    /// One more cable.
    pub fn add(&self, name: &str) -> Result<()> {
        let [one, two] = &self.hosts;
        one.ip(&[format!("link add {name} type veth peer name {name} netns {}", two.netns().name())])?;
        for host in &self.hosts {
            host.ip(&[format!("link set {name} up")])?;
        }
        Ok(())
    }

    /// Starts routed on the first host, with these peers.
    pub fn routed(&self, peers: &str) -> Result<Routed> {
        Routed::start(&self.hosts[0], &(base_config(&self.hosts[0], OURS) + peers))
    }

    /// Waits until routed shows the session of a link as up and has been told
    /// everything, and gives it; from then on nothing is kept of an earlier run.
    pub fn established(&self, routed: &Routed, name: &str) -> Result<Value> {
        self.lab.wait_until(&format!("the session of {name} is up"), LIMIT, || {
            let detail = routed.routectl_json(["peers", name]).map_err(|e| e.to_string())?;
            let detail = if detail.is_array() { detail[0].clone() } else { detail };
            let told = |family: &Value| family["accepted"] == 1 && family["end_of_rib"] == true;
            let all = detail["by_family"]
                .as_array()
                .is_some_and(|two| two.iter().filter(|of| told(of)).count() == 2);
            if detail["state"] == "Established" && all { Ok(detail) } else { Err(detail.to_string()) }
        })
    }

    /// Waits until each host has the prefixes of the other, by the routing
    /// protocol with this number at the second, and containers reach each other.
    pub fn whole(&self, protocol: &str) -> Result<()> {
        for (host, other, protocol) in [(0, 1, BGP), (1, 0, protocol)] {
            let wanted = [self.hosts[other].subnet4(), self.hosts[other].subnet6()];
            let has = || has_routes_of(&self.hosts[host], protocol, &wanted);
            self.lab.wait_until("the kernel has the routes", LIMIT, has)?;
        }
        for (from, to) in [(0, 1), (1, 0)] {
            for address in self.containers[to].addresses() {
                self.lab.wait_until(&format!("the container reaches {address}"), LIMIT, || {
                    let output = self.containers[from].ping(address).map_err(|e| e.to_string())?;
                    output.ok().map(drop).map_err(|e| e.to_string())
                })?;
            }
        }
        Ok(())
    }

    /// Waits until a host has no route to the other by that protocol.
    pub fn lost(&self, host: usize, protocol: &str) -> Result<()> {
        let other = &self.hosts[1 - host];
        for prefix in [other.subnet4(), other.subnet6()] {
            self.lab.wait_until("the routes go", LIMIT, || {
                lacks_route_of(&self.hosts[host], protocol, &prefix)
            })?;
        }
        Ok(())
    }

    /// Fails unless IPv4 goes by the other's link-local address in both kernels.
    pub fn ways_are_link_local(&self) -> Result<()> {
        for (host, other) in [(0, 1), (1, 0)] {
            let argv = ["ip", "-4", "route", "show", &self.hosts[other].subnet4()];
            let route = self.hosts[host].exec(argv)?.ok()?.stdout;
            let way = format!("via inet6 {} dev eth1", link_local(&self.hosts[other], "eth1")?);
            if !route.contains(&way) {
                return Err(Error::Claim(format!("no {way:?} in {route:?}")));
            }
        }
        Ok(())
    }
}

/// The link-local address of an interface.
pub fn link_local(host: &Host, interface: &str) -> Result<String> {
    let argv = ["ip", "-j", "-6", "address", "show", "dev", interface, "scope", "link"];
    let links = host.exec(argv)?.json()?;
    let mut found = links[0]["addr_info"].as_array().into_iter().flatten();
    Ok(found.find_map(|info| info["local"].as_str()).unwrap_or_default().to_owned())
}

/// Gives an interface this link-local address in place of its own.
pub fn rename(host: &Host, interface: &str, address: &str) -> Result<()> {
    let old = link_local(host, interface)?;
    host.ip(&[
        format!("addr del {old}/64 dev {interface}"),
        format!("addr add {address}/64 dev {interface} nodad"),
    ])
}
