//! RIP under load beside BIRD and FRR: many neighbours on one LAN tell many
//! routes, update after update, and the daemon poisons all of them back.
//!
//! Each daemon gets the same packets in the same run, learns every route into
//! its kernel, and then hears [`CYCLES`] updates of all neighbours in which
//! nothing is new. Counted are the CPU time of all its processes, and the
//! packets in which it tells its table.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    Error, Host, Lab, Result,
    peer::{
        Bird, Frr, Routed,
        raw_rip::{Entry, GROUP, PORT, RawRip, response},
    },
    wait::now,
};

/// Updates in which nothing is new.
const CYCLES: u32 = 3;
/// Routes in a packet (RFC 2453 §4).
const ENTRIES: usize = 25;
/// Patience with a daemon that learns.
const LEARN: Duration = Duration::from_secs(120);

/// What is told, and how often.
#[derive(Clone, Copy, Debug)]
struct Load {
    neighbors: u8,
    routes: u32,
    period: Duration,
}

/// What a daemon needed.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// CPU seconds until everything was learned.
    learn: f64,
    /// CPU seconds of one update cycle.
    cycle: f64,
    /// Packets in which it tells its table once.
    packets: f64,
}

/// A daemon under load: its processes, and what keeps them alive.
type Started = (Vec<u32>, Box<dyn std::any::Any>);
/// How a daemon is started on a host.
type Start = fn(&Host, Load) -> Result<Started>;

/// Runs the three daemons one after the other and prints what each needed.
pub fn run(neighbors: u8, routes: u32, period: u64) -> Result<()> {
    let load = Load { neighbors, routes, period: Duration::from_secs(period) };
    let total = load.total();
    anstream::println!(
        "RIPv2: {neighbors} neighbours with {routes} routes each, an update every {period} s; \
         at best {} packets tell the table",
        total.div_ceil(ENTRIES)
    );
    anstream::println!(
        "{:8} {:>10} {:>7} {:>10} {:>7} {:>8}",
        "",
        "learn CPU",
        "ratio",
        "cycle CPU",
        "ratio",
        "packets"
    );
    let mut first: Option<Cost> = None;
    let daemons: [(&str, Start); 3] = [("routed", start_routed), ("BIRD", start_bird), ("FRR", start_frr)];
    for (name, start) in daemons {
        let cost = measure(start, load)?;
        let ours = *first.get_or_insert(cost);
        anstream::println!(
            "{name:8} {:8.0}ms {:7.2} {:8.0}ms {:7.2} {:8.0}",
            cost.learn * 1e3,
            cost.learn / ours.learn,
            cost.cycle * 1e3,
            cost.cycle / ours.cycle,
            cost.packets
        );
    }
    Ok(())
}

impl Load {
    fn total(self) -> usize {
        usize::from(self.neighbors) * self.routes as usize
    }

    /// The packets of neighbour `index`.
    fn packets(self, index: u8) -> Vec<Vec<u8>> {
        let base = u32::from(Ipv4Addr::new(10, 0, 0, 0)) + u32::from(index) * self.routes * 16;
        let entries: Vec<Entry> = (0..self.routes)
            .map(|route| ((base + route * 16).into(), 28, Ipv4Addr::UNSPECIFIED, 1))
            .collect();
        entries.chunks(ENTRIES).map(response).collect()
    }
}

fn start_routed(host: &Host, load: Load) -> Result<Started> {
    let config = format!(
        "[cluster]\npools = [\"10.0.0.0/8\"]\nnat_outgoing = false\n[ipam]\nclaim = false\n\
         [rip]\nng = false\nupdate = {}\ntimeout = {}\n",
        load.period.as_secs(),
        load.period.as_secs() * 6
    );
    let routed = Routed::start(host, &config)?;
    Ok((routed.pid().into_iter().collect(), Box::new(routed)))
}

fn start_bird(host: &Host, load: Load) -> Result<Started> {
    let period = load.period.as_secs();
    let config = format!(
        "protocol device {{}}\nprotocol kernel {{ scan time 600; ipv4 {{ export all; }}; }}\n\
         protocol rip r4 {{ ipv4 {{ import all; export where source = RTS_RIP; }};\n interface \"eth0\" \
         {{ update time {period}; timeout time {}; }}; }}\n",
        period * 6
    );
    let bird = Bird::start(host, &config)?;
    Ok((vec![bird.pid()], Box::new(bird)))
}

