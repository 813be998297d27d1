//! Nexthop objects: what fails together moves and goes by one message.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::*;
use kernel::watch::{self, WatchConfig};
use kernel::{
    Alarm, Batch, Command, Fib, FibConfig, FibRoute, Hop, KernelEvent, NextHops, NexthopObjects, Nexthops,
    RouteOwner, Target,
};
use net::Prefix;

/// A second veth pair, `v2` and `v3`; `v2` has 10.0.2.1/24 and `fd02::1/64`.
fn second() -> u32 {
    ip("link add v2 type veth peer name v3");
    ip("addr add 10.0.2.1/24 dev v2");
    ip("addr add fd00:2::1/64 dev v2 nodad");
    ip("link set v2 up");
    ip("link set v3 up");
    carrier("v2");
    nix::net::if_::if_nametoindex("v2").unwrap()
}

fn prefix(n: u32) -> Prefix {
    p(&format!("20.{}.{}.0/24", n / 256, n % 256))
}

fn many(count: u32, route: Option<&FibRoute>) -> Vec<(Prefix, Option<FibRoute>)> {
    (0..count).map(|n| (prefix(n), route.cloned())).collect()
}

fn from(source: u32, route: FibRoute) -> FibRoute {
    FibRoute { source, ..route }
}

fn with_backup(route: FibRoute, gateway: &str, interface: u32) -> FibRoute {
    FibRoute { backup: Some(NextHops::one(Hop::via(gateway.parse().unwrap(), interface))), ..route }
}

fn count(filter: &str) -> usize {
    ip(&format!("route show {filter}")).lines().filter(|line| line.starts_with("20.")).count()
}

fn objects() -> usize {
    ip("nexthop show").lines().count()
}

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
fn routes_that_lead_to_the_same_place_share_an_object() {
    in_one(NexthopObjects::Auto, || async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        rig.fib.set(many(1000, Some(&via("10.0.0.2", v0)))).await.unwrap();
        rig.set(vec![
            ("fd01::/48", Some(via("fd00::2", v0))),
            ("10.1.0.0/16", Some(multipath(&[("10.0.0.2", 1), ("10.0.0.3", 7)], v0))),
        ])
        .await;
        let stats = rig.fib.stats().await.unwrap();
        // Two single ones, a group and its two members.
        assert_eq!((stats.nexthops, stats.objects, objects()), (Nexthops::Objects, 5, 5));
        assert!(ip("nexthop show").lines().all(|line| line.contains("proto 179")));
        rig.fib.set(many(1000, None)).await.unwrap();
        rig.set(vec![("fd01::/48", None), ("10.1.0.0/16", None)]).await;
        assert_eq!((rig.fib.stats().await.unwrap().objects, objects()), (0, 0));
    });
}

#[test]
fn a_source_that_ends_takes_its_routes_by_one_message() {
    in_one(NexthopObjects::Auto, || async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        // Two sources share a next hop; only one ends, and 10 of its routes
        // have a way over the other.
        let (first, second) = (from(1, via("10.0.0.2", v0)), from(2, via("10.0.0.2", v0)));
        rig.fib.set(many(1000, Some(&first))).await.unwrap();
        let others = (1000..1100).map(|n| (prefix(n), Some(second.clone())));
        rig.fib.set(others.collect()).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        let before = rig.fib.stats().await.unwrap();
        assert_eq!((before.installed, before.objects), (1100, 2));
        let elsewhere = from(2, via("10.0.0.3", v0));
        let mut batch = Batch::new(1);
        batch.more = true;
        for n in 0..500 {
            batch.push(prefix(n), None);
        }
        rig.fib.send(Command::Set(batch)).await.unwrap();
        let mut batch = Batch::new(2);
        let moved = batch.route(elsewhere);
        for n in 500..1000 {
            batch.push(prefix(n), (n >= 990).then_some(moved));
        }
        rig.fib.send(Command::Set(batch)).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        let after = rig.fib.stats().await.unwrap();
        assert_eq!((after.installed, after.pending, after.objects), (110, 0, 2));
        assert_eq!(after.written - before.written, 10, "only what has another way is written");
        assert_eq!((count("via 10.0.0.2"), count("via 10.0.0.3")), (100, 10));
        // Bookkeeping and kernel agree.
        rig.fib.send(Command::Resync).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert_eq!(rig.fib.stats().await.unwrap().written, after.written);
    });
}

