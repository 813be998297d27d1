//! Policies decide about real packets.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    time::Duration,
};

use lab::{
    Container, Result,
    cluster::Mesh,
    traffic::{self, Arrival, Reach, Stream},
};

/// Patience with a packet that should not come.
const SILENCE: Duration = Duration::from_millis(700);

/// No port.
const NONE: Vec<u16> = Vec::new();

/// Only the containers of 10.244.1.2 and its IPv6 twin may reach port 80.
const WEB_ONLY: &str = r#"
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: { name: web-only }
spec:
  order: 100
  selector: all()
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: { nets: [10.244.1.2/32, "fd44:0:0:1::2/128"] }
      destination: { ports: [80, "8000:8010"] }
"#;

/// Two nodes: two clients on the first, a server on the second.
struct Scene {
    mesh: Mesh,
    _services: Vec<TcpListener>,
}

impl Scene {
    fn new(name: &str) -> Result<Scene> {
        let mesh = Mesh::start(name, 2, 2)?;
        let server = mesh.container(1)?.clone();
        let mut services = Vec::new();
        for address in server.addresses() {
            for port in [80, 81, 8005] {
                services.push(traffic::listen(&server, SocketAddr::new(address, port))?);
            }
        }
        Ok(Scene { mesh, _services: services })
    }

    fn client(&self, index: usize) -> &Container {
        &self.mesh.nodes[0].containers[index]
    }

    fn server(&self) -> &Container {
        &self.mesh.nodes[1].containers[0]
    }

    fn tcp(&self, client: usize, address: IpAddr, port: u16) -> Result<Reach> {
        traffic::tcp(self.client(client), SocketAddr::new(address, port), SILENCE)
    }

    fn apply(&self, text: &str) -> Result<lab::Output> {
        self.mesh.nodes[1].routed.routectl_with(["policy", "apply", "-f", "-"], text)
    }

    /// Ports that client `index` reaches, for both families.
    fn open_ports(&self, index: usize) -> Result<[Vec<u16>; 2]> {
        let of = |address: IpAddr| -> Result<Vec<u16>> {
            let mut open = Vec::new();
            for port in [80, 81, 8005] {
                match self.tcp(index, address, port)? {
                    Reach::Open => open.push(port),
                    Reach::Silent => {}
                    other => panic!("port {port} of {address}: {other:?}, a denied packet is dropped"),
                }
            }
            Ok(open)
        };
        let [v4, v6] = self.server().addresses();
        Ok([of(v4)?, of(v6)?])
    }
}

#[test]
fn policy_allows_by_cidr_protocol_and_port_and_drops_the_rest() -> Result<()> {
    let scene = Scene::new("policy")?;
    let all = vec![80, 81, 8005];
    assert_eq!(scene.open_ports(0)?, [all.clone(), all.clone()], "before any policy");
    scene.apply(WEB_ONLY)?.ok()?;
    assert_eq!(scene.open_ports(0)?, [vec![80, 8005], vec![80, 8005]], "what is allowed");
    assert_eq!(scene.open_ports(1)?, [NONE, NONE], "another source");
    let server: IpAddr = scene.server().ipv4().into();
    let datagram = traffic::udp(scene.client(0), scene.server(), SocketAddr::new(server, 80), SILENCE)?;
    assert_eq!(datagram, Arrival::Nothing, "another protocol");
    assert!(!scene.client(0).ping(server)?.success(), "no echo either");
    // Only ingress was named: the server may speak, and hears the answers.
    assert!(scene.server().ping(scene.client(0).ipv4().into())?.success(), "replies come back");
    Ok(())
}

#[test]
fn deleted_policy_restores_what_was() -> Result<()> {
    let scene = Scene::new("delete")?;
    let node = &scene.mesh.nodes[1].routed;
    scene.apply(WEB_ONLY)?.ok()?;
    assert_eq!(scene.open_ports(1)?, [NONE, NONE]);
    let list = node.routectl(["policy", "list"])?.ok()?;
    assert!(list.stdout.contains("web-only"), "{list:?}");
    node.routectl(["policy", "delete", "GlobalNetworkPolicy/web-only"])?.ok()?;
    let all = vec![80, 81, 8005];
    assert_eq!(scene.open_ports(1)?, [all.clone(), all]);
    let list = node.routectl(["policy", "list"])?.ok()?;
    assert!(!list.stdout.contains("web-only"), "{list:?}");
    Ok(())
}

#[test]
fn policy_stays_in_force_while_the_daemon_is_dead_and_after_it_returns() -> Result<()> {
    let mut scene = Scene::new("dead")?;
    scene.apply(WEB_ONLY)?.ok()?;
    scene.mesh.nodes[1].routed.kill9()?;
    let server: IpAddr = scene.server().ipv4().into();
    assert_eq!(scene.tcp(0, server, 80)?, Reach::Open, "allowed while dead");
    assert_eq!(scene.tcp(1, server, 80)?, Reach::Silent, "denied while dead");
    let stream = Stream::start(scene.client(1), scene.server(), server)?;
    scene.mesh.nodes[1].routed.restart()?;
    stream.await_sent(100)?;
    let report = stream.finish()?;
    assert_eq!(report.received, 0, "not one denied packet came through the restart: {report:?}");
    assert_eq!(scene.tcp(0, server, 80)?, Reach::Open, "allowed after the restart");
    assert_eq!(scene.tcp(1, server, 80)?, Reach::Silent, "denied after the restart");
    Ok(())
}

#[test]
fn documents_are_applied_all_or_none_and_the_error_names_the_field() -> Result<()> {
    let scene = Scene::new("none")?;
    let bad = WEB_ONLY.replace("web-only", "worse").replace("10.244.1.2/32", "10.244.1.2/99");
    let output = scene.apply(&format!("{WEB_ONLY}---{bad}"))?;
    assert_eq!(output.status, 1, "{output}");
    assert!(output.stderr.contains("10.244.1.2/99"), "{output}");
    let all = vec![80, 81, 8005];
    assert_eq!(scene.open_ports(1)?, [all.clone(), all], "the good document is not applied either");
    Ok(())
}

#[test]
fn counters_name_the_policy_that_decided() -> Result<()> {
    let scene = Scene::new("count")?;
    scene.apply(WEB_ONLY)?.ok()?;
    let counters = scene.mesh.nodes[1].routed.routectl(["policy", "counters"])?.ok()?;
    assert!(counters.stdout.contains("web-only"), "{counters:?}");
    Ok(())
}
