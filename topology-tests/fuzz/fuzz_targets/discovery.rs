//! Messages of neighbour discovery; see `fuzz::discovery::run`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|turns: Vec<fuzz::discovery::Turn>| {
    fuzz::discovery::run(&turns);
});
