//! What `routectl bfd` shows.

use std::time::{Duration, Instant};

use crate::auth::Mode;
use crate::dispatch::Path;
use crate::wire::{Diag, Discard, State};

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
    /// How packets are authenticated; `None`: not.
    pub auth: Option<Mode>,
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
    /// Packets that were for this session and were discarded.
    pub discarded: u64,
    /// Why the last one was.
    pub last_discard: Option<Discard>,
    /// How often it came up.
    pub ups: u64,
}
