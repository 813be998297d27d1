//! The discovery task: finds who is at the other end of the interfaces that
//! have a peer, and says when it changes.
//!
//! ```text
//!  speaker ──Wanted (watch)──┐             ┌─► raw sockets
//!  links (watch) ────────────┼─► machines ─┤   (one a link)
//!  sockets, deadlines ───────┘             └─► SpeakerCommand::Neighbor
//! ```
//! There is no protocol logic here: that is in `bgp::discovery`. A link that
//! goes, goes down or comes back with another index ends its machine, and a
//! new one begins; so does one whose link-local address is another.

mod socket;

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::task::Poll;
use std::time::{Duration, Instant};

use bgp::discovery::wire::Received;
use bgp::discovery::{Action, Discovery};
use kernel::Links;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use self::socket::RaSocket;
use super::speaker::SpeakerCommand;

/// How long to wait before a socket that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The interfaces to look at.
pub(super) type Wanted = BTreeMap<String, Want>;

/// What is wanted of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// The address that the neighbour is configured with; `None`: it is to be found.
    pub(super) fixed: Option<Ipv6Addr>,
    /// Every router there is a neighbour.
    pub(super) many: bool,
    /// Another number is another want, which is told everything anew.
    pub(super) number: u64,
}

/// What is known of the other end of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Neighbor {
    /// There is nothing to be known.
    Absent(Absence),
    /// The link of this index is up; nobody has been heard.
    Sought(u32),
    /// The neighbour has this address, on the link of this index.
    Found(Ipv6Addr, u32),
    /// The one with this address is heard no more; said again as long as that
    /// is so.
    Silent(Ipv6Addr),
    /// A second router is on the link, or no longer.
    Rival(Option<Ipv6Addr>),
}

/// Why nobody can be found on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It is yet to be looked at.
    New,
    /// There is no such interface.
    Link,
    /// It is down.
    Down,
    /// It has no link-local address.
    Address,
    /// Its socket cannot be opened.
    Socket(String),
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("the interface has yet to be looked at"),
            Self::Link => f.write_str("there is no such interface; its peer is looked for when it comes"),
            Self::Down => f.write_str("the interface is down or has no carrier"),
            Self::Address => f.write_str(
                "the interface has no IPv6 link-local address; see disable_ipv6 and addr_gen_mode",
            ),
            Self::Socket(error) => {
                write!(f, "its socket for router advertisements cannot be opened: {error}")
            }
        }
    }
}

/// How an interface is.
enum At {
    Absent(Absence),
    /// The neighbour is configured.
    Fixed(Ipv6Addr, Place),
    Open(Box<Open>),
}

impl At {
    fn place(&self) -> Option<Place> {
        match self {
            Self::Absent(_) => None,
            Self::Fixed(_, place) => Some(*place),
            Self::Open(open) => Some(open.place),
        }
    }
}

/// Where something runs; anything else is to run anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    index: u32,
    /// Our own link-local address.
    local: Ipv6Addr,
}

struct Open {
    place: Place,
    socket: RaSocket,
    machine: Discovery,
    /// The second router that was told of.
    rival: Option<Ipv6Addr>,
}

struct Task {
    wanted: watch::Receiver<Wanted>,
    links: watch::Receiver<Links>,
    speaker: mpsc::Sender<SpeakerCommand>,
    at: BTreeMap<String, (Want, At)>,
    retry: Option<Instant>,
    random: RandomState,
}

/// Starts the task; it ends with the sender of what is wanted.
pub(super) fn start(
    wanted: watch::Receiver<Wanted>,
    links: watch::Receiver<Links>,
    speaker: mpsc::Sender<SpeakerCommand>,
) {
    let random = RandomState::new();
    let task = Task { wanted, links, speaker, at: BTreeMap::new(), retry: None, random };
    tokio::spawn(task.run());
}

impl Task {
    async fn run(mut self) {
        let mut news = Vec::new();
        self.follow(&mut news);
        loop {
            for (interface, neighbor) in news.drain(..) {
                if self.speaker.send(SpeakerCommand::Neighbor(interface, neighbor)).await.is_err() {
                    return;
                }
            }
            let deadline = self.next_deadline();
            tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.follow(&mut news),
                    Err(_) => return,
                },
                changed = self.links.changed() => match changed {
                    Ok(()) => self.follow(&mut news),
                    Err(_) => return,
                },
                () = readable(&self.at) => self.receive(&mut news),
                () = super::sleep_until(deadline) => self.tick(&mut news),
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.opened().map(|(_, open)| open.machine.next_deadline()).chain(self.retry).min()
    }

    fn opened(&self) -> impl Iterator<Item = (&String, &Open)> {
        self.at.iter().filter_map(|(name, (_, at))| match at {
            At::Open(open) => Some((name, &**open)),
            At::Absent(_) | At::Fixed(..) => None,
        })
    }

    /// Brings what runs to what is wanted and what links there are.
    fn follow(&mut self, news: &mut Vec<(String, Neighbor)>) {
        let wanted = self.wanted.borrow_and_update().clone();
        let links = self.links.borrow_and_update().clone();
        self.retry = None;
        self.at.retain(|name, (want, _)| wanted.get(name) == Some(want));
        for (name, want) in wanted {
            let before = self.at.remove(&name).map(|(_, at)| at);
            let at = self.bring(&name, (want, before), &links, news);
            self.at.insert(name, (want, at));
        }
    }

