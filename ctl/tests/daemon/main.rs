//! What `routectl` prints and how it exits when a daemon answers.

#![expect(clippy::needless_raw_string_hashes, reason = "expect_test writes them when it updates")]

mod bfd;
mod bmp;
mod docker;
mod fake;
mod ipam;
mod node;
mod orders;
mod peers;
mod policy;
mod rip;
mod routes;

use expect_test::Expect;
use fake::Fake;

/// Standard output of one command that succeeds.
#[track_caller]
fn check(arguments: &str, expected: &Expect) {
    expected.assert_eq(&Fake::start().done(arguments));
}

/// Exit code and standard error of one command that does not.
#[track_caller]
fn check_failure(arguments: &str, code: i32, expected: &Expect) {
    let (actual, stderr) = Fake::start().failed(arguments);
    expected.assert_eq(&stderr);
    assert_eq!(actual, code);
}
