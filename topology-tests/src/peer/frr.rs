//! FRR: zebra with bgpd and staticd, or with ripd and ripngd, read through `vtysh`.

use std::{os::unix::fs::chown, path::PathBuf};

use serde_json::Value;

use super::{RipRoute, Route, START, installed, write};
use crate::{Error, Host, Process, Result};

/// A running FRR: the daemons stay in the foreground under the lab's eyes.
#[derive(Debug)]
pub struct Frr {
    host: Host,
    dir: PathBuf,
    daemons: Vec<Process>,
}

impl Frr {
    /// Starts zebra, staticd and bgpd on `host`. `config` is bgpd's;
    /// `statics` holds `ip route` lines for staticd.
    pub fn start(host: &Host, config: &str, statics: &str) -> Result<Frr> {
        let daemons = [("zebra", ""), ("staticd", statics), ("bgpd", config)];
        Frr::start_daemons(host, &daemons, &["show bgp summary json"])
    }

    /// Starts zebra, ripd and ripngd with their configurations.
    pub fn start_rip(host: &Host, ripd: &str, ripngd: &str) -> Result<Frr> {
        let daemons = [("zebra", ""), ("ripd", ripd), ("ripngd", ripngd)];
        Frr::start_daemons(host, &daemons, &["show ip rip status", "show ipv6 ripng status"])
    }

    /// Starts zebra, bfdd and bgpd with their configurations.
    pub fn start_bfd(host: &Host, bgpd: &str, bfdd: &str) -> Result<Frr> {
        let daemons = [("zebra", ""), ("bfdd", bfdd), ("bgpd", bgpd)];
        Frr::start_daemons(host, &daemons, &["show bgp summary json", "show bfd peers json"])
    }

    /// Starts daemons, zebra first, and waits until each of `questions` is answered.
    fn start_daemons(host: &Host, daemons: &[(&str, &str)], questions: &[&str]) -> Result<Frr> {
        let dir = host.dir("frr")?;
        let (uid, gid) = frr_user()?;
        chown(&dir, Some(uid), Some(gid)).map_err(Error::file(&dir))?;
        let mut frr = Frr { host: host.clone(), dir, daemons: Vec::new() };
        for (daemon, text) in daemons {
            frr.start_daemon(daemon, text, (uid, gid))?;
        }
        for question in questions {
            frr.await_answer(question)?;
        }
        Ok(frr)
    }

    fn start_daemon(&mut self, name: &str, config: &str, owner: (u32, u32)) -> Result<()> {
        let file = self.dir.join(format!("{name}.conf"));
        write(&file, &format!("log stdout informational\n{config}\n"))?;
        chown(&file, Some(owner.0), Some(owner.1)).map_err(Error::file(&file))?;
        self.spawn_daemon(name)
    }

    /// Starts a daemon whose configuration is written.
    fn spawn_daemon(&mut self, name: &str) -> Result<()> {
        let program = installed(&[&format!("/usr/lib/frr/{name}")], "frr")?;
        let file = self.dir.join(format!("{name}.conf"));
        let path = |end: &str| self.dir.join(end).display().to_string();
        let (pid, zserv) = (path(&format!("{name}.pid")), path("zserv.api"));
        let (config, dir) = (file.display().to_string(), self.dir.display().to_string());
        let mut argv = vec![
            program.as_str(),
            "-f",
            &config,
            "-i",
            &pid,
            "-z",
            &zserv,
            "--vty_socket",
            &dir,
            "-A",
            "127.0.0.1",
        ];
        argv.extend(["-P", "0"]);
        self.daemons.push(self.host.spawn(name, &argv)?);
        // zebra's socket must be there before the others look for it.
        if name == "zebra" {
            let socket = self.dir.join("zserv.api");
            self.host.lab().wait_until("zebra opens its socket", START, || {
                if socket.exists() { Ok(()) } else { Err(format!("no {}", socket.display())) }
            })?;
        }
        Ok(())
    }

    /// `kill -9` of bgpd, which was started last; zebra and the kernel routes stay.
    pub fn kill9_bgpd(&mut self) -> Result<()> {
        self.daemons.pop().map_or(Ok(()), |mut bgpd| bgpd.kill())
    }

    /// Starts bgpd again with the same configuration.
    pub fn restart_bgpd(&mut self) -> Result<()> {
        self.spawn_daemon("bgpd")?;
        self.await_answer("show bgp summary json")
    }

    /// `kill -9` of all its daemons; the kernel routes stay.
    pub fn kill9(&mut self) -> Result<()> {
        self.daemons.drain(..).rev().try_for_each(|mut daemon| daemon.kill())
    }

    /// Starts zebra, staticd and bgpd again with the same configuration.
    pub fn restart(&mut self) -> Result<()> {
        let socket = self.dir.join("zserv.api");
        std::fs::remove_file(&socket).map_err(Error::file(&socket))?;
        ["zebra", "staticd", "bgpd"].iter().try_for_each(|name| self.spawn_daemon(name))?;
        self.await_answer("show bgp summary json")
    }

