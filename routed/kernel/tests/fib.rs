//! The FIB writer against the kernel: what is desired is what `ip route` shows.

mod common;

use common::*;
use kernel::{Command, Done, FibConfig, Hop, RouteOwner, Target};

#[test]
fn routes_are_added_replaced_and_deleted_in_both_families() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        rig.set(vec![("10.1.0.0/16", Some(via("10.0.0.2", v0))), ("fd01::/48", Some(via("fd00::2", v0)))])
            .await;
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 10.0.0.2 dev v0 proto bgp");
        assert_eq!(route("fd01::/48"), "fd01::/48 via fd00::2 dev v0 proto bgp metric 1024 pref medium");
        assert_eq!(rig.result("fd01::/48").await, Ok(Done::Installed));

        rig.set(vec![("10.1.0.0/16", Some(via("10.0.0.3", v0))), ("fd01::/48", Some(via("fd00::3", v0)))])
            .await;
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 10.0.0.3 dev v0 proto bgp");
        assert_eq!(route("fd01::/48"), "fd01::/48 via fd00::3 dev v0 proto bgp metric 1024 pref medium");

        rig.set(vec![("10.1.0.0/16", None), ("fd01::/48", None)]).await;
        assert!(routes().iter().all(|line| !line.contains("proto bgp")), "{:?}", routes());
    });
}

#[test]
fn a_route_changes_its_shape_in_place() {
    in_namespace(|| async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        for (prefix, a, b, c) in [
            ("10.1.0.0/16", "10.0.0.2", "10.0.0.3", "10.0.0.4"),
            ("fd01::/48", "fd00::2", "fd00::3", "fd00::4"),
        ] {
            let shapes = [
                (via(a, v0), format!("via {a} dev v0 proto bgp")),
                (multipath(&[(a, 1), (b, 3)], v0), format!("nexthop via {b} dev v0 weight 3")),
                (multipath(&[(a, 1), (b, 2), (c, 1)], v0), format!("nexthop via {c} dev v0 weight 1")),
                (multipath(&[(a, 255), (b, 7)], v0), format!("nexthop via {a} dev v0 weight 255")),
                (multipath(&[(a, 256), (b, 7)], v0), format!("nexthop via {a} dev v0 weight 256")),
                (to(Target::Blackhole), "blackhole".to_owned()),
                (to(Target::Unreachable), "unreachable".to_owned()),
                (multipath(&[(b, 1), (c, 1)], v0), format!("nexthop via {b} dev v0 weight 1")),
                (to(Target::Prohibit), "prohibit".to_owned()),
                (via(c, v0), format!("via {c} dev v0 proto bgp")),
                (to(Target::from(Hop::on(v0))), "dev v0 proto 179 ".to_owned()),
            ];
            for (shape, expected) in shapes {
                rig.set(vec![(prefix, Some(shape.clone()))]).await;
                let shown = route(prefix);
                assert!((shown.clone() + " ").contains(&expected), "{shape:?}: {shown}");
                assert_eq!(shown.matches(prefix).count(), 1, "{shown}");
                let hops = if let Target::Via(hops) = &shape.target { hops.hops().len() } else { 0 };
                assert_eq!(shown.matches("nexthop").count(), if hops > 1 { hops } else { 0 }, "{shown}");
            }
        }
        let stats = rig.fib.stats().await.unwrap();
        assert_eq!((stats.installed, stats.pending, stats.refused), (2, 0, 0));
    });
}

#[test]
fn onlink_foreign_family_and_source_reach_the_kernel() {
    in_namespace(|| async {
        let v0 = veth();
        let config = FibConfig {
            source4: Some("10.0.0.1".parse().unwrap()),
            metric: Some(50),
            table: 1000,
            ..FibConfig::default()
        };
        let rig = Rig::start(config).await;
        let mut onlink = Hop::via("192.0.2.1".parse().unwrap(), v0);
        onlink.onlink = true;
        rig.set(vec![
            ("10.1.0.0/16", Some(to(onlink.into()))),
            ("10.2.0.0/16", Some(via("fe80::1", v0))),
            ("10.3.0.0/16", Some(to(Target::Blackhole))),
            ("fd02::/48", Some(via("fe80::2", v0))),
        ])
        .await;
        let shown = ip("route show table 1000") + &ip("-6 route show table 1000");
        let shown: String = shown.lines().map(|line| plain(line) + "\n").collect();
        for line in [
            "10.1.0.0/16 via 192.0.2.1 dev v0 proto 179 src 10.0.0.1 metric 50 onlink",
            "10.2.0.0/16 via inet6 fe80::1 dev v0 proto bgp src 10.0.0.1 metric 50",
            "blackhole 10.3.0.0/16 proto 179 metric 50",
            "fd02::/48 via fe80::2 dev v0 proto bgp metric 50 pref medium",
        ] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
        // Read back they are as desired: nothing is written again.
        let written = rig.fib.stats().await.unwrap().written;
        rig.fib.send(Command::Resync).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert_eq!(rig.fib.stats().await.unwrap().written, written);
    });
}

