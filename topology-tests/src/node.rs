//! Hosts and containers.
//!
//! ```text
//!                LAN 192.0.2.0/24, 2001:db8:2::/64 (bridge br0 in its own namespace)
//!                  │ p1                     │ p2
//!     ┌ host 1 ── eth0 .1 ┐     ┌ host 2 ── eth0 .2 ┐
//!     │ docker0 10.244.1.1 │    │ docker0 10.244.2.1 │     fd44:0:0:N::1 in IPv6
//!     └──┬──────────┬─────┘     └──┬────────────────┘
//!      c1 .2       c2 .3         c1 .2                      default route to the bridge
//! ```

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use crate::{Error, Lab, Netns, Output, Process, Result};

/// A machine of the cluster: a namespace that forwards, with an uplink `eth0`.
#[derive(Clone, Debug)]
pub struct Host {
    lab: Lab,
    netns: Netns,
    name: String,
    number: u8,
    containers: Arc<AtomicU8>,
}

/// A namespace behind a host's bridge, with `eth0` and a default route.
#[derive(Clone, Debug)]
pub struct Container {
    host: Host,
    netns: Netns,
    name: String,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
}

impl Host {
    /// Connects the namespace to the LAN as host `number`.
    pub(crate) fn build(lab: &Lab, netns: Netns, name: &str, number: u8) -> Result<Host> {
        let host = Host {
            lab: lab.clone(),
            netns,
            name: name.to_owned(),
            number,
            containers: Arc::new(AtomicU8::new(0)),
        };
        host.netns.sysctl(&[
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv6.conf.all.forwarding", "1"),
            ("net.ipv4.conf.all.rp_filter", "0"),
            ("net.ipv4.conf.default.rp_filter", "0"),
        ])?;
        lab.lan().ip(&[
            format!("link add p{number} type veth peer name eth0 netns {}", host.netns.name()),
            format!("link set p{number} master br0 up"),
        ])?;
        host.netns.ip(&[
            format!("addr add {}/24 dev eth0", host.ipv4()),
            format!("addr add {}/64 dev eth0 nodad", host.ipv6()),
            "link set eth0 up".to_owned(),
            "route add default via 192.0.2.254".to_owned(),
            "route add default via 2001:db8:2::fe dev eth0".to_owned(),
        ])?;
        Ok(host)
    }

    /// Adds the bridge `docker0` as Docker makes it; its carrier comes with the first container.
    pub(crate) fn add_bridge(&self) -> Result<()> {
        let n = self.number;
        self.netns.ip(&[
            "link add docker0 type bridge".to_owned(),
            format!("addr add 10.244.{n}.1/24 dev docker0"),
            format!("addr add fd44:0:0:{n:x}::1/64 dev docker0 nodad"),
            "link set docker0 up".to_owned(),
        ])
    }

    /// Adds a container behind `docker0`.
    pub fn container(&self, name: &str) -> Result<Container> {
        let mut container = self.container_in(name, "docker0", Ipv4Addr::new(10, 244, self.number, 0))?;
        let [.., last] = container.ipv4.octets();
        container.ipv6 = Ipv6Addr::new(0xfd44, 0, 0, self.number.into(), 0, 0, 0, last.into());
        container.netns.ip(&[
            format!("addr add {}/64 dev eth0 nodad", container.ipv6),
            format!("route add default via fd44:0:0:{:x}::1", self.number),
        ])?;
        Ok(container)
    }

    /// Adds a container with an address of the /24 `subnet` behind `bridge`,
    /// which is that subnet's `.1`; it has no IPv6 address.
    pub fn container_in(&self, name: &str, bridge: &str, subnet: Ipv4Addr) -> Result<Container> {
        let number = self.containers.fetch_add(1, Ordering::Relaxed) + 1;
        let netns = Netns::create(format!("{}-{name}", self.netns.name()))?;
        let [a, b, c, _] = subnet.octets();
        let ipv4 = Ipv4Addr::new(a, b, c, number + 1);
        self.netns.ip(&[
            format!("link add veth{number} type veth peer name eth0 netns {}", netns.name()),
            format!("link set veth{number} master {bridge} up"),
        ])?;
        netns.ip(&[
            format!("addr add {ipv4}/24 dev eth0"),
            "link set eth0 up".to_owned(),
            format!("route add default via {a}.{b}.{c}.1"),
        ])?;
        let (host, name) = (self.clone(), name.to_owned());
        Ok(Container { host, netns, name, ipv4, ipv6: Ipv6Addr::UNSPECIFIED })
    }

