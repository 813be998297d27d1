//! A private network namespace for each test, with a veth pair or two inside.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a helper of tests")]

use std::future::Future;
use std::process::Command;
use std::time::Duration;

use kernel::{Fib, FibConfig, FibEvent, FibRoute, Hop, NextHops, RouteOwner, Target};
use net::Prefix;
use nix::sched::{CloneFlags, unshare};
use tokio::sync::mpsc::Receiver;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test in a thread with its own network namespace, loopback up. The
/// namespace ends with the thread and what it started.
pub(crate) fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("tests of the kernel need root");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    };
    if let Err(panic) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs ip(8) in the namespace of the calling thread; gives what it prints.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A veth pair `v0`, `v1`, both up; `v0` has 10.0.0.1/24 and `fd00::1/64`.
pub(crate) fn veth() -> u32 {
    ip("link add v0 type veth peer name v1");
    ip("addr add 10.0.0.1/24 dev v0");
    ip("addr add fd00::1/64 dev v0 nodad");
    ip("link set v0 up");
    ip("link set v1 up");
    nix::net::if_::if_nametoindex("v0").unwrap()
}

pub(crate) fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn via(gateway: &str, interface: u32) -> FibRoute {
    let target = Target::from(Hop::via(gateway.parse().unwrap(), interface));
    FibRoute { owner: RouteOwner::Bgp, target }
}

pub(crate) fn multipath(hops: &[(&str, u8)], interface: u32) -> FibRoute {
    let hop = |(gateway, weight): &(&str, u8)| Hop {
        weight: *weight,
        ..Hop::via(gateway.parse().unwrap(), interface)
    };
    let hops = NextHops::new(hops.iter().map(hop).collect()).unwrap();
    FibRoute { owner: RouteOwner::Bgp, target: Target::Via(hops) }
}

pub(crate) fn to(target: Target) -> FibRoute {
    FibRoute { owner: RouteOwner::Own, target }
}

/// A writer and its events, from which the adoption is already taken.
pub(crate) struct Rig {
    pub(crate) fib: Fib,
    pub(crate) events: Receiver<FibEvent>,
    pub(crate) adopted: usize,
}

impl Rig {
    pub(crate) async fn start(config: FibConfig) -> Self {
        let (fib, mut events) = Fib::start(config).unwrap();
        let Some(FibEvent::Adopted(adopted)) = soon(events.recv()).await else {
            panic!("adoption is told first");
        };
        Self { fib, events, adopted }
    }

    /// Sets routes and waits until they are written.
    pub(crate) async fn set(&self, routes: Vec<(&str, Option<FibRoute>)>) {
        let routes = routes.into_iter().map(|(prefix, route)| (p(prefix), route)).collect();
        self.fib.set(routes).await.unwrap();
        soon(self.fib.flush()).await.unwrap();
    }

    /// The next event that the closure makes something of.
    pub(crate) async fn event<T>(&mut self, mut pick: impl FnMut(FibEvent) -> Option<T>) -> T {
        soon(async {
            loop {
                let event = self.events.recv().await.expect("the writer runs");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        })
        .await
    }

    /// Waits for this result of a prefix, past earlier ones.
    pub(crate) async fn until(&mut self, prefix: &str, expected: Result<kernel::Done, kernel::Refusal>) {
        while self.result(prefix).await != expected {}
    }

    /// The next result for a prefix.
    pub(crate) async fn result(&mut self, prefix: &str) -> Result<kernel::Done, kernel::Refusal> {
        let prefix = p(prefix);
        self.event(|event| match event {
            FibEvent::Results(results) => {
                results.into_iter().find(|(of, _)| *of == prefix).map(|(_, result)| result)
            }
            _ => None,
        })
        .await
    }
}

/// Waits, but not for ever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// Lines of `ip route show` for both families in the main table, without the
/// routes that the kernel made.
pub(crate) fn routes() -> Vec<String> {
    let text = ip("-4 route show") + &ip("-6 route show");
    let lines = text.lines().filter(|line| !line.contains("proto kernel"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The single line of `ip route show` for a prefix.
pub(crate) fn route(prefix: &str) -> String {
    let family = if prefix.contains(':') { "-6" } else { "-4" };
    let text = ip(&format!("{family} route show exact {prefix}"));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
