//! The path attributes that have a meaning here, as a table: code, flags, what
//! a malformed one leads to and how it is read. [`list`] writes them.
//!
//! The rules about the list as a whole are in [`update`](super::update).

mod list;
mod tags;

use std::net::Ipv4Addr;

use net::{Aggregator, AsPath, Asn, Attrs, NextHop, Origin, RawAttr, RouterId};

pub(super) use self::list::{HEADER, List, lengths, too_long};
use self::tags::{
    read_aigp, read_communities, read_ext_communities, read_ipv6_ext_communities, read_large_communities,
    read_otc,
};
use super::Rx;
use super::as_path::{self, Width, is_confed};
use super::message::Treatment;
use super::notification::update as subcode;
use super::read::Reader;

/// The flags of an attribute (RFC 4271 §4.3).
pub(super) const OPTIONAL: u8 = 0x80;
pub(super) const TRANSITIVE: u8 = 0x40;
pub(super) const PARTIAL: u8 = 0x20;
pub(super) const EXTENDED: u8 = 0x10;

/// The type codes.
pub(super) const ORIGIN: u8 = 1;
pub(super) const AS_PATH: u8 = 2;
pub(super) const NEXT_HOP: u8 = 3;
const MED: u8 = 4;
const LOCAL_PREF: u8 = 5;
const ATOMIC_AGGREGATE: u8 = 6;
const AGGREGATOR: u8 = 7;
const COMMUNITIES: u8 = 8;
const ORIGINATOR_ID: u8 = 9;
const CLUSTER_LIST: u8 = 10;
pub(super) const MP_REACH: u8 = 14;
pub(super) const MP_UNREACH: u8 = 15;
const EXT_COMMUNITIES: u8 = 16;
const AS4_PATH: u8 = 17;
const AS4_AGGREGATOR: u8 = 18;
const IPV6_EXT_COMMUNITIES: u8 = 25;
const AIGP: u8 = 26;
const LARGE_COMMUNITIES: u8 = 32;
const ONLY_TO_CUSTOMER: u8 = 35;

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

/// Reads a value; an error says why it is malformed.
type Read = for<'a> fn(&mut Found<'a>, Attribute<'a>, Rx) -> Result<(), &'static str>;

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
}

impl Spec {
    const fn new(code: u8, flags: u8, subcode: u8, read: Read) -> Self {
        Self {
            code,
            flags,
            malformed: Treatment::TreatAsWithdraw,
            misflagged: Treatment::TreatAsWithdraw,
            subcode,
            internal_only: false,
            read,
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
    Spec::new(ORIGIN, WELL_KNOWN, subcode::ORIGIN, read_origin),
    Spec::new(AS_PATH, WELL_KNOWN, subcode::AS_PATH, read_as_path),
    Spec::new(NEXT_HOP, WELL_KNOWN, subcode::NEXT_HOP, read_next_hop),
    Spec::new(MED, OPTIONAL, subcode::OPTIONAL, read_med),
    Spec::new(LOCAL_PREF, WELL_KNOWN, subcode::LENGTH, read_local_pref).internal(),
    Spec::new(ATOMIC_AGGREGATE, WELL_KNOWN, subcode::LENGTH, read_atomic).discard(),
    Spec::new(AGGREGATOR, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_aggregator).discard(),
    Spec::new(COMMUNITIES, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_communities),
    Spec::new(ORIGINATOR_ID, OPTIONAL, subcode::OPTIONAL, read_originator).internal(),
    Spec::new(CLUSTER_LIST, OPTIONAL, subcode::OPTIONAL, read_clusters).internal(),
    // The two that carry routes are read, and written, with them.
    Spec::new(MP_REACH, OPTIONAL, subcode::OPTIONAL, |found, attribute, _| {
        found.mp_reach = Some(attribute);
        Ok(())
    }),
    Spec::new(MP_UNREACH, OPTIONAL, subcode::OPTIONAL, |found, attribute, _| {
        found.mp_unreach = Some(attribute);
        Ok(())
    }),
    Spec::new(EXT_COMMUNITIES, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_ext_communities),
    Spec::new(AS4_PATH, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_as4_path).discard(),
    Spec::new(AS4_AGGREGATOR, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_as4_aggregator).discard(),
    Spec::new(IPV6_EXT_COMMUNITIES, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_ipv6_ext_communities),
    Spec::new(AIGP, OPTIONAL, subcode::OPTIONAL, read_aigp).ignore(),
    Spec::new(LARGE_COMMUNITIES, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_large_communities),
    Spec::new(ONLY_TO_CUSTOMER, OPTIONAL_TRANSITIVE, subcode::OPTIONAL, read_otc),
];

/// The row of a code.
#[inline]
pub(super) fn spec(code: u8) -> Option<&'static Spec> {
    let row = match code {
        1..=10 => code - 1,
        14..=18 => code - 4,
        25 | 26 => code - 10,
        32 => 17,
        35 => 18,
        _ => return None,
    };
    TABLE.get(usize::from(row))
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

fn read_origin(found: &mut Found<'_>, attribute: Attribute<'_>, _: Rx) -> Result<(), &'static str> {
    found.attrs.origin = match exactly(attribute.value)? {
        [0] => Origin::Igp,
        [1] => Origin::Egp,
        [2] => Origin::Incomplete,
        [_] => return Err("the ORIGIN has an undefined value"),
    };
    Ok(())
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

fn read_aggregator(found: &mut Found<'_>, attribute: Attribute<'_>, rx: Rx) -> Result<(), &'static str> {
    found.attrs.aggregator = Some(aggregator(attribute.value, Width::of(rx.as4))?);
    Ok(())
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

fn read_as4_aggregator(found: &mut Found<'_>, attribute: Attribute<'_>, rx: Rx) -> Result<(), &'static str> {
    if rx.as4 {
        return Err(NOT_FROM_NEW);
    }
    found.as4_aggregator = Some(aggregator(attribute.value, Width::Four)?);
    Ok(())
}

/// Notes the partial bit of an attribute that is understood: it stays
/// (RFC 4271 §5). The wide attributes become part of the narrow ones.
pub(super) fn note_partial(found: &mut Found<'_>, attribute: Attribute<'_>, spec: &Spec) {
    let keeps = spec.flags == OPTIONAL_TRANSITIVE && !matches!(spec.code, AS4_PATH | AS4_AGGREGATOR);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_row_and_no_other() {
        let rows: Vec<u8> = (0..=u8::MAX).filter(|code| spec(*code).is_some()).collect();
        assert_eq!(rows, TABLE.iter().map(|spec| spec.code).collect::<Vec<_>>());
        assert!(rows.iter().all(|code| spec(*code).is_some_and(|spec| spec.code == *code)));
    }
}
