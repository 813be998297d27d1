//! Filters and patterns of AS paths; see `fuzz::filter::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    fuzz::filter::run(text);
});
