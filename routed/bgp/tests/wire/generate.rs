//! Arbitrary values that have a wire form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp::wire::{
    AddPath, Capability, GracefulRestart, LongLived, Nlri, Notification, Open, RouteRefresh, Tx,
};
use net::{
    Aggregator, AsPath, Asn, Attrs, Community, ExtCommunity, Family, Ipv6ExtCommunity, LargeCommunity,
    NextHop, Origin, Prefix, RawAttr, RouterId, Segment, SegmentKind,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A prefix of the family, of any length.
pub(crate) fn prefix(family: Family) -> BoxedStrategy<Prefix> {
    let cut = |address: IpAddr, length| Prefix::new(address, length).expect("the length is in range");
    match family {
        Family::Ipv4Unicast => {
            (any::<u32>(), 0..=32_u8).prop_map(move |(bits, n)| cut(Ipv4Addr::from(bits).into(), n)).boxed()
        }
        Family::Ipv6Unicast => {
            (any::<u128>(), 0..=128_u8).prop_map(move |(bits, n)| cut(Ipv6Addr::from(bits).into(), n)).boxed()
        }
    }
}

/// Up to so many prefixes, with path identifiers where the session has them.
pub(crate) fn nlri(family: Family, add_path: bool, most: usize) -> impl Strategy<Value = Vec<Nlri>> {
    let path_id = if add_path { any::<u32>().boxed() } else { Just(0).boxed() };
    vec((path_id, prefix(family)).prop_map(|(path_id, prefix)| Nlri { path_id, prefix }), 0..most)
}

/// What a session may have negotiated.
pub(crate) fn tx() -> impl Strategy<Value = Tx> {
    (any::<bool>(), any::<bool>(), any::<[bool; 2]>()).prop_map(|(as4, extended_messages, add_path)| Tx {
        as4,
        extended_messages,
        add_path,
        ..Tx::default()
    })
}

pub(crate) fn family() -> impl Strategy<Value = Family> {
    select(&Family::ALL[..])
}

fn host4() -> impl Strategy<Value = Ipv4Addr> {
    (0x0100_0000..0xe000_0000_u32).prop_map(Ipv4Addr::from)
}

fn host6() -> impl Strategy<Value = Ipv6Addr> {
    (1..0xff_u128 << 120).prop_map(Ipv6Addr::from)
}

/// A next hop that the family can carry.
fn next_hop(family: Family) -> BoxedStrategy<NextHop> {
    let v6 =
        (host6(), option::of(host6())).prop_map(|(global, link_local)| NextHop::V6 { global, link_local });
    match family {
        Family::Ipv4Unicast => prop_oneof![host4().prop_map(NextHop::V4), v6].boxed(),
        Family::Ipv6Unicast => v6.boxed(),
    }
}

/// AS numbers of both widths, never 0.
fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1..=65_535_u32, 65_536..=u32::MAX, Just(23_456)].prop_map(Asn)
}

/// A path with at most one leading confederation sequence, which a two-octet
/// session can carry too.
fn as_path() -> impl Strategy<Value = AsPath> {
    let confed = &[SegmentKind::ConfedSequence, SegmentKind::ConfedSet][..];
    let outside = &[SegmentKind::Sequence, SegmentKind::Set][..];
    // Members of a confederation with wide numbers all have four-octet
    // sessions (RFC 6793 §4.2.2): nothing restores those in another.
    let confed = (select(confed), vec((1..=65_535_u32).prop_map(Asn), 1..4));
    let outside = (select(outside), vec(asn(), 1..256));
    let segment = |(kind, asns)| Segment { kind, asns };
    let segments = (option::of(confed.prop_map(segment)), vec(outside.prop_map(segment), 0..3));
    segments.prop_map(|(confed, outside)| AsPath { segments: confed.into_iter().chain(outside).collect() })
}

/// Attributes that we pass on; the partial bit is set, as on all received ones.
fn unknown() -> impl Strategy<Value = Vec<RawAttr>> {
    let raw = (select(&[11_u8, 20, 33, 45, 128, 255][..]), vec(any::<u8>(), 0..300));
    vec(raw.prop_map(|(code, value)| RawAttr { flags: 0xe0, code, value: value.into() }), 0..3).prop_map(
        |mut list| {
            list.sort_by_key(|raw| raw.code);
            list.dedup_by_key(|raw| raw.code);
            list
        },
    )
}

/// TLVs of AIGP that are no metric.
fn other_tlvs() -> impl Strategy<Value = Box<[u8]>> {
    let tlv = (2..=255_u8, vec(any::<u8>(), 0..20)).prop_map(|(kind, value)| {
        let length = u16::try_from(3 + value.len()).expect("it is short").to_be_bytes();
        [&[kind], &length[..], &value].concat()
    });
    vec(tlv, 0..3).prop_map(|tlvs| tlvs.concat().into())
}

