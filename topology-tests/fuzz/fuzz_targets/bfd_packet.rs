//! One BFD packet; see `fuzz::bfd_packet::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    fuzz::bfd_packet::run(input);
});
