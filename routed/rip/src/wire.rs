//! Packets of RIPv2 (RFC 2453 §4) and RIPng (RFC 2080 §2.1).
//!
//! ```text
//!  RIPv2   command 1  version 1  zero 2 | AFI 2  tag 2  address 4  mask 4  next hop 4  metric 4 | ...
//!  RIPng   command 1  version 1  zero 2 | prefix 16            tag 2   length 1        metric 1 | ...
//! ```
//! Both have entries of 20 octets after a header of 4. RIPv2 names the next
//! hop in each entry; RIPng in an entry of its own (metric 255) that holds
//! for all that follow.
//!
//! A packet is bad as a whole ([`BadPacket`]) or some of its entries are
//! ([`BadRoute`]); RFC 1724 counts the two apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::{Family, Prefix};
use thiserror::Error;

use crate::INFINITY;

/// Octets of the header of both versions.
pub const HEADER: usize = 4;
/// Octets of one entry of both versions.
pub const ENTRY: usize = 20;
/// The most entries in a RIPv2 packet, authentication included (RFC 2453 §4).
pub const MAX_ENTRIES: usize = 25;

/// The address family identifier that marks authentication (RFC 2453 §4.1).
pub(crate) const AFI_AUTH: u16 = 0xffff;
/// The metric that marks a next hop entry (RFC 2080 §2.1.1).
const NEXT_HOP_ENTRY: u8 = 0xff;
/// The smallest IPv6 MTU (RFC 8200 §5).
const MIN_MTU6: usize = 1280;
/// Octets of the IPv6 and UDP headers.
const HEADERS6: usize = 40 + 8;

/// The port of a family: 520 (RFC 2453 §3.9) or 521 (RFC 2080 §2).
pub fn port(family: Family) -> u16 {
    match family {
        Family::Ipv4Unicast => 520,
        Family::Ipv6Unicast => 521,
    }
}

/// The multicast group of a family: 224.0.0.9 (RFC 2453 §4.5) or `ff02::9`
/// (RFC 2080 §2.5).
pub fn group(family: Family) -> IpAddr {
    match family {
        Family::Ipv4Unicast => Ipv4Addr::new(224, 0, 0, 9).into(),
        Family::Ipv6Unicast => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 9).into(),
    }
}

/// What a packet is for (RFC 2453 §3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Asks for routes.
    Request = 1,
    /// Tells routes, asked or not.
    Response = 2,
}

/// One route on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The destination.
    pub prefix: Prefix,
    /// The route tag (RFC 2453 §4.2).
    pub tag: u16,
    /// The next hop, if it is another one than the sender (RFC 2453 §4.4).
    pub next_hop: Option<IpAddr>,
    /// 1 to 16 in a response; anything in a request.
    pub metric: u8,
}

/// A packet that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Send your whole table (RFC 2453 §3.9.1).
    WholeTable,
    /// Send what you know of these prefixes; entries that could not be read
    /// are left out.
    Request(Vec<Entry>),
    /// Routes, and what was wrong with the entries that are none.
    Response(Vec<Result<Entry, BadRoute>>),
}

/// Why a packet is dropped as a whole (RFC 1724 `RcvBadPackets`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum BadPacket {
    /// Shorter than a header, or not a whole number of entries.
    #[error("its length is not that of a header and whole entries")]
    Length,
    /// Neither request nor response.
    #[error("command {0} is neither request nor response")]
    Command(u8),
    /// A version that is not spoken here.
    #[error("version {0} is not spoken here; let the sender speak RIPv2 or RIPng 1")]
    Version(u8),
    /// The field after the version is not zero (RFC 2453 §4).
    #[error("the unused field of the header is not zero")]
    NotZero,
    /// A response from another port than RIP's (RFC 2453 §3.9.2).
    #[error("a response from port {0}, not from the RIP port")]
    SourcePort(u16),
    /// The sender is not on the network of the interface (RFC 2453 §3.9.2),
    /// or not link-local (RFC 2080 §2.4.2).
    #[error("the sender is not on the link; compare the addresses and masks of both ends")]
    OffLink,
    /// The packet has crossed a router, or may have (RFC 2080 §2.4.2).
    #[error("the hop limit is not 255: it does not come from this link")]
    HopLimit,
}

/// Why an entry of a good packet is ignored (RFC 1724 `RcvBadRoutes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum BadRoute {
    /// Not an IPv4 entry.
    #[error("address family {0} is not that of IP")]
    AddressFamily(u16),
    /// An authentication entry that is not the first entry (RFC 2453 §4.1).
    #[error("authentication in another place than the first entry")]
    LateAuthentication,
    /// Not 1 to 16 (RFC 2453 §3.9.2).
    #[error("metric {0} is not between 1 and 16")]
    Metric(u32),
    /// The mask has holes, or is missing; or the length is above 128.
    #[error("no valid mask or prefix length")]
    Mask,
    /// Bits are set after the mask.
    #[error("host bits are set")]
    HostBits,
    /// Not a unicast destination (RFC 2453 §3.9.2).
    #[error("{0} is not a unicast destination")]
    Martian(Prefix),
}

