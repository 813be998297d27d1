//! A datagram of RIPv2: what can be read can be written, and is then read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::Family;
use rip::wire::{Command, Entry, Packet, Room, decode_datagram, pack};

const FAMILY: Family = Family::Ipv4Unicast;

fuzz_target!(|datagram: &[u8]| {
    let entries: Vec<Entry> = match decode_datagram(FAMILY, datagram) {
        Ok(Packet::Response(entries)) => entries.into_iter().filter_map(Result::ok).collect(),
        Ok(Packet::Request(entries)) => entries,
        Ok(Packet::WholeTable) | Err(_) => return,
    };
    let mut again = Vec::new();
    for packet in pack(FAMILY, Command::Request, Room::PLAIN, &entries) {
        assert!(packet.len() <= 504);
        match decode_datagram(FAMILY, &packet) {
            Ok(Packet::Request(entries)) => again.extend(entries),
            // One entry of the default route with metric 16 asks for everything.
            Ok(Packet::WholeTable) => return,
            other => panic!("what was read can be written: {other:?}"),
        }
    }
    assert_eq!(again, entries);
});
