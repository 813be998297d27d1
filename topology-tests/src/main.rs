//! routectl.
fn main() {}