#[test]
fn ten_flaps_cost_one_message() {
    in_namespace(|| async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        let flap = |round: u32| {
            let route = via(if round.is_multiple_of(2) { "10.0.0.2" } else { "10.0.0.3" }, v0);
            [(p("10.1.0.0/16"), None), (p("10.1.0.0/16"), Some(route))]
        };
        rig.fib.set((0..10).flat_map(flap).collect()).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert_eq!(rig.fib.stats().await.unwrap().written, 1);
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 10.0.0.3 dev v0 proto bgp");
    });
}

#[test]
fn ten_thousand_routes_go_in_and_out() {
    in_namespace(|| async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        let prefix = |n: u32| p(&format!("20.{}.{}.0/24", n / 256, n % 256));
        let route = via("10.0.0.2", v0);
        rig.fib.set((0..10_000).map(|n| (prefix(n), Some(route.clone()))).collect()).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        assert_eq!(ip("route show proto bgp").lines().count(), 10_000);
        rig.fib.set((0..10_000).filter(|n| n % 10 != 0).map(|n| (prefix(n), None)).collect()).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        assert_eq!(ip("route show proto bgp").lines().count(), 1_000);
        let stats = rig.fib.stats().await.unwrap();
        assert_eq!((stats.installed, stats.overruns, stats.written), (1_000, 0, 19_000));
    });
}

#[test]
fn wide_multipath_routes_fit_their_sends() {
    in_namespace(|| async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        let gateways: Vec<String> = (2..130).map(|n| format!("10.0.0.{n}")).collect();
        let hops: Vec<(&str, u16)> = gateways.iter().map(|gateway| (gateway.as_str(), 1)).collect();
        let wide = multipath(&hops, v0);
        rig.fib
            .set((0..256).map(|n| (p(&format!("20.0.{n}.0/24")), Some(wide.clone()))).collect())
            .await
            .unwrap();
        soon(rig.fib.flush()).await.unwrap();
        let stats = rig.fib.stats().await.unwrap();
        assert_eq!((stats.installed, stats.refused), (256, 0));
        assert_eq!(ip("route show proto bgp").matches("nexthop").count(), 256 * 128);
    });
}

#[test]
fn what_appears_under_our_number_later_is_not_of_our_making() {
    in_namespace(|| async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        ip("route add 10.8.0.0/16 via 10.0.0.2 proto bgp");
        rig.fib.send(Command::Sweep).await.unwrap();
        rig.fib.send(Command::Resync).await.unwrap();
        rig.set(vec![("10.9.0.0/16", Some(via("10.0.0.2", v0)))]).await;
        assert_eq!(route("10.8.0.0/16"), "10.8.0.0/16 via 10.0.0.2 dev v0 proto bgp");
    });
}

#[test]
fn errors_are_told_of_the_route_that_has_them() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        let routes = (0..600u32).map(|n| {
            let gateway = if n % 3 == 0 { "172.16.0.1" } else { "10.0.0.2" };
            (p(&format!("20.{}.{}.0/24", n / 256, n % 256)), Some(via(gateway, v0)))
        });
        rig.fib.set(routes.collect()).await.unwrap();
        rig.fib.flush().await.unwrap();
        let mut told = 0;
        while told < 200 {
            let results = rig
                .event(
                    |event| if let kernel::FibEvent::Refused(results) = event { Some(results) } else { None },
                )
                .await;
            told += results.len();
            for (prefix, refusal) in results {
                let std::net::IpAddr::V4(address) = prefix.address() else { panic!() };
                let [_, high, low, _] = address.octets();
                assert_eq!((u32::from(high) * 256 + u32::from(low)) % 3, 0, "{prefix}");
                assert!(matches!(refusal, Some(kernel::Refusal::NoWay { .. })), "{prefix} {refusal:?}");
            }
        }
        assert_eq!(ip("route show proto bgp").lines().count(), 400);
        // The gateway comes into reach: what was refused goes in.
        ip("addr add 172.16.0.2/24 dev v0");
        rig.fib.send(Command::Retry).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert_eq!(ip("route show proto bgp").lines().count(), 600);
        assert_eq!(rig.fib.stats().await.unwrap().refused, 0);
    });
}

