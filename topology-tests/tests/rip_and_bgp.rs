//! RIP and BGP in one node: what one learns the other tells if a filter says
//! so, and the administrative distance decides between them.

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
/// What the BGP router has.
const BY_BGP: &str = "10.244.51.0/24";
/// What both have.
const BY_BOTH: &str = "10.244.52.0/24";

/// A node between a router that speaks RIP and one that speaks BGP.
struct Border {
    routed: Routed,
    ours: Host,
    rip: Bird,
    bgp: Bird,
    lab: Lab,
    _container: Container,
}

/// `more`: lines of `[rip]`.
fn config(bgp: &Host, more: &str) -> String {
    format!(
        r#"
[cluster]
pools = ["10.244.0.0/16"]
nat_outgoing = false
[[advertise]]
interface = "docker0"
[[filter]]
name = "to-rip"
rules = [ {{ protocol = "bgp", action = "accept", set = {{ med = 4 }} }}, {{ protocol = "local", action = "accept" }} ]
[[filter]]
name = "to-bgp"
rules = [ {{ protocol = ["local", "rip"], action = "accept" }} ]
[bgp]
asn = 64512
[[bgp.peer]]
address = "{}"
asn = 65001
connect_retry = 1
export = "to-bgp"
[rip]
ng = false
export = "to-rip"
{more}
"#,
        bgp.ipv4()
    )
}

fn start(name: &str) -> Result<Border> {
    let lab = Lab::new(name)?;
    let (ours, rip, bgp) = (lab.host("n1")?, lab.router("rip")?, lab.router("bgp")?);
    let container = ours.container("c1")?;
    let routed = Routed::start(&ours, &config(&bgp, ""))?;
    let statics = |own: &str| {
        format!(
            "protocol device {{}}\nprotocol direct {{ ipv4; }}\n\
             protocol static s4 {{ ipv4; route {own} blackhole; }}\n\
             protocol static both {{ ipv4; route {BY_BOTH} blackhole; }}\n"
        )
    };
    let rip_side = statics(BY_RIP)
        + "protocol rip r4 { ipv4 { import all; export where source = RTS_STATIC; };\n interface \"eth0\"; }\n";
    let bgp_side = statics(BY_BGP)
        + &format!(
            "protocol bgp b4 {{ local {} as 65001; neighbor {} as 64512; connect retry time 1;\n \
             ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }}; }}\n",
            bgp.ipv4(),
            ours.ipv4(),
        );
    let (rip, bgp) = (Bird::start(&rip, &rip_side)?, Bird::start(&bgp, &bgp_side)?);
    let border = Border { routed, ours, rip, bgp, lab, _container: container };
    border.we_have(RIP, BY_RIP)?;
    border.we_have(BGP, BY_BGP)?;
    Ok(border)
}

impl Border {
    fn we_have(&self, protocol: &str, prefix: &str) -> Result<()> {
        let wanted = [prefix.to_owned()];
        let what = format!("our kernel has {prefix} by protocol {protocol}");
        self.lab.wait_until(&what, LIMIT, || has_routes_of(&self.ours, protocol, &wanted))
    }
}

#[test]
fn each_protocol_tells_what_the_other_has_learned_and_nothing_comes_back() -> Result<()> {
    let border = start("redist")?;
    let ours = border.ours.subnet4();
    border.lab.wait_until(
        "RIP's router has what BGP told us, with the metric of the filter",
        LIMIT,
        || {
            let routes = border.rip.rip_routes().map_err(|e| e.to_string())?;
            let metric = |prefix: &str| routes.iter().find(|r| r.prefix == prefix).map(|r| r.metric);
            let right = metric(BY_BGP) == Some(5) && metric(&ours) == Some(2);
            if right { Ok(()) } else { Err(format!("{routes:?}")) }
        },
    )?;
    border.lab.wait_until("BGP's router has what RIP told us", LIMIT, || {
        let routes = border.bgp.routes().map_err(|e| e.to_string())?;
        let from_us = |prefix: &str| routes.iter().any(|r| r.prefix == prefix && r.as_path == [64512]);
        if from_us(BY_RIP) && from_us(&ours) { Ok(()) } else { Err(format!("{routes:?}")) }
    })?;
    let told_back = |routes: &[(String, String)], own: &str| {
        routes.iter().any(|(prefix, next_hop)| prefix == own && *next_hop == border.ours.ipv4().to_string())
    };
    let pairs = |bird: &Bird| -> Result<Vec<(String, String)>> {
        Ok(bird.routes()?.into_iter().map(|route| (route.prefix, route.next_hop)).collect())
    };
    assert!(!told_back(&pairs(&border.rip)?, BY_RIP), "RIP's own prefix does not come back");
    assert!(!told_back(&pairs(&border.bgp)?, BY_BGP), "BGP's own prefix does not come back");

    // What goes on one side goes on the other.
    border.rip.birdc_write("disable s4")?;
    border.bgp.birdc_write("disable s4")?;
    border.lab.wait_until("both are gone everywhere", LIMIT, || {
        lacks_route_of(&border.ours, RIP, BY_RIP)?;
        lacks_route_of(&border.ours, BGP, BY_BGP)?;
        let (rip, bgp) = (border.rip.rip_routes(), border.bgp.routes());
        let (rip, bgp) = (rip.map_err(|e| e.to_string())?, bgp.map_err(|e| e.to_string())?);
        let left = rip.iter().any(|r| r.prefix == BY_BGP) || bgp.iter().any(|r| r.prefix == BY_RIP);
        if left { Err(format!("{rip:?} {bgp:?}")) } else { Ok(()) }
    })
}

#[test]
fn administrative_distance_decides_and_the_other_takes_over() -> Result<()> {
    let border = start("distance")?;
    border.we_have(BGP, BY_BOTH)?;
    let all = border.routed.routectl_json(["routes", BY_BOTH, "--all"])?;
    let distances: Vec<(&str, u64)> = all
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|route| Some((route["protocol"].as_str()?, route["distance"].as_u64()?)))
        .collect();
    assert_eq!(distances, [("bgp", 20), ("rip", 120)], "{all}");
    border.bgp.birdc_write("disable both")?;
    border.we_have(RIP, BY_BOTH)?;
    border.bgp.birdc_write("enable both")?;
    border.we_have(BGP, BY_BOTH)?;
    // Another distance holds for what is there already.
    let nearer = std::fs::read_to_string(border.routed.config_path())
        .map_err(lab::Error::file(border.routed.config_path()))?
        .replace("[rip]", "[rip]\ndistance = 10");
    border.routed.write_config(&nearer)?;
    border.routed.routectl(["reload"])?.ok()?;
    border.we_have(RIP, BY_BOTH)
}
