//! Authentication (RFC 5880 §4.2 to §4.4, §6.7).
//!
//! ```text
//!  type 1 | length | key | password 1 to 16
//!  type 2 to 5 | length | key | 0 | sequence 4 | digest 16 (MD5) or 20 (SHA1)
//! ```
//! The digest covers the whole packet, with the secret where the digest will
//! be.

use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use sha1::Sha1;
use thiserror::Error;

use crate::wire::{Decoded, append_auth};

/// Octets of a section before the digest.
const PREFIX: usize = 8;
/// The longest password.
pub const PASSWORD: usize = 16;

/// How the packets of a session are authenticated.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// The mode.
    pub mode: Mode,
    /// The number of the key, which packets name.
    pub key_id: u8,
    /// The secret: cut or filled with zeros to the size of the mode.
    pub secret: Vec<u8>,
}

impl std::fmt::Debug for Auth {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("mode", &self.mode).field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// The ways to authenticate. In the meticulous ones every packet has its own
/// sequence number, so none can be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The secret itself, for all to read: keeps out mistakes only.
    Password,
    /// MD5, a new number with new contents.
    Md5,
    /// MD5, a new number in every packet.
    MeticulousMd5,
    /// SHA1, a new number with new contents.
    Sha1,
    /// SHA1, a new number in every packet.
    MeticulousSha1,
}

impl Mode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Password, Self::Md5, Self::MeticulousMd5, Self::Sha1, Self::MeticulousSha1];

    fn code(self) -> u8 {
        match self {
            Self::Password => 1,
            Self::Md5 => 2,
            Self::MeticulousMd5 => 3,
            Self::Sha1 => 4,
            Self::MeticulousSha1 => 5,
        }
    }

    /// Octets that the secret has at most.
    pub fn secret_size(self) -> usize {
        match self {
            Self::Password | Self::Md5 | Self::MeticulousMd5 => PASSWORD,
            Self::Sha1 | Self::MeticulousSha1 => 20,
        }
    }

    fn meticulous(self) -> bool {
        matches!(self, Self::MeticulousMd5 | Self::MeticulousSha1)
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Password => Vec::new(),
            Self::Md5 | Self::MeticulousMd5 => Md5::digest(bytes).to_vec(),
            Self::Sha1 | Self::MeticulousSha1 => Sha1::digest(bytes).to_vec(),
        }
    }
}

/// Why a packet is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum AuthFailure {
    /// It has no authentication.
    #[error("it is not authenticated; set the same key at the sender")]
    Missing,
    /// It has, and we have no key.
    #[error("it is authenticated and no key is set here")]
    Unexpected,
    /// Another type of authentication.
    #[error("authentication type {0} is not the one that is set here")]
    Mode(u8),
    /// Another key.
    #[error("key {0} is not the one that is set here")]
    UnknownKey(u8),
    /// A length that the type does not have.
    #[error("the length of its authentication does not fit")]
    Length,
    /// A sequence number of another time.
    #[error("sequence number {got} after {last}: it has been sent before")]
    Replay {
        /// What it says.
        got: u32,
        /// The last one that was believed.
        last: u32,
    },
    /// The password or the digest is wrong.
    #[error("its password or digest is wrong; compare the key at both ends")]
    Digest,
}

/// The authentication of a session: its keys and what was sent and seen.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    auth: Option<Auth>,
    sent: u32,
    contents: Vec<u8>,
    seen: Option<Seen>,
}

/// The last number that was believed, and until when it matters (§6.8.1,
/// `bfd.AuthSeqKnown`).
#[derive(Clone, Copy, Debug)]
struct Seen {
    sequence: u32,
    until: Instant,
}

impl Guard {
    /// Begins at a random sequence number (`bfd.XmitAuthSeq`).
    pub(crate) fn new(auth: Option<Auth>, sequence: u32) -> Self {
        Self { auth, sent: sequence, contents: Vec::new(), seen: None }
    }

    /// The mode; `None`: packets are not authenticated.
    pub(crate) fn mode(&self) -> Option<Mode> {
        self.auth.as_ref().map(|auth| auth.mode)
    }

