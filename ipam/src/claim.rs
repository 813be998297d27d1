//! How a node without a container subnet claims a block of a pool, with no
//! server to ask: what others own is what the routing protocol hears.
//!
//! *In*: what is wanted ([`Start`]), what others on the LAN advertise
//! ([`Event::Heard`], [`Event::Gone`]), how many addresses a block has in use
//! ([`Event::Used`]), the time. *Out*: blocks to originate and to withdraw,
//! alarms. *Must not know*: sockets, the clock, which protocol carried the
//! news, where claims are kept.
//!
//! ```text
//!            listening time over          nobody advertises it
//!  Start ─► Listening ──────────► Seeking ──────────────────► Holding ─┐
//!     └─ remembered, in use ────────────────────────────────►   ▲      │ patience over:
//!                                    ▲                          │      │ Release
//!                                    └──────────────────────────┴──────┘
//! ```
//!
//! # Rules
//! 1. *Listen before you speak.* [`Timing::listen`], or [`Timing::recall`]
//!    when a block is remembered, and up to half as much again, by the hash
//!    of the node. A remembered block with addresses in use is owned at once:
//!    it would be kept whatever is heard.
//! 2. *Choose.* The remembered block if nobody has it; else the first free
//!    one from a place that the hash of the node and of the try gives. A
//!    block is free when nothing heard shares an address with it. A prefix
//!    that is wider than the pool (a default route, an aggregate) is no claim.
//! 3. *Keep.* A block with addresses in use is never given up. One without
//!    is given up when a rival is still heard after a *patience*, in steps of
//!    [`Timing::step`]. It depends on the age of the claim when the rival
//!    appeared (young: below [`Timing::probation`]) and on who has the lower
//!    address, which is first:
//!
//!    | | first | not first |
//!    |---|---|---|
//!    | young | 1 step | none |
//!    | established | 6 steps | 4 steps |
//!
//!    A subnet of this host itself has no patience to wait for.
//! 4. *Speak up.* Whoever keeps a block that a rival has appeared for says so
//!    again at once ([`Action::Defend`]) and raises an alarm until it is over.
//!
//! # Why this converges
//! Both see the same two addresses, so exactly one of them is first. Take any
//! two claims of one block, neither in use. If either is young and not first,
//! its patience is none. Else the one that is not first is established, with
//! 4 steps, and the other has 1 or 6: never the same. So one gives up at
//! least a step before the other would, and when that is longer than the news
//! takes, the other sees the end of it and keeps its block. A newcomer gives
//! way to who was there before, whatever their addresses; as 4 steps are
//! longer than an update interval, also when one message was lost. If one is in use,
//! its patience is infinite and the other's is not. Both in use: nobody
//! moves, both raise the alarm; people decide. Patience is counted from
//! state, not history, so the order of news does not matter; lost news costs
//! at worst that both move. Who gives up takes a block that it does not hear
//! of, from a place that differs by node and by try, so two that move at once
//! part sooner or later with probability one: each further try collides with
//! a chance of one in the free blocks.

mod alarm;
mod choose;
mod heard;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use net::{Prefix, RouterId};
use thiserror::Error;

pub use alarm::{Alarm, Ours};
use choose::{hash, next_free};
use heard::Heard;

/// How long things take. The defaults suit RIP: a newcomer asks for every
/// neighbour's whole table at once (RFC 2453 §3.9.1), news leave within 5 s
/// (§3.10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The shortest listening time of a node that remembers nothing.
    pub listen: Duration,
    /// The shortest listening time of a node that remembers a block.
    pub recall: Duration,
    /// How long a claim is young.
    pub probation: Duration,
    /// The unit of patience; longer than news take.
    pub step: Duration,
}

impl Default for Timing {
    /// 3 s, 1 s, 60 s, 10 s.
    fn default() -> Self {
        let [listen, recall, probation, step] = [3, 1, 60, 10].map(Duration::from_secs);
        Self { listen, recall, probation, step }
    }
}

/// A block that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pool: Prefix,
    length: u8,
    remembered: Option<Prefix>,
}

