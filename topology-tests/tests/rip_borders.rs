//! Two border nodes between a RIP network and a BGP one, each telling each
//! side what it hears on the other: nothing goes round, and what is gone stays
//! gone. A route tag says which routes came out of BGP.

use std::time::Duration;

use lab::{
    Container, Host, Lab, Result,
    cluster::{has_routes_of, lacks_route_of},
    peer::{Bird, Routed},
    rip_pair::LIMIT,
    zero::RIP,
};

const BGP: &str = "186";
/// What the RIP router has.
const BY_RIP: &str = "10.244.50.0/24";
/// What it has and tags as not for us.
const UNWANTED: &str = "10.244.53.0/24";
/// What the BGP router has.
const BY_BGP: &str = "10.244.51.0/24";
/// Three updates of everybody.
const SETTLED: u64 = 7;

/// A border node, and the container that gives its bridge a carrier.
struct Border {
    routed: Routed,
    host: Host,
    _container: Container,
}

struct Network {
    borders: [Border; 2],
    rip: Bird,
    bgp: Bird,
    lab: Lab,
}

/// 5120 is 1400 in BIRD's eyes.
fn config(other: &Host, bgp: &Host) -> String {
    format!(
        r#"
[cluster]
pools = ["10.244.0.0/16"]
nat_outgoing = false
[[advertise]]
interface = "docker0"
[[filter]]
name = "from-rip"
rules = [ {{ tag = 9, action = "reject" }}, {{ tag = 5120, action = "reject" }},
          {{ prefix = "10.244.0.0/16 le 32", action = "accept", set = {{ tag = 7 }} }} ]
[[filter]]
name = "to-rip"
rules = [ {{ protocol = "bgp", action = "accept", set = {{ med = 4, tag = 5120 }} }},
          {{ protocol = "local", action = "accept" }} ]
[[filter]]
name = "to-bgp"
rules = [ {{ protocol = "local", action = "accept" }}, {{ tag = 7, action = "accept" }} ]
[bgp]
asn = 64512
[[bgp.peer]]
address = "{}"
asn = 64512
connect_retry = 1
export = "to-bgp"
[[bgp.peer]]
address = "{}"
asn = 65001
connect_retry = 1
export = "to-bgp"
[rip]
ng = false
import = "from-rip"
export = "to-rip"
update = 2
timeout = 12
garbage = 4
"#,
        other.ipv4(),
        bgp.ipv4()
    )
}

fn start(name: &str) -> Result<Network> {
    let lab = Lab::new(name)?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let (rip, bgp) = (lab.router("rip")?, lab.router("bgp")?);
    let border = |host: &Host, other: &Host| -> Result<Border> {
        let container = host.container("c1")?;
        let routed = Routed::start(host, &config(other, &bgp))?;
        Ok(Border { routed, host: host.clone(), _container: container })
    };
    let borders = [border(&one, &two)?, border(&two, &one)?];
    let rip_side = format!(
        "protocol device {{}}\nprotocol static s4 {{ ipv4; route {BY_RIP} blackhole; }}\n\
         protocol static unwanted {{ ipv4; route {UNWANTED} blackhole; }}\n\
         protocol rip r4 {{ ipv4 {{ import all; export filter {{ if source != RTS_STATIC then reject;\n \
         if net = {UNWANTED} then rip_tag = 9; accept; }}; }};\n \
         interface \"eth0\" {{ update time 2; timeout time 12; garbage time 4; }}; }}\n"
    );
    let session = |name: &str, border: &Host| {
        format!(
            "protocol bgp {name} {{ local {} as 65001; neighbor {} as 64512; connect retry time 1;\n \
             ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }}; }}\n",
            bgp.ipv4(),
            border.ipv4()
        )
    };
    let bgp_side = format!(
        "protocol device {{}}\nprotocol direct {{ ipv4; }}\nprotocol static s4 {{ ipv4; route {BY_BGP} blackhole; }}\n{}{}",
        session("b1", &one),
        session("b2", &two)
    );
    let (rip, bgp) = (Bird::start(&rip, &rip_side)?, Bird::start(&bgp, &bgp_side)?);
    Ok(Network { borders, rip, bgp, lab })
}

