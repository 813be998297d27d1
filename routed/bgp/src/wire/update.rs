//! UPDATE, and what becomes of a malformed one (RFC 4271 §4.3, §6.3, RFC 7606).
//!
//! The attributes are walked by their own lengths, so that one that is wrong
//! never moves the next. What is wrong is noted with its treatment, the
//! strongest treatment wins (RFC 7606 §3 h). What makes it doubtful which
//! prefixes of a family are meant disables the family (RFC 4760 §7), or ends
//! the session where that is all it has, or where the family is in doubt too.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use net::{Asn, Family, NextHop};

use super::Rx;
use super::as_path;
use super::attr::{self, Attribute, Found, OPTIONAL, PARTIAL, TRANSITIVE};
use super::error::WireError;
use super::message::{Fault, Nlri, Reach, Treatment, Update};
use super::nlri;
use super::notification::update as subcode;
use super::read::Reader;

/// Reads the body.
pub(super) fn decode(body: &[u8], rx: Rx) -> Result<Update, WireError> {
    let mut reader = Reader(body);
    // RFC 4271 §6.3: lengths that do not fit the message.
    let (Some(withdrawn), Some(attributes)) = (reader.counted16(), reader.counted16()) else {
        let what = "the lengths of the UPDATE's fields exceed the message";
        return Err(WireError::update(subcode::MALFORMED_LIST, what));
    };
    let mut walk = Walk::new(rx);
    walk.attributes(attributes)?;
    walk.merge_wide();

    let mp_unreach = walk.mp_unreach()?;
    let mp_reach = walk.mp_reach()?;
    let unreach = walk.classic(withdrawn)?;
    let reach = walk.classic(reader.0)?;
    let classic_ignored = reach.is_empty() && !reader.is_empty();
    walk.ignored = classic_ignored || walk.found.mp_reach.is_some() && mp_reach.is_none();
    walk.mandatory(!reach.is_empty(), mp_reach.as_ref());

    let bare = body.len() == 4;
    let only_unreach = walk.others == Others::None && withdrawn.is_empty() && reader.is_empty();
    let end_of_rib = match &mp_unreach {
        None if bare => walk.negotiated(Family::Ipv4Unicast).then_some(Family::Ipv4Unicast),
        Some((family, list)) if only_unreach && list.is_empty() => Some(*family),
        _ => None,
    };
    let mp_unreach = mp_unreach.into_iter().filter(|(_, list)| !list.is_empty());
    let classic_unreach = Some((Family::Ipv4Unicast, unreach)).filter(|(_, list)| !list.is_empty());
    let mut update = Update {
        reach: Vec::new(),
        unreach: classic_unreach.into_iter().chain(mp_unreach).collect(),
        end_of_rib,
        faults: Vec::new(),
    };
    walk.finish(reach, mp_reach, &mut update)?;
    Ok(update)
}

/// Whether the message has path attributes other than `MP_UNREACH_NLRI`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    None,
    Some,
}

/// The routes of an `MP_REACH_NLRI`.
struct MpReach {
    family: Family,
    next_hop: NextHop,
    nlri: Vec<Nlri>,
}

/// One pass over the attributes, and what it has found.
struct Walk<'a> {
    rx: Rx,
    found: Found<'a>,
    /// A bit for each type code.
    seen: [u64; 4],
    others: Others,
    /// There are routes of a family that the session does not have, or no more.
    ignored: bool,
    faults: Vec<Fault>,
    /// The error to send if routes cannot be withdrawn for the first fault
    /// that asks for it.
    withdraw: Option<WireError>,
}

impl<'a> Walk<'a> {
    fn new(rx: Rx) -> Self {
        let (found, faults) = (Found::default(), Vec::new());
        Self { rx, found, seen: [0; 4], others: Others::None, ignored: false, faults, withdraw: None }
    }

    fn negotiated(&self, family: Family) -> bool {
        self.rx.families[family.index()] && !self.disabled(family)
    }

    fn disabled(&self, family: Family) -> bool {
        self.rx.disabled[family.index()]
    }

    fn discard(&mut self, attribute: u8, what: &'static str) {
        self.faults.push(Fault { attribute, treatment: Treatment::Discard, what });
    }

    fn withdraw(&mut self, attribute: u8, error: WireError) {
        self.faults.push(Fault { attribute, treatment: Treatment::TreatAsWithdraw, what: error.what });
        self.withdraw.get_or_insert(error);
    }

