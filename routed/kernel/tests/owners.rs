//! Routes of other owners survive; what an earlier run left is adopted.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io::Write;

use common::*;
use kernel::watch::{self, WatchConfig};
use kernel::{Command, Done, Fib, FibConfig, FibEvent, KernelEvent, Refusal, RouteOwner, Target};

/// The two families side by side: prefix, gateways, how ip(8) shows the rest.
const FAMILIES: [(&str, &str, &str, &str); 2] = [
    ("10.1.0.0/16", "10.0.0.2", "10.0.0.3", ""),
    ("fd01::/48", "fd00::2", "fd00::3", " metric 1024 pref medium"),
];

/// Feeds the writer with what the watcher hears, as the daemon does.
async fn watch_for(fib: &Fib) -> tokio::task::JoinHandle<()> {
    let config = WatchConfig { own_port: Some(fib.port()), ..WatchConfig::default() };
    let (snapshot, mut events) = watch::start(config).await.unwrap();
    let fib = fib.clone();
    for event in &snapshot {
        fib.heard(event).await.unwrap();
    }
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if fib.heard(&event).await.is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_foreign_route_survives_add_update_and_delete_of_ours() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        for (prefix, a, b, rest) in FAMILIES {
            ip(&format!("route add {prefix} via {a} dev v0 proto 77"));
            let foreign = format!("{prefix} via {a} dev v0 proto 77{rest}");
            rig.set(vec![(prefix, Some(via(b, v0)))]).await;
            assert_eq!(route(prefix), foreign, "after our add");
            assert_eq!(rig.result(prefix).await, Err(Refusal::Foreign { protocol: 77 }));
            rig.set(vec![(prefix, Some(to(Target::Blackhole)))]).await;
            assert_eq!(route(prefix), foreign, "after our update");
            assert_eq!(rig.result(prefix).await, Err(Refusal::Foreign { protocol: 77 }));
            rig.set(vec![(prefix, None)]).await;
            assert_eq!(route(prefix), foreign, "after our delete");
            assert_eq!(rig.result(prefix).await, Ok(Done::Removed));
        }
        assert_eq!(rig.fib.stats().await.unwrap().refused, 0);
    });
}

#[test]
fn a_connected_route_survives() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        rig.set(vec![("10.0.0.0/24", Some(via("10.0.0.2", v0)))]).await;
        assert_eq!(rig.result("10.0.0.0/24").await, Err(Refusal::Foreign { protocol: 2 }));
        assert_eq!(route("10.0.0.0/24"), "10.0.0.0/24 dev v0 proto kernel scope link src 10.0.0.1");
    });
}

#[test]
fn when_the_foreign_route_goes_ours_is_installed() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        let watcher = watch_for(&rig.fib).await;
        for (prefix, a, b, rest) in FAMILIES {
            ip(&format!("route add {prefix} via {a} dev v0 proto static"));
            rig.set(vec![(prefix, Some(via(b, v0)))]).await;
            let told = |refusal: Option<Refusal>| {
                let told = FibEvent::Refused(vec![(p(prefix), refusal)]);
                move |event| (event == told).then_some(())
            };
            rig.event(told(Some(Refusal::Foreign { protocol: 4 }))).await;
            ip(&format!("route del {prefix} via {a} dev v0 proto static"));
            rig.event(told(None)).await;
            assert_eq!(rig.result(prefix).await, Ok(Done::Installed));
            assert_eq!(route(prefix), format!("{prefix} via {b} dev v0 proto bgp{rest}"));
        }
        watcher.abort();
    });
}

#[test]
fn a_foreign_replace_of_our_route_is_respected() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        let watcher = watch_for(&rig.fib).await;
        for (prefix, a, b, rest) in FAMILIES {
            rig.set(vec![(prefix, Some(via(a, v0)))]).await;
            rig.until(prefix, Ok(Done::Installed)).await;
            ip(&format!("route replace {prefix} via {b} dev v0 proto static"));
            rig.until(prefix, Err(Refusal::Foreign { protocol: 4 })).await;
            rig.set(vec![(prefix, Some(to(Target::Blackhole)))]).await;
            assert_eq!(route(prefix), format!("{prefix} via {b} dev v0 proto static{rest}"));
        }
        watcher.abort();
    });
}

