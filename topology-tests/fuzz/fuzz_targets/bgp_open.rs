//! The body of an OPEN: what can be read can be written, and is then read the
//! same.
#![no_main]

use bgp::wire::{Encoder, Frame, HEADER, Kind, Rx, decode};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let message = [&[0; HEADER][..], body].concat();
    let Ok(open) = decode(Frame { kind: Kind::Open, message: &message }, &Rx::default()) else { return };
    let mut out = BytesMut::new();
    // A longer OPEN than the protocol has room for cannot have come in a frame.
    if Encoder::default().encode_message(&mut out, &open).is_ok() {
        let again = decode(Frame { kind: Kind::Open, message: &out }, &Rx::default());
        assert_eq!(again, Ok(open));
    }
});
