//! Many instances on many links in one process, with a clock of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use net::{Family, Prefix};
use rip::auth::{Auth, Key, Mode};
use rip::wire::{group, port};
use rip::{
    Action, Advert, Clock, Config, Event, Instance, Interface, Learned, Received, Settings, SplitHorizon,
};

/// The time of day when the simulation begins.
const UNIX: u64 = 1_700_000_000;

/// Randomness from a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }

    /// One of so many.
    pub(crate) fn pick(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }
}

/// What a run is like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) family: Family,
    pub(crate) nodes: usize,
    /// Links besides those that make the network one.
    pub(crate) extra: usize,
    pub(crate) split_horizon: SplitHorizon,
    pub(crate) auth: bool,
    pub(crate) seed: u64,
}

struct Node {
    rip: Instance,
    /// What the table of the node would hold.
    learned: BTreeMap<Prefix, Learned>,
}

/// A link and who is on it.
pub(crate) struct Link {
    pub(crate) members: BTreeSet<usize>,
    /// Interfaces there are up.
    pub(crate) up: bool,
    /// Interfaces are up but nothing comes through.
    pub(crate) deaf: bool,
}

struct Datagram {
    link: usize,
    from: usize,
    to: SocketAddr,
    bytes: Vec<u8>,
}

pub(crate) struct Net {
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    pub(crate) links: Vec<Link>,
    /// Datagrams lost, in percent.
    pub(crate) loss: u64,
    base: Instant,
    pub(crate) now: Instant,
    nodes: Vec<Node>,
    wire: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
}

impl Net {
    /// A connected network: a tree of links, and more at random. Some links
    /// have more than two ends.
    pub(crate) fn new(plan: Plan) -> Self {
        let mut dice = Dice(plan.seed);
        let mut links = Vec::new();
        let mut link = |members: &[usize]| {
            links.push(Link { members: members.iter().copied().collect(), up: true, deaf: false });
        };
        for node in 1..plan.nodes {
            // Half of them in a row, which makes long paths.
            let parent = if dice.pick(2) == 0 { node - 1 } else { dice.pick(node) };
            link(&[node, parent]);
        }
        for _ in 0..plan.extra {
            let members: Vec<usize> = (0..2 + dice.pick(3)).map(|_| dice.pick(plan.nodes)).collect();
            if members.iter().collect::<BTreeSet<_>>().len() > 1 {
                link(&members);
            }
        }
        let base = Instant::now();
        let nodes = (0..plan.nodes).map(|node| Self::node(&plan, base, node, 0)).collect();
        let (wire, sent) = (BTreeMap::new(), 0);
        let mut net = Self { plan, dice, links, loss: 0, base, now: base, nodes, wire, sent };
        (0..net.nodes.len()).for_each(|node| net.start(node));
        net
    }

    /// Puts all nodes on one link instead, just now.
    pub(crate) fn one_link(&mut self) {
        for link in 0..self.links.len() {
            self.set_link(link, false);
        }
        let members = (0..self.nodes.len()).collect();
        self.links.push(Link { members, up: false, deaf: false });
        self.set_link(self.links.len() - 1, true);
    }

    fn node(plan: &Plan, base: Instant, node: usize, life: u64) -> Node {
        let clock = Clock { instant: base, unix: UNIX };
        let mut config = Config::new(plan.family, clock, plan.seed ^ (node as u64) << 32 ^ life);
        config.multipath = 4;
        Node { rip: Instance::new(config), learned: BTreeMap::new() }
    }

    fn start(&mut self, node: usize) {
        for link in self.links_of(node) {
            if self.links[link].up {
                let interface = self.interface(node, link);
                self.event(node, Event::InterfaceUp(interface));
            }
        }
        let own = (self.prefix(node), Some(Advert::new(1)));
        self.event(node, Event::Advertise(vec![own]));
    }

    /// Takes the node down and up again, with nothing remembered.
    pub(crate) fn restart(&mut self, node: usize) {
        self.nodes[node] = Self::node(&self.plan, self.base, node, self.sent);
        self.start(node);
    }

