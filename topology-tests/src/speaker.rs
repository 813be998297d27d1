//! Any of the other implementations behind one face: started with the same
//! words, asked by its own command. For what all of them can do.

use std::net::Ipv4Addr;

use crate::{
    Host, Result,
    peer::{Bird, Exabgp, Frr, Gobgp, Openbgpd},
};

/// The implementations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// BIRD 2.
    Bird,
    /// FRR.
    Frr,
    /// `GoBGP`.
    Gobgp,
    /// `OpenBGPD`.
    Openbgpd,
    /// `ExaBGP`, which reflects nothing and has no limits.
    Exabgp,
}

/// One session, in IPv4.
#[derive(Clone, Debug)]
pub struct Neighbor {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its AS.
    pub asn: u32,
    /// The TCP-MD5 key.
    pub password: Option<&'static str>,
    /// It is a client of the reflector that the speaker is.
    pub client: bool,
    /// How many prefixes it may tell.
    pub limit: Option<u32>,
}

impl Neighbor {
    /// A session without anything special.
    pub fn new(address: Ipv4Addr, asn: u32) -> Neighbor {
        Neighbor { address, asn, password: None, client: false, limit: None }
    }
}

/// A running speaker.
#[derive(Debug)]
pub enum Speaker {
    /// BIRD 2.
    Bird(Bird),
    /// FRR.
    Frr(Frr),
    /// `GoBGP`.
    Gobgp(Gobgp),
    /// `OpenBGPD`.
    Openbgpd(Openbgpd),
    /// `ExaBGP`.
    Exabgp(Exabgp),
}

impl Speaker {
    /// Starts it on `host` in AS `asn`. It takes everything, tells on what it
    /// may, and announces `prefixes` with the communities `asn:7` and
    /// `asn:1:2`.
    pub fn start(
        kind: Kind,
        host: &Host,
        asn: u32,
        prefixes: &[&str],
        neighbors: &[Neighbor],
    ) -> Result<Speaker> {
        Ok(match kind {
            Kind::Bird => Speaker::Bird(Bird::start(host, &bird(host, asn, prefixes, neighbors))?),
            Kind::Frr => Speaker::Frr(Frr::start(host, &frr(host, asn, prefixes, neighbors), "")?),
            Kind::Gobgp => {
                let gobgp = Gobgp::start(host, &gobgp(host, asn, neighbors))?;
                let (community, large) = (format!("{asn}:7"), format!("{asn}:1:2"));
                for prefix in prefixes {
                    let tags = ["community", &community, "large-community", &large, "-a", "ipv4"];
                    gobgp.gobgp(&[&["global", "rib", "add", prefix], &tags[..]].concat())?;
                }
                Speaker::Gobgp(gobgp)
            }
            Kind::Openbgpd => {
                Speaker::Openbgpd(Openbgpd::start(host, asn, &openbgpd(host, asn, prefixes, neighbors))?)
            }
            Kind::Exabgp => Speaker::Exabgp(Exabgp::start(host, &exabgp(host, asn, prefixes, neighbors))?),
        })
    }

    /// What its own command says of a prefix; communities as `1:2` and `1:2:3`,
    /// however it writes them. Nothing where it does not know the prefix.
    pub fn told(&self, prefix: &str) -> Result<String> {
        let text = match self {
            Speaker::Bird(bird) => said(bird.birdc(&format!("show route all for {prefix}"))),
            Speaker::Frr(frr) => frr.vtysh(&format!("show bgp ipv4 unicast {prefix} json"))?,
            Speaker::Gobgp(gobgp) => said(gobgp.gobgp(&["global", "rib", prefix, "-a", "ipv4"])),
            Speaker::Openbgpd(bgpd) => bgpd.bgpctl(&["show", "rib", "detail", prefix])?,
            Speaker::Exabgp(exabgp) => {
                let route = exabgp.routes()?.into_iter().find(|route| route.prefix == prefix);
                let attributes = exabgp.attributes(prefix)?;
                route.map_or(String::new(), |route| format!("{route:?} {attributes}"))
            }
        };
        Ok(text.replace(", ", ":").replace(',', ":"))
    }

