//! What the kernel says over netlink; see `fuzz::netlink::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    fuzz::netlink::run(octets);
});