fn start_frr(host: &Host, load: Load) -> Result<Started> {
    let period = load.period.as_secs();
    let ripd = format!(
        "interface eth0\n ip rip split-horizon poisoned-reverse\nexit\nrouter rip\n version 2\n network eth0\n \
         timers basic {period} {} {period}\n",
        period * 6
    );
    let frr = Frr::start_rip(host, &ripd, "router ripng\n")?;
    Ok((frr.pids(), Box::new(frr)))
}

fn measure(start: Start, load: Load) -> Result<Cost> {
    let lab = Lab::new("benchrip")?;
    let (host, crowd) = (lab.router("daemon")?, lab.router("crowd")?);
    let speakers = speakers(&crowd, load)?;
    let (pids, _daemon) = start(&host, load)?;
    let begin = cpu(&pids)?;
    lab.wait_until("every route is in the kernel", LEARN, || {
        tell(&speakers, load).map_err(|e| e.to_string())?;
        let routes = host.exec(["ip", "route"]).map_err(|e| e.to_string())?.stdout;
        let learned = routes.lines().filter(|line| line.contains("/28 ")).count();
        if learned == load.total() { Ok(()) } else { Err(format!("{learned} of {}", load.total())) }
    })?;
    let learned = cpu(&pids)?;
    let listener = Listener::start(&lab, host.ipv4())?;
    for _ in 0..CYCLES {
        let end = now() + load.period;
        tell(&speakers, load)?;
        pause(end.saturating_duration_since(now()));
    }
    let done = cpu(&pids)?;
    let (packets, entries) = listener.finish()?;
    Ok(Cost {
        learn: learned.saturating_sub(begin).as_secs_f64(),
        cycle: done.saturating_sub(learned).as_secs_f64() / f64::from(CYCLES),
        packets: f64::from(packets) * f64::from(load.routes) * f64::from(load.neighbors)
            / f64::from(entries.max(1)),
    })
}

/// One socket for each neighbour, with its packets.
type Speaker = (UdpSocket, Vec<Vec<u8>>);

fn speakers(crowd: &Host, load: Load) -> Result<Vec<Speaker>> {
    let address = |index: u8| Ipv4Addr::new(192, 0, 2, 101 + index);
    let lines: Vec<String> =
        (0..load.neighbors).map(|index| format!("addr add {}/24 dev eth0", address(index))).collect();
    crowd.ip(&lines)?;
    let speaker = |index: u8| {
        let socket = crowd.run(move || UdpSocket::bind((address(index), PORT)))?;
        Ok((socket.map_err(Error::io("bind a neighbour"))?, load.packets(index)))
    };
    (0..load.neighbors).map(speaker).collect()
}

/// All neighbours tell their tables once, within half a period: a receiver may
/// have a small buffer.
fn tell(speakers: &[Speaker], load: Load) -> Result<()> {
    let count: usize = speakers.iter().map(|(_, packets)| packets.len()).sum();
    let pace = load.period / 2 / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    let mut due = now();
    for (socket, packets) in speakers {
        for packet in packets {
            socket.send_to(packet, (GROUP, PORT)).map_err(Error::io("tell routes"))?;
            due += pace;
            pause(due.saturating_duration_since(now()));
        }
    }
    Ok(())
}

/// Waits; nobody sends into the channel.
fn pause(time: Duration) {
    let (_never, pause) = mpsc::channel::<()>();
    let _ = pause.recv_timeout(time);
}

/// CPU time of the threads of processes since they began, as the scheduler
/// counts it in nanoseconds.
fn cpu(pids: &[u32]) -> Result<Duration> {
    let mut sum = 0;
    for pid in pids {
        let tasks = format!("/proc/{pid}/task");
        for task in std::fs::read_dir(&tasks).map_err(Error::file(&tasks))? {
            let file = task.map_err(Error::file(&tasks))?.path().join("schedstat");
            // A thread may end while it is looked at.
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            sum += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(sum))
}

/// Counts what the daemon tells.
struct Listener {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(u32, u32)>>,
}

impl Listener {
    fn start(lab: &Lab, from: Ipv4Addr) -> Result<Listener> {
        let raw = RawRip::open(lab.lan(), Ipv4Addr::new(192, 0, 2, 254), PORT)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut packets, mut count) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                if let Some((source, entries)) = raw.next_response()?
                    && source == from
                {
                    packets += 1;
                    count += u32::try_from(entries.len()).unwrap_or(0);
                }
            }
            Ok((packets, count))
        });
        Ok(Listener { stop, thread })
    }

    fn finish(self) -> Result<(u32, u32)> {
        self.stop.store(true, Ordering::Relaxed);
        let panicked = |_| Error::io("listener")(io::Error::other("it panicked"));
        self.thread.join().map_err(panicked)?
    }
}