/// How many entries a packet takes, and whether its first place is kept for
/// authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Entries, without those that authentication takes.
    pub entries: usize,
    /// Leave the first entry zero, for [`auth`](crate::auth) to fill.
    pub authentication: bool,
}

impl Room {
    /// RIPv2 without authentication: 25 entries.
    pub const PLAIN: Self = Self { entries: MAX_ENTRIES, authentication: false };

    /// RIPng on a link with this MTU in octets (RFC 2080 §2.1); less than
    /// IPv6 allows counts as 1280.
    pub fn of_mtu(mtu: u32) -> Self {
        let mtu = usize::try_from(mtu).unwrap_or(usize::MAX).clamp(MIN_MTU6, usize::from(u16::MAX));
        Self { entries: (mtu - HEADERS6 - HEADER) / ENTRY, authentication: false }
    }
}

/// Reads a packet: its header and its entries, without authentication.
pub fn decode(family: Family, header: [u8; HEADER], body: &[u8]) -> Result<Packet, BadPacket> {
    let (entries, rest) = body.as_chunks::<ENTRY>();
    if !rest.is_empty() {
        return Err(BadPacket::Length);
    }
    let [command, version, zero @ ..] = header;
    // Later versions of RIPv2 are to be read as version 2 (RFC 1058 §3.1).
    let spoken = if family == Family::Ipv4Unicast { version >= 2 } else { version == 1 };
    if !spoken {
        return Err(BadPacket::Version(version));
    }
    if zero != [0, 0] {
        return Err(BadPacket::NotZero);
    }
    match command {
        1 if is_whole_table(family, entries) => Ok(Packet::WholeTable),
        1 => Ok(Packet::Request(read(family, entries).into_iter().filter_map(Result::ok).collect())),
        2 => {
            let metric = |entry: Entry| match entry.metric {
                1..=INFINITY => Ok(entry),
                metric => Err(BadRoute::Metric(metric.into())),
            };
            Ok(Packet::Response(read(family, entries).into_iter().map(|entry| metric(entry?)).collect()))
        }
        other => Err(BadPacket::Command(other)),
    }
}

/// Reads header and entries from one piece, for packets without authentication.
pub fn decode_datagram(family: Family, datagram: &[u8]) -> Result<Packet, BadPacket> {
    let (header, body) = datagram.split_first_chunk::<HEADER>().ok_or(BadPacket::Length)?;
    decode(family, *header, body)
}

/// Exactly one entry, of address family zero (RFC 2453 §3.9.1) or of the
/// zero prefix (RFC 2080 §2.4.1), with metric infinity.
fn is_whole_table(family: Family, entries: &[[u8; ENTRY]]) -> bool {
    entries == [whole_table_entry(family)]
        || (family == Family::Ipv4Unicast && matches!(entries, [[0, 0, _, _, .., 0, 0, 0, INFINITY]]))
}

fn whole_table_entry(_family: Family) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[ENTRY - 1] = INFINITY;
    entry
}

/// Reads all entries; next hop entries of RIPng go into those after them.
fn read(family: Family, entries: &[[u8; ENTRY]]) -> Vec<Result<Entry, BadRoute>> {
    match family {
        Family::Ipv4Unicast => entries.iter().map(read_v2).collect(),
        Family::Ipv6Unicast => {
            let mut next_hop = None;
            let mut routes = Vec::with_capacity(entries.len());
            for entry in entries {
                match entry[19] {
                    NEXT_HOP_ENTRY => next_hop = next_hop_of(entry),
                    _ => routes.push(read_ng(entry, next_hop)),
                }
            }
            routes
        }
    }
}

/// An entry of RIPv2 (RFC 2453 §4), with any metric below 256.
fn read_v2(entry: &[u8; ENTRY]) -> Result<Entry, BadRoute> {
    let word = |at: usize| u32::from_be_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    match u16::from_be_bytes([entry[0], entry[1]]) {
        2 => {}
        AFI_AUTH => return Err(BadRoute::LateAuthentication),
        other => return Err(BadRoute::AddressFamily(other)),
    }
    let (address, mask, next_hop) = (word(4), word(8), Ipv4Addr::from(word(12)));
    let length = mask.leading_ones();
    if mask.checked_shl(length).unwrap_or(0) != 0 || (mask == 0 && address != 0) {
        return Err(BadRoute::Mask);
    }
    if address & !mask != 0 {
        return Err(BadRoute::HostBits);
    }
    let metric = word(16);
    Ok(Entry {
        prefix: unicast(Ipv4Addr::from(address).into(), length)?,
        tag: u16::from_be_bytes([entry[2], entry[3]]),
        next_hop: (!next_hop.is_unspecified()).then_some(next_hop.into()),
        metric: u8::try_from(metric).map_err(|_| BadRoute::Metric(metric))?,
    })
}

