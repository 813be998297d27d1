//! The watcher and the table of links against the kernel.

mod common;

use common::*;
use kernel::links::LinkKind;
use kernel::watch::{self, WatchConfig};
use kernel::{FibConfig, KernelEvent, Links};
use tokio::sync::mpsc::Receiver;

/// Applies events until the table is as it should be.
async fn until(links: &mut Links, events: &mut Receiver<KernelEvent>, done: impl Fn(&Links) -> bool) {
    soon(async {
        while !done(links) {
            links.apply(&events.recv().await.expect("the watcher runs"));
        }
    })
    .await;
}

#[test]
fn a_bridge_and_its_subnet_come_and_go() {
    in_namespace(|| async {
        let (snapshot, mut events) = watch::start(WatchConfig::default()).await.unwrap();
        let mut links = Links::from_snapshot(&snapshot);
        assert_eq!(links.by_name("lo").map(|link| link.kind), Some(LinkKind::Loopback));
        assert!(links.by_name("br0").is_none());

        ip("link add br0 type bridge");
        ip("addr add 10.244.1.1/24 dev br0");
        ip("addr add fd00:1::1/64 dev br0 nodad");
        ip("link set br0 up");
        until(&mut links, &mut events, |links| links.subnets_of("br0").len() == 2).await;
        assert_eq!(links.subnets_of("br0"), [p("10.244.1.0/24"), p("fd00:1::/64")]);
        until(&mut links, &mut events, |links| links.by_name("br0").is_some_and(|link| link.up)).await;
        let br0 = links.by_name("br0").cloned().unwrap();
        assert_eq!((br0.kind, br0.mtu), (LinkKind::Bridge, 1500));
        assert_eq!(links.connected("10.244.1.9".parse().unwrap()), Some(br0.index));
        assert!(links.is_local("10.244.1.1".parse().unwrap()));
        assert!(!links.is_local("10.244.1.2".parse().unwrap()));

        // A port comes and leaves: the bridge stays.
        ip("link add p0 type veth peer name p1");
        ip("link set p0 master br0");
        ip("link set p0 nomaster");
        ip("link del p0");
        ip("addr del 10.244.1.1/24 dev br0");
        until(&mut links, &mut events, |links| links.subnets_of("br0").len() == 1).await;
        assert!(links.by_name("br0").is_some() && links.by_name("p0").is_none());
        ip("link del br0");
        until(&mut links, &mut events, |links| links.by_name("br0").is_none()).await;
        assert_eq!(links.connected("fd00:1::2".parse().unwrap()), None);
    });
}

#[test]
fn the_snapshot_holds_what_is_there_and_renames_are_heard() {
    in_namespace(|| async {
        let v0 = veth();
        let (snapshot, mut events) = watch::start(WatchConfig::default()).await.unwrap();
        let mut links = Links::from_snapshot(&snapshot);
        let link = links.by_name("v0").cloned().unwrap();
        assert_eq!((link.index, link.up, link.kind), (v0, true, LinkKind::Veth));
        // The kernel sees a carrier a moment after the link is up.
        until(&mut links, &mut events, |links| links.by_index(v0).unwrap().running).await;
        assert_eq!(
            links.highest(v0, |address| address.is_ipv4().then_some(address)),
            Some("10.0.0.1".parse().unwrap())
        );
        ip("link set v1 down");
        until(&mut links, &mut events, |links| !links.by_index(v0).unwrap().running).await;
        ip("link set v0 down");
        ip("link set v0 name uplink");
        until(&mut links, &mut events, |links| links.by_name("uplink").is_some()).await;
        assert!(links.by_name("v0").is_none());
        assert_eq!(links.connected("10.0.0.2".parse().unwrap()), None, "the link is down");
    });
}

#[test]
fn routes_of_others_are_heard() {
    in_namespace(|| async {
        veth();
        let (_, mut events) = watch::start(WatchConfig::default()).await.unwrap();
        let expected = |gone| KernelEvent::Route {
            prefix: p("10.7.0.0/16"),
            protocol: 77,
            table: 1000,
            metric: 7,
            gone,
        };
        ip("route add 10.7.0.0/16 via 10.0.0.2 proto 77 metric 7 table 1000");
        while soon(events.recv()).await.unwrap() != expected(false) {}
        ip("route del 10.7.0.0/16 proto 77 metric 7 table 1000");
        while soon(events.recv()).await.unwrap() != expected(true) {}
    });
}

#[test]
fn an_overrun_is_followed_by_a_snapshot() {
    in_namespace(|| async {
        veth();
        let config = WatchConfig { receive_buffer: 1, ..WatchConfig::default() };
        let (snapshot, mut events) = watch::start(config).await.unwrap();
        let mut links = Links::from_snapshot(&snapshot);
        // The watcher's task cannot run meanwhile: this thread is its runtime.
        for n in 0..40 {
            ip(&format!("addr add 10.50.{n}.1/24 dev v0"));
        }
        ip("addr del 10.0.0.1/24 dev v0");
        let mut resyncs = 0;
        soon(async {
            while resyncs == 0 {
                let event = events.recv().await.expect("the watcher runs");
                resyncs += usize::from(matches!(event, KernelEvent::Resync(_)));
                links.apply(&event);
            }
        })
        .await;
        let subnets = links.subnets_of("v0");
        assert_eq!(subnets.len(), 41, "{subnets:?}");
        assert!(!subnets.contains(&p("10.0.0.0/24")));
    });
}

#[test]
fn our_own_routes_do_not_fill_the_watchers_buffer() {
    in_namespace(|| async {
        let v0 = veth();
        let rig = Rig::start(FibConfig::default()).await;
        // Room for some sixty messages; each of these routes would be one.
        let config = WatchConfig { receive_buffer: 16 << 10, own_port: Some(rig.fib.port()) };
        let (_, mut events) = watch::start(config).await.unwrap();
        let prefixes: Vec<String> = (0..200).map(|n| format!("10.60.{n}.0/24")).collect();
        rig.set(prefixes.iter().map(|prefix| (prefix.as_str(), Some(via("10.0.0.2", v0)))).collect()).await;
        rig.set(prefixes.iter().map(|prefix| (prefix.as_str(), None)).collect()).await;
        // What somebody else does is heard, and nothing was lost before it.
        ip("route add 10.7.0.0/16 via 10.0.0.2 proto 77");
        loop {
            match soon(events.recv()).await.expect("the watcher runs") {
                // The kernel's own, of a link-local address that is ready now.
                KernelEvent::Route { protocol: 2, .. } => {}
                KernelEvent::Route { protocol, .. } => break assert_eq!(protocol, 77),
                KernelEvent::Resync(_) => panic!("the echo has filled the buffer"),
                _ => {}
            }
        }
    });
}
