//! All sessions, and which of them a packet is for (§6.3, §6.8.6).
//!
//! [`Sessions::handle`] takes what happens, [`Sessions::tick`] what time
//! makes due; both say what is to be done. [`Sessions::next_deadline`] says
//! when to tick next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use crate::config::Config;
use crate::session::{Fate, Output, Session, WhyDown};
use crate::status::SessionStatus;
use crate::timers::Jitter;
use crate::wire::{Decoded, Discard, State, decode};

/// The TTL of a packet that has crossed no router (RFC 5881 §5).
pub const TTL: u8 = 255;

/// Between whom a session is: one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// Over one link (RFC 5881, port 3784).
    OneHop {
        /// The index of the interface.
        interface: u32,
        /// The other end.
        remote: IpAddr,
    },
    /// Over routers (RFC 5883, port 4784).
    ManyHops {
        /// Our address.
        local: IpAddr,
        /// The other end.
        remote: IpAddr,
    },
}

impl Path {
    /// The other end.
    pub fn remote(self) -> IpAddr {
        match self {
            Self::OneHop { remote, .. } | Self::ManyHops { remote, .. } => remote,
        }
    }
}

/// A datagram from a BFD socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Where it came from, and by its kind to which port.
    pub path: Path,
    /// The TTL or hop limit on arrival, if the socket could say.
    pub ttl: Option<u8>,
    /// The UDP payload.
    pub bytes: &'a [u8],
}

/// What happens to the sessions.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A session is wanted, or wanted with other settings.
    Want(Path, Config),
    /// It is no longer wanted.
    Unwant(Path),
    /// A datagram has come.
    Received(Received<'a>),
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram, with TTL 255.
    Send(Path, Vec<u8>),
    /// A session is Up.
    Up(Path),
    /// A session is no longer Up: once for each `Up`.
    Down(Path, WhyDown, Fate),
}

#[derive(Debug)]
struct Entry {
    session: Session,
    /// When to look at it, as [`Sessions::due`] has it.
    due: Option<Instant>,
    /// Until when it says that it is down; `None`: it is wanted.
    leaves: Option<Instant>,
}

/// All sessions of a node.
#[derive(Debug)]
pub struct Sessions {
    entries: BTreeMap<Path, Entry>,
    discriminators: BTreeMap<u32, Path>,
    due: BTreeSet<(Instant, Path)>,
    jitter: Jitter,
    strays: u64,
}

