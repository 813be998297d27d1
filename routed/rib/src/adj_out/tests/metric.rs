//! The accumulated metric (RFC 7311 §3.4.3).

use super::*;
use crate::fixture::ip;

/// The way to the next hop of what peer 1 tells, with this metric.
fn way(w: &mut World, metric: u32) {
    let via = Via::OnLink { gateway: Some(ip("192.0.2.9")), ifindex: 2 };
    let route = Origination { metric, ..Origination::new(Protocol::Rip, via) };
    w.table.originate(w.now, p("198.51.100.0/24"), route);
    w.flush(usize::MAX);
}

#[test]
fn a_metric_to_the_next_hop_that_changes_alone_is_told() {
    let mut w = World::new();
    let mut to = external(2);
    to.carries.aigp = true;
    w.up(&internal(1));
    w.up(&to);
    way(&mut w, 5);
    let mut route = Attrs::clone(&attrs(&[65009], "198.51.100.1"));
    route.aigp = Some(100);
    let prefix = p("10.1.0.0/16");
    w.table.update(w.now, PeerId(1), [(prefix, 0)], &Arc::new(route.clone())).unwrap();
    w.flush(usize::MAX);
    let told = |w: &mut World| {
        let told = reached(&w.drain(PeerId(2)));
        (told.contains(&prefix), w.believes[&PeerId(2)][&prefix.into()].aigp)
    };
    assert_eq!(told(&mut w), (true, Some(105)));
    way(&mut w, 9);
    assert_eq!(told(&mut w), (true, Some(109)));
    // One that is back before anybody has heard is none.
    way(&mut w, 3);
    way(&mut w, 9);
    assert_eq!(told(&mut w), (false, Some(109)));
    // A route without one does not care.
    route.aigp = None;
    w.table.update(w.now, PeerId(1), [(prefix, 0)], &Arc::new(route)).unwrap();
    w.flush(usize::MAX);
    assert_eq!(told(&mut w), (true, None));
    way(&mut w, 7);
    assert_eq!(told(&mut w), (false, None));
    assert_eq!(w.table.best(prefix).unwrap().metric, 0);
}
