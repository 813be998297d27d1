//! One BGP session of the load: what is to be written, what was heard.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    prefixes::{PLAIN, Prefix},
    wire,
};
use crate::wait::now;

/// Room for what is read at once.
const BUFFER: usize = 256 << 10;
/// Room that is asked of the kernel for what is written.
const SEND_BUFFER: usize = 8 << 20;
/// Hold time that is offered, seconds.
const HOLD: u16 = 240;
/// How long one step of the handshake may take.
const STEP: Duration = Duration::from_secs(3);

/// Who speaks, with whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Our address; the BGP identifier too.
    pub local: Ipv4Addr,
    /// Our AS.
    pub asn: u32,
    /// The router.
    pub router: SocketAddr,
}

/// A session that is established.
#[derive(Debug)]
pub(super) struct Session {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How many bytes of the buffer are filled.
    filled: usize,
    outgoing: VecDeque<(Arc<[u8]>, usize)>,
    tally: Option<Tally>,
}

/// What a session counts: the first so many of the
/// [plain](super::prefixes::plain) prefixes, without its own, which some
/// routers send back.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// How many there are.
    pub space: usize,
    /// Which of them the session tells.
    pub own: Range<usize>,
}

/// Which of the prefixes that count a session has now.
#[derive(Debug)]
struct Tally {
    bits: Vec<u64>,
    own: Range<usize>,
    count: usize,
    goal: Option<usize>,
}

/// What a look at the socket found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing of note.
    Nothing,
    /// The session has as many prefixes as was asked for.
    Goal,
    /// It ended, with the reason.
    End(String),
}

