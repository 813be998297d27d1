//! Three hosts around a router, each a network namespace, on one thread that
//! moves between them. Nothing outlives the thread.
//!
//! ```text
//!   Left ──── router ──── Right      containers of the router's blocks
//!               │
//!            Outside                 the rest of the world
//! ```

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, recv, sendto,
    socket,
};
use policy::{Flow, Protocol, Transport};

/// Where an address lives.
const HOSTS: [(&str, &[&str]); 3] = [
    ("left", &["10.9.1.10", "10.9.1.11", "fd00:9:1::10", "fd00:9:1::11"]),
    ("right", &["10.9.1.20", "10.9.1.21", "fd00:9:1::20", "fd00:9:1::21"]),
    ("outside", &["192.0.2.2", "2001:db8::2"]),
];

/// Ports that hosts answer on.
const TCP_PORTS: [u16; 2] = [80, 8080];
const UDP_PORTS: [u16; 2] = [53, 80];

/// After what was expected has come, this long nothing else may come.
const QUIET_MS: u16 = 40;
/// What is expected comes at once, but the machine may be busy.
const PATIENCE_MS: u16 = 2_000;

struct Host {
    namespace: File,
    addresses: Vec<IpAddr>,
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    icmp: [OwnedFd; 2],
}

pub(crate) struct Lab {
    router: File,
    hosts: Vec<Host>,
    /// The next source port and the next ICMP identifier: none is used
    /// twice, so that no connection is known from an earlier round.
    port: u16,
    id: u16,
}

/// Runs a test in a network namespace of its own.
pub(crate) fn in_namespace<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root");
        test()
    };
    std::thread::spawn(body).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs nft on JSON in the namespace of this thread.
pub(crate) fn nft(args: &[&str], input: &str) -> Result<String, String> {
    run(Command::new("/usr/sbin/nft").arg("-j").args(args), input)
}

fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}

fn ip(lines: &[String]) {
    run(Command::new("ip").args(["-batch", "-"]), &lines.join("\n")).unwrap();
}

fn here() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

fn enter(namespace: &File) {
    setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
}

impl Lab {
    /// Builds the lab; the namespace of the thread becomes the router's.
    pub(crate) fn new() -> Self {
        let router = here();
        for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{file}"), "1").unwrap();
        }
        ip(&["link set lo up", "address add 169.254.1.1/32 dev lo"].map(String::from));
        let hosts = HOSTS.iter().map(|(name, addresses)| host(&router, name, addresses)).collect();
        enter(&router);
        Self { router, hosts, port: 0, id: 0 }
    }

    /// Every flow between two hosts of the lab, with ports and identifiers
    /// that were never used.
    pub(crate) fn flows(&mut self) -> Vec<Flow> {
        let mut flows = Vec::new();
        let mut next = self.port;
        for from in &self.hosts {
            for to in self.hosts.iter().filter(|to| !std::ptr::eq(*to, from)) {
                for (source, destination) in pairs(&from.addresses, &to.addresses) {
                    let mut add = |transport| flows.push(Flow { source, destination, transport });
                    let mut ports = |protocol, destination| {
                        next += 1;
                        let source = if next.is_multiple_of(2) { 20_000 } else { 40_000 } + next / 2;
                        Transport::Ports { protocol, source, destination }
                    };
                    for port in TCP_PORTS {
                        add(ports(Protocol::TCP, port));
                    }
                    for port in UDP_PORTS {
                        add(ports(Protocol::UDP, port));
                    }
                    add(if source.is_ipv4() {
                        Transport::Other(Protocol::ICMP)
                    } else {
                        Transport::Icmpv6(128)
                    });
                }
            }
        }
        self.port = next;
        flows
    }

    /// Sends the first packet of every flow. Answers the indices of those
    /// that came to where they should; for TCP and ICMP the answer must have
    /// come back. Waits for `expected`, and a little for what is not.
    pub(crate) fn probe(&mut self, flows: &[Flow], expected: &HashSet<usize>) -> HashSet<usize> {
        let mut open = Vec::new();
        let base = self.id;
        self.id += u16::try_from(flows.len()).unwrap();
        for (index, flow) in flows.iter().enumerate() {
            let host = self.hosts.iter().find(|host| host.addresses.contains(&flow.source)).unwrap();
            enter(&host.namespace);
            open.extend(send(flow, index, base));
        }
        enter(&self.router);
        let mut seen = HashSet::new();
        loop {
            let wait = if expected.is_subset(&seen) { QUIET_MS } else { PATIENCE_MS };
            if !self.readable(wait) {
                return seen;
            }
            self.collect(flows, base, &mut seen);
        }
    }

    fn readable(&self, milliseconds: u16) -> bool {
        let mut fds: Vec<_> = self
            .hosts
            .iter()
            .flat_map(|host| {
                let sockets = host.tcp.iter().map(AsFd::as_fd).chain(host.udp.iter().map(AsFd::as_fd));
                sockets.chain(host.icmp.iter().map(AsFd::as_fd))
            })
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        poll(&mut fds, PollTimeout::from(milliseconds)).unwrap() > 0
    }

    fn collect(&self, flows: &[Flow], base: u16, seen: &mut HashSet<usize>) {
        let mut buffer = [0; 256];
        for host in &self.hosts {
            for listener in &host.tcp {
                while let Ok((stream, peer)) = listener.accept() {
                    let local = stream.local_addr().unwrap();
                    seen.extend(
                        flows.iter().position(|flow| ends(flow, Protocol::TCP) == Some((peer, local))),
                    );
                }
            }
            for socket in &host.udp {
                while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                    let local = socket.local_addr().unwrap();
                    seen.extend(
                        flows.iter().position(|flow| ends(flow, Protocol::UDP) == Some((peer, local))),
                    );
                }
            }
            for (socket, (header, reply)) in host.icmp.iter().zip([(20, 0), (0, 129)]) {
                while let Ok(length) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                    let message = &buffer[header..length];
                    let id = u16::from_be_bytes([message[4], message[5]]);
                    if message[0] == reply {
                        seen.extend(
                            id.checked_sub(base).map(usize::from).filter(|index| *index < flows.len()),
                        );
                    }
                }
            }
        }
    }
}

