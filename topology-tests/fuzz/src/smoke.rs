//! Each target with a fixed number of inputs: the seeds of its corpus, changes
//! of them, and random ones; the same in every run.

use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};

use crate::{
    api, bfd_packet, bfd_session, bgp_attr, bgp_session, bgp_wire, config, discovery, filter, netlink,
    policy, rip_instance, rip_packet,
};

/// Random numbers (xorshift), always the same.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("64 bits") % sides.max(1)
    }

    fn octet(&mut self) -> u8 {
        self.throw(256).to_le_bytes()[0]
    }

    fn octets(&mut self, most: usize) -> Vec<u8> {
        (0..self.throw(most)).map(|_| self.octet()).collect()
    }

    /// Few changes, so that most of it is as it was.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.throw(4) {
            let at = self.throw(bytes.len());
            match self.throw(6) {
                0 => bytes.truncate(at),
                1 => bytes.extend(self.octets(40)),
                2 => drop(bytes.splice(at..at, self.octets(8))),
                3 if at < bytes.len() => drop(bytes.remove(at)),
                _ => {
                    let octet = self.octet();
                    bytes.get_mut(at).into_iter().for_each(|place| *place = octet);
                }
            }
        }
    }
}

/// Gives `run` every seed as it is, then `runs` inputs of at most `most` octets.
fn smoke<T: for<'a> Arbitrary<'a>>(target: &str, runs: usize, most: usize, run: impl Fn(T)) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = corpus.read_dir().into_iter().flatten();
    let mut seeds: Vec<Vec<u8>> =
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    seeds.sort();
    let run = |bytes: &[u8]| {
        if let Ok(input) = T::arbitrary_take_rest(Unstructured::new(bytes)) {
            run(input);
        }
    };
    seeds.iter().for_each(|seed| run(seed));
    let mut dice = Dice(7);
    for _ in 0..runs {
        let mut bytes = match seeds.get(dice.throw(seeds.len() + 1)) {
            Some(seed) => seed.clone(),
            None => dice.octets(most),
        };
        dice.change(&mut bytes);
        run(&bytes);
    }
}

/// A target that takes octets alone.
type Octets = Box<[u8]>;

#[test]
fn bgp_frame_decode() {
    smoke("bgp_frame_decode", 20_000, 300, |(extended, octets): (bool, Octets)| {
        bgp_wire::stream(extended, &octets);
    });
}

#[test]
fn bgp_open() {
    smoke("bgp_open", 20_000, 100, |octets: Octets| bgp_wire::open(&octets));
}

#[test]
fn bgp_update() {
    smoke("bgp_update", 20_000, 200, |(as4, external, add_path, body): (bool, bool, [bool; 2], Octets)| {
        bgp_wire::update(as4, external, add_path, &body);
    });
}

/// Every attribute with every short length, and values that begin like sound ones.
#[test]
fn bgp_attr() {
    let mut dice = Dice(7);
    for which in 0..bgp_attr::ATTRIBUTES.len() {
        for length in (0..40).chain([255, 256, 4096]) {
            for round in 0..20 {
                let small = round % 2 == 0;
                let value: Vec<u8> =
                    (0..length).map(|_| if small { dice.octet() % 4 } else { dice.octet() }).collect();
                let which = which.to_le_bytes()[0];
                bgp_attr::run(dice.octet(), which, if round < 15 { 0 } else { dice.octet() }, &value);
            }
        }
    }
}

#[test]
fn bgp_session() {
    let mut dice = Dice(7);
    for _ in 0..2000 {
        let turns: Vec<bgp_session::Turn> = (0..80)
            .map(|_| {
                let number = u16::from_le_bytes([dice.octet(), dice.octet()]);
                (dice.octet(), dice.octet(), number, dice.octets(30))
            })
            .collect();
        let [ours, theirs] = [0; 2].map(|_| u16::from_le_bytes([dice.octet(), dice.octet()]));
        bgp_session::run(ours, theirs, &turns);
    }
}

#[test]
fn rip() {
    smoke("rip_packet", 20_000, 520, |octets: Octets| rip_packet::v2(&octets));
    smoke("ripng_packet", 20_000, 520, |octets: Octets| rip_packet::ng(&octets));
}

#[test]
fn rip_instances() {
    smoke("rip_instance", 2000, 1500, |(v4, turns): (bool, Vec<rip_instance::Turn>)| {
        rip_instance::run(v4, turns);
    });
}

#[test]
fn bfd_packets() {
    smoke("bfd_packet", 10_000, 60, |octets: Octets| bfd_packet::run(&octets));
}

#[test]
fn bfd_sessions() {
    // What has been found once.
    smoke("bfd_session", 200, 300, |(many_hops, turns): (bool, Vec<bfd_session::Turn>)| {
        bfd_session::run(many_hops, &turns);
    });
    let mut dice = Dice(7);
    for round in 0..1000 {
        let turns: Vec<bfd_session::Turn> = (0..60)
            .map(|_| {
                let (op, one, two) = (dice.octet(), dice.octet(), dice.octet());
                // Sparse changes, so that a packet is still one.
                let bytes =
                    (0..dice.throw(60)).map(|_| if dice.throw(8) == 0 { dice.octet() } else { 0 }).collect();
                (op, one, two, bytes)
            })
            .collect();
        bfd_session::run(round % 2 == 0, &turns);
    }
}

#[test]
fn discoveries() {
    let mut dice = Dice(7);
    for _ in 0..2000 {
        let turns: Vec<discovery::Turn> = (0..60)
            .map(|_| {
                let (wait, source, hop_limit) = (dice.octet() % 50, dice.octet(), dice.octet());
                // Types and codes that are known, and options that may be right.
                let mut bytes: Vec<u8> = (0..dice.throw(40))
                    .map(|at| if at >= 16 && dice.throw(3) > 0 { dice.octet() % 3 } else { 0 })
                    .collect();
                bytes.first_mut().into_iter().for_each(|kind| *kind = 133 + dice.octet() % 2);
                (wait, source, hop_limit, bytes)
            })
            .collect();
        discovery::run(&turns);
    }
}

/// A target that takes a text alone.
type Text = Box<str>;

#[test]
fn configurations() {
    smoke("config", 3000, 200, |text: Text| config::run(&text));
}

#[test]
fn filters() {
    smoke("filter", 3000, 200, |text: Text| filter::run(&text));
}

#[test]
fn policies() {
    smoke("policy", 3000, 200, |text: Text| policy::run(&text));
}

#[test]
fn requests() {
    smoke("api", 10_000, 200, |(kind, octets): (u8, Octets)| api::run(kind, &octets));
}

#[test]
fn netlink_datagrams() {
    smoke("netlink", 20_000, 300, |octets: Octets| netlink::run(&octets));
}
