//! One TCP connection to a peer: bytes in, messages out, and the reverse.
//!
//! Nothing here waits for more than readiness of the socket. What cannot be
//! written waits in pieces that are shared with other connections; the caller
//! looks at their size before it adds more, so a slow peer costs a bounded
//! amount of memory.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::task::{Context, Poll};
use std::time::Duration;

use bgp::conn::Up;
use bgp::wire::{self, EncodeError, Message, Rx, WireError};
use bytes::{Buf, Bytes, BytesMut};
use kernel::sockopt::TcpInfo;
use nix::poll::{self, PollFd, PollFlags, PollTimeout};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::config::Secret;

/// How much is read from the socket at a time.
const READ_CHUNK: usize = 64 * 1024;

/// Above this many unsent bytes no more letters are taken from the mailbox.
pub(super) const OUTPUT_LOW: usize = 256 * 1024;

/// How many pieces are given to the socket at a time.
const SLICES: usize = 64;

/// How long a closed connection may take to hand over its last message.
const LINGER: Duration = Duration::from_secs(1);

/// A connection and its two buffers.
pub(super) struct Conn {
    stream: TcpStream,
    input: BytesMut,
    output: VecDeque<Bytes>,
    /// The octets in it.
    unsent: usize,
    /// What decoding depends on: the negotiated options once there are any.
    pub(super) rx: Rx,
    /// The longest message that may come (RFC 8654).
    pub(super) max_message: usize,
}

/// What reading came to.
pub(super) enum Read {
    /// Nothing whole yet.
    Nothing,
    /// The peer closed its side.
    End,
    /// So many bytes came.
    Some(usize),
}

impl Conn {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            output: VecDeque::new(),
            unsent: 0,
            rx: Rx::default(),
            max_message: wire::MAX_MESSAGE,
        }
    }

    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// What TCP says of the connection now.
    pub(super) fn tcp(&self) -> io::Result<TcpInfo> {
        kernel::sockopt::tcp_info(&self.stream)
    }

    /// True when the peer has closed its side, read or not.
    pub(super) fn closed_by_peer(&self) -> bool {
        let end = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
        let mut poll = [PollFd::new(self.stream.as_fd(), end)];
        // A socket that cannot be asked is not closed: reading it will tell.
        poll::poll(&mut poll, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// From now on segments are signed with this key, and those of the peer
    /// must be (RFC 2385); the connection goes on.
    pub(super) fn rekey(&self, peer: IpAddr, key: &Secret) -> io::Result<()> {
        kernel::sockopt::set_tcp_md5(&self.stream, peer, None, key.expose())
    }

    /// From now on messages are read as was negotiated; `aigp`: the
    /// accumulated metric is taken.
    pub(super) fn negotiated(&mut self, up: &Up, aigp: bool) {
        self.rx = up.rx(aigp);
        self.max_message = self.rx.max();
    }

    /// Ready when something can be read, if that is wanted, or written, if
    /// something is unsent.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>, read: bool) -> Poll<()> {
        if read && self.stream.poll_read_ready(context).is_ready() {
            return Poll::Ready(());
        }
        if self.unsent > 0 && self.stream.poll_write_ready(context).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Reads what is there, once.
    pub(super) fn read(&mut self) -> io::Result<Read> {
        self.input.reserve(READ_CHUNK);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Ok(Read::End),
            Ok(count) => Ok(Read::Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) => Err(error),
        }
    }

    /// The next message of what has been read, if it is whole; `judge` sees it
    /// with its octets.
    pub(super) fn next_message(
        &mut self,
        judge: impl FnOnce(&Result<Message, WireError>, &[u8]),
    ) -> Option<Result<Message, WireError>> {
        match wire::frame(&self.input, self.max_message) {
            Ok(None) => None,
            Ok(Some((frame, length))) => {
                let message = wire::decode(frame, &self.rx);
                judge(&message, &self.input[..length]);
                self.input.advance(length);
                Some(message)
            }
            Err(error) => {
                let message = Err(error);
                judge(&message, &self.input);
                self.input.clear();
                Some(message)
            }
        }
    }

    /// Gives back the room that was made for reading, but for the part of a
    /// message that has come: two hundred peers are mostly silent.
    pub(super) fn keep_rest(&mut self) {
        self.input = BytesMut::from(&self.input[..]);
    }

    /// Adds a message to what is to be sent.
    pub(super) fn queue(&mut self, message: &Message) -> Result<(), EncodeError> {
        let mut octets = BytesMut::new();
        wire::encode_message(message, &mut octets)?;
        self.push(octets.freeze());
        Ok(())
    }

    /// Adds messages that are written already.
    pub(super) fn push(&mut self, octets: Bytes) {
        self.unsent += octets.len();
        self.output.push_back(octets);
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.unsent > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            for (slice, octets) in slices.iter_mut().zip(&self.output) {
                *slice = IoSlice::new(octets);
            }
            let count = self.output.len().min(SLICES);
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(written) => self.wrote(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes away what was written.
    fn wrote(&mut self, mut written: usize) {
        self.unsent -= written;
        while let Some(first) = self.output.front_mut() {
            if first.len() > written {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.output.pop_front();
        }
    }

    /// Lets the peer read what was sent, then closes: closing at once with
    /// unread input would reset the connection and take our last message along.
    /// What the socket takes goes before this returns, and the end with it, so
    /// that the peer hears of it here before it does elsewhere.
    pub(super) fn linger(mut self) -> impl Future<Output = ()> + Send {
        let ended = self.flush().is_ok() && self.unsent == 0 && self.end().is_ok();
        async move {
            let drain = async {
                while !ended && self.flush().is_ok() && self.unsent > 0 {
                    self.stream.writable().await?;
                }
                if !ended {
                    self.end()?;
                }
                let mut rest = [0; 4096];
                while self.stream.read(&mut rest).await? > 0 {}
                io::Result::Ok(())
            };
            // However it ends, the connection is closed now.
            let _ = tokio::time::timeout(LINGER, drain).await;
        }
    }

    fn end(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write)
    }
}
