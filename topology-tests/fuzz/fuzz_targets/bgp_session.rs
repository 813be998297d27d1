//! A BGP peer under random events; see `fuzz::bgp_session::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, u16, Vec<fuzz::bgp_session::Turn>)| {
    fuzz::bgp_session::run(input.0, input.1, &input.2);
});