#[test]
fn a_foreign_route_before_ours_makes_ours_yield() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        let watcher = watch_for(&rig.fib).await;
        rig.set(vec![("10.1.0.0/16", Some(via("10.0.0.2", v0)))]).await;
        rig.until("10.1.0.0/16", Ok(Done::Installed)).await;
        ip("route prepend 10.1.0.0/16 via 10.0.0.3 dev v0 proto static");
        rig.until("10.1.0.0/16", Err(Refusal::Foreign { protocol: 4 })).await;
        rig.set(vec![("10.1.0.0/16", Some(to(Target::Blackhole)))]).await;
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 10.0.0.3 dev v0 proto static");
        watcher.abort();
    });
}

#[test]
fn other_metrics_tables_and_protocols_are_not_ours_to_touch() {
    in_namespace(|| async {
        let v0 = veth();
        ip("route add 10.1.0.0/16 via 10.0.0.2 dev v0 proto 77 metric 5");
        ip("route add 10.1.0.0/16 via 10.0.0.2 dev v0 proto bgp table 1000");
        ip("-6 route add fd01::/48 via fd00::2 dev v0 proto ra metric 5");
        let mut rig = Rig::start(FibConfig::default()).await;
        assert_eq!(rig.adopted, 0);
        rig.set(vec![("10.1.0.0/16", Some(via("10.0.0.3", v0))), ("fd01::/48", Some(via("fd00::3", v0)))])
            .await;
        assert_eq!(rig.result("10.1.0.0/16").await, Ok(Done::Installed));
        rig.set(vec![("10.1.0.0/16", None), ("fd01::/48", None)]).await;
        rig.fib.send(Command::Sweep).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 10.0.0.2 dev v0 proto 77 metric 5");
        assert_eq!(route("fd01::/48"), "fd01::/48 via fd00::2 dev v0 proto ra metric 5 pref medium");
        assert!(ip("route show table 1000").contains("10.1.0.0/16 via 10.0.0.2 dev v0 proto bgp"));
    });
}

#[test]
fn an_earlier_run_is_adopted_and_swept() {
    in_namespace(|| async {
        let v0 = veth();
        {
            let mut first = Rig::start(FibConfig::default()).await;
            first
                .set(vec![
                    ("10.1.0.0/16", Some(via("10.0.0.2", v0))),
                    ("10.2.0.0/16", Some(multipath(&[("10.0.0.2", 1), ("10.0.0.3", 4)], v0))),
                    ("10.3.0.0/16", Some(to(Target::Blackhole))),
                    ("fd01::/48", Some(via("fd00::2", v0))),
                    ("fd02::/48", Some(multipath(&[("fd00::2", 1), ("fd00::3", 4)], v0))),
                    ("fd03::/48", Some(to(Target::Unreachable))),
                    ("10.4.0.0/16", Some(via("10.0.0.2", v0))),
                    ("fd04::/48", Some(via("fd00::2", v0))),
                ])
                .await;
            first.fib.send(Command::Shutdown).await.unwrap();
            while soon(first.events.recv()).await.is_some() {}
        }
        ip("route add 10.5.0.0/16 via 10.0.0.2 dev v0 proto bgp metric 77");
        ip("route add 10.6.0.0/16 via 10.0.0.2 dev v0 proto 77");
        let mut rig = Rig::start(FibConfig::default()).await;
        assert_eq!(rig.adopted, 9);
        rig.set(vec![
            ("10.1.0.0/16", Some(via("10.0.0.2", v0))),
            ("10.2.0.0/16", Some(multipath(&[("10.0.0.3", 4), ("10.0.0.2", 1)], v0))),
            ("10.3.0.0/16", Some(to(Target::Blackhole))),
            ("fd01::/48", Some(via("fd00::2", 0))),
            ("fd02::/48", Some(multipath(&[("fd00::2", 1), ("fd00::3", 4)], v0))),
            ("fd03::/48", Some(to(Target::Unreachable))),
        ])
        .await;
        let stats = rig.fib.stats().await.unwrap();
        assert_eq!((stats.written, stats.stale), (0, 3), "equal routes cost nothing");
        assert_eq!(rig.result("fd02::/48").await, Ok(Done::Installed));
        assert!(route("10.4.0.0/16").contains("proto bgp"), "stale routes stay until the sweep");
        // A resync does not sweep either.
        rig.fib.send(Command::Resync).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert!(route("fd04::/48").contains("proto bgp"));

        rig.fib.send(Command::Sweep).await.unwrap();
        rig.fib.flush().await.unwrap();
        let swept = rig.event(|event| if let FibEvent::Swept(n) = event { Some(n) } else { None }).await;
        assert_eq!(swept, 3);
        for gone in ["10.4.0.0/16", "fd04::/48", "10.5.0.0/16"] {
            assert_eq!(route(gone), "");
        }
        assert!(route("10.6.0.0/16").contains("proto 77"));
        assert_eq!(rig.fib.stats().await.unwrap().installed, 6);
    });
}

