//! `bmp` and `mrt`.

use expect_test::expect;

use crate::check;
use crate::fake::Fake;

#[test]
fn bmp_shows_collectors_and_why_one_is_not_connected() {
    check(
        "bmp",
        &expect![[r#"
        COLLECTOR         STATE      UPTIME  MONITOR                 MESSAGES  LAST_ERROR
        192.0.2.9:11019   connected   2h00m  pre-policy,post-policy      1234  -
        192.0.2.10:11019  down            -  loc-rib                        0  Connection refused (os error 111)
    "#]],
    );
    check(
        "bmp -o json",
        &expect![[r#"
        [
          {"address":"192.0.2.9:11019","connected":true,"uptime_seconds":7200,"monitor":["pre-policy","post-policy"],"messages":1234,"octets":98765,"connects":1,"last_error":null},
          {"address":"192.0.2.10:11019","connected":false,"uptime_seconds":null,"monitor":["loc-rib"],"messages":0,"octets":0,"connects":0,"last_error":"Connection refused (os error 111)"}
        ]
    "#]],
    );
}

#[test]
fn mrt_dump_writes_the_parts_in_order_to_a_file_or_to_standard_output() {
    let fake = Fake::start();
    assert_eq!(fake.done("mrt dump -"), "one\ntwo\n");
    assert_eq!(fake.done("mrt dump table.mrt"), "");
    assert_eq!(std::fs::read_to_string(fake.path("table.mrt")).unwrap(), "one\ntwo\n");
    assert!(!fake.path("table.mrt.partial").exists());
    let (code, said) = fake.failed("mrt dump absent/table.mrt");
    assert_eq!(
        (code, said.as_str()),
        (1, "routectl: absent/table.mrt.partial: No such file or directory (os error 2)\n")
    );
}
