//! The body of an UPDATE in any session: what can be read can be written, and
//! the messages that are written are sound.
#![no_main]

use bgp::wire::{Encoder, Frame, HEADER, Kind, MAX_EXTENDED_MESSAGE, Message, Rx, Tx, decode, frame};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, bool, [bool; 2], &[u8])| {
    let (as4, external, add_path, body) = input;
    if HEADER + body.len() > MAX_EXTENDED_MESSAGE {
        return;
    }
    let rx = Rx { as4, external, extended: true, add_path, families: [true; 2] };
    let message = [&[0; HEADER][..], body].concat();
    let Ok(update) = decode(Frame { kind: Kind::Update, message: &message }, &rx) else { return };
    let (mut out, tx) = (BytesMut::new(), Tx { as4, extended_messages: true, add_path });
    if Encoder::new(tx).encode_message(&mut out, &update).is_err() {
        return;
    }
    let mut stream = &out[..];
    while let Some((message, length)) = frame(stream, rx.max()).expect("a sound header") {
        let Ok(Message::Update(update)) = decode(message, &rx) else {
            panic!("what was read can be written")
        };
        assert_eq!(update.faults, []);
        stream = &stream[length..];
    }
    assert!(stream.is_empty());
});
