//! Bytes as a BGP peer may send them: nothing panics, progress is made with
//! every message, and what can be read can be written.

use bgp::wire::{Encoder, Frame, HEADER, Kind, MAX_EXTENDED_MESSAGE, Message, Rx, Tx, Update, decode, frame};
use bytes::BytesMut;

/// A message of this kind with the body of choice.
pub(crate) fn message(kind: Kind, body: &[u8], rx: &Rx) -> Option<Message> {
    let message = [&[0; HEADER][..], body].concat();
    if message.len() > MAX_EXTENDED_MESSAGE {
        return None;
    }
    decode(Frame { kind, message: &message }, rx).ok()
}

/// What the other side of a session writes with.
pub(crate) fn writer(rx: &Rx) -> Tx {
    Tx { as4: rx.as4, extended_messages: rx.extended, add_path: rx.add_path, enhanced_refresh: true }
}

/// Framing and decoding until the first error.
pub fn stream(extended: bool, mut stream: &[u8]) {
    let rx = Rx { extended, ..Rx::default() };
    while let Ok(Some((message, length))) = frame(stream, rx.max()) {
        assert!(length == message.message.len() && length > 0);
        if decode(message, &rx).is_err() {
            return;
        }
        stream = &stream[length..];
    }
}

/// What can be read can be written, and is then read the same.
pub fn open(body: &[u8]) {
    let Some(open) = message(Kind::Open, body, &Rx::default()) else { return };
    let mut out = BytesMut::new();
    // A longer OPEN than the protocol has room for cannot have come in a frame.
    if Encoder::default().encode_message(&mut out, &open).is_ok() {
        assert_eq!(message(Kind::Open, &out[HEADER..], &Rx::default()), Some(open));
    }
}

/// The messages that are written of what was read are sound.
pub fn update(as4: bool, external: bool, add_path: [bool; 2], body: &[u8]) {
    let session = Rx { extended: true, extended_next_hop: true, aigp: true, ..Rx::default() };
    let rx = Rx { as4, external, add_path, ..session };
    if let Some(Message::Update(update)) = message(Kind::Update, body, &rx) {
        rewrite(update, &rx);
    }
}

/// Writes an update and reads it again; `None`: it has no form on the wire.
pub(crate) fn rewrite(update: Update, rx: &Rx) -> Option<Vec<Update>> {
    let mut out = BytesMut::new();
    Encoder::new(writer(rx)).encode_message(&mut out, &Message::Update(update)).ok()?;
    let (mut stream, mut again) = (&out[..], Vec::new());
    while let Some((message, length)) = frame(stream, rx.max()).expect("a sound header") {
        let Ok(Message::Update(update)) = decode(message, rx) else { panic!("what was read can be written") };
        assert_eq!(update.faults, []);
        again.push(update);
        stream = &stream[length..];
    }
    assert!(stream.is_empty());
    Some(again)
}