impl Sessions {
    /// No session. The seed is to be another one in every run, for the
    /// discriminators come from it.
    pub fn new(seed: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            discriminators: BTreeMap::new(),
            due: BTreeSet::new(),
            jitter: Jitter::new(seed),
            strays: 0,
        }
    }

    /// Takes an event and appends what is to be done. The error says why a
    /// datagram was discarded; it is counted too.
    pub fn handle(
        &mut self,
        now: Instant,
        event: Event<'_>,
        actions: &mut Vec<Action>,
    ) -> Result<(), Discard> {
        match event {
            Event::Want(path, config) => self.want(now, path, config, actions),
            Event::Unwant(path) => self.unwant(now, path, actions),
            Event::Received(received) => return self.receive(now, received, actions),
        }
        Ok(())
    }

    /// Does what time has made due.
    pub fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some((_, path)) = self.due.first().filter(|(at, _)| *at <= now).copied() {
            self.due.pop_first();
            let Some(entry) = self.entries.get_mut(&path) else { continue };
            entry.due = None;
            if entry.leaves.is_some_and(|at| at <= now) {
                self.discriminators.remove(&entry.session.discriminator());
                self.entries.remove(&path);
                continue;
            }
            let mut out = Vec::new();
            entry.session.tick(now, &mut out);
            self.settle(path, out, actions);
        }
    }

    /// When to [`tick`](Self::tick) at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The sessions that are wanted, by path.
    pub fn status(&self) -> Vec<SessionStatus> {
        let wanted = self.entries.iter().filter(|(_, entry)| entry.leaves.is_none());
        wanted.map(|(path, entry)| entry.session.status(*path)).collect()
    }

    /// True while there is a session, also one that is no longer wanted and
    /// says so.
    pub fn has(&self, path: Path) -> bool {
        self.entries.contains_key(&path)
    }

    /// Takes all sessions down and says so this often at once, because nobody
    /// will be there to say it again.
    pub fn end(&mut self, now: Instant, times: usize, actions: &mut Vec<Action>) {
        for (path, Entry { session, .. }) in std::mem::take(&mut self.entries) {
            let mut out = Vec::new();
            session.end(now, times, &mut out);
            say(path, out, actions);
        }
        self.discriminators.clear();
        self.due.clear();
    }

    /// Datagrams that were discarded, neither for a session nor from the other
    /// end of one.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    fn want(&mut self, now: Instant, path: Path, config: Config, actions: &mut Vec<Action>) {
        let mut out = Vec::new();
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.leaves = None;
            entry.session.configure(now, config, &mut out);
        } else {
            let discriminator = self.discriminator();
            let mut session = Session::new(now, config, discriminator, self.jitter.next());
            session.tick(now, &mut out);
            self.discriminators.insert(discriminator, path);
            self.entries.insert(path, Entry { session, due: None, leaves: None });
        }
        self.settle(path, out, actions);
    }

    fn unwant(&mut self, now: Instant, path: Path, actions: &mut Vec<Action>) {
        let Some(entry) = self.entries.get_mut(&path).filter(|entry| entry.leaves.is_none()) else { return };
        let mut out = Vec::new();
        entry.leaves = Some(entry.session.stop(now, &mut out));
        self.settle(path, out, actions);
    }

    fn receive(
        &mut self,
        now: Instant,
        received: Received<'_>,
        actions: &mut Vec<Action>,
    ) -> Result<(), Discard> {
        let (path, decoded) =
            self.select(received).inspect_err(|why| match self.entries.get_mut(&received.path) {
                Some(entry) => entry.session.note(*why),
                None => self.strays += 1,
            })?;
        let Some(entry) = self.entries.get_mut(&path) else { return Err(Discard::UnknownSender) };
        let mut out = Vec::new();
        let result = entry.session.receive(now, &decoded, &mut out);
        if let Err(why) = result {
            entry.session.note(why);
        }
        self.settle(path, out, actions);
        result
    }

    /// The session of a datagram: by our discriminator, or by the sender when
    /// it does not know that yet (RFC 5881 §3, RFC 5883 §4.1).
    fn select<'a>(&self, received: Received<'a>) -> Result<(Path, Decoded<'a>), Discard> {
        let one_hop = matches!(received.path, Path::OneHop { .. });
        let got = received.ttl.unwrap_or(0);
        // Over one hop nothing else is worth a look (RFC 5881 §5).
        if one_hop && got != TTL {
            return Err(Discard::Ttl { got, least: TTL });
        }
        let decoded = decode(received.bytes)?;
        let (yours, state) = (decoded.packet.yours, decoded.packet.state);
        let path = if yours != 0 {
            let path = self.discriminators.get(&yours).ok_or(Discard::UnknownDiscriminator(yours))?;
            if matches!(path, Path::OneHop { .. }) != one_hop {
                return Err(Discard::WrongPort);
            }
            *path
        } else if matches!(state, State::Init | State::Up) {
            return Err(Discard::Unnamed);
        } else {
            received.path
        };
        let entry = self.entries.get(&path).ok_or(Discard::UnknownSender)?;
        let least = entry.session.least_ttl(path);
        if got < least { Err(Discard::Ttl { got, least }) } else { Ok((path, decoded)) }
    }

    /// A random discriminator that nobody has, not 0.
    fn discriminator(&mut self) -> u32 {
        loop {
            let word = self.jitter.word();
            if word != 0 && !self.discriminators.contains_key(&word) {
                return word;
            }
        }
    }

    /// Notes when the session is to be looked at, and says what it wants done.
    fn settle(&mut self, path: Path, out: Vec<Output>, actions: &mut Vec<Action>) {
        say(path, out, actions);
        let Some(entry) = self.entries.get_mut(&path) else { return };
        let due = entry.session.next_deadline().into_iter().chain(entry.leaves).min();
        if due != entry.due {
            entry.due.map(|at| self.due.remove(&(at, path)));
            self.due.extend(due.map(|at| (at, path)));
            entry.due = due;
        }
    }
}

/// What a session wants done, with its path.
fn say(path: Path, out: Vec<Output>, actions: &mut Vec<Action>) {
    actions.extend(out.into_iter().map(|output| match output {
        Output::Send(bytes) => Action::Send(path, bytes),
        Output::Up => Action::Up(path),
        Output::Down(why, fate) => Action::Down(path, why, fate),
    }));
}

#[cfg(test)]
mod tests;
