//! Every timer, by letting time pass.

use super::*;
use crate::conn::CloseReason;
use crate::peer::{RestartConfig, Why};

/// Asserts that a wait lies between three quarters and the whole of `seconds`.
#[track_caller]
fn check_jittered(waited: Duration, seconds: u64) {
    let whole = secs(seconds);
    assert!(waited <= whole && waited >= whole * 3 / 4, "{waited:?} for {whole:?}");
}

#[test]
fn connect_retry_gives_up_a_dial_that_hangs() {
    let mut bench = Bench::new(ours());
    bench.event(Event::Start);
    for round in 1..=3 {
        check_jittered(bench.tick(), 5);
        assert_eq!(bench.did(), "cancel, dial");
        assert_eq!(bench.out[1], Action::Dial(ConnId::Dialled(round)));
    }
}

#[test]
fn a_dial_that_hangs_beside_a_connection_that_dies_is_given_up_too() {
    let mut bench = Bench::new(PeerConfig { hold_time: Duration::ZERO, ..ours() });
    bench.event(Event::Start).event(Event::Accepted(ACCEPTED, ends())).their_open(ACCEPTED, "10.0.0.9");
    check_jittered(bench.tick(), 5);
    assert_eq!(bench.did(), "");
    check_jittered(bench.tick(), 5);
    assert_eq!(bench.did(), "");
    bench.event(Event::Accepted(ConnId::Accepted(1), ends()));
    bench.event(Event::Closed(ACCEPTED, CloseReason::Eof)).tick();
    assert_eq!(bench.did(), "cancel, dial");
}

#[test]
fn before_the_open_the_hold_time_is_four_minutes() {
    let mut bench = Bench::new(PeerConfig { passive: true, ..ours() });
    bench.event(Event::Start).event(Event::Accepted(ACCEPTED, ends()));
    assert_eq!(bench.tick(), secs(240));
    assert_eq!(bench.did(), "notify 4/0 A, close A");
}

#[test]
fn the_negotiated_hold_time_runs_from_the_last_message() {
    for message in [Message::Keepalive, Message::Update(crate::wire::Update::default())] {
        let mut bench = Bench::established(ours());
        bench.now += secs(8);
        bench.message(DIALLED, message);
        let heard = bench.now;
        while bench.peer.state() == State::Established {
            bench.tick();
        }
        assert_eq!(bench.now - heard, secs(9));
        assert_eq!(bench.did(), "notify 4/0 D, close D, down");
    }
}

#[test]
fn a_hold_time_of_zero_leaves_no_timer() {
    let bench = Bench::established(PeerConfig { hold_time: Duration::ZERO, ..ours() });
    assert_eq!(bench.peer.next_deadline(), None);
}

#[test]
fn keepalives_go_out_at_a_third_of_the_hold_time_and_updates_delay_them() {
    let mut bench = Bench::established(ours());
    check_jittered(bench.tick(), 3);
    assert_eq!(bench.did(), "keepalive D");
    bench.now += secs(2);
    bench.event(Event::UpdatesSent(DIALLED, 5));
    check_jittered(bench.tick(), 3);
    assert_eq!(bench.did(), "keepalive D");
    assert_eq!(bench.peer.status().counters.sent.update, 5);
}

#[test]
fn idle_hold_doubles_with_each_failure_and_stops_at_its_cap() {
    let mut bench = Bench::new(ours());
    bench.event(Event::Start);
    for (round, hold) in (0..).zip([1, 2, 4, 8, 16, 32, 60, 60]) {
        let id = ConnId::Dialled(round);
        bench.event(Event::Dialled(id, ends())).message(id, notification(2, 2));
        assert_eq!(bench.peer.state(), State::Idle);
        check_jittered(bench.tick(), hold);
        assert_eq!(bench.did(), "dial");
    }
}

