//! The bare limit: how fast one thread gets routes into this kernel when all it
//! does is send messages that were encoded before (rtnetlink(7)).

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use super::prefixes::Prefix;
use crate::wait::now;

/// Messages in a send.
const BATCH: usize = 256;
/// Protocol number of these routes: `RTPROT_STATIC`.
const PROTOCOL: u8 = 4;
/// Number of the nexthop object.
const OBJECT: u32 = 1;

const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const NEW_NEXTHOP: u16 = 104;
const DEL_NEXTHOP: u16 = 105;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;

/// What the loop needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// To add the routes by a nexthop object.
    pub add: Duration,
    /// To delete them one by one, in batches.
    pub delete: Duration,
    /// To delete them by deleting the object.
    pub object: Duration,
}

/// Adds and deletes `prefixes` over `gateway` on the interface with that index,
/// in this thread's namespace.
pub(super) fn measure(prefixes: &[Prefix], gateway: Ipv4Addr, interface: u32) -> io::Result<Limit> {
    let kernel = Kernel::open()?;
    let add = batches(prefixes, NEW_ROUTE, CREATE);
    let delete = batches(prefixes, DEL_ROUTE, 0);
    kernel.send(&new_object(gateway, interface))?;
    let time = |batches: &[Vec<u8>]| {
        let began = now();
        batches.iter().try_for_each(|batch| kernel.send(batch))?;
        Ok::<_, io::Error>(began.elapsed())
    };
    let added = time(&add)?;
    let deleted = time(&delete)?;
    time(&add)?;
    let object = time(&[delete_object()])?;
    Ok(Limit { add: added, delete: deleted, object })
}

struct Kernel(OwnedFd);

impl Kernel {
    fn open() -> io::Result<Kernel> {
        let route = SockProtocol::NetlinkRoute;
        Ok(Kernel(socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, route)?))
    }

    /// Sends messages of which the last wants an answer; any error is an answer too.
    fn send(&self, messages: &[u8]) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        sendto(fd, messages, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = [0; 4096];
        let length = recv(fd, &mut answer, MsgFlags::empty())?;
        // nlmsgerr: after the header of 16 bytes, the negated errno.
        let code = answer[..length].get(16..20).and_then(|code| code.try_into().ok());
        match code.map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::Error::other("netlink gave a short answer")),
        }
    }
}

/// The messages for all routes, [`BATCH`] in each piece.
fn batches(prefixes: &[Prefix], kind: u16, flags: u16) -> Vec<Vec<u8>> {
    let piece = |chunk: &[Prefix]| {
        let mut bytes = Vec::with_capacity(chunk.len() * 44);
        for (number, prefix) in chunk.iter().enumerate() {
            let ack = if number + 1 == chunk.len() { ACK } else { 0 };
            route(*prefix, kind, flags | ack, &mut bytes);
        }
        bytes
    };
    prefixes.chunks(BATCH).map(piece).collect()
}

fn route((address, length): Prefix, kind: u16, flags: u16, bytes: &mut Vec<u8>) {
    header(44, kind, flags, bytes);
    // family, destination length, source length, tos, table, protocol, scope, type, flags
    bytes.extend([2, length, 0, 0, 254, PROTOCOL, 0, 1, 0, 0, 0, 0]);
    attribute(1, address.to_be_bytes(), bytes);
    attribute(30, OBJECT.to_ne_bytes(), bytes);
}

fn new_object(gateway: Ipv4Addr, interface: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    header(48, NEW_NEXTHOP, CREATE | ACK, &mut bytes);
    bytes.extend([2, 0, PROTOCOL, 0, 0, 0, 0, 0]);
    attribute(1, OBJECT.to_ne_bytes(), &mut bytes);
    attribute(5, interface.to_ne_bytes(), &mut bytes);
    attribute(6, gateway.octets(), &mut bytes);
    bytes
}

fn delete_object() -> Vec<u8> {
    let mut bytes = Vec::new();
    header(32, DEL_NEXTHOP, ACK, &mut bytes);
    bytes.extend([0; 8]);
    attribute(1, OBJECT.to_ne_bytes(), &mut bytes);
    bytes
}

/// Length, type, flags, sequence number, port (struct nlmsghdr).
fn header(length: u32, kind: u16, flags: u16, bytes: &mut Vec<u8>) {
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | REQUEST).to_ne_bytes());
    bytes.extend([0; 8]);
}

fn attribute(kind: u16, value: [u8; 4], bytes: &mut Vec<u8>) {
    bytes.extend(8u16.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
}
