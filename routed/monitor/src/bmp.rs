//! The BGP Monitoring Protocol, version 3: messages to a collector.
//!
//! ```text
//!  ┌ common header ┐┌──── per-peer header ────┐
//!  3 │ length │ type │ rib, flags, who, when │ OPENs │ UPDATE │ reason │ counters
//! ```
//! A collector answers nothing, so nothing is read here.
//!
//! Ours: AS numbers always have four octets, whatever the session negotiated
//! (the A flag is never set); an UPDATE has up to 4096 octets, and more only
//! where its attributes need them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bgp::wire::{
    EncodeError, Encoder, MAX_EXTENDED_MESSAGE, Message, Nlri, Notification, Open, Tx, encode_message, frame,
};
use bytes::{BufMut, BytesMut};
use net::{Asn, Attrs, Family, RouterId};

use crate::moment;

/// The version of the protocol (RFC 7854 §4.1).
const VERSION: u8 = 3;
/// The name of the one table there is (RFC 9069 §5.3).
const TABLE_NAME: &str = "global";

/// The type of a message (RFC 7854 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    RouteMonitoring = 0,
    Statistics = 1,
    PeerDown = 2,
    PeerUp = 3,
    Initiation = 4,
    Termination = 5,
}

/// What is shown of the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rib {
    /// What a peer told, as it told it (RFC 7854 §5).
    AdjInPre,
    /// What import made of that and accepted (RFC 7854 §5).
    AdjInPost,
    /// What a peer would be told without its export filter (RFC 8671 §5).
    AdjOutPre,
    /// What a peer is told, after its export filter (RFC 8671 §4).
    AdjOutPost,
    /// The best routes of this node (RFC 9069 §4).
    Loc,
}

impl Rib {
    /// Peer type and flags without the V flag (RFC 7854 §4.2, 8671 §4, 9069 §4.1).
    fn kind_and_flags(self) -> (u8, u8) {
        const POST_POLICY: u8 = 0x40;
        const OUT: u8 = 0x10;
        match self {
            Self::AdjInPre => (0, 0),
            Self::AdjInPost => (0, POST_POLICY),
            Self::AdjOutPre => (0, OUT),
            Self::AdjOutPost => (0, POST_POLICY | OUT),
            Self::Loc => (3, 0),
        }
    }
}

/// Who has the routes: a peer, or for [`Rib::Loc`] this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Speaker {
    /// The peer's address; of no interest for this node.
    pub address: IpAddr,
    /// The interface that a link-local address belongs to, by its index; 0 for
    /// any other: two peers may have one such address, each on its own link.
    pub link: u32,
    /// Its AS.
    pub asn: Asn,
    /// Its BGP identifier.
    pub router_id: RouterId,
}

/// The per-peer header (RFC 7854 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Which of the routes.
    pub rib: Rib,
    /// Whose.
    pub of: Speaker,
    /// When it happened, since 1970; zero: that is not known.
    pub at: Duration,
    /// Prefixes stand with path identifiers, by [`Family::index`]: as the OPENs
    /// of the session say (RFC 7911).
    pub add_path: [bool; 2],
}

/// Why a session is monitored no more (RFC 7854 §4.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// We ended it with this NOTIFICATION.
    Sent(Notification),
    /// We ended it without one; the event of RFC 4271 §8.1, 0 for none.
    Local(u16),
    /// The peer ended it with this NOTIFICATION.
    Received(Notification),
    /// The connection went away.
    Closed,
    /// The peer is configured no more.
    Unmonitored,
}