    /// Asks `peer` for its routes again, by its own command; `ExaBGP` has none,
    /// and `GoBGP` goes through what it has kept instead.
    pub fn refresh(&self, peer: Ipv4Addr) -> Result<()> {
        let peer = peer.to_string();
        match self {
            Speaker::Bird(bird) => bird.birdc_write("reload in n0").map(drop),
            Speaker::Frr(frr) => frr.vtysh(&format!("clear bgp ipv4 unicast {peer} soft in")).map(drop),
            Speaker::Openbgpd(bgpd) => bgpd.bgpctl(&["neighbor", &peer, "refresh"]).map(drop),
            Speaker::Gobgp(_) | Speaker::Exabgp(_) => Ok(()),
        }
    }

    /// How often `peer` has asked it for its routes, where its own command says so.
    pub fn refreshes(&self, peer: Ipv4Addr) -> Result<u64> {
        let peer = peer.to_string();
        let count = match self {
            Speaker::Frr(frr) => {
                frr.json(&format!("show bgp neighbors {peer} json"))?[&peer]["messageStats"]["routeRefreshRecv"]
                    .as_u64()
            }
            Speaker::Gobgp(gobgp) => {
                gobgp.json(&["neighbor", &peer])?["state"]["messages"]["received"]["refresh"].as_u64()
            }
            Speaker::Openbgpd(bgpd) => bgpd.json(&["show", "neighbor", &peer])?["neighbors"][0]["stats"]
                ["message"]["received"]["route_refresh"]
                .as_u64(),
            Speaker::Bird(_) | Speaker::Exabgp(_) => None,
        };
        Ok(count.unwrap_or(0))
    }

    /// Whether its session with `peer` stands, by its own command; BIRD's are
    /// `n0`, `n1` and so on, in the order of its neighbours.
    pub fn is_up(&self, peer: Ipv4Addr) -> Result<bool> {
        let peer = peer.to_string();
        Ok(match self {
            Speaker::Bird(bird) => bird.protocol_state("n0")? == "Established",
            Speaker::Frr(frr) => frr.session_state(&peer)? == "Established",
            Speaker::Gobgp(gobgp) => gobgp.session_state(&peer)? == "Established",
            Speaker::Openbgpd(bgpd) => bgpd.session_state(&peer)? == "Established",
            Speaker::Exabgp(exabgp) => exabgp.session_state(&peer)? == "up",
        })
    }
}

/// What a command says; nothing where it fails, as some do for a prefix that
/// is not there.
fn said(answer: Result<String>) -> String {
    answer.unwrap_or_default()
}

fn bird(host: &Host, asn: u32, prefixes: &[&str], neighbors: &[Neighbor]) -> String {
    let mut text =
        vec!["protocol device {}\nprotocol direct { ipv4; }\nprotocol static s4 { ipv4;\n".to_owned()];
    text.extend(prefixes.iter().map(|prefix| format!(" route {prefix} blackhole;\n")));
    text.push("}\n".to_owned());
    text.push(format!(
        "filter told {{ if source = RTS_STATIC then {{ bgp_community.add(({asn}, 7)); \
         bgp_large_community.add(({asn}, 1, 2)); accept; }} if source = RTS_BGP then accept; reject; }}\n"
    ));
    for (number, neighbor) in neighbors.iter().enumerate() {
        let password = neighbor.password.map_or(String::new(), |key| format!("password \"{key}\";"));
        let client = if neighbor.client { "rr client;" } else { "" };
        let limit =
            neighbor.limit.map_or(String::new(), |limit| format!("receive limit {limit} action disable;"));
        text.push(format!(
            "protocol bgp n{number} {{ local {} as {asn}; neighbor {} as {}; connect retry time 1;\n \
             enable extended messages on; {password} {client} ipv4 {{ import all; export filter told; {limit} }}; }}\n",
            host.ipv4(),
            neighbor.address,
            neighbor.asn,
        ));
    }
    text.concat()
}

