//! A datagram of RIPv2 or RIPng: what can be read can be written, and is then
//! read the same.

use net::Family;
use rip::wire::{Command, Entry, Packet, Room, decode_datagram, pack};

/// Takes one datagram; what is written has at most `most` octets.
fn run(family: Family, room: Room, most: usize, datagram: &[u8]) {
    let entries: Vec<Entry> = match decode_datagram(family, datagram) {
        Ok(Packet::Response(entries)) => entries.into_iter().filter_map(Result::ok).collect(),
        Ok(Packet::Request(entries)) => entries,
        Ok(Packet::WholeTable) | Err(_) => return,
    };
    let mut again = Vec::new();
    for packet in pack(family, Command::Request, room, &entries) {
        assert!(packet.len() <= most);
        match decode_datagram(family, &packet) {
            Ok(Packet::Request(entries)) => again.extend(entries),
            // One entry of the default route with metric 16 asks for everything.
            Ok(Packet::WholeTable) => return,
            other => panic!("what was read can be written: {other:?}"),
        }
    }
    assert_eq!(again, entries);
}

/// RIPv2.
pub fn v2(datagram: &[u8]) {
    run(Family::Ipv4Unicast, Room::PLAIN, 504, datagram);
}

/// `RIPng`.
pub fn ng(datagram: &[u8]) {
    run(Family::Ipv6Unicast, Room::of_mtu(1500), 1500 - 48, datagram);
}
