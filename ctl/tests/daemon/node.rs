//! `status`, `reload`, `drain` and `undrain`.

use expect_test::expect;

use crate::{check, check_failure};

#[test]
fn status_names_protocols_and_alarms() {
    check(
        "status",
        &expect![[r#"
            node:       n1
            version:    0.1.0
            router id:  192.0.2.1
            as:         64512
            uptime:     3h07m
            protocol:   bgp running, 1 of 2 up, 4 routes
            protocol:   rip failed: port 520 is taken
            peers:      1 of 2 established
            routes:     5 prefixes, 7 paths
            kernel:     0 routes, 0 pending
            nexthops:   on, 3 objects
            addresses:  0
            policies:   0
            strangers:  7 dropped, 2 closed
            recovery:   adopted 3 routes of an earlier run
            alarm:      error block-conflict 10.244.1.0/24: n2 announces the block too; give one of the nodes another subnet
            alarm:      notice draining: neighbours are told to send no traffic to this node; routectl undrain
        "#]],
    );
    check(
        "status -o json",
        &expect![[r#"
            {
              "node": "n1",
              "version": "0.1.0",
              "router_id": "192.0.2.1",
              "asn": 64512,
              "uptime_seconds": 11220,
              "protocols": [
                {
                  "protocol": "bgp",
                  "state": "running",
                  "neighbors": 2,
                  "neighbors_up": 1,
                  "routes": 4,
                  "reason": null
                },
                {
                  "protocol": "rip",
                  "state": "failed",
                  "neighbors": 2,
                  "neighbors_up": 1,
                  "routes": 4,
                  "reason": "port 520 is taken"
                }
              ],
              "alarms": [
                {
                  "id": "block-conflict 10.244.1.0/24",
                  "severity": "error",
                  "text": "n2 announces the block too",
                  "hint": "give one of the nodes another subnet"
                },
                {
                  "id": "draining",
                  "severity": "notice",
                  "text": "neighbours are told to send no traffic to this node",
                  "hint": "routectl undrain"
                }
              ],
              "counts": {
                "peers": 2,
                "peers_established": 1,
                "prefixes": 5,
                "paths": 7,
                "kernel_routes": 0,
                "kernel_pending": 0,
                "addresses": 0,
                "policies": 0,
                "nexthop_objects": 3,
                "strangers_dropped": 7,
                "strangers_closed": 2
              },
              "recovery": [
                "adopted 3 routes of an earlier run"
              ],
              "nexthop_objects": "on"
            }
        "#]],
    );
}

#[test]
fn a_reload_that_was_refused_shows_the_errors_of_the_file() {
    check_failure(
        "reload",
        1,
        &expect![[r#"
        /etc/routed/routed.toml:7:3: error: bgp.peer: unknown key adress; did you mean address?
        routectl: the configuration has errors; the daemon keeps the one it had
    "#]],
    );
}

#[test]
fn drain_and_undrain_say_what_they_did_and_whether_neighbours_know() {
    check(
        "drain",
        &expect![[r#"
        drained (changed); the neighbours have been told
    "#]],
    );
    check(
        "undrain",
        &expect![[r#"
        not drained (unchanged); not every neighbour has been told yet, routed goes on
    "#]],
    );
    check(
        "drain -o json",
        &expect![[r#"
        {
          "draining": true,
          "outcome": "changed",
          "told": true
        }
    "#]],
    );
}
