//! How long it takes until every peer has been handed what every other told,
//! without wire and sockets: the table, the decision, the export, the letters.
//!
//! Run with `cargo bench -p rib --bench fanout`.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::{AsPath, Asn, Attrs, Family, NextHop, Prefix};
use rib::adj_out::{AdjOut, Left, Limits, Line, Out, Post};
use rib::nexthop::Link;
use rib::peer::LocalEnd;
use rib::{PeerId, PeerInfo, Rules, Table, filter};

/// How many prefixes an UPDATE has, and how many UPDATEs are taken at a time.
const UPDATE: usize = 500;
const BATCH: usize = 64;

/// Counts what peers are handed; they take it at once.
#[derive(Default)]
struct Count {
    written: usize,
    handed: usize,
    told: Vec<usize>,
}

impl Post for Count {
    type Format = ();
    type Letter = Arc<Vec<Line>>;

    fn fits((): &(), _: Family, _: &Attrs) -> bool {
        true
    }

    fn write(&mut self, (): &(), lines: &[Line]) -> Self::Letter {
        self.written += 1;
        Arc::new(lines.to_vec())
    }

    fn hand(&mut self, to: PeerId, letter: &Self::Letter) {
        self.handed += 1;
        for line in letter.iter().filter(|line| line.to.reaches(to)) {
            if let Out::Reach { nlri, .. } | Out::Unreach { nlri, .. } = &line.out {
                self.told[to.0 as usize] += nlri.len();
            }
        }
    }

    fn unsent(&self, _: PeerId) -> usize {
        0
    }

    fn call_back(&mut self, _: PeerId) {}
}

struct Router {
    now: Instant,
    table: Table,
    out: AdjOut<Count>,
    count: Count,
}

impl Router {
    fn new(peers: usize) -> Self {
        let now = Instant::now();
        let rules = Rules::new("198.18.0.1".parse().expect("a router id"));
        let mut table = Table::new(rules);
        let link = Link { prefix: prefix([198, 18, 0, 0].into(), 16), ifindex: 2 };
        table.set_links(now, &[link], [Ipv4Addr::new(198, 18, 0, 1).into()]);
        table.take_changes(usize::MAX);
        let out = AdjOut::new(rules.cluster_id, Limits::default());
        Self { now, table, out, count: Count { told: vec![0; peers], ..Count::default() } }
    }

    fn up(&mut self, n: usize) {
        let info = peer(n);
        self.table.peer_up(info.clone());
        self.settle();
        self.out.peer_up(&self.table, &info, ());
    }

    fn settle(&mut self) {
        while self.table.has_changes() {
            for change in self.table.take_changes(4096) {
                self.out.change(&self.table, &change);
            }
        }
    }

    fn deliver(&mut self) {
        while self.out.deliver(Instant::now(), &self.table, &mut self.count) == Left::Work {}
    }

    /// Every peer tells `each` prefixes of its own.
    fn tell(&mut self, peers: usize, each: usize) {
        let mut taken = 0;
        for n in 0..peers {
            let attrs = Arc::new(Attrs {
                as_path: AsPath::sequence([peer(n).asn.0]),
                next_hop: Some(NextHop::V4(address(n))),
                ..Attrs::default()
            });
            let prefixes: Vec<(Prefix, u32)> = (n * each..(n + 1) * each).map(|n| (nth(n), 0)).collect();
            for part in prefixes.chunks(UPDATE) {
                let told = self.table.update(self.now, id(n), part.iter().copied(), &attrs);
                told.expect("the peer is up");
                taken += 1;
                if taken % BATCH == 0 {
                    self.settle();
                    self.deliver();
                }
            }
        }
        self.settle();
        self.deliver();
    }
}

fn id(n: usize) -> PeerId {
    PeerId(u32::try_from(n).expect("few peers"))
}

fn address(n: usize) -> Ipv4Addr {
    Ipv4Addr::from(0xc612_0101 + u32::try_from(n).expect("few peers"))
}

/// A /24, each another.
fn nth(n: usize) -> Prefix {
    prefix(Ipv4Addr::from(0x0b00_0000 + (u32::try_from(n).expect("few prefixes") << 8)), 24)
}

fn prefix(address: Ipv4Addr, length: u8) -> Prefix {
    Prefix::new(address.into(), length).expect("a prefix")
}

fn peer(n: usize) -> PeerInfo {
    let local = LocalEnd::of(Ipv4Addr::new(198, 18, 0, 1).into());
    let asn = Asn(64_600 + u32::try_from(n).expect("few peers"));
    let router_id = address(n).try_into().expect("not zero");
    let accept = Arc::new(filter::accept_all());
    PeerInfo {
        local,
        families: vec![Family::Ipv4Unicast],
        import: Arc::clone(&accept),
        export: accept,
        ..PeerInfo::new(id(n), address(n).into(), asn, Asn(64_500), router_id)
    }
}

fn main() {
    println!("{:<44} {:>9} {:>9} {:>12}", "", "ms", "letters", "prefixes");
    for (peers, each) in [(10, 1000), (50, 1000), (200, 1000), (50, 20_000)] {
        exchange(peers, each);
    }
    dump(50, 1_000_000);
}

fn row(what: &str, took: Duration, count: &Count) {
    let told: usize = count.told.iter().sum();
    println!("{what:<44} {:>9.2} {:>9} {told:>12}", took.as_secs_f64() * 1e3, count.written);
}

fn exchange(peers: usize, each: usize) {
    let mut router = Router::new(peers);
    (0..peers).for_each(|n| router.up(n));
    router.deliver();
    let connected = router.count.told.clone();
    let began = Instant::now();
    router.tell(peers, each);
    row(&format!("{peers} peers x {each}, to every other"), began.elapsed(), &router.count);
    for (told, connected) in router.count.told.iter().zip(connected) {
        assert_eq!(*told - connected, (peers - 1) * each, "everyone has everything of the others");
    }
    let began = Instant::now();
    router.table.withdraw(id(0), [(nth(0), 0)]).expect("the peer is up");
    router.settle();
    router.deliver();
    row(&format!("{peers} peers x {each}, one withdraw"), began.elapsed(), &router.count);
}

/// As after a restart: everything is there, and all sessions come up.
fn dump(peers: usize, known: usize) {
    let mut router = Router::new(peers + 1);
    router.up(peers);
    let attrs = Arc::new(Attrs {
        as_path: AsPath::sequence([peer(peers).asn.0]),
        next_hop: Some(NextHop::V4(address(peers))),
        ..Attrs::default()
    });
    let told = router.table.update(router.now, id(peers), (0..known).map(|n| (nth(n), 0)), &attrs);
    told.expect("the peer is up");
    router.settle();
    router.deliver();
    (0..peers).for_each(|n| router.up(n));
    let began = Instant::now();
    router.deliver();
    row(&format!("{known} routes to {peers} new sessions"), began.elapsed(), &router.count);
}
