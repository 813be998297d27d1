//! What outlives a session, and who may take its place.

use net::Family;

use super::*;
use crate::conn::CloseReason;
use crate::peer::{Admin, Graceful, HoldExpiry, RestartConfig, Why};

const SECOND: ConnId = ConnId::Accepted(7);

fn restartable(notification: bool) -> PeerConfig {
    let restart = RestartConfig { notification, ..RestartConfig::new(secs(120)) };
    PeerConfig { graceful_restart: Some(restart), ..ours() }
}

/// Ends a session by `event`; says what was done.
fn check_end(config: PeerConfig, event: &Event, did: &str) {
    let mut bench = Bench::established(config);
    bench.event(event.clone());
    assert_eq!(bench.did(), did, "{event:?}");
}

#[test]
fn a_lost_connection_keeps_routes_only_with_graceful_restart() {
    let closed = || Event::Closed(DIALLED, CloseReason::Eof);
    check_end(ours(), &closed(), "down");
    check_end(restartable(false), &closed(), "down gracefully");
    check_end(restartable(true), &closed(), "down gracefully");
}

#[test]
fn a_notification_keeps_routes_only_with_the_n_bit_and_a_hard_reset_never() {
    let received = |code, subcode| Event::Received(DIALLED, Ok(notification(code, subcode)));
    check_end(restartable(false), &received(6, 4), "close D, down");
    check_end(restartable(true), &received(6, 4), "close D, down gracefully");
    check_end(restartable(true), &received(6, 9), "close D, down");
    let malformed = Event::Received(DIALLED, Err(Notification { code: 3, subcode: 1, data: Box::default() }));
    check_end(restartable(false), &malformed, "notify 3/1 D, close D, down");
    check_end(restartable(true), &malformed, "notify 3/1 D, close D, down gracefully");
}

#[test]
fn each_way_of_stopping_says_its_own_word() {
    let limit = Admin::MaxPrefixes { family: Family::Ipv4Unicast, limit: 10 };
    for (admin, plain, with_n_bit) in [
        (Admin::Shutdown(None), "notify 6/2 D, close D, down", "notify 6/9 D, close D, down"),
        (Admin::Deconfigured, "notify 6/3 D, close D, down", "notify 6/9 D, close D, down"),
        (limit, "notify 6/1 D, close D, down", "notify 6/9 D, close D, down"),
        (Admin::BfdDown, "notify 6/10 D, close D, down", "notify 6/9 D, close D, down"),
        (Admin::Reset(None), "notify 6/4 D, close D, down", "notify 6/4 D, close D, down gracefully"),
        (Admin::ConfigChange, "notify 6/6 D, close D, down", "notify 6/6 D, close D, down gracefully"),
    ] {
        check_end(ours(), &Event::Stop(admin.clone()), plain);
        check_end(restartable(true), &Event::Stop(admin), with_n_bit);
    }
    check_end(ours(), &Event::Stop(Admin::Restart), "notify 6/4 D, close D, down");
    check_end(restartable(false), &Event::Stop(Admin::Restart), "close D, down");
}

#[test]
fn what_does_not_stay_down_connects_anew_and_what_does_needs_a_start() {
    for admin in [Admin::Reset(None), Admin::ConfigChange, Admin::BfdDown] {
        let mut bench = Bench::established(ours());
        bench.event(Event::Stop(admin)).tick();
        assert_eq!(bench.did(), "dial");
    }
    let mut bench = Bench::established(ours());
    bench.event(Event::Stop(Admin::Shutdown(None)));
    assert_eq!(bench.peer.next_deadline(), None);
    bench.event(Event::Stop(Admin::Reset(None)));
    assert_eq!(bench.peer.next_deadline(), None);
    assert_eq!(bench.event(Event::Start).did(), "dial");
}

#[test]
fn a_configured_shutdown_cannot_be_started() {
    let mut bench = Bench::new(PeerConfig { shutdown: Some("maintenance".into()), ..ours() });
    bench.event(Event::Start);
    assert_eq!((bench.did().as_str(), bench.peer.next_deadline()), ("", None));
    let status = bench.peer.status();
    assert_eq!(status.last_error.0.to_string(), "shut down by the operator: maintenance");
}

#[test]
fn after_a_graceful_loss_the_peer_may_connect_at_once() {
    let mut bench = Bench::established(restartable(false));
    bench.event(Event::Closed(DIALLED, CloseReason::Eof));
    assert_eq!(bench.peer.state(), State::Active);
    assert_eq!(bench.event(Event::Accepted(SECOND, ends())).did(), "open A");
}

#[test]
fn a_port_scan_does_not_cost_the_session() {
    let mut bench = Bench::established(restartable(true));
    assert_eq!(bench.event(Event::Accepted(SECOND, ends())).did(), "");
    assert_eq!(bench.event(Event::Closed(SECOND, CloseReason::Eof)).did(), "");
    bench.event(Event::Accepted(ConnId::Accepted(8), ends()));
    let garbage = Notification { code: 1, subcode: 1, data: Box::default() };
    bench.event(Event::Received(ConnId::Accepted(8), Err(garbage)));
    assert_eq!(bench.did(), "notify 1/1 A, close A");
    assert_eq!(bench.peer.state(), State::Established);
    assert_eq!(*bench.peer.status().last_error.0, Why::NotStarted);
}

