//! Streams of packets through the router, counted where they leave.
//!
//! One thread sends to all targets in turn. At each exit a socket takes what
//! comes, with the time at which the kernel got it, and is emptied every few
//! milliseconds: so reading neither blurs the times nor takes the CPU from
//! the router while it matters.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::sys::socket::{
    setsockopt,
    sockopt::{RcvBufForce, ReceiveTimestampns},
};

use super::{
    clock::{self, Moment},
    stage::{EXITS, Stage},
};
use crate::{
    Error, Netns, Result,
    wait::{now, pause, wait_until},
};

/// The port that packets go to.
const PORT: u16 = 9;
/// Room at an exit for what comes between two looks, in bytes.
const ROOM: usize = 64 << 20;
/// Between two looks at an exit.
const LOOK: Duration = Duration::from_millis(10);
/// A sender that was kept from sending makes up for this much and no more.
const MAKE_UP: Duration = Duration::from_millis(5);

/// A sender, and a receiver at each exit.
#[derive(Debug)]
pub(super) struct Flow {
    shared: Arc<Shared>,
    targets: usize,
    sender: JoinHandle<io::Result<()>>,
    sinks: Vec<Sink>,
}

/// What main thread, sender and receivers tell each other.
#[derive(Debug, Default)]
struct Shared {
    /// Nanoseconds from one packet to the next.
    pace: AtomicU64,
    sent: AtomicU32,
    /// No more packets.
    stop: AtomicBool,
    /// No more can come either.
    over: AtomicBool,
}

#[derive(Debug)]
struct Sink {
    /// How many of the targets have been heard here.
    heard: Arc<AtomicU32>,
    thread: JoinHandle<io::Result<Heard>>,
}

/// What one exit saw.
#[derive(Debug)]
struct Heard {
    received: u32,
    /// When the first packet to each target came out here.
    first: Vec<Option<Moment>>,
    /// When the last packet came out here, to whatever target.
    last: Option<Moment>,
}

/// What came through.
#[derive(Debug)]
pub(super) struct Seen {
    /// Packets sent.
    pub sent: u32,
    /// Packets that came out, wherever.
    pub received: u32,
    /// When the last packet came out of the first exit.
    pub last: Option<Moment>,
    /// When the first packet to each target came out of the second exit.
    pub second: Vec<Option<Moment>>,
}

impl Seen {
    /// Packets that came out nowhere.
    pub(super) fn lost(&self) -> u32 {
        self.sent - self.received.min(self.sent)
    }
}

impl Flow {
    /// Sends to the targets in turn from a [source](Stage::source), a packet
    /// every `pace`, and listens at the exits, which take packets to any address.
    pub(super) fn start(
        stage: &Stage,
        source: &Netns,
        targets: Vec<Ipv4Addr>,
        pace: Duration,
    ) -> Result<Flow> {
        let shared = Arc::new(Shared::default());
        shared.set_pace(pace);
        let count = targets.len();
        let sinks = EXITS.map(|exit| listen(&stage.load, exit, count, &shared));
        let sinks = sinks.into_iter().collect::<Result<_>>()?;
        let socket = source.run(|| UdpSocket::bind("0.0.0.0:0"))?.map_err(Error::io("open a UDP socket"))?;
        let told = Arc::clone(&shared);
        let sender = std::thread::spawn(move || send(&socket, &targets, &told));
        Ok(Flow { shared, targets: count, sender, sinks })
    }

    /// From now on a packet is sent every `pace`.
    pub(super) fn set_pace(&self, pace: Duration) {
        self.shared.set_pace(pace);
    }

    /// Waits until a packet to each target came out of the second exit.
    pub(super) fn all_by_second(&self, limit: Duration) -> Result<()> {
        wait_until("packets to all targets take the second exit", limit, || {
            let heard = self.sinks.get(1).map_or(0, |sink| sink.heard.load(Ordering::Relaxed));
            if heard as usize == self.targets { Ok(()) } else { Err(format!("{heard} of {}", self.targets)) }
        })
    }

    /// Stops, and says what was seen.
    pub(super) fn finish(self) -> Result<Seen> {
        let panicked = || Error::io("packets")(io::Error::other("a thread panicked"));
        self.shared.stop.store(true, Ordering::Relaxed);
        self.sender.join().map_err(|_| panicked())?.map_err(Error::io("send packets"))?;
        // For what a busy kernel still has in a queue between the namespaces.
        pause(LOOK * 10);
        self.shared.over.store(true, Ordering::Relaxed);
        let sent = self.shared.sent.load(Ordering::Relaxed);
        let mut seen = Seen { sent, received: 0, last: None, second: Vec::new() };
        for (number, sink) in self.sinks.into_iter().enumerate() {
            let heard = sink.thread.join().map_err(|_| panicked())?.map_err(Error::io("receive packets"))?;
            seen.received += heard.received;
            if number == 0 {
                seen.last = heard.last;
            } else {
                seen.second = heard.first;
            }
        }
        Ok(seen)
    }
}

impl Shared {
    fn set_pace(&self, pace: Duration) {
        self.pace.store(u64::try_from(pace.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Sends until the stop.
fn send(socket: &UdpSocket, targets: &[Ipv4Addr], shared: &Shared) -> io::Result<()> {
    // Else the kernel wakes this thread up to 50 us late, to save power.
    nix::sys::prctl::set_timerslack(1)?;
    let mut due = now();
    for (number, target) in targets.iter().enumerate().cycle() {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let time = now();
        due = due.max(time.checked_sub(MAKE_UP).unwrap_or(time));
        if due > time {
            pause(due - time);
        }
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        match socket.send_to(&number.to_be_bytes(), (*target, PORT)) {
            Ok(_) => {}
            // The router says that it has no route: that packet is lost.
            Err(why) if unreachable(&why) => {}
            Err(why) => return Err(why),
        }
        shared.sent.fetch_add(1, Ordering::Relaxed);
        due += Duration::from_nanos(shared.pace.load(Ordering::Relaxed));
    }
    Ok(())
}

fn unreachable(why: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(why.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// Counts what comes in by one interface.
fn listen(netns: &Netns, interface: &'static str, targets: usize, shared: &Arc<Shared>) -> Result<Sink> {
    let open = move || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        setsockopt(&socket, RcvBufForce, &ROOM)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        Ok::<_, io::Error>(UdpSocket::from(socket))
    };
    let socket = netns.run(open)?.map_err(Error::io(format!("listen on {interface}")))?;
    let heard = Arc::new(AtomicU32::new(0));
    let (count, shared) = (Arc::clone(&heard), Arc::clone(shared));
    let thread = std::thread::spawn(move || collect(&socket, targets, &count, &shared));
    Ok(Sink { heard, thread })
}

/// Counts until nothing can come any more.
fn collect(socket: &UdpSocket, targets: usize, count: &AtomicU32, shared: &Shared) -> io::Result<Heard> {
    let mut heard = Heard { received: 0, first: vec![None; targets], last: None };
    let mut number = [0; 4];
    loop {
        let over = shared.over.load(Ordering::Relaxed);
        match clock::receive(socket, &mut number) {
            Ok((_, stamp)) => {
                heard.received += 1;
                heard.last = heard.last.max(Some(stamp));
                let first = heard.first.get_mut(u32::from_be_bytes(number) as usize);
                if let Some(first @ None) = first {
                    *first = Some(stamp);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                if over {
                    return Ok(heard);
                }
                pause(LOOK);
            }
            Err(why) => return Err(why),
        }
    }
}
