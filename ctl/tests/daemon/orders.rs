//! What changes a peer, and how a refusal of any noun looks.

use expect_test::expect;

use crate::{check, check_failure};

#[test]
fn a_peer_is_disabled_and_asked_for_its_routes() {
    check(
        "peers disable 192.0.2.2 --message bye",
        &expect![[r#"
            peer 192.0.2.2: disabled, state Idle
        "#]],
    );
    check(
        "peers refresh 192.0.2.2 --family 6 -o json",
        &expect![[r#"
        {
          "address": "192.0.2.2",
          "state": "Established"
        }
    "#]],
    );
}

#[test]
fn a_peer_is_added_and_removed() {
    check(
        "peers add 192.0.2.9 --asn 64513 --description \"n9\" --set hold_time=9",
        &expect![[r#"
        peer 192.0.2.9: added, state Connect
    "#]],
    );
    check(
        "peers remove 192.0.2.2",
        &expect![[r#"
        peer 192.0.2.2: removed
    "#]],
    );
}

#[test]
fn a_refusal_is_exit_code_1_with_object_and_next_step() {
    check_failure(
        "peers 192.0.2.9",
        1,
        &expect![[r#"
        routectl: peer 192.0.2.9: does not exist; `routectl peers` lists them
    "#]],
    );
    check_failure(
        "routes lookup 198.51.100.1",
        1,
        &expect![[r#"
        routectl: 198.51.100.1: no route covers it
    "#]],
    );
    check_failure(
        "ipam allocate --family 6",
        1,
        &expect![[r#"
        routectl: block 2001:db8::/126: no address is free; release some, or add a block
    "#]],
    );
    check_failure(
        "peers reset 192.0.2.2",
        1,
        &expect![[r#"
        routectl: not here
    "#]],
    );
}
