//! Queries, clean-up, sysctls and socket options against the kernel.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use common::*;
use kernel::sysctl::{Changes, Sysctl, SysctlError};
use kernel::{RouteOwner, query, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};

#[test]
fn the_default_interface_is_that_of_the_best_default_route() {
    in_namespace(|| async {
        let v0 = veth();
        assert_eq!(query::default_interface().unwrap(), None);
        ip("-6 route add default via fd00::2 dev v0");
        assert_eq!(query::default_interface().unwrap(), Some(v0));
        ip("link add w0 type veth peer name w1");
        ip("addr add 172.16.0.1/24 dev w0");
        ip("link set w0 up");
        ip("route add default via 10.0.0.2 metric 200");
        ip("route add unreachable default metric 300");
        ip("route add default via 172.16.0.2 metric 100");
        let w0 = nix::net::if_::if_nametoindex("w0").unwrap();
        assert_eq!(query::default_interface().unwrap(), Some(w0));
    });
}

#[test]
fn cleanup_removes_ours_and_nothing_else() {
    in_namespace(|| async {
        veth();
        let ours = ["10.1.0.0/16 proto bgp", "10.2.0.0/16 proto rip metric 9", "10.3.0.0/16 proto 179"];
        for route in ours {
            ip(&format!("route add {route} via 10.0.0.2"));
        }
        ip("-6 route add fd01::/48 proto 190 via fd00::2");
        ip("-6 route add fd02::/48 proto bgp nexthop via fd00::2 nexthop via fd00::3");
        ip("route add blackhole 10.4.0.0/16 proto 179");
        ip("route add 10.1.0.0/16 via 10.0.0.2 proto static metric 7");
        ip("-6 route add fd03::/48 via fd00::2 proto 77");
        ip("route add 10.9.0.0/16 via 10.0.0.2 proto bgp table 1000");
        let owned = query::dump_owned(254).unwrap();
        assert_eq!(owned.len(), 6);
        assert!(owned.iter().any(|route| route.owner == RouteOwner::RipNg && route.prefix == p("fd01::/48")));
        let foreign = |lines: Vec<String>| -> Vec<String> {
            let ours = ["proto bgp", "proto rip", "proto 179", "proto 190"];
            lines.into_iter().filter(|line| !ours.iter().any(|proto| line.contains(proto))).collect()
        };
        let before = foreign(routes());
        assert_eq!(query::cleanup(254).unwrap(), 6);
        let lines = routes();
        assert!(lines.iter().all(|line| !line.starts_with("nexthop")), "{lines:?}");
        assert_eq!(lines, before.into_iter().filter(|line| !line.starts_with("nexthop")).collect::<Vec<_>>());
        assert!(lines.contains(&"10.1.0.0/16 via 10.0.0.2 dev v0 proto static metric 7".to_owned()));
        assert_eq!(query::dump_owned(254).unwrap(), []);
        assert_eq!(query::dump_owned(1000).unwrap().len(), 1);
        assert_eq!(query::dump_owned(4_000_000_000).unwrap(), [], "a table that does not exist is empty");
    });
}

#[test]
fn settings_are_changed_recorded_and_put_back() {
    in_namespace(|| async {
        let (ipv4, ipv6) = (Sysctl::ipv4_forwarding(), Sysctl::ipv6_forwarding());
        ipv4.write("0").unwrap();
        ipv6.write("0").unwrap();
        let mut changes = Changes::default();
        assert!(changes.set(&ipv4, "1").unwrap());
        assert!(changes.set(&ipv6, "1").unwrap());
        assert!(!changes.set(&ipv4, "1").unwrap(), "it is as it should be");
        assert_eq!((ipv4.read().unwrap(), ipv6.read().unwrap()), ("1".to_owned(), "1".to_owned()));
        let text = serde_json::to_string(&changes).unwrap();
        let mut changes: Changes = serde_json::from_str(&text).unwrap();
        // Somebody else has changed one since; it stays.
        ipv6.write("0").unwrap();
        changes.restore().unwrap();
        assert_eq!((ipv4.read().unwrap(), ipv6.read().unwrap()), ("0".to_owned(), "0".to_owned()));
        assert_eq!(changes.iter().count(), 0);

        assert!(matches!(Sysctl::new("net/../../../etc/passwd"), Err(SysctlError::Name(_))));
        let error = Sysctl::new("net.ipv4.nonsense").unwrap().read().unwrap_err();
        assert!(error.to_string().contains("net.ipv4.nonsense"), "{error}");
    });
}

