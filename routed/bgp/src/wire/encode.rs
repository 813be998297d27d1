//! Values to bytes: messages, and routes packed into them.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use net::{Attrs, Family, NextHop, Prefix};

use super::Tx;
use super::attr;
use super::error::EncodeError;
use super::frame::{self, HEADER, Kind, MAX_MESSAGE};
use super::message::{Message, Nlri};
use super::nlri::{self, Packed};
use super::{notification, open, refresh};

/// The octets of an UPDATE that carries nothing: header and two lengths.
const EMPTY_UPDATE: usize = HEADER + 4;

/// Writes messages for one session, or for a group of sessions that have
/// negotiated the same.
///
/// Messages are appended to `out`, which may hold others already. On an error
/// `out` is as it was. The encoder keeps its buffers: nothing is allocated for
/// a prefix.
#[derive(Debug, Default)]
pub struct Encoder {
    tx: Tx,
    /// The attributes of the call, encoded once for all of its messages.
    attrs: attr::List,
    /// What stands before the prefixes in an MP attribute.
    head: Vec<u8>,
}

/// Where prefixes stand in an UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The NLRI field of RFC 4271.
    Classic,
    /// The withdrawn routes field of RFC 4271.
    ClassicWithdrawn,
    /// `MP_REACH_NLRI` or `MP_UNREACH_NLRI` (RFC 4760).
    Multiprotocol(u8),
}

impl Encoder {
    /// An encoder for what was negotiated.
    pub fn new(tx: Tx) -> Self {
        Self { tx, ..Self::default() }
    }

    /// What was negotiated.
    pub fn tx(&self) -> Tx {
        self.tx
    }

    /// Announces prefixes that share their attributes, in as few messages as
    /// they fit; says how many.
    ///
    /// Every attribute of `attrs` is written, and only those: what a peer may
    /// hear was decided before. IPv4 prefixes with an IPv4 next hop go into
    /// the classic field, others into `MP_REACH_NLRI`.
    pub fn encode_update(
        &mut self,
        out: &mut BytesMut,
        family: Family,
        attrs: &Attrs,
        nlri: &[Nlri],
    ) -> Result<u64, EncodeError> {
        let next_hop = attrs.next_hop;
        self.head.clear();
        let place = match (family, next_hop) {
            (Family::Ipv4Unicast, Some(NextHop::V4(_))) => Place::Classic,
            (_, Some(NextHop::V6 { global, link_local })) => {
                self.reach(family, global, link_local);
                Place::Multiprotocol(attr::MP_REACH)
            }
            _ => return Err(EncodeError::NextHop { family, next_hop }),
        };
        self.attrs.encode(attrs, self.tx, place == Place::Classic)?;
        self.pack(out, family, place, nlri)?.ok_or_else(|| attr::too_long(attrs, self.tx))
    }

    /// Withdraws prefixes, in as few messages as they fit; says how many.
    pub fn encode_withdraw(
        &mut self,
        out: &mut BytesMut,
        family: Family,
        nlri: &[Nlri],
    ) -> Result<u64, EncodeError> {
        let place = self.withdrawn(family);
        // Without attributes there is room for any prefix.
        Ok(self.pack(out, family, place, nlri)?.unwrap_or_default())
    }

    /// Says that all routes of a family have been told (RFC 4724 §2).
    pub fn end_of_rib(&mut self, out: &mut BytesMut, family: Family) {
        let place = self.withdrawn(family);
        self.message(out, place, Packed::none(family));
    }

