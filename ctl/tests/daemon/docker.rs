//! `docker configure`, on real files.

use std::fs;
use std::process::Stdio;

use assert_cmd::Command;
use expect_test::{Expect, expect};

use crate::fake::Fake;

const OLD: &str = "{\n  \"log-driver\": \"journald\",\n  \"bip\": \"172.17.0.1/16\",\n  \"debug\": true\n}\n";

/// Standard output and the file after a command that succeeds.
#[track_caller]
fn check(old: Option<&str>, arguments: &str, expected: &Expect) {
    let fake = Fake::start();
    let path = fake.path("daemon.json");
    if let Some(old) = old {
        fake.file("daemon.json", old);
    }
    let stdout = fake.done(&format!("docker configure --file daemon.json {arguments}"));
    // Where the backup is, is different each time.
    let stdout = stdout
        .replace(&*path.with_file_name("").canonicalize().expect("it is there").to_string_lossy(), "DIR");
    let text = fs::read_to_string(path).expect("the file is there");
    expected.assert_eq(&format!("{stdout}\n# daemon.json\n{text}"));
}

/// What is said of a file that stays as it is, standard output first.
#[track_caller]
fn check_refusal(old: &str, arguments: &str, expected: &Expect) {
    let fake = Fake::start();
    let path = fake.file("daemon.json", old);
    let output = fake.run(&format!("docker configure --file daemon.json {arguments}"));
    assert_eq!(output.status.code(), Some(1));
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
    expected.assert_eq(&said.concat());
    assert_eq!(fs::read_to_string(path).expect("the file is there"), old);
    assert!(!fake.path("daemon.json.bak").exists());
}

