//! The peer as its shell sees it.

mod pair;
