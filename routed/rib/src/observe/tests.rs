use std::time::Instant;

use net::Family;

use super::*;
use crate::Filter;
use crate::fixture::{attrs, p, peer, table};

const ONE: PeerId = PeerId(1);

/// Two peers; the first has told two prefixes, which have been taken.
fn observed() -> Table {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001), peer(2, 65002)]);
    t.observe(true);
    let reach = [(p("10.1.0.0/16"), 0), (p("10.2.0.0/16"), 0)];
    t.update(now, ONE, reach, &attrs(&[65001], "192.0.2.1")).unwrap();
    assert_eq!(taken(&mut t), ["10.1.0.0/16", "10.2.0.0/16"]);
    t
}

fn taken(t: &mut Table) -> Vec<String> {
    t.take_observed().map(|(_, prefix, _)| prefix.to_string()).collect()
}

#[test]
fn nothing_is_noted_while_nobody_observes() {
    let mut t = observed();
    t.observe(false);
    t.withdraw(ONE, [(p("10.1.0.0/16"), 0)]).unwrap();
    t.observe(true);
    assert_eq!(taken(&mut t), [""; 0]);
}

#[test]
fn what_is_withdrawn_or_swept_or_imported_anew_is_noted_once() {
    let mut t = observed();
    let (now, told) = (Instant::now(), attrs(&[65001], "192.0.2.1"));
    t.withdraw(ONE, [(p("10.1.0.0/16"), 0)]).unwrap();
    t.update(now, ONE, [(p("10.1.0.0/16"), 0)], &told).unwrap();
    assert_eq!(taken(&mut t), ["10.1.0.0/16"]);

    t.mark_stale(ONE, Family::Ipv4Unicast);
    assert!(t.heard_of((ONE, p("10.1.0.0/16"), 0)).is_none(), "it is of the session before");
    t.update(now, ONE, [(p("10.1.0.0/16"), 0)], &told).unwrap();
    assert_eq!(taken(&mut t), ["10.1.0.0/16"], "though it says the same");
    t.sweep_stale(ONE, Family::Ipv4Unicast);
    assert_eq!(taken(&mut t), ["10.2.0.0/16"]);

    let import = std::sync::Arc::new(Filter { name: "none".into(), ..crate::filter::reject_all() });
    t.peer_up(crate::PeerInfo { import, ..peer(1, 65001) });
    t.take_changes(usize::MAX);
    assert_eq!(taken(&mut t), ["10.1.0.0/16"]);
    assert!(t.heard_of((ONE, p("10.1.0.0/16"), 0)).unwrap().path.imported.is_err());
}

#[test]
fn a_peer_that_goes_leaves_nothing_to_be_told() {
    let mut t = observed();
    t.update(Instant::now(), PeerId(2), [(p("10.1.0.0/16"), 0)], &attrs(&[65002], "192.0.2.2")).unwrap();
    t.withdraw(ONE, [(p("10.2.0.0/16"), 0)]).unwrap();
    t.peer_down(ONE);
    assert_eq!(t.take_observed().collect::<Vec<_>>(), [(PeerId(2), p("10.1.0.0/16"), 0)]);
}

#[test]
fn pages_are_of_bounded_work_and_have_all() {
    let t = observed();
    let (mut after, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = t.heard(ONE, after, 1);
        all.extend(page.items.iter().map(|heard| heard.prefix.to_string()));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(all, ["10.1.0.0/16", "10.2.0.0/16"]);
    assert!(pages > t.len());
}
