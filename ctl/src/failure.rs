//! Why a command did not do what it was asked, and the exit code for it.

use std::io;
use std::process::ExitCode;

use api::Problem;
use tonic::{Code, Status};

/// Every way in which a command ends that is not "done".
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong, or help was asked for.
    Usage(clap::Error),
    /// The daemon could not be reached, or went away before it had answered.
    Unreachable(String),
    /// The daemon said no.
    Refused(Problem),
    /// The command ended without effect; what was wrong has been printed.
    Faulty(String),
    /// A file could not be read or written.
    File {
        /// The file, in words.
        what: String,
        /// Why.
        error: io::Error,
    },
    /// Standard output could not be written.
    Output(io::Error),
}

impl Failure {
    /// A file that could not be read or written.
    pub(crate) fn file(what: impl Into<String>, error: io::Error) -> Self {
        Self::File { what: what.into(), error }
    }

    /// Tells the user on standard error, and gives the exit code of the process.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(error) => {
                let code = if error.use_stderr() { 2 } else { 0 };
                // Nothing is left to tell it to when the terminal itself has gone.
                let _ = error.print();
                ExitCode::from(code)
            }
            Self::Unreachable(text) => complain(3, &text),
            Self::Refused(problem) => complain(1, &problem.to_string()),
            Self::Faulty(text) => complain(1, &text),
            Self::File { what, error } => complain(1, &format!("{what}: {error}")),
            // `routectl routes | head` is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Output(error) => complain(1, &format!("standard output: {error}")),
        }
    }
}

fn complain(code: u8, text: &str) -> ExitCode {
    eprintln!("routectl: {text}");
    ExitCode::from(code)
}

/// A status that came from the daemon is a refusal. One that was made on this
/// side, which has a source or says that time is up, means that the connection
/// broke; routed sends neither of the two codes.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let local = std::error::Error::source(&status).is_some()
            || matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled);
        if local && status.message().contains("protocol error") {
            Self::Unreachable(
                "who listens there speaks something else; is it routed, and does it want https://?"
                    .to_owned(),
            )
        } else if local {
            Self::Unreachable(format!(
                "routed went away or fell silent before it had answered ({}); is it still running? see its log",
                status.message()
            ))
        } else {
            Self::Refused(Problem::from(&status))
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
