//! What is written is read again as it was.

use bgp::wire::{Encoder, Message, Nlri, Rx, Tx, Update, decode, frame};
use bytes::BytesMut;
use net::{Attrs, Family};
use proptest::prelude::*;

use crate::generate;

/// What the other side of a session reads with. Internal, so that nothing is
/// discarded.
pub(crate) fn reader(tx: Tx) -> Rx {
    Rx {
        as4: tx.as4,
        external: false,
        extended: tx.extended_messages,
        add_path: tx.add_path,
        extended_next_hop: true,
        aigp: true,
        families: [true; 2],
        ..Rx::default()
    }
}

/// All messages of a stream; it holds nothing else.
pub(crate) fn messages(mut bytes: &[u8], rx: Rx) -> Vec<Message> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (frame, length) = frame(bytes, rx.max()).expect("a sound header").expect("a whole message");
        messages.push(decode(frame, &rx).expect("a sound message"));
        bytes = &bytes[length..];
    }
    messages
}

/// The updates of a stream.
pub(crate) fn updates(bytes: &[u8], rx: Rx) -> Vec<Update> {
    let update = |message| match message {
        Message::Update(update) => update,
        other => panic!("{other:?} is no UPDATE"),
    };
    messages(bytes, rx).into_iter().map(update).collect()
}

fn family_with_attrs() -> impl Strategy<Value = (Tx, Family, Attrs)> {
    let pair = (generate::tx(), generate::family());
    pair.prop_flat_map(|(tx, family)| (Just(tx), Just(family), generate::attrs(family)))
}

fn family_with_nlri() -> impl Strategy<Value = (Tx, Family, Vec<Nlri>)> {
    let pair = (generate::tx(), generate::family());
    pair.prop_flat_map(|(tx, family)| {
        (Just(tx), Just(family), generate::nlri(family, tx.add_path[family.index()], 2000))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn attributes_are_read_as_they_were_written((tx, family, attrs) in family_with_attrs()) {
        let prefix = if family == Family::Ipv4Unicast { "192.0.2.0/24" } else { "2001:db8::/32" };
        let nlri = [Nlri::from(prefix.parse::<net::Prefix>().unwrap())];
        let mut out = BytesMut::new();
        match Encoder::new(tx).encode_update(&mut out, family, &attrs, &nlri) {
            Ok(count) => {
                prop_assert_eq!(count, 1);
                let updates = updates(&out, reader(tx));
                prop_assert_eq!(&updates[0].faults, &[]);
                prop_assert_eq!(&*updates[0].reach[0].attrs, &attrs);
                prop_assert_eq!(&updates[0].reach[0].nlri, &nlri);
            }
            Err(error) => {
                prop_assert!(!tx.extended_messages, "{} does not fit 65535 octets", error);
                prop_assert!(out.is_empty());
            }
        }
    }

    #[test]
    fn what_was_read_is_written_octet_for_octet(
        (tx, family, attrs, nlri) in family_with_attrs().prop_flat_map(|(tx, family, attrs)| {
            (Just(tx), Just(family), Just(attrs), generate::nlri(family, tx.add_path[family.index()], 300))
        })
    ) {
        let mut encoder = Encoder::new(tx);
        let mut first = BytesMut::new();
        prop_assume!(encoder.encode_update(&mut first, family, &attrs, &nlri).is_ok());
        encoder.encode_withdraw(&mut first, family, &nlri).unwrap();
        encoder.end_of_rib(&mut first, family);
        let mut again = BytesMut::new();
        for message in messages(&first, reader(tx)) {
            encoder.encode_message(&mut again, &message).unwrap();
        }
        prop_assert_eq!(again, first);
    }

    #[test]
    fn prefixes_are_packed_and_none_is_lost((tx, family, nlri) in family_with_nlri()) {
        let attrs = Attrs {
            next_hop: Some(match family {
                Family::Ipv4Unicast => net::NextHop::V4([192, 0, 2, 1].into()),
                Family::Ipv6Unicast => net::NextHop::V6 { global: std::net::Ipv6Addr::LOCALHOST, link_local: None },
            }),
            ..Attrs::default()
        };
        let mut encoder = Encoder::new(tx);
        let (mut reach, mut unreach) = (BytesMut::new(), BytesMut::new());
        let announced = encoder.encode_update(&mut reach, family, &attrs, &nlri).unwrap();
        let withdrawn = encoder.encode_withdraw(&mut unreach, family, &nlri).unwrap();
        let reach = updates(&reach, reader(tx));
        let unreach = updates(&unreach, reader(tx));
        prop_assert_eq!((announced, withdrawn), (reach.len() as u64, unreach.len() as u64));
        let told: Vec<Nlri> = reach.iter().flat_map(|update| update.reach[0].nlri.clone()).collect();
        prop_assert_eq!(&told, &nlri);
        let told: Vec<Nlri> = unreach.iter().flat_map(|update| update.unreach[0].1.clone()).collect();
        prop_assert_eq!(&told, &nlri);
    }

    #[test]
    fn other_messages_are_read_as_they_were_written(
        open in generate::open(),
        notification in generate::notification(),
        refresh in generate::refresh(),
    ) {
        let sent = [
            Message::Open(open),
            Message::Keepalive,
            Message::RouteRefresh(refresh),
            Message::Notification(notification),
        ];
        let (mut encoder, mut out) = (Encoder::default(), BytesMut::new());
        for message in &sent {
            prop_assert_eq!(encoder.encode_message(&mut out, message), Ok(1));
        }
        prop_assert_eq!(&messages(&out, Rx::default()), &sent);
    }
}