#[test]
fn a_stable_session_takes_the_back_off_to_its_start_and_a_short_one_does_not() {
    for (lasted, hold) in [(59, 8), (60, 1)] {
        let mut bench = Bench::new(PeerConfig { hold_time: Duration::ZERO, ..ours() });
        bench.event(Event::Start);
        for round in 0..3 {
            let id = ConnId::Dialled(round);
            bench.event(Event::Dialled(id, ends())).message(id, notification(2, 2));
            bench.tick();
        }
        let id = ConnId::Dialled(3);
        bench.event(Event::Dialled(id, ends())).their_open(id, "10.0.0.9").message(id, Message::Keepalive);
        bench.now += secs(lasted);
        bench.event(Event::Closed(id, CloseReason::Eof));
        check_jittered(bench.tick(), hold);
    }
}

#[test]
fn a_peer_whose_updates_are_malformed_again_and_again_is_held_longer_each_time() {
    let mut bench = Bench::established(ours());
    let mut connection = 0;
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let answer = Notification { code: 3, subcode: 1, data: Box::default() };
        bench.event(Event::Received(ConnId::Dialled(connection), Err(answer)));
        assert_eq!((bench.did().as_str(), bench.peer.state()), ("notify 3/1 D, close D, down", State::Idle));
        check_jittered(bench.tick(), seconds);
        assert_eq!(bench.did(), "dial");
        connection += 1;
        let id = ConnId::Dialled(connection);
        bench.event(Event::Dialled(id, ends())).their_open(id, "10.0.0.9").message(id, Message::Keepalive);
        assert_eq!(bench.peer.state(), State::Established);
    }
    assert_eq!(bench.peer.status().counters.malformed.reset, 8);
}

#[test]
fn a_peer_whose_operator_resets_it_again_and_again_is_not_held_longer_for_it() {
    let mut bench = Bench::established(ours());
    for (connection, subcode) in [2, 3, 4, 6, 4, 4].into_iter().enumerate() {
        let connection = u32::try_from(connection).unwrap();
        let cease = Notification { code: 6, subcode, data: Box::default() };
        bench.message(ConnId::Dialled(connection), Message::Notification(cease));
        assert_eq!((bench.did().as_str(), bench.peer.state()), ("close D, down", State::Idle));
        check_jittered(bench.tick(), 1);
        assert_eq!(bench.did(), "dial");
        let id = ConnId::Dialled(connection + 1);
        bench.event(Event::Dialled(id, ends())).their_open(id, "10.0.0.9").message(id, Message::Keepalive);
        assert_eq!(bench.peer.state(), State::Established);
        bench.did();
    }
}

#[test]
fn a_peer_that_does_not_read_is_dropped_after_the_send_hold_time_without_a_word() {
    let never_dead = PeerConfig { hold_time: Duration::ZERO, ..ours() };
    let mut bench = Bench::established(never_dead.clone());
    bench.event(Event::Blocked(DIALLED));
    bench.now += secs(400);
    bench.event(Event::Blocked(DIALLED));
    assert_eq!(bench.tick(), secs(80));
    assert_eq!(bench.did(), "close D, down");
    assert_eq!(*bench.peer.status().last_error.0, Why::SendHoldExpired);

    let mut bench = Bench::established(PeerConfig { send_hold: Some(secs(7)), ..never_dead });
    bench.event(Event::Blocked(DIALLED));
    assert_eq!(bench.peer.next_deadline(), Some(bench.now + secs(7)));
    bench.event(Event::Writable(DIALLED));
    assert_eq!(bench.peer.next_deadline(), None);
}

#[test]
fn the_restart_bit_goes_when_the_restart_time_is_over() {
    let restart = RestartConfig { restarting: true, ..RestartConfig::new(secs(30)) };
    let mut bench = Bench::new(PeerConfig { graceful_restart: Some(restart), ..ours() });
    let restart_bit = |bench: &Bench| {
        let Some(Action::Send(_, Message::Open(open))) = bench.out.first() else { panic!("no OPEN") };
        open.capabilities.iter().any(
            |capability| matches!(capability, Capability::GracefulRestart(restart) if restart.restarting),
        )
    };
    bench.event(Event::Start).event(Event::Accepted(ACCEPTED, ends()));
    assert!(restart_bit(&bench));
    bench.event(Event::Closed(ACCEPTED, CloseReason::Eof));
    bench.now += secs(30);
    bench.event(Event::Accepted(ConnId::Accepted(1), ends()));
    assert!(!restart_bit(&bench));
}
