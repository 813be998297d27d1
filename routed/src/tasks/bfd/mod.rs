//! The BFD task: owns the `bfd::Sessions` and their sockets, on a thread with
//! a runtime of its own, so that a daemon that is busy with routes or policy
//! keeps the timers.
//!
//! ```text
//!  peer, rip ──Want, Unwant──┐                        ┌─► sockets
//!  sockets, deadlines ───────┼─► machine ─► actions ──┤
//!  links (watch), serve ─────┘                        └─► PeerCommand::BfdDown, RipCommand::BfdDown, FIB writer
//! ```
//! A session that was never Up tells nobody anything (RFC 5882 §3.2): BFD
//! that the other end does not speak holds no protocol down.

mod place;
mod socket;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::task::Poll;
use std::time::{Duration, Instant};

use bfd::{Action, Event, Fate, Path, Received, SessionStatus, Sessions, WhyDown};
use kernel::{Alarm, Fib, Links};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use self::place::{Absence, Place, place};
use self::socket::{Receiver, Sender};
use super::{COMMANDS, PeerCommand, RipCommand};
use crate::config::bfd::Bfd;

/// How long to wait before what could not be opened, or had no route, is tried
/// again.
const RETRY: Duration = Duration::from_secs(5);

/// How often `AdminDown` is said at the end: a packet may get lost.
const FAREWELLS: usize = 3;

/// Who wants a path to be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    /// The BGP session with this peer; of a link-local address with the index
    /// of its link.
    Bgp(IpAddr, Option<u32>),
    /// RIP, of this neighbour on an interface.
    Rip(u32, IpAddr),
}

/// Who is told that a path has failed.
#[derive(Clone, Debug)]
pub(crate) enum Subscriber {
    /// A peer's task.
    Peer(mpsc::Sender<PeerCommand>),
    /// The RIP task, which ends when others let go of it.
    Rip(mpsc::WeakSender<RipCommand>),
}

/// That a path is to be watched.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    /// For whom; one session serves all on a path, with the settings of the
    /// first in their order.
    pub(crate) client: Client,
    /// How.
    pub(crate) settings: Bfd,
    /// The own address; `None`: the kernel chooses.
    pub(crate) source: Option<IpAddr>,
    /// Whom to tell.
    pub(crate) subscriber: Subscriber,
}

/// What others ask of the BFD task.
#[derive(Debug)]
pub(crate) enum BfdCommand {
    /// Watch a path.
    Want(Box<Want>),
    /// No longer.
    Unwant(Client),
    /// Tell how the sessions are.
    Report(oneshot::Sender<BfdReport>),
    /// Tell the other ends that no path has failed, and end.
    Stop(oneshot::Sender<()>),
}

/// The sessions as they were at one moment.
#[derive(Debug)]
pub(crate) struct BfdReport {
    /// When.
    pub(crate) now: Instant,
    /// The sessions, each with the name of its interface, over one hop, and
    /// for whom it is.
    pub(crate) sessions: Vec<(SessionStatus, Option<String>, Vec<Client>)>,
    /// Who wants a session that cannot be, and why.
    pub(crate) absent: Vec<(Client, String)>,
    /// Datagrams that came from nobody who is watched.
    pub(crate) strays: u64,
}

struct Task {
    machine: Sessions,
    links: watch::Receiver<Links>,
    fib: Fib,
    wants: BTreeMap<Client, (Want, Result<Path, Absence>)>,
    receivers: BTreeMap<Place, Receiver>,
    senders: BTreeMap<Path, Sender>,
    retry: Option<Instant>,
}

