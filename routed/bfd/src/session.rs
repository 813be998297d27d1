//! One session: the state machine of §6.2 and the timers of §6.8.
//!
//! ```text
//!            heard Up, AdminDown                 (what the other end says
//!                  ┌──┐                           moves us, and silence)
//!                  │  ▼   heard Down
//!   AdminDown ──► Down ──────────────► Init ◄┐ heard Down
//!                  ▲ │  ◄──────────────  │ └─┘
//!                  │ │  silence, AdminDown │
//!                  │ │ heard Init        │ heard Init, Up
//!                  │ ▼                   │
//!                  Up ◄──────────────────┘
//!                  silence, heard Down or AdminDown: back to Down
//! ```

use std::fmt;
use std::time::{Duration, Instant};

use crate::auth::Guard;
use crate::config::Config;
use crate::dispatch::{Path, TTL};
use crate::status::{Counters, SessionStatus};
use crate::timers::{Jitter, Pace, Timing};
use crate::wire::{Decoded, Diag, Discard, Packet, State, encode, micros};

/// The least interval of a session that is not Up (§6.8.3).
pub const SLOW: Duration = Duration::from_secs(1);

/// Why a session is no longer Up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyDown {
    /// Nothing was heard for the detection time: the path has failed.
    Silent,
    /// The other end says that it is down: it does not hear us.
    Neighbor,
    /// The operator of the other end took it down. That says nothing of the
    /// path (RFC 5882 §3.2): protocols go on.
    NeighborAdmin,
    /// It is no longer wanted here.
    Admin,
}

impl WhyDown {
    /// True when the path has failed, so that protocols have to act.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Silent | Self::Neighbor)
    }
}

impl fmt::Display for WhyDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "nothing was heard for the detection time",
            Self::Neighbor => "the neighbour says that it is down",
            Self::NeighborAdmin => "the operator of the neighbour took it down",
            Self::Admin => "it is no longer wanted here",
        })
    }
}

/// Whether the BFD of the other end lives on when its control plane does not
/// (the C bit; RFC 5882 §4.3). Ours shares the fate of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// C is clear: a restart of the neighbour looks like a failure of the
    /// path, so graceful restart goes on.
    Shared,
    /// C is set: what has failed is the path.
    Independent,
}

/// What a session wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Send(Vec<u8>),
    Up,
    Down(WhyDown, Fate),
}

/// What the other end last said.
#[derive(Clone, Copy, Debug)]
struct Remote {
    discriminator: u32,
    state: State,
    diag: Diag,
    desired_tx: Duration,
    required_rx: Duration,
    multiplier: u8,
    independent: bool,
    demand: bool,
}

impl Remote {
    /// Nothing was heard (§6.8.1: `bfd.RemoteMinRxInterval` is 1).
    const UNKNOWN: Self = Self {
        discriminator: 0,
        state: State::Down,
        diag: Diag::None,
        desired_tx: Duration::ZERO,
        required_rx: Duration::from_micros(1),
        multiplier: 0,
        independent: false,
        demand: false,
    };

    fn of(packet: &Packet) -> Self {
        Self {
            discriminator: packet.mine,
            state: packet.state,
            diag: packet.diag,
            desired_tx: Duration::from_micros(packet.desired_tx.into()),
            required_rx: Duration::from_micros(packet.required_rx.into()),
            multiplier: packet.multiplier,
            independent: packet.independent,
            demand: packet.demand,
        }
    }

    fn fate(&self) -> Fate {
        if self.independent { Fate::Independent } else { Fate::Shared }
    }
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    discriminator: u32,
    config: Config,
    state: State,
    diag: Diag,
    since: Instant,
    remote: Remote,
    /// When the last packet was taken; `None`: silent for the detection time.
    heard: Option<Instant>,
    pace: Pace,
    /// What was said last, without P and F.
    told: Option<Packet>,
    guard: Guard,
    jitter: Jitter,
    counters: Counters,
}