impl Session {
    /// Dials and speaks until the session is established, then counts what is
    /// asked for, if anything.
    pub(super) fn open(ends: Ends, wanted: Option<&Wanted>) -> io::Result<Session> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(&SocketAddr::from((ends.local, 0)).into())?;
        socket.connect_timeout(&ends.router.into(), STEP)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(STEP))?;
        let tally = wanted.map(Tally::new);
        let buffer = vec![0; BUFFER];
        let mut session = Session { stream, buffer, filled: 0, outgoing: VecDeque::new(), tally };
        session.stream.write_all(&wire::open(ends.asn, ends.local, HOLD))?;
        session.expect(wire::OPEN)?;
        session.stream.write_all(&wire::keepalive())?;
        session.expect(wire::KEEPALIVE)?;
        session.stream.set_nonblocking(true)?;
        Ok(session)
    }

    /// Takes the next message, which must be of that type.
    fn expect(&mut self, kind: u8) -> io::Result<()> {
        loop {
            let found = wire::header(&self.buffer[..self.filled]);
            if let Some((length, found)) = found.filter(|(length, _)| *length <= self.filled) {
                let body = format!("{:?}", &self.buffer[wire::HEADER..length.clamp(wire::HEADER, 60)]);
                self.consume(length);
                let wrong = || io::Error::other(format!("message {found} instead of {kind}: {body}"));
                return if found == kind { Ok(()) } else { Err(wrong()) };
            }
            match self.stream.read(&mut self.buffer[self.filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => self.filled += more,
            }
        }
    }

    /// Forgets the first `length` bytes of the buffer.
    fn consume(&mut self, length: usize) {
        self.buffer.copy_within(length..self.filled, 0);
        self.filled -= length;
    }

    /// The socket, to wait for it.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Adds to what is to be written.
    pub(super) fn queue(&mut self, bytes: Arc<[u8]>) {
        self.outgoing.push_back((bytes, 0));
    }

    /// Whether something is to be written.
    pub(super) fn pending(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Writes what the socket takes.
    pub(super) fn write(&mut self) -> io::Result<()> {
        while let Some((bytes, at)) = self.outgoing.front_mut() {
            match self.stream.write(&bytes[*at..]) {
                Ok(written) => *at += written,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(why) => return Err(why),
            }
            if *at == bytes.len() {
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }

    /// Ends the session: a Cease, as far as the socket takes it, and the end of the stream.
    pub(super) fn cease(&mut self) -> io::Result<Instant> {
        let began = now();
        self.stream.write_all(&wire::cease())?;
        self.stream.shutdown(std::net::Shutdown::Write)?;
        Ok(began)
    }

    /// How many prefixes the session has.
    pub(super) fn count(&self) -> usize {
        self.tally.as_ref().map_or(0, |tally| tally.count)
    }

    /// From now on it is of note when the session has `goal` prefixes; says
    /// whether it has them already.
    pub(super) fn aim(&mut self, goal: usize) -> bool {
        let Some(tally) = &mut self.tally else { return false };
        tally.goal = (tally.count != goal).then_some(goal);
        tally.goal.is_none()
    }

    /// Reads what is there and counts it.
    pub(super) fn read(&mut self) -> Heard {
        let mut heard = Heard::Nothing;
        loop {
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Heard::End("end of stream".to_owned()),
                Ok(more) => {
                    self.filled += more;
                    let full = self.filled == self.buffer.len();
                    match self.digest() {
                        Heard::Nothing => {}
                        other => heard = other,
                    }
                    if !full || matches!(heard, Heard::End(_)) {
                        return heard;
                    }
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return heard,
                Err(why) => return Heard::End(why.to_string()),
            }
        }
    }

    /// Takes the whole messages of the buffer.
    fn digest(&mut self) -> Heard {
        let (mut at, mut reached) = (0, false);
        while let Some((length, kind)) = wire::header(&self.buffer[at..self.filled]) {
            if length < wire::HEADER {
                return Heard::End(format!("a message of length {length}"));
            }
            if at + length > self.filled {
                break;
            }
            let body = &self.buffer[at + wire::HEADER..at + length];
            match (kind, &mut self.tally) {
                (wire::NOTIFICATION, _) => return Heard::End(format!("NOTIFICATION {body:?}")),
                (wire::UPDATE, Some(tally)) => reached |= tally.take(body),
                _ => {}
            }
            at += length;
        }
        self.consume(at);
        if reached { Heard::Goal } else { Heard::Nothing }
    }
}

impl Tally {
    fn new(wanted: &Wanted) -> Tally {
        let bits = vec![0; wanted.space.div_ceil(64)];
        Tally { bits, own: wanted.own.clone(), count: 0, goal: None }
    }

    /// Counts an UPDATE; says whether the goal is reached with it.
    fn take(&mut self, body: &[u8]) -> bool {
        let Some((gone, come)) = wire::split(body) else { return false };
        wire::walk(gone, |prefix| self.set(prefix, false));
        wire::walk(come, |prefix| self.set(prefix, true));
        let reached = self.goal == Some(self.count);
        if reached {
            self.goal = None;
        }
        reached
    }

    #[inline]
    fn set(&mut self, (address, length): Prefix, present: bool) {
        let number = (address.wrapping_sub(PLAIN) >> 8) as usize;
        let Some(word) = self.bits.get_mut(number / 64) else { return };
        if length != 24 || self.own.contains(&number) {
            return;
        }
        let bit = 1 << (number % 64);
        match (*word & bit != 0, present) {
            (false, true) => self.count += 1,
            (true, false) => self.count -= 1,
            _ => return,
        }
        *word ^= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{prefixes::plain, wire::Teller};

    fn body(message: &[u8]) -> &[u8] {
        &message[wire::HEADER..]
    }

    #[test]
    fn a_prefix_counts_once_however_often_it_comes() {
        let teller = Teller { asn: 65001, next_hop: Ipv4Addr::LOCALHOST, longer: 0 };
        let mut tally = Tally::new(&Wanted { space: 256, own: 200..210 });
        tally.goal = Some(100);
        let (first, all) = (wire::announce(teller, &plain(0, 50)), wire::announce(teller, &plain(0, 100)));
        assert!(!tally.take(body(&first)));
        assert!(!tally.take(body(&first)));
        assert_eq!(tally.count, 50);
        assert!(tally.take(body(&all)));
        assert!(!tally.take(body(&all)), "the goal is of note once");
        tally.goal = Some(99);
        assert!(tally.take(body(&wire::withdraw(&plain(7, 1)))));
        assert!(!tally.take(body(&wire::withdraw(&plain(4_000, 1)))), "outside the space");
        assert!(!tally.take(body(&wire::announce(teller, &plain(200, 10)))), "its own");
        assert_eq!(tally.count, 99);
    }
}
