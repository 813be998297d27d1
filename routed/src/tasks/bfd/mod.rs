//! The BFD task: owns the `bfd::Sessions` and their sockets, on a thread with
//! a runtime of its own, so that a daemon that is busy with routes or policy
//! keeps the timers.
//!
//! ```text
//!  peer, rip ──Want, Unwant──┐                        ┌─► sockets
//!  sockets, deadlines ───────┼─► machine ─► actions ──┤
//!  links (watch), serve ─────┘                        └─► PeerCommand::BfdDown, RipCommand::BfdDown
//! ```
//! A session that was never Up tells nobody anything (RFC 5882 §3.2): BFD
//! that the other end does not speak holds no protocol down.

mod socket;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::task::Poll;
use std::time::{Duration, Instant};

use bfd::{Action, Event, Path, Received, SessionStatus, Sessions};
use kernel::Links;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use self::socket::{Receiver, Sender};
use super::{COMMANDS, PeerCommand, RipCommand};
use crate::config::bfd::Bfd;

/// How long to wait before a socket that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Who wants a path to be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    /// The BGP session with this peer.
    Bgp(IpAddr),
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
    /// The sessions, each with the name of its interface and for whom it is.
    pub(crate) sessions: Vec<(SessionStatus, String, Vec<Client>)>,
    /// Who wants a session that cannot be, and why.
    pub(crate) absent: Vec<(Client, String)>,
}

struct Task {
    machine: Sessions,
    links: watch::Receiver<Links>,
    wants: BTreeMap<Client, (Want, Option<Path>)>,
    receivers: BTreeMap<(u32, bool), Receiver>,
    senders: BTreeMap<Path, Sender>,
    retry: Option<Instant>,
}

