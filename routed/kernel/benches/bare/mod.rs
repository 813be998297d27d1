//! The yardstick: netlink with nothing around it, messages encoded beforehand.

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use net::Prefix;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::ip;

/// Messages in one send.
const SEND: usize = 256;
/// An id that nobody else takes.
const ID: u32 = 7;

/// How long the bare loop takes.
pub(crate) struct Bare {
    pub(crate) add: Duration,
    pub(crate) delete: Duration,
}

impl Bare {
    /// Adds all routes on a nexthop object, and deletes the object. The best of two.
    pub(crate) fn run(prefixes: &[Prefix], link: u32) -> Self {
        let mut runs: Vec<Self> = (0..2).map(|_| Self::once(prefixes, link)).collect();
        runs.sort_by_key(|run| run.add);
        let delete = runs.iter().map(|run| run.delete).min().unwrap();
        Self { add: runs[0].add, delete }
    }

    fn once(prefixes: &[Prefix], link: u32) -> Self {
        let name = nix::net::if_::if_indextoname(link).unwrap().into_string().unwrap();
        ip(&format!("nexthop add id {ID} via 10.0.0.2 dev {name}"));
        let sends: Vec<Vec<u8>> = prefixes.chunks(SEND).map(encode).collect();
        let socket = socket();
        let mut answers = Vec::with_capacity(64 << 10);
        let started = Instant::now();
        for send in &sends {
            socket.send(send, 0).unwrap();
            answers.clear();
            socket.recv(&mut answers, 0).unwrap();
            assert_eq!(answers[16..20], [0; 4], "each route is taken");
        }
        let add = started.elapsed();
        let mut delete = message(105, 5, &[0; 8]);
        attribute(&mut delete, 1, &ID.to_ne_bytes());
        finish(&mut delete, 0);
        let started = Instant::now();
        socket.send(&delete, 0).unwrap();
        answers.clear();
        socket.recv(&mut answers, 0).unwrap();
        Self { add, delete: started.elapsed() }
    }
}

fn socket() -> Socket {
    let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
    socket.bind_auto().unwrap();
    socket.connect(&SocketAddr::new(0, 0)).unwrap();
    socket.set_netlink_get_strict_chk(true).unwrap();
    socket
}

fn encode(prefixes: &[Prefix]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (place, prefix) in prefixes.iter().enumerate() {
        let IpAddr::V4(address) = prefix.address() else { unreachable!("IPv4 only") };
        let ack = if place + 1 == prefixes.len() { 4 } else { 0 };
        let mut one = message(24, 0x601 | ack, &[2, prefix.len(), 0, 0, 254, 186, 0, 1, 0, 0, 0, 0]);
        attribute(&mut one, 1, &address.octets());
        attribute(&mut one, 30, &ID.to_ne_bytes());
        finish(&mut one, 0);
        bytes.extend(one);
    }
    bytes
}

fn message(kind: u16, flags: u16, header: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(header);
    bytes
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn finish(bytes: &mut [u8], sequence: u32) {
    let length = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
}

/// Reads all IPv4 and IPv6 routes of the main table, and throws them away.
pub(crate) fn dump() -> Duration {
    let socket = socket();
    let mut answers = Vec::with_capacity(64 << 10);
    let started = Instant::now();
    for family in [2, 10] {
        let mut ask = message(26, 0x301, &[family, 0, 0, 0, 254, 0, 0, 0, 0, 0, 0, 0]);
        attribute(&mut ask, 15, &254u32.to_ne_bytes());
        finish(&mut ask, 1);
        socket.send(&ask, 0).unwrap();
        loop {
            answers.clear();
            socket.recv(&mut answers, 0).unwrap();
            if answers[4..6] == 3u16.to_ne_bytes() || answers[4..6] == 2u16.to_ne_bytes() {
                break;
            }
        }
    }
    started.elapsed()
}

/// Looks a destination up again and again until it leaves by a link; gives
/// when that was. The receiver gets word when the looking has begun.
pub(crate) fn watch(destination: IpAddr, link: u32) -> (Receiver<()>, JoinHandle<Instant>) {
    let IpAddr::V4(destination) = destination else { unreachable!("IPv4 only") };
    let (begun, watching) = channel();
    // A namespace belongs to the thread, and goes to threads that it starts.
    let thread = std::thread::spawn(move || {
        let socket = socket();
        let mut ask = message(26, 1, &[2, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        attribute(&mut ask, 1, &destination.octets());
        finish(&mut ask, 1);
        let mut answer = Vec::with_capacity(4096);
        begun.send(()).unwrap();
        loop {
            socket.send(&ask, 0).unwrap();
            answer.clear();
            socket.recv(&mut answer, 0).unwrap();
            let mut rest = &answer[28..];
            while rest.len() >= 8 {
                let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
                if rest[2] == 4 && rest[4..8] == link.to_ne_bytes() {
                    return Instant::now();
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    });
    (watching, thread)
}