#[test]
fn the_open_of_a_restarted_peer_replaces_its_session() {
    let mut bench = Bench::established(restartable(false));
    bench.event(Event::Accepted(SECOND, ends())).their_open(SECOND, "10.0.0.9");
    assert_eq!(bench.did(), "close D, down gracefully, open A, keepalive A");
    assert_eq!(bench.peer.state(), State::OpenConfirm);
    assert_eq!(bench.message(SECOND, Message::Keepalive).did(), "up");
    // The same again, now with both connections accepted ones.
    let third = ConnId::Accepted(9);
    bench.event(Event::Accepted(third, ends())).their_open(third, "10.0.0.9");
    assert_eq!(bench.did(), "close A, down gracefully, open A, keepalive A");
}

#[test]
fn a_connection_from_before_the_session_is_a_collision_and_no_restart() {
    for early in [true, false] {
        let mut bench = Bench::new(restartable(true));
        bench.event(Event::Start).event(Event::Dialled(DIALLED, ends()));
        if early {
            bench.event(Event::Accepted(SECOND, ends())).their_open(DIALLED, "10.0.0.9");
        } else {
            bench.their_open(DIALLED, "10.0.0.9").event(Event::Accepted(SECOND, ends()));
        }
        bench.message(DIALLED, Message::Keepalive).their_open(SECOND, "10.0.0.9");
        assert_eq!(bench.did(), "notify 6/7 A, close A");
        assert_eq!(bench.peer.state(), State::Established);
    }
}

#[test]
fn an_open_that_does_not_suit_replaces_nothing() {
    let mut bench = Bench::established(restartable(false));
    let open = Open { hold_time: 1, ..their_open(bench.peer.config(), "10.0.0.9") };
    bench.event(Event::Accepted(SECOND, ends())).message(SECOND, Message::Open(open));
    assert_eq!(bench.did(), "notify 2/6 A, close A");
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn without_graceful_restart_the_second_connection_is_refused() {
    let mut bench = Bench::established(ours());
    bench.event(Event::Accepted(SECOND, ends())).their_open(SECOND, "10.0.0.9");
    assert_eq!(bench.did(), "notify 6/7 A, close A");
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn a_tracked_connection_takes_its_chance_when_the_session_goes() {
    let mut bench = Bench::established(ours());
    bench.event(Event::Accepted(SECOND, ends()));
    bench.event(Event::Closed(DIALLED, CloseReason::Failed("connection reset by peer".into())));
    assert_eq!(bench.did(), "down, open A");
    assert_eq!(bench.peer.state(), State::OpenSent);
}

#[test]
fn a_peer_that_flaps_is_held_although_it_speaks_graceful_restart() {
    let mut bench = Bench::established(restartable(false));
    let mut id = DIALLED;
    for round in 1..=6 {
        bench.event(Event::Closed(id, CloseReason::Eof));
        let state = if round < 6 { State::Active } else { State::Idle };
        assert_eq!(bench.peer.state(), state, "loss {round}");
        id = ConnId::Accepted(10 + round);
        bench.event(Event::Accepted(id, ends())).their_open(id, "10.0.0.9").message(id, Message::Keepalive);
    }
}

#[test]
fn an_expired_hold_timer_is_final_unless_it_is_to_keep_routes() {
    let expire = |restart: RestartConfig| {
        let mut bench = Bench::established(PeerConfig { graceful_restart: Some(restart), ..ours() });
        while bench.peer.state() == State::Established {
            bench.tick();
        }
        let why = bench.peer.status().last_error.0.to_string();
        assert!(why.starts_with("hold timer expired"), "{why}");
        bench.did()
    };
    let plain = RestartConfig::new(secs(120));
    assert_eq!(expire(RestartConfig { notification: false, ..plain.clone() }), "notify 4/0 D, close D, down");
    // RFC 8538 §3: so that the peer does not keep ours either.
    assert_eq!(expire(plain.clone()), "notify 6/9 D, close D, down");
    let keep = RestartConfig { hold_expiry: HoldExpiry::Keep, ..plain };
    assert_eq!(expire(keep), "notify 4/0 D, close D, down gracefully");
}

#[test]
fn a_graceful_loss_says_how_long_each_family_may_be_kept() {
    let config = PeerConfig { long_lived: Some(secs(3600)), ..restartable(false) };
    let mut bench = Bench::established(config);
    bench.event(Event::Closed(DIALLED, CloseReason::Eof));
    let Some(Action::Down(down)) = bench.out.first() else { panic!("{:?}", bench.out) };
    let family = Family::Ipv4Unicast;
    let kept =
        Graceful { restart_time: secs(120), families: vec![family], long_lived: vec![(family, secs(3600))] };
    assert_eq!(down.graceful, Some(kept));
}