    /// Writes any message, an UPDATE with as many as it takes; says how many.
    ///
    /// Path identifiers and AS numbers are written as the session negotiated;
    /// OPEN and KEEPALIVE never depend on it.
    pub fn encode_message(&mut self, out: &mut BytesMut, message: &Message) -> Result<u64, EncodeError> {
        let start = out.len();
        let written = self.any(out, message);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn any(&mut self, out: &mut BytesMut, message: &Message) -> Result<u64, EncodeError> {
        let (kind, what, max) = match message {
            Message::Update(update) => {
                let mut count = 0;
                for (family, nlri) in &update.unreach {
                    count += self.encode_withdraw(out, *family, nlri)?;
                }
                for reach in &update.reach {
                    count += self.encode_update(out, reach.family, &reach.attrs, &reach.nlri)?;
                }
                if let Some(family) = update.end_of_rib {
                    self.end_of_rib(out, family);
                    count += 1;
                }
                return Ok(count);
            }
            Message::Open(_) => (Kind::Open, "the OPEN", MAX_MESSAGE),
            Message::Notification(_) => (Kind::Notification, "the NOTIFICATION", self.tx.max()),
            Message::Keepalive => (Kind::Keepalive, "the KEEPALIVE", MAX_MESSAGE),
            Message::RouteRefresh(_) => (Kind::RouteRefresh, "the ROUTE-REFRESH", MAX_MESSAGE),
        };
        let start = frame::open(out, kind);
        match message {
            Message::Open(message) => open::encode(message, out)?,
            Message::Notification(message) => notification::encode(message, out),
            Message::RouteRefresh(message) => refresh::encode(*message, out),
            Message::Keepalive | Message::Update(_) => {}
        }
        let length = out.len() - start;
        if length > max {
            return Err(EncodeError::Oversize { what, length, max });
        }
        frame::close(out, start);
        Ok(1)
    }

    /// Where withdrawn prefixes of a family stand; clears for them.
    fn withdrawn(&mut self, family: Family) -> Place {
        self.attrs.clear();
        self.head.clear();
        match family {
            Family::Ipv4Unicast => Place::ClassicWithdrawn,
            Family::Ipv6Unicast => {
                self.family(family);
                Place::Multiprotocol(attr::MP_UNREACH)
            }
        }
    }

    /// Writes the head of an `MP_REACH_NLRI` in one piece; its last octet is
    /// reserved.
    fn reach(&mut self, family: Family, global: Ipv6Addr, link_local: Option<Ipv6Addr>) {
        let [high, low] = family.afi().to_be_bytes();
        let mut head = [0; 4 + 32 + 1];
        let length = if link_local.is_some() { 32 } else { 16 };
        head[..4].copy_from_slice(&[high, low, family.safi(), length]);
        head[4..20].copy_from_slice(&global.octets());
        if let Some(link_local) = link_local {
            head[20..36].copy_from_slice(&link_local.octets());
        }
        self.head.extend_from_slice(&head[..=4 + usize::from(length)]);
    }

    /// Begins the head of an `MP_UNREACH_NLRI`.
    fn family(&mut self, family: Family) {
        let [high, low] = family.afi().to_be_bytes();
        self.head.extend_from_slice(&[high, low, family.safi()]);
    }

    /// Writes messages until all prefixes are told; says how many, or `None`
    /// and writes nothing where one has no room for a prefix.
    fn pack(
        &mut self,
        out: &mut BytesMut,
        family: Family,
        place: Place,
        nlri: &[Nlri],
    ) -> Result<Option<u64>, EncodeError> {
        let add_path = self.tx.add_path[family.index()];
        let around = match place {
            Place::Classic | Place::ClassicWithdrawn => EMPTY_UPDATE,
            Place::Multiprotocol(_) => EMPTY_UPDATE + attr::HEADER,
        };
        let room = self.tx.max().saturating_sub(around + self.head.len() + self.attrs.octets().len());
        let (begin, mut rest, mut messages) = (out.len(), nlri, 0);
        while !rest.is_empty() {
            let packed = Packed::fit(rest, family, add_path, room).map_err(|prefix| {
                out.truncate(begin);
                EncodeError::Family { family, prefix }
            })?;
            if packed.list.is_empty() {
                out.truncate(begin);
                return Ok(None);
            }
            self.message(out, place, packed);
            (rest, messages) = (&rest[packed.list.len()..], messages + 1);
        }
        Ok(Some(messages))
    }

    /// Writes one UPDATE with prefixes that fit.
    fn message(&self, out: &mut BytesMut, place: Place, packed: Packed<'_>) {
        let list = self.attrs.octets();
        let attrs = list.len();
        match place {
            Place::Classic => {
                front(out, [0, attrs], attrs + packed.octets);
                out.extend_from_slice(list);
                nlri::encode(packed, out);
            }
            Place::ClassicWithdrawn => {
                front(out, [packed.octets, 0], packed.octets);
                // The length of the attributes stands behind the prefixes.
                out.truncate(out.len() - 2);
                nlri::encode(packed, out);
                out.extend_from_slice(&[0, 0]);
            }
            Place::Multiprotocol(code) => {
                // RFC 7606 §5.1: the one with the routes comes first.
                let value = self.head.len() + packed.octets;
                if let Ok(short) = u8::try_from(value) {
                    let all = 3 + value + attrs;
                    front(out, [0, all], all);
                    out.extend_from_slice(&[attr::OPTIONAL, code, short]);
                } else {
                    let all = attr::HEADER + value + attrs;
                    let [high, low] = octets(value);
                    front(out, [0, all], all);
                    out.extend_from_slice(&[attr::OPTIONAL | attr::EXTENDED, code, high, low]);
                }
                out.extend_from_slice(&self.head);
                nlri::encode(packed, out);
                out.extend_from_slice(list);
            }
        }
    }
}

/// True when a message of the session has room for any prefix beside these
/// attributes. What cannot come near the limit is not written to find out.
pub fn fits(tx: Tx, family: Family, attrs: &Attrs) -> bool {
    // A path of wide numbers is told to a two-octet peer in two attributes.
    let most: usize = attr::lengths(attrs).map(|(_, length)| 2 * (attr::HEADER + length)).sum();
    if most < MAX_MESSAGE / 2 {
        return true;
    }
    let mut encoder = Encoder::new(tx);
    let address = if family == Family::Ipv4Unicast {
        Ipv4Addr::BROADCAST.into()
    } else {
        Ipv6Addr::from([0xff; 16]).into()
    };
    let longest = Nlri::from(Prefix::host(address));
    !matches!(
        encoder.encode_update(&mut BytesMut::new(), family, attrs, &[longest]),
        Err(EncodeError::TooLong { .. })
    )
}

/// Begins an UPDATE: header and the two lengths, of which the second may have
/// to move. `rest` is what follows them in all.
fn front(out: &mut BytesMut, [withdrawn, attrs]: [usize; 2], rest: usize) {
    out.reserve(EMPTY_UPDATE + rest + nlri::SPARE);
    let mut front = [0xff; EMPTY_UPDATE];
    [front[16], front[17]] = octets(EMPTY_UPDATE + rest);
    front[18] = Kind::Update as u8;
    [front[19], front[20]] = octets(withdrawn);
    [front[21], front[22]] = octets(attrs);
    out.extend_from_slice(&front);
}

/// A length as two octets; no message is longer than they can say.
fn octets(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// Writes path attributes alone, as a session with this format would have them.
///
/// An IPv4 next hop is there as `NEXT_HOP`, another is not: where there is no
/// message there is no `MP_REACH_NLRI` (RFC 6396 §4.3.4 has a form of its own).
pub fn encode_attributes(attrs: &Attrs, tx: Tx, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let classic = matches!(attrs.next_hop, Some(NextHop::V4(_)));
    let mut list = attr::List::default();
    list.encode(attrs, tx, classic)?;
    out.extend_from_slice(list.octets());
    Ok(())
}

/// Writes a message before anything is negotiated: an OPEN, KEEPALIVE or
/// NOTIFICATION; others as a session without options has them.
pub fn encode_message(message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    Encoder::default().encode_message(out, message).map(drop)
}

#[cfg(test)]
mod tests;
