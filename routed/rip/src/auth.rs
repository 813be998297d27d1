//! Authentication of RIPv2: plain text (RFC 2453 §4.1), keyed MD5 (RFC 2082)
//! and HMAC-SHA (RFC 4822).
//!
//! ```text
//!  header | ffff 2 password 16 | entries                                            text
//!  header | ffff 3 length key size sequence 0 0 | entries | ffff 1 digest           the others
//! ```
//! The first entry says how the packet is authenticated; the digest at the
//! end covers all before it. RIPng has no authentication of its own
//! (RFC 2080 §3).
//!
//! Ours: the size in the first entry is that of the digest, as RFC 2082 says;
//! one that counts the four octets before the digest is taken as well, for
//! there are routers that send it. Requests change nothing here, so a request
//! with sequence number zero is answered: that is how some routers begin.

use std::cmp::Ordering;
use std::collections::HashSet;

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use thiserror::Error;

use crate::wire::{AFI_AUTH, ENTRY, HEADER, MAX_ENTRIES, Room};

/// Authentication type of plain text (RFC 2453 §4.1).
const TYPE_TEXT: u16 = 2;
/// Authentication type of keyed digests (RFC 2082 §3.1).
const TYPE_DIGEST: u16 = 3;
/// Octets before the digest in the trailer.
const TRAILER: usize = 4;
/// Octets of a password and of an MD5 key.
const PASSWORD: usize = 16;
/// Fills the place of the digest while it is computed (RFC 4822 §3.3).
const APAD: [u8; 4] = 0x878f_e1f3_u32.to_be_bytes();

/// How the packets of an interface are authenticated: one mode, and the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The mode.
    pub mode: Mode,
    /// The key chain; key numbers are unique.
    pub keys: Vec<Key>,
}

/// The ways to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The key itself, for all to read: keeps out mistakes only.
    Text,
    /// MD5 over packet and key (RFC 2082).
    KeyedMd5,
    /// HMAC with SHA-1 (RFC 4822).
    HmacSha1,
    /// HMAC with SHA-256 (RFC 4822).
    HmacSha256,
    /// HMAC with SHA-384 (RFC 4822).
    HmacSha384,
    /// HMAC with SHA-512 (RFC 4822).
    HmacSha512,
}

impl Mode {
    /// Octets of the digest; none for text.
    pub fn digest_size(self) -> usize {
        match self {
            Self::Text => 0,
            Self::KeyedMd5 => 16,
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }

    /// What is left for routes: 24 entries with text, 23 with MD5, 22 to 20
    /// with HMAC.
    pub fn room(self) -> Room {
        let entries = match self {
            Self::Text => MAX_ENTRIES - 1,
            _ => MAX_ENTRIES - 1 - (TRAILER + self.digest_size()).div_ceil(ENTRY),
        };
        Room { entries, authentication: true }
    }

    /// The digest of a packet up to and with the first octets of its trailer.
    fn digest(self, secret: &[u8], packet: &[u8]) -> Vec<u8> {
        match self {
            Self::Text => Vec::new(),
            Self::KeyedMd5 => {
                Md5::new().chain_update(packet).chain_update(padded(secret)).finalize().to_vec()
            }
            Self::HmacSha1 => hmac_sha::<Sha1>(secret, packet),
            Self::HmacSha256 => hmac_sha::<Sha256>(secret, packet),
            Self::HmacSha384 => hmac_sha::<Sha384>(secret, packet),
            Self::HmacSha512 => hmac_sha::<Sha512>(secret, packet),
        }
    }
}

/// The key of MD5 and the password: cut or filled with zeros to 16 octets.
fn padded(secret: &[u8]) -> [u8; PASSWORD] {
    let mut out = [0; PASSWORD];
    let length = secret.len().min(PASSWORD);
    out[..length].copy_from_slice(&secret[..length]);
    out
}

/// RFC 4822 §3.3: a key longer than the digest is hashed first, and the place
/// of the digest is filled with Apad.
fn hmac_sha<D: Digest + hmac::EagerHash>(secret: &[u8], packet: &[u8]) -> Vec<u8> {
    use hmac::{KeyInit, Mac};
    let size = <D as Digest>::output_size();
    let hashed = (secret.len() > size).then(|| D::digest(secret));
    let key = hashed.as_deref().unwrap_or(secret);
    let mut mac = hmac::Hmac::<D>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(packet);
    mac.update(&APAD.repeat(size / APAD.len()));
    mac.finalize().into_bytes().to_vec()
}

/// A key of a chain.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its number, which packets name; text has none on the wire.
    pub id: u8,
    /// The secret.
    pub secret: Vec<u8>,
    /// When it is used for sending.
    pub send: Lifetime,
    /// When it is accepted.
    pub accept: Lifetime,
}

