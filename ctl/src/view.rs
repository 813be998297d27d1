//! What is printed: types with stable field names, and their four forms.
//!
//! A view is one `Serialize` type, made from an answer of the daemon. Its fields
//! are the JSON and YAML that scripts rely on: renaming one is a broken promise.
//! [`Row`] adds columns for a list, [`Sheet`] adds lines for one object.

pub(crate) mod address;
pub(crate) mod bfd;
pub(crate) mod bmp;
pub(crate) mod diff;
pub(crate) mod docker;
pub(crate) mod node;
pub(crate) mod peer;
pub(crate) mod policy;
pub(crate) mod printer;
pub(crate) mod rip;
pub(crate) mod route;
pub(crate) mod table;
pub(crate) mod time;

pub(crate) use printer::Printer;
pub(crate) use table::{Cell, Column, Level, Row, Sheet, Tone};

#[cfg(test)]
mod tests;
