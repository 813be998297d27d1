//! The writer's netlink socket: hundreds of messages a send, errors by
//! sequence number, dumps filtered by the kernel.
//!
//! The kernel works off the whole of a send before the call returns, so every
//! answer is queued by then: reading until nothing is left never waits, and an
//! acknowledgement that is not there was lost to an overrun.

use std::io;

use net::Family;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use crate::msg::{Attributes, HEADER, Messages, RTM_NEWNEXTHOP, RTM_NEWROUTE, Seen, SeenNexthop};
use crate::msg::{aligned, parse_nexthop, parse_route};

/// Bytes read at once; the kernel fills up to 32 KiB of a dump.
const READ: usize = 64 << 10;
/// Times a dump is begun anew when the table changed under it.
pub(crate) const DUMPS: usize = 8;
/// Not in libc: the dump saw the table change (linux/netlink.h).
const NLM_F_DUMP_INTR: u16 = 0x10;
/// Not in libc: the acknowledgement carries attributes.
const NLM_F_ACK_TLVS: u16 = 0x200;
/// Not in libc: the acknowledgement carries only the header of the request.
const NLM_F_CAPPED: u16 = 0x100;
/// Not in libc: the attribute with the kernel's words.
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A blocking route socket.
#[derive(Debug)]
pub(crate) struct RouteSocket {
    socket: Socket,
    port: u32,
    sequence: u32,
    read: Vec<u8>,
    request: Messages,
}

/// What came of one send.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The messages that failed, by their place in the send.
    pub(crate) errors: Vec<(usize, Errno, String)>,
    /// False when answers were lost: nobody knows what was done.
    pub(crate) complete: bool,
}

/// A dump that is being read.
#[derive(Debug)]
pub(crate) struct Dump {
    sequence: u32,
    torn: bool,
}

/// How far a dump is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There may be more.
    More,
    /// All of it was given.
    End,
    /// Things changed meanwhile: what was given is void.
    Torn,
}

/// What changes all the time cannot be read.
pub(crate) fn torn() -> io::Error {
    io::Error::other(format!("the table kept changing during {DUMPS} dumps"))
}

/// One message of the kernel.
pub(crate) struct Heard<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// Port id of the socket whose request this answers or echoes.
    pub(crate) port: u32,
    /// The whole message.
    pub(crate) bytes: &'a [u8],
    /// The message without its header.
    pub(crate) payload: &'a [u8],
}