/// Blocks of that length do not fit the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "pool {pool} has no blocks of length {length}; set [cluster] node_block to a length from {} to {}",
    pool.len(), pool.family().max_length()
)]
pub struct BadLength {
    /// The pool.
    pub pool: Prefix,
    /// The length of a block in bits.
    pub length: u8,
}

impl Wanted {
    /// A block of `length` bits out of `pool`. `remembered` is what this node
    /// had before; it counts when it lies in the pool and has that length, or
    /// any length while it has addresses in use.
    pub fn new(pool: Prefix, length: u8, remembered: Option<Prefix>) -> Result<Self, BadLength> {
        if length < pool.len() || length > pool.family().max_length() {
            return Err(BadLength { pool, length });
        }
        Ok(Self { pool, length, remembered })
    }
}

/// What a node begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The name of the node.
    pub name: String,
    /// Its router id.
    pub router_id: RouterId,
    /// One block is claimed for each; the pools are disjoint.
    pub wanted: Vec<Wanted>,
}

/// Whose a prefix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// A neighbour that owns it itself (RIP: heard with metric 1).
    Neighbour {
        /// Who, as it calls itself towards us: the source address of its RIP
        /// packets, its BGP identifier.
        address: IpAddr,
        /// Who we are towards it, in the same words.
        ours: IpAddr,
    },
    /// This node, not by a claim: the subnet of a bridge that it advertises,
    /// a configured block. Never moved; a neighbour that has it too is alarmed
    /// about. The bridge of a claimed block is none of these.
    Here,
    /// Whoever: a route that a neighbour passes on (it may be the echo of our
    /// own), the subnet of an uplink. Not chosen, not fought over.
    Other(IpAddr),
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Begin, or go on with other pools: blocks of pools and lengths that stay
    /// are kept, and those in use as long as their pool stays; the others are
    /// released. What is heard and used may be told before.
    Start(Start),
    /// Somebody advertises a prefix. Telling it again changes nothing.
    Heard {
        /// What.
        prefix: Prefix,
        /// Who.
        by: By,
    },
    /// Somebody does not advertise a prefix any more.
    Gone {
        /// What.
        prefix: Prefix,
        /// Who.
        by: By,
    },
    /// So many addresses of a claimed block are in use.
    Used {
        /// The block.
        block: Prefix,
        /// How many.
        addresses: u64,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The block is this node's: remember it, make its bridge, originate it.
    Own(Prefix),
    /// It is not any more: withdraw it at once, forget it.
    Release(Prefix),
    /// Advertise it again at once, so that a rival that has not heard will.
    Defend(Prefix),
    /// Something needs eyes.
    Alarm(Alarm),
    /// It is over.
    Clear(Alarm),
}

/// One wanted block and where it stands.
#[derive(Clone, Debug)]
struct Slot {
    wanted: Wanted,
    /// How many blocks were given up.
    tries: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Listening {
        until: Instant,
    },
    /// Nothing is free.
    Seeking,
    Holding {
        block: Prefix,
        since: Instant,
        /// Since when it has no addresses in use; told only while it has none.
        idle: Instant,
    },
}

/// The machine of one node.
#[derive(Clone, Debug)]
pub struct Claim {
    timing: Timing,
    seed: u64,
    slots: Vec<Slot>,
    heard: Heard,
    used: BTreeMap<Prefix, u64>,
    alarms: BTreeSet<Alarm>,
}

