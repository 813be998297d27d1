//! What a route costs the table: nanoseconds and bytes.
//!
//! Run with `cargo bench -p rib`. A million IPv4 prefixes of Internet-like
//! lengths, spread at random, 500 an UPDATE, 50 sets of attributes: told by
//! one peer, told by a second, and withdrawn as the peers go. Bytes are the
//! resident memory of the process beyond what it was before the first route:
//! the most at any moment of the step, and at its end. Time is that on the CPU.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use net::{AsPath, Asn, Attrs, NextHop, Prefix};
use rib::nexthop::Link;
use rib::{PeerId, PeerInfo, Rules, Table};

const ROUTES: usize = 1_000_000;
const UPDATE: usize = 500;
const SETS: u32 = 50;
/// Changes that are taken at a time.
const CHANGES: usize = 1024;

fn main() {
    let prefixes = prefixes();
    let start = resident("VmRSS:");
    println!("{:<28} {:>12} {:>12} {:>12}", "", "ns a route", "peak bytes", "bytes");
    let mut table = Table::new(Rules::new("192.0.2.254".parse().expect("an identifier")));
    let links = [Link { prefix: Prefix::from((Ipv4Addr::new(192, 0, 2, 0), 24)), ifindex: 2 }];
    table.set_links(Instant::now(), &links, []);
    let only_first = std::env::args().any(|argument| argument == "first");
    for (peer, what) in [(1, "told by one peer"), (2, "told by a second")] {
        table.peer_up(self::peer(peer));
        measure(what, start, || tell(&mut table, peer, &prefixes));
        if only_first {
            return;
        }
    }
    println!("{:<28} {:>38}", "in the table itself", table.bytes() / ROUTES);
    measure("told again", start, || tell(&mut table, 1, &prefixes));
    measure("read page by page", start, || {
        let mut after = None;
        loop {
            after = table.routes(&rib::Query::default(), after, 256).next;
            if after.is_none() {
                break;
            }
        }
    });
    measure("next hop lost", start, || {
        table.set_links(Instant::now(), &[], []);
        settle(&mut table);
    });
    measure("next hop back", start, || {
        table.set_links(Instant::now(), &links, []);
        settle(&mut table);
    });
    for (peer, what) in [(1_u32, "the best peer goes"), (2, "the last peer goes")] {
        measure(what, start, || {
            table.peer_down(PeerId(peer));
            settle(&mut table);
        });
    }
    assert!(!table.has_changes());
}

fn measure(what: &str, start: usize, run: impl FnOnce()) {
    // 5 forgets the peak so far (proc_pid_clear_refs(5)).
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may forget its own peak");
    let began = on_cpu();
    run();
    let took = (on_cpu() - began) as f64 / ROUTES as f64;
    let each = |field| resident(field).saturating_sub(start) as f64 / ROUTES as f64;
    println!("{what:<28} {took:>12.0} {:>12.1} {:>12.1}", each("VmHWM:"), each("VmRSS:"));
}

/// How long this thread has run, in nanoseconds: what the neighbours do does
/// not count.
fn on_cpu() -> u64 {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel keeps account");
    account.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("a number")
}

/// A field of the kernel's account of this process, in bytes.
fn resident(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel keeps account");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a known field");
    let kib: usize = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}

fn tell(table: &mut Table, peer: u8, prefixes: &[Prefix]) {
    for (update, set) in prefixes.chunks(UPDATE).zip((0..SETS).cycle()) {
        let attrs = Arc::new(Attrs {
            as_path: AsPath::sequence([65000 + u32::from(peer), 65100 + set, 65200]),
            next_hop: Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, peer))),
            ..Attrs::default()
        });
        let reach = update.iter().map(|prefix| (*prefix, 0));
        table.update(Instant::now(), PeerId(peer.into()), reach, &attrs).expect("the peer is up");
        if table.waiting() >= CHANGES {
            settle(table);
        }
    }
    settle(table);
}

fn settle(table: &mut Table) {
    while table.has_changes() {
        std::hint::black_box(table.take_changes(CHANGES));
    }
}

fn peer(n: u8) -> PeerInfo {
    let address = Ipv4Addr::new(192, 0, 2, n);
    let router_id = address.try_into().expect("not zero");
    PeerInfo::new(PeerId(n.into()), address.into(), Asn(65000 + u32::from(n)), Asn(64512), router_id)
}

/// Lengths as the Internet's table has them, addresses at random.
fn prefixes() -> Vec<Prefix> {
    let lengths = [16, 18, 19, 20, 21, 22, 22, 23, 24, 24, 24, 24, 24, 24];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut seen = net::PrefixSet::new();
    let mut prefixes = Vec::with_capacity(ROUTES);
    while prefixes.len() < ROUTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [address @ .., _, _, _, length] = state.to_be_bytes();
        let address = Ipv4Addr::from(address);
        let prefix = Prefix::new(address.into(), lengths[usize::from(length) % lengths.len()]);
        let prefix = prefix.filter(|prefix| !prefix.is_martian());
        if let Some(prefix) = prefix.filter(|prefix| seen.insert(*prefix, ()).is_none()) {
            prefixes.push(prefix);
        }
    }
    prefixes
}