#[test]
fn what_only_a_source_had_goes_before_the_table_speaks() {
    in_one(NexthopObjects::Auto, || async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        let only = FibRoute { only: true, ..from(1, via("10.0.0.2", v0)) };
        let shared = from(1, via("10.0.0.2", v0));
        rig.fib.set((0..500).map(|n| (prefix(n), Some(only.clone()))).collect()).await.unwrap();
        rig.fib.set((500..600).map(|n| (prefix(n), Some(shared.clone()))).collect()).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        let before = rig.fib.stats().await.unwrap();
        assert!(rig.fib.try_alarm(Alarm::SourceEnds { source: 1, alone: true }));
        soon(async { while count("") > 100 {} }).await;
        // The table says the same of most, and after all wants the last two.
        rig.fib.set((0..498).map(|n| (prefix(n), None)).collect()).await.unwrap();
        rig.fib.set((500..600).map(|n| (prefix(n), None)).collect()).await.unwrap();
        rig.set(vec![]).await;
        assert_eq!(count(""), 0);
        rig.fib.send(Command::Ended).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        let after = rig.fib.stats().await.unwrap();
        assert_eq!((count(""), after.installed, after.pending), (2, 2, 0));
        assert_eq!(after.written - before.written, 2);
        // Another source that leads the same way has an object of its own.
        let other = FibRoute { only: true, ..from(2, via("10.0.0.2", v0)) };
        rig.fib.set(vec![(prefix(499), Some(other))]).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        assert!(rig.fib.try_alarm(Alarm::SourceEnds { source: 1, alone: true }));
        soon(async { while count("") > 1 {} }).await;
        assert_eq!(rig.fib.ask(prefix(499)).await.unwrap(), Ok(kernel::Done::Installed));
        assert_eq!(count(""), 1);
    });
}

#[test]
fn a_dead_next_hop_is_left_by_one_message_an_object() {
    in_one(NexthopObjects::Auto, || async {
        let v0 = veth();
        let v2 = second();
        let rig = Rig::start(FibConfig::default()).await;
        let safe = with_backup(via("10.0.0.2", v0), "10.0.2.2", v2);
        rig.fib.set(many(1000, Some(&safe))).await.unwrap();
        let shared = FibRoute::new(
            RouteOwner::Bgp,
            Target::Via(
                NextHops::new(vec![
                    Hop::via("10.0.0.2".parse().unwrap(), v0),
                    Hop::via("10.0.2.2".parse().unwrap(), v2),
                ])
                .unwrap(),
            ),
        );
        rig.set(vec![("10.1.0.0/16", Some(shared))]).await;
        assert!(ip("route get 20.0.0.1").contains("via 10.0.0.2"), "{}", ip("route get 20.0.0.1"));
        let before = rig.fib.stats().await.unwrap();
        rig.fib.alarm(Alarm::HopDown("10.0.0.2".parse().unwrap(), v0)).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert!(ip("route get 20.0.0.1").contains("via 10.0.2.2"), "{}", ip("route get 20.0.0.1"));
        assert!(ip("route get 10.1.0.1").contains("via 10.0.2.2"));
        // What the table says then is met already.
        rig.fib.set(many(1000, Some(&via("10.0.2.2", v2)))).await.unwrap();
        rig.set(vec![("10.1.0.0/16", Some(via("10.0.2.2", v2)))]).await;
        assert_eq!(rig.fib.stats().await.unwrap().written, before.written);
        // The next hop comes back: first it is said to be, then it is wanted.
        rig.fib.alarm(Alarm::HopUp("10.0.0.2".parse().unwrap(), v0)).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert!(ip("route get 20.0.0.1").contains("via 10.0.2.2"), "the table has not said so");
        rig.fib.set(many(1000, Some(&safe))).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        assert!(ip("route get 20.0.0.1").contains("via 10.0.0.2"));
        assert!(ip("route get 10.1.0.1").contains("via 10.0.2.2"));
    });
}

#[test]
fn a_next_hop_that_is_back_before_the_table_speaks_is_used_again() {
    in_one(NexthopObjects::Auto, || async {
        let v0 = veth();
        let v2 = second();
        let rig = Rig::start(FibConfig::default()).await;
        let hop = ("10.0.0.2".parse().unwrap(), v0);
        rig.fib.set(many(100, Some(&with_backup(via("10.0.0.2", v0), "10.0.2.2", v2)))).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        rig.fib.alarm(Alarm::HopDown(hop.0, hop.1)).await.unwrap();
        // Nothing that happens meanwhile brings it back.
        rig.fib.send(Command::Retry).await.unwrap();
        rig.fib.send(Command::Resync).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert!(ip("route get 20.0.0.1").contains("via 10.0.2.2"));
        rig.fib.alarm(Alarm::HopUp(hop.0, hop.1)).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert!(ip("route get 20.0.0.1").contains("via 10.0.0.2"));
        assert_eq!(rig.fib.stats().await.unwrap().written, 100);
    });
}

