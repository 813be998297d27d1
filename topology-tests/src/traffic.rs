//! Real packets: streams whose every loss counts, and single probes.

use std::{
    collections::BTreeSet,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
    sockopt::{Ipv4RecvTtl, Ipv6RecvHopLimit},
};

use crate::{Container, Error, Netns, Result, wait};

/// Time between two packets of a stream: 100 a second.
pub const PACE: Duration = Duration::from_millis(10);
/// How long the receiver waits for stragglers once the sender has stopped.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// A running stream of numbered datagrams from one container to another.
#[derive(Debug)]
pub struct Stream {
    stop_sender: Sender<()>,
    stop_receiver: Sender<()>,
    sent: Arc<AtomicU64>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<io::Result<Seen>>,
    name: String,
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Packets that the sender tried to send.
    pub sent: u64,
    /// Different packets that arrived.
    pub received: u64,
    /// Packets that did not arrive.
    pub lost: u64,
    /// Source addresses as the receiver saw them.
    pub sources: BTreeSet<IpAddr>,
    /// Hop counts (TTL, hop limit) as the receiver saw them.
    pub ttls: BTreeSet<i32>,
}

#[derive(Debug, Default)]
struct Seen {
    numbers: BTreeSet<u64>,
    sources: BTreeSet<IpAddr>,
    ttls: BTreeSet<i32>,
}

impl Stream {
    /// Starts 100 packets a second from `from` to an address of `to`.
    pub fn start(from: &Container, to: &Container, address: IpAddr) -> Result<Stream> {
        let name = format!("stream from {} to {address}", from.name());
        let receiver = open(to, SocketAddr::new(address, 0), &name)?;
        let target = receiver.local_addr().map_err(Error::io(&name))?;
        let unspecified = match address {
            IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        };
        let sender = open(from, SocketAddr::new(unspecified, 0), &name)?;
        record_hops(&receiver, address).map_err(Error::io(&name))?;
        receiver.set_read_timeout(Some(STRAGGLERS)).map_err(Error::io(&name))?;
        let (stop_sender, sender_stopped) = mpsc::channel();
        let (stop_receiver, receiver_stopped) = mpsc::channel();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        Ok(Stream {
            sent,
            stop_sender,
            stop_receiver,
            sender: std::thread::spawn(move || send(&sender, target, &counter, &sender_stopped)),
            receiver: std::thread::spawn(move || receive(&receiver, &receiver_stopped)),
            name,
        })
    }

    /// Lets the stream run until it has sent `count` more packets.
    pub fn await_sent(&self, count: u64) -> Result<()> {
        let wanted = self.sent.load(Ordering::Relaxed) + count;
        let limit = PACE * u32::try_from(count).unwrap_or(u32::MAX) + Duration::from_secs(10);
        wait::wait_until(&format!("{} sends {count} packets", self.name), limit, || {
            let sent = self.sent.load(Ordering::Relaxed);
            if sent >= wanted { Ok(()) } else { Err(format!("{sent} of {wanted}")) }
        })
    }

    /// Stops the sender, waits for stragglers and counts.
    pub fn finish(self) -> Result<Report> {
        let lost_thread = || Error::io(&self.name)(io::Error::other("a thread of the stream panicked"));
        drop(self.stop_sender);
        self.sender.join().map_err(|_| lost_thread())?;
        let sent = self.sent.load(Ordering::Relaxed);
        drop(self.stop_receiver);
        let seen = self.receiver.join().map_err(|_| lost_thread())?.map_err(Error::io(&self.name))?;
        let received = seen.numbers.len() as u64;
        Ok(Report { sent, received, lost: sent - received, sources: seen.sources, ttls: seen.ttls })
    }
}

/// A datagram socket in a namespace.
fn open(netns: &Netns, bind: SocketAddr, name: &str) -> Result<UdpSocket> {
    netns.run(move || UdpSocket::bind(bind))?.map_err(Error::io(format!("{name}: bind {bind}")))
}

