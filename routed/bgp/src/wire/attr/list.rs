//! The list of attributes as it is written.

use net::{Aggregator, Attrs, NextHop, Origin, RawAttr, Segment};

use super::{
    AGGREGATOR, AIGP, AS_PATH, AS4_AGGREGATOR, AS4_PATH, ATOMIC_AGGREGATE, Attribute, CLUSTER_LIST,
    COMMUNITIES, EXT_COMMUNITIES, EXTENDED, IPV6_EXT_COMMUNITIES, LARGE_COMMUNITIES, LOCAL_PREF, MED,
    NEXT_HOP, ONLY_TO_CUSTOMER, ORIGIN, ORIGINATOR_ID, PARTIAL, spec, tags,
};
use crate::wire::Tx;
use crate::wire::as_path::{self, Width, is_confed};
use crate::wire::error::EncodeError;

/// Writes all attributes but the two that carry routes, in the order of their
/// codes; `NEXT_HOP` only for the classic field.
///
/// One after the other, each where it is known what it is: most routes have
/// few, and to go through a table of writers takes twice the time.
pub(in crate::wire) fn encode(
    attrs: &Attrs,
    tx: Tx,
    classic: bool,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut list = List { attrs, max: tx.max(), unknown: &attrs.unknown, out };
    let width = Width::of(tx.as4);
    list.value(ORIGIN, |out| out.push(origin(attrs.origin)))?;
    list.value(AS_PATH, |out| as_path::encode(attrs.as_path.segments.iter(), width, out))?;
    match attrs.next_hop {
        Some(NextHop::V4(address)) if classic => list.number(NEXT_HOP, Some(address.to_bits()))?,
        _ => {}
    }
    list.number(MED, attrs.med)?;
    list.number(LOCAL_PREF, attrs.local_pref)?;
    if attrs.atomic_aggregate {
        list.value(ATOMIC_AGGREGATE, |_| {})?;
    }
    list.aggregator(AGGREGATOR, attrs.aggregator, width)?;
    list.items(COMMUNITIES, &attrs.communities, |community| community.0.to_be_bytes())?;
    list.number(ORIGINATOR_ID, attrs.originator_id.map(u32::from))?;
    list.items(CLUSTER_LIST, &attrs.cluster_list, |cluster| cluster.octets())?;
    list.items(EXT_COMMUNITIES, &attrs.ext_communities, |community| community.0.to_be_bytes())?;
    if !tx.as4 {
        list.wide()?;
    }
    list.items(IPV6_EXT_COMMUNITIES, &attrs.ipv6_ext_communities, |community| community.0)?;
    if attrs.aigp.is_some() || !attrs.aigp_more.is_empty() {
        list.value(AIGP, |out| tags::put_aigp(attrs, out))?;
    }
    list.items(LARGE_COMMUNITIES, &attrs.large_communities, tags::large_octets)?;
    list.number(ONLY_TO_CUSTOMER, attrs.only_to_customer.map(|asn| asn.0))?;
    list.unknown_before(None)
}

fn origin(origin: Origin) -> u8 {
    match origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    }
}

/// A list that is being written.
struct List<'a> {
    attrs: &'a Attrs,
    /// The most octets that a message may have.
    max: usize,
    /// What is kept as bytes and still to be written, in the order of codes.
    unknown: &'a [RawAttr],
    out: &'a mut Vec<u8>,
}