impl Border {
    /// Seconds since the route that `prefix` has now, by `protocol`, came.
    fn age(&self, prefix: &str, protocol: &str) -> Result<u64, String> {
        let routes = self.routed.routectl_json(["routes", prefix]).map_err(|e| e.to_string())?;
        let mut best = routes.as_array().into_iter().flatten().filter(|route| route["best"] == true);
        let route = best.next().filter(|route| route["protocol"] == protocol);
        route.and_then(|route| route["age_seconds"].as_u64()).ok_or_else(|| routes.to_string())
    }

    /// Regular updates of RIP that were sent.
    fn updates(&self) -> Result<u64, String> {
        let interfaces = self.routed.routectl_json(["rip", "interfaces"]).map_err(|e| e.to_string())?;
        interfaces[0]["updates_sent"].as_u64().ok_or_else(|| interfaces.to_string())
    }
}

impl Network {
    /// Waits until both borders have had each route by its own protocol for
    /// several updates of everybody: nobody takes it from the other side, and
    /// nothing flaps.
    fn await_calm(&self) -> Result<()> {
        self.lab.wait_until("both sides are learned, and stay as they are", LIMIT, || {
            for border in &self.borders {
                has_routes_of(&border.host, RIP, &[BY_RIP.to_owned()])?;
                has_routes_of(&border.host, BGP, &[BY_BGP.to_owned()])?;
                for (prefix, protocol) in [(BY_RIP, "rip"), (BY_BGP, "bgp")] {
                    let age = border.age(prefix, protocol)?;
                    if age < SETTLED {
                        return Err(format!("{}: {prefix} is {age} s old", border.host.name()));
                    }
                }
            }
            Ok(())
        })
    }

    /// Whether nobody has either route.
    fn nothing_left(&self) -> Result<(), String> {
        for border in &self.borders {
            lacks_route_of(&border.host, RIP, BY_RIP)?;
            lacks_route_of(&border.host, BGP, BY_RIP)?;
            lacks_route_of(&border.host, BGP, BY_BGP)?;
            lacks_route_of(&border.host, RIP, BY_BGP)?;
        }
        let (rip, bgp) = (self.rip.rip_routes(), self.bgp.routes());
        let (rip, bgp) = (rip.map_err(|e| e.to_string())?, bgp.map_err(|e| e.to_string())?);
        let left =
            rip.iter().any(|r| r.prefix == BY_BGP && r.metric < 16) || bgp.iter().any(|r| r.prefix == BY_RIP);
        if left { Err(format!("{rip:?} {bgp:?}")) } else { Ok(()) }
    }
}

#[test]
fn two_borders_tell_both_sides_and_nothing_goes_round() -> Result<()> {
    let network = start("borders")?;
    network.await_calm()?;
    for border in &network.borders {
        assert_eq!(lacks_route_of(&border.host, RIP, UNWANTED), Ok(()), "a tag keeps it out");
    }
    network.lab.wait_until("RIP's router has what BGP told, with metric and tag", LIMIT, || {
        let route = network.rip.birdc(&format!("show route {BY_BGP} all")).map_err(|e| e.to_string())?;
        if route.contains("RIP.metric: 5") && route.contains("RIP.tag: 1400") { Ok(()) } else { Err(route) }
    })?;
    network.lab.wait_until("BGP's router has what RIP told, from both borders", LIMIT, || {
        let routes = network.bgp.routes().map_err(|e| e.to_string())?;
        let count = routes.iter().filter(|r| r.prefix == BY_RIP && r.as_path == [64512]).count();
        if count == 2 { Ok(()) } else { Err(format!("{routes:?}")) }
    })?;

    network.rip.birdc_write("disable s4")?;
    network.bgp.birdc_write("disable s4")?;
    network.lab.wait_until("both are gone everywhere", LIMIT, || network.nothing_left())?;
    // A ghost would be told from border to border for ever.
    let before = network.borders.each_ref().map(|border| border.updates().unwrap_or_default());
    network.lab.wait_until(
        "both borders have told everything twice more",
        Duration::from_secs(15),
        || {
            for (border, before) in network.borders.iter().zip(before) {
                let updates = border.updates()?;
                if updates < before + 2 {
                    return Err(format!("{}: {before}, then {updates}", border.host.name()));
                }
            }
            Ok(())
        },
    )?;
    assert_eq!(network.nothing_left(), Ok(()));

    network.rip.birdc_write("enable s4")?;
    network.bgp.birdc_write("enable s4")?;
    network.await_calm()
}
