//! What another implementation finds in the same bytes, sound or broken: where
//! both take a message without complaint, both have read the same.
//!
//! `bgpkit` is asked of four-octet sessions without path identifiers: it takes
//! a prefix of length 0 for the beginning of one. `netgauze` is asked of both
//! widths, and its answer is what it writes again. A family that is disabled
//! (RFC 4760 §7) is known to neither: what is left is what they read, without
//! its routes.

use std::net::{Ipv4Addr, Ipv6Addr};

use bgp::wire::{Capability, Encoder, Kind, Message, Nlri, Reach, Rx, Tx, Update, decode, frame};
use bgpkit_parser::models::{
    AsPathSegment, AsnLength, Attributes, BgpMessage, BgpOpenMessage, CapabilityValue, Community,
    MetaCommunity, NetworkPrefix, NextHopAddress, ParamValue,
};
use bgpkit_parser::parser::bgp::parse_bgp_message;
use bytes::{Bytes, BytesMut};
use net::{Attrs, Family, NextHop, SegmentKind};
use proptest::prelude::*;

use crate::generate;
use crate::mutation::{for_each_broken, seeds};
use crate::oracle::through_netgauze;

/// What an UPDATE says, in words that both speak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    withdrawn: Vec<String>,
    announced: Vec<(String, String)>,
    path: Vec<(u8, Vec<u32>)>,
    numbers: [Option<u32>; 4],
    aggregator: Option<(u32, Ipv4Addr)>,
    clusters: Vec<u32>,
    communities: Vec<u32>,
    large: Vec<[u32; 3]>,
    flags: (String, bool),
}

/// Ours; `None` where we complain, or have read what `bgpkit` cannot.
fn our_view(message: &[u8], rx: Rx) -> Option<View> {
    let (frame, _) = frame(message, rx.max()).ok()??;
    let Message::Update(update) = decode(frame, &rx).ok().filter(|_| frame.kind == Kind::Update)? else {
        return None;
    };
    let all = update.reach.iter().flat_map(|reach| &reach.nlri);
    let all = all.chain(update.unreach.iter().flat_map(|(_, nlri)| nlri));
    let speaks = all.clone().all(|nlri| nlri.prefix.len() > 0);
    let sound = update.faults.is_empty() && update.end_of_rib.is_none();
    (speaks && sound && all.count() > 0).then(|| of_ours(&update))
}

fn of_ours(update: &Update) -> View {
    let text = |nlri: &Nlri| nlri.prefix.to_string();
    let withdrawn = update.unreach.iter().flat_map(|(_, nlri)| nlri.iter().map(text)).collect();
    let mut view = View { withdrawn, ..View::default() };
    for Reach { attrs, nlri, .. } in &update.reach {
        let hop = attrs.next_hop.map_or(String::new(), hop);
        view.announced.extend(nlri.iter().map(|nlri| (text(nlri), hop.clone())));
        attributes(&mut view, attrs);
    }
    view.sorted()
}

fn hop(hop: NextHop) -> String {
    match hop {
        NextHop::V4(address) => address.to_string(),
        NextHop::V6 { global, link_local: None } => global.to_string(),
        NextHop::V6 { global, link_local: Some(local) } => format!("{global} {local}"),
    }
}

fn attributes(view: &mut View, attrs: &Attrs) {
    let kind = |kind| match kind {
        SegmentKind::Set => 1,
        SegmentKind::Sequence => 2,
        SegmentKind::ConfedSequence => 3,
        SegmentKind::ConfedSet => 4,
    };
    let segments = attrs.as_path.segments.iter();
    view.path = segments
        .map(|segment| (kind(segment.kind), segment.asns.iter().map(|asn| asn.0).collect()))
        .collect();
    let originator = attrs.originator_id.map(u32::from);
    view.numbers = [attrs.med, attrs.local_pref, originator, attrs.only_to_customer.map(|asn| asn.0)];
    view.aggregator = attrs.aggregator.map(|aggregator| (aggregator.asn.0, aggregator.router));
    view.clusters = attrs.cluster_list.iter().map(|id| id.to_bits()).collect();
    view.communities = attrs.communities.iter().map(|community| community.0).collect();
    view.large = attrs.large_communities.iter().map(|community| community.0).collect();
    view.flags = (format!("{:?}", attrs.origin).to_lowercase(), attrs.atomic_aggregate);
}

