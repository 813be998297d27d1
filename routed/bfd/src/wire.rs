//! The control packet (RFC 5880 §4.1).
//!
//! ```text
//!  version 3, diag 5 | state 2, P F C A D M | detect mult | length
//!  my discriminator | your discriminator
//!  desired min tx | required min rx | required min echo rx     (microseconds)
//!  authentication section, with A
//! ```

use std::time::Duration;

use thiserror::Error;

use crate::auth::AuthFailure;

/// Octets of a packet without authentication.
pub const HEADER: usize = 24;
/// The only version there is.
const VERSION: u8 = 1;
/// The flags of the second octet.
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const INDEPENDENT: u8 = 0x08;
const AUTH: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// The state of a session (§6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Held down by its operator.
    AdminDown,
    /// Nothing is heard, or the other end hears nothing.
    #[default]
    Down,
    /// The other end is heard; it has not said that it hears us.
    Init,
    /// Both ends hear each other.
    Up,
}

impl State {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    fn code(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

/// Why a session last left Up (§4.1); other numbers are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Diag {
    /// 0: nothing to say.
    #[default]
    None,
    /// 1: nothing was heard for the detection time.
    DetectionExpired,
    /// 3: the other end said that it is down.
    NeighborDown,
    /// 7: its operator took it down.
    AdminDown,
    /// Any other.
    Other(u8),
}

impl Diag {
    /// The number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::DetectionExpired => 1,
            Self::NeighborDown => 3,
            Self::AdminDown => 7,
            Self::Other(code) => code & 31,
        }
    }

    /// The meaning of a number; only its five low bits count.
    pub fn of(code: u8) -> Self {
        match code & 31 {
            0 => Self::None,
            1 => Self::DetectionExpired,
            3 => Self::NeighborDown,
            7 => Self::AdminDown,
            other => Self::Other(other),
        }
    }
}

/// A control packet without its authentication section. The M bit does not
/// exist here: a packet with M is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the wire")]
pub struct Packet {
    /// Why the sender last left Up.
    pub diag: Diag,
    /// The state of the sender.
    pub state: State,
    /// P: answer at once.
    pub poll: bool,
    /// F: the answer.
    pub fin: bool,
    /// C: the sender lives on when its control plane does not.
    pub independent: bool,
    /// D: the sender wants no periodic packets while both ends are Up (§6.6).
    pub demand: bool,
    /// After how many missing packets the sender is lost; not 0.
    pub multiplier: u8,
    /// The session at the sender; not 0.
    pub mine: u32,
    /// The session at the receiver; 0: not known.
    pub yours: u32,
    /// The least interval at which the sender wants to send; µs.
    pub desired_tx: u32,
    /// The least interval at which the sender can receive; µs, 0: never.
    pub required_rx: u32,
    /// The same of echo packets; 0: none.
    pub required_echo: u32,
}

/// A packet that is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// What it says.
    pub packet: Packet,
    /// Its authentication section, with type and length; `None`: the A bit is not set.
    pub auth: Option<&'a [u8]>,
    /// All of it, without what follows its length.
    pub bytes: &'a [u8],
}

/// Why a packet is discarded, in the order of §6.8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum Discard {
    /// RFC 5881 §5, or less than is asked of a path over many hops.
    #[error(
        "its TTL of {got} is below {least}: it has come from further away than the peer is, or the sender does not set it"
    )]
    Ttl {
        /// What it had; 0: the socket could not say.
        got: u8,
        /// What it needs.
        least: u8,
    },
    /// Fewer octets than a packet has.
    #[error("it is shorter than a control packet")]
    Short,
    /// Not version 1.
    #[error("version {0} is not spoken here")]
    Version(u8),
    /// The length is too small for what the packet has.
    #[error("its length of {0} is too small")]
    Length(u8),
    /// The length is larger than the datagram.
    #[error("its length of {0} is larger than the datagram")]
    Cut(u8),
    /// A multiplier of zero.
    #[error("its detect multiplier is 0")]
    Multiplier,
    /// The M bit.
    #[error("it is a multipoint packet")]
    Multipoint,
    /// No discriminator of its own.
    #[error("its own discriminator is 0")]
    NoDiscriminator,
    /// A discriminator that is not ours.
    #[error("no session here has discriminator {0}")]
    UnknownDiscriminator(u32),
    /// No discriminator, in a state that knows one.
    #[error("it names no session, and its state is neither Down nor AdminDown")]
    Unnamed,
    /// No session with the sender.
    #[error("no session with its sender is configured")]
    UnknownSender,
    /// One hop for a session over many, or the reverse.
    #[error("it came to the port of another kind of session")]
    WrongPort,
    /// Authentication.
    #[error(transparent)]
    Auth(#[from] AuthFailure),
    /// Our session is held down.
    #[error("the session is held down here")]
    AdminDown,
}