/// Starts the thread and returns the way to it.
pub(crate) fn start(links: watch::Receiver<Links>, fib: Fib) -> io::Result<mpsc::Sender<BfdCommand>> {
    let (sender, commands) = mpsc::channel(COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let task = Task {
        machine: Sessions::new(RandomState::new().hash_one("bfd")),
        links,
        fib,
        wants: BTreeMap::new(),
        receivers: BTreeMap::new(),
        senders: BTreeMap::new(),
        retry: None,
    };
    std::thread::Builder::new().name("bfd".to_owned()).spawn(move || runtime.block_on(task.run(commands)))?;
    Ok(sender)
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<BfdCommand>) {
        loop {
            let deadline = self.machine.next_deadline().into_iter().chain(self.retry).min();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(BfdCommand::Stop(reply)) => {
                        self.stop();
                        // Whoever asked may have gone; the work is done.
                        let _ = reply.send(());
                        return;
                    }
                    Some(command) => self.command(command),
                    None => return self.stop(),
                },
                changed = self.links.changed() => match changed {
                    Ok(()) => self.follow(),
                    Err(_) => return self.stop(),
                },
                () = packets(&self.receivers) => {}
                () = super::sleep_until(deadline) => {}
            }
            // What has come is heard before anybody is called silent.
            self.receive();
            self.tick();
        }
    }

    fn command(&mut self, command: BfdCommand) {
        match command {
            BfdCommand::Want(want) => {
                let before = self.wants.remove(&want.client);
                let path = before.map_or(Err(Absence::Link), |(_, path)| path);
                self.wants.insert(want.client, (*want, path));
                self.follow();
            }
            BfdCommand::Unwant(client) => {
                self.wants.remove(&client);
                self.follow();
            }
            BfdCommand::Report(reply) => {
                // Whoever asked may have gone; then nobody misses the answer.
                let _ = reply.send(self.report());
            }
            BfdCommand::Stop(_) => {}
        }
    }

    /// Brings sessions and sockets to what is wanted and what links there are.
    fn follow(&mut self) {
        let links = self.links.borrow_and_update().clone();
        self.retry = None;
        let now = Instant::now();
        let mut wanted: BTreeMap<Path, Want> = BTreeMap::new();
        for (want, path) in self.wants.values_mut() {
            *path = place(want, path.as_ref().ok().copied(), &links);
            match path {
                Ok(path) => drop(wanted.entry(*path).or_insert_with(|| want.clone())),
                // Links tell when they change, routes do not.
                Err(Absence::Route) => self.retry = Some(now + RETRY),
                Err(Absence::Link | Absence::Source(_)) => {}
            }
        }
        let mut actions = Vec::new();
        let status = self.machine.status();
        for gone in status.iter().map(|session| session.path).filter(|path| !wanted.contains_key(path)) {
            self.happen(now, Event::Unwant(gone), &mut actions);
        }
        for (path, want) in &wanted {
            if self.open(*path, want, &links) {
                self.happen(now, Event::Want(*path, want.settings.machine()), &mut actions);
            } else {
                self.retry = Some(now + RETRY);
            }
        }
        self.perform(actions);
        self.close();
    }

    /// Closes the sockets of sessions that are no more. One that is no longer
    /// wanted still says so for a while (RFC 5880 §6.8.16).
    fn close(&mut self) {
        let machine = &self.machine;
        self.senders.retain(|path, _| machine.has(*path));
        let used: BTreeSet<Place> = self.senders.keys().map(|path| Place::of(*path)).collect();
        self.receivers.retain(|place, _| used.contains(place));
    }

    /// Opens the sockets of a path, unless they are open; says whether they are.
    fn open(&mut self, path: Path, want: &Want, links: &Links) -> bool {
        let link = interface(path, links);
        let mut opened = || {
            if let Entry::Vacant(place) = self.receivers.entry(Place::of(path)) {
                let receiver = Receiver::open(*place.key(), link)?;
                place.insert(receiver);
            }
            if self.senders.get(&path).is_none_or(|sender| !sender.is_from(want.source)) {
                self.senders.insert(path, Sender::open(path, link, want.source)?);
            }
            Ok::<(), io::Error>(())
        };
        let opened = opened();
        if let Err(error) = &opened {
            warn!(interface = link, peer = %path.remote(), %error, "bfd cannot open its sockets; it tries again");
        }
        opened.is_ok()
    }

    fn receive(&mut self) {
        let (now, mut actions) = (Instant::now(), Vec::new());
        for (place, receiver) in &self.receivers {
            let packets = match receiver.receive() {
                Ok(packets) => packets,
                Err(error) => {
                    debug!(?place, %error, "bfd cannot receive");
                    continue;
                }
            };
            for packet in packets {
                let remote = packet.source;
                let path = match (*place, packet.to) {
                    (Place::Link { index, .. }, _) => Path::OneHop { interface: index, remote },
                    (Place::Routed { .. }, Some(local)) => Path::ManyHops { local, remote },
                    // The kernel says where a packet went, as it was asked to.
                    (Place::Routed { .. }, None) => continue,
                };
                let received = Received { path, ttl: packet.ttl, bytes: &packet.bytes };
                if let Err(why) = self.machine.handle(now, Event::Received(received), &mut actions) {
                    debug!(?place, source = %packet.source, %why, "bfd packet discarded");
                }
            }
        }
        self.perform(actions);
    }

    fn tick(&mut self) {
        let (now, mut actions) = (Instant::now(), Vec::new());
        self.machine.tick(now, &mut actions);
        self.perform(actions);
        if self.senders.keys().any(|path| !self.machine.has(*path)) {
            self.close();
        }
        if self.retry.is_some_and(|at| at <= now) {
            self.follow();
        }
    }

    fn happen(&mut self, now: Instant, event: Event<'_>, actions: &mut Vec<Action>) {
        if let Err(why) = self.machine.handle(now, event, actions) {
            debug!(%why, "bfd event refused");
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(path, bytes) => {
                    let Some(sender) = self.senders.get(&path) else { continue };
                    if let Err(error) = sender.send(&bytes) {
                        debug!(peer = %path.remote(), %error, "bfd packet not sent");
                    }
                }
                Action::Up(path) => {
                    info!(peer = %path.remote(), "bfd session up");
                    self.alarm(path, Alarm::HopUp);
                }
                Action::Down(path, why, fate) => {
                    // Packets are lost until the writer knows: it hears before the log.
                    if why.is_failure() {
                        self.alarm(path, Alarm::HopDown);
                        self.tell(path, why, fate);
                    }
                    warn!(peer = %path.remote(), %why, "bfd session down");
                }
            }
        }
    }

    /// Tells the FIB writer of a gateway, past everybody else, so that packets
    /// go another way before the protocols have spoken.
    fn alarm(&self, path: Path, alarm: fn(IpAddr, u32) -> Alarm) {
        if let Path::OneHop { interface, remote } = path
            && !self.fib.try_alarm(alarm(remote, interface))
        {
            debug!(peer = %remote, "the FIB writer is busy; its routes move with the protocols");
        }
    }

    /// Tells who wants the path that it has failed; waits for nobody.
    fn tell(&self, path: Path, why: WhyDown, fate: Fate) {
        for (client, (want, _)) in self.wants.iter().filter(|(_, (_, at))| *at == Ok(path)) {
            match (want.subscriber.clone(), *client) {
                (Subscriber::Peer(peer), _) => {
                    // A task that is gone has no session to end.
                    tokio::spawn(async move { drop(peer.send(PeerCommand::BfdDown(why, fate)).await) });
                }
                (Subscriber::Rip(rip), Client::Rip(interface, neighbor)) => {
                    let Some(rip) = rip.upgrade() else { continue };
                    let command = RipCommand::BfdDown(interface, neighbor);
                    tokio::spawn(async move { drop(rip.send(command).await) });
                }
                (Subscriber::Rip(_), Client::Bgp(..)) => {}
            }
        }
    }

    /// Says `AdminDown` to all, so that a restart is no failure of a path.
    fn stop(&mut self) {
        let mut actions = Vec::new();
        self.machine.end(Instant::now(), FAREWELLS, &mut actions);
        self.perform(actions);
    }

    fn report(&self) -> BfdReport {
        let links = self.links.borrow();
        let clients = |path| {
            let of_path = self.wants.iter().filter(move |(_, (_, at))| *at == Ok(path));
            of_path.map(|(client, _)| *client).collect::<Vec<_>>()
        };
        let described = self.machine.status().into_iter().map(|status| {
            let path = status.path;
            (status, interface(path, &links).map(str::to_owned), clients(path))
        });
        let sessions: Vec<_> = described.collect();
        let absent = self.wants.iter().filter_map(|(client, (_, path))| match path {
            Err(absence) => Some((*client, absence.to_string())),
            Ok(path) if sessions.iter().any(|(status, _, _)| status.path == *path) => None,
            Ok(_) => Some((*client, "its sockets could not be opened; see the log".to_owned())),
        });
        let (now, strays) = (Instant::now(), self.machine.strays());
        BfdReport { now, absent: absent.collect(), sessions, strays }
    }
}

/// The name of the link of a path over one hop.
fn interface(path: Path, links: &Links) -> Option<&str> {
    match path {
        Path::OneHop { interface, .. } => links.by_index(interface).map(|link| link.name.as_str()),
        Path::ManyHops { .. } => None,
    }
}

/// Waits until a packet has come.
async fn packets(receivers: &BTreeMap<Place, Receiver>) {
    poll_fn(|context| {
        let ready = receivers.values().any(|receiver| receiver.poll_readable(context).is_ready());
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