/// A listener on `listen` that signs what it exchanges with `peer`.
fn listener(listen: &str, peer: IpAddr, length: Option<u8>, key: &[u8]) -> (Socket, u16) {
    let listen: SocketAddr = listen.parse().unwrap();
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, None).unwrap();
    if listen.is_ipv6() {
        socket.set_only_v6(false).unwrap();
    }
    socket.bind(&SockAddr::from(listen)).unwrap();
    sockopt::set_tcp_md5(&socket, peer, length, key).unwrap();
    socket.listen(4).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

/// How long a handshake over loopback that must work may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one is given that must not work: some round trips.
const GLIMPSE: Duration = Duration::from_millis(200);

/// Dials with a key; the handshake is over when this gives success.
fn dial(to: SocketAddr, key: &[u8], patience: Duration) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if !key.is_empty() {
        sockopt::set_tcp_md5(&socket, to.ip(), None, key)?;
    }
    socket.connect_timeout(&SockAddr::from(to), patience)
}

#[test]
fn only_the_same_md5_key_connects() {
    in_namespace(|| async {
        let (v4, v6): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "::1".parse().unwrap());
        let cases = [
            ("127.0.0.1:0", v4, None, v4),
            ("[::1]:0", v6, None, v6),
            ("[::]:0", v4, None, v4),
            ("127.0.0.1:0", "127.0.0.0".parse().unwrap(), Some(8), v4),
            ("[::]:0", "127.0.0.0".parse().unwrap(), Some(8), v4),
        ];
        for (listen, peer, length, address) in cases {
            let (_socket, port) = listener(listen, peer, length, b"secret");
            let to = SocketAddr::new(address, port);
            dial(to, b"secret", PATIENCE).unwrap_or_else(|error| panic!("{listen} {peer}: {error}"));
            assert!(dial(to, b"other", GLIMPSE).is_err(), "{listen} {peer}: a wrong key connects");
            assert!(dial(to, b"", GLIMPSE).is_err(), "{listen} {peer}: no key connects");
        }
    });
}

#[test]
fn md5_keys_are_checked_and_ended() {
    in_namespace(|| async {
        let v4: IpAddr = "127.0.0.1".parse().unwrap();
        let (socket, port) = listener("127.0.0.1:0", v4, None, b"secret");
        let error = sockopt::set_tcp_md5(&socket, v4, None, &[0; 81]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        sockopt::set_tcp_md5(&socket, v4, None, b"").unwrap();
        dial(SocketAddr::new(v4, port), b"", PATIENCE).unwrap();
    });
}

#[test]
fn packets_below_the_least_ttl_are_dropped() {
    in_namespace(|| async {
        for (listen, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let listen: SocketAddr = listen.parse().unwrap();
            let socket = Socket::new(Domain::for_address(listen), Type::STREAM, None).unwrap();
            if listen.is_ipv6() {
                socket.set_only_v6(false).unwrap();
            }
            socket.bind(&SockAddr::from(listen)).unwrap();
            sockopt::set_ttl(&socket.as_fd(), 255).unwrap();
            sockopt::set_min_ttl(&socket, 255).unwrap();
            socket.listen(4).unwrap();
            let port = socket.local_addr().unwrap().as_socket().unwrap().port();
            let to = SocketAddr::new(to.parse().unwrap(), port);
            let with_ttl = |ttl, patience| {
                let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
                sockopt::set_ttl(&socket, ttl).unwrap();
                socket.connect_timeout(&SockAddr::from(to), patience)
            };
            with_ttl(255, PATIENCE).unwrap();
            assert!(with_ttl(254, GLIMPSE).is_err(), "{listen}");
        }
    });
}
