//! A private network namespace for each test, with a veth pair or two inside.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a helper of tests")]

use std::cell::Cell;
use std::future::Future;
use std::process::Command;
use std::time::Duration;

use kernel::{Fib, FibConfig, FibEvent, FibRoute, Hop, NextHops, NexthopObjects, RouteOwner, Target};
use net::Prefix;
use nix::sched::{CloneFlags, unshare};
use tokio::sync::mpsc::Receiver;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    /// How routes are written in the test of this thread.
    static OBJECTS: Cell<NexthopObjects> = const { Cell::new(NexthopObjects::Auto) };
}

/// How routes are written in the test of this thread.
pub(crate) fn objects() -> NexthopObjects {
    OBJECTS.get()
}

/// True when routes of the test of this thread point at objects.
pub(crate) fn objects_on() -> bool {
    objects() == NexthopObjects::Auto
}

/// Runs a test twice, with nexthop objects and without, each time in a thread
/// with its own network namespace, loopback up. The namespace ends with the
/// thread and what it started.
pub(crate) fn in_namespace<F: Future<Output = ()>>(test: impl Fn() -> F + Clone + Send + 'static) {
    for objects in [NexthopObjects::Auto, NexthopObjects::Off] {
        in_one(objects, test.clone());
    }
}

/// Runs a test once, in a namespace of its own.
pub(crate) fn in_one<F: Future<Output = ()>>(
    objects: NexthopObjects,
    test: impl FnOnce() -> F + Send + 'static,
) {
    let body = move || {
        OBJECTS.set(objects);
        unshare(CloneFlags::CLONE_NEWNET).expect("tests of the kernel need root");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    };
    if let Err(panic) = std::thread::spawn(body).join() {
        eprintln!("nexthop objects: {objects:?}");
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
    carrier("v0");
    nix::net::if_::if_nametoindex("v0").unwrap()
}

/// Waits until a link carries packets: the kernel sees to that in its own time.
pub(crate) fn carrier(link: &str) {
    let started = std::time::Instant::now();
    while !ip(&format!("link show {link}")).contains("state UP") {
        assert!(started.elapsed() < PATIENCE, "{link} has no carrier");
    }
}

pub(crate) fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn via(gateway: &str, interface: u32) -> FibRoute {
    let target = Target::from(Hop::via(gateway.parse().unwrap(), interface));
    FibRoute::new(RouteOwner::Bgp, target)
}

pub(crate) fn multipath(hops: &[(&str, u16)], interface: u32) -> FibRoute {
    let hop = |(gateway, weight): &(&str, u16)| Hop {
        weight: *weight,
        ..Hop::via(gateway.parse().unwrap(), interface)
    };
    let hops = NextHops::new(hops.iter().map(hop).collect()).unwrap();
    FibRoute::new(RouteOwner::Bgp, Target::Via(hops))
}

pub(crate) fn to(target: Target) -> FibRoute {
    FibRoute::new(RouteOwner::Own, target)
}

/// A writer and its events, from which the adoption is already taken.
pub(crate) struct Rig {
    pub(crate) fib: Fib,
    pub(crate) events: Receiver<FibEvent>,
    pub(crate) adopted: usize,
}

impl Rig {
    pub(crate) async fn start(config: FibConfig) -> Self {
        let config = FibConfig { nexthop_objects: OBJECTS.get(), ..config };
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

    /// Waits until this is what became of a prefix.
    pub(crate) async fn until(&mut self, prefix: &str, expected: Result<kernel::Done, kernel::Refusal>) {
        let asked = async {
            while self.result(prefix).await != expected {
                tokio::task::yield_now().await;
            }
        };
        soon(asked).await;
    }

    /// What became of a prefix.
    pub(crate) async fn result(&mut self, prefix: &str) -> Result<kernel::Done, kernel::Refusal> {
        soon(self.fib.ask(p(prefix))).await.unwrap()
    }
}

/// Waits, but not for ever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// Lines of `ip route show` for both families in the main table, without the
/// routes that the kernel made, and without the ids of nexthop objects.
pub(crate) fn routes() -> Vec<String> {
    let text = ip("-4 route show") + &ip("-6 route show");
    text.lines().filter(|line| !line.contains("proto kernel")).map(plain).collect()
}

/// The single line of `ip route show` for a prefix, without the id of an object.
pub(crate) fn route(prefix: &str) -> String {
    let family = if prefix.contains(':') { "-6" } else { "-4" };
    plain(&ip(&format!("{family} route show exact {prefix}")))
}

/// A line of `ip route show` without the id of an object.
pub(crate) fn plain(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text.split_whitespace();
    while let Some(word) = rest.next() {
        if word == "nhid" {
            rest.next();
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}
