//! Runs nft: one process for each transaction, JSON in, JSON or an error out.
//!
//! Everything here speaks of the one table `inet routed`; nothing else is
//! read or changed, so a construct of somebody else's table that this nft
//! does not know cannot make a call fail, but for one case: nft reads all
//! sets of the namespace before it applies anything, and version 1.0.6 dies
//! by a signal on sets that versions from 1.1.2 wrote. That is
//! [`NftError::Killed`]: wait longer after each, and tell the operator.
//! (A core of each death would fill the disk: the unit of the daemon sets
//! `LimitCORE=0`.)
//!
//! A process inherits the network namespace of the thread that calls.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The name of the table, of family `inet`.
const TABLE: &str = "routed";

/// Where distributions put nft. A service's PATH often lacks the sbin ones.
const PLACES: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// The largest transaction measured (10,000 endpoints, no sharing) takes 2 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The nft program.
#[derive(Clone, Debug)]
pub struct Nft {
    program: PathBuf,
}

/// What is in the table.
#[derive(Clone, Debug, PartialEq)]
pub enum Listing {
    /// There is no table `inet routed`.
    NoTable,
    /// What `nft -j list table inet routed` says.
    Table(Value),
}

/// Why nft did not do it. What it refuses, it refuses as a whole: nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// There is no nft in the usual places nor in PATH.
    #[error("nft is not installed (looked in {}, and PATH); install the package nftables", PLACES.join(", "))]
    NotInstalled,
    /// The process could not be started or spoken to.
    #[error("{}: {source}; check that the file can be run by the user of routed", program.display())]
    Process {
        /// The file.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// nft or the kernel refused.
    #[error("nft: {message}")]
    Refused {
        /// What nft said.
        message: String,
    },
    /// nft died by a signal.
    #[error("nft died by signal {}; a newer nft on this host or in a container may have written sets that this one cannot read: use one version", signal_name(*.0))]
    Killed(i32),
    /// nft did not end in time and was killed. The kernel may or may not have
    /// taken the transaction: it is to be sent again.
    #[error("nft did not end within {} s and was killed; the transaction is sent again", .0.as_secs_f32())]
    Timeout(Duration),
    /// What nft printed is not JSON.
    #[error("nft printed what is no JSON: {0}; nft needs to be at least 1.0.2 and built with JSON")]
    Output(#[from] serde_json::Error),
}

fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.as_str().to_owned())
}

