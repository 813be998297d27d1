//! One attribute with any value and flags, among sound ones: whatever is wrong
//! with it, it moves no other, the routes of the message are used or withdrawn
//! and never lost, and what is kept of it can be told on.

use bgp::wire::{Kind, Message, Nlri, Rx, Treatment, Update};
use net::{Family, Prefix};

use crate::bgp_wire::{message, rewrite};

const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0x40;
const EXTENDED: u8 = 0x10;
const MED: u8 = 4;
const LOCAL_PREF: u8 = 5;
const MP: [u8; 2] = [14, 15];
/// The metric that stands behind the attribute in question.
const METRIC: u32 = 0x0102_0304;

/// Every attribute that we know, two that we do not, and their flags.
pub const ATTRIBUTES: [(u8, u8); 23] = [
    (1, TRANSITIVE),
    (2, TRANSITIVE),
    (3, TRANSITIVE),
    (MED, OPTIONAL),
    (LOCAL_PREF, TRANSITIVE),
    (6, TRANSITIVE),
    (7, OPTIONAL | TRANSITIVE),
    (8, OPTIONAL | TRANSITIVE),
    (9, OPTIONAL),
    (10, OPTIONAL),
    (14, OPTIONAL),
    (15, OPTIONAL),
    (16, OPTIONAL | TRANSITIVE),
    (17, OPTIONAL | TRANSITIVE),
    (18, OPTIONAL | TRANSITIVE),
    (25, OPTIONAL | TRANSITIVE),
    (26, OPTIONAL),
    (32, OPTIONAL | TRANSITIVE),
    (35, OPTIONAL | TRANSITIVE),
    (40, OPTIONAL | TRANSITIVE),
    (99, OPTIONAL | TRANSITIVE),
    (100, OPTIONAL),
    (0, OPTIONAL | TRANSITIVE),
];

/// Writes an attribute.
fn put(body: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("checked before").to_be_bytes();
    if flags & EXTENDED == 0 && length[0] == 0 {
        body.extend([flags, code, length[1]]);
    } else {
        body.extend([flags | EXTENDED, code, length[0], length[1]]);
    }
    body.extend(value);
}

/// The body of an UPDATE with a route to 10.1/16 and the attribute in question.
fn body(rx: &Rx, flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let path: &[u8] = if rx.as4 { &[2, 1, 0, 0, 0xfd, 0xea] } else { &[2, 1, 0xfd, 0xea] };
    let sound: [(u8, u8, &[u8]); 4] = [
        (TRANSITIVE, 1, &[0]),
        (TRANSITIVE, 2, path),
        (TRANSITIVE, 3, &[192, 0, 2, 1]),
        (TRANSITIVE, LOCAL_PREF, &[0, 0, 0, 100]),
    ];
    let mut attributes = Vec::new();
    for (flags, sound, value) in sound.iter().filter(|(_, sound, _)| *sound != code) {
        put(&mut attributes, *flags, *sound, value);
    }
    put(&mut attributes, flags, code, value);
    if code != MED {
        put(&mut attributes, OPTIONAL, MED, &METRIC.to_be_bytes());
    }
    let length = u16::try_from(attributes.len()).expect("checked before").to_be_bytes();
    let path_id: &[u8] = if rx.add_path[0] { &[0, 0, 0, 7] } else { &[] };
    [&[0, 0], &length[..], &attributes, path_id, &[16, 10, 1]].concat()
}

/// `session`: a bit for each property. `which`: an index into [`ATTRIBUTES`].
/// `flags`: bit 0 says whether they count or the right ones are taken.
pub fn run(session: u8, which: u8, flags: u8, value: &[u8]) {
    let bit = |bit: u8| session & 1 << bit != 0;
    let rx = Rx {
        as4: bit(0),
        external: bit(1),
        extended: true,
        add_path: [bit(2), bit(3)],
        extended_next_hop: bit(4),
        aigp: bit(5),
        families: [true, bit(6)],
        ..Rx::default()
    };
    let (code, right) = ATTRIBUTES[usize::from(which) % ATTRIBUTES.len()];
    let flags = if flags & 1 == 0 { right | flags & EXTENDED } else { flags & 0xf0 };
    if value.len() > 60_000 {
        return;
    }
    let Some(Message::Update(update)) = message(Kind::Update, &body(&rx, flags, code, value), &rx) else {
        return;
    };
    if !MP.contains(&code) {
        check(code, &rx, &update);
    }
    let kept = update.reach.clone();
    let sound = update.faults.is_empty();
    let Some(again) = rewrite(update, &rx) else { return };
    // A path of wide numbers is told to a two-octet peer in two attributes.
    if sound && rx.as4 {
        let again: Vec<_> = again.into_iter().flat_map(|update| update.reach).collect();
        assert_eq!(again, kept, "attribute {code}");
    }
}

/// The route stands on one side, and on the right one.
fn check(code: u8, rx: &Rx, update: &Update) {
    let prefix: Prefix = "10.1.0.0/16".parse().expect("a prefix");
    let route = vec![Nlri { path_id: if rx.add_path[0] { 7 } else { 0 }, prefix }];
    let withdrawn = update.faults.iter().any(|fault| fault.treatment == Treatment::TreatAsWithdraw);
    if withdrawn {
        assert!(update.reach.is_empty());
        assert_eq!(update.unreach, [(Family::Ipv4Unicast, route)], "attribute {code}");
        return;
    }
    assert!(update.unreach.is_empty());
    let [reach] = &update.reach[..] else { panic!("attribute {code}: {update:?}") };
    assert_eq!(reach.nlri, route);
    assert!(code == MED || reach.attrs.med == Some(METRIC), "attribute {code} has moved the next one");
}
