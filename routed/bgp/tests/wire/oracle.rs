//! Other implementations read what we write as we mean it.
//!
//! `netgauze` reads everything but confederation segments and multicast
//! prefixes, and writes it again for us to read. `bgp-rs` guesses the width of
//! AS numbers and whether there are path identifiers, so it is asked only
//! where the bytes leave it no choice.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use bgp::wire::{Capability, Encoder, Message, Nlri, Tx};
use bgp_rs::{NLRIEncoding, PathAttribute};
use bytes::BytesMut;
use net::{AsPath, Attrs, Family, NextHop, Prefix};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_iana::address_family::AddressType;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use proptest::prelude::*;

use crate::generate;
use crate::round_trip::{messages, reader, updates};

/// Reads a stream with netgauze, strictly, and writes it again.
pub(crate) fn through_netgauze(bytes: &[u8], tx: Tx) -> Result<Vec<u8>, String> {
    let add_path = HashMap::from([
        (AddressType::Ipv4Unicast, tx.add_path[0]),
        (AddressType::Ipv6Unicast, tx.add_path[1]),
    ]);
    let mut context = BgpParsingContext::new(tx.as4, HashMap::new(), add_path, true, true, true, true);
    let mut cursor = SliceReader::new(bytes);
    let mut out = Vec::new();
    while cursor.offset() < bytes.len() {
        let message = BgpMessage::parse(&mut cursor, &mut context).map_err(|error| format!("{error:?}"))?;
        message.write(&mut out).map_err(|error| format!("{error:?}"))?;
    }
    Ok(out)
}

/// The generated values without what netgauze does not speak.
fn spoken(mut attrs: Attrs, mut nlri: Vec<Nlri>) -> (Attrs, Vec<Nlri>) {
    attrs
        .as_path
        .segments
        .retain(|segment| matches!(segment.kind, net::SegmentKind::Sequence | net::SegmentKind::Set));
    // Of the typed ones, netgauze loses octets that are reserved; route targets have none.
    for community in &mut attrs.ext_communities {
        community.0 = community.0 & 0xffff_ffff_ffff | 0x0002 << 48;
    }
    // It knows no TLV of AIGP but the metric.
    attrs.aigp_more = Box::default();
    // It takes the partial bit of ONLY_TO_CUSTOMER for an error.
    attrs.partial = 0;
    nlri.retain(|nlri| !nlri.prefix.address().is_multicast() && !nlri.prefix.is_martian());
    (attrs, nlri)
}

/// A capability with the families that netgauze has a name for.
fn named(capability: Capability) -> Capability {
    match capability {
        Capability::Multiprotocol { afi, .. } => Capability::Multiprotocol { afi: afi % 2 + 1, safi: 1 },
        Capability::GracefulRestart(mut restart) => {
            for (afi, safi, _) in &mut restart.families {
                (*afi, *safi) = (*afi % 2 + 1, 1);
            }
            Capability::GracefulRestart(restart)
        }
        Capability::ExtendedNextHop(tuples) => {
            Capability::ExtendedNextHop(tuples.iter().map(|_| (1, 1, 2)).collect())
        }
        Capability::AddPath(mut families) => {
            for family in &mut families {
                (family.afi, family.safi) = (family.afi % 2 + 1, 1);
            }
            Capability::AddPath(families)
        }
        Capability::LongLivedGracefulRestart(mut families) => {
            for family in &mut families {
                (family.afi, family.safi) = (family.afi % 2 + 1, 1);
            }
            Capability::LongLivedGracefulRestart(families)
        }
        // It knows the roles that have a name.
        Capability::Role(number) => Capability::Role(number % 5),
        // The code of the old route refresh, for one, has a meaning for netgauze.
        Capability::Unknown { value, .. } => Capability::Unknown { code: 200, value },
        other => other,
    }
}

