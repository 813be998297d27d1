//! Who the BGP peer at the other end of a link is, found by router
//! advertisements (RFC 4861): there is nothing to configure but the interface.
//!
//! *In*: messages of one link, and the time. *Out*: messages to send, and what
//! is known of the neighbour. It must not know sockets, links or BGP.
//!
//! ```text
//!                 an advertisement               silent for 30 s, or a rival
//!   Sought ───────────────────────────► Known ──────────────────────────────► Asked
//!     three solicitations                 ▲ ◄───────────── it answers ──────────┤
//!                                         │                                     │ three unanswered
//!                                         └── an advertisement, whoever's ─── Silent
//! ```
//! Where a link may have several peers, all who are heard are neighbours, each
//! of them Known, Asked or Silent for itself, and there are no rivals.
//!
//! Ours: an advertisement does not say when the next one comes, and its
//! lifetime is 0. So a neighbour that has been silent is asked before it is
//! given up. A second router of the link does not take the place of one that
//! answers: it is a rival, which the operator should hear of. The first
//! advertisements follow each other within a second, as FRR's do, though RFC
//! 4861 §6.2.6 wants 3 s between any two.

mod many;
pub mod wire;

#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

pub use self::many::MOST;
use self::many::Neighbors;
use self::wire::{ALL_NODES, ALL_ROUTERS, Discard, Message, Received};

/// The longest time between advertisements (`MaxRtrAdvInterval`, RFC 4861 §6.2.1).
pub const INTERVAL: Duration = Duration::from_secs(10);
/// The time between the first ones.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// How many of them there are (`MAX_INITIAL_RTR_ADVERTISEMENTS`, RFC 4861 §10).
const FIRST: u8 = 3;
/// The least time between an advertisement and the answer to a solicitation
/// (`MIN_DELAY_BETWEEN_RAS`, RFC 4861 §10).
const BETWEEN: Duration = Duration::from_secs(3);
/// The longest wait before such an answer (`MAX_RA_DELAY_TIME`, RFC 4861 §10).
const DELAY: Duration = Duration::from_millis(500);
/// The time between solicitations (`RTR_SOLICITATION_INTERVAL`, RFC 4861 §10).
const ASK_INTERVAL: Duration = Duration::from_secs(4);
/// How many there are (`MAX_RTR_SOLICITATIONS`, RFC 4861 §10).
const ASKS: u8 = 3;
/// How long a neighbour may be silent before it is asked.
pub const SILENCE: Duration = Duration::from_secs(30);
/// How long a rival is remembered that is heard no more.
const RIVAL: Duration = Duration::from_secs(600);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this `ICMPv6` message to this group, with hop limit 255.
    Send(Vec<u8>, Ipv6Addr),
    /// The neighbour has this address; another one, if there was one, is no more.
    Found(Ipv6Addr),
    /// The neighbour with this address does not answer; said again every
    /// [`SILENCE`] as long as it is so.
    Silent(Ipv6Addr),
    /// A second router is on the link; the neighbour stays the one before.
    Rival(Ipv6Addr),
}

/// What is known of the neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has been heard.
    Sought,
    /// It was heard.
    Known(Ipv6Addr),
    /// It is asked whether it is there still.
    Asked(Ipv6Addr),
    /// It does not answer.
    Silent(Ipv6Addr),
}

/// A second router of the link.
#[derive(Clone, Copy, Debug)]
struct Rival {
    address: Ipv6Addr,
    heard: Instant,
    /// The neighbour was heard since: there are two of them.
    proven: bool,
}

/// The discovery of one link that is up; see the module's page.
#[derive(Clone, Debug)]
pub struct Discovery {
    state: State,
    rival: Option<Rival>,
    /// Those who were heard, where there may be several; then the state above
    /// stays at its beginning.
    many: Option<Neighbors>,
    /// How many of the first advertisements are still to be sent.
    first: u8,
    advertised: Option<Instant>,
    advertise: Instant,
    /// How many solicitations are still to be sent.
    asks: u8,
    /// When the next is sent, or its lack of an answer counts.
    ask: Option<Instant>,
    random: u64,
}

impl Discovery {
    /// Of a link that has just come up; `seed` is for the jitter.
    pub fn new(now: Instant, seed: u64) -> Self {
        let random = seed | 1;
        Self {
            state: State::Sought,
            rival: None,
            many: None,
            first: FIRST,
            advertised: None,
            advertise: now,
            asks: ASKS,
            ask: Some(now),
            random,
        }
    }

    /// The same of a link that may have several neighbours, [`MOST`] at most.
    pub fn of_many(now: Instant, seed: u64) -> Self {
        Self { many: Some(Neighbors::default()), ..Self::new(now, seed) }
    }

    /// A message has come. What is discarded changes nothing.
    pub fn handle(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        actions: &mut Vec<Action>,
    ) -> Result<(), Discard> {
        match wire::decode(received)? {
            Message::Solicitation => self.solicited(now),
            Message::Advertisement(address) => self.heard(now, address, actions),
        }
        Ok(())
    }

