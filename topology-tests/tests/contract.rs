//! The names and forms that scripts rely on: every field that is promised is
//! there, every list has every form, every exit code means what it says.

use std::time::Duration;

use lab::{
    Container, Host, Lab, Output, Result,
    cluster::{base_config, has_routes},
    peer::{RawBgp, Routed, raw},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);
/// The AS of the peer.
const PEER_AS: u16 = 65002;

/// A daemon with a session, a route, an address and a policy.
struct Scene {
    routed: Routed,
    peer: Host,
    _session: RawBgp,
    _container: Container,
    _lab: Lab,
}

const POLICY: &str = r"
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: { name: web-only }
spec:
  selector: all()
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      destination: { ports: [80] }
";

impl Scene {
    fn start(name: &str) -> Result<Scene> {
        let lab = Lab::new(name)?;
        let (host, peer) = (lab.host("n1")?, lab.router("peer")?);
        let container = host.container("c1")?;
        let config = base_config(&host, 64512)
            + &format!("\n[[bgp.peer]]\naddress = \"{}\"\nasn = {PEER_AS}\npassive = true\n", peer.ipv4())
            + "\n[rip]\ninterfaces = [\"eth0\"]\n";
        let routed = Routed::start(&host, &config)?;
        let mut session = RawBgp::dial(&peer, host.ipv4())?;
        session.establish(PEER_AS, peer.ipv4())?;
        session.send_message(raw::UPDATE, &raw::update([10, 244, 60], 0, PEER_AS, peer.ipv4()))?;
        lab.wait_until("the peer's route is installed", LIMIT, || {
            has_routes(&host, &["10.244.60.0/24".to_owned()])
        })?;
        routed.routectl(["ipam", "allocate", "--handle", "web", "--label", "app=web"])?.ok()?;
        routed.routectl_with(["policy", "apply", "-f", "-"], POLICY)?.ok()?;
        Ok(Scene { routed, peer, _session: session, _container: container, _lab: lab })
    }

    fn ipam<const N: usize>(&self, words: [&str; N]) -> Result<Output> {
        self.routed.routectl(["ipam"].into_iter().chain(words))
    }
}

/// Every name of a list must be a key of the object; `a{b,c}` looks inside.
fn has_fields(object: &Value, names: &str) {
    for name in names.split_whitespace() {
        let (name, inner) = name.split_once('{').unwrap_or((name, ""));
        let value = object.get(name).unwrap_or_else(|| panic!("no {name} in {object}"));
        let value = if let Value::Array(list) = value { list.first().unwrap_or(value) } else { value };
        for key in inner.trim_end_matches('}').split(',').filter(|key| !key.is_empty()) {
            assert!(value.get(key).is_some(), "no {name}.{key} in {object}");
        }
    }
}

/// The first object of an answer, or the only one.
fn first(answer: &Value) -> &Value {
    answer.as_array().map_or(answer, |list| list.first().unwrap_or_else(|| panic!("nothing listed")))
}

#[test]
fn json_has_every_promised_field() -> Result<()> {
    let scene = Scene::start("fields")?;
    let address = scene.peer.ipv4().to_string();
    let json = |words: &[&str]| scene.routed.routectl_json(words.iter().copied());

    let peer = "address asn local_asn router_id state uptime_seconds prefixes_received prefixes_accepted \
                prefixes_advertised hold_time_seconds families capabilities last_error description";
    let peers = json(&["peers"])?;
    assert!(peers.is_array(), "a list is an array: {peers}");
    has_fields(first(&peers), peer);
    assert_eq!(first(&peers)["state"], "Established");
    let detail = json(&["peers", &address])?;
    has_fields(first(&detail), peer);
    has_fields(
        first(&detail),
        "timers negotiated messages malformed{treat_as_withdraw,attribute_discard,reset} notification_sent \
         notification_received filtered rejected",
    );
    // A NOTIFICATION has its parts once one was sent.
    scene.routed.routectl(["peers", "reset", &address])?.ok()?;
    let detail = json(&["peers", &address])?;
    has_fields(first(&detail), "notification_sent{code,subcode,text,data,at}");

    let routes = json(&["routes", "--all"])?;
    let protocols = ["connected", "local", "static", "bgp", "rip", "ripng"];
    assert!(routes.as_array().is_some_and(|list| !list.is_empty()), "{routes}");
    for route in routes.as_array().into_iter().flatten() {
        has_fields(
            route,
            "prefix protocol next_hops metric distance best installed age_seconds peer as_path origin \
             local_pref med communities large_communities reason",
        );
        assert!(protocols.iter().any(|known| route["protocol"] == *known), "{route}");
        for hop in route["next_hops"].as_array().into_iter().flatten() {
            has_fields(hop, "address interface weight");
        }
    }
    has_fields(first(&json(&["ipam", "addresses"])?), "address pool block handle labels allocated_at");
    let blocks = json(&["ipam", "blocks"])?;
    has_fields(first(&blocks), "prefix pool node state addresses_total addresses_used");
    let trace = json(&["policy", "trace", "10.244.2.7", "10.244.1.5", "tcp:80"])?;
    has_fields(first(&trace), "verdict policy rule tier path");
    assert!(first(&trace)["path"].is_array(), "{trace}");
    has_fields(&json(&["status"])?, "node version uptime_seconds protocols alarms");
    Ok(())
}

