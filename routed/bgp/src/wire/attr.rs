//! The path attributes that have a meaning here, as a table: code, flags, what
//! a malformed one leads to, how it is read and how it is written.
//!
//! The rules about the list as a whole are in [`update`](super::update).

mod tags;

use std::net::Ipv4Addr;

use net::{Aggregator, AsPath, Asn, Attrs, NextHop, Origin, RawAttr, RouterId};

use self::tags::{
    large_octets, read_aigp, read_communities, read_ext_communities, read_ipv6_ext_communities,
    read_large_communities, read_otc, write_aigp,
};
use super::as_path::{self, Width, is_confed};
use super::error::EncodeError;
use super::message::Treatment;
use super::notification::update as subcode;
use super::read::Reader;
use super::{Rx, Tx};

/// The flags of an attribute (RFC 4271 §4.3).
pub(super) const OPTIONAL: u8 = 0x80;
pub(super) const TRANSITIVE: u8 = 0x40;
pub(super) const PARTIAL: u8 = 0x20;
pub(super) const EXTENDED: u8 = 0x10;

/// The type codes that somebody outside the table speaks of.
pub(super) const ORIGIN: u8 = 1;
pub(super) const AS_PATH: u8 = 2;
pub(super) const NEXT_HOP: u8 = 3;
pub(super) const MP_REACH: u8 = 14;
pub(super) const MP_UNREACH: u8 = 15;

/// One attribute as it stands in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) flags: u8,
    pub(super) code: u8,
    pub(super) value: &'a [u8],
    /// Flags, code, length and value: what a NOTIFICATION quotes.
    pub(super) whole: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The first attribute of the list and what follows it; `None` when the
    /// list ends before the attribute does (RFC 7606 §4).
    pub(super) fn split(list: &'a [u8]) -> Option<(Self, Reader<'a>)> {
        let mut rest = Reader(list);
        let (flags, code) = (rest.u8()?, rest.u8()?);
        let value = if flags & EXTENDED == 0 { rest.counted8() } else { rest.counted16() }?;
        let whole = &list[..list.len() - rest.0.len()];
        Some((Self { flags, code, value, whole }, rest))
    }
}

/// What the attributes of a message say, while they are read.
#[derive(Default)]
pub(super) struct Found<'a> {
    pub(super) attrs: Attrs,
    pub(super) mp_reach: Option<Attribute<'a>>,
    pub(super) mp_unreach: Option<Attribute<'a>>,
    pub(super) as4_path: Option<AsPath>,
    pub(super) as4_aggregator: Option<Aggregator>,
}

/// Whether an attribute is to be written.
pub(super) enum Presence {
    Present,
    Absent,
}
use Presence::{Absent, Present};

/// Reads a value; an error says why it is malformed.
type Read = for<'a> fn(&mut Found<'a>, Attribute<'a>, Rx) -> Result<(), &'static str>;
/// Writes a value, if the route has one for this session.
type Write = fn(&Attrs, Tx, &mut Vec<u8>) -> Presence;

/// One row of the table.
pub(super) struct Spec {
    pub(super) code: u8,
    /// The optional and the transitive bit as they have to be.
    pub(super) flags: u8,
    /// What a malformed value leads to (RFC 7606 §7).
    pub(super) malformed: Treatment,
    /// What wrong flags lead to (RFC 7606 §3 c).
    pub(super) misflagged: Treatment,
    /// The subcode, should the session have to end for it after all.
    pub(super) subcode: u8,
    /// Discarded unseen when an external peer sends it (RFC 7606 §7.5, 7.9, 7.10).
    pub(super) internal_only: bool,
    pub(super) read: Read,
    pub(super) write: Write,
}

impl Spec {
    const fn new(code: u8, flags: u8, subcode: u8, read: Read, write: Write) -> Self {
        Self {
            code,
            flags,
            malformed: Treatment::TreatAsWithdraw,
            misflagged: Treatment::TreatAsWithdraw,
            subcode,
            internal_only: false,
            read,
            write,
        }
    }

    const fn internal(mut self) -> Self {
        self.internal_only = true;
        self
    }

    /// Discarded, even for its flags (RFC 7311 §3).
    const fn ignore(mut self) -> Self {
        self.misflagged = Treatment::Discard;
        self.discard()
    }

    const fn discard(mut self) -> Self {
        self.malformed = Treatment::Discard;
        self
    }
}

const WELL_KNOWN: u8 = TRANSITIVE;
const OPTIONAL_TRANSITIVE: u8 = OPTIONAL | TRANSITIVE;
const TABLE_LEN: usize = 19;

