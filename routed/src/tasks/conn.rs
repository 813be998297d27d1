//! One TCP connection to a peer: bytes in, messages out, and the reverse.
//!
//! Nothing here waits for more than readiness of the socket. What cannot be
//! written stays in a buffer whose size the caller looks at before it adds
//! more, so a slow peer costs a bounded amount of memory.

use std::io;
use std::net::SocketAddr;

use bgp::wire::{self, Message, Rx, WireError};
use bytes::{Buf, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How much is read from the socket at a time.
const READ_CHUNK: usize = 64 * 1024;

/// Above this many unsent bytes nothing more is pulled from the table.
pub(super) const OUTPUT_LOW: usize = 64 * 1024;

/// A connection and its two buffers.
pub(super) struct Conn {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
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
    /// Bytes came.
    Some,
}

impl Conn {
    pub(super) fn new(stream: TcpStream, rx: Rx) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(READ_CHUNK),
            output: BytesMut::new(),
            rx,
            max_message: wire::MAX_MESSAGE,
        }
    }

    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Waits until something can be read, or written if something is unsent.
    pub(super) async fn ready(&self, read: bool) -> io::Result<()> {
        let interest = match (read, self.output.is_empty()) {
            (true, true) => Interest::READABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
            (false, true) => return std::future::pending().await,
        };
        self.stream.ready(interest).await.map(drop)
    }

    /// Reads what is there, once.
    pub(super) fn read(&mut self) -> io::Result<Read> {
        self.input.reserve(READ_CHUNK);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Ok(Read::End),
            Ok(_) => Ok(Read::Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) => Err(error),
        }
    }

    /// The next message of what has been read, if it is whole.
    pub(super) fn next_message(&mut self) -> Option<Result<Message, WireError>> {
        match wire::frame(&self.input, self.max_message) {
            Ok(None) => None,
            Ok(Some((frame, length))) => {
                let message = wire::decode(frame, &self.rx);
                self.input.advance(length);
                Some(message)
            }
            Err(error) => {
                self.input.clear();
                Some(Err(error))
            }
        }
    }

    /// The buffer of what is to be sent.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    pub(super) fn unsent(&self) -> usize {
        self.output.len()
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(written) => self.output.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
