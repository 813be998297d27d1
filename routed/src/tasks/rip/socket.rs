//! UDP sockets for RIP: one an interface and version, bound to its device, so
//! that a packet's interface is never in doubt.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use net::Family;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use rip::Received;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
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

/// A socket of one version on one interface.
#[derive(Debug)]
pub(super) struct RipSocket {
    socket: UdpSocket,
    index: u32,
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
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, index })
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        // A socket whose readiness cannot be asked is read, and says why.
        self.socket.poll_recv_ready(context).map(drop)
    }

    /// What has come, up to a batch; `buffer` has room for the largest packet.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Vec<Received>> {
        let mut packets = Vec::new();
        while packets.len() < BATCH {
            match self.socket.try_io(Interest::READABLE, || self.one(buffer)) {
                Ok(packet) => packets.extend(packet),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What has come already is worth more than the error, which will be back.
                Err(error) => return if packets.is_empty() { Err(error) } else { Ok(packets) },
            }
        }
        Ok(packets)
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

    /// Sends a datagram out of the interface.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let to = match to {
            SocketAddr::V6(mut to) => {
                to.set_scope_id(self.index);
                SocketAddr::V6(to)
            }
            v4 @ SocketAddr::V4(_) => v4,
        };
        SockRef::from(&self.socket).send_to(bytes, &to.into()).map(drop)
    }
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