impl List<'_> {
    /// An attribute of four octets, if the route has it.
    #[inline]
    fn number(&mut self, code: u8, value: Option<u32>) -> Result<(), EncodeError> {
        let Some(value) = value else { return Ok(()) };
        let [a, b, c, d] = value.to_be_bytes();
        let flags = self.begin(code)?;
        self.out.extend_from_slice(&[flags, code, 4, a, b, c, d]);
        Ok(())
    }

    /// A list of items, if it has any.
    #[inline]
    fn items<const N: usize, T: Copy>(
        &mut self,
        code: u8,
        items: &[T],
        octets: impl Fn(T) -> [u8; N],
    ) -> Result<(), EncodeError> {
        if items.is_empty() {
            return Ok(());
        }
        self.value(code, |out| {
            out.reserve(N * items.len());
            for item in items {
                out.extend_from_slice(&octets(*item));
            }
        })
    }

    fn aggregator(
        &mut self,
        code: u8,
        aggregator: Option<Aggregator>,
        width: Width,
    ) -> Result<(), EncodeError> {
        let Some(aggregator) = aggregator else { return Ok(()) };
        self.value(code, |out| {
            width.write(aggregator.asn, out);
            out.extend_from_slice(&aggregator.router.octets());
        })
    }

    /// What a two-octet speaker is told beside: only where a number does not
    /// fit two octets, and without the segments of a confederation (RFC 6793
    /// §4.2.2).
    fn wide(&mut self) -> Result<(), EncodeError> {
        let attrs = self.attrs;
        let outside = || attrs.as_path.segments.iter().filter(|segment: &&Segment| !is_confed(segment));
        let is_wide = |asn: net::Asn| u16::try_from(asn.0).is_err();
        if outside().flat_map(|segment| &segment.asns).any(|asn| is_wide(*asn)) {
            self.value(AS4_PATH, |out| as_path::encode(outside(), Width::Four, out))?;
        }
        let aggregator = attrs.aggregator.filter(|aggregator| is_wide(aggregator.asn));
        self.aggregator(AS4_AGGREGATOR, aggregator, Width::Four)
    }

    /// An attribute that is understood.
    #[inline]
    fn value(&mut self, code: u8, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EncodeError> {
        let flags = self.begin(code)?;
        put(code, flags, self.max, self.out, write)
    }

    /// Writes what is kept as bytes and comes before an attribute; gives the
    /// flags of that.
    #[inline]
    fn begin(&mut self, code: u8) -> Result<u8, EncodeError> {
        if !self.unknown.is_empty() {
            self.unknown_before(Some(code))?;
        }
        let flags = spec(code).map_or(0, |spec| spec.flags);
        let partial = if self.attrs.partial >> code & 1 == 1 { PARTIAL } else { 0 };
        Ok(flags | partial)
    }

    /// What is kept as bytes and has a lower code, or all of it.
    fn unknown_before(&mut self, code: Option<u8>) -> Result<(), EncodeError> {
        while let [raw, rest @ ..] = self.unknown
            && code.is_none_or(|code| raw.code < code)
        {
            if spec(raw.code).is_some() {
                return Err(EncodeError::NotUnknown { code: raw.code });
            }
            put(raw.code, raw.flags & !EXTENDED, self.max, self.out, |out| {
                out.extend_from_slice(&raw.value);
            })?;
            self.unknown = rest;
        }
        Ok(())
    }
}

/// Writes one attribute with its header, of four octets only where three do
/// not do.
#[inline]
fn put(
    code: u8,
    flags: u8,
    max: usize,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&[flags, code, 0]);
    write(out);
    let length = out.len() - start - 3;
    match u8::try_from(length) {
        Ok(length) => {
            out[start + 2] = length;
            Ok(())
        }
        Err(_) => extend(code, start, max, out),
    }
}

/// Makes the header of the last attribute an extended one.
#[cold]
fn extend(code: u8, start: usize, max: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let length = out.len() - start - 3;
    let [high, low] =
        u16::try_from(length).map_err(|_| EncodeError::TooLong { code, length, max })?.to_be_bytes();
    out[start] |= EXTENDED;
    out[start + 2] = high;
    out.insert(start + 3, low);
    Ok(())
}

/// The code and the length of the longest attribute in a list that we wrote.
pub(in crate::wire) fn longest(mut list: &[u8]) -> (u8, usize) {
    let mut longest = (0, 0);
    while let Some((attribute, rest)) = Attribute::split(list) {
        if attribute.value.len() > longest.1 {
            longest = (attribute.code, attribute.value.len());
        }
        list = rest.0;
    }
    longest
}