/// A number of a statistics report (RFC 7854 §4.8, RFC 8671 §6.2). Those that
/// count what has come wrap at 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// Prefixes that the import filter refused.
    Filtered(u64),
    /// Announcements of what was there already.
    Duplicates(u64),
    /// Withdrawals of what was not there.
    DuplicateWithdrawals(u64),
    /// Announcements with our cluster in their `CLUSTER_LIST`.
    ClusterLoops(u64),
    /// Announcements with our AS in their `AS_PATH`.
    AsLoops(u64),
    /// Announcements with our identifier as `ORIGINATOR_ID`.
    OriginatorLoops(u64),
    /// Announcements with our AS in a confederation segment.
    ConfederationLoops(u64),
    /// UPDATEs that were treated as withdraw (RFC 7606).
    TreatedUpdates(u64),
    /// Prefixes in them.
    TreatedPrefixes(u64),
    /// Routes in Adj-RIB-In.
    AdjIn(u64),
    /// Routes in Loc-RIB.
    Loc(u64),
    /// Routes of a family in Adj-RIB-In.
    AdjInOf(Family, u64),
    /// Routes of a family in Loc-RIB.
    LocOf(Family, u64),
    /// Whole UPDATEs that said what was there already.
    DuplicateUpdates(u64),
    /// Routes in Adj-RIB-Out, before policy.
    AdjOutPre(u64),
    /// Routes of a family there.
    AdjOutPreOf(Family, u64),
    /// Routes in Adj-RIB-Out, after policy.
    AdjOut(u64),
    /// Routes of a family there.
    AdjOutOf(Family, u64),
}

/// What a collector is told of the end (RFC 7854 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Termination {
    /// The sender was stopped by its operator.
    Administrative = 0,
    /// The collector is configured no more.
    Permanent = 4,
}

/// The first message: who speaks (RFC 7854 §4.3).
pub fn initiation(out: &mut BytesMut, name: &str, description: &str) {
    let start = open(out, Kind::Initiation);
    tlv(out, 1, description.as_bytes());
    tlv(out, 2, name.as_bytes());
    close(out, start);
}

/// The last one (RFC 7854 §4.5).
pub fn termination(out: &mut BytesMut, why: Termination) {
    let start = open(out, Kind::Termination);
    tlv(out, 1, &(why as u16).to_be_bytes());
    close(out, start);
}

/// A session is up (RFC 7854 §4.10): our end, the peer's, and the two OPENs,
/// ours first.
pub fn peer_up(
    out: &mut BytesMut,
    header: &Header,
    (local, remote): (SocketAddr, SocketAddr),
    [sent, received]: &[Open; 2],
) -> Result<(), EncodeError> {
    let start = open(out, Kind::PeerUp);
    per_peer(out, header);
    address(out, local.ip());
    out.put_u16(local.port());
    out.put_u16(remote.port());
    for message in [sent, received] {
        if let Err(error) = encode_message(&Message::Open(message.clone()), out) {
            out.truncate(start);
            return Err(error);
        }
    }
    close(out, start);
    Ok(())
}

/// Loc-RIB is there (RFC 9069 §5.3): an OPEN that says what its routes need
/// stands for both, and the table has a name.
pub fn loc_up(out: &mut BytesMut, header: &Header, open_message: &Open) -> Result<(), EncodeError> {
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let start = out.len();
    peer_up(out, header, (nowhere, nowhere), &[open_message.clone(), open_message.clone()])?;
    tlv(out, 3, TABLE_NAME.as_bytes());
    close(out, start);
    Ok(())
}

/// A session is down (RFC 7854 §4.9); its routes are gone with it.
pub fn peer_down(out: &mut BytesMut, header: &Header, ended: &Ended) -> Result<(), EncodeError> {
    let start = open(out, Kind::PeerDown);
    per_peer(out, header);
    let reason = match ended {
        Ended::Sent(_) => 1,
        Ended::Local(_) => 2,
        Ended::Received(_) => 3,
        Ended::Closed => 4,
        Ended::Unmonitored => 5,
    };
    out.put_u8(reason);
    match ended {
        Ended::Sent(notification) | Ended::Received(notification) => {
            let message = Message::Notification(notification.clone());
            let format = Tx { extended_messages: true, ..Tx::default() };
            if let Err(error) = Encoder::new(format).encode_message(out, &message) {
                out.truncate(start);
                return Err(error);
            }
        }
        Ended::Local(event) => out.put_u16(*event),
        Ended::Closed | Ended::Unmonitored => {}
    }
    close(out, start);
    Ok(())
}

