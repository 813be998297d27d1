//! Static routes by several gateways, and what the kernel and `routectl` make of them.

use lab::{
    Host, Lab, Result,
    cluster::base_config,
    pair::{ASN, LIMIT},
    peer::Routed,
};
use serde_json::Value;

const SHARED: &str = "10.9.0.0/16";
const SHARED_6: &str = "fd09::/48";
const FORCED: &str = "10.8.0.0/16";
const ASTRAY: &str = "10.7.0.0/16";
const PROHIBITED: &str = "10.6.0.0/16";

/// A host with a second interface.
fn host(lab: &Lab) -> Result<Host> {
    let host = lab.host("n1")?;
    host.ip(&[
        "link add v0 type veth peer name v1",
        "addr add 198.51.100.1/24 dev v0",
        "link set v1 up",
        "link set v0 up",
    ])?;
    Ok(host)
}

fn config(host: &Host, weight: u16) -> String {
    base_config(host, ASN)
        + &format!(
            "[[static]]\nprefix = \"{SHARED}\"\n\
             via = [{{ gateway = \"192.0.2.77\", weight = {weight} }}, \"198.51.100.2\"]\n\
             [[static]]\nprefix = \"{SHARED_6}\"\n\
             via = [{{ gateway = \"fe80::7\", interface = \"v0\", weight = 5 }}, \"2001:db8:2::77\"]\n\
             [[static]]\nprefix = \"{FORCED}\"\nvia = \"203.0.113.1\"\ninterface = \"v0\"\nonlink = true\n\
             [[static]]\nprefix = \"{ASTRAY}\"\nvia = \"203.0.113.1\"\ninterface = \"v0\"\n\
             [[static]]\nprefix = \"{PROHIBITED}\"\ntype = \"prohibit\"\n"
        )
}

/// The route as the kernel tells it, in one line.
fn kernel(host: &Host, prefix: &str) -> Result<String, String> {
    let family = if prefix.contains(':') { "-6" } else { "-4" };
    let shown = host.exec(["ip", family, "route", "show", prefix]).and_then(lab::Output::ok);
    shown.map(|shown| shown.stdout.replace(['\n', '\t'], " ")).map_err(|e| e.to_string())
}

/// Waits until the kernel's route has all of these words and none of those.
fn await_route(lab: &Lab, host: &Host, prefix: &str, has: &[&str], lacks: &[&str]) -> Result<()> {
    lab.wait_until(&format!("{prefix} has {has:?} and not {lacks:?}"), LIMIT, || {
        let shown = kernel(host, prefix)?;
        let fits = has.iter().all(|word| shown.contains(word)) && !lacks.iter().any(|w| shown.contains(w));
        if fits { Ok(()) } else { Err(shown) }
    })
}

/// Each path of a prefix: its first next hop's address and weight, and its reason.
fn paths(routed: &Routed, prefix: &str) -> Result<Vec<(String, u64, String)>> {
    let all = routed.routectl_json(["routes", prefix, "--all"])?;
    let path = |route: &Value| {
        let hop = &route["next_hops"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&hop["address"]), hop["weight"].as_u64().unwrap_or(0), text(&route["reason"]))
    };
    Ok(all.as_array().into_iter().flatten().map(path).collect())
}

#[test]
fn gateways_share_by_weight_and_one_that_cannot_be_reached_leaves_it_to_the_others() -> Result<()> {
    let lab = Lab::new("statics")?;
    let host = host(&lab)?;
    let routed = Routed::start(&host, &config(&host, 3))?;
    let (one, other) = ("via 192.0.2.77 dev eth0 weight 3", "via 198.51.100.2 dev v0 weight 1");
    await_route(&lab, &host, SHARED, &["proto 179", one, other], &[])?;
    let six = ["via fe80::7 dev v0 weight 5", "via 2001:db8:2::77 dev eth0 weight 1"];
    await_route(&lab, &host, SHARED_6, &six, &[])?;
    await_route(&lab, &host, FORCED, &["via 203.0.113.1 dev v0", "onlink"], &[])?;
    await_route(&lab, &host, PROHIBITED, &["prohibit"], &[])?;

    let shown = routed.routectl_json(["routes", SHARED])?;
    assert_eq!(shown[0]["next_hops"][0]["weight"], 3, "{shown}");
    assert_eq!(shown[0]["installed"], true, "{shown}");
    let table = routed.routectl(["routes", SHARED])?.ok()?.stdout;
    assert!(table.contains("192.0.2.77 weight 3,198.51.100.2 weight 1"), "{table}");
    let astray = paths(&routed, ASTRAY)?;
    assert!(astray[0].2.contains("no subnet of v0 holds 203.0.113.1"), "{astray:?}");
    assert!(kernel(&host, ASTRAY).is_ok_and(|shown| shown.is_empty()));

    host.ip(&["link set v0 down"])?;
    await_route(&lab, &host, SHARED, &["via 192.0.2.77 dev eth0"], &["198.51.100.2"])?;
    await_route(&lab, &host, FORCED, &[], &["203.0.113.1"])?;
    let left = paths(&routed, SHARED)?;
    assert!(left[1].2.contains("next hop 198.51.100.2 is unreachable"), "{left:?}");
    let down = paths(&routed, FORCED)?;
    assert!(down[0].2.contains("interface v0 is down"), "{down:?}");
    host.ip(&["link set v0 up"])?;
    await_route(&lab, &host, SHARED, &[one, other], &[])?;
    await_route(&lab, &host, FORCED, &["via 203.0.113.1 dev v0", "onlink"], &[])?;

    // 256 is more than a nexthop group takes on older kernels.
    routed.write_config(&config(&host, 256))?;
    routed.sighup()?;
    await_route(&lab, &host, SHARED, &["via 192.0.2.77 dev eth0 weight 256", other], &[])?;
    // Only of this prefix: what hangs on v0 alone may meet the link going down under its repair.
    let refused = format!("not installed prefix={SHARED}");
    assert!(!routed.log()?.contains(&refused), "{}", routed.log()?);
    Ok(())
}
