//! Router solicitations and advertisements (RFC 4861 §4.1, §4.2): only what
//! says that a router is there. The kernel makes and checks the checksum.

use std::net::Ipv6Addr;

/// Where solicitations go: all routers of the link (RFC 4291 §2.7.1).
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Where advertisements go: all nodes of the link (RFC 4291 §2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The hop limit of every message: whoever is not on the link cannot have
/// sent it (RFC 4861 §6.1.1, §6.1.2).
pub const HOP_LIMIT: u8 = 255;

/// `ICMPv6` type of a solicitation (RFC 4861 §4.1).
pub const SOLICITATION: u8 = 133;
/// `ICMPv6` type of an advertisement (RFC 4861 §4.2).
pub const ADVERTISEMENT: u8 = 134;

/// The octets of a solicitation before its options.
const SOLICITATION_LENGTH: usize = 8;
/// The octets of an advertisement before its options.
const ADVERTISEMENT_LENGTH: usize = 16;
/// Options say their length in these units (RFC 4861 §4.6).
const OPTION_UNIT: usize = 8;
/// The option with the sender's link-layer address (RFC 4861 §4.6.1).
const SOURCE_LINK_LAYER: u8 = 1;

/// A message as it came from the link.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The address that it came from.
    pub source: Ipv6Addr,
    /// Its hop limit; `None`: the system did not say.
    pub hop_limit: Option<u8>,
    /// The `ICMPv6` message.
    pub bytes: &'a [u8],
}

/// A message that is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Somebody wants to know the routers of the link.
    Solicitation,
    /// There is a router with this link-local address.
    Advertisement(Ipv6Addr),
}

/// Why a message was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Discard {
    /// It has passed a router, or nobody knows.
    #[error("its hop limit is not 255: it may come from off the link")]
    HopLimit,
    /// An advertisement from an address that is not link-local.
    #[error("it comes from {0}, which is no link-local address")]
    Source(Ipv6Addr),
    /// Fewer octets than the message has.
    #[error("it is cut short after {0} octets")]
    Short(usize),
    /// A code other than 0.
    #[error("its code is {0}, not 0")]
    Code(u8),
    /// An option of length 0, or one that goes beyond the end.
    #[error("an option has a wrong length")]
    Option,
    /// A solicitation from the unspecified address tells a link-layer address.
    #[error("it comes from nobody and says where that is")]
    Nobody,
    /// Another message.
    #[error("it is of type {0}")]
    Type(u8),
}

/// Reads a message and does all checks of RFC 4861 §6.1.1 and §6.1.2 but that
/// of the checksum.
pub fn decode(received: &Received<'_>) -> Result<Message, Discard> {
    let Received { source, hop_limit, bytes } = *received;
    let &[kind, code, ..] = bytes else { return Err(Discard::Short(bytes.len())) };
    let length = match kind {
        SOLICITATION => SOLICITATION_LENGTH,
        ADVERTISEMENT => ADVERTISEMENT_LENGTH,
        other => return Err(Discard::Type(other)),
    };
    if hop_limit != Some(HOP_LIMIT) {
        return Err(Discard::HopLimit);
    }
    let options = bytes.get(length..).ok_or(Discard::Short(bytes.len()))?;
    if code != 0 {
        return Err(Discard::Code(code));
    }
    let told = tells_link_layer(options)?;
    match kind {
        SOLICITATION if source.is_unspecified() && told => Err(Discard::Nobody),
        SOLICITATION => Ok(Message::Solicitation),
        _ if source.is_unicast_link_local() => Ok(Message::Advertisement(source)),
        _ => Err(Discard::Source(source)),
    }
}

/// True when one of the options is the sender's link-layer address; unknown
/// ones are passed over (RFC 4861 §4.6).
fn tells_link_layer(mut options: &[u8]) -> Result<bool, Discard> {
    let mut told = false;
    while let [kind, rest @ ..] = options {
        let units = rest.first().copied().filter(|units| *units > 0).ok_or(Discard::Option)?;
        told |= *kind == SOURCE_LINK_LAYER;
        options = options.get(usize::from(units) * OPTION_UNIT..).ok_or(Discard::Option)?;
    }
    Ok(told)
}

/// An advertisement of a router that is nobody's default router: a lifetime
/// of 0, no prefix, nothing that hosts would configure.
pub fn advertisement() -> Vec<u8> {
    let mut bytes = vec![0; ADVERTISEMENT_LENGTH];
    bytes[0] = ADVERTISEMENT;
    bytes
}

/// A solicitation, without options.
pub fn solicitation() -> Vec<u8> {
    let mut bytes = vec![0; SOLICITATION_LENGTH];
    bytes[0] = SOLICITATION;
    bytes
}