#[test]
fn an_overrun_of_the_writer_is_repaired() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig { receive_buffer: 1, ..FibConfig::default() }).await;
        // Each failure is an answer; they do not fit the smallest buffer.
        for n in 0..256 {
            ip(&format!("route add 20.0.{n}.0/24 via 10.0.0.3 proto 77"));
        }
        let mut routes: Vec<_> =
            (0..256).map(|n| (p(&format!("20.0.{n}.0/24")), Some(via("10.0.0.2", v0)))).collect();
        routes.push((p("21.0.0.0/8"), Some(via("10.0.0.2", v0))));
        rig.fib.set(routes).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        rig.event(|event| (event == kernel::FibEvent::Resynced).then_some(())).await;
        let stats = rig.fib.stats().await.unwrap();
        assert!(stats.overruns > 0, "{stats:?}");
        assert_eq!((stats.installed, stats.refused, stats.pending), (1, 256, 0));
        assert_eq!(route("21.0.0.0/8"), "21.0.0.0/8 via 10.0.0.2 dev v0 proto bgp");
    });
}

#[test]
fn a_gateway_behind_a_route_of_ours_is_reached_in_any_order() {
    in_namespace(|| async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        let link = to(Hop::on(v0).into());
        rig.set(vec![("10.9.0.0/16", Some(via("172.16.0.1", v0)))]).await;
        assert_eq!(route("10.9.0.0/16"), "");
        rig.set(vec![("172.16.0.1/32", Some(link))]).await;
        assert_eq!(route("10.9.0.0/16"), "10.9.0.0/16 via 172.16.0.1 dev v0 proto bgp");
    });
}

#[test]
fn an_old_way_does_not_outlive_the_refusal_of_the_new_one() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        for (prefix, old, new) in
            [("10.1.0.0/16", "10.0.0.2", "172.16.0.1"), ("fd01::/48", "fd00::2", "fd99::1")]
        {
            rig.set(vec![(prefix, Some(via(old, v0)))]).await;
            assert!(route(prefix).contains(old));
            rig.set(vec![(prefix, Some(via(new, v0)))]).await;
            assert_eq!(route(prefix), "", "the old way is nobody's any more");
            let refusal = rig.result(prefix).await.unwrap_err();
            assert!(matches!(refusal, kernel::Refusal::NoWay { .. }), "{refusal}");
        }
        let stats = rig.fib.stats().await.unwrap();
        assert_eq!((stats.installed, stats.refused, stats.pending), (0, 2, 0));
        // The gateway comes into reach.
        ip("addr add 172.16.0.2/24 dev v0");
        rig.fib.send(Command::Retry).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 172.16.0.1 dev v0 proto bgp");
        // Wanted no more, it is not looked for either.
        rig.set(vec![("10.1.0.0/16", Some(via("10.99.0.1", v0))), ("10.1.0.0/16", None)]).await;
        assert_eq!((route("10.1.0.0/16").as_str(), rig.fib.stats().await.unwrap().refused), ("", 1));
    });
}

#[test]
fn the_owner_of_a_route_may_change() {
    in_namespace(|| async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        let bgp = via("10.0.0.2", v0);
        let mut rip = bgp.clone();
        rip.owner = RouteOwner::Rip;
        rig.set(vec![("10.1.0.0/16", Some(bgp))]).await;
        rig.set(vec![("10.1.0.0/16", Some(rip))]).await;
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 10.0.0.2 dev v0 proto rip");
        rig.set(vec![("10.1.0.0/16", None)]).await;
        assert_eq!(route("10.1.0.0/16"), "");
    });
}

#[test]
fn shutdown_leaves_the_routes_and_closes_the_events() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        rig.fib.set(vec![(p("10.1.0.0/16"), Some(via("10.0.0.2", v0)))]).await.unwrap();
        rig.fib.send(Command::Shutdown).await.unwrap();
        while soon(rig.events.recv()).await.is_some() {}
        assert_eq!(route("10.1.0.0/16"), "10.1.0.0/16 via 10.0.0.2 dev v0 proto bgp");
        assert!(rig.fib.flush().await.is_err());
    });
}
