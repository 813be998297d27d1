//! `OpenBGPD`: `bgpd -d`, read through `bgpctl`. It has a table and no kernel routes.

use std::path::PathBuf;

use serde_json::Value;

use super::{Route, START, installed, write};
use crate::{Error, Host, Process, Result};

/// Where the daemon locks itself up; the package leaves it to the service file
/// to make it.
const JAIL: &str = "/run/openbgpd";

/// A running `OpenBGPD`.
#[derive(Debug)]
pub struct Openbgpd {
    host: Host,
    socket: PathBuf,
    process: Process,
}

impl Openbgpd {
    /// Starts `OpenBGPD` on `host` in AS `asn`, which takes and tells everything;
    /// `config` has its networks and neighbours.
    pub fn start(host: &Host, asn: u32, config: &str) -> Result<Openbgpd> {
        let program = installed(&["/usr/sbin/bgpd"], "openbgpd")?;
        std::fs::create_dir_all(JAIL).map_err(Error::file(JAIL))?;
        let dir = host.dir("openbgpd")?;
        let (file, socket) = (dir.join("bgpd.conf"), dir.join("bgpd.sock"));
        let text = format!(
            "AS {asn}\nrouter-id {id}\nfib-update no\nsocket \"{socket}\"\nlisten on {id}\nlisten on {v6}\n{config}\n\
             allow from any\nallow to any\n",
            id = host.ipv4(),
            v6 = host.ipv6(),
            socket = socket.display(),
        );
        write(&file, &text)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).map_err(Error::file(&file))?;
        let process = host.spawn("bgpd", &[&program, "-d", "-f", &file.display().to_string()])?;
        let mut bgpd = Openbgpd { host: host.clone(), socket, process };
        bgpd.await_start()?;
        Ok(bgpd)
    }

    /// Waits until it answers, and has read of its neighbours what they are:
    /// sessions that stand before are of no reflector's clients.
    fn await_start(&mut self) -> Result<()> {
        let lab = self.host.lab().clone();
        lab.wait_until(&format!("OpenBGPD answers on {}", self.host.name()), START, || {
            if let Err(dead) = self.process.check_alive() {
                return Ok(Err(dead));
            }
            self.bgpctl(&["show", "summary"]).map_err(|e| e.to_string())?;
            let log = self.process.log().map_err(|e| e.to_string())?;
            if log.contains("RDE reconfigured") { Ok(Ok(())) } else { Err(log) }
        })?
    }

    /// Output of a `bgpctl` command.
    pub fn bgpctl(&self, words: &[&str]) -> Result<String> {
        let socket = self.socket.display().to_string();
        let argv = [&["bgpctl", "-s", &socket], words].concat();
        Ok(self.host.exec(argv)?.ok()?.stdout)
    }

    /// Answer of a `bgpctl` command with `-j`.
    pub fn json(&self, words: &[&str]) -> Result<Value> {
        let socket = self.socket.display().to_string();
        let argv = [&["bgpctl", "-s", &socket, "-j"], words].concat();
        self.host.exec(argv)?.json()
    }

    /// State of the session with `peer`: `Established` when it is up.
    pub fn session_state(&self, peer: &str) -> Result<String> {
        let answer = self.json(&["show", "neighbor", peer])?;
        Ok(answer["neighbors"][0]["state"].as_str().unwrap_or("no such neighbour").to_owned())
    }

    /// The table of both families.
    pub fn routes(&self) -> Result<Vec<Route>> {
        Ok(table(&self.json(&["show", "rib"])?))
    }
}

/// Reads `show rib`: a list of paths.
fn table(answer: &Value) -> Vec<Route> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let paths = answer["rib"].as_array().into_iter().flatten();
    paths
        .map(|path| Route {
            prefix: text(&path["prefix"]),
            next_hop: text(&path["exit_nexthop"]),
            as_path: text(&path["aspath"]).split_whitespace().filter_map(|asn| asn.parse().ok()).collect(),
            best: path["best"].as_bool().unwrap_or(false),
        })
        .collect()
}
