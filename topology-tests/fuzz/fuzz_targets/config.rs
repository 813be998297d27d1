//! The text of a configuration file; see `fuzz::config::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    fuzz::config::run(text);
});