#[test]
fn without_a_terminal_and_without_yes_the_change_is_only_shown() {
    check_refusal(
        OLD,
        "",
        &expect![[r#"
        --- daemon.json
        +++ daemon.json
        @@ -1,5 +1,5 @@
         {
           "log-driver": "journald",
        -  "bip": "172.17.0.1/16",
        +  "bip": "10.244.1.1/24",
           "debug": true
         }
        routectl: daemon.json was not written; say --yes to write the change
    "#]],
    );
    check_refusal(
        OLD,
        "-o json",
        &expect![[r#"
        {
          "file": "daemon.json",
          "outcome": "planned",
          "bip": "10.244.1.1/24",
          "previous": "172.17.0.1/16",
          "diff": "--- daemon.json\n+++ daemon.json\n@@ -1,5 +1,5 @@\n {\n   \"log-driver\": \"journald\",\n-  \"bip\": \"172.17.0.1/16\",\n+  \"bip\": \"10.244.1.1/24\",\n   \"debug\": true\n }\n",
          "backup": null,
          "next_steps": [
            "restart dockerd: systemctl restart docker; containers on docker0 restart and get new addresses (with live-restore, stop them first)",
            "if dockerd is started with --bip, remove it there: dockerd refuses the flag beside the file",
            "keep containers' own addresses between nodes: \"ip-masq\": false in the file",
            "let forwarding be on before dockerd starts: routed first, or net.ipv4.ip_forward=1 in sysctl.d",
            "Docker 28 and newer: make networks with -o com.docker.network.bridge.gateway_mode_ipv4=routed"
          ]
        }
        routectl: daemon.json was not written; say --yes to write the change
    "#]],
    );
    let fake = Fake::start();
    let (code, stderr) = fake.failed("docker configure --file daemon.json");
    assert_eq!((code, stderr.contains("say --yes")), (1, true), "{stderr}");
    assert!(!fake.path("daemon.json").exists());
}

#[test]
fn with_yes_it_is_written_and_the_rest_of_the_file_stays() {
    check(
        Some(OLD),
        "--yes",
        &expect![[r#"
        --- daemon.json
        +++ daemon.json
        @@ -1,5 +1,5 @@
         {
           "log-driver": "journald",
        -  "bip": "172.17.0.1/16",
        +  "bip": "10.244.1.1/24",
           "debug": true
         }
        wrote daemon.json; the old one is DIR/daemon.json.bak
        left to do, see docs/docker.md:
        - restart dockerd: systemctl restart docker; containers on docker0 restart and get new addresses (with live-restore, stop them first)
        - if dockerd is started with --bip, remove it there: dockerd refuses the flag beside the file
        - keep containers' own addresses between nodes: "ip-masq": false in the file
        - let forwarding be on before dockerd starts: routed first, or net.ipv4.ip_forward=1 in sysctl.d
        - Docker 28 and newer: make networks with -o com.docker.network.bridge.gateway_mode_ipv4=routed

        # daemon.json
        {
          "log-driver": "journald",
          "bip": "10.244.1.1/24",
          "debug": true
        }
    "#]],
    );
    check(
        Some("{ \"ip-masq\": false }"),
        "-y",
        &expect![[r#"
        --- daemon.json
        +++ daemon.json
        @@ -1,1 +1,1 @@
        -{ "ip-masq": false }
        \ No newline at end of file
        +{ "ip-masq": false, "bip": "10.244.1.1/24" }
        \ No newline at end of file
        wrote daemon.json; the old one is DIR/daemon.json.bak
        left to do, see docs/docker.md:
        - restart dockerd: systemctl restart docker; containers on docker0 restart and get new addresses (with live-restore, stop them first)
        - if dockerd is started with --bip, remove it there: dockerd refuses the flag beside the file
        - let forwarding be on before dockerd starts: routed first, or net.ipv4.ip_forward=1 in sysctl.d
        - Docker 28 and newer: make networks with -o com.docker.network.bridge.gateway_mode_ipv4=routed

        # daemon.json
        { "ip-masq": false, "bip": "10.244.1.1/24" }"#]],
    );
    check(
        Some(OLD),
        "--yes -o json",
        &expect![[r#"
        {
          "file": "daemon.json",
          "outcome": "written",
          "bip": "10.244.1.1/24",
          "previous": "172.17.0.1/16",
          "diff": "--- daemon.json\n+++ daemon.json\n@@ -1,5 +1,5 @@\n {\n   \"log-driver\": \"journald\",\n-  \"bip\": \"172.17.0.1/16\",\n+  \"bip\": \"10.244.1.1/24\",\n   \"debug\": true\n }\n",
          "backup": "DIR/daemon.json.bak",
          "next_steps": [
            "restart dockerd: systemctl restart docker; containers on docker0 restart and get new addresses (with live-restore, stop them first)",
            "if dockerd is started with --bip, remove it there: dockerd refuses the flag beside the file",
            "keep containers' own addresses between nodes: \"ip-masq\": false in the file",
            "let forwarding be on before dockerd starts: routed first, or net.ipv4.ip_forward=1 in sysctl.d",
            "Docker 28 and newer: make networks with -o com.docker.network.bridge.gateway_mode_ipv4=routed"
          ]
        }

        # daemon.json
        {
          "log-driver": "journald",
          "bip": "10.244.1.1/24",
          "debug": true
        }
    "#]],
    );
}

#[test]
fn a_file_that_is_not_there_is_made() {
    check(
        None,
        "--yes",
        &expect![[r#"
        --- /dev/null
        +++ daemon.json
        @@ -0,0 +1,3 @@
        +{
        +  "bip": "10.244.1.1/24"
        +}
        wrote daemon.json
        left to do, see docs/docker.md:
        - restart dockerd: systemctl restart docker; containers on docker0 restart and get new addresses (with live-restore, stop them first)
        - if dockerd is started with --bip, remove it there: dockerd refuses the flag beside the file
        - keep containers' own addresses between nodes: "ip-masq": false in the file
        - let forwarding be on before dockerd starts: routed first, or net.ipv4.ip_forward=1 in sysctl.d
        - Docker 28 and newer: make networks with -o com.docker.network.bridge.gateway_mode_ipv4=routed

        # daemon.json
        {
          "bip": "10.244.1.1/24"
        }
    "#]],
    );
}

#[test]
fn a_second_run_changes_nothing() {
    check(
        Some("{\"bip\": \"10.244.1.254/24\"}"),
        "",
        &expect![[r#"
        daemon.json: bip is 10.244.1.254/24 already; nothing to write

        # daemon.json
        {"bip": "10.244.1.254/24"}"#]],
    );
    check(
        Some("{\"bip\": \"10.244.7.1/24\"}"),
        "--bip 10.244.7.1/24 -o yaml",
        &expect![[r#"
            file: 'daemon.json'
            outcome: 'unchanged'
            bip: '10.244.7.1/24'
            previous: '10.244.7.1/24'
            diff: ''
            backup: null
            next_steps: []

            # daemon.json
            {"bip": "10.244.7.1/24"}"#]],
    );
}

#[test]
fn a_file_that_dockerd_could_not_read_is_refused() {
    check_refusal(
        "{\n  \"debug\": true,\n}\n",
        "--yes",
        &expect![[r#"
            routectl: daemon.json:3:1: trailing comma; nothing was written, correct the file first
        "#]],
    );
    check_refusal(
        "[]",
        "--yes",
        &expect![[r#"
            routectl: daemon.json:1:1: invalid type: sequence, expected an object in braces; nothing was written, correct the file first
        "#]],
    );
    check_refusal(
        "{\"fixed-cidr\": \"172.17.1.0/24\"}",
        "--yes",
        &expect![[r#"
        routectl: daemon.json: "fixed-cidr" is 172.17.1.0/24, which is outside of 10.244.1.1/24; change or remove it; nothing was written
    "#]],
    );
}

#[test]
fn a_named_bip_needs_no_daemon() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("daemon.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_routectl"));
    command.arg("--socket").arg(dir.path().join("routed.sock")).args(["docker", "configure", "--file"]);
    command.arg(&file);
    assert_eq!(
        command.output().expect("routectl runs").status.code(),
        Some(3),
        "the block is routed's to say"
    );
    command.args(["--yes", "--bip", "10.244.7.1/24"]);
    assert!(command.output().expect("routectl runs").status.success());
    let text = fs::read_to_string(&file).expect("the file is there");
    assert_eq!(text, "{\n  \"bip\": \"10.244.7.1/24\"\n}\n");
}

/// `script` gives the command a terminal.
#[test]
fn on_a_terminal_a_person_is_asked() {
    for (answer, code, written) in [("y\n", 0, true), ("YES\n", 0, true), ("n\n", 1, false), ("\n", 1, false)]
    {
        let fake = Fake::start();
        let path = fake.file("daemon.json", OLD);
        let command = format!(
            "{} --socket {} docker configure --file {}",
            env!("CARGO_BIN_EXE_routectl"),
            fake.path("routed.sock").display(),
            path.display()
        );
        let mut child = std::process::Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut stdin, answer.as_bytes()).expect("script reads");
        let output = child.wait_with_output().expect("script ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{answer:?}: {said}");
        let (diff, question) = (said.find("+  \"bip\": \"10.244.1.1/24\","), said.find("daemon.json? [y/N]"));
        assert!(diff.is_some() && diff < question, "first the change: {said}");
        let text = fs::read_to_string(path).expect("the file is there");
        assert_eq!((text != OLD, fake.path("daemon.json.bak").exists()), (written, written), "{answer:?}");
    }
}
