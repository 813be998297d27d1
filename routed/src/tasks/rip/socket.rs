//! UDP sockets for RIP: one an interface and version, bound to its device, so
//! that a packet's interface is never in doubt.
//!
//! A wake-up for each packet, and a way through the kernel's stack for each,
//! cost more than all that the machine does with them. So a socket on which
//! one packet follows the other is left alone for [`REST`] and then read
//! until it is empty; and what goes to one destination goes in one datagram
//! that the kernel cuts into packets (`UDP_SEGMENT`), where the link can.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use net::Family;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use rip::Received;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The group of RIPv2 (RFC 2453 §4.5).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 9);
/// The group of `RIPng` (RFC 2080 §2.5.1).
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 9);
/// The port of RIPv2 (RFC 2453 §3.1).
const PORT_V4: u16 = 520;
/// The port of `RIPng` (RFC 2080 §2.1).
const PORT_V6: u16 = 521;
/// DSCP class selector 6, network control, as a TOS octet.
const CS6: u32 = 0xc0;
/// Room for what neighbours send at once.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Packets that are taken at a time.
const BATCH: usize = 64;
/// The largest packet: `RIPng` fills the link's MTU.
pub(super) const LARGEST: usize = 65_535;

/// How long a busy socket is left alone. Its buffer has room for more than what
/// a Gigabit link brings in that time.
const REST: Duration = Duration::from_millis(10);
/// The most packets that the kernel cuts one datagram into.
const MAX_SEGMENTS: usize = 64;
/// The most octets of such a datagram.
const MAX_DATAGRAM: usize = 65_000;

/// A socket of one version on one interface.
#[derive(Debug)]
pub(super) struct RipSocket {
    watch: Watch,
    socket: Socket,
    index: u32,
    /// When something was last read.
    read: Option<Instant>,
    /// The kernel cuts datagrams for this link.
    segments: bool,
}

/// How the next packet is noticed.
#[derive(Debug)]
enum Watch {
    /// The runtime says that it is there.
    Woken(UdpSocket),
    /// It is looked for at that time.
    Resting(Instant),
}

impl RipSocket {
    pub(super) fn open(family: Family, index: u32, name: &str) -> io::Result<Self> {
        let domain = if family == Family::Ipv4Unicast { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.bind_device(Some(name.as_bytes()))?;
        // Without the right to force it, the system's limit holds.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        match family {
            Family::Ipv4Unicast => prepare_v4(&socket, index)?,
            Family::Ipv6Unicast => prepare_v6(&socket, index)?,
        }
        Ok(Self { watch: woken(&socket)?, socket, index, read: None, segments: true })
    }

