use std::future::poll_fn;
use std::os::fd::AsFd;
use std::process::Command;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};

use super::*;

/// Where RIP speaks to all on a link.
const GROUP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(GROUP_V4), PORT_V4);

/// Runs a test in a network namespace with the two ends of a cable, `near`
/// and `far`; the namespace ends with the thread.
fn with_cable<F: Future<Output = ()>>(
    setup: &'static str,
    test: impl FnOnce(u32, u32) -> F + Send + 'static,
) {
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root");
        let script = format!(
            "set -e; ip link add near type veth peer name far; ip addr add 192.0.2.1/24 dev near; \
             ip addr add 192.0.2.2/24 dev far; ip link set near up; ip link set far up; \
             sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.far.rp_filter=0 net.ipv4.conf.far.accept_local=1; \
             {setup}; for link in near far; do \
             until ip link show dev $link | grep -q 'qdisc noqueue .*state UP'; do :; done; done"
        );
        let made = Command::new("/bin/sh").args(["-c", &script]).status().unwrap();
        assert!(made.success());
        let index = |name: &str| nix::net::if_::if_nametoindex(name).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(index("near"), index("far")));
    };
    std::thread::spawn(body).join().unwrap();
}

fn packets(lengths: &[usize]) -> Vec<Vec<u8>> {
    (1..).zip(lengths).map(|(n, length)| vec![n; *length]).collect()
}

/// Reads until that many packets have come, as the task does.
async fn read(socket: &mut RipSocket, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; LARGEST];
    let mut came = Vec::new();
    while came.len() < count {
        match socket.rests_until() {
            Some(until) => tokio::time::sleep_until(until.into()).await,
            None => poll_fn(|context| socket.poll_readable(context)).await,
        }
        let packets = socket.receive(Instant::now(), &mut buffer).unwrap();
        came.extend(packets.into_iter().map(|packet| packet.bytes));
    }
    came
}

#[test]
fn what_is_sent_in_one_call_comes_as_packets_in_their_order() {
    with_cable("true", |near, far| async move {
        let mut from = RipSocket::open(Family::Ipv4Unicast, near, "near").unwrap();
        let mut to = RipSocket::open(Family::Ipv4Unicast, far, "far").unwrap();
        for lengths in [&[504, 504, 504, 24][..], &[24, 504, 504], &[504; 70], &[4]] {
            let sent = packets(lengths);
            from.send(GROUP, &sent).unwrap();
            assert_eq!(read(&mut to, sent.len()).await, sent);
        }
        assert!(from.segments, "a veth can cut");
    });
}

#[test]
fn a_link_that_cannot_cut_gets_packet_after_packet() {
    // Packets that the MTU has no room for are never made by cutting.
    with_cable("ip link set near mtu 400", |near, far| async move {
        let mut from = RipSocket::open(Family::Ipv4Unicast, near, "near").unwrap();
        let mut to = RipSocket::open(Family::Ipv4Unicast, far, "far").unwrap();
        let sent = packets(&[504, 504, 44]);
        from.send(GROUP, &sent).unwrap();
        assert_eq!(read(&mut to, sent.len()).await, sent);
        assert!(!from.segments);
    });
}

#[test]
fn a_socket_rests_between_packets_that_come_one_after_the_other_and_not_else() {
    with_cable("true", |near, far| async move {
        let mut from = RipSocket::open(Family::Ipv4Unicast, near, "near").unwrap();
        let mut to = RipSocket::open(Family::Ipv4Unicast, far, "far").unwrap();
        let mut buffer = vec![0; LARGEST];
        let start = Instant::now();
        // A packet at each of these times, in rests since the start, and until when it then rests.
        for (at, until) in [(0, None), (5, None), (6, Some(7)), (7, Some(8)), (30, Some(31))] {
            from.send(GROUP, &packets(&[24])).unwrap();
            let mut fds = [PollFd::new(to.socket.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::NONE).unwrap();
            if to.rests_until().is_none() {
                poll_fn(|context| to.poll_readable(context)).await;
            }
            assert_eq!(to.receive(start + at * REST, &mut buffer).unwrap().len(), 1);
            assert_eq!(to.rests_until(), until.map(|until: u32| start + until * REST), "at {at}");
        }
        for (at, until) in [(30, Some(31)), (31, None)] {
            assert_eq!(to.receive(start + at * REST, &mut buffer).unwrap().len(), 0);
            assert_eq!(to.rests_until(), until.map(|until: u32| start + until * REST), "nothing at {at}");
        }
        let one = packets(&[24]);
        from.send(GROUP, &one).unwrap();
        assert_eq!(read(&mut to, 1).await, one, "and it is woken again");
    });
}

#[test]
fn packets_of_one_length_and_a_shorter_last_go_together() {
    for (lengths, together) in [
        (&[504, 504, 504][..], 3),
        (&[504, 504, 24, 504], 3),
        (&[24, 504], 1),
        (&[504; 65], 64),
        (&[40_000, 40_000], 1),
        (&[65_535], 1),
        (&[], 0),
    ] {
        assert_eq!(segments(&packets(lengths)), together, "{lengths:?}");
    }
}