    /// When [`Discovery::tick`] is wanted.
    pub fn next_deadline(&self) -> Instant {
        let of_many = self.many.as_ref().and_then(Neighbors::next);
        self.ask.into_iter().chain(of_many).fold(self.advertise, Instant::min)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.rival.is_some_and(|rival| now >= rival.heard + RIVAL) {
            self.rival = None;
        }
        if now >= self.advertise {
            self.advertise(now, actions);
        }
        if self.ask.is_some_and(|ask| now >= ask) {
            self.ask(now, actions);
        }
        if let Some(many) = &mut self.many {
            many.tick(now, actions);
        }
    }

    /// The neighbour, unless it is silent.
    pub fn neighbor(&self) -> Option<Ipv6Addr> {
        match self.state {
            State::Known(address) | State::Asked(address) => Some(address),
            State::Sought | State::Silent(_) => None,
        }
    }

    /// A second router that is on the link beside the neighbour.
    pub fn rival(&self) -> Option<Ipv6Addr> {
        self.rival.filter(|rival| rival.proven).map(|rival| rival.address)
    }

    /// An answer is due: soon, but not after each of many solicitations (RFC
    /// 4861 §6.2.6).
    fn solicited(&mut self, now: Instant) {
        let soon = now + self.between(Duration::ZERO, DELAY);
        let least = self.advertised.map_or(soon, |advertised| advertised + BETWEEN);
        self.advertise = self.advertise.min(soon.max(least));
    }

    fn heard(&mut self, now: Instant, address: Ipv6Addr, actions: &mut Vec<Action>) {
        if let Some(many) = &mut self.many {
            if many.heard(now, address) {
                // It may not have heard of us yet.
                self.solicited(now);
                actions.push(Action::Found(address));
            }
            return;
        }
        match self.state {
            State::Known(neighbor) | State::Asked(neighbor) if neighbor != address => {
                self.heard_rival(now, neighbor, address, actions);
            }
            State::Known(_) | State::Asked(_) => {
                self.state = State::Known(address);
                self.ask_after(now, SILENCE);
                if let Some(rival) = self.rival.as_mut().filter(|rival| !rival.proven) {
                    rival.proven = true;
                    actions.push(Action::Rival(rival.address));
                }
            }
            State::Sought | State::Silent(_) => self.found(now, address, actions),
        }
    }

    /// Another router than the neighbour, which is asked whether it is there.
    fn heard_rival(
        &mut self,
        now: Instant,
        neighbor: Ipv6Addr,
        address: Ipv6Addr,
        actions: &mut Vec<Action>,
    ) {
        let proven = self.rival.is_some_and(|rival| rival.address == address && rival.proven);
        self.rival = Some(Rival { address, heard: now, proven });
        if !proven && matches!(self.state, State::Known(_)) {
            self.state = State::Asked(neighbor);
            self.asks = ASKS;
            self.ask(now, actions);
        }
    }

    fn found(&mut self, now: Instant, address: Ipv6Addr, actions: &mut Vec<Action>) {
        self.state = State::Known(address);
        self.rival = self.rival.filter(|rival| rival.address != address);
        self.ask_after(now, SILENCE);
        // It may not have heard of us yet.
        self.solicited(now);
        actions.push(Action::Found(address));
    }

    fn advertise(&mut self, now: Instant, actions: &mut Vec<Action>) {
        actions.push(Action::Send(wire::advertisement(), ALL_NODES));
        self.first = self.first.saturating_sub(1);
        self.advertised = Some(now);
        let wait = match self.first {
            0 => self.between(INTERVAL * 3 / 4, INTERVAL),
            _ => FIRST_INTERVAL,
        };
        self.advertise = now + wait;
    }

    /// The time to ask has come, or the time for an answer has passed.
    fn ask(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let State::Known(neighbor) = self.state {
            self.state = State::Asked(neighbor);
        }
        if self.asks > 0 {
            self.asks -= 1;
            self.ask = Some(now + ASK_INTERVAL);
            actions.push(Action::Send(wire::solicitation(), ALL_ROUTERS));
            return;
        }
        match (self.state, self.rival) {
            // Advertisements come by themselves.
            (State::Sought, _) => self.ask = None,
            (State::Asked(_), Some(rival)) if !rival.proven => self.found(now, rival.address, actions),
            (State::Known(neighbor) | State::Asked(neighbor) | State::Silent(neighbor), _) => {
                self.state = State::Silent(neighbor);
                self.rival = None;
                self.ask_after(now, SILENCE);
                self.asks = 1;
                actions.push(Action::Silent(neighbor));
            }
        }
    }

    fn ask_after(&mut self, now: Instant, wait: Duration) {
        self.asks = ASKS;
        self.ask = Some(now + wait);
    }

    /// A random time, so that the routers of a link do not speak as one.
    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share =
            u32::from(u16::from_le_bytes([self.random.to_le_bytes()[6], self.random.to_le_bytes()[7]]));
        least + most.saturating_sub(least) * share / u32::from(u16::MAX)
    }
}