fn frr(host: &Host, asn: u32, prefixes: &[&str], neighbors: &[Neighbor]) -> String {
    let mut text = vec![format!(
        "router bgp {asn}\n bgp router-id {}\n no bgp ebgp-requires-policy\n no bgp network import-check\n",
        host.ipv4(),
    )];
    let mut family = Vec::new();
    for neighbor in neighbors {
        let address = neighbor.address;
        text.push(format!(
            " neighbor {address} remote-as {}\n neighbor {address} timers connect 1\n",
            neighbor.asn
        ));
        if let Some(key) = neighbor.password {
            text.push(format!(" neighbor {address} password {key}\n"));
        }
        if neighbor.client {
            family.push(format!("  neighbor {address} route-reflector-client\n"));
        }
        if let Some(limit) = neighbor.limit {
            family.push(format!("  neighbor {address} maximum-prefix {limit}\n"));
        }
    }
    family.extend(prefixes.iter().map(|prefix| format!("  network {prefix} route-map told\n")));
    text.concat()
        + &format!(
            " address-family ipv4 unicast\n{} exit-address-family\nexit\n\
         route-map told permit 10\n set community {asn}:7\n set large-community {asn}:1:2\nexit\n",
            family.concat(),
        )
}

fn gobgp(host: &Host, asn: u32, neighbors: &[Neighbor]) -> String {
    let mut text = vec![format!("[global.config]\nas = {asn}\nrouter-id = \"{}\"\n", host.ipv4())];
    for neighbor in neighbors {
        text.push(format!(
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{}\"\npeer-as = {}\n",
            neighbor.address, neighbor.asn
        ));
        if let Some(key) = neighbor.password {
            text.push(format!("auth-password = \"{key}\"\n"));
        }
        text.push("[neighbors.timers.config]\nconnect-retry = 1\n".to_owned());
        if neighbor.client {
            text.push(format!(
                "[neighbors.route-reflector.config]\nroute-reflector-client = true\n\
                 route-reflector-cluster-id = \"{}\"\n",
                host.ipv4()
            ));
        }
        text.push(
            "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n"
                .to_owned(),
        );
        if let Some(limit) = neighbor.limit {
            text.push(format!("[neighbors.afi-safis.prefix-limit.config]\nmax-prefixes = {limit}\n"));
        }
    }
    text.concat()
}

fn openbgpd(host: &Host, asn: u32, prefixes: &[&str], neighbors: &[Neighbor]) -> String {
    let set = format!("set {{ community {asn}:7 large-community {asn}:1:2 }}");
    let mut text: Vec<String> = prefixes.iter().map(|prefix| format!("network {prefix} {set}\n")).collect();
    for neighbor in neighbors {
        text.push(format!("neighbor {} {{\n remote-as {}\n", neighbor.address, neighbor.asn));
        text.push(" announce IPv4 unicast\n announce IPv6 none\n".to_owned());
        if let Some(key) = neighbor.password {
            text.push(format!(" tcp md5sig password {key}\n"));
        }
        if neighbor.client {
            text.push(format!(" route-reflector {}\n", host.ipv4()));
        }
        if let Some(limit) = neighbor.limit {
            text.push(format!(" max-prefix {limit}\n"));
        }
        text.push("}\n".to_owned());
    }
    text.concat()
}

fn exabgp(host: &Host, asn: u32, prefixes: &[&str], neighbors: &[Neighbor]) -> Vec<(String, String)> {
    let route = |prefix: &&str| {
        format!("route {prefix} next-hop self large-community [ {asn}:1:2 ] community [ {asn}:7 ];")
    };
    let routes = prefixes.iter().map(route).collect::<Vec<_>>().concat();
    let inside = |neighbor: &Neighbor| {
        let password = neighbor.password.map_or(String::new(), |key| format!("md5-password {key};"));
        format!(
            " local-address {};\n local-as {asn};\n peer-as {};\n {password}\n family {{ ipv4 unicast; }}\n \
             capability {{ route-refresh enable; extended-message enable; }}\n static {{ {routes} }}",
            host.ipv4(),
            neighbor.asn,
        )
    };
    neighbors.iter().map(|neighbor| (neighbor.address.to_string(), inside(neighbor))).collect()
}
