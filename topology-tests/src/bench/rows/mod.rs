//! One file for each thing that is measured.

pub(super) mod fib;
pub(super) mod peers;
pub(super) mod table;
