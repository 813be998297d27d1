//! Running a command to its end, with a limit on its time.

use std::{
    ffi::OsStr,
    fmt,
    process::{Command, Stdio},
};

use crate::{Error, Result};

/// Seconds a command may take before it is ended (status 124, as `timeout` says).
const LIMIT_SECONDS: &str = "60";

/// What a finished command left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// Exit status; 128 + n if signal n ended it; 124 if it took too long.
    pub status: i32,
    /// Standard output, lossily as UTF-8.
    pub stdout: String,
    /// Standard error, lossily as UTF-8.
    pub stderr: String,
}

impl Output {
    /// Whether the command ended with status 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// The output, or [`Error::Failed`] if the status is not 0.
    pub fn ok(self) -> Result<Output> {
        if self.success() { Ok(self) } else { Err(Error::Failed(Box::new(self))) }
    }

    /// Standard output as JSON; the status must be 0.
    pub fn json(self) -> Result<serde_json::Value> {
        let output = self.ok()?;
        serde_json::from_str(&output.stdout).map_err(|why| Error::Unreadable {
            what: output.command,
            why: why.to_string(),
            said: output.stdout.chars().take(400).collect(),
        })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with status {}", self.command, self.status)?;
        for (name, text) in [("stderr", &self.stderr), ("stdout", &self.stdout)] {
            if !text.trim().is_empty() {
                write!(f, "\n  {name}: {}", text.trim())?;
            }
        }
        Ok(())
    }
}

/// Runs `argv` after the words of `prefix` (which enter a namespace, say) and
/// gives `stdin` to it. Only a command that cannot be started is an error.
pub fn run<A: AsRef<OsStr>>(prefix: &[String], argv: &[A], stdin: &str) -> Result<Output> {
    let shown = argv.iter().map(|a| a.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    let mut child = Command::new("timeout")
        .args(["--foreground", "-k", "2", LIMIT_SECONDS])
        .args(prefix)
        .args(argv)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io(format!("start `{shown}`")))?;
    if let Some(pipe) = child.stdin.take() {
        feed(pipe, stdin);
    }
    let output = child.wait_with_output().map_err(Error::io(format!("wait for `{shown}`")))?;
    Ok(Output {
        command: shown,
        status: exit_code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Writes `stdin` from a thread, so that a command which answers before it has
/// read everything does not block both sides. One that does not read at all
/// closes the pipe, which is its right.
fn feed(mut pipe: std::process::ChildStdin, stdin: &str) {
    if !stdin.is_empty() {
        let text = stdin.to_owned();
        std::thread::spawn(move || std::io::Write::write_all(&mut pipe, text.as_bytes()));
    }
}

/// A shell's reading of an exit status: 128 + n for signal n.
pub(crate) fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|n| 128 + n)).unwrap_or(-1)
}
