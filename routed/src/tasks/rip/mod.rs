//! The RIP task: owns the `rip::Instance` of each version and their sockets.
//!
//! ```text
//!  table ──Links (watch)──┐                        ┌─► sockets, one an interface and version
//!  sockets, deadlines ────┼─► machine ─► actions ──┤
//!  serve, reload ─────────┘                        └─► TableInput (bounded; waited for)
//!  table ──Notify "there is more to tell"──► PullRip ─► Event::Advertise
//! ```
//! There is no protocol logic here: what happens is in `rip`. The table never
//! waits for this task, so this task may wait for the table.

mod drain;
mod failure;
mod import;
mod receive;
mod report;
mod socket;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kernel::Links;
use net::{Family, Prefix};
use rip::{Action, Clock, Config as Machine, Event, Instance, Interface};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use self::import::TableImport;
pub(crate) use self::report::{RipInterface, RipNeighbor, RipReport};
use self::socket::RipSocket;
use super::bfd::{BfdCommand, Client};
use super::claim::Sighting;
use super::drain::DrainOrder;
use super::table::TableInput;
use super::{COMMANDS, Owned};
use crate::config::{Config, rip as settings};
use crate::state::StateDir;

/// The file of the last sequence number in the state directory.
const FILE: &str = "rip.json";
/// How long to wait before a socket that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What others ask of the RIP task.
#[derive(Debug)]
pub(crate) enum RipCommand {
    /// Tell how it fares.
    Report(oneshot::Sender<RipReport>),
    /// Another configuration after a reload.
    Configure(Arc<Config>),
    /// BFD says that the path to a neighbour on an interface has failed.
    BfdDown(u32, IpAddr),
    /// Tell everything as unreachable, or end that.
    Drain(DrainOrder),
    /// Keep what must survive, and end.
    Stop(oneshot::Sender<()>),
}

/// What the task starts with.
pub(crate) struct RipStart {
    /// The configuration; `[rip]` is there.
    pub(crate) config: Arc<Config>,
    /// Links and addresses.
    pub(crate) links: watch::Receiver<Links>,
    /// What the node owns.
    pub(crate) owned: watch::Receiver<Owned>,
    /// The table.
    pub(crate) table: mpsc::Sender<TableInput>,
    /// Rung when the table has more to tell.
    pub(crate) more: Arc<Notify>,
    /// What neighbours say that concerns the pools or this node.
    pub(crate) sightings: mpsc::Sender<Sighting>,
    /// Where the sequence number is kept.
    pub(crate) state: Arc<StateDir>,
    /// The BFD task.
    pub(crate) bfd: mpsc::Sender<BfdCommand>,
    /// The node was drained before the daemon was started again.
    pub(crate) draining: bool,
}

/// One version, its sockets, and the interfaces that it runs on.
struct Version {
    machine: Instance,
    sockets: BTreeMap<u32, RipSocket>,
    running: BTreeMap<u32, Interface>,
    /// Since when each neighbour has been there.
    since: BTreeMap<(u32, IpAddr), Instant>,
}

/// Packets to one destination, one after the other.
struct Burst {
    interface: u32,
    to: SocketAddr,
    packets: Vec<Vec<u8>>,
}

struct Task {
    start: RipStart,
    rip: settings::Rip,
    import: Arc<TableImport>,
    versions: Vec<Version>,
    /// The interface of the default route, where none is configured.
    default_interface: Option<u32>,
    retry: Option<Instant>,
    /// Room for one packet.
    buffer: Vec<u8>,
    /// The way to this task.
    control: mpsc::WeakSender<RipCommand>,
    /// Who waits until neighbours have been told.
    waiting: Vec<oneshot::Sender<()>>,
}

enum Wake {
    Command(Option<RipCommand>),
    Links,
    Owned,
    More,
    Packets(usize, u32),
    Deadline,
}