fn announcement() -> impl Strategy<Value = (Tx, Family, (Attrs, Vec<Nlri>))> {
    (generate::tx(), generate::family()).prop_flat_map(|(tx, family)| {
        let nlri = generate::nlri(family, tx.add_path[family.index()], 200);
        let values = (generate::attrs(family), nlri).prop_map(|(attrs, nlri)| spoken(attrs, nlri));
        (Just(tx), Just(family), values)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn netgauze_reads_our_updates_as_we_mean_them((tx, family, (attrs, nlri)) in announcement()) {
        let mut encoder = Encoder::new(tx);
        let mut ours = BytesMut::new();
        prop_assume!(encoder.encode_update(&mut ours, family, &attrs, &nlri).is_ok());
        encoder.encode_withdraw(&mut ours, family, &nlri).unwrap();
        encoder.end_of_rib(&mut ours, family);
        let theirs = through_netgauze(&ours, tx).map_err(TestCaseError::fail)?;
        prop_assert_eq!(updates(&theirs, reader(tx)), updates(&ours, reader(tx)));
    }

    #[test]
    fn netgauze_reads_our_opens_as_we_mean_them(mut open in generate::open()) {
        open.identifier = [192, 0, 2, 1].into();
        open.capabilities = open.capabilities.into_iter().map(named).take(6).collect();
        let (mut ours, tx) = (BytesMut::new(), Tx::default());
        Encoder::new(tx).encode_message(&mut ours, &Message::Open(open)).unwrap();
        let theirs = through_netgauze(&ours, tx).map_err(TestCaseError::fail)?;
        prop_assert_eq!(messages(&theirs, reader(tx)), messages(&ours, reader(tx)));
    }

    #[test]
    fn bgp_rs_reads_our_updates_as_we_mean_them(
        numbers in any::<[u32; 3]>(),
        next_hop in 0x0100_0000..0xe000_0000_u32,
        hosts in proptest::collection::vec((any::<[u8; 3]>(), 33..=255_u8), 1..100),
        communities in proptest::collection::vec(any::<u32>(), 1..20),
    ) {
        let [med, local_pref, cluster] = numbers;
        let attrs = Attrs {
            // An odd count of wide numbers cannot be taken for narrow ones.
            as_path: AsPath::sequence([70_000, 80_000, 90_000]),
            next_hop: Some(NextHop::V4(next_hop.into())),
            med: Some(med),
            local_pref: Some(local_pref),
            communities: communities.iter().copied().map(net::Community).collect(),
            cluster_list: vec![cluster.into()],
            ..Attrs::default()
        };
        // A last octet over 32 is no prefix length, so no path identifiers are seen.
        let host = |([a, b, c], d): ([u8; 3], u8)| Nlri::from(Prefix::host(IpAddr::from([a, b, c, d])));
        let nlri: Vec<Nlri> = hosts.into_iter().map(host).collect();
        let mut bytes = BytesMut::new();
        Encoder::default().encode_update(&mut bytes, Family::Ipv4Unicast, &attrs, &nlri).unwrap();

        let (_, message) = bgp_rs::Reader::new(&bytes[..]).read().unwrap();
        let bgp_rs::Message::Update(update) = message else { panic!("no UPDATE") };
        let told: Vec<Ipv4Addr> = update.announced_routes.iter().map(|route| match route {
            NLRIEncoding::IP(prefix) if prefix.length == 32 => {
                Ipv4Addr::from(<[u8; 4]>::try_from(&prefix.prefix[..]).unwrap())
            }
            other => panic!("{other:?} is no host route"),
        }).collect();
        let meant: Vec<IpAddr> = nlri.iter().map(|nlri| nlri.prefix.address()).collect();
        prop_assert_eq!(told.into_iter().map(IpAddr::V4).collect::<Vec<_>>(), meant);
        let expect = [
            PathAttribute::ORIGIN(bgp_rs::Origin::IGP),
            PathAttribute::AS_PATH(bgp_rs::ASPath {
                segments: vec![bgp_rs::Segment::AS_SEQUENCE(vec![70_000, 80_000, 90_000])],
            }),
            PathAttribute::NEXT_HOP(Ipv4Addr::from(next_hop).into()),
            PathAttribute::MULTI_EXIT_DISC(med),
            PathAttribute::LOCAL_PREF(local_pref),
            PathAttribute::COMMUNITY(communities),
            PathAttribute::CLUSTER_LIST(vec![cluster]),
        ];
        prop_assert_eq!(format!("{:?}", update.attributes), format!("{expect:?}"));
    }
}
