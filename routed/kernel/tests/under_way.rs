//! What happens while a load of several messages is on its way to the kernel.

mod common;

use common::*;
use kernel::{Alarm, FibConfig, FibRoute, Hop, NextHops, NexthopObjects, Refusal};
use net::Prefix;

/// More than one send takes, and more than one load.
const MANY: u32 = 20_000;

fn prefix(n: u32) -> Prefix {
    p(&format!("20.{}.{}.0/24", n / 256, n % 256))
}

fn many(route: &FibRoute) -> Vec<(Prefix, Option<FibRoute>)> {
    (0..MANY).map(|n| (prefix(n), Some(route.clone()))).collect()
}

fn count(filter: &str) -> usize {
    ip(&format!("route show {filter}")).lines().filter(|line| line.starts_with("20.")).count()
}

#[test]
fn routes_of_others_in_the_middle_of_a_load_stay_and_all_else_goes_in() {
    in_namespace(|| async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        let theirs = [0, 1, 7_777, MANY - 1].map(prefix);
        for prefix in theirs {
            ip(&format!("route add {prefix} via 10.0.0.3 dev v0 proto 77"));
        }
        rig.fib.set(many(&via("10.0.0.2", v0))).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        assert_eq!((count("proto 77"), count("proto bgp")), (theirs.len(), MANY as usize - theirs.len()));
        for prefix in theirs {
            assert_eq!(rig.result(&prefix.to_string()).await, Err(Refusal::Foreign { protocol: 77 }));
        }
        assert_eq!(rig.fib.stats().await.unwrap().refused, theirs.len());
    });
}

#[test]
fn an_alarm_that_stops_a_load_loses_no_route_of_it_and_leaves_none_on_the_dead_next_hop() {
    in_one(NexthopObjects::Auto, || async {
        let v0 = veth();
        ip("addr add 10.0.2.1/24 dev v0");
        let rig = Rig::start(FibConfig::default()).await;
        let backup = NextHops::one(Hop::via("10.0.2.2".parse().unwrap(), v0));
        let safe = FibRoute { backup: Some(backup), ..via("10.0.0.2", v0) };
        for _ in 0..3 {
            rig.fib.set(many(&safe)).await.unwrap();
            // The object is there, and most of its routes are not.
            soon(async { while ip("nexthop show").is_empty() {} }).await;
            assert!(rig.fib.try_alarm(Alarm::HopDown("10.0.0.2".parse().unwrap(), v0)));
            // What the table said before it knew is on its way still, and then what it says now.
            rig.fib.set(many(&via("10.0.2.2", v0))).await.unwrap();
            soon(rig.fib.flush()).await.unwrap();
            assert_eq!(count("via 10.0.2.2"), MANY as usize);
            for n in [0, 1, MANY / 2, MANY - 1] {
                let address = prefix(n).address();
                let way = ip(&format!("route get {address}"));
                assert!(way.contains("via 10.0.2.2"), "{way}");
            }
            rig.fib.alarm(Alarm::HopUp("10.0.0.2".parse().unwrap(), v0)).await.unwrap();
            rig.fib.set((0..MANY).map(|n| (prefix(n), None)).collect()).await.unwrap();
            soon(rig.fib.flush()).await.unwrap();
            assert_eq!(count(""), 0);
        }
        assert_eq!(rig.fib.stats().await.unwrap().refused, 0);
    });
}
