//! What the targets do, as functions, so that a smoke run needs no fuzzer and
//! no nightly compiler: `cargo test --lib`.

pub mod bfd_session;
