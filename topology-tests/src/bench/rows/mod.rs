//! One file for each thing that is measured.

pub(super) mod failover;
pub(super) mod fib;
pub(super) mod peers;
pub(super) mod restart;
pub(super) mod steady;
pub(super) mod table;
