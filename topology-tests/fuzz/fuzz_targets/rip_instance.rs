//! An instance of RIP under random events; see `fuzz::rip_instance::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<fuzz::rip_instance::Turn>)| {
    fuzz::rip_instance::run(input.0, input.1);
});
