//! routed itself, met as its users meet it: files, signals, `routectl`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{START, write};
use crate::{Error, Host, Output, Process, Result};

/// How long the daemon may take to stop after SIGTERM.
const STOP: Duration = Duration::from_secs(10);

/// The daemon on one host; its state directory outlives the process, so it can
/// be [started again](Routed::restart).
#[derive(Debug)]
pub struct Routed {
    host: Host,
    dir: PathBuf,
    /// A file of its own; else it finds none, not even where it looks by default.
    configured: bool,
    /// The words that take its privileges from it.
    dropping: Vec<String>,
    process: Option<Process>,
}

/// The user that daemons without root run as: `nobody`.
const NOBODY: u32 = 65534;

/// Runs its arguments where the default configuration file is absent.
const WITHOUT_FILE: &str = "if [ -d /etc/routed ]; then mount -t tmpfs none /etc/routed; fi; exec \"$@\"";

impl Routed {
    /// Starts routed on `host` and waits until `routectl status` answers.
    pub fn start(host: &Host, config: &str) -> Result<Routed> {
        let mut routed = Routed::prepare(host, config)?;
        routed.restart()?;
        Ok(routed)
    }

    /// Writes the files of a daemon that does not run yet.
    pub fn prepare(host: &Host, config: &str) -> Result<Routed> {
        let routed = Routed { configured: true, ..Routed::without_file(host)? };
        routed.write_config(config)?;
        Ok(routed)
    }

