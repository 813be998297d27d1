//! What is tagged onto a route beside its path: communities of all kinds, the
//! accumulated metric, `ONLY_TO_CUSTOMER`.

use net::{Asn, Attrs, Community, ExtCommunity, Ipv6ExtCommunity, LargeCommunity};

use super::{Attribute, Found, exactly, items};
use crate::wire::Rx;
use crate::wire::read::Reader;
use crate::wire::write::Writer;

pub(super) fn read_communities(
    found: &mut Found<'_>,
    attribute: Attribute<'_>,
    _: Rx,
) -> Result<(), &'static str> {
    found.attrs.communities = items(attribute.value, |octets| Community(u32::from_be_bytes(octets)))?;
    Ok(())
}

pub(super) fn read_ext_communities(
    found: &mut Found<'_>,
    attribute: Attribute<'_>,
    _: Rx,
) -> Result<(), &'static str> {
    found.attrs.ext_communities = items(attribute.value, |octets| ExtCommunity(u64::from_be_bytes(octets)))?;
    Ok(())
}

pub(super) fn read_large_communities(
    found: &mut Found<'_>,
    attribute: Attribute<'_>,
    _: Rx,
) -> Result<(), &'static str> {
    found.attrs.large_communities = items(attribute.value, large_from)?;
    Ok(())
}

fn large_from(octets: [u8; 12]) -> LargeCommunity {
    let word = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    LargeCommunity([word(0), word(4), word(8)])
}

pub(super) fn large_octets(community: LargeCommunity) -> [u8; 12] {
    let mut octets = [0; 12];
    for (place, word) in octets.chunks_exact_mut(4).zip(community.0) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    octets
}

pub(super) fn read_ipv6_ext_communities(
    found: &mut Found<'_>,
    attribute: Attribute<'_>,
    _: Rx,
) -> Result<(), &'static str> {
    found.attrs.ipv6_ext_communities = items(attribute.value, Ipv6ExtCommunity)?;
    Ok(())
}

/// The one TLV that has a meaning, and its length (RFC 7311 §3).
const AIGP_TLV: u8 = 1;
const AIGP_LENGTH: u8 = 11;

/// The first metric counts; whatever else there is is kept as it came, to be
/// passed on (RFC 7311 §3). Where the session has no AIGP it is as if it were
/// unknown (§3.3).
pub(super) fn read_aigp(found: &mut Found<'_>, attribute: Attribute<'_>, rx: Rx) -> Result<(), &'static str> {
    if !rx.aigp {
        return Ok(());
    }
    let (mut list, mut first, mut more) = (Reader(attribute.value), None, Vec::new());
    while !list.is_empty() {
        let whole = list.0;
        let kind = list.u8().unwrap_or_default();
        let length = usize::from(list.u16().ok_or("an AIGP TLV has no length")?);
        let rest = length.checked_sub(3).ok_or("an AIGP TLV is shorter than its head")?;
        let value = list.take(rest).ok_or("an AIGP TLV runs over the end")?;
        if kind == AIGP_TLV && first.is_none() {
            first = Some(u64::from_be_bytes(exactly(value)?));
        } else {
            more.extend_from_slice(&whole[..length]);
        }
    }
    if first == Some(u64::MAX) {
        return Err("the AIGP metric is the largest number");
    }
    found.attrs.aigp = first;
    found.attrs.aigp_more = more.into();
    Ok(())
}

/// The octets that [`put_aigp`] writes.
pub(super) fn aigp_length(attrs: &Attrs) -> usize {
    attrs.aigp.map_or(0, |_| usize::from(AIGP_LENGTH)) + attrs.aigp_more.len()
}

/// The metric, then the TLVs that say nothing here. `None` where there is no
/// room.
pub(super) fn put_aigp<'a>(attrs: &Attrs, mut out: Writer<'a>) -> Option<Writer<'a>> {
    if let Some(metric) = attrs.aigp {
        out = out.put([AIGP_TLV, 0, AIGP_LENGTH])?.put(metric.to_be_bytes())?;
    }
    out.copy(&attrs.aigp_more)
}

/// `ONLY_TO_CUSTOMER` (RFC 9234 §5).
pub(super) fn read_otc(found: &mut Found<'_>, attribute: Attribute<'_>, _: Rx) -> Result<(), &'static str> {
    found.attrs.only_to_customer = Some(Asn(u32::from_be_bytes(exactly(attribute.value)?)));
    Ok(())
}