/// Every attribute that is understood, in the order of the codes.
pub(super) static TABLE: [Spec; TABLE_LEN] = [
    Spec::new(ORIGIN, WELL_KNOWN, subcode::ORIGIN, read_origin, write_origin),
    Spec::new(AS_PATH, WELL_KNOWN, subcode::AS_PATH, read_as_path, write_as_path),
    Spec::new(NEXT_HOP, WELL_KNOWN, subcode::NEXT_HOP, read_next_hop, write_next_hop),
    Spec::new(4, OPTIONAL, subcode::OPTIONAL, read_med, |attrs, _, out| number(attrs.med, out)),
    Spec::new(5, WELL_KNOWN, subcode::LENGTH, read_local_pref, |attrs, _, out| number(attrs.local_pref, out))
        .internal(),
    Spec::new(6, WELL_KNOWN, subcode::LENGTH, read_atomic, |attrs, _, _| {
        if attrs.atomic_aggregate { Present } else { Absent }
    })
    .discard(),
    Spec::new(7, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_aggregator, write_aggregator).discard(),
    Spec::new(8, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_communities, |attrs, _, out| {
        list(&attrs.communities, out, |community| community.0.to_be_bytes())
    }),
    Spec::new(9, OPTIONAL, subcode::OPTIONAL, read_originator, |attrs, _, out| {
        number(attrs.originator_id.map(u32::from), out)
    })
    .internal(),
    Spec::new(10, OPTIONAL, subcode::OPTIONAL, read_clusters, |attrs, _, out| {
        list(&attrs.cluster_list, out, |cluster| cluster.octets())
    })
    .internal(),
    // The two that carry routes are written by the encoder.
    Spec::new(
        MP_REACH,
        OPTIONAL,
        subcode::OPTIONAL,
        |found, attribute, _| {
            found.mp_reach = Some(attribute);
            Ok(())
        },
        |_, _, _| Absent,
    ),
    Spec::new(
        MP_UNREACH,
        OPTIONAL,
        subcode::OPTIONAL,
        |found, attribute, _| {
            found.mp_unreach = Some(attribute);
            Ok(())
        },
        |_, _, _| Absent,
    ),
    Spec::new(16, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_ext_communities, |attrs, _, out| {
        list(&attrs.ext_communities, out, |community| community.0.to_be_bytes())
    }),
    Spec::new(17, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_as4_path, write_as4_path).discard(),
    Spec::new(18, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_as4_aggregator, write_as4_aggregator)
        .discard(),
    Spec::new(25, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_ipv6_ext_communities, |attrs, _, out| {
        list(&attrs.ipv6_ext_communities, out, |community| community.0)
    }),
    Spec::new(26, OPTIONAL, subcode::OPTIONAL, read_aigp, write_aigp).ignore(),
    Spec::new(32, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_large_communities, |attrs, _, out| {
        list(&attrs.large_communities, out, large_octets)
    }),
    Spec::new(35, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_otc, |attrs, _, out| {
        number(attrs.only_to_customer.map(|asn| asn.0), out)
    }),
];

/// The row of a code.
pub(super) fn spec(code: u8) -> Option<&'static Spec> {
    TABLE.iter().find(|spec| spec.code == code)
}

/// The value as `N` octets and nothing more.
fn exactly<const N: usize>(value: &[u8]) -> Result<[u8; N], &'static str> {
    value.try_into().map_err(|_| "the attribute has a wrong length")
}

/// The value as one or more items of `N` octets (RFC 7606 §4: an empty value
/// is an error but for `AS_PATH` and `ATOMIC_AGGREGATE`).
fn items<const N: usize, T>(value: &[u8], item: fn([u8; N]) -> T) -> Result<Vec<T>, &'static str> {
    match value.as_chunks() {
        ([], _) | (_, [_, ..]) => Err("the attribute has a wrong length"),
        (chunks, []) => Ok(chunks.iter().copied().map(item).collect()),
    }
}

/// Writes a list, if it has items.
fn list<const N: usize, T: Copy>(list: &[T], out: &mut Vec<u8>, octets: fn(T) -> [u8; N]) -> Presence {
    out.reserve(N * list.len());
    for item in list {
        out.extend_from_slice(&octets(*item));
    }
    if list.is_empty() { Absent } else { Present }
}

/// Writes a number, if there is one.
fn number(value: Option<u32>, out: &mut Vec<u8>) -> Presence {
    let Some(value) = value else { return Absent };
    out.extend_from_slice(&value.to_be_bytes());
    Present
}

fn read_origin(found: &mut Found<'_>, attribute: Attribute<'_>, _: Rx) -> Result<(), &'static str> {
    found.attrs.origin = match exactly(attribute.value)? {
        [0] => Origin::Igp,
        [1] => Origin::Egp,
        [2] => Origin::Incomplete,
        [_] => return Err("the ORIGIN has an undefined value"),
    };
    Ok(())
}