    /// Has the daemon run as nobody with these capabilities alone, as
    /// `+net_admin,+net_raw`; without any for an empty text. Its directory
    /// becomes that user's.
    pub fn unprivileged(mut self, capabilities: &str) -> Result<Routed> {
        let sets = format!("-all{}{capabilities}", if capabilities.is_empty() { "" } else { "," });
        let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()];
        let sets = ["--inh-caps", "--ambient-caps", "--bounding-set"].map(|set| format!("{set}={sets}"));
        self.dropping =
            ["setpriv".to_owned(), "--no-new-privs".to_owned()].into_iter().chain(user).chain(sets).collect();
        let owner = format!("{NOBODY}:{NOBODY}");
        self.host.exec(["chown", "-R", &owner, &self.dir.display().to_string()])?.ok()?;
        Ok(self)
    }

    /// A daemon that does not run yet and will find no configuration file.
    pub fn without_file(host: &Host) -> Result<Routed> {
        Ok(Routed {
            host: host.clone(),
            dir: host.dir("routed")?,
            configured: false,
            dropping: Vec::new(),
            process: None,
        })
    }

    /// Starts the daemon (again) with the same configuration and state, and
    /// waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        let argv = self.command_line()?;
        self.process = Some(self.host.spawn("routed", &argv)?);
        let what = format!("routed answers on {}", self.host.name());
        let lab = self.host.lab().clone();
        lab.wait_until(&what, START, || {
            if let Some(Err(dead)) = self.process.as_mut().map(Process::check_alive) {
                return Ok(Err(dead));
            }
            self.routectl(["status"]).and_then(Output::ok).map(|_| Ok(())).map_err(|e| e.to_string())
        })?
    }

    /// The program and its arguments, to run it in the foreground.
    pub fn command_line(&self) -> Result<Vec<String>> {
        self.command(&[])
    }

    /// The command line, and `more` at its end.
    fn command(&self, more: &[&str]) -> Result<Vec<String>> {
        let path = |path: &Path| path.display().to_string();
        let mut argv = Vec::new();
        if !self.configured {
            argv.extend(["unshare", "--mount", "sh", "-c", WITHOUT_FILE, "sh"].map(str::to_owned));
        }
        argv.extend(self.dropping.iter().cloned());
        argv.push(path(&find_binary("routed")?));
        if self.configured {
            argv.extend(["--config".to_owned(), path(&self.config_path())]);
        }
        argv.extend(["--state-dir".to_owned(), path(&self.dir.join("state"))]);
        argv.extend(["--socket".to_owned(), path(&self.socket())]);
        argv.extend(more.iter().map(|word| (*word).to_owned()));
        Ok(argv)
    }

    /// `routed --check` of the configuration as it stands.
    pub fn check(&self) -> Result<Output> {
        self.host.exec(self.command(&["--check"])?)
    }

    /// `routed --print-config`: what the configuration comes to.
    pub fn print_config(&self) -> Result<Output> {
        self.host.exec(self.command(&["--print-config"])?)
    }

    /// `routed --cleanup`: removes what the daemon made; it must not run.
    pub fn cleanup(&self) -> Result<Output> {
        self.host.exec(self.command(&["--cleanup"])?)
    }

    /// Replaces the configuration file; [`Routed::sighup`] makes the daemon read it.
    pub fn write_config(&self, config: &str) -> Result<()> {
        write(&self.config_path(), config)
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("routed.toml")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("routed.sock")
    }

    /// The host it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Runs `routectl` against this daemon.
    pub fn routectl<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Result<Output> {
        self.routectl_with(words, "")
    }

    /// Runs `routectl` with a text on its standard input (`policy apply -f -`).
    pub fn routectl_with<'a>(&self, words: impl IntoIterator<Item = &'a str>, stdin: &str) -> Result<Output> {
        let binary = find_binary("routectl")?.display().to_string();
        let socket = self.socket().display().to_string();
        let mut argv = vec![binary, "--socket".to_owned(), socket];
        argv.extend(words.into_iter().map(str::to_owned));
        self.host.exec_with(argv, stdin)
    }

    /// What `routectl -o json` says.
    pub fn routectl_json<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Result<Value> {
        self.routectl(["-o", "json"].into_iter().chain(words))?.json()
    }

    /// State of the session with `peer`, `Established` when it is up.
    pub fn session_state(&self, peer: &str) -> Result<String> {
        let peers = self.routectl_json(["peers"])?;
        let peer = peers.as_array().into_iter().flatten().find(|p| p["address"] == peer);
        Ok(peer.and_then(|p| p["state"].as_str()).unwrap_or("no such peer").to_owned())
    }

    /// The prefixes of `routes -o json` that came by `protocol`.
    pub fn prefixes(&self, protocol: &str) -> Result<Vec<String>> {
        let routes = self.routectl_json(["routes"])?;
        let ours = routes.as_array().into_iter().flatten().filter(|r| r["protocol"] == protocol);
        Ok(ours.filter_map(|r| r["prefix"].as_str().map(str::to_owned)).collect())
    }

    /// SIGTERM: the daemon stops for a restart; gives its exit status.
    pub fn sigterm(&mut self) -> Result<i32> {
        let mut process = self.running()?;
        process.signal(Signal::SIGTERM)?;
        process.wait(STOP)
    }

    /// SIGHUP: the daemon reads its configuration again.
    pub fn sighup(&self) -> Result<()> {
        match &self.process {
            Some(process) => process.signal(Signal::SIGHUP),
            None => Err(self.absent()),
        }
    }

    /// `kill -9`.
    pub fn kill9(&mut self) -> Result<()> {
        self.running()?.kill()
    }

    /// Its process id, while it is started.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Whether the process still runs.
    pub fn alive(&mut self) -> Result<bool> {
        self.process.as_mut().map_or(Ok(false), |p| p.ended().map(|status| status.is_none()))
    }

    /// What it logged, over all its lives.
    pub fn log(&self) -> Result<String> {
        let path = self.host.dir("log")?.join("routed.log");
        std::fs::read_to_string(&path).map_err(Error::file(path))
    }

    fn running(&mut self) -> Result<Process> {
        self.process.take().ok_or_else(|| self.absent())
    }

    fn absent(&self) -> Error {
        Error::Claim(format!("routed does not run on {}; start it first", self.host.name()))
    }
}

/// Finds a binary of this project: in `$LAB_BIN_DIR`, beside the running
/// program, one directory up (tests run in `target/*/deps`), or installed.
pub fn find_binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(Error::io("find the running program"))?;
    let beside = own.ancestors().skip(1).take(2).map(Path::to_path_buf);
    let given = std::env::var_os("LAB_BIN_DIR").map(PathBuf::from);
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"].map(PathBuf::from);
    let dirs: Vec<PathBuf> = given.into_iter().chain(beside).chain(usual).collect();
    let found = dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| Error::Missing {
        program: name.to_owned(),
        looked: dirs.iter().map(|d| d.display().to_string()).collect::<Vec<_>>().join(", "),
        hint: "build it first: cargo build -p routed -p routectl".to_owned(),
    })
}
