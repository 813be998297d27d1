//! An address of a service that several nodes have: it is told by those where
//! a health checker has put it on an interface, and as long as it is there.
//!
//! ```text
//!  n1, 10.96.0.10 on lo ─────┐
//!                            ├── LAN ── n3 ── c1
//!  n2, 10.96.0.10 on svc0 ───┘
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lab::{
    Container, Host, Lab, Output, Result,
    cluster::ASN,
    pair::LIMIT,
    peer::Routed,
    watched::{base, peer},
};

const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const SERVICE_6: Ipv6Addr = Ipv6Addr::new(0xfd44, 0, 0, 0xff, 0, 0, 0, 0x10);
/// The one is outside of the pools, the other inside.
const FILTER: &str = "\n[[filter]]\nname = \"services\"\nrules = [\n\
    { prefix = [\"10.96.0.0/24 ge 32\", \"10.244.0.0/16 le 32\", \"fd44::/48 le 128\"], action = \"accept\" },\n]\n";

struct Scene {
    routed: Vec<Routed>,
    hosts: Vec<Host>,
    client: Container,
    lab: Lab,
}

/// The gateway that a node is to others.
type Way = fn(&Host) -> Result<String>;

impl Scene {
    /// A full mesh of three; the first two follow what `advertise` says.
    fn start(name: &str, advertise: &str) -> Result<Scene> {
        let lab = Lab::new(name)?;
        let hosts = ["n1", "n2", "n3"].map(|name| lab.host(name)).into_iter().collect::<Result<Vec<_>>>()?;
        let client = hosts[2].container("c1")?;
        // A bridge without ports stands for a dummy, which not every kernel has.
        hosts[1].ip(&["link add svc0 type bridge", "link set svc0 up"])?;
        let config = |host: &Host| {
            let others = hosts.iter().filter(|other| other.name() != host.name());
            let peers = others.map(|other| peer(other.ipv4(), ASN, "hold_time = 3\nimport = \"services\""));
            let own = if host.name() == "n3" { "" } else { advertise };
            base(host) + &peers.collect::<String>() + own + FILTER
        };
        let routed = hosts.iter().map(|host| Routed::start(host, &config(host))).collect::<Result<_>>()?;
        Ok(Scene { routed, hosts, client, lab })
    }

    /// Puts the addresses on an interface of a node, or takes them away.
    fn serve(&self, node: usize, what: &str, interface: &str) -> Result<()> {
        self.hosts[node].ip(&[
            format!("addr {what} {SERVICE}/32 dev {interface}"),
            format!("addr {what} {SERVICE_6}/128 dev {interface} nodad"),
        ])
    }