fn record_hops(socket: &UdpSocket, address: IpAddr) -> io::Result<()> {
    match address {
        IpAddr::V4(_) => setsockopt(socket, Ipv4RecvTtl, &true)?,
        IpAddr::V6(_) => setsockopt(socket, Ipv6RecvHopLimit, &true)?,
    }
    Ok(())
}

/// Sends numbers at the pace until `stopped` closes; `sent` counts them.
/// A refused send is a lost packet, which is what the stream measures.
fn send(socket: &UdpSocket, target: SocketAddr, sent: &AtomicU64, stopped: &mpsc::Receiver<()>) {
    let mut due = wait::now();
    loop {
        let number = sent.load(Ordering::Relaxed);
        let _ = socket.send_to(&number.to_be_bytes(), target);
        sent.store(number + 1, Ordering::Relaxed);
        due += PACE;
        match stopped.recv_timeout(due.saturating_duration_since(wait::now())) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Receives until `stopped` is closed and nothing more comes.
fn receive(socket: &UdpSocket, stopped: &mpsc::Receiver<()>) -> io::Result<Seen> {
    let mut seen = Seen::default();
    loop {
        match receive_one(socket, &mut seen) {
            Err(nix::Error::EAGAIN) if stopped.try_recv() == Err(mpsc::TryRecvError::Disconnected) => {
                return Ok(seen);
            }
            Ok(()) | Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn receive_one(socket: &UdpSocket, seen: &mut Seen) -> nix::Result<()> {
    let mut number = [0u8; 8];
    let mut control = nix::cmsg_space!(i32);
    let mut parts = [IoSliceMut::new(&mut number)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) = part {
            seen.ttls.insert(hops);
        }
    }
    let v4 = message.address.and_then(|a| a.as_sockaddr_in().map(|a| IpAddr::V4(a.ip())));
    let v6 = message.address.and_then(|a| a.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())));
    seen.sources.extend(v4.or(v6));
    seen.numbers.insert(u64::from_be_bytes(number));
    Ok(())
}

/// What a TCP connection attempt met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The connection was made.
    Open,
    /// Somebody answered with a reset: nothing listens, or a rule rejects.
    Refused,
    /// No answer in time: dropped on the way.
    Silent,
    /// A router said that there is no way.
    Unreachable(String),
}

/// Tries a TCP connection from inside `from`.
pub fn tcp(from: &Netns, target: SocketAddr, limit: Duration) -> Result<Reach> {
    let attempt = from.run(move || TcpStream::connect_timeout(&target, limit))?;
    match attempt {
        Ok(_) => Ok(Reach::Open),
        Err(e) => match e.kind() {
            io::ErrorKind::ConnectionRefused => Ok(Reach::Refused),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Ok(Reach::Silent),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Ok(Reach::Unreachable(e.to_string()))
            }
            _ => Err(Error::io(format!("connect to {target}"))(e)),
        },
    }
}

/// Listens for TCP inside a namespace; the kernel completes connections as long
/// as the value lives.
pub fn listen(netns: &Netns, address: SocketAddr) -> Result<TcpListener> {
    netns.run(move || TcpListener::bind(address))?.map_err(Error::io(format!("listen on {address}")))
}

/// Whether one datagram from `from` to a port of `to` arrives within `limit`.
pub fn udp(from: &Netns, to: &Netns, target: SocketAddr, limit: Duration) -> Result<Arrival> {
    let name = format!("datagram to {target}");
    let receiver = open(to, target, &name)?;
    receiver.set_read_timeout(Some(limit)).map_err(Error::io(&name))?;
    let unspecified: IpAddr = if target.is_ipv4() { [0u8; 4].into() } else { [0u16; 8].into() };
    let sender = open(from, SocketAddr::new(unspecified, 0), &name)?;
    sender.send_to(b"probe", target).map_err(Error::io(&name))?;
    match receiver.recv_from(&mut [0u8; 16]) {
        Ok((_, source)) => Ok(Arrival::From(source.ip())),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Ok(Arrival::Nothing)
        }
        Err(e) => Err(Error::io(name)(e)),
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It came, from this address.
    From(IpAddr),
    /// It did not come in time.
    Nothing,
}
