//! A cluster in one process: many machines, a LAN that loses, delays and
//! reorders what they say, partitions and merges, restarts. One seed is one
//! run; a failure names it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;

use super::*;

/// As RIP has it: what is advertised is told every 30 s and forgotten after 180 s.
const UPDATE: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(180);
/// What is withdrawn is told as such for 120 s.
const GARBAGE: Duration = Duration::from_secs(120);
/// News leave within 5 s.
const TRIGGERED: u64 = 5000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Boot(usize),
    Wake(usize),
    Periodic(usize),
    /// A neighbour's whole table is asked for.
    Request {
        to: usize,
        from: usize,
    },
    Update {
        to: usize,
        from: usize,
        routes: Vec<(Prefix, bool)>,
    },
    /// Containers come (or, with none, go).
    Use(usize, u64),
    /// Without a word.
    Crash(usize),
    /// Nodes of different groups do not hear each other.
    Groups(Vec<usize>),
}

struct Node {
    claim: Claim,
    up: bool,
    own: BTreeSet<Prefix>,
    withdrawn: BTreeMap<Prefix, Instant>,
    heard: BTreeMap<(Prefix, usize), Instant>,
    remembered: Option<Prefix>,
    owned_at: Instant,
    used: u64,
}

struct Cluster {
    random: u64,
    now: Instant,
    begin: Instant,
    order: u64,
    queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    nodes: Vec<Node>,
    groups: Vec<usize>,
    pool: Prefix,
    /// Of 100 messages.
    loss: u64,
    last_change: Instant,
    /// Releases of blocks that were held for longer than the probation.
    churn: usize,
}

