//! The routers that are measured: how each is started and asked.

use std::{
    net::Ipv4Addr,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use super::{config, cost, session::Ends};
use crate::{
    Error, Host, Process, Result,
    peer::{find_binary, frr_user, installed, write},
    wait::wait_until,
};

/// A router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// This project's.
    Routed,
    /// BIRD 2.
    Bird,
    /// FRR's zebra and bgpd as they come.
    Frr,
    /// The same with `coalesce-time 0`: no waiting before updates are written.
    FrrQuick,
    /// `GoBGP`, which has no kernel routes of its own.
    Gobgp,
    /// `OpenBGPD`, which has no kernel routes on Linux.
    Openbgpd,
}

/// What a router is to do.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Sessions from these, which dial.
    pub peers: Vec<Ends>,
    /// Whether routes go into the kernel.
    pub fib: bool,
    /// Whether each peer is told what the others tell.
    pub transit: bool,
    /// The peer to which BFD watches the path, if any.
    pub watched: Option<Ipv4Addr>,
}

impl Task {
    /// Whether BFD watches the path to that peer.
    pub(super) fn watches(&self, ends: &Ends) -> bool {
        self.watched == Some(ends.local)
    }
}

/// Where the binaries of this project are, if not beside `lab`.
#[derive(Clone, Debug, Default)]
pub(super) struct Binaries {
    /// `routed` to measure; `routectl` is looked for beside it.
    pub routed: Option<PathBuf>,
}

/// A router that runs.
#[derive(Debug)]
pub(super) struct Running {
    engine: Engine,
    host: Host,
    dir: PathBuf,
    routectl: PathBuf,
    processes: Vec<Process>,
}