/// The state after a packet that tells this state (§6.8.6).
fn next(state: State, heard: State) -> State {
    match (state, heard) {
        (State::AdminDown, _) => State::AdminDown,
        (_, State::AdminDown) | (State::Down, State::Up) | (State::Up, State::Down) => State::Down,
        (State::Down | State::Init, State::Down) => State::Init,
        (State::Down, State::Init) | (State::Init | State::Up, State::Init | State::Up) => State::Up,
    }
}

impl Session {
    pub(crate) fn new(now: Instant, config: Config, discriminator: u32, seed: u64) -> Self {
        let mut jitter = Jitter::new(seed);
        Self {
            discriminator,
            state: State::Down,
            diag: Diag::None,
            since: now,
            remote: Remote::UNKNOWN,
            heard: None,
            pace: Pace::new(now, timing(&config, State::Down)),
            told: None,
            guard: Guard::new(config.auth.clone(), jitter.word()),
            jitter,
            counters: Counters::default(),
            config,
        }
    }

    pub(crate) fn discriminator(&self) -> u32 {
        self.discriminator
    }

    /// The least TTL that a packet has to arrive with: over one hop it is what
    /// it was sent with (RFC 5881 §5).
    pub(crate) fn least_ttl(&self, path: Path) -> u8 {
        match path {
            Path::OneHop { .. } => TTL,
            Path::ManyHops { .. } => self.config.least_ttl,
        }
    }

