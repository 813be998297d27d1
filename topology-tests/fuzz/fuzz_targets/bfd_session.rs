//! Two BFD nodes under random events; see `fuzz::bfd_session`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<fuzz::bfd_session::Turn>)| {
    let (many_hops, turns) = input;
    fuzz::bfd_session::run(many_hops, &turns);
});