    /// Brings one interface there.
    fn bring(
        &mut self,
        name: &str,
        (want, before): (Want, Option<At>),
        links: &Links,
        news: &mut Vec<(String, Neighbor)>,
    ) -> At {
        let running = before.as_ref().and_then(At::place);
        let at = match (place(name, running, links), before) {
            (Ok(place), Some(before)) if running == Some(place) => return before,
            (Err(absence), Some(At::Absent(other))) if absence == other => return At::Absent(other),
            (Err(absence), _) => At::Absent(absence),
            (Ok(place), _) => self.open(name, want, place),
        };
        let neighbor = match &at {
            At::Absent(absence) => Neighbor::Absent(absence.clone()),
            At::Fixed(address, place) => Neighbor::Found(*address, place.index),
            At::Open(open) => Neighbor::Sought(open.place.index),
        };
        news.push((name.to_owned(), neighbor));
        at
    }

    fn open(&mut self, name: &str, want: Want, place: Place) -> At {
        if let Some(address) = want.fixed {
            return At::Fixed(address, place);
        }
        match RaSocket::open(place.index, name) {
            Ok(socket) => {
                let (now, seed) = (Instant::now(), self.random.hash_one((name, place.index)));
                let machine =
                    if want.many { Discovery::of_many(now, seed) } else { Discovery::new(now, seed) };
                At::Open(Open { place, socket, machine, rival: None }.into())
            }
            Err(error) => {
                warn!(interface = name, %error, "cannot look for a peer; trying on");
                self.retry = Some(Instant::now() + RETRY);
                At::Absent(Absence::Socket(error.to_string()))
            }
        }
    }

    fn receive(&mut self, news: &mut Vec<(String, Neighbor)>) {
        let now = Instant::now();
        for (name, (_, at)) in &mut self.at {
            let At::Open(open) = at else { continue };
            let packets = match open.socket.receive() {
                Ok(packets) => packets,
                Err(error) => {
                    debug!(interface = name, %error, "router advertisements cannot be received");
                    continue;
                }
            };
            let mut actions = Vec::new();
            for packet in packets {
                let received =
                    Received { source: packet.source, hop_limit: packet.hop_limit, bytes: &packet.bytes };
                if let Err(why) = open.machine.handle(now, &received, &mut actions) {
                    debug!(interface = name, source = %packet.source, %why, "message of neighbour discovery discarded");
                }
            }
            open.perform(name, actions, news);
        }
    }

    fn tick(&mut self, news: &mut Vec<(String, Neighbor)>) {
        let now = Instant::now();
        for (name, (_, at)) in &mut self.at {
            let At::Open(open) = at else { continue };
            let mut actions = Vec::new();
            open.machine.tick(now, &mut actions);
            open.perform(name, actions, news);
        }
        if self.retry.is_some_and(|at| at <= now) {
            self.follow(news);
        }
    }
}

impl Open {
    fn perform(&mut self, name: &str, actions: Vec<Action>, news: &mut Vec<(String, Neighbor)>) {
        for action in actions {
            let neighbor = match action {
                Action::Send(bytes, to) => {
                    if let Err(error) = self.socket.send(&bytes, to) {
                        debug!(interface = name, %error, "message of neighbour discovery not sent");
                    }
                    continue;
                }
                Action::Found(address) => {
                    info!(interface = name, %address, "neighbour found");
                    Neighbor::Found(address, self.place.index)
                }
                Action::Silent(address) => Neighbor::Silent(address),
                Action::Rival(address) => {
                    let neighbor = self.machine.neighbor().map(tracing::field::display);
                    warn!(interface = name, neighbor, rival = %address, "a second router is on the link; the peer stays the first");
                    continue;
                }
            };
            news.push((name.to_owned(), neighbor));
        }
        if self.rival != self.machine.rival() {
            self.rival = self.machine.rival();
            news.push((name.to_owned(), Neighbor::Rival(self.rival)));
        }
    }
}

/// Where to look, by what links there are; the own address stays as long as
/// the link has it.
fn place(name: &str, before: Option<Place>, links: &Links) -> Result<Place, Absence> {
    let link = links.by_name(name).ok_or(Absence::Link)?;
    if !(link.up && link.running) {
        return Err(Absence::Down);
    }
    let locals = links.addresses_of(link.index).filter_map(|(address, _)| match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
        _ => None,
    });
    let locals: Vec<Ipv6Addr> = locals.collect();
    let kept = before.map(|place| place.local).filter(|local| locals.contains(local));
    let local = kept.or(locals.first().copied()).ok_or(Absence::Address)?;
    Ok(Place { index: link.index, local })
}

/// Waits until a message has come.
async fn readable(at: &BTreeMap<String, (Want, At)>) {
    poll_fn(|context| {
        let ready = at.values().any(|(_, at)| match at {
            At::Open(open) => open.socket.poll_readable(context).is_ready(),
            At::Absent(_) | At::Fixed(..) => false,
        });
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
