use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::config::{Config, parse};

const PEER: &str = "[bgp]\nasn = 64512\n[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 64513\n";

/// The findings of a peer with this, with the directory of the keys left out.
fn check(dir: &Path, more: &str) -> String {
    let source = format!("{PEER}{}", more.replace("DIR", &dir.display().to_string()));
    let findings = match parse("n1.toml", &source) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    let text = findings.iter().fold(String::new(), |text, finding| text + &finding.to_string() + "\n");
    text.replace(&dir.display().to_string(), "DIR")
}

fn bfd(dir: &Path, more: &str) -> Bfd {
    let source = format!("{PEER}{}", more.replace("DIR", &dir.display().to_string()));
    let config: Config = parse("n1.toml", &source).unwrap_or_else(|findings| panic!("{findings:#?}")).0;
    config.bgp.unwrap().peers.remove(0).bfd.unwrap()
}

/// Key files: `short` with 2 octets, `long` with 21, `empty` with white space.
fn keys() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in
        [("short", "k1\n"), ("other", "k2"), ("long", "123456789012345678901\n"), ("empty", " \n")]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    dir
}

#[test]
fn numbers_out_of_bounds_are_refused_where_they_stand() {
    let dir = keys();
    let check = |more: &str| check(dir.path(), more);
    assert_eq!(
        check("bfd = { interval_ms = 49, multiplier = 0 }"),
        "n1.toml:6:23: interval_ms: from 50 to 60000 milliseconds\n\
         n1.toml:6:40: multiplier: a number from 1 to 255 is expected\n"
    );
    assert_eq!(
        check("bfd = { interval_ms = 60001 }"),
        "n1.toml:6:23: interval_ms: from 50 to 60000 milliseconds\n"
    );
    let zero = check("bfd = { minimum_ttl = 0 }");
    assert!(zero.contains("n1.toml:6:23: minimum_ttl: a number from 1 to 255 is expected\n"), "{zero}");
    assert_eq!(check("bfd = { interval_ms = 50, multiplier = 255 }"), "");
}

#[test]
fn a_key_that_cannot_be_is_refused_where_its_file_is_named() {
    let dir = keys();
    let check = |more: &str| check(dir.path(), more);
    let one = |mode: &str, file: &str| {
        check(&format!("bfd = {{ auth = {{ mode = \"{mode}\", key_file = \"DIR/{file}\" }} }}"))
    };
    assert_eq!(
        one("keyed-sha1", "absent"),
        "n1.toml:6:50: key_file: DIR/absent: no such file; make it, or remove the key\n"
    );
    assert_eq!(
        one("keyed-sha1", "empty"),
        "n1.toml:6:50: key_file: DIR/empty: key 1 is empty; write the key into its file\n"
    );
    assert_eq!(
        one("keyed-sha1", "long"),
        "n1.toml:6:50: key_file: DIR/long: key 1 has 21 bytes, the mode takes 20; shorten it at both ends\n"
    );
    assert_eq!(one("keyed-sha1", "short"), "");
    let twice = "bfd.auth = { mode = \"keyed-md5\", keys = [{ id = 3, key_file = \"DIR/short\" }, { id = 3, key_file = \"DIR/other\" }] }";
    assert_eq!(check(twice), "n1.toml:6:12: auth.keys: two keys have the number 3; give each its own\n");
    assert!(
        check("bfd.auth = { mode = \"sha1\", key_file = \"DIR/short\" }")
            .starts_with("n1.toml:6:21: bgp.peer.bfd.auth.mode: one of")
    );
    assert!(check("bfd.auth = { mode = \"keyed-md5\" }").contains("needs the key `key_file`"));
}

#[test]
fn keys_are_printed_by_the_names_of_their_files_and_read_again_the_same() {
    let dir = keys();
    let table = "bfd = { minimum_ttl = 250, auth = { mode = \"meticulous-md5\", keys = [ \
                 { id = 2, key_file = \"DIR/other\" }, { id = 1, key_file = \"DIR/short\" } ] } }";
    let read = bfd(dir.path(), table);
    assert_eq!(read.minimum_ttl, Some(250));
    let printed = toml::to_string(&read).unwrap();
    assert!(printed.contains("interval_ms = 100") && !printed.contains("k1"), "{printed}");
    let again = printed
        .replace("[auth]", "[bgp.peer.bfd.auth]")
        .replace("[[auth.keys]]", "[[bgp.peer.bfd.auth.keys]]");
    assert_eq!(bfd(dir.path(), &format!("[bgp.peer.bfd]\n{again}")), read);
}

#[test]
fn routers_between_are_told_by_hops_and_the_ttl_is_what_they_leave() {
    let dir = keys();
    let ttl = |more: &str| bfd(dir.path(), more).minimum_ttl;
    assert_eq!(ttl("bfd = true"), None);
    assert_eq!(ttl("bfd = true\nmultihop = 1"), None);
    assert_eq!(ttl("bfd = true\nttl_security = 1"), None);
    assert_eq!(ttl("bfd = true\nmultihop = 2"), Some(254));
    assert_eq!(ttl("bfd = true\nmultihop = 255"), Some(1));
    assert_eq!(ttl("bfd = true\nttl_security = 3"), Some(253));
    assert_eq!(ttl("bfd = { minimum_ttl = 62 }\nmultihop = 2"), Some(62));
    let auth = "bfd.auth = { mode = \"keyed-sha1\", key_file = \"DIR/short\" }\nmultihop = 2";
    assert_eq!(ttl(auth), Some(1), "the key keeps strangers out");
    assert_eq!(check(dir.path(), auth), "");
    assert!(
        check(dir.path(), "bfd = true\nmultihop = 2").contains("warning: bfd: over routers anybody can send")
    );
}