impl Cluster {
    fn new(seed: u64, nodes: usize, pool: &str, loss: u64) -> Self {
        let now = Instant::now();
        let node = || Node {
            claim: Claim::new(Timing::default()),
            up: false,
            own: BTreeSet::new(),
            withdrawn: BTreeMap::new(),
            heard: BTreeMap::new(),
            remembered: None,
            owned_at: now,
            used: 0,
        };
        Self {
            random: seed,
            now,
            begin: now,
            order: 0,
            queue: BinaryHeap::new(),
            nodes: std::iter::repeat_with(node).take(nodes).collect(),
            groups: vec![0; nodes],
            pool: p(pool),
            loss,
            last_change: now,
            churn: 0,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash(self.random, []) % bound
    }

    fn at(&mut self, at: Instant, what: Happening) {
        // The order of what is due at one instant is any.
        self.order = self.below(u64::MAX);
        self.queue.push(Reverse((at, self.order, what)));
    }

    fn after(&mut self, seconds: u64, what: Happening) {
        self.at(self.begin + Duration::from_secs(seconds), what);
    }

    fn address(node: usize) -> IpAddr {
        Ipv4Addr::from_bits(0xc000_0200 + u32::try_from(node).unwrap() + 1).into()
    }

    fn by(me: usize, other: usize) -> By {
        By::Neighbour { address: Self::address(other), ours: Self::address(me) }
    }

    fn send(&mut self, delay: u64, from: usize, message: impl Fn(usize) -> Happening) {
        for to in 0..self.nodes.len() {
            if to != from && self.groups[to] == self.groups[from] && self.below(100) >= self.loss {
                let delay = Duration::from_millis(delay + self.below(300));
                self.at(self.now + delay, message(to));
            }
        }
    }

    fn table(&mut self, node: usize) -> Vec<(Prefix, bool)> {
        let now = self.now;
        let node = &mut self.nodes[node];
        node.withdrawn.retain(|_, until| now < *until);
        let gone = node.withdrawn.keys().map(|prefix| (*prefix, false));
        node.own.iter().map(|prefix| (*prefix, true)).chain(gone).collect()
    }

    fn announce(&mut self, node: usize, delay: u64) {
        let routes = self.table(node);
        self.send(delay, node, |to| Happening::Update { to, from: node, routes: routes.clone() });
    }

    /// Has a machine take an event, or the time, and does what it says.
    fn drive(&mut self, node: usize, event: Option<Event>) {
        let now = self.now;
        let mut actions = Vec::new();
        let claim = &mut self.nodes[node].claim;
        match event {
            Some(event) => claim.handle(now, event, &mut actions),
            None => claim.tick(now, &mut actions),
        }
        let mut news = false;
        for action in actions {
            let me = &mut self.nodes[node];
            match action {
                Action::Own(block) => {
                    assert!(me.own.insert(block), "owned twice");
                    assert_eq!(me.own.len(), 1, "one block a pool");
                    me.withdrawn.remove(&block);
                    me.remembered = Some(block);
                    me.owned_at = now;
                    (news, self.last_change) = (true, now);
                }
                Action::Release(block) => {
                    assert_eq!(me.used, 0, "a block in use was given up");
                    assert!(me.own.remove(&block));
                    self.churn += usize::from(now - me.owned_at > Timing::default().probation);
                    me.withdrawn.insert(block, now + GARBAGE);
                    me.remembered = None;
                    (news, self.last_change) = (true, now);
                }
                Action::Defend(block) => {
                    assert!(me.own.contains(&block));
                    news = true;
                }
                Action::Alarm(_) | Action::Clear(_) => {}
            }
        }
        if news {
            let delay = self.below(TRIGGERED);
            self.announce(node, delay);
        }
        if let Some(due) = self.nodes[node].claim.next_deadline() {
            self.at(due.max(now), Happening::Wake(node));
        }
    }

    fn boot(&mut self, node: usize) {
        let pool = Wanted::new(self.pool, 24, self.nodes[node].remembered).unwrap();
        let me = &mut self.nodes[node];
        let (used, remembered) = (me.used, me.remembered);
        (me.up, me.claim) = (true, Claim::new(Timing::default()));
        if let Some(block) = remembered.filter(|_| used > 0) {
            self.drive(node, Some(Event::Used { block, addresses: used }));
        }
        let router_id = "192.0.2.1".parse().unwrap();
        let start = Start { name: format!("n{node}"), router_id, wanted: vec![pool] };
        self.drive(node, Some(Event::Start(start)));
        self.send(0, node, |to| Happening::Request { to, from: node });
        let first = self.now + Duration::from_millis(self.below(30_000));
        self.at(first, Happening::Periodic(node));
    }

    fn update(&mut self, to: usize, from: usize, routes: Vec<(Prefix, bool)>) {
        for (prefix, is_there) in routes {
            let by = Self::by(to, from);
            let event = if is_there {
                self.nodes[to].heard.insert((prefix, from), self.now);
                Event::Heard { prefix, by }
            } else {
                self.nodes[to].heard.remove(&(prefix, from));
                Event::Gone { prefix, by }
            };
            self.drive(to, Some(event));
        }
    }

    fn periodic(&mut self, node: usize) {
        let now = self.now;
        let old = self.nodes[node].heard.extract_if(.., |_, at| now - *at > TIMEOUT).collect::<Vec<_>>();
        for ((prefix, from), _) in old {
            self.drive(node, Some(Event::Gone { prefix, by: Self::by(node, from) }));
        }
        self.announce(node, 0);
        let early = UPDATE / 6000 * u32::try_from(self.below(1000)).unwrap();
        self.at(now + (UPDATE * 5 / 6) + early, Happening::Periodic(node));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Boot(node) if !self.nodes[node].up => self.boot(node),
            Happening::Groups(groups) => self.groups = groups,
            Happening::Crash(node) => {
                self.nodes[node].up = false;
                self.nodes[node].own.clear();
                self.nodes[node].heard.clear();
            }
            Happening::Wake(node) if self.nodes[node].up => self.drive(node, None),
            Happening::Periodic(node) if self.nodes[node].up => self.periodic(node),
            Happening::Request { to, from } if self.nodes[to].up => {
                let routes = self.table(to);
                if self.groups[to] == self.groups[from] && self.below(100) >= self.loss {
                    let at = self.now + Duration::from_millis(self.below(200));
                    self.at(at, Happening::Update { to: from, from: to, routes });
                }
            }
            Happening::Update { to, from, routes } if self.nodes[to].up => self.update(to, from, routes),
            Happening::Use(node, addresses) if self.nodes[node].up => {
                // Containers come only where there is a block to be in.
                if let Some(block) = self.nodes[node].own.first().copied() {
                    self.nodes[node].used = addresses;
                    self.drive(node, Some(Event::Used { block, addresses }));
                }
            }
            _ => {}
        }
    }

    fn run_until(&mut self, seconds: u64) {
        let end = self.begin + Duration::from_secs(seconds);
        while let Some(Reverse((at, ..))) = self.queue.peek()
            && *at <= end
        {
            let Some(Reverse((at, _, what))) = self.queue.pop() else { break };
            self.now = self.now.max(at);
            self.happen(what);
        }
        self.now = end;
    }

