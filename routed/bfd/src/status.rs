//! What `routectl bfd` shows.

use std::time::{Duration, Instant};

use crate::auth::AuthStatus;
use crate::dispatch::Path;
use crate::wire::{Diag, Discard, Kind, State};

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// Between whom.
    pub path: Path,
    /// Where it stands.
    pub state: State,
    /// Where it stands at the other end, as far as was heard.
    pub remote_state: State,
    /// Since when it is in its state.
    pub since: Instant,
    /// Why it last left Up.
    pub diag: Diag,
    /// What the other end says of that.
    pub remote_diag: Diag,
    /// Our discriminator.
    pub local_discriminator: u32,
    /// The other end's; 0: nothing is heard.
    pub remote_discriminator: u32,
    /// The interval at which we send, before jitter.
    pub tx_interval: Duration,
    /// The interval at which packets are expected.
    pub rx_interval: Duration,
    /// After which silence the other end is lost; zero: nothing is heard.
    pub detection: Duration,
    /// The other end has set C: its BFD lives on when its control plane does not.
    pub remote_independent: bool,
    /// The other end has set D and both ends are Up: it gets no periodic packets.
    pub remote_demand: bool,
    /// How packets are authenticated; `None`: not.
    pub auth: Option<AuthStatus>,
    /// What has come and gone.
    pub counters: Counters,
}

/// Counters of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were taken.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets that were for this session, or came from its other end, and
    /// were discarded.
    pub discarded: Discards,
    /// Why the last one was.
    pub last_discard: Option<Discard>,
    /// How often it came up.
    pub ups: u64,
}

/// Packets that were discarded, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discards {
    /// [`Kind::Ttl`].
    pub ttl: u64,
    /// [`Kind::Malformed`].
    pub malformed: u64,
    /// [`Kind::Discriminator`].
    pub discriminator: u64,
    /// [`Kind::Authentication`].
    pub authentication: u64,
    /// [`Kind::Replay`].
    pub replay: u64,
    /// [`Kind::AdminDown`].
    pub admin_down: u64,
}

impl Discards {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { ttl, malformed, discriminator, authentication, replay, admin_down } = self;
        ttl + malformed + discriminator + authentication + replay + admin_down
    }

    /// Counts one.
    pub(crate) fn count(&mut self, why: Discard) {
        *match why.kind() {
            Kind::Ttl => &mut self.ttl,
            Kind::Malformed => &mut self.malformed,
            Kind::Discriminator => &mut self.discriminator,
            Kind::Authentication => &mut self.authentication,
            Kind::Replay => &mut self.replay,
            Kind::AdminDown => &mut self.admin_down,
        } += 1;
    }
}
