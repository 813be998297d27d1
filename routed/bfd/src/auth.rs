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

/// How the packets of a session are authenticated: a mode and its keys. The
/// first key signs what is sent; all of them are accepted, so that a key is
/// changed at one end after the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    mode: Mode,
    first: Key,
    others: Vec<Key>,
}

#[derive(Clone, PartialEq, Eq)]
struct Key {
    id: u8,
    /// 1 to [`Mode::secret_size`] octets.
    secret: Vec<u8>,
}

/// Why there is no [`Auth`] of some keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadKeys {
    /// There is none.
    #[error("there is no key; name one")]
    None,
    /// A secret of no octets keeps nobody out.
    #[error("key {0} is empty; write the key into its file")]
    Empty(u8),
    /// A secret that the packet has no room for (§4.2 to §4.4).
    #[error("key {id} has {length} bytes, the mode takes {most}; shorten it at both ends")]
    Long {
        /// The number of the key.
        id: u8,
        /// What it has.
        length: usize,
        /// What the mode takes.
        most: usize,
    },
    /// A number that two keys have.
    #[error("two keys have the number {0}; give each its own")]
    Twice(u8),
}

impl std::fmt::Debug for Auth {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<u8> = self.keys().map(|key| key.id).collect();
        f.debug_struct("Auth").field("mode", &self.mode).field("keys", &ids).finish_non_exhaustive()
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
    heard_key: Option<u8>,
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
        Self { auth, sent: sequence, contents: Vec::new(), seen: None, heard_key: None }
    }

    /// Takes other keys. The numbers go on: the other end would take new ones
    /// for a replay.
    pub(crate) fn rekey(&mut self, auth: Option<Auth>) {
        if self.auth != auth {
            self.auth = auth;
            self.contents.clear();
        }
    }

    /// What is in use; `None`: packets are not authenticated.
    pub(crate) fn status(&self) -> Option<AuthStatus> {
        let auth = self.auth.as_ref()?;
        Some(AuthStatus { mode: auth.mode, key_id: auth.first.id, heard_key_id: self.heard_key })
    }

    /// Signs a packet.
    pub(crate) fn seal(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let Some(auth) = &self.auth else { return bytes };
        if auth.mode.meticulous() || self.contents != bytes {
            self.sent = self.sent.wrapping_add(1);
            self.contents.clone_from(&bytes);
        }
        append_auth(&mut bytes, &auth.section(self.sent));
        auth.mode.sign(&auth.first, &mut bytes);
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
        let key = auth.key_of(section)?;
        if auth.mode == Mode::Password {
            if !same(&section[3..], &key.secret) {
                return Err(AuthFailure::Digest);
            }
            self.heard_key = Some(key.id);
            return Ok(());
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
        auth.mode.sign(key, &mut signed);
        if !same(&signed, decoded.bytes) {
            return Err(AuthFailure::Digest);
        }
        self.seen = Some(Seen { sequence: got, until: now + 2 * detection });
        self.heard_key = Some(key.id);
        Ok(())
    }
}

/// How a session is authenticated, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthStatus {
    /// The mode.
    pub mode: Mode,
    /// The number of the key that signs.
    pub key_id: u8,
    /// The number of the key that the other end last signed with; `None`:
    /// nothing has been believed yet.
    pub heard_key_id: Option<u8>,
}

impl Auth {
    /// A mode and its keys, each a number and a secret; the first one signs.
    pub fn new(mode: Mode, keys: impl IntoIterator<Item = (u8, Vec<u8>)>) -> Result<Self, BadKeys> {
        let most = mode.secret_size();
        let mut all: Vec<Key> = Vec::new();
        for (id, secret) in keys {
            match secret.len() {
                0 => return Err(BadKeys::Empty(id)),
                length if length > most => return Err(BadKeys::Long { id, length, most }),
                _ if all.iter().any(|other| other.id == id) => return Err(BadKeys::Twice(id)),
                _ => all.push(Key { id, secret }),
            }
        }
        let mut all = all.into_iter();
        let first = all.next().ok_or(BadKeys::None)?;
        Ok(Self { mode, first, others: all.collect() })
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn section(&self, sequence: u32) -> Vec<u8> {
        let mut out = vec![self.mode.code(), self.mode.section_size(&self.first), self.first.id];
        if self.mode == Mode::Password {
            out.extend_from_slice(&self.first.secret);
        } else {
            out.push(0);
            out.extend(sequence.to_be_bytes());
            out.resize(PREFIX + self.mode.secret_size(), 0);
        }
        out
    }

    /// The key that a section of at least two octets names, if type and length
    /// are right. The section is to end where the packet ends.
    fn key_of(&self, section: &[u8]) -> Result<&Key, AuthFailure> {
        let [kind, length, rest @ ..] = section else { return Err(AuthFailure::Length) };
        if *kind != self.mode.code() {
            return Err(AuthFailure::Mode(*kind));
        }
        let id = *rest.first().ok_or(AuthFailure::Length)?;
        let key = self.keys().find(|key| key.id == id).ok_or(AuthFailure::UnknownKey(id))?;
        if usize::from(*length) != section.len() {
            return Err(AuthFailure::Length);
        }
        if self.mode != Mode::Password && *length != self.mode.section_size(key) {
            return Err(AuthFailure::Length);
        }
        Ok(key)
    }
}

impl Mode {
    fn section_size(self, key: &Key) -> u8 {
        let size = match self {
            Self::Password => 3 + key.secret.len(),
            _ => PREFIX + self.secret_size(),
        };
        u8::try_from(size).expect("the longest section has 28 octets")
    }

    /// Puts the digest at the end of a packet that has room for it.
    fn sign(self, key: &Key, bytes: &mut [u8]) {
        if self == Self::Password {
            return;
        }
        let size = self.secret_size();
        let at = bytes.len() - size;
        let mut secret = key.secret.clone();
        secret.resize(size, 0);
        bytes[at..].copy_from_slice(&secret);
        let digest = self.digest(bytes);
        bytes[at..].copy_from_slice(&digest);
    }
}

/// Compares without telling by its time where the difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests;
