//! Keys, sequence numbers and replay between two instances.

use super::*;
use crate::auth::Lifetime;
use crate::status::AuthStatus;

fn keyed(mode: Mode, keys: &[Key]) -> Settings {
    Settings { auth: Some(Auth { mode, keys: keys.to_vec() }), ..Settings::default() }
}

fn md5() -> Settings {
    keyed(Mode::KeyedMd5, &[Key::new(1, "secret")])
}

fn hmac() -> Settings {
    keyed(Mode::HmacSha256, &[Key::new(1, "secret")])
}

/// What an instance with these settings sends when it has a route to tell.
fn sent(settings: &Settings, later: u64, metric: u8) -> Vec<u8> {
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1], settings);
    bench.wait(secs(later));
    bench.advertise(WEB, Some(Advert::new(metric)));
    match bench.out.remove(0) {
        Action::Send { bytes, .. } => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_mode_is_understood_by_itself_and_by_no_other() {
    let modes =
        [Mode::Text, Mode::KeyedMd5, Mode::HmacSha1, Mode::HmacSha256, Mode::HmacSha384, Mode::HmacSha512];
    for ours in modes {
        for theirs in modes {
            let key = [Key::new(1, "secret")];
            let mut bench = Bench::new(Family::Ipv4Unicast, &[1], &keyed(ours, &key));
            bench.datagram(1, NEAR, sent(&keyed(theirs, &key), 9, 1));
            assert_eq!(bench.learned().len(), usize::from(ours == theirs), "{ours:?} {theirs:?}");
            let failures = bench.neighbor().faults.auth_failures;
            assert_eq!(failures, u64::from(ours != theirs));
        }
    }
}

#[test]
fn a_wrong_key_an_unsigned_and_an_unexpected_packet_are_told_apart() {
    let failure = |ours: &Settings, theirs: &Settings| {
        let mut bench = Bench::new(Family::Ipv4Unicast, &[1], ours);
        bench.datagram(1, NEAR, sent(theirs, 9, 1));
        assert_eq!(bench.rip.routes().count(), 0);
        assert_eq!(bench.neighbor().faults.bad_packets, 1);
        bench.neighbor().faults.last_auth_failure.unwrap()
    };
    let (none, other) = (Settings::default(), keyed(Mode::KeyedMd5, &[Key::new(1, "other")]));
    assert_eq!(failure(&md5(), &other), AuthFailure::Digest(1));
    assert_eq!(failure(&md5(), &keyed(Mode::KeyedMd5, &[Key::new(2, "secret")])), AuthFailure::UnknownKey(2));
    assert_eq!(failure(&md5(), &none), AuthFailure::Missing);
    assert_eq!(failure(&none, &md5()), AuthFailure::Unexpected);
    assert_eq!(failure(&keyed(Mode::Text, &[Key::new(1, "x")]), &md5()), AuthFailure::Mode(3));
}

#[test]
fn replay_is_refused_until_the_routes_of_the_neighbour_have_timed_out() {
    let (early, late) = (sent(&hmac(), 9, 1), sent(&hmac(), 20, 2));
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1], &hmac());
    bench.datagram(1, NEAR, late.clone());
    bench.datagram(1, NEAR, early.clone());
    assert_eq!(bench.rip.routes().next().unwrap().metric, 3, "the late one stays");
    let replay = AuthFailure::Replay { got: 1_000_009, last: 1_000_020 };
    assert_eq!(bench.neighbor().faults.last_auth_failure, Some(replay));
    // The last packet over and over does not keep the neighbour alive.
    for _ in 0..17 {
        bench.wait(secs(10));
        bench.datagram(1, NEAR, late.clone());
    }
    assert_eq!((bench.neighbor().faults.copies, bench.neighbor().faults.auth_failures), (17, 1));
    bench.wait(secs(10));
    assert_eq!(bench.lost(), [prefix(WEB)]);
    // Now it may have restarted with an earlier number.
    bench.datagram(1, NEAR, early);
    assert_eq!(bench.learned().len(), 1);
}

#[test]
fn the_sequence_number_is_the_time_and_never_goes_back() {
    let sequence = |bytes: &[u8]| u32::from_be_bytes(bytes[12..16].try_into().unwrap());
    assert_eq!(sequence(&sent(&md5(), 9, 1)), 1_000_009);
    let now = Instant::now();
    let config = Config {
        sequence: 2_000_000,
        ..Config::new(Family::Ipv4Unicast, Clock { instant: now, unix: 1_000_000 }, 1)
    };
    let mut rip = Instance::new(config);
    let mut out = vec![];
    rip.handle(now, Event::InterfaceUp(eth(1, md5())), &mut out);
    let Action::Send { bytes, .. } = &out[0] else { panic!() };
    assert_eq!((sequence(bytes), rip.sequence()), (2_000_000, 2_000_000));
}

#[test]
fn a_request_with_sequence_zero_is_answered_after_a_restart() {
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1], &hmac());
    bench.advertise("10.5.0.0/16", Some(Advert::new(1)));
    bench.datagram(1, NEAR, sent(&hmac(), 9, 1));
    bench.wait(secs(1));
    let Auth { mode, .. } = hmac().auth.unwrap();
    let mut request = wire::whole_table_request(Family::Ipv4Unicast, mode.room());
    assert!(hmac().auth.unwrap().seal(1_000_000, 0, &mut request));
    bench.datagram(1, NEAR, request);
    assert!(matches!(&bench.out[..], [Action::Send { to, .. }] if to.ip() == ip(NEAR)));
}

#[test]
fn a_new_key_takes_over_when_its_time_comes_and_the_last_never_ends() {
    let life = |from, until| Lifetime { from, until };
    let old =
        Key { send: life(None, Some(1_000_060)), accept: life(None, Some(1_000_120)), ..Key::new(1, "old") };
    let new = Key { send: life(Some(1_000_050), Some(1_000_500)), ..Key::new(2, "new") };
    let settings = keyed(Mode::HmacSha1, &[old, new]);
    let key = |later| sent(&settings, later, 1)[10];
    assert_eq!([key(9), key(49), key(51), key(70), key(900)], [1, 1, 2, 2, 2]);
    let mut bench = Bench::new(Family::Ipv4Unicast, &[1], &settings);
    bench.wait(secs(900));
    let AuthStatus::On(Mode::HmacSha1, key) = bench.rip.interfaces(bench.now)[0].auth else { panic!() };
    assert_eq!(key, crate::auth::SendKey::Expired(2));
    // The old key is accepted a while longer than it is sent.
    let mut early = Bench::new(Family::Ipv4Unicast, &[1], &settings);
    early.wait(secs(100));
    early.datagram(1, NEAR, sent(&settings, 20, 1));
    assert_eq!(early.learned().len(), 1);
    bench.datagram(1, NEAR, sent(&settings, 20, 1));
    assert_eq!(bench.neighbor().faults.last_auth_failure, Some(AuthFailure::NotNow(1)));
}

#[test]
fn without_a_key_that_has_begun_nothing_goes_out() {
    let key = Key { send: Lifetime { from: Some(2_000_000), until: None }, ..Key::new(1, "later") };
    let bench = Bench::new(Family::Ipv4Unicast, &[1], &keyed(Mode::KeyedMd5, &[key]));
    assert_eq!(bench.out, []);
    assert_eq!(bench.rip.interfaces(bench.now)[0].counters.unsigned, 1);
}
