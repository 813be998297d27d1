//! The list of attributes as it is written.

use net::{Aggregator, Attrs, NextHop, Origin, RawAttr, Segment};

use super::{
    AGGREGATOR, AIGP, AS_PATH, AS4_AGGREGATOR, AS4_PATH, ATOMIC_AGGREGATE, Attribute, CLUSTER_LIST,
    COMMUNITIES, EXT_COMMUNITIES, EXTENDED, IPV6_EXT_COMMUNITIES, LARGE_COMMUNITIES, LOCAL_PREF, MED,
    NEXT_HOP, ONLY_TO_CUSTOMER, ORIGIN, ORIGINATOR_ID, PARTIAL, spec, tags,
};
use crate::wire::as_path::{self, Width, is_confed};
use crate::wire::error::EncodeError;
use crate::wire::write::Writer;
use crate::wire::{MAX_EXTENDED_MESSAGE, Tx};

/// The first room that is made; more than most lists take.
const ROOM: usize = 256;
/// The longest header of an attribute.
pub(in crate::wire) const HEADER: usize = 4;

/// Encoded attributes, and the room to encode others.
///
/// The room is kept as octets that are there: a list is written into them
/// without growing anything, and begun anew with twice the room in the rare
/// case that it does not fit.
#[derive(Debug, Default)]
pub(in crate::wire) struct List {
    room: Vec<u8>,
    length: usize,
}

impl List {
    /// The octets of the attributes.
    #[inline]
    pub(in crate::wire) fn octets(&self) -> &[u8] {
        self.room.get(..self.length).unwrap_or_default()
    }

    /// Forgets the attributes, not the room.
    #[inline]
    pub(in crate::wire) fn clear(&mut self) {
        self.length = 0;
    }

    /// Writes all attributes but the two that carry routes, in the order of
    /// their codes; `NEXT_HOP` only for the classic field. On an error the
    /// list is empty.
    #[inline]
    pub(in crate::wire) fn encode(
        &mut self,
        attrs: &Attrs,
        tx: Tx,
        classic: bool,
    ) -> Result<(), EncodeError> {
        self.clear();
        let free = loop {
            match understood(attrs, tx, classic, Writer(&mut self.room)) {
                Some(free) => break free,
                None => self.grow(attrs, tx)?,
            }
        };
        self.length = self.room.len() - free;
        if attrs.partial == 0 && attrs.unknown.is_empty() {
            return Ok(());
        }
        self.mark_partial(attrs.partial);
        self.insert(attrs, tx).inspect_err(|_| self.clear())
    }

    /// Makes more room, up to what is enough for the longest message.
    #[cold]
    fn grow(&mut self, attrs: &Attrs, tx: Tx) -> Result<(), EncodeError> {
        if self.room.len() > MAX_EXTENDED_MESSAGE {
            return Err(too_long(attrs, tx));
        }
        self.room.resize((2 * self.room.len()).max(ROOM), 0);
        Ok(())
    }

    /// Sets the partial bit where it has to stay (RFC 4271 §5); `partial` as
    /// in [`Attrs`].
    #[cold]
    fn mark_partial(&mut self, partial: u64) {
        let mut at = 0;
        while let Some((attribute, _)) = Attribute::split(&self.room[at..self.length]) {
            let (code, length) = (attribute.code, attribute.whole.len());
            if partial.checked_shr(code.into()).is_some_and(|bits| bits & 1 == 1) {
                self.room[at] |= PARTIAL;
            }
            at += length;
        }
    }

    /// Puts what is kept as bytes among the others, all in the order of codes.
    #[cold]
    fn insert(&mut self, attrs: &Attrs, tx: Tx) -> Result<(), EncodeError> {
        let mut at = 0;
        for RawAttr { flags, code, value } in &attrs.unknown {
            if spec(*code).is_some() {
                return Err(EncodeError::NotUnknown { code: *code });
            }
            while let Some((attribute, _)) = Attribute::split(&self.room[at..self.length])
                && attribute.code <= *code
            {
                at += attribute.whole.len();
            }
            while self.room.len() - self.length < HEADER + value.len() {
                self.grow(attrs, tx)?;
            }
            // Written behind the others, and then turned to its place.
            let room = Writer(&mut self.room[self.length..]);
            let rest = head(room, flags & !EXTENDED, *code, value.len()).and_then(|room| room.copy(value));
            let free = rest.ok_or_else(|| too_long(attrs, tx))?.0.len();
            let written = self.room.len() - free - self.length;
            self.length += written;
            self.room[at..self.length].rotate_right(written);
            at += written;
        }
        Ok(())
    }
}

/// What a message has no room for, by the name of its longest attribute.
#[cold]
pub(in crate::wire) fn too_long(attrs: &Attrs, tx: Tx) -> EncodeError {
    let (code, length) = lengths(attrs).max_by_key(|(_, length)| *length).unwrap_or_default();
    EncodeError::TooLong { code, length, max: tx.max() }
}

/// The codes and lengths of the attributes that may be long, as a four-octet
/// speaker has them.
pub(in crate::wire) fn lengths(attrs: &Attrs) -> impl Iterator<Item = (u8, usize)> {
    let lists = [
        (AS_PATH, as_path::length(attrs.as_path.segments.iter(), Width::Four)),
        (COMMUNITIES, 4 * attrs.communities.len()),
        (CLUSTER_LIST, 4 * attrs.cluster_list.len()),
        (EXT_COMMUNITIES, 8 * attrs.ext_communities.len()),
        (IPV6_EXT_COMMUNITIES, 20 * attrs.ipv6_ext_communities.len()),
        (AIGP, tags::aigp_length(attrs)),
        (LARGE_COMMUNITIES, 12 * attrs.large_communities.len()),
    ];
    lists.into_iter().chain(attrs.unknown.iter().map(|raw| (raw.code, raw.value.len())))
}

