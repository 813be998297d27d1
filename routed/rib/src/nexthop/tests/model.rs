//! The search and its memory against a naive model under random operations.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PREFIXES: [&str; 8] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.1.0/24",
    "11.0.0.0/8",
    "11.1.0.0/16",
    "12.0.0.0/8",
    "192.0.2.0/25",
];
const ADDRESSES: [&str; 8] =
    ["192.0.2.1", "198.51.100.1", "10.1.1.1", "10.1.2.1", "10.2.0.1", "11.1.0.1", "11.2.0.1", "12.0.0.1"];
const LINKS: [&str; 2] = ["192.0.2.0/24", "198.51.100.0/24"];
const PEERS: u32 = 3;

/// What holds: links by number, gateways and next hops by prefix.
#[derive(Clone, Debug, Default)]
struct World {
    links: [bool; LINKS.len()],
    statics: BTreeMap<usize, usize>,
    /// By prefix and peer: the next hop and the length of the AS path.
    bgp: BTreeMap<(usize, u32), (usize, u8)>,
}

#[derive(Clone, Debug)]
enum Op {
    Link(usize, bool),
    Static(usize, Option<usize>),
    Bgp(usize, u32, Option<(usize, u8)>),
    Down(u32),
    Settle,
}

fn op() -> impl Strategy<Value = Op> {
    let (prefix, address) = (0..PREFIXES.len(), 0..ADDRESSES.len());
    let told = prop::option::weighted(0.8, (address.clone(), 1u8..4));
    prop_oneof![
        2 => (0..LINKS.len(), any::<bool>()).prop_map(|(link, up)| Op::Link(link, up)),
        2 => (prefix.clone(), prop::option::of(address)).prop_map(|(prefix, via)| Op::Static(prefix, via)),
        8 => (prefix, 1..=PEERS, told).prop_map(|(prefix, peer, told)| Op::Bgp(prefix, peer, told)),
        1 => (1..=PEERS).prop_map(Op::Down),
        2 => Just(Op::Settle),
    ]
}

/// A path that may carry an address.
#[derive(Clone, Copy)]
enum Carrier {
    Link(u32),
    Static(usize),
    Bgp(usize),
}

impl World {
    fn apply(&mut self, t: &mut Table, now: Instant, op: &Op) {
        match *op {
            Op::Link(link, up) => {
                self.links[link] = up;
                let up = (1..).zip(LINKS).zip(self.links).filter(|(_, up)| *up);
                let links: Vec<Link> =
                    up.map(|((ifindex, prefix), _)| Link { prefix: p(prefix), ifindex }).collect();
                t.set_links(now, &links, [ip("192.0.2.254")]);
            }
            Op::Static(prefix, Some(via)) => {
                self.statics.insert(prefix, via);
                t.originate(now, p(PREFIXES[prefix]), origination(ADDRESSES[via]));
            }
            Op::Static(prefix, None) => {
                self.statics.remove(&prefix);
                t.unoriginate(p(PREFIXES[prefix]), Protocol::Static, 0);
            }
            Op::Bgp(prefix, peer, Some((next_hop, length))) => {
                self.bgp.insert((prefix, peer), (next_hop, length));
                let told = attrs(&vec![65000 + peer; length.into()], ADDRESSES[next_hop]);
                t.update(now, PeerId(peer), [(p(PREFIXES[prefix]), 0)], &told).unwrap();
            }
            Op::Bgp(prefix, peer, None) => {
                self.bgp.remove(&(prefix, peer));
                t.withdraw(PeerId(peer), [(p(PREFIXES[prefix]), 0)]).unwrap();
            }
            Op::Down(peer) => {
                self.bgp.retain(|(_, other), _| *other != peer);
                t.peer_down(PeerId(peer));
                t.peer_up(super::peer(u8::try_from(peer).unwrap(), 65000 + peer));
            }
            Op::Settle => drop(t.take_changes(usize::MAX)),
        }
    }

    fn on_link(&self, address: usize) -> Option<u32> {
        let holds =
            |((_, prefix), up): &((u32, &str), bool)| *up && p(prefix).contains(ip(ADDRESSES[address]));
        let found = (1..).zip(LINKS).zip(self.links).find(holds);
        found.map(|((ifindex, _), _)| ifindex)
    }

