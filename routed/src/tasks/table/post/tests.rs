use bgp::wire::{Message, Rx, Update, decode, frame};
use net::{Attrs, Family, Nlri};

use super::*;

const V4: Family = Family::Ipv4Unicast;

fn nlri(texts: &[&str]) -> Vec<Nlri> {
    texts.iter().map(|text| Nlri::from(text.parse::<net::Prefix>().unwrap())).collect()
}

fn unreach(to: To, texts: &[&str]) -> Line {
    Line { to, out: Out::Unreach { family: V4, nlri: nlri(texts) } }
}

/// What a peer reads of a letter: prefixes withdrawn, and how many pieces and
/// messages they came in.
fn read(letter: &Letter, id: u32) -> (Vec<String>, usize, u64) {
    let (mut pieces, mut octets) = (0, Vec::new());
    let messages = letter.for_peer(PeerId(id), |piece| {
        pieces += 1;
        octets.extend_from_slice(&piece);
    });
    let (mut rest, mut texts) = (&octets[..], Vec::new());
    while let Some((found, length)) = frame(rest, 4096).unwrap() {
        let Message::Update(Update { unreach, .. }) = decode(found, &Rx::default()).unwrap() else {
            panic!()
        };
        texts.extend(unreach.iter().flat_map(|(_, list)| list).map(|nlri| nlri.prefix.to_string()));
        rest = &rest[length..];
    }
    assert_eq!(rest, [0u8; 0]);
    (texts, pieces, messages.updates)
}

#[test]
fn each_peer_reads_the_lines_that_are_for_it_in_as_few_pieces_as_can_be() {
    let mut office = Office::default();
    let but_two = To::AllBut([Some(PeerId(2)), None]);
    let letter = office.write(
        &Tx::default(),
        &[
            unreach(To::ALL, &["10.1.0.0/16"]),
            unreach(To::ALL, &["10.2.0.0/16"]),
            unreach(but_two, &["10.3.0.0/16"]),
            unreach(To::Only(PeerId(3)), &["10.4.0.0/16"]),
            unreach(To::ALL, &["10.5.0.0/16"]),
        ],
    );
    let texts = |numbers: &[u8]| numbers.iter().map(|n| format!("10.{n}.0.0/16")).collect::<Vec<_>>();
    assert_eq!(read(&letter, 1), (texts(&[1, 2, 3, 5]), 2, 4));
    assert_eq!(read(&letter, 2), (texts(&[1, 2, 5]), 2, 3));
    assert_eq!(read(&letter, 3), (texts(&[1, 2, 3, 4, 5]), 1, 5));
}

#[test]
fn routes_that_became_too_long_for_a_message_are_withdrawn_from_those_who_take_no_longer_ones() {
    let attrs = |count: u32| Attrs {
        next_hop: Some(net::NextHop::V4("192.0.2.1".parse().unwrap())),
        communities: (0..count).map(net::Community).collect(),
        ..Attrs::default()
    };
    let out = |count| Out::Reach {
        family: V4,
        attrs: Arc::new(attrs(count)),
        nlri: nlri(&["10.1.0.0/16", "10.2.0.0/16"]),
    };
    let mut office = Office::default();
    let long = Tx { extended_messages: true, ..Tx::default() };
    let mut told = |format: &Tx, count| {
        let letter = office.write(format, &[Line { to: To::ALL, out: out(count) }]);
        (letter.0.octets.len(), letter)
    };
    let (short, letter) = told(&Tx::default(), 1000);
    assert!(short > 4000 && read(&letter, 1).0.is_empty());
    let (_, letter) = told(&Tx::default(), 1020);
    assert_eq!(read(&letter, 1), (vec!["10.1.0.0/16".into(), "10.2.0.0/16".into()], 1, 1));
    assert!(told(&long, 1020).0 > 4096);
    // Such routes are not even asked for.
    let fits = |format: &Tx, count| Office::fits(format, V4, &attrs(count));
    assert_eq!([0, 1000, 1020].map(|count| fits(&Tx::default(), count)), [true, true, false]);
    assert!(fits(&long, 1020) && !fits(&long, 20_000));
}

#[test]
fn a_line_that_cannot_be_written_takes_no_other_along() {
    let mut office = Office::default();
    // An IPv4 route without a next hop has no form on the wire.
    let out = Out::Reach { family: V4, attrs: Arc::new(Attrs::default()), nlri: nlri(&["10.1.0.0/16"]) };
    let lines = [Line { to: To::ALL, out }, unreach(To::ALL, &["10.2.0.0/16"])];
    assert_eq!(read(&office.write(&Tx::default(), &lines), 1).0, ["10.1.0.0/16", "10.2.0.0/16"]);
}

#[test]
fn a_peer_that_was_asked_says_once_that_it_can_take_more() {
    let mut office = Office::default();
    let (slot, mut mailbox) = mailbox();
    office.open(PeerId(1), slot);
    let text: Vec<String> =
        (0..=255).flat_map(|a| (0..80).map(move |b| format!("10.{a}.{b}.0/24"))).collect();
    let text: Vec<&str> = text.iter().map(String::as_str).collect();
    let letter = office.write(&Tx::default(), &[unreach(To::ALL, &text)]);
    (0..2).for_each(|_| office.hand(PeerId(1), &letter));
    assert!(office.unsent(PeerId(1)) > 2 * 4 * text.len());
    let first = mailbox.more().unwrap();
    assert!(!mailbox.took(&first), "nobody has asked");
    office.call_back(PeerId(1));
    let second = mailbox.more().unwrap();
    assert!(mailbox.took(&second));
    assert_eq!((office.unsent(PeerId(1)), mailbox.more().is_none()), (0, true));
    office.hand(PeerId(1), &letter);
    let third = mailbox.more().unwrap();
    assert!(!mailbox.took(&third), "it has said so");
}