    /// Ready when there may be something to read; never while it rests.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        match &self.watch {
            // A socket whose readiness cannot be asked is read, and says why.
            Watch::Woken(ready) => ready.poll_recv_ready(context).map(drop),
            Watch::Resting(_) => Poll::Pending,
        }
    }

    /// When to read it although it says nothing.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        match self.watch {
            Watch::Woken(_) => None,
            Watch::Resting(until) => Some(until),
        }
    }

    /// What has come, up to a batch; `buffer` has room for the largest packet.
    pub(super) fn receive(&mut self, now: Instant, buffer: &mut [u8]) -> io::Result<Vec<Received>> {
        let mut packets = Vec::new();
        let mut result = Ok(());
        while packets.len() < BATCH && result.is_ok() {
            let one = match &self.watch {
                Watch::Woken(ready) => ready.try_io(Interest::READABLE, || self.one(buffer)),
                Watch::Resting(_) => self.one(buffer),
            };
            result = one.map(|packet| packets.extend(packet));
        }
        self.watch_on(now, packets.len())?;
        match result {
            // What has come already is worth more than the error, which will be back.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock && packets.is_empty() => Err(error),
            _ => Ok(packets),
        }
    }

    /// After `count` packets: a socket that brings one soon after the other
    /// rests, until it has brought none.
    fn watch_on(&mut self, now: Instant, count: usize) -> io::Result<()> {
        let busy = self.read.is_some_and(|read| now.saturating_duration_since(read) < 2 * REST);
        match (&self.watch, count) {
            (Watch::Woken(_), 0) => {}
            (Watch::Resting(until), 0) if *until > now => {}
            (Watch::Resting(_), 0) => {
                // What holds if the runtime refuses.
                self.watch = Watch::Resting(now + REST);
                self.watch = woken(&self.socket)?;
            }
            (_, BATCH..) => self.watch = Watch::Resting(now),
            (Watch::Woken(_), _) if !busy => {}
            _ => self.watch = Watch::Resting(now + REST),
        }
        if count > 0 {
            self.read = Some(now);
        }
        Ok(())
    }

    fn one(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut room = nix::cmsg_space!(nix::libc::in6_pktinfo, i32, i32);
        let mut slices = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut room), MsgFlags::MSG_DONTWAIT)?;
        let (mut ttl, mut multicast) = (None, false);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::Ipv4Ttl(value) | ControlMessageOwned::Ipv6HopLimit(value) => {
                    ttl = u8::try_from(value).ok();
                }
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    multicast = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).is_multicast();
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    multicast = Ipv6Addr::from(info.ipi6_addr.s6_addr).is_multicast();
                }
                _ => {}
            }
        }
        let source = message.address.as_ref().and_then(source_of);
        let length = message.bytes;
        let received = source.map(|source| Received {
            interface: self.index,
            source,
            multicast,
            ttl,
            bytes: buffer[..length].to_vec(),
        });
        Ok(received)
    }

    /// Sends packets out of the interface, in order; the last error, if any.
    pub(super) fn send(&mut self, to: SocketAddr, mut packets: &[Vec<u8>]) -> io::Result<()> {
        let to = match to {
            SocketAddr::V6(mut to) => {
                to.set_scope_id(self.index);
                SocketAddr::V6(to)
            }
            v4 @ SocketAddr::V4(_) => v4,
        };
        let to = SockaddrStorage::from(to);
        let mut result = Ok(());
        while !packets.is_empty() {
            let (run, rest) = packets.split_at(if self.segments { segments(packets) } else { 1 });
            if let Err(error) = self.send_run(&to, run).or_else(|error| self.send_each(&to, run, error)) {
                result = Err(error);
            }
            packets = rest;
        }
        result
    }

    /// Sends packets one by one that were refused together. Where that is
    /// well, it was the cutting that this link cannot do.
    fn send_each(&mut self, to: &SockaddrStorage, run: &[Vec<u8>], error: io::Error) -> io::Result<()> {
        if run.len() == 1 {
            return Err(error);
        }
        let sent = run.iter().map(|packet| self.send_run(to, std::slice::from_ref(packet)));
        let result = sent.fold(Ok(()), Result::and);
        self.segments = result.is_err();
        result
    }

    /// Sends packets as one datagram that the kernel cuts.
    fn send_run(&self, to: &SockaddrStorage, run: &[Vec<u8>]) -> io::Result<()> {
        let slices: Vec<IoSlice<'_>> = run.iter().map(|packet| IoSlice::new(packet)).collect();
        let length = run.first().and_then(|packet| u16::try_from(packet.len()).ok()).unwrap_or(u16::MAX);
        let cut = [ControlMessage::UdpGsoSegments(&length)];
        let control = if run.len() > 1 { &cut[..] } else { &[] };
        sendmsg(self.socket.as_raw_fd(), &slices, control, MsgFlags::empty(), Some(to))?;
        Ok(())
    }
}

/// How many packets at the beginning may go as one datagram: all of one length
/// but the last, which may be shorter.
fn segments(packets: &[Vec<u8>]) -> usize {
    let Some(length) = packets.first().map(Vec::len) else { return 0 };
    let most = MAX_SEGMENTS.min(MAX_DATAGRAM / length.max(1)).max(1);
    let full = packets.iter().take(most).take_while(|packet| packet.len() == length).count();
    let shorter = packets.get(full).is_some_and(|packet| packet.len() < length);
    full + usize::from(shorter && full < most)
}

fn woken(socket: &Socket) -> io::Result<Watch> {
    UdpSocket::from_std(socket.try_clone()?.into()).map(Watch::Woken)
}

fn source_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => Some(SocketAddr::new(v4.ip().into(), v4.port())),
        (None, Some(v6)) => Some(SocketAddr::new(v6.ip().into(), v6.port())),
        (None, None) => None,
    }
}

fn prepare_v4(socket: &Socket, index: u32) -> io::Result<()> {
    socket.set_multicast_ttl_v4(1)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_tos_v4(CS6)?;
    setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(socket, sockopt::Ipv4RecvTtl, &true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT_V4)).into())?;
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))
}

fn prepare_v6(socket: &Socket, index: u32) -> io::Result<()> {
    socket.set_only_v6(true)?;
    socket.set_multicast_hops_v6(255)?;
    socket.set_unicast_hops_v6(255)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_tclass_v6(CS6)?;
    setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT_V6)).into())?;
    socket.join_multicast_v6(&GROUP_V6, index)
}

#[cfg(test)]
mod tests;