impl Nft {
    /// Finds the program, once.
    pub fn find() -> Result<Self, NftError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join("nft"));
        PLACES
            .iter()
            .map(PathBuf::from)
            .chain(in_path)
            .find(|program| program.is_file())
            .map(|program| Self { program })
            .ok_or(NftError::NotInstalled)
    }

    /// Has the kernel take a transaction (commands in nft's JSON), whole or
    /// not at all. The text must be JSON: nft 1.0.6 reads anything else as
    /// its own language and may call it done.
    pub async fn apply(&self, json: &str) -> Result<(), NftError> {
        self.run(&["-j", "-f", "-"], json).await.map(drop)
    }

    /// Asks whether [`Nft::apply`] would be refused, and changes nothing.
    pub async fn check(&self, json: &str) -> Result<(), NftError> {
        self.run(&["-c", "-j", "-f", "-"], json).await.map(drop)
    }

    /// Lists our table, counters included.
    pub async fn list_table(&self) -> Result<Listing, NftError> {
        match self.run(&["-j", "list", "table", "inet", TABLE], "").await {
            Ok(output) => Ok(Listing::Table(serde_json::from_slice(&output)?)),
            Err(NftError::Refused { message }) if message.contains("No such file or directory") => {
                Ok(Listing::NoTable)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes our table, if there is one.
    pub async fn delete_table(&self) -> Result<(), NftError> {
        let table = json!({ "table": { "family": "inet", "name": TABLE } });
        let commands = json!({ "nftables": [{ "add": table }, { "delete": table }] });
        self.apply(&commands.to_string()).await
    }

    async fn run(&self, args: &[&str], input: &str) -> Result<Vec<u8>, NftError> {
        let mut command = Command::new(&self.program);
        command.args(args);
        finish(command, input, TIMEOUT)
            .await
            .unwrap_or_else(|source| Err(NftError::Process { program: self.program.clone(), source }))
    }
}

/// Runs a command to its end: its output, or how it failed. The outer error
/// is that of the system.
async fn finish(
    mut command: Command,
    input: &str,
    timeout: Duration,
) -> io::Result<Result<Vec<u8>, NftError>> {
    command.env("LC_ALL", "C").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let write = async {
        let Some(mut stdin) = stdin else { return Ok(()) };
        match stdin.write_all(input.as_bytes()).await {
            // It ended before it read everything; how it ended says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    };
    let both = async { tokio::join!(write, child.wait_with_output()) };
    let Ok((written, output)) = tokio::time::timeout(timeout, both).await else {
        return Ok(Err(NftError::Timeout(timeout)));
    };
    written?;
    let output = output?;
    if output.status.success() {
        return Ok(Ok(output.stdout));
    }
    if let Some(signal) = output.status.signal() {
        return Ok(Err(NftError::Killed(signal)));
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(Err(NftError::Refused { message }))
}

#[cfg(test)]
mod tests {
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    /// Runs a test on a thread with a network namespace of its own, which
    /// ends with the thread.
    fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce(Nft) -> F + Send + 'static) {
        let body = move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(test(Nft::find().unwrap()));
        };
        std::thread::spawn(body).join().unwrap();
    }

    fn one_chain(name: &str) -> String {
        json!({ "nftables": [
            { "add": { "table": { "family": "inet", "name": TABLE } } },
            { "add": { "chain": { "family": "inet", "table": TABLE, "name": name } } },
        ] })
        .to_string()
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_is_applied_is_listed_until_it_is_deleted() {
        in_namespace(|nft| async move {
            assert_eq!(nft.list_table().await.unwrap(), Listing::NoTable);
            nft.apply(&one_chain("here")).await.unwrap();
            let Listing::Table(listed) = nft.list_table().await.unwrap() else { panic!("no table") };
            assert!(
                listed["nftables"].as_array().unwrap().iter().any(|item| item["chain"]["name"] == "here")
            );
            nft.delete_table().await.unwrap();
            nft.delete_table().await.unwrap();
            assert_eq!(nft.list_table().await.unwrap(), Listing::NoTable);
        });
    }

    #[test]
    fn a_check_changes_nothing() {
        in_namespace(|nft| async move {
            nft.check(&one_chain("here")).await.unwrap();
            assert_eq!(nft.list_table().await.unwrap(), Listing::NoTable);
        });
    }

    #[test]
    fn a_refusal_carries_the_words_of_nft_and_changes_nothing() {
        in_namespace(|nft| async move {
            let bad = json!({ "nftables": [
                { "add": { "table": { "family": "inet", "name": TABLE } } },
                { "add": { "rule": { "family": "inet", "table": TABLE, "chain": "absent", "expr": [{ "drop": null }] } } },
            ] });
            let error = nft.apply(&bad.to_string()).await.unwrap_err();
            assert!(matches!(&error, NftError::Refused { message } if message.contains("Error")), "{error}");
            assert_eq!(nft.list_table().await.unwrap(), Listing::NoTable);
        });
    }

    #[tokio::test]
    async fn death_by_a_signal_is_told_apart_from_a_refusal() {
        let result = finish(shell("kill -SEGV $$"), "", TIMEOUT).await.unwrap();
        let error = result.unwrap_err();
        assert!(matches!(error, NftError::Killed(11)), "{error}");
        assert!(error.to_string().contains("SIGSEGV"), "{error}");
    }

    #[tokio::test]
    async fn what_does_not_end_is_killed() {
        let result = finish(shell("exec sleep 600"), "", Duration::from_millis(50)).await.unwrap();
        assert!(matches!(result, Err(NftError::Timeout(_))));
    }

    #[tokio::test]
    async fn input_larger_than_a_pipe_goes_through_and_may_stay_unread() {
        let input = "x".repeat(1 << 20);
        let output = finish(shell("cat"), &input, TIMEOUT).await.unwrap().unwrap();
        assert_eq!(output.len(), input.len());
        finish(shell("exit 0"), &input, TIMEOUT).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_program_that_is_absent_is_named() {
        let nft = Nft { program: "/nowhere/nft".into() };
        let error = nft.apply("{}").await.unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/nft: "), "{error}");
    }
}
