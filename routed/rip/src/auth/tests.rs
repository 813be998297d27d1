//! Packets that other routers have sent, and what may be wrong with one.

use hex_literal::hex;

use super::*;

const NOW: u64 = 1_700_000_000;

fn auth(mode: Mode, secret: &str) -> Auth {
    Auth { mode, keys: vec![Key::new(1, secret)] }
}

/// Opens a packet with the key "secret"; the entry of 10.1.0.0/16 is inside.
fn opens(mode: Mode, packet: &[u8]) -> u32 {
    let opened = auth(mode, "secret").open(NOW, packet).unwrap();
    assert_eq!(opened.body, hex!("0002 0000 0a010000 ffff0000 00000000 00000001"));
    opened.stamp.map_or(0, |stamp| stamp.sequence)
}

/// 10.1.0.0/16 with metric 1, signed by us with sequence number 0x65432100.
fn sealed(mode: Mode, secret: &str) -> Vec<u8> {
    let mut packet = hex!("02020000 0000000000000000000000000000000000000000").to_vec();
    packet.extend(hex!("0002 0000 0a010000 ffff0000 00000000 00000001"));
    assert!(auth(mode, secret).seal(NOW, 0x6543_2100, &mut packet));
    packet
}

const FRR_16: [u8; 64] = hex!(
    "02020000 ffff0003 002c 01 10 00000001 0000000000000000"
    "0002 0000 0a010000 ffff0000 00000000 00000001"
    "ffff0001 8c0ff6e11e57bb8171b069e707262805"
);

#[test]
fn what_frr_sends_with_either_length_of_md5_is_believed() {
    assert_eq!(opens(Mode::KeyedMd5, &FRR_16), 1);
    let old = hex!(
        "02020000 ffff0003 002c 01 14 00000001 0000000000000000"
        "0002 0000 0a010000 ffff0000 00000000 00000001"
        "ffff0001 a800bdf8745c3240a440e910c1e6853f"
    );
    assert_eq!(opens(Mode::KeyedMd5, &old), 1);
}

#[test]
fn what_bird_sends_in_each_mode_is_believed() {
    let md5 = hex!(
        "02020000 ffff0003 002c 01 14 6b011f0e 0000000000000000"
        "0002 0000 0a010000 ffff0000 00000000 00000001"
        "ffff0001 90066443e485e8cf58a0a8dccce18059"
    );
    assert_eq!(opens(Mode::KeyedMd5, &md5), 0x6b01_1f0e);
    let sha1 = hex!(
        "02020000 ffff0003 002c 01 14 6b011f11 0000000000000000"
        "0002 0000 0a010000 ffff0000 00000000 00000001"
        "ffff0001 14046036d20f67fd457a80b9cd8e12f2a03302aa"
    );
    assert_eq!(opens(Mode::HmacSha1, &sha1), 0x6b01_1f11);
    let sha256 = hex!(
        "02020000 ffff0003 002c 01 20 6b011f13 0000000000000000"
        "0002 0000 0a010000 ffff0000 00000000 00000001"
        "ffff0001 aafe13bc63bc402c840e71fd6d1a343616add085b3c9fba66aad0b17b4c72b72"
    );
    assert_eq!(opens(Mode::HmacSha256, &sha256), 0x6b01_1f13);
    let sha384 = hex!(
        "02020000 ffff0003 002c 01 30 6b011f17 0000000000000000"
        "0002 0000 0a010000 ffff0000 00000000 00000001"
        "ffff0001 7116f25f905fdf705f58c25634afed1bddb0a0c1f4bb9e61"
        "7e1584a1cd9c935ab9afe018e9121caaabccfb1910e0785f"
    );
    assert_eq!(opens(Mode::HmacSha384, &sha384), 0x6b01_1f17);
    let sha512 = hex!(
        "02020000 ffff0003 002c 01 40 6b011f1b 0000000000000000"
        "0002 0000 0a010000 ffff0000 00000000 00000001"
        "ffff0001 16a5b4ede257f48c85f4928ee2dbea4299af8607e24c9a3769aa3c546d249329"
        "9a18852927d37ee4b28104a2b7bc9f588461610ce97a43e91d94a1d9a677a0e7"
    );
    assert_eq!(opens(Mode::HmacSha512, &sha512), 0x6b01_1f1b);
    let text = hex!(
        "02020000 ffff0002 73656372657400000000000000000000"
        "0002 0000 0a010000 ffff0000 00000000 00000001"
    );
    assert_eq!(opens(Mode::Text, &text), 0);
}