    /// Waits until a node sends what is for the service to these nodes.
    fn goes_to(&self, node: usize, wanted: &[usize]) -> Result<()> {
        let ways: [(&str, String, Way); 2] = [
            ("-4", SERVICE.to_string(), |host| Ok(host.ipv4().to_string())),
            ("-6", SERVICE_6.to_string(), Host::link_local),
        ];
        for (family, address, way) in ways {
            let what = format!("n{} sends {address} to {wanted:?}", node + 1);
            self.lab.wait_until(&what, LIMIT, || {
                let argv = ["ip", family, "route", "show", &address, "proto", "bgp"];
                let said = self.hosts[node].exec(argv).map_err(|e| e.to_string())?.stdout;
                for to in [0, 1] {
                    let way = way(&self.hosts[to]).map_err(|e| e.to_string())?;
                    if said.contains(&format!("via {way} ")) != wanted.contains(&to) {
                        return Err(said);
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The container has an answer from the service.
    fn answers(&self) -> Result<()> {
        for address in [IpAddr::from(SERVICE), IpAddr::from(SERVICE_6)] {
            self.lab.wait_until(&format!("{address} answers"), LIMIT, || {
                let output = self.client.ping(address).and_then(Output::ok);
                output.map(drop).map_err(|e| e.to_string())
            })?;
        }
        Ok(())
    }

    /// Nobody takes the other for somebody who has what is his.
    fn no_alarm(&self) -> Result<()> {
        for routed in &self.routed {
            let status = routed.routectl(["status"])?.ok()?.stdout;
            assert!(!status.contains("prefix-conflict"), "{status}");
        }
        Ok(())
    }

    /// The service comes and goes on both; `where_on` are the interfaces.
    fn check(&self, where_on: [&str; 2]) -> Result<()> {
        self.serve(0, "add", where_on[0])?;
        self.goes_to(2, &[0])?;
        self.goes_to(1, &[0])?;
        self.answers()?;
        self.serve(1, "add", where_on[1])?;
        self.goes_to(2, &[0, 1])?;
        // Who has it sends nothing away.
        self.goes_to(0, &[])?;
        self.goes_to(1, &[])?;
        self.answers()?;
        self.no_alarm()?;
        // The health checker of the first takes it away: it uses the other, too.
        self.serve(0, "del", where_on[0])?;
        self.goes_to(2, &[1])?;
        self.goes_to(0, &[1])?;
        self.answers()
    }
}

#[test]
fn an_address_on_an_advertised_interface_is_told_by_all_who_have_it() -> Result<()> {
    let advertise = "\n[[advertise]]\ninterface = \"lo\"\n[[advertise]]\ninterface = \"svc0\"\n";
    let scene = Scene::start("anycast", advertise)?;
    scene.check(["lo", "svc0"])?;
    // Down with the interface, back with the address elsewhere.
    scene.hosts[1].ip(&["link set svc0 down"])?;
    scene.goes_to(2, &[])?;
    scene.goes_to(0, &[])?;
    scene.serve(0, "add", "lo")?;
    scene.goes_to(2, &[0])?;
    scene.answers()?;
    // Nothing else of the loopback interface is told, and no container gets it.
    let told = scene.routed[2].routectl_json(["routes", "--peer", &scene.hosts[0].ipv4().to_string()])?;
    let mut told: Vec<&str> =
        told.as_array().into_iter().flatten().filter_map(|route| route["prefix"].as_str()).collect();
    told.sort_unstable();
    let mut wanted = [
        scene.hosts[0].subnet4(),
        scene.hosts[0].subnet6(),
        format!("{SERVICE}/32"),
        format!("{SERVICE_6}/128"),
    ];
    wanted.sort_unstable();
    assert_eq!(told, wanted);
    let blocks = scene.routed[0].routectl_json(["ipam", "blocks"])?.to_string();
    assert!(!blocks.contains(&SERVICE_6.to_string()), "{blocks}");
    scene.no_alarm()
}

#[test]
fn an_address_on_the_uplink_is_told_while_it_is_there_and_is_no_next_hop() -> Result<()> {
    let one = |prefix: &str| format!("\n[[advertise]]\nprefix = \"{prefix}\"\nwhile = \"present\"\n");
    let advertise = one(&format!("{SERVICE}/32")) + &one(&format!("{SERVICE_6}/128"));
    let scene = Scene::start("anycast-up", &advertise)?;
    scene.goes_to(2, &[])?;
    scene.check(["eth0", "eth0"])?;
    // Sessions that are made while it is there tell nothing else by it, and the
    // node is not called after it.
    let third = scene.hosts[2].ipv4().to_string();
    let before = scene.routed[1].routectl_json(["peers", &third])?["established_count"].as_u64();
    scene.routed[1].routectl(["peers", "reset", &third])?.ok()?;
    let peer = scene.lab.wait_until("a new session", LIMIT, || {
        let peer = scene.routed[1].routectl_json(["peers", &third]).map_err(|e| e.to_string())?;
        let again = peer["established_count"].as_u64() > before && peer["state"] == "Established";
        if again { Ok(peer) } else { Err(peer.to_string()) }
    })?;
    scene.goes_to(2, &[1])?;
    let ours = [scene.hosts[1].ipv4().to_string(), scene.hosts[1].ipv6().to_string()];
    for hop in peer["own_next_hops"].as_array().into_iter().flatten().filter_map(|hop| hop.as_str()) {
        assert!(hop.starts_with("fe80:") || ours.iter().any(|own| own == hop), "{peer}");
    }
    scene.no_alarm()
}
