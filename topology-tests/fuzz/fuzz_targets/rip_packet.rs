//! One datagram of RIPv2; see `fuzz::rip_packet::v2`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    fuzz::rip_packet::v2(input);
});
