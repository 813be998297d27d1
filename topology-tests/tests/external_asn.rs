//! Peers whose AS is any but ours, or ours, and not a number: nodes with an AS
//! each, of which nobody knows that of another beforehand.

use lab::{
    Container, Host, Lab, Output, Result,
    cluster::{base_config, has_routes},
    pair::LIMIT,
    peer::Routed,
};
use serde_json::Value;

/// The AS of the first; each other's is one more.
const FIRST: u32 = 65101;

struct Node {
    routed: Routed,
    container: Container,
    host: Host,
    asn: u32,
}

fn node(lab: &Lab, asn: u32, peers: &str) -> Result<Node> {
    let host = lab.host(&format!("n{}", asn % 100))?;
    let container = host.container("c1")?;
    let routed = Routed::start(&host, &(base_config(&host, asn) + peers))?;
    Ok(Node { routed, container, host, asn })
}

impl Node {
    /// Waits until a peer is as `look` wants it.
    fn peer(&self, name: &str, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        self.host.lab().wait_until(what, LIMIT, || {
            let detail = self.routed.routectl_json(["peers", name]).map_err(|e| e.to_string())?;
            let detail = if detail.is_array() { detail[0].clone() } else { detail };
            if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
        })
    }
}

/// Waits until each has routes to each other, and its container reaches theirs.
fn whole(lab: &Lab, nodes: &[Node]) -> Result<()> {
    let others = |of: &Node| nodes.iter().filter(move |other| other.asn != of.asn).collect::<Vec<_>>();
    for node in nodes {
        let wanted: Vec<String> =
            others(node).iter().flat_map(|other| [other.host.subnet4(), other.host.subnet6()]).collect();
        lab.wait_until("every node has routes to every other", LIMIT, || has_routes(&node.host, &wanted))?;
        for address in others(node).iter().flat_map(|other| other.container.addresses()) {
            lab.wait_until(&format!("{} reaches {address}", node.host.name()), LIMIT, || {
                let output = node.container.ping(address).and_then(Output::ok);
                output.map(drop).map_err(|e| e.to_string())
            })?;
        }
    }
    Ok(())
}

#[test]
fn nodes_of_a_lan_with_an_as_each_find_each_other() -> Result<()> {
    let lab = Lab::new("as-lan")?;
    let mesh =
        "\n[[bgp.dynamic]]\ninterface = \"eth0\"\nasn = \"external\"\nhold_time = 3\nconnect_retry = 1\n";
    let start = |number: u32| {
        let node = node(&lab, FIRST + number, mesh)?;
        node.host.ip(&["address flush dev eth0 scope global"])?;
        Ok(node)
    };
    let nodes = (0..3).map(start).collect::<Result<Vec<Node>>>()?;
    whole(&lab, &nodes)?;
    // Each shows the numbers of the others, and tells nobody's routes but its own.
    for node in &nodes {
        let others = nodes.iter().filter(|other| other.asn != node.asn);
        for other in others {
            let name = format!("{}%eth0", other.host.link_local()?);
            let peer = node.peer(&name, "the session is up", |peer| peer["state"] == "Established")?;
            assert_eq!((&peer["asn"], &peer["external"]), (&other.asn.into(), &true.into()), "{peer}");
            let routes = node.routed.routectl_json(["routes", "--peer", &name, "--received"])?;
            assert_eq!(routes.as_array().map(Vec::len), Some(2), "{routes}");
            assert_eq!(routes[0]["as_path"], other.asn.to_string(), "{routes}");
        }
    }
    Ok(())
}

#[test]
fn who_dials_in_or_is_added_may_have_any_as_but_ours_and_is_refused_with_it() -> Result<()> {
    let lab = Lab::new("as-range")?;
    let range = "\n[[bgp.dynamic]]\nrange = \"192.0.2.0/24\"\nasn = \"external\"\nexport = \"accept-all\"\n";
    let hub = node(&lab, FIRST, range)?;
    let address = hub.host.ipv4().to_string();
    let to_hub = |whose: &str| {
        format!(
            "\n[[bgp.peer]]\naddress = \"{address}\"\nasn = \"{whose}\"\nconnect_retry = 1\nidle_hold = 1\n\
             export = \"accept-all\"\n"
        )
    };
    let two = node(&lab, FIRST + 1, &to_hub("external"))?;
    // The third is told of the hub by an operator.
    let three = node(&lab, FIRST + 2, "")?;
    let add = ["peers", "add", &address, "--asn", "external", "--set", "connect_retry=1"];
    three.routed.routectl(add)?.ok()?;
    for node in [&two, &three] {
        let peer = node.peer(&address, "the hub is a peer", |peer| peer["state"] == "Established")?;
        assert_eq!(peer["asn"], FIRST, "{peer}");
    }
    let nodes = [hub, two, three];
    whole(&lab, &nodes)?;
    // Who is of the hub's own AS is refused, whatever it takes the hub for.
    for (name, whose) in [("n8", "external"), ("n9", "internal")] {
        let host = lab.host(name)?;
        let routed = Routed::start(&host, &(base_config(&host, FIRST) + &to_hub(whose)))?;
        let peer = lab.wait_until("the session is refused", LIMIT, || {
            let peer = routed.routectl_json(["peers", &address]).map_err(|e| e.to_string())?;
            let why = peer["last_error"].as_str().unwrap_or_default();
            // The one end says so to the other, or that to this.
            let refused = why.contains("Bad Peer AS") || why.contains("AS 65101, an external peer has");
            if refused { Ok(peer) } else { Err(peer.to_string()) }
        })?;
        assert_eq!(peer["established_count"], 0, "{peer}");
        // Nobody has told another number, so none is shown of the one.
        let shown = if whose == "internal" { Value::from(FIRST) } else { Value::Null };
        assert_eq!((&peer["asn"], &peer["external"]), (&shown, &(whose == "external").into()), "{peer}");
    }
    Ok(())
}
