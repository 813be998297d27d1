//! Where BGP next hops lead: through other routes, and by their bandwidth.

use lab::{
    Host, Lab, Result,
    cluster::base_config,
    pair::{ASN, LIMIT},
    peer::{Bird, Routed},
};

/// What is told with a next hop that is on no link.
const FAR: &str = "10.244.50.0/24";
/// The next hop of it.
const NEXT_HOP: &str = "198.51.100.1";
/// What holds the next hop.
const CARRIER: &str = "198.51.100.0/24";
/// A more specific route to it.
const NEARER: &str = "198.51.100.0/25";
/// A route whose next hop lies inside, and nowhere else.
const ROUND: &str = "203.0.113.0/24";
/// What both tell, each with its bandwidth.
const WEIGHED: &str = "10.244.60.0/24";

/// A node with two routers as internal peers.
struct Three {
    routed: Routed,
    ours: Host,
    routers: [Host; 2],
    lab: Lab,
}

impl Three {
    fn start(name: &str) -> Result<Three> {
        let lab = Lab::new(name)?;
        let (ours, routers) = (lab.host("n1")?, [lab.router("r1")?, lab.router("r2")?]);
        let peer = |router: &Host| {
            format!(
                "\n[[bgp.peer]]\naddress = \"{}\"\nasn = {ASN}\nfamilies = [\"ipv4\"]\nconnect_retry = 1\n\
                 import = \"accept-all\"\n",
                router.ipv4()
            )
        };
        let config = base_config(&ours, ASN) + &routers.iter().map(peer).collect::<String>();
        let routed = Routed::start(&ours, &config)?;
        Ok(Three { routed, ours, routers, lab })
    }

    /// BIRD on a router, with a protocol for each route; `export` is its filter.
    fn bird(&self, place: usize, routes: &[&str], export: &str) -> Result<Bird> {
        let here = &self.routers[place];
        let statics = (0..).zip(routes);
        let statics =
            statics.map(|(n, route)| format!("protocol static s{n} {{ ipv4; route {route} blackhole; }}\n"));
        let config = format!(
            "protocol device {{}}\n{}protocol bgp r {{ local {} as {ASN}; neighbor {} as {ASN}; \
             connect retry time 1;\n ipv4 {{ import all; export filter {{ {export} accept; }}; }}; }}\n",
            statics.collect::<String>(),
            here.ipv4(),
            self.ours.ipv4(),
        );
        Bird::start(here, &config)
    }

    /// Waits until the kernel's route has all of these words.
    fn await_route(&self, prefix: &str, words: &[&str]) -> Result<()> {
        self.lab.wait_until(&format!("{prefix} has {words:?}"), LIMIT, || {
            let shown = self.ours.exec(["ip", "route", "show", prefix]).and_then(lab::Output::ok);
            let shown = shown.map_err(|e| e.to_string())?.stdout.replace(['\n', '\t'], " ");
            if words.iter().all(|word| shown.contains(word)) { Ok(()) } else { Err(shown) }
        })
    }

    /// Waits until the kernel has no route of a prefix, and the only path says why.
    fn await_reason(&self, prefix: &str, reason: &str) -> Result<()> {
        self.lab.wait_until(&format!("{prefix} is not used: {reason}"), LIMIT, || {
            let shown = self.ours.exec(["ip", "route", "show", prefix]).and_then(lab::Output::ok);
            let shown = shown.map_err(|e| e.to_string())?.stdout;
            let paths = self.routed.routectl_json(["routes", prefix, "--all"]).map_err(|e| e.to_string())?;
            let says = paths[0]["reason"].as_str().is_some_and(|said| said.contains(reason));
            if says && shown.is_empty() { Ok(()) } else { Err(format!("{shown}{paths}")) }
        })
    }
}

#[test]
fn a_bgp_next_hop_follows_the_bgp_route_that_holds_it() -> Result<()> {
    let three = Three::start("nh-recursive")?;
    let [one, other] =
        [0, 1].map(|router| format!("via {} dev eth0 proto bgp", three.routers[router].ipv4()));
    let first = three.bird(
        0,
        &[FAR, CARRIER, ROUND],
        &format!(
            "if net = {FAR} then bgp_next_hop = {NEXT_HOP}; if net = {ROUND} then bgp_next_hop = 203.0.113.1;"
        ),
    )?;
    three.await_route(FAR, &[&one])?;
    three.await_reason(ROUND, "next hop 203.0.113.1 is only reached over routes that need it themselves")?;
    let second = three.bird(1, &[NEARER], "")?;
    three.await_route(FAR, &[&other])?;
    second.birdc_write("disable s0")?;
    three.await_route(FAR, &[&one])?;
    first.birdc_write("disable s1")?;
    three.await_reason(FAR, &format!("next hop {NEXT_HOP} is unreachable"))?;
    // A route of somebody else on the node is not of the table; a static one is.
    let more = format!("\n[[static]]\nprefix = \"{CARRIER}\"\nvia = \"{}\"\n", three.routers[1].ipv4());
    let file =
        std::fs::read_to_string(three.routed.config_path()).map_err(lab::Error::io("the configuration"))?;
    three.routed.write_config(&(file + &more))?;
    three.routed.sighup()?;
    three.await_route(FAR, &[&other])
}

#[test]
fn equal_paths_share_by_the_bandwidth_that_they_tell() -> Result<()> {
    let three = Three::start("nh-bandwidth")?;
    // 10 and 30 Gbit/s, in octets a second as IEEE 754 floats.
    let told = |bits: &str| format!("bgp_ext_community.add((generic, 0x4004fc00, {bits}));");
    let [one, other] = [0, 1].map(|router| format!("via {} dev eth0 weight", three.routers[router].ipv4()));
    let _first = three.bird(0, &[WEIGHED], &told("0x4e9502f9"))?;
    let second = three.bird(1, &[WEIGHED], &told("0x4f5f8476"))?;
    three.await_route(WEIGHED, &[&format!("{one} 1"), &format!("{other} 3")])?;
    let shown = three.routed.routectl_json(["routes", WEIGHED])?;
    let weights: Vec<_> =
        shown[0]["next_hops"].as_array().into_iter().flatten().map(|hop| &hop["weight"]).collect();
    assert_eq!(weights, [1, 3], "{shown}");
    let told = shown[0]["ext_communities"][0].as_str().unwrap_or_default();
    assert!(["bandwidth:64512:1250000000", "bandwidth:64512:3750000000"].contains(&told), "{shown}");
    // Without one of them all count the same.
    drop(second);
    let _second = three.bird(1, &[WEIGHED], "")?;
    three.await_route(WEIGHED, &[&format!("{one} 1"), &format!("{other} 1")])
}
