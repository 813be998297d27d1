//! `routes`.

use expect_test::expect;

use crate::check;
use crate::fake::Fake;

#[test]
fn routes_are_the_best_ones() {
    check(
        "routes",
        &expect![[r#"
        PREFIX         PROTOCOL  NEXT_HOP   INTERFACE  METRIC  STATE  INSTALLED     AGE  PEER       AS_PATH
        10.244.2.0/24  bgp       192.0.2.2  eth0            0  best   yes        11m40s  192.0.2.2  64513
    "#]],
    );
    check(
        "routes -o json",
        &expect![[r#"
            [
              {"prefix":"10.244.2.0/24","protocol":"bgp","next_hops":[{"address":"192.0.2.2","interface":"eth0","weight":1}],"metric":0,"distance":20,"best":true,"state":"best","installed":true,"install_error":null,"age_seconds":700,"peer":"192.0.2.2","as_path":"64513","origin":"igp","local_pref":null,"med":0,"communities":["64512:100"],"large_communities":[],"ext_communities":[],"reason":"the only path","stale":false,"path_id":null,"originator_id":null,"cluster_list":[],"aggregator":null,"atomic_aggregate":false,"aigp":null,"only_to_customer":null,"ipv6_ext_communities":[],"unknown_attributes":[]}
            ]
        "#]],
    );
}

#[test]
fn all_routes_come_with_reasons_whatever_the_number_of_pages() {
    check(
        "routes --all",
        &expect![[r#"
            PREFIX          PROTOCOL  NEXT_HOP   INTERFACE  METRIC  STATE     INSTALLED     AGE  PEER       AS_PATH  REASON
            10.244.2.0/24   bgp       192.0.2.2  eth0            0  best      yes        11m40s  192.0.2.2  64513    the only path
            192.168.0.0/16  bgp       discard    -               0  rejected  no         11m40s  192.0.2.2  64513    import filter cluster-only: outside the pools
        "#]],
    );
    check(
        "routes --peer 192.0.2.2 --received -o yaml",
        &expect![[r#"
            - prefix: '10.244.2.0/24'
              protocol: 'bgp'
              next_hops:
              - address: '192.0.2.2'
                interface: 'eth0'
                weight: 1
              metric: 0
              distance: 20
              best: true
              state: 'best'
              installed: true
              install_error: null
              age_seconds: 700
              peer: '192.0.2.2'
              as_path: '64513'
              origin: 'igp'
              local_pref: null
              med: 0
              communities:
              - '64512:100'
              large_communities: []
              ext_communities: []
              reason: 'the only path'
              stale: false
              path_id: null
              originator_id: null
              cluster_list: []
              aggregator: null
              atomic_aggregate: false
              aigp: null
              only_to_customer: null
              ipv6_ext_communities: []
              unknown_attributes: []
            - prefix: '192.168.0.0/16'
              protocol: 'bgp'
              next_hops: []
              metric: 0
              distance: 20
              best: false
              state: 'rejected'
              installed: false
              install_error: null
              age_seconds: 700
              peer: '192.0.2.2'
              as_path: '64513'
              origin: 'igp'
              local_pref: null
              med: 0
              communities: []
              large_communities: []
              ext_communities: []
              reason: 'import filter cluster-only: outside the pools'
              stale: false
              path_id: null
              originator_id: null
              cluster_list: []
              aggregator: null
              atomic_aggregate: false
              aigp: null
              only_to_customer: null
              ipv6_ext_communities: []
              unknown_attributes: []
        "#]],
    );
    let json = Fake::start().done("routes --all -o json");
    let routes: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(routes.as_array().map(Vec::len), Some(2), "{json}");
}

#[test]
fn no_routes_are_an_empty_list_in_every_form() {
    check(
        "routes 10.1.0.0/16",
        &expect![[r#"
        PREFIX  PROTOCOL  NEXT_HOP  INTERFACE  METRIC  STATE  INSTALLED  AGE  PEER  AS_PATH
    "#]],
    );
    check(
        "routes 10.1.0.0/16 -o json",
        &expect![[r#"
        []
    "#]],
    );
    check(
        "routes 10.1.0.0/16 -o yaml",
        &expect![[r#"
        []
    "#]],
    );
}

#[test]
fn a_route_is_looked_up_announced_and_withdrawn() {
    check(
        "routes lookup 10.244.2.7",
        &expect![[r#"
        prefix:             10.244.2.0/24
        protocol:           bgp
        next hop:           192.0.2.2
        interface:          eth0
        distance:           20
        metric:             0
        state:              best
        installed:          yes
        age:                11m40s
        peer:               192.0.2.2
        reason:             the only path
        as path:            64513
        origin:             igp
        local pref:         -
        med:                0
        communities:        64512:100
        large communities:  -
    "#]],
    );
    check(
        "routes announce 10.9.0.0/16 --community 64512:100",
        &expect![[r#"
        announced 10.9.0.0/16 (created)
    "#]],
    );
    check(
        "routes withdraw 10.9.0.0/16 -o json",
        &expect![[r#"
        {
          "prefix": "10.9.0.0/16",
          "outcome": "removed"
        }
    "#]],
    );
}

#[test]
fn a_watch_prints_each_event_at_once_and_says_when_it_ends() {
    let fake = Fake::start();
    let output = fake.run("routes watch");
    expect![[r#"
        updated 10.244.2.0/24 bgp via 192.0.2.2 dev eth0 peer 192.0.2.2
        snapshot_end
        removed 10.244.2.0/24 bgp
    "#]]
    .assert_eq(&String::from_utf8_lossy(&output.stdout));
    expect![[r#"
        routectl: routed has ended the watch; it was stopped, or is about to be
    "#]]
    .assert_eq(&String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3));

    let output = fake.run("routes watch -o json");
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect();
    assert_eq!(lines[0]["route"]["prefix"], "10.244.2.0/24");
    assert_eq!(lines[1]["kind"], "snapshot_end");
}
