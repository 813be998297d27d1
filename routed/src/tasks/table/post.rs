//! Letters to peers: written once for a group, and the boxes they wait in.
//!
//! ```text
//!  AdjOut ─ lines ─► Office: encoder ─► Letter ─┬─► box ─► peer task ─► socket
//!                                               └─► box ─► peer task ─► socket
//! ```
//! A letter is one piece of memory however many peers it is for; each peer
//! sends the slices of it that are for it. How much waits in a box is counted
//! in both directions, so the table knows without asking who can take more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bgp::conn::Up;
use bgp::wire::{self, EncodeError, Encoder, Message, RouteRefresh, Tx};
use bytes::{Bytes, BytesMut};
use net::{Attrs, Family, Nlri};
use rib::adj_out::{Line, Out, Post, To};
use rib::{AdjOut, PeerId};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tracing::{error, warn};

/// What a letter costs besides its octets, so that many short ones count too.
const ENVELOPE: usize = 256;
/// More letters never wait in a box: [`AdjOut`] gives a peer none beyond its
/// limit but one, and each counts as [`ENVELOPE`] at least.
const LETTERS: usize = 16 * 1024;

/// UPDATE messages for the members of a group.
#[derive(Clone, Debug)]
pub(crate) struct Letter(Arc<Content>);

#[derive(Debug)]
struct Content {
    octets: Bytes,
    parts: Vec<Part>,
}

/// Messages that stand together and are for the same peers.
#[derive(Debug)]
struct Part {
    to: To,
    /// Where they end.
    end: usize,
    messages: Sent,
}

/// How many messages of which type, and how many prefixes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// UPDATE.
    pub(crate) updates: u64,
    /// ROUTE-REFRESH.
    pub(crate) refreshes: u64,
    /// Prefixes that are reachable.
    pub(crate) announced: u64,
    /// Prefixes that are reachable no more.
    pub(crate) withdrawn: u64,
}

impl std::ops::AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.updates += other.updates;
        self.refreshes += other.refreshes;
        self.announced += other.announced;
        self.withdrawn += other.withdrawn;
    }
}

impl Letter {
    fn weight(&self) -> usize {
        self.0.octets.len() + ENVELOPE
    }

    /// Hands over the slices that are for a peer; returns how many messages
    /// they are.
    pub(crate) fn for_peer(&self, id: PeerId, mut send: impl FnMut(Bytes)) -> Sent {
        let Content { octets, parts } = &*self.0;
        let (mut begin, mut end, mut messages) = (0, 0, Sent::default());
        for part in parts {
            if part.to.reaches(id) {
                messages += part.messages;
            } else {
                if begin < end {
                    send(octets.slice(begin..end));
                }
                begin = part.end;
            }
            end = part.end;
        }
        if begin < end {
            send(octets.slice(begin..end));
        }
        messages
    }
}

/// How much was put into a box and how much was taken out.
#[derive(Debug, Default)]
struct Gauge {
    handed: AtomicUsize,
    taken: AtomicUsize,
    called: AtomicBool,
}

impl Gauge {
    fn unsent(&self) -> usize {
        let taken = self.taken.load(Ordering::SeqCst);
        self.handed.load(Ordering::SeqCst).wrapping_sub(taken)
    }
}

/// The table's end of a peer's box.
#[derive(Debug)]
pub(crate) struct Slot {
    letters: mpsc::Sender<Letter>,
    gauge: Arc<Gauge>,
}

/// The peer's end.
#[derive(Debug)]
pub(crate) struct Mailbox {
    letters: mpsc::Receiver<Letter>,
    gauge: Arc<Gauge>,
}

/// A box for one session.
pub(crate) fn mailbox() -> (Slot, Mailbox) {
    let (sender, receiver) = mpsc::channel(LETTERS);
    let gauge = Arc::new(Gauge::default());
    let slot = Slot { letters: sender, gauge: Arc::clone(&gauge) };
    (slot, Mailbox { letters: receiver, gauge })
}

impl Mailbox {
    /// Waits for the next letter; for ever when the table is gone.
    pub(crate) async fn next(&mut self) -> Letter {
        match self.letters.recv().await {
            Some(letter) => letter,
            None => std::future::pending().await,
        }
    }

    /// The next letter, if there is one.
    pub(crate) fn more(&mut self) -> Option<Letter> {
        self.letters.try_recv().ok()
    }

    /// The octets of letters that wait in the box.
    pub(crate) fn unsent(&self) -> usize {
        self.gauge.unsent()
    }

    /// A letter is on its way; true when it was the last and the table waits
    /// to hear so.
    pub(crate) fn took(&self, letter: &Letter) -> bool {
        self.gauge.taken.fetch_add(letter.weight(), Ordering::SeqCst);
        self.gauge.called.load(Ordering::SeqCst)
            && self.gauge.unsent() == 0
            && self.gauge.called.swap(false, Ordering::SeqCst)
    }
}

/// The outgoing side of all peers, with letters in the wire's format.
pub(super) type Outgoing = AdjOut<Office>;

/// What a session must have in common with others to be sent the same octets.
pub(super) fn format(up: &Up) -> Tx {
    up.tx()
}

