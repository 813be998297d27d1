//! What is told of routes that the kernel is to take first.

use super::*;

const PREFIX: &str = "10.1.0.0/24";

/// Peers 1 and 2, who know all but what is held; 1 tells the prefix.
fn world() -> World {
    let mut w = World::new();
    for n in [1, 2] {
        w.up(&external(n));
        w.drain(PeerId(n.into()));
    }
    w.slow.insert(p(PREFIX));
    w
}

/// Peer 1 tells the prefix with another AS behind it.
fn told(w: &mut World, origin: u32) {
    let attrs = attrs(&[65001, origin], "192.0.2.1");
    w.table.update(w.now, PeerId(1), [(p(PREFIX), 0)], &attrs).unwrap();
    w.flush(usize::MAX);
}

/// The last AS of the path that peer 2 believes in.
fn believed(w: &mut World) -> Option<u32> {
    w.drain(PeerId(2));
    let attrs = w.believes[&PeerId(2)].get(&p(PREFIX).into())?;
    attrs.as_path.to_string().split(' ').next_back()?.parse().ok()
}

#[test]
fn a_route_is_told_when_it_is_released_and_its_predecessor_until_then() {
    let mut w = world();
    told(&mut w, 7);
    assert_eq!(believed(&mut w), None);
    w.out.release(&w.table, p(PREFIX));
    assert_eq!(believed(&mut w), Some(7));

    told(&mut w, 8);
    told(&mut w, 9);
    assert_eq!((believed(&mut w), w.out.holds(p(PREFIX))), (Some(7), true));
    // Who asks anew, or comes only now, hears what the others were told.
    w.refreshed.insert(PeerId(2));
    w.out.refresh(PeerId(2), IPV4);
    assert_eq!(believed(&mut w), Some(7));
    w.up(&external(3));
    w.drain(PeerId(3));
    assert_eq!(w.believes[&PeerId(3)][&p(PREFIX).into()], w.believes[&PeerId(2)][&p(PREFIX).into()]);
    w.out.release(&w.table, p(PREFIX));
    assert_eq!((believed(&mut w), w.out.holds(p(PREFIX))), (Some(9), false));
}

#[test]
fn a_withdrawal_waits_for_nobody() {
    let mut w = world();
    told(&mut w, 7);
    w.out.release(&w.table, p(PREFIX));
    told(&mut w, 8);
    w.table.withdraw(PeerId(1), [(p(PREFIX), 0)]).unwrap();
    w.flush(usize::MAX);
    assert_eq!((believed(&mut w), w.out.holds(p(PREFIX))), (None, false));
}

#[test]
fn a_route_that_the_kernel_refused_is_withdrawn_until_it_is_taken() {
    let mut w = world();
    told(&mut w, 7);
    w.out.release(&w.table, p(PREFIX));
    assert_eq!(believed(&mut w), Some(7));
    w.out.retract(&w.table, p(PREFIX));
    w.out.retract(&w.table, p(PREFIX));
    assert_eq!(believed(&mut w), None);
    told(&mut w, 8);
    assert_eq!(believed(&mut w), None, "it is not known yet whether the kernel takes it");
    w.out.release(&w.table, p(PREFIX));
    assert_eq!(believed(&mut w), Some(8));
}

#[test]
fn nothing_is_kept_of_a_prefix_that_nobody_tells() {
    let mut w = world();
    w.out.retract(&w.table, p(PREFIX));
    assert!(!w.out.holds(p(PREFIX)));
    told(&mut w, 7);
    w.table.withdraw(PeerId(1), [(p(PREFIX), 0)]).unwrap();
    w.flush(usize::MAX);
    assert!(!w.out.holds(p(PREFIX)));
}