    /// The paths that may carry an address: by prefix, the longest first; in
    /// the order in which they are preferred.
    fn carriers(&self, address: usize, by_bgp: bool) -> Vec<Vec<Carrier>> {
        let link = self.on_link(address);
        let mut holding: Vec<Prefix> = PREFIXES.iter().chain(&LINKS).map(|prefix| p(prefix)).collect();
        holding.retain(|prefix| prefix.contains(ip(ADDRESSES[address])));
        holding.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        let mut all = Vec::new();
        for prefix in holding {
            if let Some(ifindex) = link.filter(|ifindex| p(LINKS[*ifindex as usize - 1]) == prefix) {
                all.push(vec![Carrier::Link(ifindex)]);
                break;
            }
            let place = PREFIXES.iter().position(|other| p(other) == prefix);
            let Some(place) = place.filter(|_| by_bgp) else { continue };
            let mut here: Vec<Carrier> =
                self.statics.get(&place).map(|via| Carrier::Static(*via)).into_iter().collect();
            if link.is_none() {
                let mut told: Vec<_> = self.bgp.range((place, 0)..(place, PEERS + 1)).collect();
                told.sort_by_key(|((_, peer), (_, length))| (*length, *peer));
                here.extend(told.into_iter().map(|(_, (next_hop, _))| Carrier::Bgp(*next_hop)));
            }
            all.push(here);
        }
        all
    }

    fn needs(&self, address: usize) -> Vec<usize> {
        let bgp = |carrier| if let Carrier::Bgp(next_hop) = carrier { Some(next_hop) } else { None };
        self.carriers(address, true).into_iter().flatten().filter_map(bgp).collect()
    }

    /// True when one address may need another, in any number of steps.
    fn may_need(&self, one: usize, other: usize) -> bool {
        let (mut seen, mut queue) = (vec![], vec![one]);
        while let Some(address) = queue.pop() {
            if address == other {
                return true;
            }
            if !seen.contains(&address) {
                seen.push(address);
                queue.extend(self.needs(address));
            }
        }
        false
    }

    /// Where an address leads.
    fn leads(&self, address: usize, by_bgp: bool) -> Option<Target> {
        let to = |carrier: Carrier| match carrier {
            Carrier::Link(ifindex) => Some(through(ADDRESSES[address], ifindex)),
            Carrier::Static(via) => self.leads(via, false),
            Carrier::Bgp(next_hop) if self.may_need(next_hop, address) => None,
            Carrier::Bgp(next_hop) => self.leads(next_hop, true),
        };
        self.carriers(address, by_bgp).into_iter().flatten().find_map(to)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn next_hops_lead_where_a_naive_model_says(ops in prop::collection::vec(op(), 0..60)) {
        let now = Instant::now();
        let mut t = Table::new(crate::fixture::rules());
        t.set_links(now, &[], [ip("192.0.2.254")]);
        (1..=PEERS).for_each(|n| t.peer_up(super::peer(u8::try_from(n).unwrap(), 65000 + n)));
        let mut world = World::default();
        for op in ops.iter().chain([&Op::Settle]) {
            world.apply(&mut t, now, op);
        }
        prop_assert!(!t.has_changes());
        for (place, prefix) in PREFIXES.iter().enumerate() {
            let mut usable = vec![];
            if let Some(via) = world.statics.get(&place) {
                usable.push((1, 0, world.leads(*via, false)));
            }
            for ((_, peer), (next_hop, length)) in world.bgp.range((place, 0)..(place, PEERS + 1)) {
                let target = world.leads(*next_hop, true);
                let view = t.route(p(prefix)).unwrap();
                let seen = view.candidates.iter().find(|seen| seen.path.peer() == Some(PeerId(*peer)));
                prop_assert_eq!(&seen.unwrap().target, &target, "{} of {}", prefix, peer);
                usable.push((20, 10 * u32::from(*length) + peer, target));
            }
            usable.retain(|(.., target)| target.is_some());
            let best = usable.into_iter().min_by_key(|(distance, rank, _)| (*distance, *rank));
            let told = t.best(p(prefix)).filter(|best| best.path.protocol != Protocol::Connected);
            prop_assert_eq!(told.map(|best| Target::clone(&best.target)), best.and_then(|(.., target)| target), "{}", prefix);
        }
    }
}
