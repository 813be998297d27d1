//! What the daemon shows of itself besides the API.

pub(crate) mod damp;
pub mod log;