/// Starts the task and returns the way to it.
pub(crate) fn start(start: RipStart) -> Option<mpsc::Sender<RipCommand>> {
    let rip = start.config.rip.clone()?;
    let import =
        Arc::new(TableImport::new(&start.config, &rip, start.owned.clone(), start.sightings.clone()));
    let sequence = match start.state.load::<u32>(FILE) {
        Ok(sequence) => sequence.unwrap_or(0),
        Err(error) => {
            warn!(%error, "last RIP sequence number not known; the time of day is used");
            0
        }
    };
    let mut families = vec![Family::Ipv4Unicast];
    families.extend(rip.ng.then_some(Family::Ipv6Unicast));
    let versions = families.into_iter().map(|family| version(family, &rip, &import, sequence)).collect();
    let (sender, commands) = mpsc::channel(COMMANDS);
    let control = sender.downgrade();
    let task = Task {
        start,
        rip,
        import,
        versions,
        default_interface: None,
        retry: None,
        control,
        buffer: vec![0; socket::LARGEST],
        waiting: Vec::new(),
    };
    tokio::spawn(task.run(commands));
    Some(sender)
}

fn version(family: Family, rip: &settings::Rip, import: &Arc<TableImport>, sequence: u32) -> Version {
    use std::hash::{BuildHasher, RandomState};
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let clock = Clock { instant: Instant::now(), unix };
    let mut machine = Machine::new(family, clock, RandomState::new().hash_one(family));
    machine.multipath = rip.multipath.into();
    machine.garbage = rip.settings.garbage;
    machine.sequence = sequence;
    machine.import = import.clone();
    Version {
        machine: Instance::new(machine),
        sockets: BTreeMap::new(),
        running: BTreeMap::new(),
        since: BTreeMap::new(),
    }
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<RipCommand>) {
        self.drain(self.start.draining).await;
        self.follow_links().await;
        loop {
            match self.wake(&mut commands).await {
                Wake::Command(Some(RipCommand::Stop(reply))) => {
                    self.keep_sequence();
                    // Whoever asked may have gone; the work is done.
                    let _ = reply.send(());
                    return;
                }
                Wake::Command(None) => return self.keep_sequence(),
                Wake::Command(Some(RipCommand::Report(reply))) => {
                    let _ = reply.send(self.report(Instant::now()));
                }
                Wake::Command(Some(RipCommand::Configure(config))) => self.configure(config).await,
                Wake::Command(Some(RipCommand::BfdDown(interface, address))) => {
                    self.unreachable(interface, address).await;
                }
                Wake::Command(Some(RipCommand::Drain(order))) => {
                    self.waiting.push(order.told);
                    self.drain(order.draining).await;
                }
                Wake::Links => self.follow_links().await,
                // What is this node's own is not taken of others.
                Wake::Owned => {
                    self.start.owned.mark_unchanged();
                    self.judge_anew().await;
                }
                Wake::More => self.advertise().await,
                Wake::Packets(version, index) => self.receive(version, index).await,
                Wake::Deadline => self.tick().await,
            }
            self.answer_waiting();
        }
    }

    async fn wake(&mut self, commands: &mut mpsc::Receiver<RipCommand>) -> Wake {
        let deadlines = self.versions.iter().filter_map(Version::next_deadline);
        let deadline = deadlines.chain(self.retry).min();
        let Self { start, versions, .. } = self;
        tokio::select! {
            command = commands.recv() => Wake::Command(command),
            changed = start.links.changed() => if changed.is_ok() { Wake::Links } else { Wake::Command(None) },
            changed = start.owned.changed() => if changed.is_ok() { Wake::Owned } else { Wake::Command(None) },
            () = start.more.notified() => Wake::More,
            (version, index) = receive::packets(versions) => Wake::Packets(version, index),
            () = super::sleep_until(deadline) => Wake::Deadline,
        }
    }

    fn keep_sequence(&mut self) {
        let sequence = self.versions.iter().map(|version| version.machine.sequence()).max().unwrap_or(0);
        if let Err(error) = self.start.state.save(FILE, &sequence) {
            warn!(%error, "RIP sequence number not kept; the next start takes the time of day");
        }
    }

    /// Brings the interfaces that RIP runs on to what links and configuration say.
    async fn follow_links(&mut self) {
        let links = self.start.links.borrow_and_update().clone();
        self.find_default(&links).await;
        let mut actions = Vec::new();
        let now = Instant::now();
        self.retry = None;
        for index in 0..self.versions.len() {
            let wanted = self.wanted(&links, self.versions[index].machine.family());
            let version = &mut self.versions[index];
            let gone: Vec<u32> =
                version.running.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
            let mut happened: Vec<Event> = Vec::new();
            for key in gone {
                version.sockets.remove(&key);
                if let Some(interface) = version.running.remove(&key) {
                    info!(interface = interface.name, family = %version.machine.family(), "rip leaves interface");
                }
                happened.push(Event::InterfaceDown(key));
            }
            for (key, interface) in wanted {
                if version.running.get(&key) == Some(&interface) {
                    continue;
                }
                if !open(version, &interface) {
                    self.retry = Some(now + RETRY);
                    continue;
                }
                version.running.insert(key, interface.clone());
                happened.push(Event::InterfaceUp(interface));
            }
            for event in happened {
                version.machine.handle(now, event, &mut actions);
            }
            self.perform(index, std::mem::take(&mut actions)).await;
        }
    }

    /// Looks for the interface of the default route where none is configured
    /// and the one found before is gone.
    async fn find_default(&mut self, links: &Links) {
        let there = self.default_interface.is_some_and(|index| links.by_index(index).is_some());
        if !self.rip.interfaces.is_empty() || there {
            return;
        }
        let found = tokio::task::spawn_blocking(kernel::query::default_interface).await;
        self.default_interface = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                warn!(%error, "the interface of the default route is not known; set rip.interfaces");
                None
            }
            Err(_) => None,
        };
    }

    fn wanted(&self, links: &Links, family: Family) -> BTreeMap<u32, Interface> {
        let chosen = |name: &str, index| match self.rip.interfaces.as_slice() {
            [] => self.default_interface == Some(index),
            names => names.iter().any(|wanted| wanted == name),
        };
        links
            .iter()
            .filter(|link| link.up && link.running && chosen(&link.name, link.index))
            .filter_map(|link| Some((link.index, self.interface(links, link, family)?)))
            .collect()
    }

    /// The interface as the machine sees it; `None` without an address of the family.
    fn interface(&self, links: &Links, link: &kernel::Link, family: Family) -> Option<Interface> {
        let addresses: Vec<_> = links
            .addresses_of(link.index)
            .filter(|(address, _)| Family::of(*address) == family)
            .filter_map(|(address, length)| Some((address, Prefix::new(address, length)?)))
            .collect();
        let settings = self.rip.settings_of(&link.name);
        let mut machine = report::machine_settings(settings, &link.name, &self.rip, family);
        machine.neighbors.retain(|neighbor| {
            Family::of(*neighbor) == family
                && addresses.iter().any(|(_, network)| network.contains(*neighbor))
        });
        (!addresses.is_empty()).then(|| Interface {
            index: link.index,
            name: link.name.clone(),
            mtu: link.mtu,
            addresses,
            settings: machine,
        })
    }

    async fn configure(&mut self, config: Arc<Config>) {
        let Some(rip) = config.rip.clone() else { return };
        self.import =
            Arc::new(TableImport::new(&config, &rip, self.start.owned.clone(), self.start.sightings.clone()));
        let other_distance = rip.distance != self.rip.distance;
        self.rip = rip;
        self.start.config = config;
        if other_distance {
            self.tell_learned().await;
        }
        self.judge_anew().await;
        self.follow_links().await;
        let neighbors = self.versions.iter().flat_map(|version| version.since.keys().copied());
        for (interface, address) in neighbors.collect::<Vec<_>>() {
            self.watch(interface, address).await;
        }
    }

    /// Tells the table once more what is learned: it holds another distance for it.
    async fn tell_learned(&self) {
        for version in &self.versions {
            let (family, routes) = (version.machine.family(), version.machine.learned());
            // A table that is gone means that the daemon stops.
            let _ = self.start.table.send(TableInput::RipLearned { family, routes }).await;
        }
    }

    /// The answers of the import filter may be other ones now.
    async fn judge_anew(&mut self) {
        for index in 0..self.versions.len() {
            let mut actions = Vec::new();
            let import: Arc<dyn rip::Import> = self.import.clone();
            self.versions[index].machine.handle(Instant::now(), Event::Import(import), &mut actions);
            self.perform(index, actions).await;
        }
    }

    /// Takes from the table what is to be told anew.
    async fn advertise(&mut self) {
        let (reply, answer) = oneshot::channel();
        if self.start.table.send(TableInput::PullRip { reply }).await.is_err() {
            return;
        }
        let Ok(adverts) = answer.await else { return };
        for index in 0..self.versions.len() {
            let family = self.versions[index].machine.family();
            let of_family: Vec<_> =
                adverts.iter().filter(|(prefix, _)| prefix.family() == family).copied().collect();
            if of_family.is_empty() {
                continue;
            }
            let mut actions = Vec::new();
            self.versions[index].machine.handle(Instant::now(), Event::Advertise(of_family), &mut actions);
            self.perform(index, actions).await;
        }
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        for index in 0..self.versions.len() {
            let mut actions = Vec::new();
            self.versions[index].read_resting(now, &mut self.buffer, &mut actions);
            self.versions[index].machine.tick(now, &mut actions);
            self.perform(index, actions).await;
        }
        if self.retry.is_some_and(|at| at <= now) {
            self.follow_links().await;
        }
    }

    async fn perform(&mut self, index: usize, actions: Vec<Action>) {
        let version = &mut self.versions[index];
        let family = version.machine.family();
        let (mut inputs, mut came, mut went) = (Vec::new(), Vec::new(), Vec::new());
        let mut sends: Vec<Burst> = Vec::new();
        for action in actions {
            match action {
                Action::Send { interface, to, bytes } => match sends.last_mut() {
                    Some(last) if (last.interface, last.to) == (interface, to) => last.packets.push(bytes),
                    _ => sends.push(Burst { interface, to, packets: vec![bytes] }),
                },
                Action::Learned(routes) => inputs.push(TableInput::RipLearned { family, routes }),
                Action::Lost(prefixes) => inputs.push(TableInput::RipLost { family, prefixes }),
                Action::NeighborUp { interface, address } => {
                    version.since.insert((interface, address), Instant::now());
                    came.push((interface, address));
                    info!(neighbor = %address, interface = version.name(interface), "rip neighbour up");
                }
                Action::NeighborDown { interface, address, why } => {
                    version.since.remove(&(interface, address));
                    went.push(Client::Rip(interface, address));
                    warn!(neighbor = %address, interface = version.name(interface), %why, "rip neighbour down");
                }
            }
        }
        for Burst { interface, to, packets } in sends {
            let Some(socket) = version.sockets.get_mut(&interface) else { continue };
            if let Err(error) = socket.send(to, &packets) {
                debug!(interface, %to, %error, "rip packets not sent");
            }
        }
        for (interface, address) in came {
            self.watch(interface, address).await;
        }
        for client in went {
            let _ = self.start.bfd.send(BfdCommand::Unwant(client)).await;
        }
        for input in inputs {
            // A table that is gone means that the daemon stops.
            let _ = self.start.table.send(input).await;
        }
    }
}

impl Version {
    fn name(&self, index: u32) -> &str {
        self.running.get(&index).map_or("?", |interface| &interface.name)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let resting = self.sockets.values().filter_map(RipSocket::rests_until);
        resting.chain(self.machine.next_deadline()).min()
    }
}

/// Opens the socket of an interface, unless it is open; says whether it is.
fn open(version: &mut Version, interface: &Interface) -> bool {
    if version.sockets.contains_key(&interface.index) {
        return true;
    }
    let family = version.machine.family();
    match RipSocket::open(family, interface.index, &interface.name) {
        Ok(socket) => {
            info!(interface = interface.name, %family, "rip runs on interface");
            version.sockets.insert(interface.index, socket);
            true
        }
        Err(error) => {
            warn!(interface = interface.name, %family, %error, "rip cannot open its socket; it tries again");
            false
        }
    }
}
