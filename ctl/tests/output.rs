//! What needs no daemon, and standard outputs that do not take it.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

fn routectl(arguments: &[&str], stdout: impl Into<Stdio>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_routectl"));
    let child = command.args(arguments).stdout(stdout).stderr(Stdio::piped()).spawn().expect("routectl runs");
    child.wait_with_output().expect("routectl ends")
}

#[test]
fn every_shell_has_completions_that_know_the_nouns() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = routectl(&["completions", shell], Stdio::piped());
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).expect("UTF-8");
        for noun in ["peers", "routes", "rip", "neighbors", "ipam", "policy", "advertised"] {
            assert!(script.contains(noun), "{shell}: {noun}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let pages = dir.path().join("man1");
    let output = routectl(&["man", "--dir", pages.to_str().expect("UTF-8")], Stdio::piped());
    assert!(output.status.success(), "{output:?}");
    for page in ["routectl", "routectl-peers", "routectl-routes-watch", "routectl-ipam-allocate"] {
        let text = fs::read_to_string(pages.join(format!("{page}.1"))).expect("a page");
        assert!(text.contains(".SH DESCRIPTION"), "{page}");
    }
    let output = routectl(&["man"], Stdio::piped());
    assert!(String::from_utf8_lossy(&output.stdout).contains("Exit codes: 0 done"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = routectl(&["completions", "bash"], writer);
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
}

#[test]
fn an_output_that_is_full_is_a_failure() {
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = routectl(&["completions", "bash"], full);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("routectl: standard output: No space left on device"), "{stderr}");
}
