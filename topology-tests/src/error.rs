//! What can go wrong in a lab, each with the object and what to do next.

use std::{fmt, io, path::PathBuf};

use crate::command::Output;

/// An error of the lab itself or of something that ran in it.
#[derive(thiserror::Error)]
pub enum Error {
    /// Namespaces need privileges.
    #[error("a lab builds network namespaces and needs root: run it as root (sudo)")]
    NotRoot,
    /// A program that the lab needs is not installed or not built.
    #[error("{program} is not there (looked in {looked}): {hint}")]
    Missing {
        /// The program's name.
        program: String,
        /// Where it was sought.
        looked: String,
        /// How to get it.
        hint: String,
    },
    /// A command ended with another status than success.
    #[error("{0}")]
    Failed(Box<Output>),
    /// A daemon ended that should run.
    #[error("{name} ended with status {status}\n{log}")]
    Ended {
        /// Program and host.
        name: String,
        /// Exit status; 128 + n for signal n.
        status: i32,
        /// The last lines of its log.
        log: String,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// The object and the attempt.
        what: String,
        /// The reason.
        source: io::Error,
    },
    /// A command answered something that is no JSON, or not of the shape expected.
    #[error("{what}: {why}; it said: {said}")]
    Unreadable {
        /// The command that was asked.
        what: String,
        /// What is wrong with the answer.
        why: String,
        /// The answer's beginning.
        said: String,
    },
    /// A condition did not come true in time.
    #[error("{0}")]
    Timeout(Box<crate::wait::Timeout>),
    /// A claim of a scenario or of the demo does not hold.
    #[error("{0}")]
    Claim(String),
}

/// A test that ends in an error prints its `Debug`: the sentence, not the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// Names the object of an I/O error; for `map_err`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// A file that could not be read or written.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        Error::io(path.into().display().to_string())
    }
}
