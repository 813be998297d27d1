//! What `OpenBGPD` shows of what was agreed on: roles (RFC 9234).

use lab::{
    Result,
    pair::{ASN, LIMIT, Pair, THEIR_4},
    peer::Openbgpd,
};
use serde_json::Value;

const THEIRS: u32 = 65001;

/// We have the one role, it has the other.
fn scene(name: &str, ours: &str, theirs: &str) -> Result<(Pair, Openbgpd)> {
    let pair = Pair::start(name, THEIRS, &format!("role = \"{ours}\"\nidle_hold = 1"))?;
    let neighbor = |address: String, other: &str| {
        format!(
            "neighbor {address} {{\n remote-as {ASN}\n announce {other} none\n announce policy {theirs} enforce\n}}\n"
        )
    };
    let config = format!("network {THEIR_4}\n")
        + &neighbor(pair.ours.ipv4().to_string(), "IPv6")
        + &neighbor(pair.ours.ipv6().to_string(), "IPv4");
    let bgpd = Openbgpd::start(&pair.theirs, THEIRS, &config)?;
    Ok((pair, bgpd))
}

fn detail(pair: &Pair, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
    let address = pair.theirs.ipv4().to_string();
    pair.lab.wait_until(what, LIMIT, || {
        let detail = pair.routed.routectl_json(["peers", &address]).map_err(|e| e.to_string())?;
        let detail = if detail.is_array() { detail[0].clone() } else { detail };
        if look(&detail) { Ok(detail) } else { Err(detail.to_string()) }
    })
}

#[test]
fn what_a_provider_tells_is_marked_whichever_of_the_two_it_is() -> Result<()> {
    for (name, ours, theirs) in [("ob-cust", "customer", "provider"), ("ob-prov", "provider", "customer")] {
        let (pair, bgpd) = scene(name, ours, theirs)?;
        pair.sessions_are_up()?;
        let peer = detail(&pair, "the roles are agreed on", |peer| peer["negotiated"].is_object())?;
        let roles = [&peer["negotiated"]["role"], &peer["negotiated"]["peer_role"]];
        assert_eq!(roles, [ours, theirs], "{peer}");
        let wanted = pair.ours.subnet4();
        let told = pair.lab.wait_until("OpenBGPD has our prefix", LIMIT, || {
            let said = bgpd.bgpctl(&["show", "rib", "detail", &wanted]).map_err(|e| e.to_string())?;
            if said.contains(&wanted) { Ok(said) } else { Err(said) }
        })?;
        let route = pair.lab.wait_until("we have its prefix", LIMIT, || {
            let route = pair.routed.routectl_json(["routes", THEIR_4]).map_err(|e| e.to_string())?;
            if route[0]["prefix"] == THEIR_4 { Ok(route) } else { Err(route.to_string()) }
        })?;
        if ours == "customer" {
            assert_eq!(route[0]["only_to_customer"], THEIRS, "{route}");
            assert!(!told.contains("OTC"), "a customer's own route goes up unmarked: {told}");
        } else {
            assert_eq!(route[0]["only_to_customer"], Value::Null, "{route}");
            assert!(told.contains(&format!("OTC: {ASN}")), "{told}");
        }
    }
    Ok(())
}

#[test]
fn roles_that_do_not_belong_together_end_the_session() -> Result<()> {
    let (pair, bgpd) = scene("ob-role", "customer", "customer")?;
    detail(&pair, "Role Mismatch has passed", |detail| {
        let both = [&detail["notification_sent"], &detail["notification_received"]];
        both.iter().any(|said| said["code"] == 2 && said["subcode"] == 11)
    })?;
    assert_ne!(bgpd.session_state(&pair.ours.ipv4().to_string())?, "Established");
    Ok(())
}
