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
    process: Option<Process>,
}

impl Routed {
    /// Starts routed on `host` and waits until `routectl status` answers.
    pub fn start(host: &Host, config: &str) -> Result<Routed> {
        let mut routed = Routed::prepare(host, config)?;
        routed.restart()?;
        Ok(routed)
    }

    /// Writes the files of a daemon that does not run yet.
    pub fn prepare(host: &Host, config: &str) -> Result<Routed> {
        let routed = Routed { host: host.clone(), dir: host.dir("routed")?, process: None };
        routed.write_config(config)?;
        Ok(routed)
    }

    /// Starts the daemon (again) with the same configuration and state, and
    /// waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        self.process = Some(self.host.spawn("routed", &self.command_line()?)?);
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
        let mut argv = vec![find_binary("routed")?.display().to_string()];
        argv.extend(self.arguments());
        Ok(argv)
    }

    fn arguments(&self) -> Vec<String> {
        let state = self.dir.join("state").display().to_string();
        let (config, socket) = (self.config_path(), self.socket());
        [
            "--config",
            &config.display().to_string(),
            "--state-dir",
            &state,
            "--socket",
            &socket.display().to_string(),
        ]
        .map(str::to_owned)
        .into()
    }

    /// `routed --check` of the configuration as it stands.
    pub fn check(&self) -> Result<Output> {
        let binary = find_binary("routed")?.display().to_string();
        let config = self.config_path().display().to_string();
        self.host.exec([binary.as_str(), "--config", &config, "--check"])
    }

    /// `routed --cleanup`: removes what the daemon made; it must not run.
    pub fn cleanup(&self) -> Result<Output> {
        let mut argv = self.command_line()?;
        argv.push("--cleanup".to_owned());
        self.host.exec(argv)
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
