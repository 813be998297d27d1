//! One attribute of an UPDATE; see `fuzz::bgp_attr::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u8, u8, &[u8])| {
    fuzz::bgp_attr::run(input.0, input.1, input.2, input.3);
});