/// Numbers of a peer, or of Loc-RIB (RFC 7854 §4.8).
pub fn statistics(out: &mut BytesMut, header: &Header, stats: &[Stat]) {
    let start = open(out, Kind::Statistics);
    per_peer(out, header);
    out.put_u32(u32::try_from(stats.len()).unwrap_or(u32::MAX));
    for stat in stats {
        match *stat {
            Stat::Filtered(value) => counter(out, 0, value),
            Stat::Duplicates(value) => counter(out, 1, value),
            Stat::DuplicateWithdrawals(value) => counter(out, 2, value),
            Stat::ClusterLoops(value) => counter(out, 3, value),
            Stat::AsLoops(value) => counter(out, 4, value),
            Stat::OriginatorLoops(value) => counter(out, 5, value),
            Stat::ConfederationLoops(value) => counter(out, 6, value),
            Stat::AdjIn(value) => gauge(out, 7, None, value),
            Stat::Loc(value) => gauge(out, 8, None, value),
            Stat::AdjInOf(family, value) => gauge(out, 9, Some(family), value),
            Stat::LocOf(family, value) => gauge(out, 10, Some(family), value),
            Stat::TreatedUpdates(value) => counter(out, 11, value),
            Stat::TreatedPrefixes(value) => counter(out, 12, value),
            Stat::DuplicateUpdates(value) => counter(out, 13, value),
            Stat::AdjOutPre(value) => gauge(out, 14, None, value),
            Stat::AdjOut(value) => gauge(out, 15, None, value),
            Stat::AdjOutPreOf(family, value) => gauge(out, 16, Some(family), value),
            Stat::AdjOutOf(family, value) => gauge(out, 17, Some(family), value),
        }
    }
    close(out, start);
}

/// A number that only grows, and wraps at 32 bits.
fn counter(out: &mut BytesMut, kind: u16, value: u64) {
    out.put_u16(kind);
    out.put_u16(4);
    let [.., a, b, c, d] = value.to_be_bytes();
    out.put_slice(&[a, b, c, d]);
}

/// A number that comes and goes, of one family or of all.
fn gauge(out: &mut BytesMut, kind: u16, family: Option<Family>, value: u64) {
    out.put_u16(kind);
    out.put_u16(if family.is_some() { 11 } else { 8 });
    if let Some(family) = family {
        out.put_u16(family.afi());
        out.put_u8(family.safi());
    }
    out.put_u64(value);
}

/// Writes Route Monitoring messages (RFC 7854 §4.6); keeps its buffers.
///
/// On an error `out` is as it was.
#[derive(Debug, Default)]
pub struct Writer {
    /// One for each format that was asked for.
    encoders: Vec<Encoder>,
    updates: BytesMut,
}

impl Writer {
    /// The encoder for a header, and room for what it writes; `extended`: for
    /// attributes that need more than 4096 octets.
    fn begin(&mut self, header: &Header, extended: bool) -> (&mut Encoder, &mut BytesMut) {
        let tx = Tx { extended_messages: extended, add_path: header.add_path, ..Tx::default() };
        let known = self.encoders.iter().position(|encoder| encoder.tx() == tx);
        let index = known.unwrap_or_else(|| {
            self.encoders.push(Encoder::new(tx));
            self.encoders.len() - 1
        });
        self.updates.clear();
        (&mut self.encoders[index], &mut self.updates)
    }

