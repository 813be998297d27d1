//! The raw socket of one link, for router solicitations and advertisements.

use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use bgp::discovery::wire::{ADVERTISEMENT, ALL_ROUTERS, HOP_LIMIT, SOLICITATION};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// More than a message of use has: the largest packet of a usual link.
const LARGEST: usize = 1500;
/// Messages that are taken at a time.
const BATCH: usize = 64;

/// A message as it came.
pub(super) struct Packet {
    pub(super) source: Ipv6Addr,
    pub(super) hop_limit: Option<u8>,
    pub(super) bytes: Vec<u8>,
}

/// The socket; bound to its link, so that a message's link is never in doubt.
#[derive(Debug)]
pub(super) struct RaSocket {
    /// The runtime asks of a raw socket what it asks of one of UDP.
    socket: UdpSocket,
    index: u32,
}

impl RaSocket {
    pub(super) fn open(index: u32, name: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::RAW.nonblocking(), Some(Protocol::ICMPV6))?;
        kernel::sockopt::set_icmpv6_types(&socket, &[SOLICITATION, ADVERTISEMENT])?;
        socket.bind_device(Some(name.as_bytes()))?;
        setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
        socket.set_unicast_hops_v6(HOP_LIMIT.into())?;
        socket.set_multicast_hops_v6(HOP_LIMIT.into())?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_multicast_if_v6(index)?;
        socket.join_multicast_v6(&ALL_ROUTERS, index)?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, index })
    }

    pub(super) fn send(&self, bytes: &[u8], to: Ipv6Addr) -> io::Result<()> {
        let to = SocketAddrV6::new(to, 0, 0, self.index);
        SockRef::from(&self.socket).send_to(bytes, &to.into()).map(drop)
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        // A socket whose readiness cannot be asked is read, and says why.
        self.socket.poll_recv_ready(context).map(drop)
    }

    /// What has come, up to a batch.
    pub(super) fn receive(&self) -> io::Result<Vec<Packet>> {
        let mut packets = Vec::new();
        while packets.len() < BATCH {
            match self.socket.try_io(Interest::READABLE, || one(&self.socket)) {
                Ok(packet) => packets.extend(packet),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What has come already is worth more than the error, which will be back.
                Err(error) => return if packets.is_empty() { Err(error) } else { Ok(packets) },
            }
        }
        Ok(packets)
    }
}

fn one(socket: &UdpSocket) -> io::Result<Option<Packet>> {
    let mut room = nix::cmsg_space!(i32);
    let mut buffer = [0; LARGEST];
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let fd = socket.as_raw_fd();
    let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut room), MsgFlags::MSG_DONTWAIT)?;
    let hop_limit = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv6HopLimit(value) => u8::try_from(value).ok(),
        _ => None,
    });
    let source = message.address.as_ref().and_then(|address| Some(address.as_sockaddr_in6()?.ip()));
    let length = message.bytes;
    Ok(source.map(|source| Packet { source, hop_limit, bytes: buffer[..length].to_vec() }))
}