    /// The routes of a family are in doubt: it is disabled, or the session is
    /// reset where it has no other (RFC 7606 §3 j, §7.11).
    fn disable(&mut self, family: Family, attribute: u8, error: WireError) -> Result<(), WireError> {
        if !Family::ALL.iter().any(|other| *other != family && self.negotiated(*other)) {
            return Err(error);
        }
        self.rx.disabled[family.index()] = true;
        self.faults.push(Fault { attribute, treatment: Treatment::Disable(family), what: error.what });
        Ok(())
    }

    /// Walks the list. One that ends inside an attribute withdraws what can
    /// still be located (RFC 7606 §4).
    fn attributes(&mut self, mut list: &'a [u8]) -> Result<(), WireError> {
        while !list.is_empty() {
            let Some((attribute, rest)) = Attribute::split(list) else {
                let what = "an attribute runs over the end of the attributes";
                self.others = Others::Some;
                self.withdraw(
                    list.get(1).copied().unwrap_or(0),
                    WireError::update(subcode::LENGTH, what).with(list),
                );
                break;
            };
            list = rest.0;
            self.attribute(attribute)?;
        }
        self.found.attrs.unknown.sort_by_key(|raw| raw.code);
        Ok(())
    }

    /// Judges and reads one attribute.
    fn attribute(&mut self, attribute: Attribute<'a>) -> Result<(), WireError> {
        let code = attribute.code;
        if code != attr::MP_UNREACH {
            self.others = Others::Some;
        }
        let bit = 1 << (code % 64);
        let word = &mut self.seen[usize::from(code / 64)];
        if *word & bit != 0 {
            return self.duplicate(code);
        }
        *word |= bit;
        let Some(spec) = attr::spec(code) else { return self.unknown(attribute) };
        if spec.internal_only && self.rx.external {
            self.discard(code, "the attribute is not for external peers");
            return Ok(());
        }
        let error = |subcode, what| WireError::update(subcode, what).with(attribute.whole);
        // The two with prefixes are judged where their family is known.
        if misflagged(attribute, spec.flags) && !matches!(code, attr::MP_REACH | attr::MP_UNREACH) {
            // RFC 7606 §3 c: withdraw, unless the attribute's own RFC says otherwise.
            match spec.misflagged {
                Treatment::Discard => self.discard(code, WRONG_FLAGS),
                _ => self.withdraw(code, error(subcode::FLAGS, WRONG_FLAGS)),
            }
            return Ok(());
        }
        if let Err(what) = (spec.read)(&mut self.found, attribute, self.rx) {
            match spec.malformed {
                Treatment::Discard => self.discard(code, what),
                Treatment::TreatAsWithdraw => self.withdraw(code, error(spec.subcode, what)),
                // No attribute of one family is read here.
                Treatment::Disable(_) | Treatment::Reset => return Err(error(spec.subcode, what)),
            }
            return Ok(());
        }
        attr::note_partial(&mut self.found, attribute, spec);
        Ok(())
    }

    /// RFC 7606 §3 g: the first of several counts; but which routes are meant
    /// must be sure.
    fn duplicate(&mut self, code: u8) -> Result<(), WireError> {
        if matches!(code, attr::MP_REACH | attr::MP_UNREACH) {
            let what = "MP_REACH_NLRI or MP_UNREACH_NLRI stands twice";
            return Err(WireError::update(subcode::MALFORMED_LIST, what));
        }
        self.discard(code, "the attribute stands twice");
        Ok(())
    }

    /// RFC 4271 §5, §6.3: what is not understood is passed on if transitive,
    /// and must not be well-known.
    fn unknown(&mut self, attribute: Attribute<'a>) -> Result<(), WireError> {
        if attribute.flags & OPTIONAL == 0 {
            let what = "a well-known attribute is unknown";
            return Err(WireError::update(subcode::UNRECOGNIZED_WELL_KNOWN, what).with(attribute.whole));
        }
        if attribute.flags & TRANSITIVE != 0 {
            attr::keep(&mut self.found, attribute, PARTIAL);
        }
        Ok(())
    }

    /// RFC 6793 §4.2.3: an AGGREGATOR of another number than `AS_TRANS` beside
    /// an `AS4_AGGREGATOR` was set by one who did not know the wide attributes:
    /// they are outdated.
    fn merge_wide(&mut self) {
        let found = &mut self.found;
        let (path, wide) = (found.as4_path.take(), found.as4_aggregator.take());
        if let (Some(aggregator), Some(wide)) = (&mut found.attrs.aggregator, wide) {
            if aggregator.asn != Asn::TRANS {
                return;
            }
            *aggregator = wide;
        }
        if let Some(path) = path {
            found.attrs.as_path = as_path::merge(std::mem::take(&mut found.attrs.as_path), path);
        }
    }

