//! MRT, type `TABLE_DUMP_V2`: the table as records of a file (RFC 6396 §4.3).
//!
//! One `PEER_INDEX_TABLE` numbers the peers, then each prefix has a record
//! with all its paths. A prefix of which a peer tells several paths has them
//! with path identifiers (RFC 8050 §4).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgp::wire::{EncodeError, Tx, encode_attributes};
use bytes::{BufMut, BytesMut};
use net::{Asn, Attrs, NextHop, Prefix, RouterId};

use crate::moment;

/// The type of all records here (RFC 6396 §4.3).
const TABLE_DUMP_V2: u16 = 13;
/// `PEER_INDEX_TABLE` (RFC 6396 §4.3.1).
const PEER_INDEX_TABLE: u16 = 1;
/// `RIB_IPV4_UNICAST` (RFC 6396 §4.3.2).
const RIB_IPV4: u16 = 2;
/// `RIB_IPV6_UNICAST` (RFC 6396 §4.3.2).
const RIB_IPV6: u16 = 4;
/// From a subtype to the one with path identifiers (RFC 8050 §4).
const ADD_PATH: u16 = 6;

/// A peer of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its BGP identifier.
    pub router_id: RouterId,
    /// Its address; unspecified for this node itself.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
}

/// A path to a prefix.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The place of its peer in the index.
    pub peer: u16,
    /// Since when it says so, since 1970.
    pub since: Duration,
    /// Its path identifier, 0 where there is one path.
    pub path_id: u32,
    /// What it says.
    pub attrs: &'a Attrs,
}

/// The first record: who the peers are. More than 65,535 are not numbered.
pub fn peer_index(out: &mut BytesMut, at: Duration, collector: RouterId, peers: &[Peer]) {
    const V6: u8 = 1;
    const WIDE_AS: u8 = 2;
    let start = open(out, at, PEER_INDEX_TABLE);
    out.put_slice(&Ipv4Addr::from(collector).octets());
    out.put_u16(0); // the view has no name
    let count = u16::try_from(peers.len()).unwrap_or(u16::MAX);
    out.put_u16(count);
    for Peer { router_id, address, asn } in &peers[..usize::from(count)] {
        out.put_u8(WIDE_AS | if address.is_ipv6() { V6 } else { 0 });
        out.put_slice(&Ipv4Addr::from(*router_id).octets());
        match address {
            IpAddr::V4(address) => out.put_slice(&address.octets()),
            IpAddr::V6(address) => out.put_slice(&address.octets()),
        }
        out.put_u32(asn.0);
    }
    close(out, start);
}

/// A prefix with its paths. `number` counts the records of a dump from 0.
///
/// On an error `out` is as it was.
pub fn rib(
    out: &mut BytesMut,
    at: Duration,
    (number, prefix): (u32, Prefix),
    entries: &[Entry<'_>],
) -> Result<(), EncodeError> {
    let subtype = if prefix.address().is_ipv4() { RIB_IPV4 } else { RIB_IPV6 };
    let numbered = entries.iter().any(|entry| entry.path_id != 0);
    let start = open(out, at, if numbered { subtype + ADD_PATH } else { subtype });
    out.put_u32(number);
    out.put_u8(prefix.len());
    let octets = usize::from(prefix.len()).div_ceil(8);
    match prefix.address() {
        IpAddr::V4(address) => out.put_slice(&address.octets()[..octets]),
        IpAddr::V6(address) => out.put_slice(&address.octets()[..octets]),
    }
    let count = u16::try_from(entries.len()).unwrap_or(u16::MAX);
    out.put_u16(count);
    for entry in &entries[..usize::from(count)] {
        if let Err(error) = put_entry(out, numbered, entry) {
            out.truncate(start);
            return Err(error);
        }
    }
    close(out, start);
    Ok(())
}

fn put_entry(out: &mut BytesMut, numbered: bool, entry: &Entry<'_>) -> Result<(), EncodeError> {
    let Entry { peer, since, path_id, attrs } = *entry;
    let mut octets = Vec::new();
    // RFC 6396 §4.3.4: AS numbers of four octets, always.
    encode_attributes(attrs, Tx::default(), &mut octets)?;
    if let Some(NextHop::V6 { global, link_local }) = attrs.next_hop {
        put_next_hop(&mut octets, global, link_local);
    }
    let max = usize::from(u16::MAX);
    let length = u16::try_from(octets.len()).map_err(|_| EncodeError::Oversize {
        what: "the attributes of an MRT record",
        length: octets.len(),
        max,
    })?;
    out.put_u16(peer);
    out.put_u32(moment(since).0);
    if numbered {
        out.put_u32(path_id);
    }
    out.put_u16(length);
    out.put_slice(&octets);
    Ok(())
}

/// `MP_REACH_NLRI` with nothing but the next hop (RFC 6396 §4.3.4).
fn put_next_hop(out: &mut Vec<u8>, global: std::net::Ipv6Addr, link_local: Option<std::net::Ipv6Addr>) {
    let length: u8 = if link_local.is_some() { 32 } else { 16 };
    out.extend_from_slice(&[0x80, 14, length + 1, length]);
    out.extend_from_slice(&global.octets());
    out.extend(link_local.iter().flat_map(std::net::Ipv6Addr::octets));
}

/// The common header, whose length is to be [`close`]d (RFC 6396 §2).
fn open(out: &mut BytesMut, at: Duration, subtype: u16) -> usize {
    out.put_u32(moment(at).0);
    out.put_u16(TABLE_DUMP_V2);
    out.put_u16(subtype);
    out.put_u32(0);
    out.len() - HEADER
}

/// Its octets, which the length does not count.
const HEADER: usize = 12;

fn close(out: &mut BytesMut, start: usize) {
    let length = u32::try_from(out.len() - start - HEADER).unwrap_or(u32::MAX);
    out[start + 8..start + HEADER].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests;
