//! Requests of the API; see `fuzz::api::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    fuzz::api::run(input.0, input.1);
});