fn write_origin(attrs: &Attrs, _: Tx, out: &mut Vec<u8>) -> Presence {
    out.push(match attrs.origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    });
    Present
}

fn read_as_path(found: &mut Found<'_>, attribute: Attribute<'_>, rx: Rx) -> Result<(), &'static str> {
    let path = as_path::decode(attribute.value, Width::of(rx.as4))?;
    if rx.external && path.segments.iter().any(is_confed) {
        // RFC 5065 §5: as a malformed AS_PATH.
        return Err("the AS path of an external peer has confederation segments");
    }
    found.attrs.as_path = path;
    Ok(())
}

fn write_as_path(attrs: &Attrs, tx: Tx, out: &mut Vec<u8>) -> Presence {
    as_path::encode(attrs.as_path.segments.iter(), Width::of(tx.as4), out);
    Present
}

/// RFC 4271 §6.3: an IPv4 host address. Whether it can be reached is the
/// table's to say.
pub(super) fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first < 224
}

fn read_next_hop(found: &mut Found<'_>, attribute: Attribute<'_>, _: Rx) -> Result<(), &'static str> {
    let address = Ipv4Addr::from(exactly::<4>(attribute.value)?);
    if !is_host(address) {
        return Err("the NEXT_HOP is no host address");
    }
    found.attrs.next_hop = Some(NextHop::V4(address));
    Ok(())
}

fn write_next_hop(attrs: &Attrs, _: Tx, out: &mut Vec<u8>) -> Presence {
    let Some(NextHop::V4(address)) = attrs.next_hop else { return Absent };
    out.extend_from_slice(&address.octets());
    Present
}

fn read_med(found: &mut Found<'_>, attribute: Attribute<'_>, _: Rx) -> Result<(), &'static str> {
    found.attrs.med = Some(u32::from_be_bytes(exactly(attribute.value)?));
    Ok(())
}

fn read_local_pref(found: &mut Found<'_>, attribute: Attribute<'_>, _: Rx) -> Result<(), &'static str> {
    found.attrs.local_pref = Some(u32::from_be_bytes(exactly(attribute.value)?));
    Ok(())
}

fn read_atomic(found: &mut Found<'_>, attribute: Attribute<'_>, _: Rx) -> Result<(), &'static str> {
    let [] = exactly(attribute.value)?;
    found.attrs.atomic_aggregate = true;
    Ok(())
}

/// AGGREGATOR and `AS4_AGGREGATOR`: an AS number, then an address.
fn aggregator(value: &[u8], width: Width) -> Result<Aggregator, &'static str> {
    let mut reader = Reader(value);
    let parts = (width.read(&mut reader), reader.array().map(Ipv4Addr::from), reader.is_empty());
    match parts {
        (Some(Asn(0)), ..) => Err("the aggregator has AS 0"), // RFC 7607
        (Some(asn), Some(router), true) => Ok(Aggregator { asn, router }),
        _ => Err("the attribute has a wrong length"),
    }
}

fn put_aggregator(aggregator: Aggregator, width: Width, out: &mut Vec<u8>) -> Presence {
    width.write(aggregator.asn, out);
    out.extend_from_slice(&aggregator.router.octets());
    Present
}

fn read_aggregator(found: &mut Found<'_>, attribute: Attribute<'_>, rx: Rx) -> Result<(), &'static str> {
    found.attrs.aggregator = Some(aggregator(attribute.value, Width::of(rx.as4))?);
    Ok(())
}

fn write_aggregator(attrs: &Attrs, tx: Tx, out: &mut Vec<u8>) -> Presence {
    attrs.aggregator.map_or(Absent, |aggregator| put_aggregator(aggregator, Width::of(tx.as4), out))
}

fn read_originator(found: &mut Found<'_>, attribute: Attribute<'_>, _: Rx) -> Result<(), &'static str> {
    let id = RouterId::try_from(Ipv4Addr::from(exactly::<4>(attribute.value)?));
    found.attrs.originator_id = Some(id.map_err(|_| "the ORIGINATOR_ID is zero")?);
    Ok(())
}

fn read_clusters(found: &mut Found<'_>, attribute: Attribute<'_>, _: Rx) -> Result<(), &'static str> {
    found.attrs.cluster_list = items::<4, _>(attribute.value, Ipv4Addr::from)?;
    Ok(())
}

/// A four-octet speaker must not send this to another one, and what is
/// received so is discarded (RFC 6793 §4.1, §6).
const NOT_FROM_NEW: &str = "the attribute is not for a four-octet session";