#[test]
fn an_adopted_route_is_replaced_in_place() {
    in_namespace(|| async {
        let v0 = veth();
        ip("route add 10.1.0.0/16 via 10.0.0.2 dev v0 proto rip src 10.0.0.1");
        let rig = Rig::start(FibConfig::default()).await;
        assert_eq!(rig.adopted, 1);
        let (_, mut heard) = watch::start(WatchConfig::default()).await.unwrap();
        rig.set(vec![("10.1.0.0/16", Some(via("10.0.0.2", v0)))]).await;
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 10.0.0.2 dev v0 proto bgp");
        // In place: the kernel tells of the new route, never of a going one.
        let mut event = soon(heard.recv()).await.unwrap();
        while let KernelEvent::NextHop(_) = event {
            event = soon(heard.recv()).await.unwrap();
        }
        let KernelEvent::Route { protocol, gone, .. } = event else { panic!("{event:?}") };
        assert_eq!((protocol, gone), (RouteOwner::Bgp.protocol(), false));
        assert!(heard.try_recv().is_err());
    });
}

#[test]
fn a_deleted_route_is_put_back() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        let watcher = watch_for(&rig.fib).await;
        for (prefix, a, _, rest) in FAMILIES {
            rig.set(vec![(prefix, Some(via(a, v0)))]).await;
            assert_eq!(rig.result(prefix).await, Ok(Done::Installed));
            ip(&format!("route del {prefix}"));
            let repaired =
                rig.event(|event| if let FibEvent::Repaired(n) = event { Some(n) } else { None }).await;
            assert_eq!(repaired, 1);
            assert_eq!(route(prefix), format!("{prefix} via {a} dev v0 proto bgp{rest}"));
        }
        assert_eq!(rig.fib.stats().await.unwrap().repaired, 2);
        watcher.abort();
    });
}

#[test]
fn a_deleted_route_that_is_updated_unheard_is_put_in() {
    in_namespace(|| async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        for (prefix, a, b, rest) in FAMILIES {
            rig.set(vec![(prefix, Some(via(a, v0)))]).await;
            ip(&format!("route del {prefix}"));
            rig.set(vec![(prefix, Some(via(b, v0)))]).await;
            assert_eq!(route(prefix), format!("{prefix} via {b} dev v0 proto bgp{rest}"));
            ip(&format!("route del {prefix}"));
            rig.set(vec![(prefix, None)]).await;
            assert_eq!(route(prefix), "");
        }
    });
}

#[test]
fn a_route_that_is_looked_at_again_and_unwanted_at_once_goes() {
    in_namespace(|| async {
        veth();
        let rig = Rig::start(FibConfig::default()).await;
        for (prefix, ..) in FAMILIES {
            let route = prefix.parse().unwrap();
            rig.set(vec![(prefix, Some(to(Target::Blackhole)))]).await;
            // As when a bridge gets the subnet that was discarded: the kernel's
            // own route appears, and the table no longer wants ours.
            rig.fib.send(Command::Lost(vec![route])).await.unwrap();
            rig.fib.set(vec![(route, None)]).await.unwrap();
            rig.fib.flush().await.unwrap();
            assert_eq!(routes().iter().filter(|line| line.contains(prefix)).count(), 0, "{:?}", routes());
        }
    });
}

#[test]
fn routes_come_back_after_a_link_flap() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        let watcher = watch_for(&rig.fib).await;
        rig.set(vec![
            ("10.1.0.0/16", Some(via("10.0.0.2", v0))),
            ("10.2.0.0/16", Some(multipath(&[("10.0.0.2", 1), ("10.0.0.3", 2)], v0))),
            ("fd01::/48", Some(via("fe80::2", v0))),
            ("10.3.0.0/16", Some(to(Target::Blackhole))),
        ])
        .await;
        ip("link set v0 down");
        assert!(routes().iter().all(|line| !line.contains("v0")), "{:?}", routes());
        ip("link set v0 up");
        let mut repaired = 0;
        while repaired < 3 {
            repaired +=
                rig.event(|event| if let FibEvent::Repaired(n) = event { Some(n) } else { None }).await;
        }
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 10.0.0.2 dev v0 proto bgp");
        assert!(route("10.2.0.0/16").contains("nexthop via 10.0.0.3 dev v0 weight 2"));
        assert!(route("fd01::/48").contains("via fe80::2 dev v0 proto bgp"));
        watcher.abort();
    });
}

