//! One datagram of RIPng; see `fuzz::rip_packet::ng`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    fuzz::rip_packet::ng(input);
});
