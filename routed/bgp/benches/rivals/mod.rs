//! The codec and its rivals, each ready to read and to write the same UPDATE.
//!
//! A rival gets what makes it fastest: a buffer that is kept, bytes that it
//! need not copy, a session without guessing. `None` stands where it refuses:
//! `bgp-rs` writes no message of more than 4,096 octets.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp::wire::{Encoder, Nlri, Rx, Tx, decode, frame};
use bgpkit_parser::models::AsnLength;
use bgpkit_parser::parser::bgp::parse_bgp_message;
use bytes::{Bytes, BytesMut};
use net::{AsPath, Attrs, Community, Family, NextHop, Prefix};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use zettabgp::BgpMessage as _;
use zettabgp::message::BgpMessageType;
use zettabgp::message::update::BgpUpdateMessage;
use zettabgp::{BgpSessionParams, BgpTransportMode};

/// The counts of prefixes that are measured.
pub(crate) const COUNTS: [u32; 3] = [1, 200, 1000];

/// Reads or writes the message once.
pub(crate) type Work = Box<dyn FnMut()>;

/// A codec.
pub(crate) struct Speaker {
    /// Its crate.
    pub(crate) name: &'static str,
    /// Reads the message.
    pub(crate) read: Work,
    /// Writes what it has read, where it can.
    pub(crate) write: Option<Work>,
    /// What it writes.
    pub(crate) written: Vec<u8>,
}

/// The session of all of them.
pub(crate) const RX: Rx = Rx {
    as4: true,
    external: true,
    extended: true,
    add_path: [false; 2],
    extended_next_hop: false,
    aigp: false,
    families: [true; 2],
    disabled: [false; 2],
};

/// All codecs with the same UPDATE of so many prefixes, ours first.
pub(crate) fn speakers(family: Family, count: u32) -> Vec<Speaker> {
    let (attrs, nlri) = routes(family, count);
    let tx = Tx { extended_messages: true, ..Tx::default() };
    let (mut encoder, mut bytes) = (Encoder::new(tx), BytesMut::new());
    let written = encoder.encode_update(&mut bytes, family, &attrs, &nlri);
    assert_eq!(written, Ok(1), "the routes fit one extended message");
    let bytes = bytes.freeze();
    vec![
        routed(encoder, family, (attrs, nlri), bytes.clone()),
        zetta(bytes.clone()),
        bgpkit(bytes.clone()),
        netgauze(bytes.clone()),
        bgp_rs(bytes),
    ]
}

/// Routes as a table has them: a path of four, two communities, lengths about
/// a /24 or a /48.
fn routes(family: Family, count: u32) -> (Attrs, Vec<Nlri>) {
    let (next_hop, length) = match family {
        Family::Ipv4Unicast => (IpAddr::from([192, 0, 2, 1]), 24),
        Family::Ipv6Unicast => (IpAddr::V6(Ipv6Addr::LOCALHOST), 48),
    };
    let attrs = Attrs {
        as_path: AsPath::sequence([64_512, 70_000, 65_001, 3_356]),
        next_hop: Some(NextHop::from(next_hop)),
        med: Some(10),
        communities: vec![Community(0xfc00_0064), Community::NO_EXPORT],
        ..Attrs::default()
    };
    let prefix = |n: u32| {
        let length = length - u8::try_from(n % 5).unwrap_or(0);
        let address = match family {
            Family::Ipv4Unicast => IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + n * 0x1f00)),
            Family::Ipv6Unicast => IpAddr::V6(Ipv6Addr::from((0x2001_0db8_0000 + u128::from(n) * 31) << 80)),
        };
        Prefix::new(address, length).map(Nlri::from)
    };
    (attrs, (0..count).filter_map(prefix).collect())
}