fn host(router: &File, name: &str, addresses: &[&str]) -> Host {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let namespace = here();
    let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
    enter(router);
    let mut lines = vec![
        format!("link add {name} type veth peer name eth0 netns {path}"),
        format!("link set {name} addrgenmode none"),
        format!("link set {name} up"),
        format!("address add fe80::1/64 dev {name} nodad"),
    ];
    lines.extend(addresses.iter().map(|address| format!("route add {address} dev {name}")));
    ip(&lines);
    enter(&namespace);
    let mut lines = vec!["link set lo up".to_owned(), "link set eth0 up".to_owned()];
    lines.extend(addresses.iter().map(|address| {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        format!("address add {address} dev eth0{nodad}")
    }));
    lines.extend(
        [
            "route add 169.254.1.1 dev eth0",
            "route add default via 169.254.1.1",
            "route add ::/0 via fe80::1 dev eth0",
        ]
        .map(String::from),
    );
    ip(&lines);
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let at = |ports: [u16; 2]| {
        let addresses = addresses.clone();
        addresses.into_iter().flat_map(move |address| ports.map(|port| SocketAddr::new(address, port)))
    };
    let tcp: Vec<_> = at(TCP_PORTS).map(|at| TcpListener::bind(at).unwrap()).collect();
    let udp: Vec<_> = at(UDP_PORTS).map(|at| UdpSocket::bind(at).unwrap()).collect();
    for socket in &tcp {
        socket.set_nonblocking(true).unwrap();
    }
    for socket in &udp {
        socket.set_nonblocking(true).unwrap();
    }
    let icmp = [(AddressFamily::Inet, SockProtocol::Icmp), (AddressFamily::Inet6, SockProtocol::IcmpV6)]
        .map(|(family, protocol)| socket(family, SockType::Raw, SockFlag::SOCK_NONBLOCK, protocol).unwrap());
    Host { namespace, addresses, tcp, udp, icmp }
}

fn pairs<'a>(from: &'a [IpAddr], to: &'a [IpAddr]) -> impl Iterator<Item = (IpAddr, IpAddr)> + 'a {
    from.iter()
        .flat_map(|source| to.iter().map(move |destination| (*source, *destination)))
        .filter(|(source, destination)| source.is_ipv4() == destination.is_ipv4())
}

/// The sockets' addresses of a flow of this protocol.
fn ends(flow: &Flow, wanted: Protocol) -> Option<(SocketAddr, SocketAddr)> {
    match flow.transport {
        Transport::Ports { protocol, source, destination } if protocol == wanted => {
            Some((SocketAddr::new(flow.source, source), SocketAddr::new(flow.destination, destination)))
        }
        _ => None,
    }
}

/// Sends what begins a flow; the socket is to be kept until the flow is judged.
fn send(flow: &Flow, index: usize, base: u16) -> Option<OwnedFd> {
    if let Some((source, destination)) = ends(flow, Protocol::UDP) {
        let socket = UdpSocket::bind(source).unwrap();
        socket.send_to(b"probe", destination).unwrap();
        return Some(socket.into());
    }
    if let Some((source, destination)) = ends(flow, Protocol::TCP) {
        let family = if source.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
        bind(socket.as_raw_fd(), &SockaddrStorage::from(source)).unwrap();
        let _ = connect(socket.as_raw_fd(), &SockaddrStorage::from(destination)); // in progress
        return Some(socket);
    }
    let [high, low] = (base + u16::try_from(index).unwrap()).to_be_bytes();
    let kind = if flow.source.is_ipv4() { 8 } else { 128 };
    let mut echo = [kind, 0, 0, 0, high, low, 0, 1];
    if flow.source.is_ipv4() {
        let words = echo.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum: u32 = words.sum();
        let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        echo[2..4].copy_from_slice(&(!folded).to_be_bytes());
    }
    let (family, protocol) = if flow.source.is_ipv4() {
        (AddressFamily::Inet, SockProtocol::Icmp)
    } else {
        (AddressFamily::Inet6, SockProtocol::IcmpV6)
    };
    let from = socket(family, SockType::Raw, SockFlag::empty(), protocol).unwrap();
    bind(from.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(flow.source, 0))).unwrap();
    let to = SockaddrStorage::from(SocketAddr::new(flow.destination, 0));
    sendto(from.as_raw_fd(), &echo, &to, MsgFlags::empty()).unwrap();
    None
}
