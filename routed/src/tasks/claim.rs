//! The claim task: a node without a container subnet claims a block.
//!
//! ```text
//!  rip ──Sighting (bounded, lossy: it comes again)──┐             ┌─► TableInput::Claimed, Defend
//!  table ──Owned, Links (watch)─────────────────────┼─► machine ──┼─► bridge, address store
//!  deadlines ───────────────────────────────────────┘             └─► alarms (watch) ─► status
//! ```
//! Who keeps a block and who gives way is decided in `ipam::claim`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::v1;
use ipam::Ipam;
use ipam::claim::{Action, Alarm, By, Claim, Event, Start, Timing, Wanted};
use kernel::Links;
use net::{Prefix, RouterId};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::Owned;
use super::bridge::Bridge;
use super::table::TableInput;
use crate::config::Config;
use crate::state::StateDir;

/// Sightings that may wait.
pub(crate) const SIGHTINGS: usize = 1024;
/// How often the use of claimed blocks is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// A neighbour advertises a prefix that concerns the pools or this node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    /// What.
    pub(crate) prefix: Prefix,
    /// Who.
    pub(crate) neighbor: IpAddr,
    /// On which interface.
    pub(crate) interface: u32,
    /// It is his own; he does not pass it on.
    pub(crate) direct: bool,
    /// How long it is his unless he repeats it: the timeout of RIP.
    pub(crate) holds: Duration,
}

/// What the task starts with.
pub(crate) struct ClaimStart {
    /// The configuration.
    pub(crate) config: Arc<Config>,
    /// Who this node is; without one there is nothing to claim with.
    pub(crate) router_id: Option<RouterId>,
    /// The address store, which remembers claims.
    pub(crate) addresses: Ipam,
    /// What the node owns.
    pub(crate) owned: watch::Receiver<Owned>,
    /// Links and addresses.
    pub(crate) links: watch::Receiver<Links>,
    /// The table.
    pub(crate) table: mpsc::Sender<TableInput>,
    /// Where the bridge that was made is remembered.
    pub(crate) state: Arc<StateDir>,
}

/// Alarms, for the status of the node.
#[derive(Clone, Debug)]
pub(crate) struct ClaimHandle(pub(super) watch::Receiver<BTreeSet<Alarm>>);

impl ClaimHandle {
    /// The alarms that there are now.
    pub(crate) fn alarms(&self) -> Vec<v1::Alarm> {
        self.0.borrow().iter().map(alarm).collect()
    }

    /// Comes back when the task is gone.
    pub(crate) async fn ended(&self) {
        // An error, and the only way out, is that nobody can send any more.
        let _ = self.0.clone().wait_for(|_| false).await;
    }
}

struct Task {
    start: ClaimStart,
    machine: Claim,
    started: bool,
    blocks: BTreeSet<Prefix>,
    bridge: Bridge,
    /// Until when each thing that neighbours have is theirs.
    heard: BTreeMap<(Prefix, By), Instant>,
    /// Subnets of this node as the machine was told.
    here: BTreeSet<Prefix>,
    alarms: watch::Sender<BTreeSet<Alarm>>,
}

/// Starts the task.
pub(crate) fn start(start: ClaimStart, sightings: mpsc::Receiver<Sighting>) -> ClaimHandle {
    let (alarms, reader) = watch::channel(BTreeSet::new());
    let task = Task {
        bridge: Bridge::new(Arc::clone(&start.state)),
        machine: Claim::new(Timing::default()),
        started: false,
        blocks: BTreeSet::new(),
        heard: BTreeMap::new(),
        here: BTreeSet::new(),
        alarms,
        start,
    };
    tokio::spawn(task.run(sightings));
    ClaimHandle(reader)
}

