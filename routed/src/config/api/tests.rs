use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::config::change::{Change, diff};
use crate::config::{Config, Ending, Which, parse};

/// A directory with a certificate for the daemon, its key, and an authority.
fn files() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["n1", "ca"] {
        issue(&dir, name, &CertificateParams::new(vec![name.to_owned()]).unwrap());
    }
    dir
}

fn issue(dir: &TempDir, name: &str, params: &CertificateParams) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
    let file = dir.path().join(format!("{name}.key"));
    fs::write(&file, key.serialize_pem()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// `[api]`, its `listen` and the keys of `tls`; `@` stands for the directory.
fn source(dir: &TempDir, listen: &str, tls: &str) -> String {
    let tls = tls.replace('@', &dir.path().display().to_string());
    format!("[api]\nlisten = \"{listen}\"\ntls = {{ {tls} }}\n")
}

fn check(source: &str) -> String {
    let findings = match parse("n1.toml", source) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    findings.iter().map(|finding| finding.to_string() + "\n").collect()
}

fn good(source: &str) -> Config {
    parse("n1.toml", source).unwrap_or_else(|findings| panic!("{findings:#?}")).0
}

const WHOLE: &str = "cert = \"@/n1.pem\", key = \"@/n1.key\", client_ca = \"@/ca.pem\"";

#[test]
fn off_loopback_there_is_tls_and_clients_have_certificates() {
    let dir = files();
    let open = check("[api]\nlisten = \"192.0.2.1:7179\"\n");
    assert_eq!(
        open,
        "n1.toml:2:10: api.listen: other hosts reach 192.0.2.1:7179, so it needs `tls = { cert, key, client_ca \
         }`; without TLS use 127.0.0.1:7179 or the socket\n"
    );
    let anybody = source(&dir, "0.0.0.0:7179", "cert = \"@/n1.pem\", key = \"@/n1.key\"");
    let anybody = check(&anybody);
    assert!(
        anybody.starts_with("n1.toml:3:7: api.tls: other hosts reach 0.0.0.0:7179, and without"),
        "{anybody}"
    );
    assert!(anybody.contains("add client_ca = \"FILE\""), "{anybody}");
    for (listen, tls) in [
        ("[::]:7179", WHOLE),
        ("127.0.0.1:7179", WHOLE),
        ("[::1]:7179", "cert = \"@/n1.pem\", key = \"@/n1.key\""),
    ] {
        assert_eq!(check(&source(&dir, listen, tls)), "", "{listen}");
    }
    assert_eq!(check("[api]\nlisten = \"127.0.0.1:7179\"\n"), "");
}

#[test]
fn nobody_is_an_operator_over_tls_who_is_not_named() {
    let dir = files();
    let named = |operators: &str| source(&dir, "0.0.0.0:7179", &format!("{WHOLE}, operators = {operators}"));
    assert!(good(&source(&dir, "0.0.0.0:7179", WHOLE)).api.tls.unwrap().operators.is_none());
    assert_eq!(good(&named("[]")).api.tls.unwrap().operators, Some(vec![]));
    let two = ["alice", "ci"].map(str::to_owned).to_vec();
    assert_eq!(good(&named("[\"alice\", \"ci\"]")).api.tls.unwrap().operators, Some(two));
    assert!(check(&named("[\"alice\", \" \"]")).contains("api.tls.operators: a name must not be empty"));
    let unasked =
        source(&dir, "127.0.0.1:7179", "cert = \"@/n1.pem\", key = \"@/n1.key\", operators = [\"alice\"]");
    assert!(check(&unasked).contains("who is one is told by certificates; add client_ca"));
}

#[test]
fn what_is_wrong_with_a_file_stands_at_its_key() {
    let dir = files();
    fs::write(dir.path().join("text"), "no certificate\n").unwrap();
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(dir.path().join("locked"), locked).unwrap();
    fs::set_permissions(dir.path().join("locked"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(dir.path().join("text"), fs::Permissions::from_mode(0o600)).unwrap();
    let column = |keys: &str, of: &str| {
        let text = source(&dir, "0.0.0.0:7179", keys);
        text.lines().nth(2).and_then(|line| line.find(&format!("{of} = "))).unwrap() + of.len() + 4
    };
    for (keys, key, what) in [
        ("cert = \"@/none\", key = \"@/n1.key\", client_ca = \"@/ca.pem\"", "cert", "no such file"),
        (
            "cert = \"@/text\", key = \"@/n1.key\", client_ca = \"@/ca.pem\"",
            "cert",
            "there is no certificate",
        ),
        ("cert = \"@/n1.pem\", key = \"@/text\", client_ca = \"@/ca.pem\"", "key", "there is no key in it"),
        (
            "cert = \"@/n1.pem\", key = \"@/locked\", client_ca = \"@/ca.pem\"",
            "key",
            "the key has a pass phrase",
        ),
        ("cert = \"@/n1.pem\", key = \"@/ca.key\", client_ca = \"@/ca.pem\"", "key", "is not the key of the"),
        (
            "cert = \"@/n1.pem\", key = \"@/n1.key\", client_ca = \"@/n1.key\"",
            "client_ca",
            "no certificate in it",
        ),
    ] {
        let found = check(&source(&dir, "0.0.0.0:7179", keys));
        let place = format!("n1.toml:3:{}: api.tls.{key}: ", column(keys, key));
        assert!(found.starts_with(&place) && found.contains(what), "{keys}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn a_key_that_others_can_read_is_warned_of_and_so_is_a_certificate_past_its_end() {
    let dir = files();
    let whole = source(&dir, "0.0.0.0:7179", WHOLE);
    fs::set_permissions(dir.path().join("n1.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let warned = check(&whole);
    assert!(warned.contains("warning: ") && warned.contains("chmod o-rwx it"), "{warned}");

    let mut params = CertificateParams::new(vec!["n1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    issue(&dir, "n1", &params);
    let expired = check(&whole);
    assert!(
        expired.contains("warning: api.tls.cert: ") && expired.contains("2021-01-01T00:00:00Z"),
        "{expired}"
    );
}

#[test]
fn tls_without_an_address_is_for_nothing() {
    let dir = files();
    let tls = WHOLE.replace('@', &dir.path().display().to_string());
    let found = check(&format!("[api]\ntls = {{ {tls} }}\n"));
    assert!(found.starts_with("n1.toml:2:7: warning: api.tls: there is no api.listen"), "{found}");
}

#[test]
fn the_effective_configuration_shows_the_keys_and_reads_back() {
    let dir = files();
    let config = good(&source(&dir, "0.0.0.0:7179", &format!("{WHOLE}, operators = [\"alice\"]")));
    let text = config.to_toml().unwrap();
    assert!(text.contains("[api.tls]\ncert = ") && text.contains("operators = [\"alice\"]"), "{text}");
    assert!(!text.contains("BEGIN"), "{text}");
    assert_eq!(good(&text).api, config.api);
}

#[test]
fn new_certificates_and_operators_are_taken_by_a_reload_and_tls_itself_is_not() {
    let dir = files();
    let whole = source(&dir, "0.0.0.0:7179", WHOLE);
    let before = good(&whole);
    assert_eq!(diff(&before, &good(&whole)), []);
    let named = good(&source(&dir, "0.0.0.0:7179", &format!("{WHOLE}, operators = [\"alice\"]")));
    assert_eq!(diff(&before, &named), [Change::Tls]);
    issue(&dir, "n1", &CertificateParams::new(vec!["n1".to_owned()]).unwrap());
    assert_eq!(diff(&before, &good(&whole)), [Change::Tls], "the same names, other contents");
    let without = good("[api]\nlisten = \"127.0.0.1:7179\"\n");
    assert_eq!(diff(&before, &without), [Change::NeedsRestart("api")]);
}

#[test]
fn changed_files_are_noticed_and_those_that_do_not_do_are_told_of_once() {
    let dir = files();
    let mut tls = good(&source(&dir, "0.0.0.0:7179", WHOLE)).api.tls.unwrap();
    assert!(tls.renewed().is_none(), "nothing has changed");
    fs::write(dir.path().join("n1.key"), "half a key").unwrap();
    let (kept, fault) = tls.renewed().unwrap();
    assert_eq!(fault.unwrap().which, Which::Key);
    assert_eq!(kept, tls.credentials, "the old ones stay");
    tls.credentials = kept;
    assert!(tls.renewed().is_none(), "it has been told");
    issue(&dir, "n1", &CertificateParams::new(vec!["n1".to_owned()]).unwrap());
    let (renewed, fault) = tls.renewed().unwrap();
    assert!(fault.is_none() && renewed != tls.credentials);
}

#[test]
fn the_end_of_a_certificate_is_near_in_its_last_tenth_or_two_weeks() {
    let dir = files();
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let life_of = |until| {
        let mut params = CertificateParams::new(vec!["n1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = until;
        issue(&dir, "n1", &params);
        good(&source(&dir, "127.0.0.1:7179", WHOLE)).api.tls.unwrap().credentials.life.unwrap()
    };
    let (year, days) =
        (life_of(rcgen::date_time_ymd(2027, 1, 1)), life_of(rcgen::date_time_ymd(2026, 1, 11)));
    let (end, soon) = (at("2027-01-01T00:00:00Z"), at("2026-01-11T00:00:00Z"));
    for (life, now, ending) in [
        (year, "2026-12-17T23:00:00Z", None),
        (year, "2026-12-18T01:00:00Z", Some(Ending::Near(end))),
        (year, "2027-01-01T00:00:01Z", Some(Ending::Past(end))),
        (days, "2026-01-09T23:00:00Z", None),
        (days, "2026-01-10T01:00:00Z", Some(Ending::Near(soon))),
    ] {
        assert_eq!(life.ending(at(now)), ending, "{now}");
    }
}