fn read_as4_path(found: &mut Found<'_>, attribute: Attribute<'_>, rx: Rx) -> Result<(), &'static str> {
    if rx.as4 {
        return Err(NOT_FROM_NEW);
    }
    let mut path = as_path::decode(attribute.value, Width::Four)?;
    path.segments.retain(|segment| !is_confed(segment)); // RFC 6793 §6
    found.as4_path = Some(path);
    Ok(())
}

/// Only where a number does not fit two octets, and without the segments of a
/// confederation (RFC 6793 §4.2.2).
fn write_as4_path(attrs: &Attrs, tx: Tx, out: &mut Vec<u8>) -> Presence {
    let outside = || attrs.as_path.segments.iter().filter(|segment| !is_confed(segment));
    let wide = outside().flat_map(|segment| &segment.asns).any(|asn| u16::try_from(asn.0).is_err());
    if tx.as4 || !wide {
        return Absent;
    }
    as_path::encode(outside(), Width::Four, out);
    Present
}

fn read_as4_aggregator(found: &mut Found<'_>, attribute: Attribute<'_>, rx: Rx) -> Result<(), &'static str> {
    if rx.as4 {
        return Err(NOT_FROM_NEW);
    }
    found.as4_aggregator = Some(aggregator(attribute.value, Width::Four)?);
    Ok(())
}

fn write_as4_aggregator(attrs: &Attrs, tx: Tx, out: &mut Vec<u8>) -> Presence {
    match attrs.aggregator {
        Some(aggregator) if !tx.as4 && u16::try_from(aggregator.asn.0).is_err() => {
            put_aggregator(aggregator, Width::Four, out)
        }
        _ => Absent,
    }
}

/// Notes the partial bit of an attribute that is understood: it stays
/// (RFC 4271 §5). The wide attributes become part of the narrow ones.
pub(super) fn note_partial(found: &mut Found<'_>, attribute: Attribute<'_>, spec: &Spec) {
    let keeps = spec.flags == OPTIONAL_TRANSITIVE && !matches!(spec.code, 17 | 18);
    if keeps && attribute.flags & PARTIAL != 0 {
        found.attrs.partial |= 1 << spec.code;
    }
}

/// Keeps an attribute as bytes. Of its flags, the four low bits are ignored
/// when received and zero when sent (RFC 4271 §4.3).
pub(super) fn keep(found: &mut Found<'_>, attribute: Attribute<'_>, more: u8) {
    let flags = attribute.flags & (OPTIONAL | TRANSITIVE | PARTIAL) | more;
    found.attrs.unknown.push(RawAttr { flags, code: attribute.code, value: attribute.value.into() });
}

/// Writes all attributes but the two that carry routes, in the order of their
/// codes; `NEXT_HOP` only for the classic field.
pub(super) fn encode(attrs: &Attrs, tx: Tx, classic: bool, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut unknown = attrs.unknown.iter().peekable();
    for spec in TABLE.iter().filter(|spec| classic || spec.code != NEXT_HOP) {
        while let Some(raw) = unknown.next_if(|raw| raw.code < spec.code) {
            put_raw(raw, tx, out)?;
        }
        let partial = if attrs.partial >> spec.code & 1 == 1 { PARTIAL } else { 0 };
        put(spec.code, spec.flags | partial, tx, out, |out| (spec.write)(attrs, tx, out))?;
    }
    unknown.try_for_each(|raw| put_raw(raw, tx, out))
}

/// Writes an attribute that is kept as bytes.
fn put_raw(raw: &RawAttr, tx: Tx, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if spec(raw.code).is_some() {
        return Err(EncodeError::NotUnknown { code: raw.code });
    }
    put(raw.code, raw.flags & !EXTENDED, tx, out, |out| {
        out.extend_from_slice(&raw.value);
        Present
    })
}

/// Writes one attribute with its header, of four octets only where three do
/// not do.
fn put(
    code: u8,
    flags: u8,
    tx: Tx,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Presence,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&[flags, code, 0]);
    if matches!(write(out), Absent) {
        out.truncate(start);
        return Ok(());
    }
    let length = out.len() - start - 3;
    if let Ok(length) = u8::try_from(length) {
        out[start + 2] = length;
        return Ok(());
    }
    let [high, low] = u16::try_from(length)
        .map_err(|_| EncodeError::TooLong { code, length, max: tx.max() })?
        .to_be_bytes();
    out[start] |= EXTENDED;
    out[start + 2] = high;
    out.insert(start + 3, low);
    Ok(())
}

/// The code and the length of the longest attribute in a list that we wrote.
pub(super) fn longest(mut list: &[u8]) -> (u8, usize) {
    let mut longest = (0, 0);
    while let Some((attribute, rest)) = Attribute::split(list) {
        if attribute.value.len() > longest.1 {
            longest = (attribute.code, attribute.value.len());
        }
        list = rest.0;
    }
    longest
}
