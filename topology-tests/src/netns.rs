//! A network namespace by name, and the ways to act inside it.

use std::{ffi::OsStr, fs::File, path::PathBuf, process::Command, thread};

use nix::sched::{CloneFlags, setns};

use crate::{Error, Output, Result, command};

/// A named network namespace (`/run/netns/NAME`), made by `ip netns add`.
///
/// The handle is a name: dropping it removes nothing. The lab's
/// [undertaker](crate::undertaker) removes what carries the lab's prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes the namespace, its loopback up, IPv6 addresses usable at once
    /// (no duplicate address detection).
    pub fn create(name: String) -> Result<Netns> {
        command::run(&[], &["ip", "netns", "add", &name], "")?.ok()?;
        let netns = Netns { name };
        netns.sysctl(&[("net.ipv6.conf.all.accept_dad", "0"), ("net.ipv6.conf.default.accept_dad", "0")])?;
        netns.ip(&["link set lo up"])?;
        Ok(netns)
    }

    /// The name under `/run/netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that names the namespace.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// The words before a command that make it run inside.
    ///
    /// `nsenter`, not `ip netns exec`: the latter remounts `/sys` and hides
    /// what container engines need there.
    fn prefix(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--net={}", self.path().display())]
    }

    /// Runs `argv` inside, to its end.
    pub fn exec<A: AsRef<OsStr>>(&self, argv: impl AsRef<[A]>) -> Result<Output> {
        command::run(&self.prefix(), argv.as_ref(), "")
    }

    /// Runs `argv` inside with `stdin`, to its end.
    pub fn exec_with<A: AsRef<OsStr>>(&self, argv: impl AsRef<[A]>, stdin: &str) -> Result<Output> {
        command::run(&self.prefix(), argv.as_ref(), stdin)
    }

    /// A command that will run inside; `nsenter` execs it, so the child's pid
    /// is the program's own.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let prefix = self.prefix();
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).arg(program).env("LC_ALL", "C");
        command
    }

    /// Runs lines of `ip -batch` inside, all or an error that shows the line.
    pub fn ip<L: AsRef<str>>(&self, lines: &[L]) -> Result<()> {
        let batch = lines.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n");
        let argv = ["ip", "-n", &self.name, "-batch", "-"];
        let output = command::run(&[], &argv, &format!("{batch}\n"))?;
        let shown = Output { command: format!("{}: {}", output.command, batch), ..output };
        shown.ok().map(drop)
    }

    /// Sets sysctls of the namespace.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        let words = settings.iter().map(|(key, value)| format!("{key}={value}"));
        let argv: Vec<String> = ["sysctl".to_owned(), "-qw".to_owned()].into_iter().chain(words).collect();
        self.exec(argv)?.ok().map(drop)
    }

    /// Runs `work` on a thread inside the namespace and gives its result.
    ///
    /// Sockets opened there stay in the namespace wherever they are used later.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let file = File::open(self.path()).map_err(Error::file(self.path()))?;
        // Only after setns: elsewhere the work would touch the host's own namespace.
        let inside = move || setns(&file, CloneFlags::CLONE_NEWNET).map(|()| work());
        let failed = || Error::io(format!("work in namespace {}", self.name));
        match thread::spawn(inside).join() {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(errno)) => Err(failed()(errno.into())),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