/// Any attributes with a next hop for the family.
pub(crate) fn attrs(family: Family) -> impl Strategy<Value = Attrs> {
    let path = (
        select(&[Origin::Igp, Origin::Egp, Origin::Incomplete][..]),
        as_path(),
        next_hop(family),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        any::<bool>(),
        option::of((asn(), any::<u32>())),
    );
    let tags = (
        vec(any::<u32>().prop_map(Community), 0..80),
        option::of(host4()),
        vec(any::<u32>().prop_map(Ipv4Addr::from), 0..4),
        vec(any::<u64>().prop_map(ExtCommunity), 0..40),
        vec(any::<[u32; 3]>().prop_map(LargeCommunity), 0..30),
        unknown(),
    );
    let rare = (
        vec(any::<[u8; 20]>().prop_map(Ipv6ExtCommunity), 0..4),
        option::of(0..u64::MAX),
        other_tlvs(),
        option::of(any::<u32>().prop_map(Asn)),
        any::<bool>(),
    );
    (path, tags, rare).prop_map(|(path, tags, rare)| {
        let (ipv6_ext_communities, aigp, aigp_more, only_to_customer, partial) = rare;
        let (origin, as_path, next_hop, med, local_pref, atomic_aggregate, aggregator) = path;
        let (communities, originator, cluster_list, ext_communities, large_communities, unknown) = tags;
        Attrs {
            origin,
            as_path,
            next_hop: Some(next_hop),
            med,
            local_pref,
            atomic_aggregate,
            aggregator: aggregator.map(|(asn, router)| Aggregator { asn, router: router.into() }),
            communities,
            originator_id: originator.and_then(|address| RouterId::try_from(address).ok()),
            cluster_list,
            ext_communities,
            ipv6_ext_communities,
            aigp,
            aigp_more,
            large_communities,
            only_to_customer,
            partial: u64::from(partial && only_to_customer.is_some()) << 35,
            unknown,
            tag: 0,
        }
    })
}

/// A capability; an unknown one has a code that we do not know.
fn capability() -> impl Strategy<Value = Capability> {
    let restart = (any::<bool>(), any::<bool>(), 0..4096_u16, vec(any::<(u16, u8, bool)>(), 0..4));
    prop_oneof![
        any::<(u16, u8)>().prop_map(|(afi, safi)| Capability::Multiprotocol { afi, safi }),
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessage),
        restart.prop_map(|(restarting, notification, restart_time, families)| {
            Capability::GracefulRestart(GracefulRestart { restarting, notification, restart_time, families })
        }),
        any::<u32>().prop_map(|asn| Capability::FourOctetAs(Asn(asn))),
        vec(any::<(u16, u16, u16)>(), 0..4).prop_map(Capability::ExtendedNextHop),
        any::<u8>().prop_map(Capability::Role),
        vec((any::<(u16, u8)>(), 1..=3_u8), 0..4).prop_map(|list| {
            let entry = |((afi, safi), way)| AddPath { afi, safi, receive: way & 1 != 0, send: way & 2 != 0 };
            Capability::AddPath(list.into_iter().map(entry).collect())
        }),
        vec((any::<(u16, u8, bool)>(), 0..1_u32 << 24), 0..4).prop_map(|list| {
            let entry =
                |((afi, safi, forwarding), stale_time)| LongLived { afi, safi, forwarding, stale_time };
            Capability::LongLivedGracefulRestart(list.into_iter().map(entry).collect())
        }),
        ("[a-z0-9-]{0,63}", "[a-z.]{0,20}")
            .prop_map(|(host, domain)| Capability::Fqdn { host: host.into(), domain: domain.into() }),
        "[a-zA-Z0-9/. ]{0,64}".prop_map(|text| Capability::SoftwareVersion(text.into())),
        Just(Capability::EnhancedRouteRefresh),
        (128..=255_u8, vec(any::<u8>(), 0..40))
            .prop_map(|(code, value)| Capability::Unknown { code, value: value.into() }),
    ]
}

pub(crate) fn open() -> impl Strategy<Value = Open> {
    (any::<u16>(), any::<u16>(), any::<u32>(), vec(capability(), 0..20)).prop_map(
        |(my_as, hold_time, identifier, capabilities)| Open {
            version: 4,
            my_as,
            hold_time,
            identifier: identifier.into(),
            capabilities,
        },
    )
}

pub(crate) fn notification() -> impl Strategy<Value = Notification> {
    (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..300)).prop_map(|(code, subcode, data)| Notification {
        code,
        subcode,
        data: data.into(),
    })
}

pub(crate) fn refresh() -> impl Strategy<Value = RouteRefresh> {
    any::<(u16, u8, u8)>().prop_map(|(afi, subtype, safi)| RouteRefresh { afi, subtype, safi })
}