    /// The lab it belongs to.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Its name in the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its IPv4 address on the LAN.
    pub fn ipv4(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.number)
    }

    /// Its IPv6 address on the LAN.
    pub fn ipv6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, self.number.into())
    }

    /// The link-local IPv6 address of `eth0`, as text.
    pub fn link_local(&self) -> Result<String> {
        let argv = ["ip", "-j", "-6", "address", "show", "dev", "eth0", "scope", "link"];
        let links = self.exec(argv)?.json()?;
        // Addresses of another scope stand there as empty objects.
        let mut found = links[0]["addr_info"].as_array().into_iter().flatten();
        let address = found.find_map(|info| info["local"].as_str());
        address
            .map(str::to_owned)
            .ok_or_else(|| Error::Claim(format!("eth0 of {} has no link-local address: {links}", self.name)))
    }

    /// The IPv4 subnet of its `docker0`, as text.
    pub fn subnet4(&self) -> String {
        format!("10.244.{}.0/24", self.number)
    }

    /// The IPv6 subnet of its `docker0`, as text in canonical form.
    pub fn subnet6(&self) -> String {
        format!("fd44:0:0:{:x}::/64", self.number)
    }

    /// Pulls its cable: the port on the bridge's side goes down.
    pub fn cut(&self) -> Result<()> {
        self.lab.lan().ip(&[format!("link set p{} down", self.number)])
    }

    /// Plugs the cable in again.
    pub fn mend(&self) -> Result<()> {
        self.lab.lan().ip(&[format!("link set p{} up", self.number)])
    }

    /// Starts a long-running program whose output goes to `NAME.log` in the
    /// lab's directory of this host.
    pub fn spawn<A: AsRef<OsStr>>(&self, name: &str, argv: &[A]) -> Result<Process> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err(Error::Claim(format!("{name}: nothing to run")));
        };
        let log = self.dir("log")?.join(format!("{name}.log"));
        self.lab.watch_log(log.clone());
        let mut command = self.netns.command(program);
        command.args(arguments);
        Process::start(format!("{name} on {}", self.name), command, log)
    }

    /// A directory for the files of `purpose` on this host.
    pub fn dir(&self, purpose: &str) -> Result<PathBuf> {
        self.lab.make_dir(&format!("{}/{purpose}", self.name))
    }

    /// The kernel's routes as `ip -j route` tells them, of both families.
    pub fn kernel_routes(&self) -> Result<Vec<serde_json::Value>> {
        let mut all = Vec::new();
        for family in ["-4", "-6"] {
            let argv = ["ip", family, "-j", "-d", "-N", "route", "show", "table", "main"];
            if let serde_json::Value::Array(routes) = self.exec(argv)?.json()? {
                all.extend(routes);
            }
        }
        Ok(all)
    }
}

impl Container {
    /// The host it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its name, `HOST/CONTAINER`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host.name, self.name)
    }

    /// Its IPv4 address.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.ipv4
    }

    /// Its IPv6 address; unspecified where it has none.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.ipv6
    }

    /// Both addresses.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.ipv4().into(), self.ipv6().into()]
    }

    /// One echo request to `address`, one second of patience.
    pub fn ping(&self, address: IpAddr) -> Result<Output> {
        self.exec(["ping", "-n", "-c1", "-W1", &address.to_string()])
    }
}

/// A host is its namespace: `exec`, `ip`, `sysctl`, `run` are found there.
impl Deref for Host {
    type Target = Netns;

    fn deref(&self) -> &Netns {
        &self.netns
    }
}

/// A container is its namespace.
impl Deref for Container {
    type Target = Netns;

    fn deref(&self) -> &Netns {
        &self.netns
    }
}