impl Engine {
    /// As tables name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Engine::Routed => "routed",
            Engine::Bird => "BIRD",
            Engine::Frr => "FRR",
            Engine::FrrQuick => "FRR, coalesce-time 0",
            Engine::Gobgp => "GoBGP",
            Engine::Openbgpd => "OpenBGPD",
        }
    }

    /// Whether it writes routes into the kernel of Linux.
    pub(super) fn has_fib(self) -> bool {
        !matches!(self, Engine::Gobgp | Engine::Openbgpd)
    }

    /// The program and the version that it tells.
    pub(super) fn version(self, binaries: &Binaries) -> Result<String> {
        let (program, flag) = match self {
            Engine::Routed => (binaries.routed()?, "--version"),
            Engine::Bird => (installed(&["/usr/sbin/bird"], "bird2")?.into(), "--version"),
            Engine::Frr | Engine::FrrQuick => (installed(&["/usr/lib/frr/bgpd"], "frr")?.into(), "--version"),
            Engine::Gobgp => (installed(&["/usr/bin/gobgpd"], "gobgpd")?.into(), "--version"),
            Engine::Openbgpd => (installed(&["/usr/sbin/bgpd"], "openbgpd")?.into(), "-V"),
        };
        let output = crate::command::run(&[], &[program.as_os_str(), flag.as_ref()], "")?;
        let said = output.stdout + &output.stderr;
        Ok(said.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// Starts it on `host`; it may not listen yet.
    pub(super) fn start(self, host: &Host, task: &Task, binaries: &Binaries) -> Result<Running> {
        let routectl = binaries.routed()?.with_file_name("routectl");
        let dir = host.dir("engine")?;
        let mut running = Running { engine: self, host: host.clone(), dir, routectl, processes: Vec::new() };
        running.launch(task, binaries)?;
        Ok(running)
    }
}

impl Binaries {
    fn routed(&self) -> Result<PathBuf> {
        self.routed.clone().map_or_else(|| find_binary("routed"), Ok)
    }
}

impl Running {
    fn launch(&mut self, task: &Task, binaries: &Binaries) -> Result<()> {
        match self.engine {
            Engine::Routed => {
                let (file, state, socket) = (
                    self.file("routed.toml", &config::routed(task))?,
                    self.path("state"),
                    self.path("routed.sock"),
                );
                let program = binaries.routed()?.display().to_string();
                self.spawn(&[&program, "--config", &file, "--state-dir", &state, "--socket", &socket])
            }
            Engine::Bird => {
                let file = self.file("bird.conf", &config::bird(task))?;
                let (control, pid) = (self.path("bird.ctl"), self.path("bird.pid"));
                let program = installed(&["/usr/sbin/bird"], "bird2")?;
                self.spawn(&[&program, "-f", "-c", &file, "-s", &control, "-P", &pid])
            }
            Engine::Frr => self.launch_frr(task, false),
            Engine::FrrQuick => self.launch_frr(task, true),
            Engine::Gobgp => {
                let file = self.file("gobgpd.toml", &config::gobgp(task))?;
                let program = installed(&["/usr/bin/gobgpd"], "gobgpd")?;
                self.spawn(&[&program, "-f", &file, "--api-hosts", "127.0.0.1:50051", "--pprof-disable"])
            }
            Engine::Openbgpd => {
                let home = Path::new("/run/openbgpd");
                std::fs::create_dir_all(home).map_err(Error::file(home))?;
                let socket = self.path("obgpd.sock");
                let file = self.file("bgpd.conf", &config::openbgpd(task, &socket))?;
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))
                    .map_err(Error::file(&file))?;
                let program = installed(&["/usr/sbin/bgpd"], "openbgpd")?;
                self.spawn(&[&program, "-d", "-f", &file])
            }
        }
    }

    fn launch_frr(&mut self, task: &Task, quick: bool) -> Result<()> {
        let (uid, gid) = frr_user()?;
        let own = |path: &str| chown(path, Some(uid), Some(gid)).map_err(Error::file(path));
        let (dir, zserv) = (self.dir.display().to_string(), self.path("zserv.api"));
        own(&dir)?;
        let bfdd = task.watched.map(|_| ("bfdd", config::bfdd()));
        let texts = [("zebra", String::new())].into_iter().chain(bfdd);
        for (name, text) in texts.chain([("bgpd", config::frr(task, quick))]) {
            let program = installed(&[&format!("/usr/lib/frr/{name}")], "frr")?;
            let file = self.file(&format!("{name}.conf"), &text)?;
            own(&file)?;
            let pid = self.path(&format!("{name}.pid"));
            let mut argv = vec![program.as_str(), "-f", &file, "-i", &pid, "-z", &zserv];
            argv.extend(["--vty_socket", &dir, "-A", "127.0.0.1", "-P", "0"]);
            if name == "zebra" {
                // Else its netlink socket overruns with a million routes.
                argv.extend(["-s", "90000000"]);
            } else if name == "bgpd" {
                argv.extend(["-p", "179"]);
                argv.extend((!task.fib).then_some("-n"));
            }
            self.spawn(&argv)?;
            if name == "zebra" {
                let opened = || if Path::new(&zserv).exists() { Ok(()) } else { Err(format!("no {zserv}")) };
                wait_until("zebra opens its socket", std::time::Duration::from_secs(10), opened)?;
            }
        }
        Ok(())
    }

    /// The processes, children included.
    pub(super) fn pids(&self) -> Vec<u32> {
        cost::family(&self.processes.iter().map(Process::pid).collect::<Vec<_>>())
    }

    /// Ends it with SIGTERM and waits for its end.
    pub(super) fn terminate(&mut self) -> Result<()> {
        for mut process in self.processes.drain(..) {
            process.signal(nix::sys::signal::Signal::SIGTERM)?;
            process.wait(std::time::Duration::from_secs(30))?;
        }
        Ok(())
    }

    /// Starts it again as it was.
    pub(super) fn again(&mut self, task: &Task, binaries: &Binaries) -> Result<()> {
        self.launch(task, binaries)
    }

    /// How many prefixes it says it learned from all peers.
    pub(super) fn learned(&self) -> Result<usize> {
        let said = self.ask(match self.engine {
            Engine::Routed => &["peers"],
            Engine::Bird => &["show", "route", "count"],
            Engine::Frr | Engine::FrrQuick => &["show bgp ipv4 unicast summary json"],
            Engine::Gobgp => &["global", "rib", "summary"],
            Engine::Openbgpd => &["show", "summary"],
        })?;
        let count = match self.engine {
            Engine::Routed => sum_of(&said, "\"prefixes_accepted\":"),
            Engine::Frr | Engine::FrrQuick => sum_of(&said, "\"pfxRcd\":"),
            // The last column of the peers' lines.
            Engine::Openbgpd => {
                let last = |line: &str| line.split_whitespace().last()?.parse::<usize>().ok();
                Some(said.lines().skip(1).filter_map(last).sum())
            }
            Engine::Bird | Engine::Gobgp => self.total(&said),
        };
        count.ok_or_else(|| self.silent(&said))
    }

    /// How many paths it has, of all peers together.
    pub(super) fn paths(&self) -> Result<usize> {
        // Only BIRD's count of prefixes is not the sum over its peers.
        if self.engine != Engine::Bird {
            return self.learned();
        }
        let said = self.ask(&["show", "route", "count"])?;
        let line = said.lines().find(|line| line.ends_with("in table master4"));
        line.map(digits).ok_or_else(|| self.silent(&said))
    }

    /// How many prefixes its table holds, to see it go back to what it was; FRR
    /// counts what lies between them too.
    pub(super) fn holds(&self) -> Result<usize> {
        let said = self.ask(match self.engine {
            Engine::Routed => &["status"],
            Engine::Bird => &["show", "route", "count"],
            Engine::Frr | Engine::FrrQuick => &["show bgp ipv4 unicast summary json"],
            Engine::Gobgp => &["global", "rib", "summary"],
            Engine::Openbgpd => &["show", "rib", "memory"],
        })?;
        self.total(&said).ok_or_else(|| self.silent(&said))
    }

    /// The prefixes of a table, in what it said.
    fn total(&self, said: &str) -> Option<usize> {
        match self.engine {
            Engine::Routed => sum_of(said, "\"prefixes\":"),
            Engine::Frr | Engine::FrrQuick => Some(sum_of(said, "\"ribCount\":").unwrap_or(0)),
            // "N of N routes for N networks in table master4"
            Engine::Bird => {
                let line = said.lines().find(|line| line.ends_with("in table master4"))?;
                line.split(" of ").next()?.trim().parse().ok()
            }
            Engine::Gobgp => said.split("Destination: ").nth(1).map(digits),
            // It leaves out what it has none of.
            Engine::Openbgpd if said.contains("RIB using") => {
                let line = said.lines().find(|line| line.contains("IPv4 unicast network entries"));
                Some(line.map_or(0, digits))
            }
            Engine::Openbgpd => None,
        }
    }

    fn silent(&self, said: &str) -> Error {
        Error::Claim(format!("{} does not tell its routes: {said}", self.engine.name()))
    }

    fn ask(&self, question: &[&str]) -> Result<String> {
        let (routectl, dir) = (self.routectl.display().to_string(), self.dir.display().to_string());
        let (routed, bird, openbgpd) =
            (self.path("routed.sock"), self.path("bird.ctl"), self.path("obgpd.sock"));
        let client: &[&str] = match self.engine {
            Engine::Routed => &[&routectl, "--socket", &routed, "-o", "json"],
            Engine::Bird => &["birdc", "-r", "-s", &bird],
            Engine::Frr | Engine::FrrQuick => &["vtysh", "--vty_socket", &dir, "-c"],
            Engine::Gobgp => &["gobgp", "-p", "50051"],
            Engine::Openbgpd => &["bgpctl", "-s", &openbgpd],
        };
        Ok(self.host.exec([client, question].concat())?.ok()?.stdout)
    }

    /// Fails, with the end of its log, if a process of it has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::check_alive)
    }

    fn spawn(&mut self, argv: &[&str]) -> Result<()> {
        let name = Path::new(argv.first().copied().unwrap_or_default()).file_name();
        let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.processes.push(self.host.spawn(&name, argv)?);
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn file(&self, name: &str, text: &str) -> Result<String> {
        write(&self.dir.join(name), text)?;
        Ok(self.path(name))
    }
}

/// The number that `text` begins with; 0 if none.
fn digits(text: &str) -> usize {
    let text = text.trim_start();
    text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())].parse().unwrap_or(0)
}

/// The sum of the numbers after each `key` of a JSON text; none if the key is absent.
fn sum_of(text: &str, key: &str) -> Option<usize> {
    let mut found = text.split(key).skip(1).map(digits).peekable();
    found.peek().is_some().then(|| found.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_after_each_key() {
        assert_eq!(sum_of("{\"n\": 12, \"m\": 1, \"n\":30}", "\"n\":"), Some(42));
        assert_eq!(sum_of("{}", "\"n\":"), None);
    }
}
