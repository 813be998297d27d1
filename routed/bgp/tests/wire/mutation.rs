//! Broken messages: every one gives a value or an error, and what gives a
//! value can be written again.

use arbtest::arbitrary::{Result, Unstructured};
use bgp::wire::{Encoder, HEADER, Message, Rx, Treatment, Tx, decode, frame};
use bytes::BytesMut;
use hex_literal::hex;

use crate::round_trip::messages;

/// A whole message.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).expect("a short message");
    [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

/// An UPDATE.
fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = |field: &[u8]| u16::try_from(field.len()).expect("a short field").to_be_bytes();
    message(2, &[&length(withdrawn)[..], withdrawn, &length(attributes), attributes, nlri].concat())
}

/// Messages as other speakers send them, and whether their session has
/// four-octet AS numbers; every attribute stands in one.
pub(crate) fn seeds() -> Vec<(Vec<u8>, bool)> {
    let open = hex!(
        "04 5ba0 005a c0000201 26 02 24 0104 0001 00 01 0104 0002 00 01 0200 0600 4600
        400a c078 0001 01 80 0002 01 00 4104 00011170"
    );
    let internal = hex!(
        "400101 00 40020a 02 02 0000fde9 00011170 400304 c0000201 800404 00000064
        400504 000000c8 400600 c00708 00011170 c0000202 c00808 fde90064 ffffff01 800904 c0000203
        800a04 c0000204 c01008 0002fde900000064 c0200c 000111700000000100000002 c02304 0000fde9
        e0c803 010203"
    );
    let reach = hex!(
        "800e 32 0002 01 20 20010db8000000000000000000000001 fe800000000000000000000000000001
        00 20 20010db8 30 20010db80001 00 400101 00 40020c 02 01 0000fde9 01 01 0000fdea"
    );
    let narrow = hex!(
        "400101 00 400206 02 02 0007 5ba0 400304 c0000201 c00706 5ba0 c0000202
        c01106 02 01 00011170 c01208 00011170 c0000202"
    );
    vec![
        (message(1, &open), true),
        (update(&hex!("10 ac10"), &internal, &hex!("18 c63364 00 08 0a")), true),
        (update(&[], &reach, &[]), true),
        (update(&[], &hex!("800f 08 0002 01 20 20010db8"), &[]), true),
        (update(&[], &narrow, &hex!("10 0a01")), false),
        (message(3, &hex!("06 02 04 62796521")), true),
        (message(5, &hex!("0001 00 01")), true),
    ]
}

/// A seed, broken in a few places, its length put right again most of the time.
fn broken(u: &mut Unstructured<'_>, seeds: &[(Vec<u8>, bool)]) -> Result<Vec<u8>> {
    let mut bytes = u.choose(seeds)?.0.clone();
    for _ in 0..u.int_in_range(0..=6)? {
        let at = u.int_in_range(HEADER..=bytes.len() - 1)?;
        match u.int_in_range(0..=4)? {
            0 => bytes[at] = u.arbitrary()?,
            1 => bytes[at] ^= 1 << u.int_in_range(0..=7)?,
            2 => bytes[at] = *u.choose(&[0, 1, 0x7f, 0x80, 0xff])?,
            3 => bytes.insert(at, u.arbitrary()?),
            _ if bytes.len() > HEADER + 1 => drop(bytes.remove(at)),
            _ => {}
        }
    }
    if u.ratio(9_u8, 10)? {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        bytes[16..18].copy_from_slice(&length.to_be_bytes());
    }
    Ok(bytes)
}

/// Reads a message and, if there is one, writes and reads it again.
fn check(bytes: &[u8], rx: Rx) -> Option<()> {
    let (frame, length) = frame(bytes, rx.max()).ok()??;
    assert!(length <= bytes.len());
    let message = decode(frame, &rx).ok()?;
    let mut sound = message.clone();
    if let Message::Update(update) = &mut sound {
        let withdrawn = update.faults.iter().any(|fault| fault.treatment == Treatment::TreatAsWithdraw);
        assert!(!withdrawn || update.reach.is_empty(), "withdrawn routes are not announced");
        assert!(update.faults.iter().all(|fault| fault.treatment != Treatment::Reset));
        assert!(update.reach.iter().all(|reach| !reach.nlri.is_empty()));
        update.faults.clear();
    }
    let tx = Tx { as4: rx.as4, extended_messages: true, add_path: rx.add_path, ..Tx::default() };
    let mut out = BytesMut::new();
    Encoder::new(tx).encode_message(&mut out, &sound).expect("what was read can be written");
    let mut again = messages(&out, Rx { extended: true, ..rx });
    if let Message::Update(update) = &sound {
        let parts = again.iter_mut().filter_map(|message| match message {
            Message::Update(update) => Some(update),
            _ => None,
        });
        let (mut reach, mut unreach, mut end_of_rib) = (Vec::new(), Vec::new(), None);
        for part in parts {
            reach.append(&mut part.reach);
            unreach.append(&mut part.unreach);
            end_of_rib = end_of_rib.or(part.end_of_rib);
        }
        assert_eq!(
            (reach, unreach, end_of_rib),
            (update.reach.clone(), update.unreach.clone(), update.end_of_rib)
        );
    } else {
        assert_eq!(again, [sound]);
    }
    Some(())
}

#[test]
fn every_seed_is_sound() {
    for (seed, as4) in seeds() {
        let rx = Rx { as4, external: false, ..Rx::default() };
        assert_eq!(check(&seed, rx), Some(()), "{seed:02x?}");
    }
}

/// Gives `run` so many broken messages, the same in every run.
pub(crate) fn for_each_broken(count: u64, seeds: &[(Vec<u8>, bool)], mut run: impl FnMut(&[u8])) {
    for number in 0..count {
        let random = random(number);
        if let Ok(message) = broken(&mut Unstructured::new(&random), seeds) {
            run(&message);
        }
    }
}

/// A case of the mutation test; `None` when the random octets did not do.
fn case(random: &[u8], seeds: &[(Vec<u8>, bool)]) -> Result<Option<()>> {
    let mut u = Unstructured::new(random);
    let rx = Rx {
        as4: u.arbitrary()?,
        external: u.arbitrary()?,
        extended: u.arbitrary()?,
        add_path: if u.ratio(1_u8, 4)? { u.arbitrary()? } else { [false; 2] },
        extended_next_hop: u.arbitrary()?,
        aigp: u.arbitrary()?,
        families: if u.ratio(1_u8, 8)? { u.arbitrary()? } else { [true; 2] },
        disabled: if u.ratio(1_u8, 8)? { u.arbitrary()? } else { [false; 2] },
    };
    Ok(check(&broken(&mut u, seeds)?, rx))
}

#[test]
fn broken_messages_break_nothing() {
    const COUNT: u64 = 40_000;
    let seeds = seeds();
    let mut sound = 0;
    for number in 0..COUNT {
        sound += u64::from(matches!(case(&random(number), &seeds), Ok(Some(()))));
    }
    // Neither all sound nor all refused at once: both would test little.
    assert!((COUNT / 5..COUNT * 4 / 5).contains(&sound), "{sound} of {COUNT} were read");
}

/// The octets of a case: it can be repeated by its number.
fn random(number: u64) -> Vec<u8> {
    (0..16).flat_map(|word| mix(number << 8 | word).to_le_bytes()).collect()
}

/// The finalizer of a splitmix generator: a number that looks like no other's.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
