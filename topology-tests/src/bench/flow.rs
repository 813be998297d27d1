//! Streams of packets through the router, counted where they leave.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::stage::{EXITS, Stage};
use crate::{
    Error, Netns, Result,
    wait::{now, pause, wait_until},
};

/// The port that packets go to.
const PORT: u16 = 9;
/// Between two packets, but for what the scheduler adds.
const INTERVAL: Duration = Duration::from_micros(100);
/// How long a receiver waits before it looks whether to stop.
const PATIENCE: Duration = Duration::from_millis(200);

/// A sender, and a receiver at each exit.
#[derive(Debug)]
pub(super) struct Flow {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    targets: usize,
    sender: JoinHandle<io::Result<()>>,
    sinks: Vec<Sink>,
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
    first: Vec<Option<Instant>>,
}

/// What came through.
#[derive(Debug)]
pub(super) struct Seen {
    /// Packets sent.
    pub sent: u32,
    /// Packets that came out, wherever.
    pub received: u32,
    /// When the first packet to each target came out of the second exit.
    pub second: Vec<Option<Instant>>,
}

impl Flow {
    /// Sends to the targets in turn from a [source](Stage::source), and
    /// listens at the exits, which take packets to any address.
    pub(super) fn start(stage: &Stage, source: &Netns, targets: Vec<Ipv4Addr>) -> Result<Flow> {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let count = targets.len();
        let sinks = EXITS.map(|exit| listen(&stage.load, exit, count, &stop));
        let sinks = sinks.into_iter().collect::<Result<_>>()?;
        let socket = source.run(|| UdpSocket::bind("0.0.0.0:0"))?.map_err(Error::io("open a UDP socket"))?;
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let sender = std::thread::spawn(move || {
            for (number, target) in targets.iter().enumerate().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                match socket.send_to(&number.to_be_bytes(), (*target, PORT)) {
                    Ok(_) => {}
                    // The router says that it has no route: that packet is lost.
                    Err(why) if unreachable(&why) => {}
                    Err(why) => return Err(why),
                }
                counter.fetch_add(1, Ordering::Relaxed);
                pause(INTERVAL);
            }
            Ok(())
        });
        Ok(Flow { stop, sent, targets: count, sender, sinks })
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
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().map_err(|_| panicked())?.map_err(Error::io("send packets"))?;
        let mut seen = Seen { sent: self.sent.load(Ordering::Relaxed), received: 0, second: Vec::new() };
        for sink in self.sinks {
            let heard = sink.thread.join().map_err(|_| panicked())?.map_err(Error::io("receive packets"))?;
            seen.received += heard.received;
            seen.second = heard.first;
        }
        Ok(seen)
    }
}

fn unreachable(why: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(why.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// Counts what comes in by one interface.
fn listen(netns: &Netns, interface: &'static str, targets: usize, stop: &Arc<AtomicBool>) -> Result<Sink> {
    let open = move || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        Ok(UdpSocket::from(socket))
    };
    let socket = netns.run(open)?.map_err(Error::io(format!("listen on {interface}")))?;
    let heard = Arc::new(AtomicU32::new(0));
    let (count, stop) = (Arc::clone(&heard), Arc::clone(stop));
    let thread = std::thread::spawn(move || receive(&socket, targets, &count, &stop));
    Ok(Sink { heard, thread })
}

/// Counts until nothing comes any more after the stop.
fn receive(socket: &UdpSocket, targets: usize, heard: &AtomicU32, stop: &AtomicBool) -> io::Result<Heard> {
    let mut sink = Heard { received: 0, first: vec![None; targets] };
    let mut number = [0; 4];
    loop {
        match socket.recv(&mut number) {
            Ok(_) => {
                sink.received += 1;
                let first = sink.first.get_mut(u32::from_be_bytes(number) as usize);
                if let Some(first @ None) = first {
                    *first = Some(now());
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(sink);
                }
            }
            Err(why) => return Err(why),
        }
    }
}
