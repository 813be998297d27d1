//! The command line as a user meets it: help, usage errors, no daemon.

#[test]
fn help_errors_and_exit_codes_are_as_written_down() {
    trycmd::TestCases::new().case("tests/cmd/*.md").env("NO_COLOR", "1");
}
