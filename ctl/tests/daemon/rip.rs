//! `rip`.

use expect_test::expect;
use serde_json::{Value, json};

use crate::check;
use crate::fake::Fake;

#[test]
fn rip_shows_interfaces_and_neighbors() {
    check(
        "rip",
        &expect![[r#"
            INTERFACE  VERSION  STATE  AUTH                    NEIGHBORS  ROUTES      TIMERS  NEXT_UPDATE  BAD_PACKETS  BAD_ROUTES
            eth0       ripv2    up     hmac-sha-256:1-expired          1       3  30/180/120          17s            2           1
            eth1       ripng    down   none                            0       0  30/180/120            -            0           0

            NEIGHBOR   INTERFACE  PROTOCOL  UPTIME  LAST_HEARD  ROUTES  BAD_PACKETS  BAD_ROUTES  AUTH_FAILURES
            192.0.2.2  eth0       rip        2h00m         13s       3            2           1              2
            fe80::3    -          ripng       down           -       0            0           0              0
        "#]],
    );
}

#[test]
fn rip_is_one_object_for_scripts() {
    let fake = Fake::start();
    let json = |arguments: &str| -> Value {
        serde_json::from_str(&fake.done(&format!("{arguments} -o json"))).expect("JSON")
    };
    let both = json!({ "interfaces": json("rip interfaces"), "neighbors": json("rip neighbors") });
    assert_eq!(json("rip"), both);
    assert_eq!(both["interfaces"][0]["name"], "eth0");
    let yaml: Value = serde_saphyr::from_str(&fake.done("rip -o yaml")).expect("YAML");
    assert_eq!(yaml, both);
}

#[test]
fn interfaces_in_every_form() {
    check(
        "rip interfaces",
        &expect![[r#"
            INTERFACE  VERSION  STATE  AUTH                    NEIGHBORS  ROUTES      TIMERS  NEXT_UPDATE  BAD_PACKETS  BAD_ROUTES
            eth0       ripv2    up     hmac-sha-256:1-expired          1       3  30/180/120          17s            2           1
            eth1       ripng    down   none                            0       0  30/180/120            -            0           0
        "#]],
    );
    check(
        "rip interfaces -o wide",
        &expect![[r#"
            INTERFACE  VERSION  STATE  ADDRESSES  AUTH                    NEIGHBORS  ROUTES      TIMERS  NEXT_UPDATE  SPLIT_HORIZON  OFFSET_IN  OFFSET_OUT  PACKETS_RECEIVED  PACKETS_SENT  UPDATES_RECEIVED  UPDATES_SENT  TRIGGERED  BAD_PACKETS  BAD_ROUTES  AUTH_FAILURES  UNSIGNED  DESTINATIONS  LAST_OFF_LINK  REASON
            eth0       ripv2    up     192.0.2.1  hmac-sha-256:1-expired          1       3  30/180/120          17s  poison                 0           1               240           250               235           244          4            2           1              2         0  224.0.0.9     198.51.100.7   -
            eth1       ripng    down   -          none                            0       0  30/180/120            -  simple                 0           0                 0             0                 0             0          0            0           0              0         0  -             -              there is no such interface
        "#]],
    );
    check(
        "rip interfaces -o json",
        &expect![[r#"
            [
              {"name":"eth0","index":2,"version":"ripv2","up":true,"reason":null,"passive":false,"addresses":["192.0.2.1"],"update_seconds":30,"timeout_seconds":180,"garbage_seconds":120,"auth":"hmac-sha-256","auth_key_id":1,"auth_key_expired":true,"offset_in":0,"offset_out":1,"split_horizon":"poison","next_update_seconds":17,"neighbors":1,"routes":3,"packets_received":240,"packets_sent":250,"updates_received":235,"updates_sent":244,"triggered_updates":4,"bad_packets":2,"bad_routes":1,"auth_failures":2,"unsigned_packets":0,"destinations":["224.0.0.9"],"last_off_link":"198.51.100.7"},
              {"name":"eth1","index":null,"version":"ripng","up":false,"reason":"there is no such interface","passive":false,"addresses":[],"update_seconds":30,"timeout_seconds":180,"garbage_seconds":120,"auth":"none","auth_key_id":null,"auth_key_expired":false,"offset_in":0,"offset_out":0,"split_horizon":"simple","next_update_seconds":null,"neighbors":0,"routes":0,"packets_received":0,"packets_sent":0,"updates_received":0,"updates_sent":0,"triggered_updates":0,"bad_packets":0,"bad_routes":0,"auth_failures":0,"unsigned_packets":0,"destinations":[],"last_off_link":null}
            ]
        "#]],
    );
    check(
        "rip interfaces -o yaml",
        &expect![[r#"
            - name: 'eth0'
              index: 2
              version: 'ripv2'
              up: true
              reason: null
              passive: false
              addresses:
              - '192.0.2.1'
              update_seconds: 30
              timeout_seconds: 180
              garbage_seconds: 120
              auth: 'hmac-sha-256'
              auth_key_id: 1
              auth_key_expired: true
              offset_in: 0
              offset_out: 1
              split_horizon: 'poison'
              next_update_seconds: 17
              neighbors: 1
              routes: 3
              packets_received: 240
              packets_sent: 250
              updates_received: 235
              updates_sent: 244
              triggered_updates: 4
              bad_packets: 2
              bad_routes: 1
              auth_failures: 2
              unsigned_packets: 0
              destinations:
              - '224.0.0.9'
              last_off_link: '198.51.100.7'
            - name: 'eth1'
              index: null
              version: 'ripng'
              up: false
              reason: 'there is no such interface'
              passive: false
              addresses: []
              update_seconds: 30
              timeout_seconds: 180
              garbage_seconds: 120
              auth: 'none'
              auth_key_id: null
              auth_key_expired: false
              offset_in: 0
              offset_out: 0
              split_horizon: 'simple'
              next_update_seconds: null
              neighbors: 0
              routes: 0
              packets_received: 0
              packets_sent: 0
              updates_received: 0
              updates_sent: 0
              triggered_updates: 0
              bad_packets: 0
              bad_routes: 0
              auth_failures: 0
              unsigned_packets: 0
              destinations: []
              last_off_link: null
        "#]],
    );
}

#[test]
fn neighbors_in_every_form() {
    check(
        "rip neighbors",
        &expect![[r#"
        NEIGHBOR   INTERFACE  PROTOCOL  UPTIME  LAST_HEARD  ROUTES  BAD_PACKETS  BAD_ROUTES  AUTH_FAILURES
        192.0.2.2  eth0       rip        2h00m         13s       3            2           1              2
        fe80::3    -          ripng       down           -       0            0           0              0
    "#]],
    );
    check(
        "rip neighbors -o wide",
        &expect![[r#"
            NEIGHBOR   INTERFACE  PROTOCOL  VERSION  UPTIME  LAST_HEARD  ROUTES  BAD_PACKETS  BAD_ROUTES  AUTH_FAILURES  FILTERED  OVER_LIMIT  CONFIGURED  LAST_ERROR
            192.0.2.2  eth0       rip             2   2h00m         13s       3            2           1              2         5           0  no          authentication failed: no key has id 7
            fe80::3    -          ripng           -    down           -       0            0           0              0         0           0  yes         -
        "#]],
    );
    check(
        "rip neighbors -o json",
        &expect![[r#"
            [
              {"address":"192.0.2.2","interface":"eth0","protocol":"rip","version":2,"last_heard_seconds":13,"uptime_seconds":7200,"routes":3,"bad_packets":2,"bad_routes":1,"auth_failures":2,"last_error":"authentication failed: no key has id 7","configured":false,"routes_filtered":5,"routes_over_limit":0},
              {"address":"fe80::3","interface":null,"protocol":"ripng","version":null,"last_heard_seconds":null,"uptime_seconds":null,"routes":0,"bad_packets":0,"bad_routes":0,"auth_failures":0,"last_error":null,"configured":true,"routes_filtered":0,"routes_over_limit":0}
            ]
        "#]],
    );
    check(
        "rip neighbors -o yaml",
        &expect![[r#"
            - address: '192.0.2.2'
              interface: 'eth0'
              protocol: 'rip'
              version: 2
              last_heard_seconds: 13
              uptime_seconds: 7200
              routes: 3
              bad_packets: 2
              bad_routes: 1
              auth_failures: 2
              last_error: 'authentication failed: no key has id 7'
              configured: false
              routes_filtered: 5
              routes_over_limit: 0
            - address: 'fe80::3'
              interface: null
              protocol: 'ripng'
              version: null
              last_heard_seconds: null
              uptime_seconds: null
              routes: 0
              bad_packets: 0
              bad_routes: 0
              auth_failures: 0
              last_error: null
              configured: true
              routes_filtered: 0
              routes_over_limit: 0
        "#]],
    );
}
