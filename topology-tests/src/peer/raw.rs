//! A BGP speaker of bare bytes, for what no well-behaved peer would send.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use crate::{Error, Netns, Result};

/// OPEN, RFC 4271 §4.1.
pub const OPEN: u8 = 1;
/// UPDATE.
pub const UPDATE: u8 = 2;
/// NOTIFICATION.
pub const NOTIFICATION: u8 = 3;
/// KEEPALIVE.
pub const KEEPALIVE: u8 = 4;

/// Patience with a silent peer.
const LIMIT: Duration = Duration::from_secs(10);

/// A TCP connection to port 179 that says what it is told to say.
#[derive(Debug)]
pub struct RawBgp {
    stream: TcpStream,
    name: String,
}

/// A message: its type and what follows the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Type of the message.
    pub kind: u8,
    /// Bytes after the header of 19.
    pub body: Vec<u8>,
}

impl RawBgp {
    /// Dials `target` from a namespace, be it that of a host or a container.
    pub fn dial(host: &Netns, target: Ipv4Addr) -> Result<RawBgp> {
        let address = SocketAddr::new(target.into(), 179);
        let name = format!("bare BGP connection from {} to {address}", host.name());
        let stream =
            host.run(move || TcpStream::connect_timeout(&address, LIMIT))?.map_err(Error::io(&name))?;
        stream.set_read_timeout(Some(LIMIT)).map_err(Error::io(&name))?;
        Ok(RawBgp { stream, name })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(Error::io(&self.name))
    }

    /// Sends a message with a true header.
    pub fn send_message(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        self.send(&message(kind, body))
    }

    /// The next message; the end of the connection is an error.
    pub fn receive(&mut self) -> Result<Message> {
        let mut header = [0u8; 19];
        self.read(&mut header)?;
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let mut body = vec![0; length.saturating_sub(header.len())];
        self.read(&mut body)?;
        Ok(Message { kind: header[18], body })
    }

    /// The next message of a type; others are passed over.
    pub fn receive_kind(&mut self, kind: u8) -> Result<Message> {
        loop {
            let message = self.receive()?;
            if message.kind == kind {
                return Ok(message);
            }
            if message.kind == NOTIFICATION {
                let why = io::Error::other(format!("the peer ended it: NOTIFICATION {:?}", message.body));
                return Err(Error::io(&self.name)(why));
            }
        }
    }

    /// Goes through OPEN and KEEPALIVE as AS `asn` with router id `id`.
    pub fn establish(&mut self, asn: u16, id: Ipv4Addr) -> Result<()> {
        self.establish_with(&open(asn, id))
    }

    /// The same with the body of an OPEN.
    pub fn establish_with(&mut self, open: &[u8]) -> Result<()> {
        self.send_message(OPEN, open)?;
        self.receive_kind(OPEN)?;
        self.send_message(KEEPALIVE, &[])?;
        self.receive_kind(KEEPALIVE).map(drop)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.stream.read_exact(buffer).map_err(Error::io(&self.name))
    }
}

/// A message with a true header.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    [&[0xff; 16], &length.to_be_bytes()[..], &[kind], body].concat()
}

/// The body of an OPEN with hold time 90 s and no capabilities (RFC 4271 §4.2).
pub fn open(asn: u16, id: Ipv4Addr) -> Vec<u8> {
    [&[4u8][..], &asn.to_be_bytes(), &90u16.to_be_bytes(), &id.octets(), &[0]].concat()
}

/// The same with capabilities (RFC 5492 §4): code, length and value of each.
pub fn open_with(asn: u16, id: Ipv4Addr, capabilities: &[u8]) -> Vec<u8> {
    let mut body = open(asn, id);
    let length = u8::try_from(capabilities.len()).unwrap_or(u8::MAX);
    body.pop();
    body.extend_from_slice(&[length + 2, 2, length]);
    body.extend_from_slice(capabilities);
    body
}

/// The body of an UPDATE that announces one IPv6 prefix of /48 (RFC 4760 §3)
/// with an `AS_PATH` of `asn` and the octets of a next hop.
pub fn update_ipv6(prefix: [u16; 3], asn: u16, next_hop: &[u8]) -> Vec<u8> {
    let [a, b] = asn.to_be_bytes();
    let length = |octets: usize| u8::try_from(octets).unwrap_or(u8::MAX);
    let prefix = prefix.map(u16::to_be_bytes).concat();
    let reach = [&[0, 2, 1, length(next_hop.len())], next_hop, &[0, 48], &prefix[..]].concat();
    let attributes =
        [&[0x80, 14, length(reach.len())][..], &reach, &[0x40, 1, 1, 0], &[0x40, 2, 4, 2, 1, a, b]].concat();
    let length = u16::try_from(attributes.len()).unwrap_or(u16::MAX);
    [&[0, 0][..], &length.to_be_bytes(), &attributes].concat()
}

/// The body of an UPDATE that announces one IPv4 prefix of /24 (RFC 4271 §4.3)
/// with the given ORIGIN value, an `AS_PATH` of `asn` and `next_hop`.
pub fn update(prefix: [u8; 3], origin: u8, asn: u16, next_hop: Ipv4Addr) -> Vec<u8> {
    let [a, b] = asn.to_be_bytes();
    let attributes = [
        &[0x40, 1, 1, origin][..],
        &[0x40, 2, 4, 2, 1, a, b],
        &[&[0x40, 3, 4][..], &next_hop.octets()].concat(),
    ]
    .concat();
    let length = u16::try_from(attributes.len()).unwrap_or(u16::MAX);
    [&[0, 0][..], &length.to_be_bytes(), &attributes, &[24], &prefix].concat()
}

/// The body of the same UPDATE with so many communities, `0:0` and on.
pub fn long_update(prefix: [u8; 3], communities: u16, asn: u16, next_hop: Ipv4Addr) -> Vec<u8> {
    let mut body = update(prefix, 0, asn, next_hop);
    let value: Vec<u8> = (0..communities).flat_map(|n| u32::from(n).to_be_bytes()).collect();
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
    let attribute = [&[0xd0, 8], &length[..], &value].concat();
    let all = u16::from_be_bytes([body[2], body[3]]) + u16::try_from(attribute.len()).unwrap_or(u16::MAX);
    body[2..4].copy_from_slice(&all.to_be_bytes());
    let at = body.len() - 4;
    body.splice(at..at, attribute);
    body
}
