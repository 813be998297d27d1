use super::*;

fn packet() -> Packet {
    Packet {
        diag: Diag::NeighborDown,
        state: State::Init,
        poll: true,
        fin: false,
        independent: false,
        demand: false,
        multiplier: 3,
        mine: 0x0102_0304,
        yours: 0,
        desired_tx: 1_000_000,
        required_rx: 100_000,
        required_echo: 0,
    }
}

#[test]
fn the_layout_is_that_of_rfc_5880() {
    let expected =
        [0x23, 0xa0, 3, 24, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 1, 0x86, 0xa0, 0, 0, 0, 0];
    assert_eq!(encode(&packet()), expected);
    assert_eq!(decode(&expected).unwrap().packet, packet());
}

#[test]
fn every_state_and_diagnostic_survives_the_wire() {
    for state in State::ALL {
        for code in 0..32 {
            let packet = Packet { state, diag: Diag::of(code), ..packet() };
            assert_eq!(packet.diag.code(), code);
            assert_eq!(decode(&encode(&packet)).unwrap().packet, packet);
        }
    }
}

/// Writes octets over a good packet and says why the result is discarded.
#[track_caller]
fn check(change: &[(usize, u8)], why: Discard) {
    let mut bytes = encode(&packet());
    for (at, value) in change {
        bytes[*at] = *value;
    }
    assert_eq!(decode(&bytes), Err(why));
}

#[test]
fn what_is_wrong_is_said_in_the_order_of_the_rfc() {
    assert_eq!(decode(&[0; 23]), Err(Discard::Short));
    check(&[(0, 0x40), (3, 0), (2, 0)], Discard::Version(2));
    check(&[(3, 23), (2, 0)], Discard::Length(23));
    check(&[(1, 0xa4), (3, 25)], Discard::Length(25));
    check(&[(3, 25), (2, 0)], Discard::Cut(25));
    check(&[(2, 0), (1, 0xa1)], Discard::Multiplier);
    check(&[(1, 0xa1), (4, 0), (5, 0), (6, 0), (7, 0)], Discard::Multipoint);
    check(&[(4, 0), (5, 0), (6, 0), (7, 0)], Discard::NoDiscriminator);
}

#[test]
fn octets_after_the_length_are_not_read() {
    let mut bytes = encode(&packet());
    bytes.extend([0xff; 9]);
    let decoded = decode(&bytes).unwrap();
    assert_eq!((decoded.bytes.len(), decoded.auth), (24, None));
}
