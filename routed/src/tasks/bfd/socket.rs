//! UDP sockets for BFD. To receive there is one for each interface and family
//! over one hop (RFC 5881 §4), and one for each family over many (RFC 5883
//! §5); to send there is one for each session, because each session has its
//! own source port.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use bfd::Path;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::place::Place;

/// The port of control packets over one hop.
const ONE_HOP: u16 = 3784;
/// The port of control packets over many hops.
pub(super) const MANY_HOPS: u16 = 4784;
/// The first port that packets may come from; up to the last there is.
const FIRST_SOURCE: u16 = 49_152;
/// How many ports are tried.
const TRIES: u32 = 64;
/// DSCP class selector 6, network control, as a TOS octet.
const CS6: u32 = 0xc0;
/// Packets that are taken at a time.
const BATCH: usize = 256;
/// More than the longest packet has.
const LARGEST: usize = 256;

/// A packet as it came.
pub(super) struct Packet {
    pub(super) source: IpAddr,
    /// Where it went to, over many hops.
    pub(super) to: Option<IpAddr>,
    pub(super) ttl: Option<u8>,
    pub(super) bytes: Vec<u8>,
}

/// What receives on one interface, or on all.
#[derive(Debug)]
pub(super) struct Receiver(UdpSocket);

impl Receiver {
    /// `link`: the name of the interface, over one hop.
    pub(super) fn open(place: Place, link: Option<&str>) -> io::Result<Self> {
        let (v4, port) = match place {
            Place::Link { v4, .. } => (v4, ONE_HOP),
            Place::Routed { v4 } => (v4, MANY_HOPS),
        };
        let socket = open(v4, link)?;
        socket.set_reuse_address(true)?;
        if v4 {
            setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        socket.bind(&SocketAddr::new(unspecified(v4), port).into())?;
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        // A socket whose readiness cannot be asked is read, and says why.
        self.0.poll_recv_ready(context).map(drop)
    }

    /// What has come, up to a batch.
    pub(super) fn receive(&self) -> io::Result<Vec<Packet>> {
        let mut packets = Vec::new();
        while packets.len() < BATCH {
            match self.0.try_io(Interest::READABLE, || self.one()) {
                Ok(packet) => packets.extend(packet),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What has come already is worth more than the error, which will be back.
                Err(error) => return if packets.is_empty() { Err(error) } else { Ok(packets) },
            }
        }
        Ok(packets)
    }

    fn one(&self) -> io::Result<Option<Packet>> {
        let mut room = nix::cmsg_space!(i32, nix::libc::in6_pktinfo);
        let mut buffer = [0; LARGEST];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let fd = self.0.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut room), MsgFlags::MSG_DONTWAIT)?;
        let (mut ttl, mut to) = (None, None);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::Ipv4Ttl(value) | ControlMessageOwned::Ipv6HopLimit(value) => {
                    ttl = u8::try_from(value).ok();
                }
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    to = Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => to = Some(info.ipi6_addr.s6_addr.into()),
                _ => {}
            }
        }
        let address = message.address.as_ref();
        let v4 = address.and_then(|address| Some(IpAddr::from(address.as_sockaddr_in()?.ip())));
        let v6 = || address.and_then(|address| Some(IpAddr::from(address.as_sockaddr_in6()?.ip())));
        let (source, length) = (v4.or_else(v6), message.bytes);
        Ok(source.map(|source| Packet { source, to, ttl, bytes: buffer[..length].to_vec() }))
    }
}

/// What sends for one session.
#[derive(Debug)]
pub(super) struct Sender {
    socket: Socket,
    source: Option<IpAddr>,
    to: SocketAddr,
}

impl Sender {
    /// `link`: the name of the interface, over one hop. `source`: the own
    /// address of the session; `None`: the kernel chooses.
    pub(super) fn open(path: Path, link: Option<&str>, source: Option<IpAddr>) -> io::Result<Self> {
        let remote = path.remote();
        let v4 = remote.is_ipv4();
        let socket = open(v4, link)?;
        if v4 {
            socket.set_ttl_v4(bfd::dispatch::TTL.into())?;
            socket.set_tos_v4(CS6)?;
        } else {
            socket.set_unicast_hops_v6(bfd::dispatch::TTL.into())?;
            socket.set_tclass_v6(CS6)?;
        }
        let (local, port, scope) = match path {
            Path::OneHop { interface, .. } => (source, ONE_HOP, interface),
            Path::ManyHops { local, .. } => (Some(local), MANY_HOPS, 0),
        };
        bind_source(&socket, local.unwrap_or(unspecified(v4)))?;
        let to = match remote {
            IpAddr::V4(_) => SocketAddr::new(remote, port),
            IpAddr::V6(remote) => SocketAddrV6::new(remote, port, 0, scope).into(),
        };
        Ok(Self { socket, source, to })
    }

    /// Whether it was opened with this own address.
    pub(super) fn is_from(&self, source: Option<IpAddr>) -> bool {
        self.source == source
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, &self.to.into()).map(drop)
    }
}

pub(super) fn unspecified(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

fn open(v4: bool, link: Option<&str>) -> io::Result<Socket> {
    let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if !v4 {
        socket.set_only_v6(true)?;
    }
    socket.bind_device(link.map(str::as_bytes))?;
    Ok(socket)
}

/// Binds to a random port of the range that nobody has.
fn bind_source(socket: &Socket, source: IpAddr) -> io::Result<()> {
    let random = RandomState::new();
    let mut outcome = Ok(());
    for round in 0..TRIES {
        let offset = u16::try_from(random.hash_one(round) % u64::from(u16::MAX - FIRST_SOURCE + 1));
        let port = FIRST_SOURCE + offset.unwrap_or_default();
        outcome = socket.bind(&SocketAddr::new(source, port).into());
        match &outcome {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            _ => break,
        }
    }
    outcome
}
