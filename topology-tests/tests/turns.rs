//! Two nodes of ours that dial each other collide once at most: from then on
//! the one with the lower identifier waits for the other.

use std::time::{Duration, Instant};

use lab::{Error, Host, Lab, Result, cluster, cluster::ASN, pair::LIMIT, peer::Routed};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// How often the session is reset.
const RESETS: usize = 10;
/// From this one on both nodes leave Idle, and would dial, at the same moment.
const FROZEN: usize = 6;
/// Longer than a peer is held in Idle here.
const HOLD: Duration = Duration::from_millis(2500);

struct Scene {
    hosts: [Host; 2],
    routed: Vec<Routed>,
    lab: Lab,
}

impl Scene {
    /// Two nodes that dial each other, with the times that are the default.
    fn start() -> Result<Scene> {
        let lab = Lab::new("turns")?;
        let hosts = [lab.host("n1")?, lab.host("n2")?];
        let start = |number: usize| {
            let peer = format!("\n[[bgp.peer]]\naddress = \"{}\"\nasn = {ASN}\n", hosts[1 - number].ipv4());
            Routed::start(&hosts[number], &(cluster::base_config(&hosts[number], ASN) + &peer))
        };
        let routed = vec![start(0)?, start(1)?];
        Ok(Scene { hosts, routed, lab })
    }

    /// The other as one of them sees it.
    fn peer(&self, number: usize) -> Result<Value> {
        self.routed[number].routectl_json(["peers", &self.hosts[1 - number].ipv4().to_string()])
    }

    /// Waits until both have a session, the `times`-th of the first node.
    fn established(&self, times: u64) -> Result<()> {
        self.lab.wait_until(&format!("session {times} is up"), LIMIT, || {
            for number in [0, 1] {
                let peer = self.peer(number).map_err(|e| e.to_string())?;
                let count = peer["established_count"].as_u64().unwrap_or_default();
                if peer["state"] != "Established" || (number == 0 && count < times) {
                    return Err(peer.to_string());
                }
            }
            Ok(())
        })
    }

    /// Stops both nodes until what holds them in Idle is over, so that they
    /// leave it as one.
    fn freeze(&self) -> Result<()> {
        let names = self.hosts.each_ref().map(|host| host.ipv4().to_string());
        self.lab.wait_until("both are in Idle", LIMIT, || {
            let state = |number: usize| {
                self.routed[number].session_state(&names[1 - number]).map_err(|e| e.to_string())
            };
            let states = (state(0)?, state(1)?);
            if states.0 == "Idle" && states.1 == "Idle" { Ok(()) } else { Err(format!("{states:?}")) }
        })?;
        self.signal(Signal::SIGSTOP)?;
        let begin = Instant::now();
        let over = || if begin.elapsed() > HOLD { Ok(()) } else { Err("not yet".to_owned()) };
        let waited = self.lab.wait_until("the hold is over", LIMIT, over);
        self.signal(Signal::SIGCONT)?;
        waited
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        for pid in self.routed.iter().filter_map(Routed::pid) {
            let pid = Pid::from_raw(pid.cast_signed());
            kill(pid, signal).map_err(|error| Error::Claim(format!("{signal} to {pid}: {error}")))?;
        }
        Ok(())
    }

    /// The connections that were one too many, as both have seen it.
    fn collisions(&self) -> Result<u64> {
        let seen = |number| Ok(self.peer(number)?["collisions"].as_u64().unwrap_or(u64::MAX));
        Ok(seen(0)? + seen(1)?)
    }
}

#[test]
fn nodes_that_have_met_do_not_collide_again() -> Result<()> {
    let mut scene = Scene::start()?;
    scene.established(1)?;
    for number in [0, 1] {
        let peer = scene.peer(number)?;
        let software = peer["software"].as_str().unwrap_or_default();
        assert!(software.starts_with("routed/"), "{peer}");
    }
    let first = scene.collisions()?;
    for round in 0..RESETS {
        let number = round % 2;
        let other = scene.hosts[1 - number].ipv4().to_string();
        scene.routed[number].routectl(["peers", "reset", &other])?.ok()?;
        if round >= FROZEN {
            scene.freeze()?;
        }
        scene.established(round as u64 + 2)?;
    }
    assert_eq!(scene.collisions()?, first, "{}\n{}", scene.peer(0)?, scene.peer(1)?);
    // Neither does the one that comes back from a restart, whose routes are kept.
    let before = scene.peer(0)?["collisions"].clone();
    scene.routed[1].sigterm()?;
    scene.routed[1].restart()?;
    scene.established(RESETS as u64 + 2)?;
    let (lower, higher) = (scene.peer(0)?, scene.peer(1)?);
    assert_eq!((&lower["collisions"], &higher["collisions"]), (&before, &0.into()), "{lower}\n{higher}");
    Ok(())
}