fn routed(mut encoder: Encoder, family: Family, (attrs, nlri): (Attrs, Vec<Nlri>), bytes: Bytes) -> Speaker {
    let written = bytes.to_vec();
    let read = move || {
        let (frame, _) = frame(black_box(&bytes), RX.max()).ok().flatten().expect("a whole message");
        drop(black_box(decode(frame, &RX)));
    };
    let mut out = BytesMut::new();
    let write = move || {
        out.clear();
        encoder.encode_update(&mut out, family, black_box(&attrs), &nlri).expect("as before");
        black_box(&out);
    };
    Speaker { name: "routed", read: Box::new(read), write: Some(Box::new(write)), written }
}

fn zetta(bytes: Bytes) -> Speaker {
    let session = || {
        let (mode, id) = (BgpTransportMode::IPv4, Ipv4Addr::new(192, 0, 2, 1));
        let mut session = BgpSessionParams::new(64_512, 90, mode, id, Vec::new());
        session.fuzzy_pathid = false;
        session
    };
    let parse = |session: &BgpSessionParams, bytes: &[u8]| {
        let (_, length) = session.decode_message_head(bytes).expect("a header");
        let mut update = BgpUpdateMessage::new();
        update.decode_from(session, &bytes[19..19 + length]).expect("zettabgp reads our messages");
        update
    };
    let (session, other) = (session(), session());
    let update = parse(&session, &bytes);
    let mut out = vec![0; 65_535];
    let encode = move |out: &mut [u8]| {
        let length = black_box(&update).encode_to(&session, &mut out[19..]).expect("as read");
        session.prepare_message_buf(out, BgpMessageType::Update, length).expect("there is room");
        19 + length
    };
    let length = encode(&mut out);
    let written = out[..length].to_vec();
    let write = move || {
        encode(&mut out);
        black_box(&out);
    };
    let read = move || drop(black_box(parse(&other, black_box(&bytes))));
    Speaker { name: "zettabgp", read: Box::new(read), write: Some(Box::new(write)), written }
}

fn bgpkit(bytes: Bytes) -> Speaker {
    let parse = |bytes: &Bytes| {
        parse_bgp_message(&mut bytes.clone(), false, &AsnLength::Bits32).expect("bgpkit reads our messages")
    };
    let message = parse(&bytes);
    let written = message.encode(AsnLength::Bits32).expect("as read").to_vec();
    let write = move || {
        drop(black_box(black_box(&message).encode(AsnLength::Bits32).expect("as read")));
    };
    let read = move || drop(black_box(parse(black_box(&bytes))));
    Speaker { name: "bgpkit", read: Box::new(read), write: Some(Box::new(write)), written }
}

fn netgauze(bytes: Bytes) -> Speaker {
    let mut context = BgpParsingContext::new(true, HashMap::new(), HashMap::new(), true, true, true, true);
    let mut parse = move |bytes: &[u8]| {
        BgpMessage::parse(&mut SliceReader::new(bytes), &mut context).expect("netgauze reads our messages")
    };
    let (message, mut out) = (parse(&bytes), Vec::new());
    message.write(&mut out).expect("as read");
    let written = out.clone();
    let write = move || {
        out.clear();
        black_box(&message).write(&mut out).expect("as read");
        black_box(&out);
    };
    let read = move || drop(black_box(parse(black_box(&bytes))));
    Speaker { name: "netgauze", read: Box::new(read), write: Some(Box::new(write)), written }
}

fn bgp_rs(bytes: Bytes) -> Speaker {
    let parse = |bytes: &[u8]| bgp_rs::Reader::new(bytes).read().expect("bgp-rs reads our messages").1;
    let (message, mut out) = (parse(&bytes), Vec::new());
    let can = message.encode(&mut out).is_ok();
    let written = out.clone();
    let write = can.then(|| {
        let write = move || {
            out.clear();
            black_box(&message).encode(&mut out).expect("as before");
            black_box(&out);
        };
        Box::new(write) as Work
    });
    let read = move || drop(black_box(parse(black_box(&bytes))));
    Speaker { name: "bgp-rs", read: Box::new(read), write, written }
}
