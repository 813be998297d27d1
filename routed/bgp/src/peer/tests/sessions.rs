//! Collisions, and what an established session hands on.

use net::Family;

use super::*;
use crate::conn::CloseReason;
use crate::peer::DisabledFamily;
use crate::wire::{Fault, RouteRefresh, Treatment, Update};

/// Both connections stand with our OPEN on each; the peer's comes first on
/// `first`, then on the other. Says what the second OPEN led to.
fn collide(first: ConnId, their_id: &str) -> String {
    let mut bench = Bench::new(ours());
    bench.event(Event::Start).event(Event::Accepted(ACCEPTED, ends()));
    bench.event(Event::Dialled(DIALLED, ends()));
    assert_eq!(bench.did(), "open D");
    let second = if first == DIALLED { ACCEPTED } else { DIALLED };
    bench.their_open(first, their_id).their_open(second, their_id);
    let did = bench.did();
    let survivor = bench.peer.status().negotiated.unwrap().conn;
    assert_eq!(bench.message(survivor, Message::Keepalive).did(), "up");
    did
}

#[test]
fn of_two_connections_the_one_of_the_higher_identifier_stays() {
    // We are 10.0.0.5, AS 65001; the peer is AS 65002.
    for higher in ["10.0.0.9", "10.0.0.5"] {
        assert_eq!(collide(DIALLED, higher), "notify 6/7 D, close D, keepalive A");
        assert_eq!(collide(ACCEPTED, higher), "notify 6/7 D, close D");
    }
    assert_eq!(collide(ACCEPTED, "10.0.0.4"), "notify 6/7 A, close A, keepalive D");
    assert_eq!(collide(DIALLED, "10.0.0.4"), "notify 6/7 A, close A");
}

#[test]
fn a_collision_lost_by_word_of_the_peer_leaves_the_other_connection() {
    let mut bench = Bench::new(ours());
    bench.event(Event::Start).event(Event::Accepted(ACCEPTED, ends()));
    bench.event(Event::Dialled(DIALLED, ends())).message(DIALLED, notification(6, 7));
    assert_eq!(bench.did(), "close D");
    assert_eq!(bench.peer.state(), State::OpenSent);
    bench.their_open(ACCEPTED, "10.0.0.9").message(ACCEPTED, Message::Keepalive);
    assert_eq!(bench.did(), "up");
}

#[test]
fn a_dial_that_comes_too_late_is_closed_without_a_word() {
    let mut bench = Bench::new(ours());
    bench.event(Event::Start).event(Event::Accepted(ACCEPTED, ends())).their_open(ACCEPTED, "10.0.0.4");
    assert_eq!(bench.event(Event::Dialled(DIALLED, ends())).did(), "close D");

    let mut bench = Bench::new(ours());
    bench.event(Event::Start).event(Event::Accepted(ACCEPTED, ends())).their_open(ACCEPTED, "10.0.0.4");
    assert_eq!(bench.message(ACCEPTED, Message::Keepalive).did(), "cancel, up");
}

#[test]
fn the_newest_of_several_silent_connections_of_the_peer_counts() {
    let mut bench = Bench::new(PeerConfig { passive: true, ..ours() });
    bench.event(Event::Start);
    for number in 0..5 {
        bench.event(Event::Accepted(ConnId::Accepted(number), ends()));
        assert_eq!(bench.peer.conns.len(), 1);
    }
    assert_eq!(bench.did(), "notify 6/7 A, close A, open A");
    bench.their_open(ConnId::Accepted(4), "10.0.0.9");
    assert_eq!(bench.did(), "keepalive A");
}

#[test]
fn a_connection_that_says_nothing_does_not_keep_us_from_dialling() {
    let mut bench = Bench::new(ours());
    bench.event(Event::Start).event(Event::DialFailed(DIALLED, "connection refused".into()));
    bench.event(Event::Accepted(ACCEPTED, ends())).tick();
    assert_eq!(bench.did(), "dial");
}

#[test]
fn not_now_is_no_failure() {
    for subcode in [5, 7] {
        let mut bench = Bench::new(ours());
        bench.event(Event::Start).event(Event::Dialled(DIALLED, ends()));
        bench.message(DIALLED, notification(6, subcode));
        assert_eq!((bench.did().as_str(), bench.peer.state()), ("close D", State::Active));
    }
}

#[test]
fn end_of_rib_follows_the_routes_that_it_comes_with() {
    let mut bench = Bench::established(ours());
    let mut update = Update { end_of_rib: Some(Family::Ipv4Unicast), ..Update::default() };
    assert_eq!(bench.message(DIALLED, Message::Update(update.clone())).did(), "end of ipv4");
    update.unreach = vec![(Family::Ipv4Unicast, vec![])];
    assert_eq!(bench.message(DIALLED, Message::Update(update)).did(), "update, end of ipv4");
}