    /// These prefixes have these attributes; says in how many messages.
    pub fn reach(
        &mut self,
        out: &mut BytesMut,
        header: &Header,
        (family, attrs): (Family, &Attrs),
        nlri: &[Nlri],
    ) -> Result<u64, EncodeError> {
        let (encoder, updates) = self.begin(header, false);
        match encoder.encode_update(updates, family, attrs, nlri) {
            Err(EncodeError::TooLong { .. }) => {
                let (encoder, updates) = self.begin(header, true);
                encoder.encode_update(updates, family, attrs, nlri)?;
            }
            other => drop(other?),
        }
        Ok(self.wrap(out, header))
    }

    /// These prefixes are there no more; says in how many messages.
    pub fn unreach(
        &mut self,
        out: &mut BytesMut,
        header: &Header,
        family: Family,
        nlri: &[Nlri],
    ) -> Result<u64, EncodeError> {
        let (encoder, updates) = self.begin(header, false);
        encoder.encode_withdraw(updates, family, nlri)?;
        Ok(self.wrap(out, header))
    }

    /// All that was there at the beginning has been shown (RFC 7854 §3.3).
    pub fn end_of_rib(&mut self, out: &mut BytesMut, header: &Header, family: Family) -> u64 {
        let (encoder, updates) = self.begin(header, false);
        encoder.end_of_rib(updates, family);
        self.wrap(out, header)
    }

    /// Each UPDATE into a message of its own.
    fn wrap(&self, out: &mut BytesMut, header: &Header) -> u64 {
        let (mut rest, mut count) = (&self.updates[..], 0);
        // The encoder writes whole messages only.
        while let Ok(Some((update, length))) = frame(rest, MAX_EXTENDED_MESSAGE) {
            let start = open(out, Kind::RouteMonitoring);
            per_peer(out, header);
            out.extend_from_slice(update.message);
            close(out, start);
            (rest, count) = (&rest[length..], count + 1);
        }
        count
    }
}

/// The common header, whose length is to be [`close`]d (RFC 7854 §4.1).
fn open(out: &mut BytesMut, kind: Kind) -> usize {
    let start = out.len();
    out.put_u8(VERSION);
    out.put_u32(0);
    out.put_u8(kind as u8);
    start
}

fn close(out: &mut BytesMut, start: usize) {
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

fn per_peer(out: &mut BytesMut, header: &Header) {
    const V6: u8 = 0x80;
    const LOCAL_INSTANCE: u8 = 2;
    let Header { rib, of, at, add_path: _ } = header;
    let (kind, mut flags) = rib.kind_and_flags();
    if *rib != Rib::Loc && of.address.is_ipv6() {
        flags |= V6;
    }
    // RFC 7854 §4.2: a Local Instance Peer has a distinguisher of our choice, and
    // any other none. One that lives on a link is told from its namesakes by it.
    let link = if *rib == Rib::Loc { 0 } else { of.link };
    out.put_u8(if link == 0 { kind } else { LOCAL_INSTANCE });
    out.put_u8(flags);
    out.put_u64(link.into());
    // RFC 9069 §4.2: Loc-RIB has no address.
    address(out, if *rib == Rib::Loc { Ipv4Addr::UNSPECIFIED.into() } else { of.address });
    out.put_u32(of.asn.0);
    out.put_slice(&Ipv4Addr::from(of.router_id).octets());
    let (seconds, micros) = moment(*at);
    out.put_u32(seconds);
    out.put_u32(micros);
}

/// Sixteen octets; an IPv4 address stands in the last four.
fn address(out: &mut BytesMut, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.put_bytes(0, 12);
            out.put_slice(&address.octets());
        }
        IpAddr::V6(address) => out.put_slice(&address.octets()),
    }
}

/// A value with its type and length (RFC 7854 §4.4); what is too long is cut.
fn tlv(out: &mut BytesMut, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.put_u16(kind);
    out.put_u16(length);
    out.put_slice(&value[..usize::from(length)]);
}

#[cfg(test)]
mod tests;