    /// The prefixes of a classic field. A wrong list ends the session
    /// (RFC 7606 §3 i, j).
    fn classic(&mut self, field: &[u8]) -> Result<Vec<Nlri>, WireError> {
        let family = Family::Ipv4Unicast;
        if self.disabled(family) {
            return Ok(Vec::new());
        }
        let list = nlri::decode(field, family, self.rx.add_path[family.index()])
            .map_err(|what| WireError::update(subcode::NETWORK, what))?;
        if list.is_empty() || self.negotiated(family) {
            return Ok(list);
        }
        self.discard(0, "the IPv4 prefixes are of a family that was not negotiated");
        Ok(Vec::new())
    }

    /// The family of an MP attribute, if the session has it, and what follows.
    /// Without a family there is nothing to disable: session reset.
    fn mp_family(&mut self, attribute: Attribute<'a>) -> Result<Option<(Family, Reader<'a>)>, WireError> {
        let mut reader = Reader(attribute.value);
        let (Some(afi), Some(safi)) = (reader.u16(), reader.u8()) else {
            let what = "the attribute is too short for its family";
            return Err(WireError::update(subcode::OPTIONAL, what).with(attribute.whole));
        };
        let family = Family::from_afi_safi(afi, safi);
        if family.is_some_and(|family| self.disabled(family)) {
            return Ok(None);
        }
        let family = family.filter(|family| self.negotiated(*family));
        if family.is_none() {
            self.discard(attribute.code, "the routes are of a family that was not negotiated");
        }
        Ok(family.map(|family| (family, reader)))
    }

    /// RFC 4760 §4; malformed: RFC 7606 §5.3.
    fn mp_unreach(&mut self) -> Result<Option<(Family, Vec<Nlri>)>, WireError> {
        let Some(attribute) = self.found.mp_unreach else { return Ok(None) };
        let Some((family, reader)) = self.mp_family(attribute)? else { return Ok(None) };
        match mp_prefixes(attribute, family, reader, self.rx) {
            Ok(list) => Ok(Some((family, list))),
            Err(error) => self.disable(family, attribute.code, error).map(|()| None),
        }
    }

    /// RFC 4760 §3, RFC 2545 §3, RFC 8950 §3; malformed: RFC 7606 §5.3, §7.11.
    fn mp_reach(&mut self) -> Result<Option<MpReach>, WireError> {
        let Some(attribute) = self.found.mp_reach else { return Ok(None) };
        let Some((family, reader)) = self.mp_family(attribute)? else { return Ok(None) };
        match read_mp_reach(attribute, family, reader, self.rx) {
            Ok(reach) => {
                if !is_host(reach.next_hop) {
                    let what = "the next hop is no host address";
                    let error = WireError::update(subcode::OPTIONAL, what).with(attribute.whole);
                    self.withdraw(attribute.code, error);
                }
                Ok(Some(reach))
            }
            Err(error) => self.disable(family, attribute.code, error).map(|()| None),
        }
    }

    /// RFC 7606 §3 d: routes without ORIGIN, `AS_PATH` or, for the classic
    /// field, `NEXT_HOP` are withdrawn.
    fn mandatory(&mut self, classic: bool, mp_reach: Option<&MpReach>) {
        let multiprotocol = mp_reach.is_some_and(|reach| !reach.nlri.is_empty());
        for (code, wanted) in [
            (attr::ORIGIN, classic || multiprotocol),
            (attr::AS_PATH, classic || multiprotocol),
            (attr::NEXT_HOP, classic),
        ] {
            if wanted && self.seen[0] >> code & 1 == 0 {
                let what = "a mandatory attribute is missing";
                self.withdraw(code, WireError::update(subcode::MISSING_WELL_KNOWN, what).with(&[code]));
            }
        }
    }

