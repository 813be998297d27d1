//! Who dials, between two nodes of ours.

use super::pair::{Pair, Side, UP};
use super::*;
use crate::conn::CloseReason;
use crate::peer::{Admin, RestartConfig};

const THEIRS: &str = "10.0.0.9";

fn routed(config: PeerConfig) -> PeerConfig {
    PeerConfig { software: Some("routed/1.2".into()), ..config }
}

/// A peer that has a session with a higher identifier, on a connection that
/// this one has dialled.
fn met(config: PeerConfig) -> Bench {
    let bench = Bench::established(config);
    assert_eq!(bench.peer.status().negotiated.unwrap().software(), bench.peer.config().software.as_deref());
    bench
}

/// Ends the session with a NOTIFICATION and leaves Idle; says what is done then.
fn after_the_hold(bench: &mut Bench, id: ConnId) -> String {
    bench.message(id, notification(6, 4));
    assert_eq!(bench.peer.state(), State::Idle);
    bench.tick();
    bench.did()
}

#[test]
fn who_has_the_lower_identifier_waits_for_the_other_one_connect_retry_time() {
    let mut bench = met(routed(ours()));
    assert_eq!(after_the_hold(&mut bench, DIALLED), "");
    assert_eq!(bench.peer.state(), State::Active);
    let waited = bench.tick();
    assert!(waited <= secs(5) && waited >= secs(5) * 3 / 4, "{waited:?}");
    assert_eq!(bench.did(), "dial");
}

#[test]
fn only_the_lower_of_two_that_have_said_what_they_are_waits() {
    // The other has said nothing.
    let mut bench = met(ours());
    assert_eq!(after_the_hold(&mut bench, DIALLED), "dial");
    // It is another software.
    let other = PeerConfig { software: Some("FRRouting/8.4".into()), ..ours() };
    assert_eq!(after_the_hold(&mut met(other), DIALLED), "dial");
    // Ours is higher.
    let mut bench = Bench::new(routed(ours()));
    bench.event(Event::Start).event(Event::Dialled(DIALLED, ends()));
    bench.their_open(DIALLED, "10.0.0.1").message(DIALLED, Message::Keepalive);
    assert_eq!(after_the_hold(&mut bench, DIALLED), "dial");
}

#[test]
fn a_peer_that_has_become_another_software_is_dialled_at_once() {
    let mut bench = met(routed(ours()));
    after_the_hold(&mut bench, DIALLED);
    let mut open = their_open(bench.peer.config(), THEIRS);
    open.capabilities.retain(|capability| !matches!(capability, Capability::SoftwareVersion(_)));
    bench.event(Event::Accepted(ACCEPTED, ends())).message(ACCEPTED, Message::Open(open));
    bench.message(ACCEPTED, Message::Keepalive);
    assert_eq!(bench.peer.state(), State::Established);
    assert_eq!(after_the_hold(&mut bench, ACCEPTED), "dial");
}

#[test]
fn a_peer_that_does_not_dial_is_waited_for_once() {
    let mut bench = met(routed(ours()));
    assert_eq!(after_the_hold(&mut bench, DIALLED), "");
    bench.tick();
    let second = ConnId::Dialled(1);
    assert_eq!(bench.out.first(), Some(&Action::Dial(second)));
    bench.event(Event::Dialled(second, ends())).their_open(second, THEIRS);
    bench.message(second, Message::Keepalive);
    assert_eq!(after_the_hold(&mut bench, second), "dial");
    // When it has dialled it is waited for again.
    bench.event(Event::Accepted(ACCEPTED, ends())).their_open(ACCEPTED, THEIRS);
    bench.message(ACCEPTED, Message::Keepalive);
    assert_eq!(after_the_hold(&mut bench, ACCEPTED), "");
}

#[test]
fn a_peer_that_could_not_be_reached_has_not_shown_that_it_does_not_dial() {
    let mut bench = met(routed(ours()));
    after_the_hold(&mut bench, DIALLED);
    bench.tick();
    bench.event(Event::DialFailed(ConnId::Dialled(1), "connection refused".into())).tick();
    let third = ConnId::Dialled(2);
    assert_eq!(bench.out.first(), Some(&Action::Dial(third)));
    bench.event(Event::Dialled(third, ends())).their_open(third, THEIRS).message(third, Message::Keepalive);
    assert_eq!(after_the_hold(&mut bench, third), "");
}

#[test]
fn a_peer_that_came_while_it_was_held_in_idle_is_dialled() {
    let mut bench = met(routed(ours()));
    bench.message(DIALLED, notification(6, 4)).event(Event::Accepted(ACCEPTED, ends()));
    assert_eq!(bench.did(), "close A");
    bench.tick();
    assert_eq!(bench.did(), "dial");
}

#[test]
fn a_peer_that_restarts_gracefully_is_left_to_come_back_by_itself() {
    let restart = Some(RestartConfig::new(secs(120)));
    let lost = |config: PeerConfig| {
        let mut bench = met(PeerConfig { graceful_restart: restart.clone(), ..config });
        bench.event(Event::Closed(DIALLED, CloseReason::Eof));
        assert_eq!((bench.did().as_str(), bench.peer.state()), ("down gracefully", State::Active));
        let waited = bench.tick();
        assert_eq!(bench.did(), "dial");
        waited
    };
    assert!(lost(ours()) <= secs(1));
    assert!(lost(routed(ours())) >= secs(5) * 3 / 4);
}

#[test]
fn two_nodes_of_ours_do_not_collide_again_whoever_resets_the_session() {
    let (low, high) = (routed(config("10.0.0.1", 65001, 65001)), routed(config("10.0.0.2", 65001, 65001)));
    let mut pair = Pair::started(low, high);
    pair.drive_bounded(secs(5));
    assert_eq!(pair.states(), UP);
    let collisions = |pair: &Pair| {
        [Side::A, Side::B].map(|side| pair.peer(side).status().counters.collisions).iter().sum::<u64>()
    };
    let first = collisions(&pair);
    assert!(first > 0, "both have dialled at once");
    let dials = pair.peer(Side::A).status().counters.dials;
    for round in 0..20 {
        let side = if round % 2 == 0 { Side::A } else { Side::B };
        pair.event(side, Event::Stop(Admin::Reset(None)));
        pair.drive_bounded(secs(10));
        assert_eq!(pair.states(), UP, "round {round}");
    }
    for round in 0..10 {
        pair.break_connections();
        pair.drive_bounded(secs(120));
        assert_eq!(pair.states(), UP, "round {round}");
    }
    assert_eq!(collisions(&pair), first);
    let late = pair.peer(Side::A).status().counters.dials - dials;
    assert!(late <= 20, "{late} dials of the lower side, only where it had refused the other");
}

#[test]
fn a_passive_peer_is_reached_at_once_the_first_time_and_again_after_each_loss() {
    let low = routed(config("10.0.0.1", 65001, 65001));
    // It is out of Idle before the other dials.
    let idle_hold = Duration::from_millis(100);
    let high = PeerConfig { passive: true, idle_hold, ..routed(config("10.0.0.2", 65001, 65001)) };
    let mut pair = Pair::started(low, high);
    pair.drive_bounded(secs(1));
    assert_eq!(pair.states(), UP);
    for (round, seconds) in [(1, 7), (2, 2), (3, 2)] {
        pair.event(Side::A, Event::Stop(Admin::Reset(None)));
        pair.event(Side::B, Event::Stop(Admin::Reset(None)));
        pair.drive_bounded(secs(seconds));
        assert_eq!(pair.states(), UP, "round {round}");
    }
}
