//! A stream of BGP messages; see `fuzz::bgp_wire::stream`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8])| {
    fuzz::bgp_wire::stream(input.0, input.1);
});
