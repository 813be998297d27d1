//! BIRD 2: `bird -c -s -P`, read through `birdc`.

use std::path::PathBuf;

use super::{RipRoute, Route, START, installed, write};
use crate::{Host, Process, Result};

/// A running BIRD.
#[derive(Debug)]
pub struct Bird {
    host: Host,
    control: PathBuf,
    argv: Vec<String>,
    process: Process,
}

impl Bird {
    /// Starts BIRD on `host`; `router id` is set to the host's address.
    pub fn start(host: &Host, config: &str) -> Result<Bird> {
        let program = installed(&["/usr/sbin/bird", "/sbin/bird"], "bird2")?;
        let dir = host.dir("bird")?;
        let file = dir.join("bird.conf");
        write(&file, &format!("log stderr all;\nrouter id {};\n{config}\n", host.ipv4()))?;
        let (control, pid) = (dir.join("bird.ctl"), dir.join("bird.pid"));
        let paths = [&file, &control, &pid].map(|p| p.display().to_string());
        let argv = [&program, "-f", "-c", &paths[0], "-s", &paths[1], "-P", &paths[2]].map(str::to_owned);
        let process = host.spawn("bird", &argv)?;
        let mut bird = Bird { host: host.clone(), control, argv: argv.to_vec(), process };
        bird.await_start()?;
        Ok(bird)
    }

    /// `kill -9`; the kernel routes stay.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again with the same configuration, as a speaker that has kept
    /// its forwarding (RFC 4724 §4.1).
    pub fn recover(&mut self) -> Result<()> {
        let argv: Vec<&str> = self.argv.iter().map(String::as_str).chain(["-R"]).collect();
        self.process = self.host.spawn("bird", &argv)?;
        self.await_start()
    }

    fn await_start(&mut self) -> Result<()> {
        let lab = self.host.lab().clone();
        lab.wait_until(&format!("BIRD answers on {}", self.host.name()), START, || {
            if let Err(dead) = self.process.check_alive() {
                return Ok(Err(dead));
            }
            self.birdc("show status").map(|_| Ok(())).map_err(|e| e.to_string())
        })?
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has logged.
    pub fn log(&self) -> Result<String> {
        self.process.log()
    }

    /// Output of a `birdc` command that only looks.
    pub fn birdc(&self, command: &str) -> Result<String> {
        self.ask(&["birdc", "-r"], command)
    }

    /// Output of a `birdc` command that may change something.
    pub fn birdc_write(&self, command: &str) -> Result<String> {
        self.ask(&["birdc"], command)
    }

    fn ask(&self, client: &[&str], command: &str) -> Result<String> {
        let control = self.control.display().to_string();
        let argv = client.iter().copied().chain(["-s", &control]).chain(command.split(' '));
        Ok(self.host.exec(argv.collect::<Vec<_>>())?.ok()?.stdout)
    }

    /// State and information of a protocol, as `show protocols` prints them:
    /// `Established` for a BGP session that is up.
    pub fn protocol_state(&self, name: &str) -> Result<String> {
        let text = self.birdc(&format!("show protocols {name}"))?;
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
        // Name Proto Table State Since Info
        Ok(line.unwrap_or_default().split_whitespace().skip(5).collect::<Vec<_>>().join(" "))
    }

    /// The routes that its RIP protocols learned.
    pub fn rip_routes(&self) -> Result<Vec<RipRoute>> {
        Ok(parse_rip(&self.birdc("show route all where source = RTS_RIP")?))
    }

    /// All routes of all tables.
    pub fn routes(&self) -> Result<Vec<Route>> {
        Ok(parse_routes(&self.birdc("show route")?))
    }
}

/// Reads `show route all`: below what `show route` has, `RIP.metric: 2`.
fn parse_rip(text: &str) -> Vec<RipRoute> {
    let value = |name: &str| {
        let lines = text.lines().filter_map(move |line| line.trim().strip_prefix(name));
        lines.map(|value| value.trim_start_matches(':').trim().to_owned()).collect::<Vec<_>>()
    };
    let routes = parse_routes(text).into_iter().zip(value("RIP.metric"));
    routes
        .map(|(route, metric)| RipRoute {
            prefix: route.prefix,
            next_hop: route.next_hop,
            metric: metric.parse().unwrap_or(0),
        })
        .collect()
}

/// Reads `show route`: a line with a prefix, or indented for one more route of
/// the same prefix, then lines that begin with a tab and tell the next hops.
fn parse_routes(text: &str) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with('\t') {
            if let (["via", next_hop, ..], Some(last)) = (words.as_slice(), routes.last_mut()) {
                (*next_hop).clone_into(&mut last.next_hop);
            }
        } else if line.contains('[') && line.contains('(') {
            let first = words.first().copied().unwrap_or_default();
            let again = line.starts_with(' ');
            let before = routes.last().map(|r| r.prefix.clone()).unwrap_or_default();
            let prefix = if again { before } else { first.to_owned() };
            routes.push(Route {
                prefix,
                next_hop: String::new(),
                as_path: origin(&words),
                best: words.contains(&"*"),
            });
        }
    }
    routes
}

/// The origin AS that `[AS65002i]` tells; the short listing has no more of the path.
fn origin(words: &[&str]) -> Vec<u32> {
    let tail = words.last().copied().unwrap_or_default();
    let digits = tail.trim_start_matches("[AS").trim_end_matches(|c: char| !c.is_ascii_digit());
    digits.parse().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_with_next_hop_origin_and_second_best() {
        let text = "BIRD 2.0.12 ready.\nTable master4:\n\
            10.1.0.0/24          unicast [to_frr 12:00:00.000] * (100) [AS65002i]\n\
            \tvia 10.9.0.2 on eth0\n\
            \u{20}                    unicast [to_go 12:00:01.000] (100) [i]\n\
            \tvia 10.9.0.3 on eth0\n\
            192.168.1.0/24       blackhole [s4 12:00:00.000] * (200)\n";
        let route = |prefix: &str, next_hop: &str, as_path: &[u32], best| Route {
            prefix: prefix.into(),
            next_hop: next_hop.into(),
            as_path: as_path.into(),
            best,
        };
        assert_eq!(
            parse_routes(text),
            [
                route("10.1.0.0/24", "10.9.0.2", &[65002], true),
                route("10.1.0.0/24", "10.9.0.3", &[], false),
                route("192.168.1.0/24", "", &[], true),
            ]
        );
    }
}
