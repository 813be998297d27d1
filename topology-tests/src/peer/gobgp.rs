//! `GoBGP`: `gobgpd`, read through `gobgp -j`. It has a table and no kernel routes.

use serde_json::Value;

use super::{Route, START, installed, write};
use crate::{Error, Host, Process, Result};

/// Port of `GoBGP`'s API on the loopback of its namespace.
const PORT: &str = "50051";

/// A running `GoBGP`.
#[derive(Debug)]
pub struct Gobgp {
    host: Host,
    argv: Vec<String>,
    process: Process,
}

impl Gobgp {
    /// Starts `GoBGP` on `host` with a configuration in TOML.
    pub fn start(host: &Host, config: &str) -> Result<Gobgp> {
        let program = installed(&["/usr/bin/gobgpd"], "gobgpd")?;
        let file = host.dir("gobgp")?.join("gobgpd.toml");
        write(&file, config)?;
        let (file, api) = (file.display().to_string(), format!("127.0.0.1:{PORT}"));
        let argv = [&program, "-f", &file, "--api-hosts", &api, "--pprof-disable"].map(str::to_owned);
        let process = host.spawn("gobgpd", &argv)?;
        let mut gobgp = Gobgp { host: host.clone(), argv: argv.to_vec(), process };
        gobgp.await_start()?;
        Ok(gobgp)
    }

    /// `kill -9`.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again with the same configuration, as a speaker that has kept
    /// its forwarding (RFC 4724 §4.1). What was announced by command is lost.
    pub fn recover(&mut self) -> Result<()> {
        let argv: Vec<&str> = self.argv.iter().map(String::as_str).chain(["--graceful-restart"]).collect();
        self.process = self.host.spawn("gobgpd", &argv)?;
        self.await_start()
    }

    fn await_start(&mut self) -> Result<()> {
        let lab = self.host.lab().clone();
        lab.wait_until(&format!("GoBGP answers on {}", self.host.name()), START, || {
            if let Err(dead) = self.process.check_alive() {
                return Ok(Err(dead));
            }
            // Before the configuration is read it answers, with no AS.
            let global = self.json(&["global"]).map_err(|e| e.to_string())?;
            if number(&global["asn"]) == 0 { Err(global.to_string()) } else { Ok(Ok(())) }
        })?
    }

    /// Output of a `gobgp` command.
    pub fn gobgp(&self, words: &[&str]) -> Result<String> {
        let argv = [&["gobgp", "-p", PORT], words].concat();
        Ok(self.host.exec(argv)?.ok()?.stdout)
    }

    /// Answer of a `gobgp` command with `-j`.
    pub fn json(&self, words: &[&str]) -> Result<Value> {
        let argv = [&["gobgp", "-p", PORT, "-j"], words].concat();
        self.host.exec(argv)?.json()
    }

    /// Puts a prefix into the global table.
    pub fn announce(&self, prefix: &str) -> Result<()> {
        self.gobgp(&["global", "rib", "add", prefix, "-a", family(prefix)]).map(drop)
    }

    /// `gobgp neighbor -j`.
    pub fn neighbors(&self) -> Result<Value> {
        self.json(&["neighbor"])
    }

    /// State of the session with `peer`: `Established` when it is up.
    pub fn session_state(&self, peer: &str) -> Result<String> {
        // ENUM of the API: 6 is ESTABLISHED; newer versions print the name.
        let neighbor = self.json(&["neighbor", peer])?;
        let state = &neighbor["state"]["session_state"];
        match (state.as_i64(), state.as_str()) {
            (Some(6), _) | (_, Some("ESTABLISHED")) => Ok("Established".into()),
            _ => Ok(state.to_string()),
        }
    }

    /// The global table of both families.
    pub fn rib(&self) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for family in ["ipv4", "ipv6"] {
            let text = self.gobgp(&["-j", "global", "rib", "-a", family])?;
            if text.trim().is_empty() || text.starts_with("Network not in table") {
                continue;
            }
            let answer: Value = serde_json::from_str(&text).map_err(|why| Error::Unreadable {
                what: format!("gobgp global rib -a {family}"),
                why: why.to_string(),
                said: text.chars().take(400).collect(),
            })?;
            routes.extend(table(&answer));
        }
        Ok(routes)
    }
}

/// Reads `global rib -j`: an object from prefix to paths with attributes by type.
fn table(answer: &Value) -> Vec<Route> {
    let prefixes = answer.as_object().into_iter().flatten();
    let paths =
        prefixes.flat_map(|(prefix, paths)| paths.as_array().into_iter().flatten().map(move |p| (prefix, p)));
    paths
        .map(|(prefix, path)| {
            let attribute = |kind: i64| {
                let all = path["attrs"].as_array().into_iter().flatten();
                all.into_iter().find(|a| a["type"].as_i64() == Some(kind)).cloned().unwrap_or(Value::Null)
            };
            // NEXT_HOP (3), or the next hop of MP_REACH_NLRI (14).
            let next_hop =
                [attribute(3), attribute(14)].iter().find_map(|a| a["nexthop"].as_str().map(str::to_owned));
            let segments = attribute(2);
            let asns = segments["as_paths"].as_array().into_iter().flatten();
            let asns =
                asns.flat_map(|s| s["asns"].as_array().into_iter().flatten().cloned().collect::<Vec<_>>());
            Route {
                prefix: prefix.clone(),
                next_hop: next_hop.unwrap_or_default(),
                as_path: asns.map(|a| number(&a)).collect(),
                best: path["best"].as_bool().unwrap_or(true),
            }
        })
        .collect()
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

fn family(prefix: &str) -> &'static str {
    if prefix.contains(':') { "ipv6" } else { "ipv4" }
}