impl Key {
    /// A key that always holds.
    pub fn new(id: u8, secret: impl Into<Vec<u8>>) -> Self {
        Self { id, secret: secret.into(), send: Lifetime::default(), accept: Lifetime::default() }
    }
}

impl std::fmt::Debug for Key {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("send", &self.send)
            .field("accept", &self.accept)
            .finish_non_exhaustive()
    }
}

/// From when until when, in seconds since 1970 UTC; the end is not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// The first second; `None`: always so far.
    pub from: Option<u64>,
    /// The first second after it; `None`: for ever.
    pub until: Option<u64>,
}

impl Lifetime {
    fn holds(self, unix: u64) -> bool {
        self.from.is_none_or(|from| from <= unix) && !self.ended(unix)
    }

    fn ended(self, unix: u64) -> bool {
        self.until.is_some_and(|until| until <= unix)
    }
}

/// The key that signs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendKey {
    /// The key with this number.
    Valid(u8),
    /// The key with this number, although its time is over: there is no other
    /// and nothing may go unsigned (RFC 2082 §4.3). Give it a successor.
    Expired(u8),
    /// No key has begun yet: nothing is sent.
    None,
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
    Mode(u16),
    /// A key that is not in the chain.
    #[error("key {0} is not known here")]
    UnknownKey(u8),
    /// A key whose time has not come or is over.
    #[error("key {0} is not to be accepted at this time; compare the clocks and the lifetimes")]
    NotNow(u8),
    /// The password is not among ours.
    #[error("the password is wrong")]
    Password,
    /// Lengths do not fit: another digest, or a packet that was cut.
    #[error("its lengths do not fit; compare the mode at both ends")]
    Length,
    /// The digest is wrong.
    #[error("the digest of key {0} is wrong; compare the key at both ends")]
    Digest(u8),
    /// The sequence number is lower than one that we have seen.
    #[error("sequence number {got} after {last}: it has been sent before")]
    Replay {
        /// What it says.
        got: u32,
        /// The last one of the neighbour.
        last: u32,
    },
    /// An exact copy of a packet that carries the last sequence number: sent
    /// to us and to the group in one second, doubled on the way, or replayed.
    #[error("it is an exact copy of a packet with the last sequence number")]
    Copy,
}

/// A packet that is believed, but for replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    /// The header.
    pub(crate) header: [u8; HEADER],
    /// The entries without authentication.
    pub(crate) body: &'a [u8],
    /// What tells it from a replay; text has nothing.
    pub(crate) stamp: Option<Stamp<'a>>,
}

/// What tells a packet from a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp<'a> {
    pub(crate) sequence: u32,
    pub(crate) digest: &'a [u8],
}

impl Auth {
    /// The key that signs at a time of day: of those that hold the one that
    /// began last, so that a new key takes over at once (RFC 2082 §4.2).
    pub fn send_key(&self, unix: u64) -> SendKey {
        match self.signing(unix) {
            Some(key) if key.send.holds(unix) => SendKey::Valid(key.id),
            Some(key) => SendKey::Expired(key.id),
            None => SendKey::None,
        }
    }

    fn signing(&self, unix: u64) -> Option<&Key> {
        let valid = self.keys.iter().filter(|key| key.send.holds(unix));
        let expired = self.keys.iter().filter(|key| key.send.ended(unix));
        valid
            .max_by_key(|key| (key.send.from, key.id))
            .or_else(|| expired.max_by_key(|key| (key.send.until, key.id)))
    }

    /// True when the key is to be accepted: it holds, or it was the last one
    /// and none holds (RFC 2082 §4.3).
    fn accepts(&self, key: &Key, unix: u64) -> bool {
        key.accept.holds(unix)
            || (key.accept.ended(unix)
                && !self.keys.iter().any(|key| key.accept.holds(unix))
                && self
                    .keys
                    .iter()
                    .filter(|key| key.accept.ended(unix))
                    .all(|other| other.accept.until <= key.accept.until))
    }

    /// Signs a packet that [`wire`](crate::wire) has written with room for
    /// it; false when no key may sign, and then it must not be sent.
    #[must_use]
    pub(crate) fn seal(&self, unix: u64, sequence: u32, packet: &mut Vec<u8>) -> bool {
        let Some(key) = self.signing(unix) else { return false };
        let length = packet.len();
        let Some(entry) = packet.get_mut(HEADER..HEADER + ENTRY) else { return false };
        entry[..2].copy_from_slice(&AFI_AUTH.to_be_bytes());
        if self.mode == Mode::Text {
            entry[2..4].copy_from_slice(&TYPE_TEXT.to_be_bytes());
            entry[4..].copy_from_slice(&padded(&key.secret));
            return true;
        }
        let length = u16::try_from(length).expect("a packet of at most 25 entries");
        let size = u8::try_from(self.mode.digest_size()).expect("no digest is that long");
        entry[2..4].copy_from_slice(&TYPE_DIGEST.to_be_bytes());
        entry[4..6].copy_from_slice(&length.to_be_bytes());
        entry[6..8].copy_from_slice(&[key.id, size]);
        entry[8..12].copy_from_slice(&sequence.to_be_bytes());
        packet.extend([0xff, 0xff, 0, 1]);
        let digest = self.mode.digest(&key.secret, packet);
        packet.extend(digest);
        true
    }