impl RouteSocket {
    /// Opens a socket in the network namespace of the calling thread.
    pub(crate) fn open(receive_buffer: usize) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        socket.set_netlink_get_strict_chk(true)?;
        // Without CAP_NET_ADMIN the default stays; no route can be written then anyway.
        if let Err(error) = setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer) {
            tracing::debug!(%error, "netlink receive buffer stays at the default");
        }
        Ok(Self { socket, port, sequence: 0, read: Vec::with_capacity(READ), request: Messages::default() })
    }

    /// The socket's port id.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Sends the messages and collects the errors.
    pub(crate) fn exchange(&mut self, messages: &mut Messages) -> io::Result<Answers> {
        let first = self.next_sequence(messages.len());
        let last = messages.len().saturating_sub(1);
        self.socket.send(messages.number_from(first), 0)?;
        let mut answers = Answers::default();
        let (mut acknowledged, mut overrun) = (false, false);
        // What failed is told in order, so nothing follows the last.
        while !acknowledged {
            let read = self.read_once(|heard| {
                let place = heard.sequence.wrapping_sub(first) as usize;
                if i32::from(heard.kind) != libc::NLMSG_ERROR || place > last {
                    return;
                }
                acknowledged |= place == last;
                if let Some((errno, said)) = parse_error(heard) {
                    answers.errors.push((place, errno, said));
                }
            })?;
            match read {
                Reading::Some => {}
                Reading::Nothing => break,
                Reading::Overrun => overrun = true,
            }
        }
        answers.complete = acknowledged && !overrun;
        Ok(answers)
    }

    /// Asks for something that comes as a run of messages; [`Self::more`] gives them.
    pub(crate) fn ask(&mut self, ask: impl FnOnce(&mut Messages)) -> io::Result<Dump> {
        let mut request = std::mem::take(&mut self.request);
        request.clear();
        ask(&mut request);
        let sequence = self.next_sequence(1);
        let sent = self.socket.send(request.number_from(sequence), 0);
        self.request = request;
        sent?;
        Ok(Dump { sequence, torn: false })
    }

    /// Reads on in a dump.
    pub(crate) fn more(&mut self, dump: &mut Dump, mut each: impl FnMut(&Heard<'_>)) -> io::Result<Progress> {
        let mut outcome = None;
        let sequence = dump.sequence;
        let read = self.read_once(|heard| {
            if heard.sequence != sequence {
                return;
            }
            dump.torn |= heard.flags & NLM_F_DUMP_INTR != 0;
            match i32::from(heard.kind) {
                libc::NLMSG_DONE | libc::NLMSG_ERROR => outcome = Some(parse_error(heard)),
                _ => each(heard),
            }
        })?;
        match (outcome, read) {
            // There is no such table.
            (Some(Some((Errno::ENOENT, _))), _) => Ok(Progress::End),
            (Some(Some((errno, _))), _) => Err(errno.into()),
            (Some(None), _) if !dump.torn => Ok(Progress::End),
            (None, Reading::Some) => Ok(Progress::More),
            (None, Reading::Overrun) => {
                dump.torn = true;
                Ok(Progress::More)
            }
            (Some(None), _) | (None, Reading::Nothing) => Ok(Progress::Torn),
        }
    }

    /// Every nexthop object in the namespace, whoever's it is.
    pub(crate) fn dump_nexthops(&mut self) -> io::Result<Vec<SeenNexthop>> {
        for _ in 0..DUMPS {
            let mut dump = self.ask(Messages::dump_nexthops)?;
            let mut seen = Vec::new();
            loop {
                let progress = self.more(&mut dump, |heard| {
                    if heard.kind == RTM_NEWNEXTHOP {
                        seen.extend(parse_nexthop(heard.payload));
                    }
                })?;
                match progress {
                    Progress::More => {}
                    Progress::End => return Ok(seen),
                    Progress::Torn => break,
                }
            }
        }
        Err(torn())
    }

    /// Reads the routes of a family in a table, all or those of one protocol.
    pub(crate) fn dump(&mut self, family: Family, table: u32, protocol: u8) -> io::Result<Vec<Seen>> {
        for _ in 0..DUMPS {
            let mut dump = self.ask(|request| request.dump(family, table, protocol))?;
            let mut seen = Vec::new();
            loop {
                let progress = self.more(&mut dump, |heard| {
                    // Kernels without the strict check do not filter.
                    let wanted =
                        |seen: &Seen| seen.table == table && (protocol == 0 || seen.protocol == protocol);
                    seen.extend(route_in(heard).filter(wanted));
                })?;
                match progress {
                    Progress::More => {}
                    Progress::End => return Ok(seen),
                    Progress::Torn => break,
                }
            }
        }
        Err(torn())
    }

    fn next_sequence(&mut self, messages: usize) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(u32::try_from(messages).unwrap_or(u32::MAX));
        first
    }

    /// Reads a datagram, if there is one.
    fn read_once(&mut self, mut each: impl FnMut(&Heard<'_>)) -> io::Result<Reading> {
        loop {
            self.read.clear();
            match self.socket.recv(&mut self.read, libc::MSG_DONTWAIT) {
                Ok(_) => {
                    for_each_message(&self.read, &mut each);
                    return Ok(Reading::Some);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Reading::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Reading::Overrun),
                Err(error) => return Err(error),
            }
        }
    }
}

/// What one read gave.
enum Reading {
    Some,
    Nothing,
    Overrun,
}

/// The route in a message of a dump.
pub(crate) fn route_in(heard: &Heard<'_>) -> Option<Seen> {
    if heard.kind == RTM_NEWROUTE { parse_route(heard.payload) } else { None }
}

/// Takes a datagram apart.
pub(crate) fn for_each_message(mut bytes: &[u8], each: &mut impl FnMut(&Heard<'_>)) {
    while let Some(&header) = bytes.first_chunk::<HEADER>() {
        let word =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = word(0) as usize;
        let (Some(whole), Some(payload)) = (bytes.get(..length), bytes.get(HEADER..length)) else { return };
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let flags = u16::from_ne_bytes([header[6], header[7]]);
        each(&Heard { kind, flags, sequence: word(8), port: word(12), bytes: whole, payload });
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
    }
}

/// The refusals in a datagram of answers: the number of the request, the
/// error and the kernel's words.
pub fn refusals_of(datagram: &[u8]) -> Vec<(u32, Errno, String)> {
    let mut refusals = Vec::new();
    for_each_message(datagram, &mut |heard| {
        refusals.extend(parse_error(heard).map(|(errno, said)| (heard.sequence, errno, said)));
    });
    refusals
}

/// The error of an `NLMSG_ERROR` or `NLMSG_DONE` with the kernel's words;
/// `None` for a success.
fn parse_error(heard: &Heard<'_>) -> Option<(Errno, String)> {
    let code = heard.payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if code == 0 {
        return None;
    }
    let words = if heard.flags & NLM_F_ACK_TLVS == 0 { &[][..] } else { words_of(heard) };
    let said = Attributes(words).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG).map(|(_, text)| text);
    let said = String::from_utf8_lossy(said.unwrap_or_default());
    Some((Errno::from_raw(-code), said.trim_end_matches('\0').to_owned()))
}

/// Where the attributes of an acknowledgement begin: after the code and the
/// header of the request, or the whole request when it is not capped.
fn words_of<'a>(heard: &Heard<'a>) -> &'a [u8] {
    let request = heard.payload.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
    let capped = heard.flags & NLM_F_CAPPED != 0;
    let skip = if capped { HEADER } else { aligned(request.unwrap_or(0) as usize) };
    heard.payload.get(4 + skip..).unwrap_or_default()
}
