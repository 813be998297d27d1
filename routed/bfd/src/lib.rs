//! BFD without sockets or clock: asynchronous mode over one hop and over many.
//!
//! *In*: sessions that somebody wants, datagrams, the time. *Out*: datagrams,
//! sessions that come up and go down, and why. *Must not know*: sockets,
//! clocks, the protocols that ask. Randomness comes from a seed, so a run can
//! be repeated.
//!
//! ```text
//!  Received ─► dispatch (TTL, wire, discriminator) ─► auth ─► session ─► Up, Down
//!                                                               │
//!                            Send ◄─ auth ◄─ wire ◄─────────────┘
//! ```
//!
//! - [`wire`]: the control packet, and what is wrong with it.
//! - [`auth`]: password, keyed MD5 and SHA1, and their meticulous forms.
//! - [`config`]: what a session is to be like.
//! - [`session`]: one session: the state machine and its timers.
//! - [`dispatch`]: all sessions, and which of them a packet is for.
//! - [`status`]: what `routectl bfd` shows.
//!
//! RFC 5880 (BFD), RFC 5881 (one hop), RFC 5883 (many hops).
//!
//! Ours:
//! - No echo: Required Min Echo RX is 0 (§6.4), and what it says is not used.
//! - We never ask for demand mode; where the other end does, it gets it (§6.6).
//! - C is never set: these sessions end with the daemon, while the kernel goes
//!   on forwarding (RFC 5882 §4.3.2).
//! - We are always active (§6.1): a session sends as soon as it is wanted.
//! - A poll sequence is begun in Up only: elsewhere no timer but the slow one
//!   is in use, and every packet tells the new values anyway.
//! - A sequence number is believed after its digest, not before (§6.7.3 has
//!   it the other way round, which lets anybody set it).
//! - TTL 255 is asked of packets over one hop with authentication too.
//! - A sequence number outlives the key: with other keys it goes on.
//! - While a session is held down here, polls are not answered: §6.8.6
//!   discards the packet before it comes to its P bit.

pub mod auth;
pub mod config;
pub mod dispatch;
pub mod session;
pub mod status;
mod timers;
pub mod wire;

pub use config::{Config, Interval};
pub use dispatch::{Action, Event, Path, Received, Sessions};
pub use session::{Fate, WhyDown};
pub use status::SessionStatus;
pub use wire::{Diag, Discard, State};
