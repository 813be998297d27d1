//! `ipam`.

use expect_test::expect;

use crate::check;
use crate::fake::Fake;

#[test]
fn allocate_prints_the_address_and_nothing_else() {
    check(
        "ipam allocate --handle web-1 --label app=web",
        &expect![[r#"
        10.244.1.2
    "#]],
    );
    check(
        "ipam allocate --family both",
        &expect![[r#"
        10.244.1.2
        2001:db8::2
    "#]],
    );
    check(
        "ipam allocate -o json",
        &expect![[r#"
        {
          "address": "10.244.1.2",
          "pool": "10.244.0.0/16",
          "block": "10.244.1.0/24",
          "handle": "web-1",
          "labels": {
            "app": "web"
          },
          "allocated_at": "2026-11-21T03:32:00Z"
        }
    "#]],
    );
}

#[test]
fn pools_blocks_and_addresses() {
    check(
        "ipam pools",
        &expect![[r#"
        POOL           BLOCK_LENGTH  BLOCKS  ADDRESSES  USED
        10.244.0.0/16            24       2      65536     1
    "#]],
    );
    check(
        "ipam blocks",
        &expect![[r#"
        BLOCK          POOL           NODE  STATE   ADDRESSES  USED
        10.244.1.0/24  10.244.0.0/16  n1    owned         253     1
        10.244.2.0/24  10.244.0.0/16  n2    remote        253     -
    "#]],
    );
    check(
        "ipam blocks -o json",
        &expect![[r#"
        [
          {"prefix":"10.244.1.0/24","pool":"10.244.0.0/16","node":"n1","state":"owned","addresses_total":253,"addresses_used":1},
          {"prefix":"10.244.2.0/24","pool":"10.244.0.0/16","node":"n2","state":"remote","addresses_total":253,"addresses_used":null}
        ]
    "#]],
    );
    check(
        "ipam addresses",
        &expect![[r#"
        ADDRESS     BLOCK          HANDLE  ALLOCATED_AT          LABELS
        10.244.1.2  10.244.1.0/24  web-1   2026-11-21T03:32:00Z  app=web
    "#]],
    );
    check(
        "ipam addresses -o json",
        &expect![[r#"
        [
          {"address":"10.244.1.2","pool":"10.244.0.0/16","block":"10.244.1.0/24","handle":"web-1","labels":{"app":"web"},"allocated_at":"2026-11-21T03:32:00Z"}
        ]
    "#]],
    );
}

#[test]
fn addresses_are_released_and_reserved() {
    check(
        "ipam release --handle web-1",
        &expect![[r#"
        released 10.244.1.2
    "#]],
    );
    check(
        "ipam reserve 10.244.1.0/29",
        &expect![[r#"
        reserved 10.244.1.0/29 (created)
    "#]],
    );
}

#[test]
fn a_check_that_found_errors_is_exit_code_1() {
    let output = Fake::start().run("ipam check");
    expect![[r#"
        SEVERITY  ID             FINDING               EVIDENCE  CURE
        error     store-damaged  the store is damaged  -         -
    "#]]
    .assert_eq(&String::from_utf8_lossy(&output.stdout));
    expect![[r#"
        routectl: the check found errors; each names its cure
    "#]]
    .assert_eq(&String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_was_exported_can_be_imported() {
    let fake = Fake::start();
    let document = fake.done("ipam export");
    assert_eq!(fake.done("ipam export addresses.json"), "");
    let output = fake.run_with("ipam import", &document);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "imported: 1 new, 2 already here\n");
    assert_eq!(fake.done("ipam import addresses.json"), "imported: 1 new, 2 already here\n");
}
