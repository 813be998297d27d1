//! `lab demo`: the story that the README promises, every claim checked.

use std::{net::SocketAddr, time::Duration};

use crate::{
    Container, Error, Result,
    cluster::{self, HOLD_SECONDS, Mesh},
    report::{self, Report},
    traffic::{self, Reach, Stream},
};

/// Packets of each stream.
const PACKETS: u64 = 25;
/// Patience with a packet that should not come.
const SILENCE: Duration = Duration::from_secs(1);

/// Runs the demo; the first claim that does not hold ends it.
pub fn run() -> Result<()> {
    let mut report = Report::default();
    let mut mesh = build(&mut report)?;
    peers_and_routes(&mut report, &mesh)?;
    containers_meet(&mut report, &mesh)?;
    policy(&mut report, &mesh)?;
    node_dies(&mut report, &mut mesh)?;
    clean_up(&mut report, mesh)?;
    report.end();
    Ok(())
}

fn build(report: &mut Report) -> Result<Mesh> {
    report.step("Three nodes on a LAN, each with a bridge docker0 and containers of its own");
    let mesh = Mesh::launch("demo", 3, 2)?;
    for node in &mesh.nodes {
        let names: Vec<String> = node.containers.iter().map(|c| c.ipv4().to_string()).collect();
        report::say(&format!(
            "{}  {}  docker0 {}  containers {}",
            node.host.name(),
            node.host.ipv4(),
            node.host.subnet4(),
            names.join(", ")
        ));
    }
    report::say("The whole configuration of n1:");
    let config = std::fs::read_to_string(mesh.nodes[0].routed.config_path())
        .map_err(Error::file(mesh.nodes[0].routed.config_path()))?;
    for line in config.lines() {
        report::say(&format!("  {line}"));
    }
    mesh.await_routes(Duration::from_secs(30))?;
    report.claim(true, "every node has routes to the containers of every other")?;
    Ok(mesh)
}

fn peers_and_routes(report: &mut Report, mesh: &Mesh) -> Result<()> {
    report.step("The nodes are BGP peers and tell each other the subnets of their bridges");
    let node = &mesh.nodes[0];
    for words in [["peers"], ["routes"]] {
        report::command("n1", &node.routed.routectl(words)?.ok()?);
    }
    for family in ["-4", "-6"] {
        report::command("n1", &node.host.exec(["ip", family, "route", "show", "proto", "bgp"])?.ok()?);
    }
    for other in &mesh.nodes[1..] {
        let state = node.routed.session_state(&other.host.ipv4().to_string())?;
        report.claim(
            state == "Established",
            &format!("the session from n1 to {} is {state}", other.host.name()),
        )?;
    }
    Ok(())
}

fn containers_meet(report: &mut Report, mesh: &Mesh) -> Result<()> {
    report.step("Containers reach each other across nodes: no tunnel, no address translation");
    let (from, to) = (mesh.container(0)?, mesh.container(1)?);
    report::command(&from.name(), &from.exec(["ping", "-n", "-c2", "-i0.2", &to.ipv4().to_string()])?.ok()?);
    for (a, b) in mesh.pairs() {
        if a.ipv4().octets()[3] != 2 || b.ipv4().octets()[3] != 2 {
            continue;
        }
        for (source, target) in a.addresses().into_iter().zip(b.addresses()) {
            let stream = Stream::start(&a, &b, target)?;
            stream.await_sent(PACKETS)?;
            let seen = stream.finish()?;
            let kept = seen.lost == 0 && seen.sources == [source].into() && seen.ttls == [62].into();
            let text = format!(
                "{} to {}: {} of {} packets, seen from {} with hop count {}",
                a.name(),
                b.name(),
                seen.received,
                seen.sent,
                list(&seen.sources),
                list(&seen.ttls),
            );
            report.claim(kept, &text)?;
        }
    }
    Ok(())
}