impl Claim {
    /// A machine that waits for [`Event::Start`].
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            seed: 0,
            slots: Vec::new(),
            heard: Heard::default(),
            used: BTreeMap::new(),
            alarms: BTreeSet::new(),
        }
    }

    /// Takes an event in. `now` never goes back.
    pub fn handle(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        let mut appeared = None;
        match event {
            Event::Start(start) => self.start(now, start, actions),
            Event::Heard { prefix, by } => {
                if !self.heard.insert(prefix, by, now) {
                    return;
                }
                appeared = Some(prefix).filter(|_| matches!(by, By::Neighbour { .. }));
            }
            Event::Gone { prefix, by } => self.heard.remove(prefix, by),
            Event::Used { block, addresses } => self.use_of(now, block, addresses),
        }
        self.settle(now, actions);
        actions.extend(appeared.and_then(|prefix| self.kept_against(prefix)).map(Action::Defend));
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.settle(now, actions);
    }

    /// When [`Claim::tick`] is next due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let due = |slot: &Slot| match slot.phase {
            Phase::Listening { until } => Some(until),
            Phase::Seeking => None,
            Phase::Holding { .. } => self.yields_at(slot),
        };
        self.slots.iter().filter_map(due).min()
    }

    /// The blocks that this node holds.
    pub fn blocks(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.slots.iter().filter_map(|slot| match slot.phase {
            Phase::Holding { block, .. } => Some(block),
            Phase::Listening { .. } | Phase::Seeking => None,
        })
    }

    /// The alarms that are raised.
    pub fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        self.alarms.iter()
    }

    fn start(&mut self, now: Instant, start: Start, actions: &mut Vec<Action>) {
        let id = u32::from(start.router_id).to_be_bytes();
        self.seed = hash(0, start.name.as_bytes().iter().chain(&id).copied());
        let mut old = std::mem::take(&mut self.slots);
        for wanted in start.wanted {
            let same = |slot: &Slot| slot.wanted.pool == wanted.pool && slot.wanted.length == wanted.length;
            // What is in use stays, also where its length is no longer wanted.
            let in_use = |slot: &Slot| match slot.phase {
                Phase::Holding { block, .. } => wanted.pool.covers(block) && self.is_used(block),
                Phase::Listening { .. } | Phase::Seeking => false,
            };
            let slot = match old.iter().position(same).or_else(|| old.iter().position(in_use)) {
                Some(place) => Slot { wanted, ..old.swap_remove(place) },
                None => Slot { wanted, tries: 0, phase: self.first_phase(now, wanted, actions) },
            };
            self.slots.push(slot);
        }
        for slot in old {
            if let Phase::Holding { block, .. } = slot.phase {
                actions.push(Action::Release(block));
            }
        }
    }

    fn first_phase(&self, now: Instant, wanted: Wanted, actions: &mut Vec<Action>) -> Phase {
        if let Some(block) = self.recalled(wanted)
            && self.is_used(block)
        {
            actions.push(Action::Own(block));
            return Phase::Holding { block, since: now, idle: now };
        }
        let least = if self.recalled(wanted).is_some() { self.timing.recall } else { self.timing.listen };
        let part = u32::try_from(self.mix(wanted, 0) >> 32 & 0xff).unwrap_or(0);
        Phase::Listening { until: now + least + least / 512 * part }
    }

    /// The remembered block, where it counts.
    fn recalled(&self, wanted: Wanted) -> Option<Prefix> {
        let counts = |block: &Prefix| {
            wanted.pool.covers(*block) && (block.len() == wanted.length || self.is_used(*block))
        };
        wanted.remembered.filter(counts)
    }

    fn use_of(&mut self, now: Instant, block: Prefix, addresses: u64) {
        let before =
            if addresses == 0 { self.used.remove(&block) } else { self.used.insert(block, addresses) };
        if addresses > 0 || before.is_none() {
            return;
        }
        for slot in &mut self.slots {
            if let Phase::Holding { block: held, idle, .. } = &mut slot.phase
                && *held == block
            {
                *idle = now;
            }
        }
    }

    fn is_used(&self, block: Prefix) -> bool {
        self.used.contains_key(&block)
    }

    /// The block of ours that a rival's prefix contests.
    fn kept_against(&self, prefix: Prefix) -> Option<Prefix> {
        self.slots.iter().find_map(|slot| match slot.phase {
            Phase::Holding { block, .. } => {
                (block.overlaps(prefix) && prefix.len() >= slot.wanted.pool.len()).then_some(block)
            }
            Phase::Listening { .. } | Phase::Seeking => None,
        })
    }

    /// Brings every slot, and then the alarms, to where they belong now.
    fn settle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for place in 0..self.slots.len() {
            self.settle_slot(place, now, actions);
        }
        let due = self.due_alarms();
        actions.extend(self.alarms.difference(&due).cloned().map(Action::Clear));
        actions.extend(due.difference(&self.alarms).cloned().map(Action::Alarm));
        self.alarms = due;
    }

    fn settle_slot(&mut self, place: usize, now: Instant, actions: &mut Vec<Action>) {
        let slot = &self.slots[place];
        let wanted = slot.wanted;
        let recalled = match slot.phase {
            Phase::Listening { until } if now < until => return,
            Phase::Listening { .. } => self.recalled(wanted).filter(|block| self.is_free(wanted, *block)),
            Phase::Seeking => None,
            Phase::Holding { block, .. } => {
                if self.yields_at(slot).is_none_or(|at| now < at) {
                    return;
                }
                actions.push(Action::Release(block));
                self.slots[place].tries += 1;
                None
            }
        };
        let found = recalled.or_else(|| self.choose(wanted, self.slots[place].tries));
        self.slots[place].phase = match found {
            Some(block) => {
                actions.push(Action::Own(block));
                Phase::Holding { block, since: now, idle: now }
            }
            None => Phase::Seeking,
        };
    }

    /// When a held block is given up if nothing changes: never, or at the end
    /// of the shortest patience with any of its rivals.
    fn yields_at(&self, slot: &Slot) -> Option<Instant> {
        let Phase::Holding { block, since, idle } = slot.phase else { return None };
        if self.is_used(block) {
            return None;
        }
        let Timing { probation, step, .. } = self.timing;
        let rivals = self.heard.overlapping(block, slot.wanted.pool.len());
        let patience = |(_, by, appeared): (Prefix, By, Instant)| {
            let from = appeared.max(since).max(idle);
            let young = from.duration_since(since) < probation;
            let steps = match by {
                By::Other(_) => return None,
                By::Here => 0,
                By::Neighbour { address, ours } => match (young, ours < address) {
                    (true, false) => 0,
                    (true, true) => 1,
                    (false, false) => 4,
                    (false, true) => 6,
                },
            };
            Some(from + step * steps)
        };
        rivals.filter_map(patience).min()
    }

    fn is_free(&self, wanted: Wanted, block: Prefix) -> bool {
        self.heard.overlapping(block, wanted.pool.len()).next().is_none()
    }

    fn choose(&self, wanted: Wanted, tries: u64) -> Option<Prefix> {
        let (high, low) = (self.mix(wanted, 2 * tries + 1), self.mix(wanted, 2 * tries + 2));
        let from = u128::from(high) << 64 | u128::from(low);
        let taken = |block| self.heard.overlapping(block, wanted.pool.len()).map(|(heard, ..)| heard).next();
        next_free(wanted.pool, wanted.length, from, taken)
    }

    /// A number that is this node's for a pool and a purpose.
    fn mix(&self, wanted: Wanted, purpose: u64) -> u64 {
        let pool = wanted.pool.to_string().into_bytes();
        hash(self.seed, pool.into_iter().chain([wanted.length]).chain(purpose.to_be_bytes()))
    }

    /// What is to be seen now.
    fn due_alarms(&self) -> BTreeSet<Alarm> {
        let mut due = BTreeSet::new();
        for slot in &self.slots {
            let Wanted { pool, length, .. } = slot.wanted;
            match slot.phase {
                Phase::Listening { .. } => {}
                Phase::Seeking => {
                    due.insert(Alarm::Exhausted { pool, length });
                }
                Phase::Holding { block, .. } => {
                    due.extend(self.conflicts(Ours::Claimed(block), block, pool.len()));
                }
            }
        }
        for subnet in self.heard.by_here() {
            // Only where a wider prefix is known to be no claim: a default
            // route, and what is wider than the pool.
            let pool = self.slots.iter().map(|slot| slot.wanted.pool).find(|pool| pool.covers(subnet));
            due.extend(self.conflicts(Ours::Fixed(subnet), subnet, pool.map_or(1, Prefix::len)));
        }
        due
    }

    fn conflicts(&self, ours: Ours, prefix: Prefix, widest: u8) -> impl Iterator<Item = Alarm> + '_ {
        self.heard.overlapping(prefix, widest).filter_map(move |(theirs, by, _)| match (by, ours) {
            (By::Neighbour { address, .. }, _) => Some(Alarm::Conflict { ours, theirs, by: address }),
            (By::Here, Ours::Claimed(block)) => Some(Alarm::Blocked { block, by: theirs }),
            (By::Here, Ours::Fixed(_)) | (By::Other(_), _) => None,
        })
    }
}

#[cfg(test)]
mod tests;