#[test]
fn what_nobody_has_looked_at_again_is_not_taken_to_be_there() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        let (prefix, desired) = ("20.0.0.0/24", via("10.0.0.2", v0));
        rig.set(vec![(prefix, Some(desired.clone()))]).await;
        ip("link set v0 down");
        rig.fib.send(Command::Lost(vec![p(prefix)])).await.unwrap();
        assert!(rig.result(prefix).await.is_err(), "the link is down");
        rig.set(vec![(prefix, None), (prefix, Some(desired.clone()))]).await;
        assert!(rig.result(prefix).await.is_err(), "it went with the link");
        rig.set(vec![(prefix, None)]).await;
        assert_eq!(soon(rig.fib.stats()).await.unwrap().installed, 0);
        ip("link set v0 up");
        carrier("v0");
        rig.set(vec![(prefix, Some(desired))]).await;
        assert_eq!(rig.result(prefix).await, Ok(Done::Installed));
        assert_eq!(route(prefix), "20.0.0.0/24 via 10.0.0.2 dev v0 proto bgp");
    });
}

#[test]
fn what_others_delete_while_routed_starts_is_heard() {
    const ROUTES: usize = 6000;
    const GONE: usize = 5000;
    in_namespace(|| async {
        let v0 = veth();
        let prefix = |number: usize| format!("20.{}.{}.0/24", number / 256, number % 256);
        let earlier = Rig::start(FibConfig::default()).await;
        let routes = (0..ROUTES).map(|number| (p(&prefix(number)), Some(via("10.0.0.2", v0)))).collect();
        earlier.fib.set(routes).await.unwrap();
        soon(earlier.fib.flush()).await.unwrap();
        earlier.fib.send(Command::Shutdown).await.unwrap();
        // Another deletes one after the other, from before the start until after it.
        let mut other = std::process::Command::new("ip")
            .args(["-batch", "-"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let deletions: Vec<String> =
            (0..GONE).map(|number| format!("route del {}\n", prefix(number))).collect();
        let mut input = other.stdin.take().unwrap();
        let writes = std::thread::spawn(move || input.write_all(deletions.concat().as_bytes()).unwrap());
        while !route(&prefix(0)).is_empty() {}
        let config = FibConfig { nexthop_objects: objects(), ..FibConfig::default() };
        let started = kernel::start(config, WatchConfig::default()).await.unwrap();
        assert!(!route(&prefix(GONE - 1)).is_empty(), "the other was too fast: it tests nothing");
        let kernel::Started { fib, mut kernel_events, .. } = started;
        while soon(fib.stats()).await.unwrap().stale > ROUTES - GONE {
            fib.heard(&soon(kernel_events.recv()).await.unwrap()).await.unwrap();
        }
        assert!(other.wait().unwrap().success());
        writes.join().unwrap();
        assert_eq!(ip("-4 route show proto bgp").lines().count(), ROUTES - GONE);
        assert_eq!(soon(fib.stats()).await.unwrap().stale, ROUTES - GONE);
    });
}

#[test]
fn what_an_earlier_run_left_goes_with_its_link_too() {
    in_namespace(|| async {
        let v0 = veth();
        let (prefix, desired) = ("20.0.0.0/24", via("10.0.0.2", v0));
        let earlier = Rig::start(FibConfig::default()).await;
        earlier.set(vec![(prefix, Some(desired.clone()))]).await;
        earlier.fib.send(Command::Shutdown).await.unwrap();
        let mut rig = Rig::start(FibConfig::default()).await;
        assert_eq!(rig.adopted, 1);
        ip("link set v0 down");
        rig.fib.send(Command::Link { index: v0, up: false }).await.unwrap();
        ip("link set v0 up");
        carrier("v0");
        rig.fib.send(Command::Link { index: v0, up: true }).await.unwrap();
        rig.set(vec![(prefix, Some(desired))]).await;
        assert_eq!(rig.result(prefix).await, Ok(Done::Installed));
        assert_eq!(route(prefix), "20.0.0.0/24 via 10.0.0.2 dev v0 proto bgp");
    });
}