    /// Checks a packet that has a whole header.
    pub(crate) fn open<'a>(&self, unix: u64, packet: &'a [u8]) -> Result<Opened<'a>, AuthFailure> {
        let (header, rest) = packet.split_first_chunk::<HEADER>().ok_or(AuthFailure::Length)?;
        let (entry, body) = rest.split_first_chunk::<ENTRY>().ok_or(AuthFailure::Missing)?;
        if entry[..2] != AFI_AUTH.to_be_bytes() {
            return Err(AuthFailure::Missing);
        }
        let kind = u16::from_be_bytes([entry[2], entry[3]]);
        match (self.mode, kind) {
            (Mode::Text, TYPE_TEXT) => {
                let ours = |key: &Key| self.accepts(key, unix) && same(&entry[4..], &padded(&key.secret));
                if !self.keys.iter().any(ours) {
                    return Err(AuthFailure::Password);
                }
                Ok(Opened { header: *header, body, stamp: None })
            }
            (Mode::Text, _) => Err(AuthFailure::Mode(kind)),
            (_, TYPE_DIGEST) => self.open_digest(unix, packet, entry),
            _ => Err(AuthFailure::Mode(kind)),
        }
    }

    fn open_digest<'a>(
        &self,
        unix: u64,
        packet: &'a [u8],
        entry: &[u8; ENTRY],
    ) -> Result<Opened<'a>, AuthFailure> {
        let (id, told) = (entry[6], usize::from(entry[7]));
        let key = self.keys.iter().find(|key| key.id == id).ok_or(AuthFailure::UnknownKey(id))?;
        if !self.accepts(key, unix) {
            return Err(AuthFailure::NotNow(id));
        }
        let size = self.mode.digest_size();
        let length = usize::from(u16::from_be_bytes([entry[4], entry[5]]));
        let fits = packet.len() == length + TRAILER + size && (told == size || told == size + TRAILER);
        if !fits || length < HEADER + ENTRY {
            return Err(AuthFailure::Length);
        }
        let (covered, digest) = packet.split_at(length + TRAILER);
        if covered[length..] != [0xff, 0xff, 0, 1] || !same(digest, &self.mode.digest(&key.secret, covered)) {
            return Err(AuthFailure::Digest(id));
        }
        let sequence = u32::from_be_bytes([entry[8], entry[9], entry[10], entry[11]]);
        let header = [packet[0], packet[1], packet[2], packet[3]];
        Ok(Opened { header, body: &covered[HEADER + ENTRY..length], stamp: Some(Stamp { sequence, digest }) })
    }
}

/// Checks a packet where no key is set: authenticated ones are dropped
/// (RFC 2453 §4.1).
pub(crate) fn open_plain(packet: &[u8]) -> Result<Opened<'_>, AuthFailure> {
    let (header, body) = packet.split_first_chunk::<HEADER>().ok_or(AuthFailure::Length)?;
    if body.starts_with(&AFI_AUTH.to_be_bytes()) {
        return Err(AuthFailure::Unexpected);
    }
    Ok(Opened { header: *header, body, stamp: None })
}

/// Compares without telling by its time where the difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// The most digests that are remembered of one sequence number.
const SEEN: usize = 4096;

/// What a neighbour has sent last: its sequence number, and the packets that
/// carried it (RFC 2082 §3.2.2).
#[derive(Clone, Debug, Default)]
pub(crate) struct Replay {
    last: u32,
    seen: HashSet<Box<[u8]>>,
}

impl Replay {
    /// Refuses what was sent before.
    pub(crate) fn check(&self, stamp: Stamp<'_>) -> Result<(), AuthFailure> {
        match stamp.sequence.cmp(&self.last) {
            Ordering::Less => Err(AuthFailure::Replay { got: stamp.sequence, last: self.last }),
            Ordering::Equal if self.seen.contains(stamp.digest) => Err(AuthFailure::Copy),
            // More in one second than can be told apart.
            Ordering::Equal if self.seen.len() == SEEN => Err(AuthFailure::Copy),
            Ordering::Equal | Ordering::Greater => Ok(()),
        }
    }

    /// Remembers a packet that was taken.
    pub(crate) fn note(&mut self, stamp: Stamp<'_>) {
        if stamp.sequence != self.last {
            self.seen.clear();
        }
        self.last = stamp.sequence;
        self.seen.insert(stamp.digest.into());
    }
}

#[cfg(test)]
mod tests;