    fn await_answer(&self, question: &str) -> Result<()> {
        let what = format!("FRR on {} answers {question:?}", self.host.name());
        self.host.lab().wait_until(&what, START, || match self.vtysh(question) {
            // A daemon that is not there yet is no error to vtysh.
            Ok(said) if !said.trim().is_empty() && !said.contains("is not running") => Ok(()),
            Ok(said) => Err(said),
            Err(why) => Err(why.to_string()),
        })
    }

    /// Output of `vtysh` commands, one after the other, to configure for one.
    pub fn configure(&self, commands: &[&str]) -> Result<String> {
        let dir = self.dir.display().to_string();
        let mut argv = vec!["vtysh", "--vty_socket", &dir, "-c", "configure terminal"];
        argv.extend(commands.iter().flat_map(|command| ["-c", command]));
        Ok(self.host.exec(argv)?.ok()?.stdout)
    }

    /// The RIP tables of both versions.
    pub fn rip_routes(&self) -> Result<Vec<RipRoute>> {
        let (v4, v6) = (self.vtysh("show ip rip")?, self.vtysh("show ipv6 ripng")?);
        Ok(rip_table(&v4).into_iter().chain(rip_table(&v6)).collect())
    }

    /// The process ids of its daemons.
    pub fn pids(&self) -> Vec<u32> {
        self.daemons.iter().map(Process::pid).collect()
    }

    /// Output of a `vtysh` command.
    pub fn vtysh(&self, command: &str) -> Result<String> {
        let dir = self.dir.display().to_string();
        Ok(self.host.exec(["vtysh", "--vty_socket", &dir, "-c", command])?.ok()?.stdout)
    }

    /// Answer of a `vtysh` command that ends in `json`.
    pub fn json(&self, command: &str) -> Result<Value> {
        let text = self.vtysh(command)?;
        serde_json::from_str(&text).map_err(|why| Error::Unreadable {
            what: format!("vtysh -c '{command}'"),
            why: why.to_string(),
            said: text.chars().take(400).collect(),
        })
    }

    /// State of the session with `peer`: `Established` when it is up.
    pub fn session_state(&self, peer: &str) -> Result<String> {
        let neighbor = self.json(&format!("show bgp neighbors {peer} json"))?;
        Ok(neighbor[peer]["bgpState"].as_str().unwrap_or("unknown").to_owned())
    }

    /// `show bgp summary json`.
    pub fn bgp_summary(&self) -> Result<Value> {
        self.json("show bgp summary json")
    }

    /// The BGP table of both families.
    pub fn routes(&self) -> Result<Vec<Route>> {
        let v4 = self.json("show bgp ipv4 unicast json")?;
        let v6 = self.json("show bgp ipv6 unicast json")?;
        Ok([v4, v6].iter().flat_map(table).collect())
    }
}

/// Reads `show ip rip` and `show ipv6 ripng`: after the code, `R(n)` for what
/// a neighbour told, the prefix, its next hop and the metric; in IPv6 the next
/// hop begins a line of its own and the interface stands before the metric.
fn rip_table(text: &str) -> Vec<RipRoute> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let heads = words.iter().enumerate().filter(|(_, word)| **word == "R(n)");
    heads
        .filter_map(|(at, _)| {
            let [prefix, next_hop, rest @ ..] = words.get(at + 1..)? else { return None };
            let metric = rest.iter().take(2).find_map(|word| word.parse().ok())?;
            Some(RipRoute { prefix: (*prefix).to_owned(), next_hop: (*next_hop).to_owned(), metric })
        })
        .collect()
}

/// Reads `show bgp ipv4 unicast json`: `routes` maps a prefix to its paths.
fn table(answer: &Value) -> Vec<Route> {
    let prefixes = answer["routes"].as_object().into_iter().flatten();
    let paths =
        prefixes.flat_map(|(prefix, paths)| paths.as_array().into_iter().flatten().map(move |p| (prefix, p)));
    paths
        .map(|(prefix, path)| Route {
            prefix: prefix.clone(),
            next_hop: path["nexthops"][0]["ip"].as_str().unwrap_or_default().to_owned(),
            as_path: path["path"].as_str().unwrap_or_default().split(' ').flat_map(str::parse).collect(),
            best: path["bestpath"].as_bool().unwrap_or(false),
        })
        .collect()
}

/// User and group that FRR's daemons become.
pub(crate) fn frr_user() -> Result<(u32, u32)> {
    let text = std::fs::read_to_string("/etc/passwd").map_err(Error::file("/etc/passwd"))?;
    let ids = text.lines().find_map(|line| {
        let mut words = line.split(':');
        (words.next() == Some("frr")).then_some(())?;
        let mut ids = words.skip(1).map(str::parse::<u32>);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    });
    ids.ok_or_else(|| Error::Missing {
        program: "user frr".into(),
        looked: "/etc/passwd".into(),
        hint: "install the package frr (topology-tests/install.sh)".into(),
    })
}