    /// Signs a packet.
    pub(crate) fn seal(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let Some(auth) = &self.auth else { return bytes };
        if auth.mode.meticulous() || self.contents != bytes {
            self.sent = self.sent.wrapping_add(1);
            self.contents.clone_from(&bytes);
        }
        append_auth(&mut bytes, &auth.section(self.sent));
        auth.sign(&mut bytes);
        bytes
    }

    /// Checks a packet; what it says of numbers is kept only when it is good.
    /// `detection` is the detection time after it.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        detection: Duration,
        decoded: &Decoded<'_>,
    ) -> Result<(), AuthFailure> {
        let (auth, section) = match (&self.auth, decoded.auth) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(AuthFailure::Unexpected),
            (Some(_), None) => return Err(AuthFailure::Missing),
            (Some(auth), Some(section)) => (auth, section),
        };
        auth.check_kind(section)?;
        if auth.mode == Mode::Password {
            let good = same(&section[3..], auth.password());
            return if good { Ok(()) } else { Err(AuthFailure::Digest) };
        }
        let got = u32::from_be_bytes([section[4], section[5], section[6], section[7]]);
        if let Some(seen) = self.seen.filter(|seen| now < seen.until) {
            // §6.7.3: from the last one on, three detection times ahead.
            let ahead = got.wrapping_sub(seen.sequence);
            let least = u32::from(auth.mode.meticulous());
            if !(least..=3 * u32::from(decoded.packet.multiplier)).contains(&ahead) {
                return Err(AuthFailure::Replay { got, last: seen.sequence });
            }
        }
        let mut signed = decoded.bytes.to_vec();
        auth.sign(&mut signed);
        if !same(&signed, decoded.bytes) {
            return Err(AuthFailure::Digest);
        }
        self.seen = Some(Seen { sequence: got, until: now + 2 * detection });
        Ok(())
    }
}

impl Auth {
    fn password(&self) -> &[u8] {
        &self.secret[..self.secret.len().min(PASSWORD)]
    }

    fn section(&self, sequence: u32) -> Vec<u8> {
        let mut out = vec![self.mode.code(), self.section_size(), self.key_id];
        if self.mode == Mode::Password {
            out.extend_from_slice(self.password());
        } else {
            out.push(0);
            out.extend(sequence.to_be_bytes());
            out.resize(PREFIX + self.mode.secret_size(), 0);
        }
        out
    }

    fn section_size(&self) -> u8 {
        let size = match self.mode {
            Mode::Password => 3 + self.password().len(),
            _ => PREFIX + self.mode.secret_size(),
        };
        u8::try_from(size).expect("the longest section has 28 octets")
    }

    /// Puts the digest at the end of a packet that has room for it.
    fn sign(&self, bytes: &mut [u8]) {
        if self.mode == Mode::Password {
            return;
        }
        let size = self.mode.secret_size();
        let at = bytes.len() - size;
        let mut secret = self.secret.clone();
        secret.resize(size, 0);
        bytes[at..].copy_from_slice(&secret);
        let digest = self.mode.digest(bytes);
        bytes[at..].copy_from_slice(&digest);
    }

    /// Type, length and key of a section of at least two octets. The section
    /// is to end where the packet ends.
    fn check_kind(&self, section: &[u8]) -> Result<(), AuthFailure> {
        let [kind, length, rest @ ..] = section else { return Err(AuthFailure::Length) };
        if *kind != self.mode.code() {
            return Err(AuthFailure::Mode(*kind));
        }
        let Some(key) = rest.first() else { return Err(AuthFailure::Length) };
        if *key != self.key_id {
            return Err(AuthFailure::UnknownKey(*key));
        }
        if usize::from(*length) != section.len() {
            return Err(AuthFailure::Length);
        }
        if self.mode != Mode::Password && *length != self.section_size() {
            return Err(AuthFailure::Length);
        }
        Ok(())
    }
}

/// Compares without telling by its time where the difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests;
