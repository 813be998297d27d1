use std::time::Instant;

use super::*;
use crate::fixture::{attrs, ip, p, peer, table};
use crate::{Origination, Rules, Via};

fn filled() -> Table {
    let now = Instant::now();
    let mut t = table(now, &[peer(1, 65001), peer(2, 65002)]);
    t.set_rules(Rules { multipath: 2, multipath_as_path_relax: true, ..*t.rules() });
    for n in 0..10 {
        let reach = [(p(&format!("10.{n}.0.0/16")), 0)];
        t.update(now, PeerId(1), reach, &attrs(&[65001], "192.0.2.1")).unwrap();
    }
    t.update(now, PeerId(2), [(p("10.1.0.0/16"), 0)], &attrs(&[65002], "192.0.2.2")).unwrap();
    t.update(now, PeerId(2), [(p("10.2.0.0/16"), 0)], &attrs(&[65002, 1], "192.0.2.2")).unwrap();
    t.update(now, PeerId(2), [(p("10.3.0.0/16"), 0)], &attrs(&[65002], "198.51.100.2")).unwrap();
    t.update(now, PeerId(2), [(p("10.3.4.0/24"), 0)], &attrs(&[65002], "198.51.100.2")).unwrap();
    t.originate(now, p("fd00::/48"), Origination::new(Protocol::Static, Via::Discard));
    t
}

/// How the paths of a prefix stand, as `routectl routes --all` prints it.
fn check(prefix: &str) -> Vec<(Source, Standing)> {
    let view = filled().route(p(prefix)).unwrap();
    view.candidates.into_iter().map(|view| (view.path.source, view.standing)).collect()
}

#[test]
fn every_path_says_how_it_stands_and_why() {
    let (a, b) = (Source::Peer(PeerId(1)), Source::Peer(PeerId(2)));
    assert_eq!(check("10.0.0.0/16"), [(a, Standing::Best(Step::Only))]);
    assert_eq!(check("10.1.0.0/16"), [(a, Standing::Best(Step::RouterId)), (b, Standing::Shares)]);
    assert_eq!(check("10.2.0.0/16"), [(a, Standing::Best(Step::AsPath)), (b, Standing::Lost(Step::AsPath))]);
    let unreachable = Standing::Ineligible(Why::NextHopUnreachable(ip("198.51.100.2")));
    assert_eq!(check("10.3.0.0/16"), [(a, Standing::Best(Step::Only)), (b, unreachable)]);
}

#[test]
fn pages_give_every_route_once_and_in_order() {
    let t = filled();
    let all = t.routes(&Query::default(), None, usize::MAX).items;
    assert_eq!(all.len(), t.len());
    assert!(all.is_sorted_by_key(|view| view.prefix));
    for size in [1, 3, all.len()] {
        let (mut seen, mut after) = (vec![], None);
        loop {
            let page = t.routes(&Query::default(), after, size);
            assert!(page.items.len() <= size);
            seen.extend(page.items.into_iter().map(|view| view.prefix));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, all.iter().map(|view| view.prefix).collect::<Vec<_>>());
    }
}

#[test]
fn a_query_restricts() {
    let t = filled();
    let count = |query: Query| t.routes(&query, None, usize::MAX).items.len();
    assert_eq!(count(Query { within: Some(p("10.2.0.0/15")), ..Query::default() }), 3);
    assert_eq!(count(Query { family: Some(Family::Ipv6Unicast), ..Query::default() }), 2);
    assert_eq!(count(Query { protocol: Some(Protocol::Static), ..Query::default() }), 1);
    assert_eq!(count(Query { peer: Some(PeerId(2)), ..Query::default() }), 4);
    assert_eq!(t.received(PeerId(2), Some(p("10.2.0.0/16")), 9).items.len(), 2);
    assert!(t.route(p("203.0.113.0/24")).is_none());
}

#[test]
fn lookup_takes_the_most_specific_route_that_is_usable() {
    let t = filled();
    let found = |address| t.lookup(ip(address)).map(|view| view.prefix);
    assert_eq!(found("10.3.4.5"), Some(p("10.3.0.0/16")), "10.3.4.0/24 has no reachable next hop");
    assert_eq!(found("192.0.2.9"), Some(p("192.0.2.0/24")));
    assert_eq!(found("203.0.113.1"), None);
}