    /// Takes a packet that is for this session: §6.8.6 from the A bit on.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        decoded: &Decoded<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Discard> {
        let (packet, remote) = (&decoded.packet, Remote::of(&decoded.packet));
        self.guard.check(now, self.detection_of(&remote), decoded)?;
        (self.remote, self.heard) = (remote, Some(now));
        if packet.fin {
            self.pace.answered();
        }
        if self.state == State::AdminDown {
            return Err(Discard::AdminDown);
        }
        self.counters.received += 1;
        let why = if packet.state == State::AdminDown { WhyDown::NeighborAdmin } else { WhyDown::Neighbor };
        self.enter(now, next(self.state, packet.state), why, out);
        if packet.poll {
            self.send(now, true, out);
        }
        self.speak_up(now, out);
        // The other end may want packets sooner than the next one is due, or
        // again after it wanted none: then one is due now.
        self.pace.next_tx = self.pace.next_tx.clamp(now, now + self.tx_interval());
        Ok(())
    }

    /// Counts a packet that was discarded.
    pub(crate) fn note(&mut self, why: Discard) {
        self.counters.discarded.count(why);
        self.counters.last_discard = Some(why);
    }

    /// Does what time has made due.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.detect_at().is_some_and(|at| at <= now) {
            self.heard = None;
            if self.state != State::AdminDown {
                self.enter(now, State::Down, WhyDown::Silent, out);
            }
            self.remote = Remote::UNKNOWN;
            self.speak_up(now, out);
        }
        if self.send_at().is_some_and(|at| at <= now) {
            self.send(now, false, out);
        }
    }

    /// When to [`tick`](Self::tick) at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.detect_at().into_iter().chain(self.send_at()).min()
    }

    /// Takes other settings, and ends a stop.
    pub(crate) fn configure(&mut self, now: Instant, config: Config, out: &mut Vec<Output>) {
        self.guard.rekey(config.auth.clone());
        self.config = config;
        if self.state == State::AdminDown {
            (self.state, self.diag, self.since) = (State::Down, Diag::None, now);
        }
        self.pace.retime(self.state == State::Up, timing(&self.config, self.state));
        self.speak_up(now, out);
        self.pace.next_tx = self.pace.next_tx.min(now + self.tx_interval());
    }

    /// Takes the session down and says so; until when it is to be said again
    /// (§6.8.16).
    pub(crate) fn stop(&mut self, now: Instant, out: &mut Vec<Output>) -> Instant {
        self.enter(now, State::AdminDown, WhyDown::Admin, out);
        self.speak_up(now, out);
        now + self.tx_interval() * u32::from(self.config.multiplier.get())
    }

    /// Takes the session down for good, and says so this often.
    pub(crate) fn end(mut self, now: Instant, times: usize, out: &mut Vec<Output>) {
        self.enter(now, State::AdminDown, WhyDown::Admin, out);
        (0..times).for_each(|_| self.send(now, false, out));
    }

    pub(crate) fn status(&self, path: Path) -> SessionStatus {
        SessionStatus {
            path,
            state: self.state,
            remote_state: self.remote.state,
            since: self.since,
            diag: self.diag,
            remote_diag: self.remote.diag,
            local_discriminator: self.discriminator,
            remote_discriminator: self.remote.discriminator,
            tx_interval: self.tx_interval(),
            rx_interval: self.pace.used.rx.max(self.remote.desired_tx),
            detection: self.detection_of(&self.remote),
            remote_independent: self.remote.independent,
            remote_demand: self.demanded(),
            auth: self.guard.status(),
            counters: self.counters,
        }
    }

    fn enter(&mut self, now: Instant, state: State, why: WhyDown, out: &mut Vec<Output>) {
        if state == self.state {
            return;
        }
        match state {
            State::Init => {}
            State::Up => {
                self.diag = Diag::None;
                self.counters.ups += 1;
                out.push(Output::Up);
            }
            State::Down | State::AdminDown => {
                self.diag = match why {
                    WhyDown::Silent => Diag::DetectionExpired,
                    WhyDown::Neighbor | WhyDown::NeighborAdmin => Diag::NeighborDown,
                    WhyDown::Admin => Diag::AdminDown,
                };
                if self.state == State::Up {
                    out.push(Output::Down(why, self.remote.fate()));
                }
            }
        }
        (self.state, self.since) = (state, now);
        self.pace.retime(state == State::Up, timing(&self.config, state));
    }

    /// The interval at which we send (§6.8.7).
    fn tx_interval(&self) -> Duration {
        self.pace.used.tx.max(self.remote.required_rx)
    }

    /// The detection time with what the other end says (§6.8.4).
    fn detection_of(&self, remote: &Remote) -> Duration {
        self.pace.used.rx.max(remote.desired_tx) * u32::from(remote.multiplier)
    }

    fn detect_at(&self) -> Option<Instant> {
        Some(self.heard? + self.detection_of(&self.remote))
    }

    /// The other end asks for no periodic packets (§6.6).
    fn demanded(&self) -> bool {
        self.remote.demand && self.state == State::Up && self.remote.state == State::Up
    }

    /// When to send the next periodic packet; `None`: the other end does not
    /// want any (§6.8.7), but for what it has to answer.
    fn send_at(&self) -> Option<Instant> {
        let unwanted = self.remote.required_rx.is_zero() || (self.demanded() && !self.pace.polls());
        (!unwanted).then_some(self.pace.next_tx)
    }

    /// Sends at once when there is something new to say (§6.8.7), also to who
    /// wants no periodic packets.
    fn speak_up(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.told != Some(self.packet()) {
            self.send(now, false, out);
        }
    }

    /// What we say, without P and F.
    fn packet(&self) -> Packet {
        Packet {
            diag: self.diag,
            state: self.state,
            poll: false,
            fin: false,
            independent: false,
            demand: false,
            multiplier: self.config.multiplier.get(),
            mine: self.discriminator,
            yours: self.remote.discriminator,
            desired_tx: micros(self.pace.told.tx),
            required_rx: micros(self.pace.told.rx),
            required_echo: 0,
        }
    }

    /// Sends a packet: the answer to a poll, or the next of our own.
    fn send(&mut self, now: Instant, fin: bool, out: &mut Vec<Output>) {
        let packet = self.packet();
        self.told = Some(packet);
        if !fin {
            self.pace.next_tx = now + self.jitter.spread(self.tx_interval(), packet.multiplier);
        }
        // P and F are never set together (§6.8.7).
        let poll = !fin && self.pace.begin();
        let bytes = encode(&Packet { poll, fin, ..packet });
        self.counters.sent += 1;
        out.push(Output::Send(self.guard.seal(bytes)));
    }
}

/// What to tell of intervals in a state (§6.8.3).
fn timing(config: &Config, state: State) -> Timing {
    let interval = config.interval.get();
    Timing { tx: if state == State::Up { interval } else { interval.max(SLOW) }, rx: interval }
}

#[cfg(test)]
mod tests;