/// What kinds of discard are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Its TTL.
    Ttl,
    /// It is no packet as RFC 5880 §4.1 has it.
    Malformed,
    /// It is for no session, or for one of another kind.
    Discriminator,
    /// Its authentication.
    Authentication,
    /// It has been sent before.
    Replay,
    /// The session is held down here.
    AdminDown,
}

impl Discard {
    /// The kind that it is counted under.
    pub fn kind(self) -> Kind {
        match self {
            Self::Ttl { .. } => Kind::Ttl,
            Self::Short
            | Self::Version(_)
            | Self::Length(_)
            | Self::Cut(_)
            | Self::Multiplier
            | Self::Multipoint
            | Self::NoDiscriminator => Kind::Malformed,
            Self::UnknownDiscriminator(_) | Self::Unnamed | Self::UnknownSender | Self::WrongPort => {
                Kind::Discriminator
            }
            Self::Auth(AuthFailure::Replay { .. }) => Kind::Replay,
            Self::Auth(_) => Kind::Authentication,
            Self::AdminDown => Kind::AdminDown,
        }
    }
}

fn word(bytes: &[u8; HEADER], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads a datagram: the checks of §6.8.6 that need no session, in its order.
pub fn decode(datagram: &[u8]) -> Result<Decoded<'_>, Discard> {
    let head = datagram.first_chunk::<HEADER>().ok_or(Discard::Short)?;
    if head[0] >> 5 != VERSION {
        return Err(Discard::Version(head[0] >> 5));
    }
    let (flags, told) = (head[1], head[3]);
    let least = if flags & AUTH == 0 { HEADER } else { HEADER + 2 };
    if usize::from(told) < least {
        return Err(Discard::Length(told));
    }
    let bytes = datagram.get(..usize::from(told)).ok_or(Discard::Cut(told))?;
    if head[2] == 0 {
        return Err(Discard::Multiplier);
    }
    if flags & MULTIPOINT != 0 {
        return Err(Discard::Multipoint);
    }
    let packet = Packet {
        diag: Diag::of(head[0]),
        state: State::ALL[usize::from(flags >> 6)],
        poll: flags & POLL != 0,
        fin: flags & FINAL != 0,
        independent: flags & INDEPENDENT != 0,
        demand: flags & DEMAND != 0,
        multiplier: head[2],
        mine: word(head, 4),
        yours: word(head, 8),
        desired_tx: word(head, 12),
        required_rx: word(head, 16),
        required_echo: word(head, 20),
    };
    if packet.mine == 0 {
        return Err(Discard::NoDiscriminator);
    }
    let auth = (flags & AUTH != 0).then(|| &bytes[HEADER..]);
    Ok(Decoded { packet, auth, bytes })
}

/// Writes a packet that has no authentication yet.
pub fn encode(packet: &Packet) -> Vec<u8> {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let flags = packet.state.code() << 6
        | flag(packet.poll, POLL)
        | flag(packet.fin, FINAL)
        | flag(packet.independent, INDEPENDENT)
        | flag(packet.demand, DEMAND);
    let mut out = vec![VERSION << 5 | packet.diag.code(), flags, packet.multiplier, 24];
    for word in [packet.mine, packet.yours, packet.desired_tx, packet.required_rx, packet.required_echo] {
        out.extend(word.to_be_bytes());
    }
    out
}

/// Adds an authentication section: the A bit, the length, the octets.
pub(crate) fn append_auth(bytes: &mut Vec<u8>, section: &[u8]) {
    bytes.extend_from_slice(section);
    bytes[1] |= AUTH;
    bytes[3] = u8::try_from(bytes.len()).expect("the longest section has 28 octets");
}

/// A time as the wire has it: microseconds, 71 minutes at most.
pub(crate) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
