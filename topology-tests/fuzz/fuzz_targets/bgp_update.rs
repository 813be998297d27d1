//! The body of an UPDATE in any session; see `fuzz::bgp_wire::update`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, bool, [bool; 2], &[u8])| {
    fuzz::bgp_wire::update(input.0, input.1, input.2, input.3);
});
