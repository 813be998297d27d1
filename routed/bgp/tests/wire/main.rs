//! The wire format as a whole: what is written is read again, what is broken
//! never breaks us, and other implementations read the same.

mod differential;
mod generate;
mod mutation;
mod oracle;
mod round_trip;