#[test]
fn the_kernel_itself_goes_on_to_the_backup_when_a_link_fails() {
    in_one(NexthopObjects::Auto, || async {
        let v0 = veth();
        let v2 = second();
        let rig = Rig::start(FibConfig::default()).await;
        let watcher = watch_for(&rig.fib).await;
        let safe = with_backup(via("10.0.0.2", v0), "10.0.2.2", v2);
        rig.fib.set(many(100, Some(&safe))).await.unwrap();
        rig.set(vec![("fd01::/48", Some(with_backup(via("fd00::2", v0), "fd00:2::2", v2)))]).await;
        let written = rig.fib.stats().await.unwrap().written;
        ip("link set v0 down");
        assert!(ip("route get 20.0.0.1").contains("via 10.0.2.2"));
        assert!(ip("route get fd01::1").contains("via fd00:2::2"));
        ip("link set v0 up");
        // The link is back and the table never wanted anything else.
        soon(async {
            while !ip("route get 20.0.0.1").contains("via 10.0.0.2") {
                rig.fib.flush().await.unwrap();
            }
        })
        .await;
        assert_eq!(rig.fib.stats().await.unwrap().written, written);
        watcher.abort();
    });
}

#[test]
fn an_object_that_somebody_deletes_is_made_again_with_its_routes() {
    in_one(NexthopObjects::Auto, || async {
        let v0 = veth();
        let mut rig = Rig::start(FibConfig::default()).await;
        let watcher = watch_for(&rig.fib).await;
        rig.fib.set(many(300, Some(&via("10.0.0.2", v0)))).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        ip("nexthop flush proto 179");
        let mut repaired = 0;
        while repaired < 300 {
            repaired += rig
                .event(|event| if let kernel::FibEvent::Repaired(n) = event { Some(n) } else { None })
                .await;
        }
        assert_eq!((count("via 10.0.0.2"), objects()), (300, 1));
        watcher.abort();
    });
}

#[test]
fn objects_of_others_are_left_alone_and_ours_are_swept() {
    in_one(NexthopObjects::Auto, || async {
        let v0 = veth();
        // One of another owner, with an id that we would take.
        ip("nexthop add id 179000000 via 10.0.0.9 dev v0 proto 77");
        ip("route add 10.7.0.0/16 nhid 179000000 proto 77");
        let group = multipath(&[("10.0.0.2", 1), ("10.0.0.3", 7)], v0);
        {
            let mut first = Rig::start(FibConfig::default()).await;
            first.fib.set(many(300, Some(&via("10.0.0.2", v0)))).await.unwrap();
            first.set(vec![("10.1.0.0/16", Some(group.clone())), ("10.2.0.0/16", Some(group.clone()))]).await;
            first.fib.send(Command::Shutdown).await.unwrap();
            while soon(first.events.recv()).await.is_some() {}
        }
        assert_eq!(objects(), 5);
        let rig = Rig::start(FibConfig::default()).await;
        assert_eq!(rig.adopted, 302);
        rig.fib.set(many(200, Some(&via("10.0.0.2", v0)))).await.unwrap();
        rig.fib.set(vec![(prefix(999), Some(via("10.0.0.2", v0)))]).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        let stats = rig.fib.stats().await.unwrap();
        assert_eq!((stats.written, stats.stale, stats.objects), (1, 102, 4), "what is met is not written");
        rig.fib.send(Command::Sweep).await.unwrap();
        soon(rig.fib.flush()).await.unwrap();
        assert_eq!((count(""), objects()), (201, 2));
        kernel::query::cleanup(254).unwrap();
        assert_eq!(objects(), 1);
        assert!(route("10.7.0.0/16").contains("via 10.0.0.9"), "{}", route("10.7.0.0/16"));
    });
}

#[test]
fn without_objects_what_an_earlier_run_made_is_replaced() {
    in_one(NexthopObjects::Off, || async {
        let v0 = veth();
        ip("nexthop add id 179000000 via 10.0.0.2 dev v0 proto 179");
        ip("route add 20.0.0.0/24 nhid 179000000 proto bgp");
        let rig = Rig::start(FibConfig::default()).await;
        let (_, mut heard) = watch::start(WatchConfig::default()).await.unwrap();
        rig.fib.set(many(1, Some(&via("10.0.0.2", v0)))).await.unwrap();
        rig.fib.send(Command::Sweep).await.unwrap();
        rig.fib.flush().await.unwrap();
        assert!(!ip("route show 20.0.0.0/24").contains("nhid"));
        assert_eq!((objects(), rig.fib.stats().await.unwrap().nexthops), (0, Nexthops::Off));
        let event = soon(heard.recv()).await.unwrap();
        assert!(matches!(event, KernelEvent::Route { gone: false, .. }), "in place: {event:?}");
    });
}
