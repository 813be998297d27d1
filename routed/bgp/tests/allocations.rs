//! Reading and writing ask for memory by the message, never by the prefix.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use allocation_counter::measure;
use bgp::wire::{Encoder, Nlri, Rx, Tx, decode, frame};
use bytes::BytesMut;
use net::{AsPath, Attrs, Community, Family, NextHop, Prefix};

fn nlri(family: Family, count: u32) -> Vec<Nlri> {
    let address = |n: u32| match family {
        Family::Ipv4Unicast => IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + (n << 8))),
        Family::Ipv6Unicast => IpAddr::V6(Ipv6Addr::from((0x2001_0db8_0000 + u128::from(n)) << 80)),
    };
    let length = |n: u32| if address(n).is_ipv4() { 24 } else { 48 };
    let prefix = |n: u32| Nlri::from(Prefix::new(address(n), length(n)).expect("the length is in range"));
    (0..count).map(prefix).collect()
}

/// What is allocated to announce and withdraw `count` prefixes, and to read
/// the messages again.
fn allocations(family: Family, count: u32) -> (u64, u64) {
    let next_hop = match family {
        Family::Ipv4Unicast => IpAddr::from([192, 0, 2, 1]),
        Family::Ipv6Unicast => Ipv6Addr::LOCALHOST.into(),
    };
    let attrs = Attrs {
        as_path: AsPath::sequence([64_512, 70_000]),
        next_hop: Some(NextHop::from(next_hop)),
        communities: vec![Community::NO_EXPORT],
        ..Attrs::default()
    };
    let (nlri, rx) = (nlri(family, count), Rx { extended: true, ..Rx::default() });
    let mut encoder = Encoder::new(Tx { extended_messages: true, ..Tx::default() });
    let mut out = BytesMut::with_capacity(65_535);
    let mut write = || {
        out.clear();
        let announced = encoder.encode_update(&mut out, family, &attrs, &nlri);
        let withdrawn = encoder.encode_withdraw(&mut out, family, &nlri);
        assert_eq!((announced, withdrawn), (Ok(1), Ok(1)), "one message each");
    };
    // The buffers of the encoder grow once.
    write();
    let written = measure(&mut write).count_total;
    let read = measure(|| {
        let mut stream = &out[..];
        while let Some((message, length)) = frame(stream, rx.max()).expect("a sound header") {
            drop(decode(message, &rx).expect("a sound message"));
            stream = &stream[length..];
        }
    });
    (written, read.count_total)
}

#[test]
fn more_prefixes_take_no_more_allocations() {
    for family in Family::ALL {
        let one = allocations(family, 1);
        assert_eq!(one.0, 0, "what is written goes into buffers that are there");
        assert!((1..20).contains(&one.1), "{one:?}: an empty count would count nothing");
        for count in [2, 200, 1000, 4000] {
            assert_eq!(allocations(family, count), one, "{family}, {count} prefixes");
        }
    }
}
