//! How fast UPDATEs are read and written, beside netgauze on the same bytes.
//!
//! Run with `cargo bench -p bgp`. A ratio over 1 means that we are faster. The
//! two are measured in turn, several times, and the best run of each counts:
//! what else the machine does only ever makes a run slower.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use bgp::wire::{Encoder, Nlri, Rx, Tx, decode, frame};
use bytes::BytesMut;
use net::{AsPath, Attrs, Community, Family, NextHop, Prefix};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;

/// How often the two take turns.
const TURNS: usize = 7;
/// How long a turn lasts at least.
const TURN: Duration = Duration::from_millis(40);

fn main() {
    println!("{:<22} {:>14} {:>14} {:>7}", "million prefixes/s", "routed", "netgauze", "ratio");
    for family in Family::ALL {
        for count in [1, 200, 1000] {
            measure(family, count);
        }
    }
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

fn measure(family: Family, count: u32) {
    let (attrs, nlri) = routes(family, count);
    let tx = Tx { extended_messages: true, ..Tx::default() };
    let rx = Rx { extended: true, ..Rx::default() };
    let (mut encoder, mut bytes) = (Encoder::new(tx), BytesMut::new());
    let written = encoder.encode_update(&mut bytes, family, &attrs, &nlri);
    assert_eq!(written, Ok(1), "the routes fit one extended message");
    let mut context = BgpParsingContext::new(true, HashMap::new(), HashMap::new(), true, true, true, true);
    let theirs = parse(&bytes, &mut context);

    let ours = |bytes: &[u8]| {
        let (frame, _) = frame(bytes, rx.max()).ok().flatten().expect("a whole message");
        drop(black_box(decode(frame, &rx)));
    };
    let speeds = race(
        count,
        || ours(black_box(&bytes)),
        || {
            drop(black_box(parse(black_box(&bytes), &mut context)));
        },
    );
    report("read", family, count, speeds);

    let (mut a, mut b) = (BytesMut::new(), Vec::new());
    let speeds = race(
        count,
        || {
            a.clear();
            encoder.encode_update(&mut a, family, black_box(&attrs), &nlri).expect("as before");
            black_box(&a);
        },
        || {
            b.clear();
            black_box(&theirs).write(&mut b).expect("what was read can be written");
            black_box(&b);
        },
    );
    report("write", family, count, speeds);
}

fn parse(bytes: &[u8], context: &mut BgpParsingContext) -> BgpMessage {
    BgpMessage::parse(&mut SliceReader::new(bytes), context).expect("netgauze reads our messages")
}

/// The best speed of each, in million prefixes a second.
fn race(count: u32, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> [f64; 2] {
    let mut best = [0.0_f64; 2];
    for _ in 0..TURNS {
        best[0] = best[0].max(speed(count, &mut ours));
        best[1] = best[1].max(speed(count, &mut theirs));
    }
    best
}

fn speed(count: u32, work: &mut impl FnMut()) -> f64 {
    let (start, mut messages) = (Instant::now(), 0_u32);
    loop {
        for _ in 0..100 {
            work();
        }
        messages += 100;
        let time = start.elapsed();
        if time >= TURN {
            return f64::from(messages) * f64::from(count) / time.as_secs_f64() / 1e6;
        }
    }
}

fn report(what: &str, family: Family, count: u32, [ours, theirs]: [f64; 2]) {
    let name = format!("{what} {family} x{count}");
    println!("{name:<22} {ours:>14.2} {theirs:>14.2} {:>7.2}", ours / theirs);
}
