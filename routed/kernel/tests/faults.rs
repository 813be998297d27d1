//! Whatever happens, the kernel ends with the routes that are desired: random
//! changes among random faults, in both ways of writing routes.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use kernel::watch::{self, WatchConfig};
use kernel::{Alarm, Command, FibConfig, FibRoute, Hop, NextHops, RouteOwner, Target};

/// Prefixes that change.
const PREFIXES: u32 = 120;
/// Steps of one run.
const STEPS: u32 = 40;
/// Runs, each with other numbers.
const RUNS: u64 = 6;

/// The same numbers for the same seed.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn prefix(n: u32) -> String {
    if n.is_multiple_of(3) { format!("fd01:{:x}::/48", n + 1) } else { format!("20.0.{n}.0/24") }
}

/// Runs ip(8) on something that may have gone meanwhile.
fn perhaps(arguments: &str) {
    let _ = std::process::Command::new("ip").args(arguments.split(' ')).output().unwrap();
}

/// Some route for a prefix, and what `ip route` is to show of it.
fn some_route(random: &mut Random, v6: bool, links: [u32; 2]) -> (FibRoute, BTreeSet<String>) {
    let names = ["v0", "v2"];
    let subnets = if v6 { ["fd00::", "fd00:2::"] } else { ["10.0.0.", "10.0.2."] };
    let via = |random: &mut Random| {
        let (link, host) = (random.below(2) as usize, 2 + random.below(3));
        let gateway = format!("{}{host}", subnets[link]);
        let shown = format!("{gateway} {}", names[link]);
        (Hop::via(gateway.parse().unwrap(), links[link]), shown)
    };
    let owner = RouteOwner::ALL[random.below(4) as usize];
    let source = random.below(3);
    let (mut first, shown) = via(random);
    let (mut second, other) = via(random);
    let mut expected = BTreeSet::from([shown]);
    let mut route = FibRoute { source, ..FibRoute::new(owner, Target::from(first)) };
    match random.below(5) {
        0 if first != second => {
            // The last is more than a group takes on every kernel.
            let mut weight = || [1, 3, 255, 256][random.below(4) as usize];
            (first.weight, second.weight) = (weight(), weight());
            let weighed = |shown, hop: Hop| format!("{shown} {}", hop.weight);
            expected =
                BTreeSet::from([weighed(expected.pop_first().unwrap(), first), weighed(other, second)]);
            route.target = Target::Via(NextHops::new(vec![first, second]).unwrap());
        }
        1 if objects_on() && first != second => {
            route.backup = Some(NextHops::one(second));
            // The first takes all while it is there.
            expected =
                BTreeSet::from([format!("{} 255", expected.pop_first().unwrap()), format!("{other} 1")]);
        }
        1 => route.backup = Some(NextHops::one(second)),
        2 => return (FibRoute::new(owner, Target::Blackhole), BTreeSet::from(["blackhole".to_owned()])),
        _ => {}
    }
    (route, expected)
}

/// What `ip route` shows for each prefix of ours.
fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in (ip("-4 route show") + &ip("-6 route show")).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at =
            |word: &str| words.iter().position(|other| *other == word).map(|at| words[at + 1].to_owned());
        let ours = ["bgp", "rip", "ripng", "179", "190"].contains(&at("proto").unwrap_or_default().as_str());
        if words[0] == "blackhole" && ours {
            shown.entry(words[1].to_owned()).or_default().insert("blackhole".to_owned());
        } else if words[0] != "nexthop" {
            current = if ours { words[0].to_owned() } else { String::new() };
            if ours {
                shown.entry(current.clone()).or_default();
            }
        }
        if let (Some(via), Some(dev)) = (at("via"), at("dev"))
            && !current.is_empty()
        {
            let weight = at("weight").map(|weight| format!(" {weight}")).unwrap_or_default();
            shown.entry(current.clone()).or_default().insert(format!("{via} {dev}{weight}"));
        }
    }
    shown
}

/// What is desired, and how `ip route` shows it.
type Desired = BTreeMap<String, (FibRoute, BTreeSet<String>)>;

/// The namespace, the writer and what is desired of it.
struct World {
    random: Random,
    links: [u32; 2],
    rig: Rig,
    watcher: tokio::task::JoinHandle<()>,
    desired: Desired,
    buffer: usize,
}

impl World {
    async fn new(seed: u64) -> Self {
        let v0 = veth();
        ip("link add v2 type veth peer name v3");
        ip("addr add 10.0.2.1/24 dev v2");
        ip("addr add fd00:2::1/64 dev v2 nodad");
        ip("link set v2 up");
        ip("link set v3 up");
        carrier("v2");
        let v2 = nix::net::if_::if_nametoindex("v2").unwrap();
        // Half of the runs overrun.
        let buffer = if seed.is_multiple_of(2) { 1 } else { 4 << 20 };
        let (rig, watcher) = Self::start(buffer).await;
        Self { random: Random(seed), links: [v0, v2], rig, watcher, desired: Desired::new(), buffer }
    }