/// That of `bgpkit`; `None` where it complains.
fn their_view(message: &[u8]) -> Option<View> {
    let mut bytes = Bytes::copy_from_slice(message);
    let BgpMessage::Update(update) = parse_bgp_message(&mut bytes, false, &AsnLength::Bits32).ok()? else {
        return None;
    };
    let attrs = &update.attributes;
    if attrs.has_validation_warnings() {
        return None;
    }
    let text = |prefix: &NetworkPrefix| prefix.prefix.trunc().to_string();
    let unreach = attrs.get_unreachable_nlri().map(|nlri| &nlri.prefixes[..]).unwrap_or_default();
    let withdrawn = update.withdrawn_prefixes.iter().chain(unreach).map(text).collect();
    let mut view = View { withdrawn, ..View::default() };
    let classic = attrs.next_hop().map_or(String::new(), |hop| hop.to_string());
    view.announced = update.announced_prefixes.iter().map(|prefix| (text(prefix), classic.clone())).collect();
    if let Some(reach) = attrs.get_reachable_nlri() {
        let hop = match reach.next_hop {
            Some(NextHopAddress::Ipv4(address)) => address.to_string(),
            Some(NextHopAddress::Ipv6(address)) => address.to_string(),
            Some(NextHopAddress::Ipv6LinkLocal(global, local)) => pair(global, local),
            _ => return None,
        };
        view.announced.extend(reach.prefixes.iter().map(|prefix| (text(prefix), hop.clone())));
    }
    if !view.announced.is_empty() {
        theirs(&mut view, attrs);
    }
    Some(view.sorted())
}

/// As we read it: of a pair without a global address, the link-local one
/// stands in its place.
fn pair(global: Ipv6Addr, local: Ipv6Addr) -> String {
    format!("{} {local}", if global.is_unspecified() { local } else { global })
}

fn theirs(view: &mut View, attrs: &Attributes) {
    let segment = |segment: &AsPathSegment| match segment {
        AsPathSegment::AsSet(asns) => (1, asns.iter().map(|asn| u32::from(*asn)).collect()),
        AsPathSegment::AsSequence(asns) => (2, asns.iter().map(|asn| u32::from(*asn)).collect()),
        AsPathSegment::ConfedSequence(asns) => (3, asns.iter().map(|asn| u32::from(*asn)).collect()),
        AsPathSegment::ConfedSet(asns) => (4, asns.iter().map(|asn| u32::from(*asn)).collect()),
    };
    view.path = attrs.as_path().map_or(Vec::new(), |path| path.segments.iter().map(segment).collect());
    let originator = attrs.origin_id().map(u32::from);
    let customer = attrs.only_to_customer().map(u32::from);
    view.numbers = [attrs.multi_exit_discriminator(), attrs.local_preference(), originator, customer];
    view.aggregator = attrs.aggregator().map(|(asn, router)| (u32::from(asn), router));
    view.clusters = attrs.clusters().unwrap_or_default().to_vec();
    for community in attrs.iter_communities() {
        match community {
            MetaCommunity::Plain(Community::NoExport) => view.communities.push(0xffff_ff01),
            MetaCommunity::Plain(Community::NoAdvertise) => view.communities.push(0xffff_ff02),
            MetaCommunity::Plain(Community::NoExportSubConfed) => view.communities.push(0xffff_ff03),
            MetaCommunity::Plain(Community::Custom(asn, value)) => {
                view.communities.push(u32::from(asn) << 16 | u32::from(value));
            }
            MetaCommunity::Large(large) => {
                view.large.push([large.global_admin, large.local_data[0], large.local_data[1]]);
            }
            MetaCommunity::Extended(_) | MetaCommunity::Ipv6Extended(_) => {}
        }
    }
    view.flags = (format!("{:?}", attrs.origin()).to_lowercase(), attrs.atomic_aggregate());
}

impl View {
    /// The same without the routes of a family.
    fn without(mut self, family: Family) -> Self {
        let stays = |prefix: &str| prefix.contains(':') == (family == Family::Ipv4Unicast);
        self.withdrawn.retain(|prefix| stays(prefix));
        self.announced.retain(|(prefix, _)| stays(prefix));
        if self.announced.is_empty() {
            return Self { withdrawn: self.withdrawn, ..Self::default() };
        }
        self
    }

    /// Classic field and MP attribute come in any order.
    fn sorted(mut self) -> Self {
        self.withdrawn.sort();
        self.announced.sort();
        self
    }
}