impl Task {
    async fn run(mut self, mut sightings: mpsc::Receiver<Sighting>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let deadline = self.machine.next_deadline();
            tokio::select! {
                sighting = sightings.recv() => match sighting {
                    Some(sighting) => self.sighted(sighting).await,
                    None => return,
                },
                changed = self.start.owned.changed() => match changed {
                    Ok(()) => self.follow_owned().await,
                    Err(_) => return,
                },
                _ = look.tick() => self.look().await,
                () = super::sleep_until(deadline) => {
                    let mut actions = Vec::new();
                    self.machine.tick(Instant::now(), &mut actions);
                    self.perform(actions).await;
                }
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.machine.handle(Instant::now(), event, &mut actions);
        self.perform(actions).await;
    }

    async fn sighted(&mut self, sighting: Sighting) {
        let by = match self.ours_towards(&sighting) {
            Some(ours) if sighting.direct => By::Neighbour { address: sighting.neighbor, ours },
            _ => By::Other(sighting.neighbor),
        };
        self.heard.insert((sighting.prefix, by), Instant::now() + sighting.holds);
        self.handle(Event::Heard { prefix: sighting.prefix, by }).await;
    }

    /// Our address in the words in which the neighbour calls himself.
    fn ours_towards(&self, sighting: &Sighting) -> Option<IpAddr> {
        let links = self.start.links.borrow();
        let neighbor = sighting.neighbor;
        let shares = |(own, length): &(IpAddr, u8)| {
            Prefix::new(*own, *length).is_some_and(|net| net.contains(neighbor))
        };
        links.addresses_of(sighting.interface).find(shares).map(|(own, _)| own)
    }

    /// Tells the machine which subnets this node has without a claim, and
    /// begins to claim when it has none in the pools.
    async fn follow_owned(&mut self) {
        let owned = self.start.owned.borrow_and_update().clone();
        // A bridge that carries a claimed block, Docker's for one, is that block's own.
        let own = |prefix: &Prefix| self.blocks.contains(prefix);
        let here: BTreeSet<Prefix> = owned.subnets.iter().copied().filter(|prefix| !own(prefix)).collect();
        for prefix in here.difference(&self.here.clone()) {
            self.handle(Event::Heard { prefix: *prefix, by: By::Here }).await;
        }
        for prefix in self.here.clone().difference(&here) {
            self.handle(Event::Gone { prefix: *prefix, by: By::Here }).await;
        }
        self.here = here;
        self.begin().await;
    }

    async fn begin(&mut self) {
        let config = &self.start.config;
        let (true, Some(router_id), false) = (config.ipam.claim, self.start.router_id, self.started) else {
            return;
        };
        let in_pools = |prefix: &Prefix| config.cluster.pools.iter().any(|pool| pool.covers(*prefix));
        if self.here.iter().any(in_pools) {
            return;
        }
        let remembered = self.start.addresses.claims();
        let wanted = config.cluster.pools.iter().filter_map(|pool| {
            let length = block_length(*pool, config.cluster.node_block);
            let known = remembered.iter().find(|block| pool.covers(**block)).copied();
            Wanted::new(*pool, length, known).inspect_err(|why| warn!(%why, "nothing to claim")).ok()
        });
        let start = Start { name: config.node.name.clone(), router_id, wanted: wanted.collect() };
        self.started = true;
        info!(remembered = remembered.len(), "no container subnet; claiming a block");
        self.tell_use(&remembered).await;
        self.handle(Event::Start(start)).await;
    }

    async fn look(&mut self) {
        self.follow_owned().await;
        let blocks: Vec<Prefix> = self.blocks.iter().copied().collect();
        self.tell_use(&blocks).await;
        let now = Instant::now();
        let gone: Vec<_> =
            self.heard.iter().filter(|(_, until)| **until < now).map(|(key, _)| *key).collect();
        for (prefix, by) in gone {
            self.heard.remove(&(prefix, by));
            self.handle(Event::Gone { prefix, by }).await;
        }
    }

    async fn tell_use(&mut self, blocks: &[Prefix]) {
        let allocations = self.start.addresses.snapshot().allocations;
        for block in blocks {
            let addresses = allocations.iter().filter(|found| block.contains(found.address)).count() as u64;
            self.handle(Event::Used { block: *block, addresses }).await;
        }
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Own(block) => {
                    info!(%block, "block claimed");
                    self.blocks.insert(block);
                    self.blocks_changed().await;
                }
                Action::Release(block) => {
                    warn!(%block, "block given up");
                    self.blocks.remove(&block);
                    self.blocks_changed().await;
                }
                Action::Defend(block) => self.tell_table(TableInput::Defend(block)).await,
                Action::Alarm(found) => {
                    warn!(alarm = %found, cure = found.cure(), "alarm");
                    self.alarms.send_if_modified(|alarms| alarms.insert(found));
                }
                Action::Clear(found) => {
                    info!(alarm = %found, "alarm is over");
                    self.alarms.send_if_modified(|alarms| alarms.remove(&found));
                }
            }
        }
    }

    /// Remembers the blocks, gives them a bridge, has them originated.
    async fn blocks_changed(&mut self) {
        let blocks: Vec<Prefix> = self.blocks.iter().copied().collect();
        let (store, remembered) = (self.start.addresses.clone(), blocks.clone());
        match tokio::task::spawn_blocking(move || store.remember_claim(&remembered)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => warn!(%why, "claim not remembered; after a restart another block may be chosen"),
            Err(error) => warn!(%error, "address store"),
        }
        let docker = self.start.links.borrow().by_name(DOCKER).is_some();
        self.bridge.follow(if docker { &[] } else { &blocks }).await;
        self.tell_table(TableInput::Claimed(blocks)).await;
    }

    async fn tell_table(&self, input: TableInput) {
        // A table that is gone means that the daemon stops.
        let _ = self.start.table.send(input).await;
    }
}

/// Where Docker is, its bridge gets the block: `routectl docker configure`.
const DOCKER: &str = "docker0";

/// The length of a block of a pool: `node_block` for IPv4, and for IPv6 what
/// a link has, /64, or 16 bits inside a longer pool.
fn block_length(pool: Prefix, node_block: u8) -> u8 {
    match pool.family() {
        net::Family::Ipv4Unicast => node_block,
        net::Family::Ipv6Unicast => 64.max(pool.len().saturating_add(16)).min(128),
    }
}

fn alarm(found: &Alarm) -> v1::Alarm {
    let (id, severity) = match found {
        Alarm::Conflict { by, .. } => (format!("subnet-conflict {by}"), v1::Severity::Error),
        Alarm::Blocked { block, .. } => (format!("block-blocked {block}"), v1::Severity::Error),
        Alarm::Exhausted { pool, .. } => (format!("pool-exhausted {pool}"), v1::Severity::Error),
    };
    v1::Alarm { id, severity: severity as i32, text: found.to_string(), hint: found.cure() }
}