#[test]
fn every_view_has_every_form() -> Result<()> {
    let scene = Scene::start("forms")?;
    let address = scene.peer.ipv4().to_string();
    let views: [&[&str]; 18] = [
        &["status"],
        &["peers"],
        &["peers", &address],
        &["routes"],
        &["routes", "10.244.60.0/24"],
        &["routes", "--all"],
        &["routes", "--peer", &address, "--received"],
        &["routes", "--peer", &address, "--advertised"],
        &["routes", "lookup", "10.244.60.1"],
        &["rip"],
        &["rip", "interfaces"],
        &["ipam", "pools"],
        &["ipam", "blocks"],
        &["ipam", "addresses"],
        &["ipam", "allocate", "--handle", "web"],
        &["policy", "list"],
        &["policy", "counters"],
        &["policy", "trace", "10.244.2.7", "10.244.1.5", "tcp:80"],
    ];
    for view in views {
        let said = |form: &str| {
            let output = scene.routed.routectl(["-o", form].into_iter().chain(view.iter().copied()))?.ok()?;
            assert!(!output.stdout.trim().is_empty(), "{view:?} as {form} says nothing");
            Result::Ok(output.stdout)
        };
        let json: Value = serde_json::from_str(&said("json")?).unwrap_or_else(|e| panic!("{view:?}: {e}"));
        let yaml = said("yaml")?;
        for key in first(&json).as_object().into_iter().flat_map(serde_json::Map::keys) {
            assert!(yaml.contains(&format!("{key}:")), "{view:?}: no {key} in {yaml}");
        }
        let [table, wide] = [said("table")?, said("wide")?];
        for text in [&table, &wide] {
            assert!(!text.contains('\u{1b}'), "no colours in a pipe: {view:?}");
        }
        let widest = |text: &str| text.lines().map(|line| line.split_whitespace().count()).max();
        assert!(widest(&wide) >= widest(&table), "{view:?}: wide says less\n{wide}\n{table}");
    }
    Ok(())
}

#[test]
fn allocate_gives_the_families_that_are_asked_for() -> Result<()> {
    let scene = Scene::start("families")?;
    let lines = |family: &str, handle: &str| -> Result<Vec<String>> {
        let output = scene.ipam(["allocate", "--family", family, "--handle", handle])?.ok()?;
        Ok(output.stdout.lines().map(str::to_owned).collect())
    };
    let four = lines("4", "four")?;
    assert!(four.len() == 1 && four[0].starts_with("10.244.1."), "{four:?}");
    let six = lines("6", "six")?;
    assert!(six.len() == 1 && six[0].contains("::"), "{six:?}");
    let both = lines("both", "both")?;
    assert!(both.len() == 2 && both[0].contains('.') && both[1].contains(':'), "{both:?}");
    assert_eq!(lines("both", "both")?, both, "the same handle, the same addresses");
    let words = ["ipam", "allocate", "--family", "both", "--handle", "both"];
    let json = scene.routed.routectl_json(words)?;
    let listed: Vec<&str> =
        json.as_array().into_iter().flatten().filter_map(|one| one["address"].as_str()).collect();
    assert_eq!(listed, both);

    for (words, code) in [
        (&["allocate", "--family", "5", "--handle", "x"][..], 2),
        (&["allocate", "--pool", "10.244.0.1/16", "--handle", "x"], 2),
        (&["allocate", "--label", "noequals", "--handle", "x"], 2),
        (&["release"], 2),
        (&["release", "10.244.1.200"], 1),
        (&["release", "--handle", "nobody"], 1),
        (&["reserve", "10.244.1.1/24"], 2),
        (&["reserve", "198.51.100.0/24"], 1),
        (&["reserve", "10.244.1.0/25"], 1),
        (&["check"], 0),
        (&["release", "--handle", "both"], 0),
        (&["reserve", "10.244.1.240/28"], 0),
    ] {
        let output = scene.routed.routectl(["ipam"].into_iter().chain(words.iter().copied()))?;
        assert_eq!(output.status, code, "{words:?}: {output}");
        assert!(code == 0 || !output.stderr.is_empty(), "{words:?} says why");
    }
    let gone = scene.routed.host().exec([
        lab::peer::find_binary("routectl")?.display().to_string().as_str(),
        "--socket",
        "/nonexistent/routed.sock",
        "status",
    ])?;
    assert_eq!(gone.status, 3, "{gone}");
    Ok(())
}

#[test]
fn pool_that_is_used_up_says_so() -> Result<()> {
    let lab = Lab::new("used-up")?;
    let host = lab.host("n1")?;
    let config = base_config(&host, 64512) + "\n[ipam]\nblocks = [\"10.244.9.0/30\"]\n";
    let routed = Routed::start(&host, &config)?;
    let allocate = |handle: &str| routed.routectl(["ipam", "allocate", "--family", "4", "--handle", handle]);
    let mut given = 0;
    let refused = loop {
        let output = allocate(&format!("h{given}"))?;
        if output.status != 0 {
            break output;
        }
        given += 1;
        assert!(given < 4, "a /30 has no four addresses to give");
    };
    assert_eq!(refused.status, 1, "{refused}");
    assert!(refused.stderr.contains("no free IPv4 address"), "{refused}");
    assert_eq!(allocate("h0")?.status, 0, "who has one keeps it");
    Ok(())
}