    /// Takes a link up or down, as all its ends can see.
    pub(crate) fn set_link(&mut self, link: usize, up: bool) {
        if self.links[link].up == up {
            return;
        }
        self.links[link].up = up;
        for node in self.links[link].members.clone() {
            let event = if up {
                Event::InterfaceUp(self.interface(node, link))
            } else {
                Event::InterfaceDown(index(link))
            };
            self.event(node, event);
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let arrives = self.wire.keys().next().map(|(at, _)| *at);
            let due = (0..self.nodes.len())
                .filter_map(|node| Some((self.nodes[node].rip.next_deadline()?, node)))
                .min();
            let next = arrives.into_iter().chain(due.map(|(at, _)| at)).min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            assert!(at >= self.now || due.is_none_or(|(at, _)| at >= self.now), "a deadline is left behind");
            self.now = self.now.max(at);
            if arrives == Some(at) {
                let (_, datagram) = self.wire.pop_first().unwrap();
                self.deliver(&datagram);
            } else if let Some((_, node)) = due {
                let mut actions = Vec::new();
                self.nodes[node].rip.tick(self.now, &mut actions);
                self.act(node, actions);
            }
        }
        self.now = until;
    }

    fn event(&mut self, node: usize, event: Event) {
        let mut actions = Vec::new();
        self.nodes[node].rip.handle(self.now, event, &mut actions);
        self.act(node, actions);
    }