    async fn start(buffer: usize) -> (Rig, tokio::task::JoinHandle<()>) {
        let rig = Rig::start(FibConfig { receive_buffer: buffer, ..FibConfig::default() }).await;
        let config = WatchConfig { own_port: Some(rig.fib.port()), ..WatchConfig::default() };
        let (snapshot, mut events) = watch::start(config).await.unwrap();
        for event in &snapshot {
            rig.fib.heard(event).await.unwrap();
        }
        let fib = rig.fib.clone();
        let watcher = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if fib.heard(&event).await.is_err() {
                    return;
                }
            }
        });
        (rig, watcher)
    }

    async fn step(&mut self) {
        let what = self.random.below(10);
        match what {
            0..5 => self.change().await,
            5 => self.delete_some(),
            6 => {
                // One object, or all.
                let ids: Vec<String> = ip("nexthop show")
                    .lines()
                    .map(|line| line.split(' ').nth(1).unwrap().to_owned())
                    .collect();
                if !ids.is_empty() {
                    let id = &ids[self.random.below(u32::try_from(ids.len()).unwrap()) as usize];
                    perhaps(&format!("nexthop del id {id}"));
                }
            }
            7 => {
                let link = ["v0", "v2"][self.random.below(2) as usize];
                ip(&format!("link set {link} down"));
                if self.random.below(2) == 0 {
                    self.change().await;
                }
                ip(&format!("link set {link} up"));
                if link == "v0" {
                    ip("addr replace fd00::1/64 dev v0 nodad");
                } else {
                    ip("addr replace fd00:2::1/64 dev v2 nodad");
                }
            }
            8 => {
                let down = self.random.below(2) as usize;
                let gateway = ["10.0.0.2", "10.0.2.2"][down].parse().unwrap();
                self.rig.fib.alarm(Alarm::HopDown(gateway, self.links[down])).await.unwrap();
            }
            _ => self.killed().await,
        }
    }

    async fn change(&mut self) {
        let mut changes = Vec::new();
        for _ in 0..=self.random.below(PREFIXES) {
            let name = prefix(self.random.below(PREFIXES));
            if self.random.below(4) == 0 {
                self.desired.remove(&name);
                changes.push((p(&name), None));
            } else {
                let (route, shows) = some_route(&mut self.random, name.contains(':'), self.links);
                self.desired.insert(name.clone(), (route.clone(), shows));
                changes.push((p(&name), Some(route)));
            }
        }
        self.rig.fib.set(changes).await.unwrap();
    }

    fn delete_some(&mut self) {
        for name in shown().into_keys().filter(|_| self.random.below(4) == 0) {
            let family = if name.contains(':') { "-6" } else { "-4" };
            perhaps(&format!("{family} route del {name}"));
        }
    }

    /// The daemon ends, what it wrote is there in part, and another begins.
    async fn killed(&mut self) {
        self.watcher.abort();
        self.rig.fib.send(Command::Shutdown).await.unwrap();
        while soon(self.rig.events.recv()).await.is_some() {}
        self.delete_some();
        let (rig, watcher) = Self::start(self.buffer).await;
        (self.rig, self.watcher) = (rig, watcher);
        let all = self.desired.iter().map(|(name, (route, _))| (p(name), Some(route.clone())));
        self.rig.fib.set(all.collect()).await.unwrap();
        self.rig.fib.send(Command::Sweep).await.unwrap();
    }

    /// When all is quiet again the kernel has what is desired.
    async fn check(&mut self, seed: u64) {
        for (gateway, link) in [("10.0.0.2", self.links[0]), ("10.0.2.2", self.links[1])] {
            self.rig.fib.alarm(Alarm::HopUp(gateway.parse().unwrap(), link)).await.unwrap();
        }
        let desired: BTreeMap<String, BTreeSet<String>> =
            self.desired.iter().map(|(name, (_, shows))| (name.clone(), shows.clone())).collect();
        let started = std::time::Instant::now();
        loop {
            soon(self.rig.fib.flush()).await.unwrap();
            let shown = shown();
            let stats = self.rig.fib.stats().await.unwrap();
            if shown == desired
                && stats.installed == desired.len()
                && stats.refused == 0
                && stats.pending == 0
            {
                return;
            }
            if started.elapsed().as_secs() > 10 {
                let wrong: Vec<_> = desired
                    .iter()
                    .filter(|(name, shows)| shown.get(*name) != Some(shows))
                    .map(|(name, shows)| (name, shows, shown.get(name)))
                    .collect();
                let extra: Vec<_> = shown.keys().filter(|name| !desired.contains_key(*name)).collect();
                panic!("seed {seed}: {stats:?}\n{wrong:?}\n{extra:?}\n{}", ip("nexthop show"));
            }
            tokio::task::yield_now().await;
        }
    }
}

#[test]
fn the_kernel_ends_with_what_is_desired() {
    for seed in 0..RUNS {
        in_namespace(move || async move {
            let mut world = World::new(seed).await;
            for _ in 0..STEPS {
                world.step().await;
                if std::env::var("CHECK").is_ok() {
                    world.check(seed).await;
                }
            }
            world.check(seed).await;
            world.watcher.abort();
        });
    }
}