/// An entry of RIPng (RFC 2080 §2.1), with any metric below 255.
fn read_ng(entry: &[u8; ENTRY], next_hop: Option<IpAddr>) -> Result<Entry, BadRoute> {
    let [address @ .., tag_high, tag_low, length, metric] = *entry;
    let address = IpAddr::from(address);
    let masked = Prefix::new(address, length).ok_or(BadRoute::Mask)?;
    if masked.address() != address {
        return Err(BadRoute::HostBits);
    }
    let prefix = unicast(address, length.into())?;
    Ok(Entry { prefix, tag: u16::from_be_bytes([tag_high, tag_low]), next_hop, metric })
}

/// The next hop of a next hop entry; the sender itself where the entry names
/// none, or one that is not link-local (RFC 2080 §2.1.1).
fn next_hop_of(entry: &[u8; ENTRY]) -> Option<IpAddr> {
    let [address @ .., _, _, _, _] = *entry;
    let address = Ipv6Addr::from(address);
    address.is_unicast_link_local().then_some(address.into())
}

fn unicast(address: IpAddr, length: u32) -> Result<Prefix, BadRoute> {
    let length = u8::try_from(length).map_err(|_| BadRoute::Mask)?;
    let prefix = Prefix::new(address, length).ok_or(BadRoute::Mask)?;
    if prefix.is_martian() { Err(BadRoute::Martian(prefix)) } else { Ok(prefix) }
}

/// The request for the whole table (RFC 2453 §3.9.1).
pub fn whole_table_request(family: Family, room: Room) -> Vec<u8> {
    let mut packet = begin(family, Command::Request, room);
    packet.extend(whole_table_entry(family));
    packet
}

/// Packs entries into as few packets as there is room for. Entries with the
/// same next hop should stand together: in RIPng each change of it takes an
/// entry.
pub fn pack(family: Family, command: Command, room: Room, entries: &[Entry]) -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    let (mut free, mut current) = (0, None);
    for entry in entries {
        let named = family == Family::Ipv6Unicast;
        let mut takes = 1 + usize::from(named && entry.next_hop != current);
        if free < takes {
            packets.push(begin(family, command, room));
            (free, current) = (room.entries, None);
            takes = 1 + usize::from(named && entry.next_hop.is_some());
        }
        let Some(packet) = packets.last_mut() else { continue };
        if takes == 2 {
            packet.extend(next_hop_entry(entry.next_hop));
            current = entry.next_hop;
        }
        packet.extend(if named { write_ng(entry) } else { write_v2(entry) });
        free = free.saturating_sub(takes);
    }
    packets
}

fn begin(family: Family, command: Command, room: Room) -> Vec<u8> {
    let version = if family == Family::Ipv4Unicast { 2 } else { 1 };
    let mut packet = Vec::with_capacity(HEADER + ENTRY * (room.entries.min(MAX_ENTRIES) + 1));
    packet.extend([command as u8, version, 0, 0]);
    if room.authentication {
        packet.extend([0; ENTRY]);
    }
    packet
}

fn write_v2(entry: &Entry) -> [u8; ENTRY] {
    let v4 = |address| match address {
        IpAddr::V4(address) => u32::from(address),
        IpAddr::V6(_) => 0,
    };
    let mask = u32::MAX.checked_shl(32 - u32::from(entry.prefix.len().min(32))).unwrap_or(0);
    let mut out = [0; ENTRY];
    out[..2].copy_from_slice(&2u16.to_be_bytes());
    out[2..4].copy_from_slice(&entry.tag.to_be_bytes());
    out[4..8].copy_from_slice(&v4(entry.prefix.address()).to_be_bytes());
    out[8..12].copy_from_slice(&mask.to_be_bytes());
    out[12..16].copy_from_slice(&entry.next_hop.map_or(0, v4).to_be_bytes());
    out[16..].copy_from_slice(&u32::from(entry.metric).to_be_bytes());
    out
}

fn write_ng(entry: &Entry) -> [u8; ENTRY] {
    let mut out = [0; ENTRY];
    out[..16].copy_from_slice(&v6(entry.prefix.address()).octets());
    out[16..18].copy_from_slice(&entry.tag.to_be_bytes());
    out[18..].copy_from_slice(&[entry.prefix.len(), entry.metric]);
    out
}

fn next_hop_entry(next_hop: Option<IpAddr>) -> [u8; ENTRY] {
    let mut out = [0; ENTRY];
    out[..16].copy_from_slice(&next_hop.map_or(Ipv6Addr::UNSPECIFIED, v6).octets());
    out[19] = NEXT_HOP_ENTRY;
    out
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => address.to_ipv6_mapped(),
    }
}

#[cfg(test)]
mod tests;