/// The digests were computed apart, by the words of RFC 2082 §3.2.1 and
/// RFC 4822 §3.3.
#[test]
fn what_we_send_has_the_digest_that_the_rfcs_describe() {
    let long = "k".repeat(70);
    let digest = |mode, secret: &str| sealed(mode, secret).split_off(48);
    assert_eq!(digest(Mode::KeyedMd5, "secret"), hex!("da13ea1c66126e0ccfda1722304300cf"));
    // A longer key is cut to 16 octets.
    let cut = digest(Mode::KeyedMd5, "a key of more than sixteen");
    assert_eq!(cut, hex!("83dbaf3d67e50137ea459a14f7f99ee4"));
    assert_eq!(digest(Mode::HmacSha1, "secret"), hex!("43d18706d645ae3f44b03b3fcbdfc6c448f55e75"));
    assert_eq!(digest(Mode::HmacSha1, &long), hex!("9884ea8c25cc1cbe6fc7c3c87d5e243f5a8a07dd"));
    assert_eq!(
        digest(Mode::HmacSha256, "secret"),
        hex!("1efc18999c1e89a10580efde6a823cdbf02dbf9b2a31efe5e5c3cf20593fda4b")
    );
    assert_eq!(
        digest(Mode::HmacSha256, &long),
        hex!("1f1e167e9c00aeb963c8a9f44fcf4dded2b34a403ac1bf2a978196ef36947c52")
    );
    assert_eq!(
        digest(Mode::HmacSha384, &long),
        hex!(
            "ab81a30fadbbac04b26c0e2b5b85084620746f202eee21cc"
            "2d9101f8a6dfc39a93f11e3452e83ef1ba311360bfa58a00"
        )
    );
    // 70 octets are longer than the digest but not than the block.
    assert_eq!(
        digest(Mode::HmacSha512, &long),
        hex!(
            "8c5fa4f2da7f6108ea76de7bb8b7b62600a1179bc0e6ac3ac55041cfd2dc3ca3"
            "c1de46694807b84b1ea66a76f7f455f108d35d2e47cc02f26af12849e26ae30d"
        )
    );
}

#[test]
fn room_for_routes_is_what_authentication_leaves() {
    let modes =
        [Mode::Text, Mode::KeyedMd5, Mode::HmacSha1, Mode::HmacSha256, Mode::HmacSha384, Mode::HmacSha512];
    assert_eq!(modes.map(|mode| mode.room().entries), [24, 23, 22, 22, 21, 20]);
    for mode in modes {
        let size = HEADER + ENTRY * (1 + mode.room().entries) + mode.digest_size();
        assert!(size + TRAILER * usize::from(mode != Mode::Text) <= HEADER + ENTRY * MAX_ENTRIES);
    }
}

#[test]
fn a_packet_changed_anywhere_is_not_believed() {
    for (at, _) in FRR_16.iter().enumerate() {
        let mut packet = FRR_16;
        packet[at] ^= 4;
        // Octet 11 is 16 or 20 and both are right; the digest covers it.
        assert!(auth(Mode::KeyedMd5, "secret").open(NOW, &packet).is_err(), "octet {at}");
    }
    for length in 0..64 {
        assert!(auth(Mode::KeyedMd5, "secret").open(NOW, &FRR_16[..length]).is_err());
    }
    let longer = [&FRR_16[..], &[0]].concat();
    assert_eq!(auth(Mode::KeyedMd5, "secret").open(NOW, &longer), Err(AuthFailure::Length));
    assert_eq!(auth(Mode::HmacSha1, "secret").open(NOW, &FRR_16), Err(AuthFailure::Length));
}

#[test]
fn authentication_stands_in_the_first_entry_only() {
    let late = hex!(
        "02020000 0002 0000 0a010000 ffff0000 00000000 00000001"
        "ffff0002 73656372657400000000000000000000"
    );
    assert_eq!(auth(Mode::Text, "secret").open(NOW, &late), Err(AuthFailure::Missing));
    assert_eq!(open_plain(&late).unwrap().body.len(), 40);
    assert_eq!(open_plain(&FRR_16), Err(AuthFailure::Unexpected));
}

#[test]
fn of_equal_sequence_numbers_only_other_packets_pass() {
    let mut replay = Replay::default();
    let stamp = |sequence, digest| Stamp { sequence, digest };
    replay.note(stamp(5, b"one"));
    assert_eq!(replay.check(stamp(5, b"two")), Ok(()));
    assert_eq!(replay.check(stamp(5, b"one")), Err(AuthFailure::Copy));
    assert_eq!(replay.check(stamp(4, b"new")), Err(AuthFailure::Replay { got: 4, last: 5 }));
    replay.note(stamp(6, b"two"));
    assert_eq!(replay.check(stamp(5, b"new")), Err(AuthFailure::Replay { got: 5, last: 6 }));
}

#[test]
fn a_key_does_not_print_its_secret() {
    assert!(!format!("{:?}", auth(Mode::Text, "hush")).contains("hush"));
    assert!(!format!("{:?}", Key::new(1, vec![104, 117])).contains("104"));
}
