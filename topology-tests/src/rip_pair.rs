//! What the RIP scenarios share: one routed, one other router on its LAN.

use std::time::Duration;

use serde_json::Value;

use crate::{
    Container, Error, Host, Lab, Result,
    cluster::{POOLS, has_routes_of, lacks_route_of},
    pair::{THEIR_4, THEIR_6},
    peer::{RipRoute, Routed},
    zero::{RIP, RIPNG},
};

/// Patience with two daemons that find each other.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Timers of the scenarios in which something has to time out.
pub const QUICK: &str = "update = 2\ntimeout = 6\ngarbage = 3";

/// A host for routed with one container, and a place for another router.
#[derive(Debug)]
pub struct RipPair {
    /// Our daemon.
    pub routed: Routed,
    /// The host it runs on.
    pub ours: Host,
    /// The host of the other router, which the scenario starts.
    pub theirs: Host,
    /// The lab of both.
    pub lab: Lab,
    /// Gives our bridge its carrier.
    _container: Container,
}

impl RipPair {
    /// Starts routed with `rip` as its section `[rip]`, and what follows it.
    pub fn start(name: &str, rip: &str) -> Result<RipPair> {
        let lab = Lab::new(name)?;
        let (ours, theirs) = (lab.host("n1")?, lab.router("peer")?);
        let container = ours.container("c1")?;
        let routed = Routed::start(&ours, &config(rip))?;
        Ok(RipPair { routed, ours, theirs, lab, _container: container })
    }

    /// Writes a key into a file that `[rip]` can name; gives the path.
    pub fn key_file(text: &str) -> Result<(tempfile::TempDir, String)> {
        let dir = tempfile::tempdir().map_err(Error::io("make a directory"))?;
        let key = dir.path().join("rip.key");
        std::fs::write(&key, text).map_err(Error::file(&key))?;
        Ok((dir, key.display().to_string()))
    }

    /// Waits until `read` shows our two prefixes with our addresses as next
    /// hops and this metric.
    pub fn they_have_ours(&self, metric: u8, read: impl Fn() -> Result<Vec<RipRoute>>) -> Result<()> {
        let wanted = [
            RipRoute { prefix: self.ours.subnet4(), next_hop: self.ours.ipv4().to_string(), metric },
            RipRoute { prefix: self.ours.subnet6(), next_hop: self.ours.link_local()?, metric },
        ];
        self.lab.wait_until("the peer has our prefixes", LIMIT, || {
            let routes = read().map_err(|e| e.to_string())?;
            let missing = wanted.iter().find(|wanted| !routes.contains(wanted));
            missing.map_or(Ok(()), |missing| Err(format!("no {missing:?} in {routes:?}")))
        })
    }

    /// Waits until the peer has no route to `prefix`.
    pub fn they_lack(&self, prefix: &str, read: impl Fn() -> Result<Vec<RipRoute>>) -> Result<()> {
        self.lab.wait_until(&format!("the peer has no {prefix}"), LIMIT, || {
            let routes = read().map_err(|e| e.to_string())?;
            let found = routes.iter().find(|route| route.prefix == prefix && route.metric < 16);
            found.map_or(Ok(()), |found| Err(format!("{found:?}")))
        })
    }

    /// Waits until kernel and `routectl` have their two prefixes, each by the
    /// protocol of its family, with this metric.
    pub fn we_have_theirs(&self, metric: u8) -> Result<()> {
        for (prefix, number, protocol) in [(THEIR_4, RIP, "rip"), (THEIR_6, RIPNG, "ripng")] {
            self.we_have(prefix, number)?;
            let what = format!("routectl has {prefix} by {protocol} with metric {metric}");
            self.lab.wait_until(&what, LIMIT, || {
                let routes = self.routed.routectl_json(["routes", prefix]).map_err(|e| e.to_string())?;
                let mut found = routes.as_array().into_iter().flatten();
                let meets = |route: &Value| route["protocol"] == protocol && route["metric"] == metric;
                if found.any(meets) { Ok(()) } else { Err(routes.to_string()) }
            })?;
        }
        Ok(())
    }

    /// Waits until our kernel has a route of that protocol.
    pub fn we_have(&self, prefix: &str, number: &str) -> Result<()> {
        let wanted = [prefix.to_owned()];
        let what = format!("our kernel has {prefix} by protocol {number}");
        self.lab.wait_until(&what, LIMIT, || has_routes_of(&self.ours, number, &wanted))
    }

    /// Waits until our kernel has no route of that protocol.
    pub fn we_lack(&self, prefix: &str, number: &str) -> Result<()> {
        let what = format!("our kernel has no {prefix} by protocol {number}");
        self.lab.wait_until(&what, LIMIT, || lacks_route_of(&self.ours, number, prefix))
    }

    /// Waits until `holds` is true of the neighbour in `routectl rip neighbors`.
    pub fn await_neighbor(&self, address: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        self.lab.wait_until(&format!("neighbour {address}: {what}"), LIMIT, || {
            let all = self.routed.routectl_json(["rip", "neighbors"]).map_err(|e| e.to_string())?;
            let found = all.as_array().into_iter().flatten().find(|near| near["address"] == address);
            found.filter(|near| holds(near)).cloned().ok_or_else(|| all.to_string())
        })
    }
}

/// A configuration with `docker0` and this section `[rip]`.
pub fn config(rip: &str) -> String {
    format!(
        "[cluster]\npools = {POOLS}\nnat_outgoing = false\n\n[[advertise]]\ninterface = \"docker0\"\n\n[rip]\n{rip}\n"
    )
}