    fn act(&mut self, node: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { interface, to, bytes } => {
                    let link = usize::try_from(interface).unwrap() - 1;
                    let limit = if self.plan.family == Family::Ipv4Unicast { 504 } else { 1452 };
                    assert!(bytes.len() <= limit);
                    self.sent += 1;
                    // Any order within 200 ms.
                    let at = self.now + Duration::from_micros(100 + self.dice.below(200_000));
                    self.wire.insert((at, self.sent), Datagram { link, from: node, to, bytes });
                }
                Action::Learned(routes) => self.nodes[node].learned.extend(routes),
                Action::Lost(routes) => {
                    for prefix in routes {
                        assert!(self.nodes[node].learned.remove(&prefix).is_some(), "lost twice: {prefix}");
                    }
                }
                Action::NeighborUp { .. } | Action::NeighborDown { .. } => {}
            }
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        let link = &self.links[datagram.link];
        if !link.up || link.deaf {
            return;
        }
        let source = SocketAddr::new(self.address(datagram.from, datagram.link), port(self.plan.family));
        let multicast = datagram.to.ip() == group(self.plan.family);
        for node in link.members.clone() {
            let to_it = multicast || datagram.to.ip() == self.address(node, datagram.link);
            if node != datagram.from && to_it && self.dice.below(100) >= self.loss {
                let received = Received {
                    interface: index(datagram.link),
                    source,
                    multicast,
                    ttl: Some(255),
                    bytes: datagram.bytes.clone(),
                };
                self.event(node, Event::Received(received));
            }
        }
    }

    fn interface(&self, node: usize, link: usize) -> Interface {
        let address = self.address(node, link);
        let length = if address.is_ipv4() { 24 } else { 64 };
        let auth = Auth { mode: Mode::HmacSha256, keys: vec![Key::new(1, "secret")] };
        let settings = Settings {
            split_horizon: self.plan.split_horizon,
            auth: self.plan.auth.then_some(auth),
            ..Settings::default()
        };
        Interface {
            index: index(link),
            name: format!("link{link}"),
            mtu: 1500,
            addresses: vec![(address, Prefix::new(address, length).unwrap())],
            settings,
        }
    }

    fn address(&self, node: usize, link: usize) -> IpAddr {
        let (node, link) = (u16::try_from(node + 1).unwrap(), u16::try_from(link).unwrap());
        match self.plan.family {
            Family::Ipv4Unicast => {
                let [high, low] = link.to_be_bytes();
                Ipv4Addr::new(172, 16 + high, low, u8::try_from(node).unwrap()).into()
            }
            Family::Ipv6Unicast => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, link, node).into(),
        }
    }

    /// What a node tells as its own.
    pub(crate) fn prefix(&self, node: usize) -> Prefix {
        let node = u16::try_from(node).unwrap();
        let (address, length): (IpAddr, u8) = match self.plan.family {
            Family::Ipv4Unicast => (Ipv4Addr::new(10, 100, u8::try_from(node).unwrap(), 0).into(), 24),
            Family::Ipv6Unicast => (Ipv6Addr::new(0xfd00, node, 0, 0, 0, 0, 0, 0).into(), 48),
        };
        Prefix::new(address, length).unwrap()
    }

    fn links_of(&self, node: usize) -> Vec<usize> {
        (0..self.links.len()).filter(|link| self.links[*link].members.contains(&node)).collect()
    }

    /// How many links from each node to this one; `None`: no way.
    pub(crate) fn distances(&self, to: usize) -> Vec<Option<usize>> {
        let mut distances = vec![None; self.nodes.len()];
        distances[to] = Some(0);
        let mut queue = VecDeque::from([(to, 0)]);
        while let Some((node, distance)) = queue.pop_front() {
            for link in self.links_of(node).into_iter().map(|link| &self.links[link]) {
                for next in link.members.iter().filter(|_| link.up && !link.deaf) {
                    if distances[*next].is_none() {
                        distances[*next] = Some(distance + 1);
                        queue.push_back((*next, distance + 1));
                    }
                }
            }
        }
        distances
    }

    /// Every table holds exactly the shortest paths, and all of equal length.
    pub(crate) fn check_shortest(&self) {
        for to in 0..self.nodes.len() {
            let distances = self.distances(to);
            for (node, distance) in distances.iter().enumerate().filter(|(node, _)| *node != to) {
                let learned = self.nodes[node].learned.get(&self.prefix(to));
                // Metric 1 at the owner and 1 for each link.
                let Some(distance) = distance.filter(|distance| *distance < 15) else {
                    assert_eq!(learned, None, "{node} -> {to}: there is no way");
                    continue;
                };
                let mut hops: Vec<(u32, IpAddr)> = Vec::new();
                for link in self
                    .links_of(node)
                    .into_iter()
                    .filter(|link| self.links[*link].up && !self.links[*link].deaf)
                {
                    let nearer = |next: &&usize| distances[**next] == Some(distance - 1);
                    let nearer = self.links[link].members.iter().filter(nearer);
                    hops.extend(nearer.map(|next| (index(link), self.address(*next, link))));
                }
                hops.sort_unstable();
                hops.truncate(4);
                let learned = learned.unwrap_or_else(|| panic!("{node} -> {to}: no route"));
                let got: Vec<_> = learned.next_hops.iter().map(|hop| (hop.interface, hop.address)).collect();
                assert_eq!((usize::from(learned.metric), got), (distance + 1, hops), "{node} -> {to}");
            }
        }
    }

    /// No node remembers anything of a node that it cannot reach.
    pub(crate) fn check_forgotten(&self) {
        for to in 0..self.nodes.len() {
            for (node, _) in self.distances(to).iter().enumerate().filter(|(_, way)| way.is_none()) {
                let stale = self.nodes[node].rip.routes().find(|route| route.prefix == self.prefix(to));
                assert_eq!(stale, None, "{node} -> {to}");
            }
        }
    }

    /// What was told is what the instance has, and no metric is above 16.
    pub(crate) fn check_books(&self) {
        for node in &self.nodes {
            let mut learned = node.learned.clone();
            for route in node.rip.routes() {
                assert!(route.metric <= 16);
                if let rip::status::RouteState::Valid(until) = route.state {
                    let told = learned.remove(&route.prefix).unwrap();
                    assert_eq!((told.metric, told.next_hops), (route.metric, route.next_hops));
                    assert!(until > self.now, "a dead route is still there");
                }
            }
            learned.retain(|prefix, _| node.rip.routes().all(|route| route.prefix != *prefix));
            assert!(learned.is_empty(), "told and forgotten: {learned:?}");
        }
    }
}

fn index(link: usize) -> u32 {
    u32::try_from(link).unwrap() + 1
}