fn list<T: ToString>(values: &std::collections::BTreeSet<T>) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn policy(report: &mut Report, mesh: &Mesh) -> Result<()> {
    report.step("A policy on n2: only n1/c1 may reach its containers, and only on TCP port 80");
    let (friend, stranger) = (&mesh.nodes[0].containers[0], &mesh.nodes[0].containers[1]);
    let server = mesh.container(1)?;
    let web = SocketAddr::new(server.ipv4().into(), 80);
    let _service = traffic::listen(server, web)?;
    for client in [friend, stranger] {
        flow(report, client, web, &Reach::Open, "before the policy")?;
    }
    let text = format!(
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{ name: web-only }}\nspec:\n  \
         selector: all()\n  types: [Ingress]\n  ingress:\n    - action: Allow\n      protocol: TCP\n      \
         source: {{ nets: [{}/32] }}\n      destination: {{ ports: [80] }}\n",
        friend.ipv4()
    );
    let file = mesh.lab.dir().join("web-only.yaml");
    std::fs::write(&file, &text).map_err(Error::file(&file))?;
    for line in text.lines() {
        report::say(&format!("  {line}"));
    }
    let node = &mesh.nodes[1].routed;
    report::command("n2", &node.routectl(["policy", "apply", "-f", &file.display().to_string()])?.ok()?);
    flow(report, friend, web, &Reach::Open, "allowed by web-only")?;
    flow(report, stranger, web, &Reach::Silent, "denied: no rule allows it")?;
    report::command("n2", &node.routectl(["policy", "counters"])?.ok()?);
    report::command("n2", &node.routectl(["policy", "delete", "GlobalNetworkPolicy/web-only"])?.ok()?);
    flow(report, stranger, web, &Reach::Open, "open again without the policy")
}

fn flow(
    report: &mut Report,
    client: &Container,
    target: SocketAddr,
    expected: &Reach,
    why: &str,
) -> Result<()> {
    let met = traffic::tcp(client, target, SILENCE)?;
    let said = match &met {
        Reach::Open => "connects".to_owned(),
        Reach::Refused => "is refused".to_owned(),
        Reach::Silent => "gets no answer".to_owned(),
        Reach::Unreachable(why) => why.clone(),
    };
    report.claim(met == *expected, &format!("{} to {target} {said} ({why})", client.name()))
}

fn node_dies(report: &mut Report, mesh: &mut Mesh) -> Result<()> {
    report.step("Node n3 dies: its daemon is killed and its cable pulled");
    let Some((dead, rest)) = mesh.nodes.split_last_mut() else {
        return Err(Error::Claim("the cluster has no node to kill".into()));
    };
    dead.host.cut()?;
    dead.routed.kill9()?;
    let gone = [dead.host.subnet4(), dead.host.subnet6()];
    let limit = Duration::from_secs(HOLD_SECONDS + 2);
    let lab = mesh.lab.clone();
    lab.wait_until("the routes to n3 are gone", limit, || {
        rest.iter().try_for_each(|node| {
            let have = cluster::bgp_routes(&node.host).map_err(|e| e.to_string())?;
            let left = have.iter().find(|prefix| gone.contains(prefix));
            left.map_or(Ok(()), |left| Err(format!("{} still has {left}", node.host.name())))
        })
    })?;
    report::command("n1", &rest[0].host.exec(["ip", "route", "show", "proto", "bgp"])?.ok()?);
    report::command("n1", &rest[0].routed.routectl(["peers"])?.ok()?);
    report.claim(true, &format!("n1 and n2 dropped its routes within the hold time of {HOLD_SECONDS} s"))?;
    let ping = rest[0].containers[0].ping(rest[1].containers[0].ipv4().into())?;
    report.claim(ping.success(), "containers of n1 and n2 still reach each other")
}

fn clean_up(report: &mut Report, mesh: Mesh) -> Result<()> {
    report.step("Everything goes: namespaces, daemons, files");
    let (id, dir) = (mesh.lab.id().to_owned(), mesh.lab.dir().to_owned());
    drop(mesh);
    let namespaces = std::fs::read_dir("/run/netns").map_err(Error::file("/run/netns"))?;
    let left = namespaces.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(&id)).count();
    report.claim(left == 0 && !dir.exists(), "no namespace and no file of the demo is left")
}