fn origin(origin: Origin) -> u8 {
    match origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    }
}

/// Writes the attributes that are understood; gives the octets that are left,
/// or `None` where there was no room.
///
/// One after the other, each where it is known what it is: most routes have
/// few, and to go through a table of writers takes twice the time.
// In the loop of its caller all that does not change from one round to the
// next would be worked out before it, and there is one round.
#[inline(never)]
fn understood(attrs: &Attrs, tx: Tx, classic: bool, out: Writer<'_>) -> Option<usize> {
    let width = Width::of(tx.as4);
    let mut out = out.put([flags(ORIGIN), ORIGIN, 1, origin(attrs.origin)])?;
    out = path(out, AS_PATH, || attrs.as_path.segments.iter(), width)?;
    if let (Some(NextHop::V4(address)), true) = (attrs.next_hop, classic) {
        out = number(out, NEXT_HOP, Some(address.to_bits()))?;
    }
    out = number(out, MED, attrs.med)?;
    out = number(out, LOCAL_PREF, attrs.local_pref)?;
    if attrs.atomic_aggregate {
        out = head(out, flags(ATOMIC_AGGREGATE), ATOMIC_AGGREGATE, 0)?;
    }
    out = aggregator(out, AGGREGATOR, attrs.aggregator, width)?;
    out = items(out, COMMUNITIES, &attrs.communities, |community| community.0.to_be_bytes())?;
    out = number(out, ORIGINATOR_ID, attrs.originator_id.map(u32::from))?;
    out = items(out, CLUSTER_LIST, &attrs.cluster_list, |cluster| cluster.octets())?;
    out = items(out, EXT_COMMUNITIES, &attrs.ext_communities, |community| community.0.to_be_bytes())?;
    if !tx.as4 {
        out = wide(out, attrs)?;
    }
    out = items(out, IPV6_EXT_COMMUNITIES, &attrs.ipv6_ext_communities, |community| community.0)?;
    if attrs.aigp.is_some() || !attrs.aigp_more.is_empty() {
        out = tags::put_aigp(attrs, head(out, flags(AIGP), AIGP, tags::aigp_length(attrs))?)?;
    }
    out = items(out, LARGE_COMMUNITIES, &attrs.large_communities, tags::large_octets)?;
    out = number(out, ONLY_TO_CUSTOMER, attrs.only_to_customer.map(|asn| asn.0))?;
    Some(out.0.len())
}

/// An attribute of four octets, if the route has it.
#[inline]
fn number(out: Writer<'_>, code: u8, value: Option<u32>) -> Option<Writer<'_>> {
    let Some(value) = value else { return Some(out) };
    out.put([flags(code), code, 4])?.put(value.to_be_bytes())
}

/// A list of items, if it has any.
#[inline]
fn items<'a, const N: usize, T: Copy>(
    out: Writer<'a>,
    code: u8,
    items: &[T],
    octets: impl Fn(T) -> [u8; N],
) -> Option<Writer<'a>> {
    if items.is_empty() {
        return Some(out);
    }
    head(out, flags(code), code, N * items.len())?.items(items, octets)
}

/// An AS path.
#[inline]
fn path<'a, 's, S: Iterator<Item = &'s Segment>>(
    out: Writer<'a>,
    code: u8,
    segments: impl Fn() -> S,
    width: Width,
) -> Option<Writer<'a>> {
    let out = head(out, flags(code), code, as_path::length(segments(), width))?;
    as_path::encode(segments(), width, out)
}

#[inline]
fn aggregator(out: Writer<'_>, code: u8, aggregator: Option<Aggregator>, width: Width) -> Option<Writer<'_>> {
    let Some(Aggregator { asn, router }) = aggregator else { return Some(out) };
    let out = head(out, flags(code), code, width.octets() + 4)?;
    width.write(&[asn], out)?.put(router.octets())
}

/// What a two-octet speaker is told beside: only where a number does not
/// fit two octets, and without the segments of a confederation (RFC 6793
/// §4.2.2).
fn wide<'a>(mut out: Writer<'a>, attrs: &Attrs) -> Option<Writer<'a>> {
    let outside = || attrs.as_path.segments.iter().filter(|segment: &&Segment| !is_confed(segment));
    let is_wide = |asn: net::Asn| u16::try_from(asn.0).is_err();
    if outside().flat_map(|segment| &segment.asns).any(|asn| is_wide(*asn)) {
        out = path(out, AS4_PATH, outside, Width::Four)?;
    }
    let wide = attrs.aggregator.filter(|aggregator| is_wide(aggregator.asn));
    aggregator(out, AS4_AGGREGATOR, wide, Width::Four)
}

/// The header of an attribute, of four octets only where three do not do.
/// `None` also where the length is more than a header can say.
#[inline]
fn head(out: Writer<'_>, flags: u8, code: u8, length: usize) -> Option<Writer<'_>> {
    if let Ok(length) = u8::try_from(length) {
        return out.put([flags, code, length]);
    }
    let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
    out.put([flags | EXTENDED, code, high, low])
}

/// The flags of an attribute that is understood.
#[inline]
fn flags(code: u8) -> u8 {
    spec(code).map_or(0, |spec| spec.flags)
}