#[test]
fn a_refresh_is_handed_on_only_for_what_was_negotiated() {
    let refresh = |afi, subtype| Message::RouteRefresh(RouteRefresh { afi, subtype, safi: 1 });
    let mut bench = Bench::established(PeerConfig { enhanced_refresh: true, ..ours() });
    assert_eq!(bench.message(DIALLED, refresh(1, 0)).did(), "refresh ipv4");
    assert_eq!(bench.message(DIALLED, refresh(1, 1)).did(), "begin ipv4");
    assert_eq!(bench.message(DIALLED, refresh(1, 2)).did(), "end refresh ipv4");
    for (afi, subtype) in [(2, 0), (1, 3), (9, 0)] {
        assert_eq!(bench.message(DIALLED, refresh(afi, subtype)).did(), "");
    }
    assert_eq!(bench.peer.status().counters.refreshes_ignored, 3);
    let mut plain = Bench::established(ours());
    assert_eq!(plain.message(DIALLED, refresh(1, 1)).did(), "");
}

#[test]
fn what_passed_is_counted_and_remembered() {
    let mut bench = Bench::established(ours());
    let fault = |treatment| Fault { attribute: 1, treatment, what: "origin out of range" };
    let faults = vec![fault(Treatment::Discard), fault(Treatment::TreatAsWithdraw)];
    bench.message(DIALLED, Message::Update(Update { faults, ..Update::default() }));
    let heard = bench.now;
    bench.now += secs(1);
    bench.event(Event::Received(DIALLED, Err(Notification { code: 3, subcode: 1, data: Box::default() })));
    let status = bench.peer.status();
    let counters = status.counters;
    assert_eq!((counters.received.open, counters.received.keepalive, counters.received.update), (1, 1, 1));
    assert_eq!((counters.sent.open, counters.sent.keepalive, counters.sent.notification), (1, 1, 1));
    assert_eq!((counters.established, counters.lost, counters.dials), (1, 1, 1));
    assert_eq!((status.last_heard, status.last_said), (Some(heard), Some(bench.now)));
    let malformed = counters.malformed;
    assert_eq!((malformed.attribute_discard, malformed.treat_as_withdraw, malformed.reset), (1, 1, 1));
    let sent = status.last_sent.unwrap();
    assert_eq!((sent.at, sent.notification.code), (bench.now, 3));
    assert_eq!(status.last_received, None);
    assert_eq!(status.since, Some(bench.now));
}

#[test]
fn a_disabled_family_is_told_before_the_routes_and_lasts_as_long_as_the_session() {
    let mut bench = Bench::established(ours());
    let family = Family::Ipv6Unicast;
    let fault = Fault { attribute: 14, treatment: Treatment::Disable(family), what: "too short" };
    let update = Update { faults: vec![fault], ..Update::default() };
    assert_eq!(bench.message(DIALLED, Message::Update(update)).did(), "disable ipv6, update");
    let status = bench.peer.status();
    assert_eq!(status.counters.malformed.family_disable, 1);
    assert_eq!(status.disabled, [DisabledFamily { family, what: "too short", since: bench.now }]);
    bench.event(Event::Closed(DIALLED, CloseReason::Eof));
    assert_eq!(bench.peer.status().disabled, []);
}

#[test]
fn what_comes_late_for_a_closed_connection_does_nothing() {
    let mut bench = Bench::established(ours());
    bench.event(Event::Closed(DIALLED, CloseReason::Eof));
    let heard = bench.peer.status().counters.received;
    assert_eq!(bench.message(DIALLED, Message::Keepalive).did(), "");
    assert_eq!(bench.event(Event::Closed(DIALLED, CloseReason::Eof)).did(), "");
    assert_eq!(bench.peer.status().counters.received, heard);
}

#[test]
fn a_peer_that_refuses_capabilities_is_asked_without_them_once() {
    let offers = |bench: &Bench| {
        let open = bench.out.iter().find_map(|action| match action {
            Action::Send(_, Message::Open(open)) => Some(!open.capabilities.is_empty()),
            _ => None,
        });
        open.expect("an OPEN is sent")
    };
    let mut bench = Bench::new(ours());
    bench.event(Event::Start);
    for (round, with) in (0..).zip([true, false, true, false]) {
        let id = ConnId::Dialled(round);
        bench.event(Event::Dialled(id, ends()));
        assert_eq!(offers(&bench), with, "attempt {round}");
        // RFC 5492 §3: Unsupported Optional Parameter.
        bench.message(id, notification(2, 4)).tick();
    }
    // A session without capabilities: IPv4, narrow AS numbers, nothing else.
    let mut bench = Bench::new(ours());
    bench.event(Event::Start).event(Event::Dialled(DIALLED, ends())).message(DIALLED, notification(2, 4));
    bench.tick();
    let second = ConnId::Dialled(1);
    bench.event(Event::Dialled(second, ends())).their_open(second, "10.0.0.9");
    bench.message(second, Message::Keepalive);
    let status = bench.peer.status();
    let up = status.negotiated.expect("a session");
    assert_eq!(
        (up.families.as_slice(), up.as4, up.route_refresh),
        (&[net::Family::Ipv4Unicast][..], false, false)
    );
}