/// A session that `bgpkit` assumes: internal, for nothing is discarded then.
fn session() -> Rx {
    Rx { external: false, extended: true, extended_next_hop: true, aigp: true, ..Rx::default() }
}

#[test]
fn bgpkit_reads_the_same_in_what_both_take() {
    let (mut both, mut less) = (0, 0);
    let wide: Vec<_> = seeds().into_iter().filter(|(_, as4)| *as4).collect();
    for_each_broken(60_000, &wide, |message| {
        // What only one of them takes is no disagreement on what it means.
        let (Some(ours), Some(theirs)) = (our_view(message, session()), their_view(message)) else { return };
        both += 1;
        assert_eq!(ours, theirs, "{message:02x?}");
        for family in Family::ALL {
            let mut disabled = session();
            disabled.disabled[family.index()] = true;
            let left = theirs.clone().without(family);
            less += usize::from(left != theirs);
            assert_eq!(our_view(message, disabled).unwrap_or_default(), left, "{family} {message:02x?}");
        }
    });
    assert!(both > 1_500, "{both} were taken by both: little was compared");
    assert!(less > 1_000, "{less} had routes of a family that was disabled");
}

#[test]
fn netgauze_reads_the_same_in_what_both_take() {
    for as4 in [true, false] {
        let seeds: Vec<_> = seeds().into_iter().filter(|(_, wide)| *wide == as4).collect();
        let (rx, mut both) = (Rx { as4, ..session() }, 0);
        let tx = Tx { as4, extended_messages: true, ..Tx::default() };
        for_each_broken(30_000, &seeds, |message| {
            let Some(ours) = our_view(message, rx) else { return };
            if let Ok(theirs) = through_netgauze(message, tx) {
                both += 1;
                assert_eq!(our_view(&theirs, rx), Some(ours), "{message:02x?} {theirs:02x?}");
            }
        });
        assert!(both > 500, "{both} were taken by both: little was compared");
    }
}

/// Codes of capabilities, and the values of those that `bgpkit` keeps as octets.
fn capabilities(open: &BgpOpenMessage) -> Vec<(u8, Option<Vec<u8>>)> {
    let all = open.opt_params.iter().filter_map(|parameter| match &parameter.param_value {
        ParamValue::Capacities(list) => Some(list),
        ParamValue::Raw(_) => None,
    });
    all.flatten()
        .map(|capability| match &capability.value {
            CapabilityValue::Raw(octets) => (capability.ty.into(), Some(octets.clone())),
            _ => (capability.ty.into(), None),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn bgpkit_reads_our_updates_as_we_mean_them(
        (family, attrs, nlri) in generate::family().prop_flat_map(|family| {
            (Just(family), generate::attrs(family), generate::nlri(family, false, 200))
        })
    ) {
        let nlri: Vec<Nlri> = nlri.into_iter().filter(|nlri| nlri.prefix.len() > 0).collect();
        prop_assume!(!nlri.is_empty());
        let mut encoder = Encoder::new(Tx { extended_messages: true, ..Tx::default() });
        let mut bytes = BytesMut::new();
        encoder.encode_update(&mut bytes, family, &attrs, &nlri).expect("it fits");
        let ours = our_view(&bytes, session());
        prop_assert!(ours.is_some());
        prop_assert_eq!(their_view(&bytes), ours);
    }

    #[test]
    fn bgpkit_finds_the_software_version_among_our_capabilities(
        mut open in generate::open(),
        text in "[a-zA-Z0-9/. ]{1,64}",
        at in 0..20_usize,
    ) {
        open.capabilities.retain(|one| !matches!(one, Capability::SoftwareVersion(_)));
        let at = at.min(open.capabilities.len());
        open.capabilities.insert(at, Capability::SoftwareVersion(text.clone().into()));
        let mut bytes = BytesMut::new();
        Encoder::default().encode_message(&mut bytes, &Message::Open(open.clone())).expect("it fits");
        let Ok(BgpMessage::Open(theirs)) = parse_bgp_message(&mut bytes.freeze(), false, &AsnLength::Bits32)
        else {
            return Err(TestCaseError::fail("bgpkit reads no OPEN"));
        };
        let found = capabilities(&theirs);
        prop_assert_eq!(found.len(), open.capabilities.len());
        // draft-abraitis-bgp-version-capability: a length, then the text.
        let octets = [&[u8::try_from(text.len()).expect("64 at most")], text.as_bytes()].concat();
        prop_assert_eq!(&found[at], &(75, Some(octets)));
    }
}
