use super::*;
use crate::wire::{Diag, Packet, State, decode, encode};

const DETECTION: Duration = Duration::from_millis(300);

fn packet(diag: u8) -> Vec<u8> {
    encode(&Packet {
        diag: Diag::of(diag),
        state: State::Down,
        poll: false,
        fin: false,
        independent: false,
        demand: false,
        multiplier: 3,
        mine: 1,
        yours: 0,
        desired_tx: 1_000_000,
        required_rx: 100_000,
        required_echo: 0,
    })
}

fn guard(mode: Mode, key_id: u8, secret: &str) -> Guard {
    Guard::new(Some(keys(mode, &[(key_id, secret)])), u32::MAX - 1)
}

fn keys(mode: Mode, keys: &[(u8, &str)]) -> Auth {
    Auth::new(mode, keys.iter().map(|(id, secret)| (*id, (*secret).into()))).unwrap()
}

fn check(guard: &mut Guard, now: Instant, bytes: &[u8]) -> Result<(), AuthFailure> {
    guard.check(now, DETECTION, &decode(bytes).unwrap())
}

#[test]
fn every_mode_believes_its_own_packets_and_no_changed_one() {
    let now = Instant::now();
    for mode in Mode::ALL {
        let (mut from, mut to) = (guard(mode, 7, "secret"), guard(mode, 7, "secret"));
        for round in 0..8 {
            let bytes = from.seal(packet(round));
            assert_eq!(usize::from(bytes[3]), bytes.len());
            if mode != Mode::Password {
                for at in 4..bytes.len() {
                    let mut changed = bytes.clone();
                    changed[at] ^= 1;
                    if changed[7] != 0 {
                        assert!(check(&mut to, now, &changed).is_err(), "{mode:?} octet {at}");
                    }
                }
            }
            assert_eq!(check(&mut to, now, &bytes), Ok(()), "{mode:?}");
        }
    }
}

#[test]
fn a_failure_says_what_is_different() {
    let now = Instant::now();
    let sealed = guard(Mode::Sha1, 7, "secret").seal(packet(0));
    let fails = |mut guard: Guard, why| assert_eq!(check(&mut guard, now, &sealed), Err(why));
    fails(Guard::new(None, 0), AuthFailure::Unexpected);
    fails(guard(Mode::Md5, 7, "secret"), AuthFailure::Mode(4));
    fails(guard(Mode::Sha1, 8, "secret"), AuthFailure::UnknownKey(7));
    fails(guard(Mode::Sha1, 7, "other"), AuthFailure::Digest);
    assert_eq!(check(&mut guard(Mode::Sha1, 7, "secret"), now, &packet(0)), Err(AuthFailure::Missing));
    let password = guard(Mode::Password, 7, "secret").seal(packet(0));
    assert_eq!(check(&mut guard(Mode::Password, 7, "secre"), now, &password), Err(AuthFailure::Digest));
}

#[test]
fn a_copy_is_refused_by_the_meticulous_modes_only_and_an_old_packet_by_all() {
    let now = Instant::now();
    for mode in [Mode::Md5, Mode::MeticulousMd5, Mode::Sha1, Mode::MeticulousSha1] {
        let (mut from, mut to) = (guard(mode, 1, "k"), guard(mode, 1, "k"));
        let (old, new) = (from.seal(packet(0)), from.seal(packet(1)));
        assert_eq!(check(&mut to, now, &old), Ok(()));
        assert_eq!(check(&mut to, now, &old).is_err(), mode.meticulous());
        assert_eq!(check(&mut to, now, &new), Ok(()));
        assert!(matches!(check(&mut to, now, &old), Err(AuthFailure::Replay { .. })), "{mode:?}");
        // After twice the detection time nothing is known (§6.8.1).
        assert_eq!(check(&mut to, now + 2 * DETECTION, &old), Ok(()));
    }
}

#[test]
fn a_number_far_ahead_is_refused() {
    let (mut from, mut to) = (guard(Mode::MeticulousSha1, 1, "k"), guard(Mode::MeticulousSha1, 1, "k"));
    let now = Instant::now();
    assert_eq!(check(&mut to, now, &from.seal(packet(0))), Ok(()));
    let packets: Vec<_> = (0..10).map(|_| from.seal(packet(0))).collect();
    assert!(check(&mut to, now, &packets[9]).is_err(), "ten ahead, nine is the most with multiplier 3");
    assert_eq!(check(&mut to, now, &packets[8]), Ok(()));
}

#[test]
fn contents_that_stay_keep_their_number_where_the_mode_allows() {
    let mut keyed = guard(Mode::Sha1, 1, "k");
    assert_eq!(keyed.seal(packet(0)), keyed.seal(packet(0)));
    let mut meticulous = guard(Mode::MeticulousSha1, 1, "k");
    assert_ne!(meticulous.seal(packet(0)), meticulous.seal(packet(0)));
}

#[test]
fn keys_that_cannot_be_are_refused() {
    let bad = |mode, keys: &[(u8, usize)]| {
        Auth::new(mode, keys.iter().map(|(id, length)| (*id, vec![b'k'; *length]))).unwrap_err()
    };
    for mode in Mode::ALL {
        let most = mode.secret_size();
        assert_eq!(bad(mode, &[]), BadKeys::None);
        assert_eq!(bad(mode, &[(1, 4), (2, 0)]), BadKeys::Empty(2));
        assert_eq!(bad(mode, &[(7, most + 1)]), BadKeys::Long { id: 7, length: most + 1, most });
        assert_eq!(bad(mode, &[(1, 4), (1, 5)]), BadKeys::Twice(1));
        Auth::new(mode, [(1, vec![b'k'; most])]).unwrap();
    }
    let shown = format!("{:?}", keys(Mode::Sha1, &[(1, "hidden"), (2, "too")]));
    assert_eq!(shown, "Auth { mode: Sha1, keys: [1, 2], .. }");
}

#[test]
fn a_key_is_changed_at_one_end_after_the_other_without_a_packet_refused() {
    let now = Instant::now();
    for mode in Mode::ALL {
        let (old, new) = ((1, "old"), (2, "new"));
        let mut ends = [guard(mode, 1, "old"), guard(mode, 1, "old")];
        let steps =
            [(0, vec![old, new]), (1, vec![new, old]), (0, vec![new, old]), (1, vec![new]), (0, vec![new])];
        for (end, list) in steps {
            ends[end].rekey(Some(keys(mode, &list)));
            for _ in 0..3 {
                let [one, two] = &mut ends;
                assert_eq!(check(two, now, &one.seal(packet(0))), Ok(()), "{mode:?}");
                assert_eq!(check(one, now, &two.seal(packet(0))), Ok(()), "{mode:?}");
            }
        }
        let heard = ends.map(|guard| guard.status().unwrap());
        assert_eq!(heard.map(|status| (status.key_id, status.heard_key_id)), [(2, Some(2)); 2]);
    }
}

#[test]
fn a_replay_is_refused_after_a_change_of_keys_too() {
    let now = Instant::now();
    let (mut from, mut to) = (guard(Mode::MeticulousSha1, 1, "a"), guard(Mode::MeticulousSha1, 1, "a"));
    let taken = from.seal(packet(0));
    assert_eq!(check(&mut to, now, &taken), Ok(()));
    to.rekey(Some(keys(Mode::MeticulousSha1, &[(2, "b"), (1, "a")])));
    assert!(matches!(check(&mut to, now, &taken), Err(AuthFailure::Replay { .. })));
}
