//! UDP sockets for BFD over one hop (RFC 5881 §4): one to receive for each
//! interface and family, one to send for each session, because each session
//! has its own source port.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The port of control packets over one hop.
const PORT: u16 = 3784;
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
    pub(super) ttl: Option<u8>,
    pub(super) bytes: Vec<u8>,
}

/// What receives on one interface.
#[derive(Debug)]
pub(super) struct Receiver(UdpSocket);

impl Receiver {
    pub(super) fn open(v4: bool, name: &str) -> io::Result<Self> {
        let socket = open(v4, name)?;
        socket.set_reuse_address(true)?;
        if v4 {
            setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
        }
        socket.bind(&SocketAddr::new(unspecified(v4), PORT).into())?;
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
        let mut room = nix::cmsg_space!(i32, i32);
        let mut buffer = [0; LARGEST];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let fd = self.0.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut room), MsgFlags::MSG_DONTWAIT)?;
        let ttl = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => {
                u8::try_from(ttl).ok()
            }
            _ => None,
        });
        let address = message.address.as_ref();
        let v4 = address.and_then(|address| Some(IpAddr::from(address.as_sockaddr_in()?.ip())));
        let v6 = || address.and_then(|address| Some(IpAddr::from(address.as_sockaddr_in6()?.ip())));
        let (source, length) = (v4.or_else(v6), message.bytes);
        Ok(source.map(|source| Packet { source, ttl, bytes: buffer[..length].to_vec() }))
    }
}

/// What sends for one session.
#[derive(Debug)]
pub(super) struct Sender {
    socket: Socket,
    to: SocketAddr,
}

impl Sender {
    /// `source`: the own address of the session; `None`: the kernel chooses.
    pub(super) fn open(
        (index, name): (u32, &str),
        remote: IpAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Self> {
        let v4 = remote.is_ipv4();
        let socket = open(v4, name)?;
        if v4 {
            socket.set_ttl_v4(bfd::dispatch::TTL.into())?;
            socket.set_tos_v4(CS6)?;
        } else {
            socket.set_unicast_hops_v6(bfd::dispatch::TTL.into())?;
            socket.set_tclass_v6(CS6)?;
        }
        bind_source(&socket, source.unwrap_or(unspecified(v4)))?;
        let to = match remote {
            IpAddr::V4(_) => SocketAddr::new(remote, PORT),
            IpAddr::V6(remote) => SocketAddrV6::new(remote, PORT, 0, index).into(),
        };
        Ok(Self { socket, to })
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, &self.to.into()).map(drop)
    }
}

fn unspecified(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

fn open(v4: bool, name: &str) -> io::Result<Socket> {
    let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if !v4 {
        socket.set_only_v6(true)?;
    }
    socket.bind_device(Some(name.as_bytes()))?;
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
