//! Sockets that are there and do not answer: each gets its own sentence.

use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

fn status(socket: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_routectl"));
    command.arg("--socket").arg(socket).arg("status").output().expect("routectl runs")
}

#[track_caller]
fn check(output: &Output, sentence: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains(sentence), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_socket_that_was_left_behind_says_that_routed_has_stopped() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("routed.sock");
    drop(UnixListener::bind(&socket).expect("a socket"));
    check(&status(&socket), "routed has stopped and left it behind");
}

#[test]
fn a_directory_without_a_socket_says_that_it_does_not_exist() {
    let dir = tempfile::tempdir().expect("a directory");
    check(&status(&dir.path().join("routed.sock")), "the socket does not exist");
}

#[test]
fn a_daemon_that_hangs_up_says_that_it_went_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("routed.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let daemon = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        // The connection preface of HTTP/2 (RFC 9113 §3.4): the client is through.
        let mut preface = [0; 24];
        connection.read_exact(&mut preface).expect("a preface");
    });
    check(&status(&socket), "routed went away");
    daemon.join().expect("the thread ends");
}
