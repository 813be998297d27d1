//! The bare limit: how fast one thread gets routes into this kernel when all it
//! does is send messages that were encoded before (rtnetlink(7)).

use std::{io, net::Ipv4Addr, time::Duration};

use super::{
    netlink::{ACK, Kernel, attribute, header},
    prefixes::Prefix,
};
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
const DUMP: u16 = 0x300;
const GET_ROUTE: u16 = 26;
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

/// How long a dump of the IPv4 routes of this thread's namespace takes.
pub(super) fn dump() -> io::Result<Duration> {
    let kernel = Kernel::open()?;
    let mut question = Vec::new();
    header(28, GET_ROUTE, DUMP, &mut question);
    question.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let began = now();
    kernel.dump(&question)?;
    Ok(began.elapsed())
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
