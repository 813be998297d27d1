//! Long-running processes inside a namespace.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{Error, Result, command::exit_code, wait::wait_until};

/// Lines of each log that a failure shows.
const LOG_TAIL: usize = 30;

/// A process with its own group and a log file; killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in a process group of its own, both outputs appended to `log`.
    pub fn start(name: impl Into<String>, mut command: Command, log: PathBuf) -> Result<Process> {
        let name = name.into();
        let open = || File::options().create(true).append(true).open(&log).map_err(Error::file(&log));
        let child = command
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .process_group(0)
            .spawn()
            .map_err(Error::io(format!("start {name}")))?;
        Ok(Process { name, child, log })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that holds what it printed.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it printed so far.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).map_err(Error::file(&self.log))
    }

    /// Sends a signal to its group.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        killpg(self.group(), signal)
            .map_err(|errno| Error::io(format!("send {signal} to {}", self.name))(errno.into()))
    }

    /// The exit status if it has ended.
    pub fn ended(&mut self) -> Result<Option<i32>> {
        let status = self.child.try_wait().map_err(Error::io(format!("ask for {}", self.name)))?;
        Ok(status.map(exit_code))
    }

    /// An error with the status and the log's end if it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(Error::Ended { name: self.name.clone(), status, log: tail(&self.log) }),
        }
    }

    /// Waits for its end and gives the exit status (128 + n for signal n).
    pub fn wait(&mut self, limit: Duration) -> Result<i32> {
        let what = format!("{} (pid {}) ends", self.name, self.pid());
        wait_until(&what, limit, || match self.ended() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it still runs".to_owned()),
            Err(why) => Err(why.to_string()),
        })
    }

    /// Kills the group with SIGKILL and reaps the process.
    pub fn kill(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            self.signal(Signal::SIGKILL)?;
            self.child.wait().map_err(Error::io(format!("reap {}", self.name)))?;
        }
        Ok(())
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.pid()).unwrap_or(i32::MAX))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(why) = self.kill() {
            anstream::eprintln!("lab: {why}");
        }
    }
}

/// The last lines of a log under a heading.
pub(crate) fn tail(path: &Path) -> String {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(why) => format!("(not readable: {why})"),
    };
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LOG_TAIL)..];
    format!("--- {} (last {} of {} lines)\n{}\n", path.display(), last.len(), lines.len(), last.join("\n"))
}
