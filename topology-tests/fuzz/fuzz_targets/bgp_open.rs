//! The body of an OPEN; see `fuzz::bgp_wire::open`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    fuzz::bgp_wire::open(input);
});
