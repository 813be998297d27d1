//! What a node has of its own: blocks with nothing that loops under them,
//! routes that lead nowhere, aggregates; and what peers hear of it.

use lab::{
    Host, Result,
    cluster::{ASN, Mesh, bgp_routes, config, routes_of},
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);
/// The protocol number of routed's own routes.
const OWN: &str = "179";

const BLOCK: &str = "10.244.90.0/24";
const HOST: &str = "10.244.91.7/32";
const BLOCK_6: &str = "fd44:0:0:90::/64";
const HOST_6: &str = "fd44:0:0:91::7/128";
const DROPPED: &str = "10.244.92.0/24";

/// Waits until the kernel of a host has the BGP routes `has` and not `lacks`.
fn await_heard(mesh: &Mesh, host: &Host, has: &[&str], lacks: &[&str]) -> Result<()> {
    mesh.lab.wait_until(&format!("{} has {has:?} and not {lacks:?}", host.name()), LIMIT, || {
        let have = bgp_routes(host).map_err(|e| e.to_string())?;
        // The kernel's words have no length where it is that of an address.
        let short = |prefix: &str| prefix.trim_end_matches("/32").trim_end_matches("/128").to_owned();
        let there = |prefix: &&str| have.contains(&short(prefix));
        if has.iter().all(there) && !lacks.iter().any(there) { Ok(()) } else { Err(format!("{have:?}")) }
    })
}

/// The kernel's routes of routed itself that lead nowhere.
fn dropped(host: &Host) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for family in ["-4", "-6"] {
        let shown =
            host.exec(["ip", family, "route", "show", "type", "blackhole", "proto", OWN])?.ok()?.stdout;
        all.extend(shown.lines().filter_map(|line| line.split(' ').nth(1).map(str::to_owned)));
    }
    all.sort();
    Ok(all)
}

#[test]
fn own_blocks_drop_what_nobody_has_and_single_addresses_are_left_to_the_kernel() -> Result<()> {
    let mesh = Mesh::start("own-blocks", 2, 1)?;
    let [here, there] = [0, 1].map(|n| &mesh.nodes[n]);
    let hosts: Vec<_> = mesh.nodes.iter().map(|n| n.host.clone()).collect();
    let own = [BLOCK, HOST, BLOCK_6, HOST_6].map(|prefix| format!("[[advertise]]\nprefix = \"{prefix}\"\n"));
    let statics = format!("[[static]]\nprefix = \"{DROPPED}\"\ntype = \"blackhole\"\n");
    here.routed.write_config(&(config(&here.host, &hosts) + &own.concat() + &statics))?;
    here.routed.sighup()?;

    // The static route that drops is not told, all else is.
    await_heard(&mesh, &there.host, &[BLOCK, HOST, BLOCK_6, HOST_6], &[DROPPED])?;
    assert_eq!(dropped(&here.host)?, [BLOCK, DROPPED, BLOCK_6].map(str::to_owned));
    assert_eq!(routes_of(&here.host, OWN)?.len(), 3, "{:?}", routes_of(&here.host, OWN)?);

    // A packet to nobody dies here and does not come back.
    let far = there.containers[0].exec(["ping", "-n", "-c", "1", "-W", "1", "10.244.90.9"])?;
    assert!(!far.stdout.contains("Time to live exceeded"), "{}", far.stdout);
    let got = here.host.exec(["ip", "route", "get", "10.244.90.9"])?;
    assert!(!got.stdout.contains("via"), "{}", got.stdout);

    here.routed.write_config(&config(&here.host, &hosts))?;
    here.routed.sighup()?;
    await_heard(&mesh, &there.host, &[&here.host.subnet4()], &[BLOCK, HOST, BLOCK_6, HOST_6])?;
    assert_eq!(dropped(&here.host)?, [""; 0]);
    Ok(())
}

#[test]
fn aggregate_is_told_while_something_is_inside_and_a_reload_begins_and_ends_it() -> Result<()> {
    const AROUND: &str = "10.244.64.0/18";
    const INSIDE: &str = "10.244.70.0/24";
    let mesh = Mesh::start("aggregate", 2, 1)?;
    let [here, there] = [0, 1].map(|n| &mesh.nodes[n]);
    let hosts: Vec<_> = mesh.nodes.iter().map(|n| n.host.clone()).collect();
    let plain = config(&here.host, &hosts);
    let reload = |summary_only: bool| {
        let more = format!("\n[[aggregate]]\nprefix = \"{AROUND}\"\nsummary_only = {summary_only}\n");
        here.routed.write_config(&(plain.clone() + &more))?;
        here.routed.sighup()
    };
    reload(true)?;
    here.routed.routectl(["routes", "announce", INSIDE])?.ok()?;
    await_heard(&mesh, &there.host, &[AROUND], &[INSIDE])?;
    assert_eq!(dropped(&here.host)?, [AROUND, INSIDE].map(str::to_owned));
    let told = there.routed.routectl_json(["routes", AROUND])?;
    assert_eq!(
        (&told[0]["atomic_aggregate"], &told[0]["aggregator"]),
        (&true.into(), &format!("{ASN} {}", here.host.ipv4()).into(),)
    );
    // What lies inside is told once more when it is to be.
    reload(false)?;
    await_heard(&mesh, &there.host, &[AROUND, INSIDE], &[])?;
    reload(true)?;
    await_heard(&mesh, &there.host, &[AROUND], &[INSIDE])?;
    here.routed.routectl(["routes", "withdraw", INSIDE])?.ok()?;
    await_heard(&mesh, &there.host, &[&here.host.subnet4()], &[AROUND, INSIDE])?;
    // One that the configuration names no more goes, though something is inside.
    here.routed.routectl(["routes", "announce", INSIDE])?.ok()?;
    await_heard(&mesh, &there.host, &[AROUND], &[INSIDE])?;
    here.routed.write_config(&plain)?;
    here.routed.sighup()?;
    await_heard(&mesh, &there.host, &[INSIDE], &[AROUND])
}