    /// Applies the strongest treatment: the routes become reachable or, all of
    /// them, withdrawn.
    fn finish(
        self,
        classic: Vec<Nlri>,
        mp_reach: Option<MpReach>,
        update: &mut Update,
    ) -> Result<(), WireError> {
        update.faults = self.faults;
        let located = !classic.is_empty() || mp_reach.as_ref().is_some_and(|reach| !reach.nlri.is_empty());
        if let Some(error) = self.withdraw {
            // RFC 7606 §5.2: attributes, but no routes to withdraw: we cannot
            // be sure that we have seen them all.
            if !located && !self.ignored && self.others == Others::Some {
                return Err(error);
            }
            update.end_of_rib = None;
            let classic = (Family::Ipv4Unicast, classic);
            let lists = [Some(classic), mp_reach.map(|reach| (reach.family, reach.nlri))];
            update.unreach.extend(lists.into_iter().flatten().filter(|(_, nlri)| !nlri.is_empty()));
            return Ok(());
        }
        let mut attrs = self.found.attrs;
        let mp_reach = mp_reach.filter(|reach| !reach.nlri.is_empty());
        if !classic.is_empty() {
            let attrs = if mp_reach.is_some() { attrs.clone() } else { std::mem::take(&mut attrs) };
            let family = Family::Ipv4Unicast;
            update.reach.push(Reach { family, attrs: Arc::new(attrs), nlri: classic });
        }
        if let Some(MpReach { family, next_hop, nlri }) = mp_reach {
            attrs.next_hop = Some(next_hop);
            update.reach.push(Reach { family, attrs: Arc::new(attrs), nlri });
        }
        Ok(())
    }
}

const WRONG_FLAGS: &str = "the attribute has wrong flags";

/// True when the optional or the transitive bit is not as it has to be.
fn misflagged(attribute: Attribute<'_>, flags: u8) -> bool {
    (attribute.flags ^ flags) & (OPTIONAL | TRANSITIVE) != 0
}

/// The prefixes of an MP attribute (RFC 4760 §5); an error puts them in doubt
/// (RFC 7606 §5.3).
fn mp_prefixes(
    attribute: Attribute<'_>,
    family: Family,
    rest: Reader<'_>,
    rx: Rx,
) -> Result<Vec<Nlri>, WireError> {
    let error = |subcode, what| WireError::update(subcode, what).with(attribute.whole);
    if misflagged(attribute, OPTIONAL) {
        return Err(error(subcode::FLAGS, WRONG_FLAGS));
    }
    nlri::decode(rest.0, family, rx.add_path[family.index()]).map_err(|what| error(subcode::OPTIONAL, what))
}

/// The routes of an `MP_REACH_NLRI` (RFC 4760 §3, RFC 2545 §3, RFC 8950 §3); an
/// error puts them in doubt (RFC 7606 §5.3, §7.11).
fn read_mp_reach(
    attribute: Attribute<'_>,
    family: Family,
    mut rest: Reader<'_>,
    rx: Rx,
) -> Result<MpReach, WireError> {
    let error = |what| WireError::update(subcode::OPTIONAL, what).with(attribute.whole);
    let (Some(hop), Some(_reserved)) = (rest.counted8(), rest.u8()) else {
        return Err(error("MP_REACH_NLRI is too short"));
    };
    let next_hop = next_hop(family, hop, rx.extended_next_hop)
        .ok_or_else(|| error("the next hop has a wrong length"))?;
    Ok(MpReach { family, next_hop, nlri: mp_prefixes(attribute, family, rest, rx)? })
}

/// The next hop of an `MP_REACH_NLRI`; `None` for a length that its family
/// does not have.
///
/// A single IPv6 address is the global one whatever it is; of a pair without
/// a global address, the link-local one stands in its place.
fn next_hop(family: Family, octets: &[u8], extended: bool) -> Option<NextHop> {
    let mut reader = Reader(octets);
    match (family, octets.len()) {
        // RFC 8950 §4: only where both sides have said so.
        (Family::Ipv4Unicast, 16 | 32) if !extended => None,
        (Family::Ipv4Unicast, 4) => reader.array().map(Ipv4Addr::from).map(NextHop::V4),
        (_, 16) => {
            reader.array().map(|global: [u8; 16]| NextHop::V6 { global: global.into(), link_local: None })
        }
        (_, 32) => {
            let global = Ipv6Addr::from(reader.array::<16>()?);
            let link_local = Ipv6Addr::from(reader.array::<16>()?);
            let global = if global.is_unspecified() { link_local } else { global };
            Some(NextHop::V6 { global, link_local: Some(link_local) })
        }
        _ => None,
    }
}

/// True for an address that a host can have.
fn is_host(hop: NextHop) -> bool {
    match hop {
        NextHop::V4(address) => attr::is_host(address),
        NextHop::V6 { global, .. } => !global.is_unspecified() && !global.is_multicast(),
    }
}

#[cfg(test)]
mod tests;
