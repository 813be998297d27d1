//! `ExaBGP`: speaks BGP and hands what it hears to a program, here `cat`, whose
//! lines of JSON are read back. It has neither table nor kernel routes.
//!
//! Version 4.2 fails when it has to mark a refresh (RFC 7313) and ends the
//! session: switch `enhanced_refresh` off before asking it for one. It tells no
//! program that it was asked, but does tell of the updates that are its answer.

use std::path::PathBuf;

use serde_json::Value;

use super::{Route, installed, write};
use crate::{Error, Host, Process, Result};

/// A running `ExaBGP`, which dials.
#[derive(Debug)]
pub struct Exabgp {
    host: Host,
    heard: PathBuf,
    argv: Vec<String>,
    process: Process,
}

impl Exabgp {
    /// Starts `ExaBGP` on `host` with this inside each of the `neighbors`,
    /// which are addresses.
    pub fn start(host: &Host, neighbors: &[(String, String)]) -> Result<Exabgp> {
        let program = installed(&["/usr/sbin/exabgp", "/usr/bin/exabgp"], "exabgp")?;
        let dir = host.dir("exabgp")?;
        let (file, heard) = (dir.join("exabgp.conf"), dir.join("heard"));
        let sections = neighbors.iter().map(|(address, inside)| {
            format!(
                "neighbor {address} {{\n router-id {};\n hold-time 90;\n{inside}\n \
                 api {{ processes [ log ]; neighbor-changes; receive {{ parsed; update; notification; }} \
                 send {{ parsed; update; }} }}\n}}\n",
                host.ipv4()
            )
        });
        // Not `exec`: a helper that closes its output counts as dead.
        let script = dir.join("log.sh");
        write(&script, &format!("#!/bin/sh\ncat >> {}\n", heard.display()))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).map_err(Error::file(&script))?;
        let text = format!(
            "process log {{ run {}; encoder json; }}\n{}",
            script.display(),
            sections.collect::<Vec<_>>().concat()
        );
        write(&file, &text)?;
        write(&heard, "")?;
        let settings = [
            "exabgp.daemon.user=root",
            "exabgp.api.cli=false",
            "exabgp.api.ack=false",
            "exabgp.log.destination=stderr",
        ];
        let file = file.display().to_string();
        let argv = [&["env"], &settings[..], &[&program, &file]].concat();
        let argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
        let process = host.spawn("exabgp", &argv)?;
        Ok(Exabgp { host: host.clone(), heard, argv, process })
    }

    /// `kill -9`.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again with the same configuration; what it has heard before stays.
    pub fn restart(&mut self) -> Result<()> {
        self.process = self.host.spawn("exabgp", &self.argv)?;
        Ok(())
    }

    /// Everything that it has heard and done, in order.
    pub fn events(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(&self.heard).map_err(Error::file(&self.heard))?;
        // The last line may be half written.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The last state that it has told of the session with `peer`: `up` when
    /// it stands.
    pub fn session_state(&self, peer: &str) -> Result<String> {
        let events = self.events()?;
        let of_peer = events.iter().filter(|event| event["neighbor"]["address"]["peer"] == peer);
        let last = of_peer.filter_map(|event| event["neighbor"]["state"].as_str()).next_back();
        Ok(last.unwrap_or("never seen").to_owned())
    }

    /// How many sessions with `peer` it has seen.
    pub fn sessions(&self, peer: &str) -> Result<usize> {
        let events = self.events()?;
        let up = |event: &&Value| {
            event["neighbor"]["address"]["peer"] == peer && event["neighbor"]["state"] == "up"
        };
        Ok(events.iter().filter(up).count())
    }

    /// What it has been told and not been told to forget.
    pub fn routes(&self) -> Result<Vec<Route>> {
        Ok(told(&self.events()?))
    }

    /// The attributes of the last update that announces `prefix`.
    pub fn attributes(&self, prefix: &str) -> Result<Value> {
        let events = self.events()?;
        let announces = |event: &&Value| told(&[(*event).clone()]).iter().any(|route| route.prefix == prefix);
        let last = events.iter().rev().find(announces);
        Ok(last.map_or(Value::Null, |event| event["neighbor"]["message"]["update"]["attribute"].clone()))
    }

    /// True as long as it runs.
    pub fn alive(&mut self) -> bool {
        self.process.check_alive().is_ok()
    }
}

/// What updates, one after the other, leave standing.
fn told(events: &[Value]) -> Vec<Route> {
    let mut routes: Vec<((String, String), Route)> = Vec::new();
    let heard = events.iter().filter(|event| event["neighbor"]["direction"] == "receive");
    for update in heard.map(|event| &event["neighbor"]["message"]["update"]) {
        for (_, list) in update["withdraw"].as_object().into_iter().flatten() {
            let gone = paths(list);
            routes.retain(|(path, _)| !gone.contains(path));
        }
        let path = update["attribute"]["as-path"].as_array().into_iter().flatten();
        let as_path: Vec<u32> =
            path.filter_map(|asn| asn.as_u64().and_then(|asn| u32::try_from(asn).ok())).collect();
        for (_, by_next_hop) in update["announce"].as_object().into_iter().flatten() {
            for (next_hop, list) in by_next_hop.as_object().into_iter().flatten() {
                for path in paths(list) {
                    routes.retain(|(other, _)| *other != path);
                    let (prefix, next_hop, as_path) = (path.0.clone(), next_hop.clone(), as_path.clone());
                    routes.push((path, Route { prefix, next_hop, as_path, best: true }));
                }
            }
        }
    }
    routes.into_iter().map(|(_, route)| route).collect()
}

/// The prefixes of a list, each with the identifier of its path where it has one.
fn paths(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|one| Some((text(&one["nlri"])?, text(&one["path-information"]).unwrap_or_default())))
        .collect()
}
