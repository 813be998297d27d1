//! What the daemon shows of itself besides the API.

pub mod log;