/// Writes letters and carries them to the boxes.
#[derive(Debug, Default)]
pub(super) struct Office {
    slots: FxHashMap<PeerId, Slot>,
    encoders: Vec<Encoder>,
    scratch: BytesMut,
}

impl Office {
    /// A session is up.
    pub(super) fn open(&mut self, id: PeerId, slot: Slot) {
        self.slots.insert(id, slot);
    }

    /// A session is down.
    pub(super) fn close(&mut self, id: PeerId) {
        self.slots.remove(&id);
    }

    /// True when every letter is on its way; if not, the table hears when
    /// another peer has sent all of its own.
    pub(super) fn all_sent(&mut self) -> bool {
        let sent = |gauge: &Gauge| {
            if gauge.unsent() > 0 {
                gauge.called.store(true, Ordering::SeqCst);
            }
            gauge.unsent() == 0
        };
        self.slots.values().all(|slot| sent(&slot.gauge))
    }

    /// Writes one line to the end of the scratch; says how many messages.
    /// Routes that cannot be written are withdrawn, for what was told of them
    /// before holds no more.
    fn line(&mut self, encoder: usize, out: &Out) -> Result<Sent, EncodeError> {
        let Self { encoders, scratch, .. } = self;
        let encoder = &mut encoders[encoder];
        match out {
            Out::Reach { family, attrs, nlri } => {
                match encoder.encode_update(scratch, *family, attrs, nlri) {
                    Ok(updates) => Ok(Sent { updates, announced: nlri.len() as u64, ..Sent::default() }),
                    Err(error) => {
                        warn!(%error, count = nlri.len(), first = ?nlri.first(), "routes withdrawn");
                        withdraw(encoder, scratch, *family, nlri)
                    }
                }
            }
            Out::Unreach { family, nlri } => withdraw(encoder, scratch, *family, nlri),
            Out::EndOfRib(family) => {
                encoder.end_of_rib(scratch, *family);
                Ok(Sent { updates: 1, ..Sent::default() })
            }
            Out::RefreshBegin(family) => mark(encoder, scratch, *family, 1),
            Out::RefreshEnd(family) => mark(encoder, scratch, *family, 2),
        }
    }

    fn encoder(&mut self, format: Tx) -> usize {
        self.encoders.iter().position(|encoder| encoder.tx() == format).unwrap_or_else(|| {
            self.encoders.push(Encoder::new(format));
            self.encoders.len() - 1
        })
    }
}

fn withdraw(
    encoder: &mut Encoder,
    scratch: &mut BytesMut,
    family: Family,
    nlri: &[Nlri],
) -> Result<Sent, EncodeError> {
    let updates = encoder.encode_withdraw(scratch, family, nlri)?;
    Ok(Sent { updates, withdrawn: nlri.len() as u64, ..Sent::default() })
}

/// Marks the begin or the end of a refresh, for peers that know the marks
/// (RFC 7313 §4).
fn mark(
    encoder: &mut Encoder,
    scratch: &mut BytesMut,
    family: Family,
    subtype: u8,
) -> Result<Sent, EncodeError> {
    if !encoder.tx().enhanced_refresh {
        return Ok(Sent::default());
    }
    let mark = RouteRefresh { afi: family.afi(), subtype, safi: family.safi() };
    let refreshes = encoder.encode_message(scratch, &Message::RouteRefresh(mark))?;
    Ok(Sent { refreshes, ..Sent::default() })
}

impl Post for Office {
    type Format = Tx;
    type Letter = Letter;

    /// Routes that no message of the session can hold are not told, and what
    /// was told of them before is withdrawn (RFC 8654 §4).
    fn fits(format: &Tx, family: Family, attrs: &Attrs) -> bool {
        let fits = wire::fits(*format, family, attrs);
        if !fits {
            warn!(%family, max = format.max(), path = %attrs.as_path, "routes not told: too long for a message");
        }
        fits
    }

    fn write(&mut self, format: &Tx, lines: &[Line]) -> Letter {
        let encoder = self.encoder(*format);
        self.scratch.clear();
        let mut parts: Vec<Part> = Vec::new();
        for Line { to, out } in lines {
            let messages = match self.line(encoder, out) {
                Ok(messages) => messages,
                Err(error) => {
                    warn!(%error, "routes not sent");
                    continue;
                }
            };
            let end = self.scratch.len();
            match parts.last_mut().filter(|last| last.to == *to) {
                Some(last) => {
                    last.end = end;
                    last.messages += messages;
                }
                None => parts.push(Part { to: *to, end, messages }),
            }
        }
        Letter(Arc::new(Content { octets: Bytes::copy_from_slice(&self.scratch), parts }))
    }

    fn hand(&mut self, to: PeerId, letter: &Letter) {
        let Some(slot) = self.slots.get(&to) else { return };
        slot.gauge.handed.fetch_add(letter.weight(), Ordering::SeqCst);
        match slot.letters.try_send(letter.clone()) {
            // A session that has ended is told nothing.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => error!(peer = to.0, "the box of a peer is too small"),
        }
    }

    fn unsent(&self, id: PeerId) -> usize {
        self.slots.get(&id).map_or(0, |slot| slot.gauge.unsent())
    }

    fn call_back(&mut self, id: PeerId) {
        if let Some(slot) = self.slots.get(&id) {
            slot.gauge.called.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests;
