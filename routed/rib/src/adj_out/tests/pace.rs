//! Peers that are told at intervals.

use std::time::Duration;

use super::*;

const INTERVAL: Duration = Duration::from_secs(10);

/// Peer 1, who is told at intervals and knows all there is; peer 2 tells.
fn world() -> World {
    let mut w = World::new();
    w.up(&PeerInfo { advertisement_interval: INTERVAL, ..external(1) });
    w.up(&external(2));
    for n in [1, 2] {
        w.drain(PeerId(n));
    }
    w
}

/// Peer 2 tells a prefix with another AS behind it, or withdraws it.
fn told(w: &mut World, prefix: &str, origin: Option<u32>) {
    match origin {
        Some(origin) => {
            let attrs = attrs(&[65002, origin], "192.0.2.2");
            w.table.update(w.now, PeerId(2), [(p(prefix), 0)], &attrs).unwrap();
        }
        None => w.table.withdraw(PeerId(2), [(p(prefix), 0)]).unwrap(),
    }
    w.flush(usize::MAX);
}

/// What peer 1 hears now.
fn hears(w: &mut World) -> Vec<Out> {
    let more = || {
        w.deliver();
        w.read(PeerId(1))
    };
    std::iter::from_fn(more).flatten().collect()
}

fn in_ten_seconds(w: &mut World) -> Vec<Out> {
    w.clock += INTERVAL;
    hears(w)
}

#[test]
fn the_first_change_is_told_at_once_and_the_next_ones_together_after_the_interval() {
    let mut w = world();
    told(&mut w, "10.1.0.0/24", Some(7));
    assert_eq!(reached(&hears(&mut w)), [p("10.1.0.0/24")]);
    let begun = w.clock;
    for n in 1..=9 {
        w.clock += Duration::from_millis(700);
        told(&mut w, "10.1.0.0/24", Some(7 + n));
        told(&mut w, &format!("10.2.{n}.0/24"), Some(7));
        assert_eq!(hears(&mut w), []);
    }
    let due = w.out.next_deadline().unwrap();
    assert!((INTERVAL * 3 / 4..=INTERVAL).contains(&(due - begun)), "jitter of RFC 4271 §10");
    w.clock = due;
    let outs = hears(&mut w);
    assert_eq!(reached(&outs).len(), 10);
    assert_eq!(w.out.next_deadline(), None, "nothing waits for the second interval");
    told(&mut w, "10.1.0.0/24", Some(7));
    assert_eq!(hears(&mut w), []);
    assert_eq!(reached(&in_ten_seconds(&mut w)), [p("10.1.0.0/24")]);
    // After a rest without news the next change goes at once again.
    w.clock += INTERVAL;
    told(&mut w, "10.1.0.0/24", Some(8));
    assert_eq!(reached(&hears(&mut w)), [p("10.1.0.0/24")]);
}

#[test]
fn withdrawals_do_not_wait_and_begin_no_interval() {
    let mut w = world();
    for prefix in ["10.1.0.0/24", "10.2.0.0/24"] {
        told(&mut w, prefix, Some(7));
    }
    assert_eq!(reached(&hears(&mut w)).len(), 2);
    told(&mut w, "10.1.0.0/24", Some(8));
    told(&mut w, "10.2.0.0/24", None);
    assert_eq!(hears(&mut w), [unreach("10.2.0.0/24")]);
    told(&mut w, "10.1.0.0/24", None);
    assert_eq!(hears(&mut w), [unreach("10.1.0.0/24")]);
    w.clock += INTERVAL;
    told(&mut w, "10.1.0.0/24", Some(9));
    hears(&mut w);
    w.clock += INTERVAL;
    told(&mut w, "10.1.0.0/24", None);
    assert_eq!(hears(&mut w), [unreach("10.1.0.0/24")]);
    told(&mut w, "10.1.0.0/24", Some(9));
    assert_eq!(reached(&hears(&mut w)), [p("10.1.0.0/24")]);
}

#[test]
fn what_takes_itself_back_within_the_interval_is_not_told() {
    let mut w = world();
    told(&mut w, "10.1.0.0/24", Some(7));
    hears(&mut w);
    for origin in [8, 9, 7] {
        told(&mut w, "10.1.0.0/24", Some(origin));
    }
    told(&mut w, "10.2.0.0/24", Some(7));
    told(&mut w, "10.2.0.0/24", None);
    assert_eq!((hears(&mut w), w.out.next_deadline()), (vec![], None));
    assert_eq!(in_ten_seconds(&mut w), []);
}

#[test]
fn a_peer_that_tells_better_itself_hears_at_once_that_our_way_is_gone() {
    let mut w = world();
    told(&mut w, "10.1.0.0/24", Some(7));
    hears(&mut w);
    let shorter = attrs(&[65001], "192.0.2.1");
    w.table.update(w.now, PeerId(1), [(p("10.1.0.0/24"), 0)], &shorter).unwrap();
    w.flush(usize::MAX);
    assert_eq!(hears(&mut w), [unreach("10.1.0.0/24")]);
}

#[test]
fn others_do_not_wait_and_a_session_that_comes_up_is_told_all_at_once() {
    let mut w = world();
    w.up(&external(3));
    w.drain(PeerId(3));
    told(&mut w, "10.1.0.0/24", Some(7));
    hears(&mut w);
    told(&mut w, "10.1.0.0/24", Some(8));
    w.deliver();
    while w.read(PeerId(3)).is_some() {}
    assert!(w.believes[&PeerId(3)][&p("10.1.0.0/24").into()].as_path.to_string().ends_with('8'));
    w.up(&PeerInfo { advertisement_interval: INTERVAL, ..external(1) });
    let now = w.clock;
    let outs = w.drain(PeerId(1));
    assert!(reached(&outs).contains(&p("10.1.0.0/24")) && w.clock == now);
}
