//! A speaker of raw RIPv2: packets as bytes, right or wrong.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use crate::{Error, Netns, Result};

/// The port of RIPv2 (RFC 2453 §3.1).
pub const PORT: u16 = 520;
/// Its group (§4.5).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 9);
/// Patience with one packet.
const LIMIT: Duration = Duration::from_millis(200);

/// A UDP socket in a namespace that hears the group.
#[derive(Debug)]
pub struct RawRip {
    socket: UdpSocket,
    name: String,
}

/// A route in a response (RFC 2453 §4): prefix, length, next hop, metric.
pub type Entry = (Ipv4Addr, u8, Ipv4Addr, u32);

impl RawRip {
    /// Opens `port` of `address` and joins the group on that address's link.
    pub fn open(netns: &Netns, address: Ipv4Addr, port: u16) -> Result<RawRip> {
        let name = format!("raw RIP on {}", netns.name());
        let open = move || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            socket.join_multicast_v4(&GROUP, &address)?;
            socket.set_read_timeout(Some(LIMIT))?;
            Ok(socket)
        };
        let socket = netns.run(open)?.map_err(Error::io(&name))?;
        Ok(RawRip { socket, name })
    }

    /// Sends a packet to a host.
    pub fn send(&self, to: Ipv4Addr, packet: &[u8]) -> Result<()> {
        let to = SocketAddrV4::new(to, PORT);
        self.socket.send_to(packet, to).map(drop).map_err(Error::io(&self.name))
    }

    /// The next response, from whom and what; `None` where nothing comes soon.
    pub fn next_response(&self) -> Result<Option<(Ipv4Addr, Vec<Entry>)>> {
        let mut packet = [0; 1500];
        match self.socket.recv_from(&mut packet) {
            Ok((length, from)) if packet[0] == 2 => {
                let std::net::IpAddr::V4(from) = from.ip() else { return Ok(None) };
                Ok(Some((from, entries(&packet[4..length.max(4)]))))
            }
            Ok(_) => Ok(None),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
            Err(e) => Err(Error::io(&self.name)(e)),
        }
    }
}

/// A response with these routes.
pub fn response(routes: &[Entry]) -> Vec<u8> {
    let mut packet = vec![2, 2, 0, 0];
    for (prefix, length, next_hop, metric) in routes {
        let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
        packet.extend([0, 2, 0, 0]);
        packet.extend(prefix.octets());
        packet.extend(mask.to_be_bytes());
        packet.extend(next_hop.octets());
        packet.extend(metric.to_be_bytes());
    }
    packet
}

/// A response with these routes under a plain password (RFC 2453 §4.1).
pub fn response_under(password: &str, routes: &[Entry]) -> Vec<u8> {
    let mut packet = response(routes);
    let mut first = vec![0xff, 0xff, 0, 2];
    first.extend(password.bytes());
    first.resize(20, 0);
    packet.splice(4..4, first);
    packet
}

fn entries(body: &[u8]) -> Vec<Entry> {
    let word = |entry: &[u8], at: usize| -> u32 {
        entry[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
    };
    let routes = body.chunks_exact(20).filter(|entry| entry[..2] == [0, 2]);
    routes
        .map(|entry| {
            let length = u8::try_from(word(entry, 8).leading_ones()).unwrap_or(32);
            (word(entry, 4).into(), length, word(entry, 12).into(), word(entry, 16))
        })
        .collect()
}
