//! A stream of bytes as a peer may send it: framing and decoding until the
//! first error. Nothing panics, and progress is made with every message.
#![no_main]

use bgp::wire::{Rx, decode, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8])| {
    let (extended, mut stream) = input;
    let rx = Rx { extended, ..Rx::default() };
    while let Ok(Some((message, length))) = frame(stream, rx.max()) {
        assert!(length == message.message.len() && length > 0);
        if decode(message, &rx).is_err() {
            return;
        }
        stream = &stream[length..];
    }
});