/// Starts the thread and returns the way to it.
pub(crate) fn start(links: watch::Receiver<Links>) -> io::Result<mpsc::Sender<BfdCommand>> {
    let (sender, commands) = mpsc::channel(COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let task = Task {
        machine: Sessions::new(RandomState::new().hash_one("bfd")),
        links,
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
                let path = self.wants.remove(&want.client).and_then(|(_, path)| path);
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
        for (client, (want, path)) in &mut self.wants {
            *path = place(*client, *path, &links);
            if let Some(path) = *path {
                wanted.entry(path).or_insert_with(|| want.clone());
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
        self.senders.retain(|path, _| wanted.contains_key(path));
        let used: BTreeSet<(u32, bool)> = self.senders.keys().filter_map(|path| place_of(*path)).collect();
        self.receivers.retain(|place, _| used.contains(place));
    }

    /// Opens the sockets of a path, unless they are open; says whether they are.
    fn open(&mut self, path: Path, want: &Want, links: &Links) -> bool {
        let Some((index, v4)) = place_of(path) else { return false };
        let Some(link) = links.by_index(index) else { return false };
        let mut opened = || {
            if let Entry::Vacant(place) = self.receivers.entry((index, v4)) {
                place.insert(Receiver::open(v4, &link.name)?);
            }
            if let Entry::Vacant(place) = self.senders.entry(path) {
                place.insert(Sender::open((index, &link.name), path.remote(), want.source)?);
            }
            Ok::<(), io::Error>(())
        };
        let opened = opened();
        if let Err(error) = &opened {
            let (interface, peer) = (&link.name, path.remote());
            warn!(%interface, %peer, %error, "bfd cannot open its sockets; it tries again");
        }
        opened.is_ok()
    }

    fn receive(&mut self) {
        let (now, mut actions) = (Instant::now(), Vec::new());
        for ((interface, _), receiver) in &self.receivers {
            let packets = match receiver.receive() {
                Ok(packets) => packets,
                Err(error) => {
                    debug!(interface, %error, "bfd cannot receive");
                    continue;
                }
            };
            for packet in packets {
                let path = Path::OneHop { interface: *interface, remote: packet.source };
                let received = Received { path, ttl: packet.ttl, bytes: &packet.bytes };
                if let Err(why) = self.machine.handle(now, Event::Received(received), &mut actions) {
                    debug!(interface, source = %packet.source, %why, "bfd packet discarded");
                }
            }
        }
        self.perform(actions);
    }

    fn tick(&mut self) {
        let (now, mut actions) = (Instant::now(), Vec::new());
        self.machine.tick(now, &mut actions);
        self.perform(actions);
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
                Action::Up(path) => info!(peer = %path.remote(), "bfd session up"),
                Action::Down(path, why) => {
                    warn!(peer = %path.remote(), %why, "bfd session down");
                    if why.is_failure() {
                        self.tell(path);
                    }
                }
            }
        }
    }

    /// Tells who wants the path that it has failed; waits for nobody.
    fn tell(&self, path: Path) {
        for (client, (want, _)) in self.wants.iter().filter(|(_, (_, at))| *at == Some(path)) {
            match (want.subscriber.clone(), *client) {
                (Subscriber::Peer(peer), _) => {
                    // A task that is gone has no session to end.
                    tokio::spawn(async move { drop(peer.send(PeerCommand::BfdDown).await) });
                }
                (Subscriber::Rip(rip), Client::Rip(interface, neighbor)) => {
                    let Some(rip) = rip.upgrade() else { continue };
                    let command = RipCommand::BfdDown(interface, neighbor);
                    tokio::spawn(async move { drop(rip.send(command).await) });
                }
                (Subscriber::Rip(_), Client::Bgp(_)) => {}
            }
        }
    }

    /// Says `AdminDown` to all, so that a restart is no failure of a path.
    fn stop(&mut self) {
        self.wants.clear();
        let (now, mut actions) = (Instant::now(), Vec::new());
        for session in self.machine.status() {
            self.happen(now, Event::Unwant(session.path), &mut actions);
        }
        self.perform(actions);
    }

    fn report(&self) -> BfdReport {
        let links = self.links.borrow();
        let name = |path| {
            let link = place_of(path).and_then(|(index, _)| links.by_index(index));
            link.map_or_else(|| "?".to_owned(), |link| link.name.clone())
        };
        let clients = |path| {
            let of_path = self.wants.iter().filter(move |(_, (_, at))| *at == Some(path));
            of_path.map(|(client, _)| *client).collect::<Vec<_>>()
        };
        let sessions: Vec<_> = self
            .machine
            .status()
            .into_iter()
            .map(|status| {
                let path = status.path;
                (status, name(path), clients(path))
            })
            .collect();
        let runs = |path| sessions.iter().any(|(status, _, _)| Some(status.path) == path);
        let absent = self.wants.iter().filter(|(_, (_, path))| !runs(*path));
        let absent = absent.map(|(client, (_, path))| {
            let why = match path {
                None => "no link leads to it",
                Some(_) => "its sockets could not be opened; see the log",
            };
            (*client, why.to_owned())
        });
        BfdReport { now: Instant::now(), absent: absent.collect(), sessions }
    }
}

/// Over which interface a client's neighbour is: the link that leads to it,
/// or the one before where that is there still.
fn place(client: Client, before: Option<Path>, links: &Links) -> Option<Path> {
    let there = |interface: &u32| links.by_index(*interface).is_some();
    let (interface, remote) = match client {
        Client::Bgp(peer) => {
            (links.connected(peer).or(before.and_then(place_of).map(|(index, _)| index)), peer)
        }
        Client::Rip(interface, neighbor) => (Some(interface), neighbor),
    };
    Some(Path::OneHop { interface: interface.filter(there)?, remote })
}

/// The interface and family of a path over one hop; there are no others here.
fn place_of(path: Path) -> Option<(u32, bool)> {
    match path {
        Path::OneHop { interface, remote } => Some((interface, remote.is_ipv4())),
        Path::ManyHops { .. } => None,
    }
}

/// Waits until a packet has come.
async fn packets(receivers: &BTreeMap<(u32, bool), Receiver>) {
    poll_fn(|context| {
        let ready = receivers.values().any(|receiver| receiver.poll_readable(context).is_ready());
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
