//! The FIB writer beside a bare loop: a million routes in, out, over, and
//! adopted, in a network namespace of its own. Run as root:
//! `cargo bench -p kernel --bench fib [-- ROUTES]`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark says what it finds, and ends where it fails"
)]

mod bare;

use std::process::Command;
use std::time::{Duration, Instant};

use kernel::{Alarm, Batch, Fib, FibConfig, FibEvent, FibRoute, Hop, NextHops, RouteOwner, Target};
use net::Prefix;
use nix::sched::{CloneFlags, unshare};
use rustc_hash::FxHashSet;
use tokio::sync::mpsc::Receiver;

use self::bare::Bare;

fn main() {
    let routes = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1_000_000);
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip("link set lo up");
    let links = [pair(0), pair(1)];
    let prefixes = internet(routes);
    println!("{routes} IPv4 prefixes of Internet-like lengths in random order, seconds");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for compat in ["1", "0"] {
        println!("net.ipv4.nexthop_compat_mode = {compat}");
        std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", compat).unwrap();
        let bare = Bare::run(&prefixes, links[0]);
        runtime.block_on(ours(&prefixes, links, &bare));
    }
}

async fn ours(prefixes: &[Prefix], links: [u32; 2], bare: &Bare) {
    let before = resident();
    let (fib, mut events) = Fib::start(FibConfig::default()).unwrap();
    let route = via("10.0.0.2", links[0]);
    let add = feed(&fib, &mut events, prefixes, Some(&route)).await;
    println!(
        "  memory of the writer: {:.1} bytes a route",
        (resident() - before) as f64 / prefixes.len() as f64
    );
    beside("add", add, bare.add);
    let withdraw = feed(&fib, &mut events, prefixes, None).await;
    beside("withdraw", withdraw, bare.delete);
    println!("  written {:?}", fib.stats().await.unwrap());

    for count in [prefixes.len() / 10, prefixes.len()] {
        let backup = Some(NextHops::one(Hop::via("10.0.1.2".parse().unwrap(), links[1])));
        let safe = FibRoute { backup, ..route.clone() };
        feed(&fib, &mut events, &prefixes[..count], Some(&safe)).await;
        let probe = prefixes[count / 2].address();
        let (watching, seen) = bare::watch(probe, links[1]);
        watching.recv().unwrap();
        let started = Instant::now();
        fib.alarm(Alarm::HopDown("10.0.0.2".parse().unwrap(), links[0])).await.unwrap();
        let moved = seen.join().unwrap() - started;
        fib.flush().await.unwrap();
        println!(
            "  {count} routes over the other next hop after {} us, and told {:?}",
            moved.as_micros(),
            started.elapsed()
        );
        feed(&fib, &mut events, &prefixes[..count], None).await;
    }

    feed(&fib, &mut events, prefixes, Some(&route)).await;
    fib.send(kernel::Command::Shutdown).await.unwrap();
    while events.recv().await.is_some() {}
    let dump = bare::dump();
    let started = Instant::now();
    let (fib, mut events) = Fib::start(FibConfig::default()).unwrap();
    beside("adopt", started.elapsed(), dump);
    assert_eq!(events.recv().await, Some(FibEvent::Adopted(prefixes.len())));
    let started = Instant::now();
    feed(&fib, &mut events, prefixes, Some(&route)).await;
    println!("  told again by the peers, nothing to write: {:.3}", started.elapsed().as_secs_f64());
    churn(&fib, &mut events, prefixes, links[0]).await;
    feed(&fib, &mut events, prefixes, None).await;
}

/// A thousand changes, ten at a time, over the whole table.
async fn churn(fib: &Fib, events: &mut Receiver<FibEvent>, prefixes: &[Prefix], link: u32) {
    let other = via("10.0.0.3", link);
    let before = cpu();
    let changes = 10_000.min(prefixes.len());
    for some in prefixes[..changes].chunks(10) {
        feed(fib, events, some, Some(&other)).await;
    }
    println!(
        "  {changes} changes, ten at a time: {:.1} us of CPU each",
        cpu().saturating_sub(before).as_secs_f64() * 1e6 / changes as f64
    );
}

/// Hands changes over as the table does, and waits until they are settled.
async fn feed(
    fib: &Fib,
    events: &mut Receiver<FibEvent>,
    prefixes: &[Prefix],
    route: Option<&FibRoute>,
) -> Duration {
    let started = Instant::now();
    let last = prefixes.len().div_ceil(4096);
    for (number, some) in prefixes.chunks(4096).enumerate() {
        let mut batch = Batch::new(0);
        batch.more = number + 1 < last;
        let route = route.map(|route| batch.route(route.clone()));
        for prefix in some {
            batch.push(*prefix, route);
        }
        fib.send(kernel::Command::Set(batch)).await.unwrap();
    }
    fib.flush().await.unwrap();
    while events.try_recv().is_ok() {}
    started.elapsed()
}

fn beside(what: &str, ours: Duration, bare: Duration) {
    let (ours, bare) = (ours.as_secs_f64(), bare.as_secs_f64());
    println!("  {what:9} bare {bare:.3}  ours {ours:.3}  ratio {:.2}", ours / bare);
}

fn via(gateway: &str, link: u32) -> FibRoute {
    FibRoute::new(RouteOwner::Bgp, Target::from(Hop::via(gateway.parse().unwrap(), link)))
}

fn pair(n: u32) -> u32 {
    ip(&format!("link add v{n} type veth peer name w{n}"));
    ip(&format!("addr add 10.0.{n}.1/24 dev v{n}"));
    ip(&format!("link set v{n} up"));
    ip(&format!("link set w{n} up"));
    while !ip(&format!("link show v{n}")).contains("state UP") {}
    nix::net::if_::if_nametoindex(format!("v{n}").as_str()).unwrap()
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Distinct prefixes, most of them /24, none of them where the links are.
fn internet(count: usize) -> Vec<Prefix> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut known = FxHashSet::default();
    let mut prefixes = Vec::with_capacity(count);
    while prefixes.len() < count {
        let length = match random() % 100 {
            0..60 => 24,
            60..72 => 22,
            72..80 => 23,
            80..88 => 20,
            88..94 => 21,
            94..97 => 19,
            _ => 16 + u8::try_from(random() % 3).unwrap(),
        };
        let address = 0x0b00_0000 + u32::try_from(random() % 0xd000_0000).unwrap();
        let prefix = Prefix::new(std::net::Ipv4Addr::from(address).into(), length).unwrap();
        if known.insert(prefix) {
            prefixes.push(prefix);
        }
    }
    prefixes
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let of = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec().unsigned_abs(), 0) + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    of(usage.user_time()) + of(usage.system_time())
}