    /// One owner a block, a block for each node; where two nodes were in use
    /// when they met, both say so and nobody else does.
    fn verify(&self, case: &str) {
        let quiet = self.now - self.last_change;
        assert!(quiet > Duration::from_secs(600), "{case}: still moving {quiet:?} ago");
        for (one, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.up) {
            assert_eq!(node.own.len(), 1, "{case}: node {one} has no block");
            let block = *node.own.first().unwrap();
            assert_eq!(node.claim.blocks().collect::<Vec<_>>(), [block]);
            let mut alarms = BTreeSet::new();
            for (other, rival) in self.nodes.iter().enumerate() {
                if one != other && rival.up && rival.own.contains(&block) {
                    assert!(node.used > 0 && rival.used > 0, "{case}: {one} and {other} both own {block}");
                    let by = Self::address(other);
                    alarms.insert(Alarm::Conflict { ours: Ours::Claimed(block), theirs: block, by });
                }
            }
            assert_eq!(node.claim.alarms, alarms, "{case}: node {one}");
        }
    }
}

fn many_seeds(runs: u64, run: impl Fn(u64)) {
    for seed in 0..runs {
        run(seed);
    }
}

#[test]
fn nodes_that_start_at_once_on_a_good_lan_own_distinct_blocks_in_ten_seconds() {
    many_seeds(60, |seed| {
        let mut cluster = Cluster::new(seed, 3, "10.244.0.0/16", 0);
        (0..3).for_each(|node| cluster.after(0, Happening::Boot(node)));
        cluster.run_until(10);
        let owned: BTreeSet<_> = cluster.nodes.iter().flat_map(|node| node.own.iter()).collect();
        assert_eq!(owned.len(), 3, "seed {seed}");
        cluster.run_until(1000);
        cluster.verify(&format!("seed {seed}"));
        assert_eq!(cluster.churn, 0);
    });
}

#[test]
fn sixty_nodes_share_sixty_four_blocks_whatever_is_lost() {
    many_seeds(6, |seed| {
        let loss = [0, 10, 30][usize::try_from(seed % 3).unwrap()];
        let mut cluster = Cluster::new(seed, 60, "10.244.0.0/18", loss);
        for node in 0..60 {
            let start = cluster.below(40);
            cluster.after(start, Happening::Boot(node));
        }
        cluster.run_until(2400);
        cluster.verify(&format!("seed {seed} loss {loss}"));
    });
}

#[test]
fn without_loss_no_established_owner_ever_moves_for_newcomers() {
    many_seeds(40, |seed| {
        let nodes = 2 + usize::try_from(seed % 15).unwrap();
        let mut cluster = Cluster::new(seed, nodes, "10.244.0.0/20", 0);
        for node in 0..nodes {
            let start = cluster.below(600);
            cluster.after(start, Happening::Boot(node));
        }
        cluster.run_until(2000);
        cluster.verify(&format!("seed {seed}"));
        assert_eq!(cluster.churn, 0, "seed {seed}");
    });
}

/// Everything at once: starts, containers, crashes and restarts, partitions
/// and merges, loss; then peace.
#[test]
fn after_any_history_there_is_one_owner_a_block_and_what_is_in_use_never_moved() {
    let both_in_use = std::cell::Cell::new(0);
    many_seeds(40, |seed| {
        let mut cluster = Cluster::new(seed, 0, "10.244.0.0/16", 0);
        let nodes = 2 + usize::try_from(cluster.below(if seed % 10 == 0 { 58 } else { 14 })).unwrap();
        let mut cluster =
            Cluster::new(seed, nodes, "10.244.0.0/18", [0, 5, 30][usize::try_from(seed % 3).unwrap()]);
        // A small pool, so that parts that do not hear each other collide.
        if nodes <= 14 {
            cluster.pool = p("10.244.0.0/20");
        }
        for node in 0..nodes {
            let start = cluster.below(400);
            cluster.after(start, Happening::Boot(node));
            for _ in 0..cluster.below(4) {
                let (at, addresses) = (cluster.below(1500), cluster.below(3));
                cluster.after(at, Happening::Use(node, addresses));
            }
            if cluster.below(3) == 0 {
                let at = cluster.below(1200);
                cluster.after(at, Happening::Crash(node));
                let pause = 1 + cluster.below(300);
                cluster.after(at + pause, Happening::Boot(node));
            }
        }
        for _ in 0..cluster.below(4) {
            let groups = (0..nodes).map(|_| usize::try_from(cluster.below(3)).unwrap()).collect();
            let at = cluster.below(1400);
            cluster.after(at, Happening::Groups(groups));
        }
        cluster.after(1500, Happening::Groups(vec![0; nodes]));
        cluster.run_until(3600);
        cluster.verify(&format!("seed {seed}, {nodes} nodes"));
        both_in_use
            .set(both_in_use.get() + cluster.nodes.iter().map(|node| node.claim.alarms.len()).sum::<usize>());
    });
    assert!(both_in_use.get() > 0, "no run had two nodes with containers in one block");
}
