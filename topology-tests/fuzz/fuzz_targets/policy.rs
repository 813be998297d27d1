//! Documents of policy; see `fuzz::policy::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    fuzz::policy::run(text);
});
