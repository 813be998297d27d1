//! The handle that callers hold, and the thread behind it.
//!
//! One thread decides, one batch at a time: it applies every request that
//! waits to its own copy of the ledger, commits the events in one go, and
//! answers. When the commit fails it forgets its copy and answers with the
//! reason; readers never saw anything.
//!
//! A disk that is full at start is no reason not to start: the database is not
//! touched then, readers see what the journal has, every change is refused with
//! the reason, and the store is opened as soon as there is space.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use net::Prefix;

use crate::check::{Finding, check_copy, check_ledger};
use crate::event::{Event, Image, Op};
use crate::ledger::Ledger;
use crate::model::{AllocateRequest, Allocation, Snapshot};
use crate::pool::Layout;
use crate::store::{Files, OpenError, Recovery, Store, export, recover, space};
use crate::why::Why;

/// Requests that may wait; a caller beyond that waits itself.
const QUEUE: usize = 1024;

/// Most requests that share one write to disk.
const BATCH: usize = 256;

/// How long a trouble with the disk may be over before it is noticed.
const LOOK: Duration = Duration::from_secs(5);

/// How to open the store.
#[derive(Clone, Debug)]
pub struct OpenConfig {
    /// The state directory; made when it is not there.
    pub dir: PathBuf,
    /// The name of this node.
    pub node: String,
    /// The cluster's pools; disjoint.
    pub pools: Vec<Prefix>,
    /// This node's blocks; disjoint, inside pools.
    pub blocks: Vec<Prefix>,
    /// The bridges' own addresses, which are never given out.
    pub bridges: Vec<IpAddr>,
    /// How long opening the database may take before it counts as damaged.
    pub open_timeout: Duration,
    /// After how many events the export is written anew.
    pub checkpoint_every: u64,
}

impl OpenConfig {
    /// The usual: no bridge addresses, 10 s to open, an export every 1000 events.
    pub fn new(dir: impl Into<PathBuf>, node: &str, pools: Vec<Prefix>, blocks: Vec<Prefix>) -> Self {
        Self {
            dir: dir.into(),
            node: node.to_owned(),
            pools,
            blocks,
            bridges: Vec::new(),
            open_timeout: Duration::from_secs(10),
            checkpoint_every: 1000,
        }
    }
}

type Answer = Result<Vec<Allocation>, Why>;

enum Request {
    /// Change the ledger; the answer comes when it is on disk.
    Change(Op, SyncSender<Answer>),
    /// Put other blocks and bridge addresses in force.
    SetBlocks(Vec<Prefix>, Vec<IpAddr>, SyncSender<Result<(), Why>>),
    /// Compare memory with both copies on disk.
    Check(SyncSender<Vec<Finding>>),
    /// Write the export and end.
    Close(SyncSender<Result<(), Why>>),
}

/// A handle to the address store; clones share it. The calls wait until the
/// data is on disk; an asynchronous caller puts them on a blocking thread.
/// When the last handle goes, the store is closed.
#[derive(Clone, Debug)]
pub struct Ipam {
    requests: SyncSender<Request>,
    published: Arc<RwLock<Published>>,
    recovery: Arc<Recovery>,
}

/// What readers see.
#[derive(Debug)]
struct Published {
    /// What is committed.
    ledger: Ledger,
    /// Why nothing can be committed now, if so.
    fault: Option<Why>,
}

impl Ipam {
    /// Opens the store, repairing what can be repaired; [`Ipam::recovery`]
    /// tells what that was.
    pub fn open(config: OpenConfig) -> Result<Self, OpenError> {
        let OpenConfig { dir, node, pools, blocks, bridges, open_timeout, checkpoint_every } = config;
        let layout = Layout::new(node.clone(), &pools, &blocks, &bridges)?;
        let place = Place { dir: dir.clone(), node, open_timeout };
        let (store, image, recovery, fault) = match place.open() {
            Ok((store, image, recovery)) => (Some(store), image, recovery, None),
            Err(full) if full.is_full() => {
                let image = recover::read_files(&Files::new(&dir))?.image;
                tracing::error!(error = %full, "address store not opened; requests refused until there is space");
                (None, image, Recovery::default(), Some(refusal(full)))
            }
            Err(error) => return Err(error),
        };
        let ledger = Ledger::new(layout, image);
        let published = Arc::new(RwLock::new(Published { ledger: ledger.clone(), fault }));
        let (requests, inbox) = sync_channel(QUEUE);
        let writer = Writer { place, store, ledger, published: Arc::clone(&published), checkpoint_every };
        thread::Builder::new()
            .name("ipam-writer".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(OpenError::io(&dir))?;
        Ok(Self { requests, published, recovery: Arc::new(recovery) })
    }

    /// What start found and repaired.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Why nothing can be stored now; `None` when all is well.
    pub fn fault(&self) -> Option<Why> {
        self.read().fault.clone()
    }

    /// Gives addresses, IPv4 first. The same handle gets the same addresses.
    pub fn allocate(&self, request: AllocateRequest) -> Result<Vec<Allocation>, Why> {
        self.change(Op::Allocate(request))
    }

    /// Takes one address back.
    pub fn release_address(&self, address: IpAddr) -> Result<Vec<Allocation>, Why> {
        self.change(Op::ReleaseAddress(address))
    }

    /// Takes every address of a handle back.
    pub fn release_handle(&self, handle: &str) -> Result<Vec<Allocation>, Why> {
        self.change(Op::ReleaseHandle(handle.to_owned()))
    }

    /// Never gives out addresses of this range; reserving it twice is fine.
    pub fn reserve(&self, prefix: Prefix) -> Result<(), Why> {
        self.change(Op::Reserve(prefix)).map(drop)
    }

    /// Undoes [`Ipam::reserve`] of the same range.
    pub fn unreserve(&self, prefix: Prefix) -> Result<(), Why> {
        self.change(Op::Unreserve(prefix)).map(drop)
    }

    /// Remembers that this node claims these blocks and no others; when it
    /// returns, they are on disk. The same ones again write nothing.
    pub fn remember_claim(&self, blocks: &[Prefix]) -> Result<(), Why> {
        self.change(Op::RememberClaims(blocks.iter().copied().collect())).map(drop)
    }

    /// The blocks that this node claimed last, in order, also in an earlier run.
    pub fn claims(&self) -> Vec<Prefix> {
        self.read().ledger.image().claims.iter().copied().collect()
    }

    /// Adds what an export holds, all or nothing; the answer is what was new.
    /// Claims in it belong to the node that wrote it and are passed over.
    pub fn import(&self, text: &str) -> Result<Vec<Allocation>, Why> {
        self.change(Op::Import(export::decode(text)?))
    }

    /// Everything, as one JSON document with version and checksum.
    pub fn export(&self) -> String {
        export::encode(self.read().ledger.image())
    }

    /// What is committed now; does not touch the disk.
    pub fn snapshot(&self) -> Snapshot {
        self.read().ledger.snapshot()
    }

    /// Puts other blocks and bridge addresses in force. Addresses in blocks
    /// that go stay allocated.
    pub fn set_blocks(&self, blocks: Vec<Prefix>, bridges: Vec<IpAddr>) -> Result<(), Why> {
        self.ask(|reply| Request::SetBlocks(blocks, bridges, reply))?
    }

    /// What is not as it should be, in memory and on disk.
    pub fn check(&self) -> Result<Vec<Finding>, Why> {
        self.ask(Request::Check)
    }

    /// Writes the export and closes the store, for all handles. When it
    /// returns, what was acknowledged is on disk even if it says that the
    /// export could not be written.
    pub fn close(self) -> Result<(), Why> {
        self.ask(Request::Close)?
    }

    fn change(&self, op: Op) -> Answer {
        self.ask(|reply| Request::Change(op, reply))?
    }

    fn ask<T>(&self, request: impl FnOnce(SyncSender<T>) -> Request) -> Result<T, Why> {
        let (reply, answer) = sync_channel(1);
        self.requests.send(request(reply)).map_err(|_| Why::Closed)?;
        answer.recv().map_err(|_| Why::Closed)
    }

    fn read(&self) -> RwLockReadGuard<'_, Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the store is, and how it is opened.
struct Place {
    dir: PathBuf,
    node: String,
    open_timeout: Duration,
}

impl Place {
    /// Opens the store, if the disk has room for what that may write.
    fn open(&self) -> Result<(Store, Image, Recovery), OpenError> {
        std::fs::create_dir_all(&self.dir).map_err(OpenError::io(&self.dir))?;
        space::probe(&self.dir)?;
        let opened = recover::open(&self.dir, &self.node, self.open_timeout)?;
        for repair in &opened.2.repairs {
            tracing::warn!(%repair, "address store repaired");
        }
        Ok(opened)
    }
}

struct Writer {
    place: Place,
    /// `None` while the disk is full since the start.
    store: Option<Store>,
    /// What is committed, and during a batch what it adds.
    ledger: Ledger,
    published: Arc<RwLock<Published>>,
    checkpoint_every: u64,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Request>) {
        let mut batch = Vec::new();
        let closing = loop {
            let mut request = if self.fault().is_some() {
                match inbox.recv_timeout(LOOK) {
                    Ok(request) => request,
                    Err(RecvTimeoutError::Timeout) => {
                        self.look();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break None,
                }
            } else {
                let Ok(request) = inbox.recv() else { break None };
                request
            };
            let other = loop {
                match request {
                    Request::Change(op, reply) => batch.push((op, reply)),
                    other => break Some(other),
                }
                match inbox.try_recv() {
                    Ok(next) if batch.len() < BATCH => request = next,
                    Ok(next) => {
                        self.commit(&mut batch);
                        request = next;
                    }
                    Err(_) => break None,
                }
            };
            self.commit(&mut batch);
            match other {
                Some(Request::Close(reply)) => break Some(reply),
                Some(Request::SetBlocks(blocks, bridges, reply)) => {
                    answer(&reply, self.set_blocks(&blocks, &bridges));
                }
                Some(Request::Check(reply)) => answer(&reply, self.check()),
                Some(Request::Change(..)) | None => {}
            }
        };
        let result = self.checkpoint();
        drop(self);
        if let Some(reply) = closing {
            answer(&reply, result);
        }
    }

    /// Applies a batch, makes it durable, publishes it, answers.
    fn commit(&mut self, batch: &mut Vec<(Op, SyncSender<Answer>)>) {
        if self.store.is_none() {
            self.look();
        }
        let generation = self.ledger.image().generation;
        let mut events: Vec<Event> = Vec::new();
        let mut answers = Vec::new();
        for (op, reply) in batch.drain(..) {
            let result = self.ledger.apply(op);
            if let Ok(event) = &result
                && event.changes()
            {
                events.push(event.clone());
            }
            answers.push((reply, result.map(Event::into_answer)));
        }
        if !events.is_empty() {
            let stored = match &mut self.store {
                Some(store) => store.commit(generation, &events).map_err(|(path, error)| {
                    tracing::error!(path = %path.display(), %error, "addresses not stored; requests refused");
                    Why::Store { path: path.display().to_string(), error: error.to_string() }
                }),
                None => Err(self.fault().unwrap_or(Why::Closed)),
            };
            let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
            if let Err(why) = stored {
                self.ledger = published.ledger.clone();
                for (_, result) in &mut answers {
                    *result = Err(why.clone());
                }
                published.fault = Some(why);
            } else {
                for event in &events {
                    published.ledger.absorb(event);
                }
                published.fault = None;
            }
        }
        for (reply, result) in answers {
            answer(&reply, result);
        }
        if self.store.as_ref().is_some_and(|store| store.uncovered() >= self.checkpoint_every)
            && let Err(why) = self.checkpoint()
        {
            tracing::warn!(%why, "export not written; the journal goes on");
        }
    }

    /// Looks whether a trouble with the disk is over, and opens the store if
    /// it is not open yet.
    fn look(&mut self) {
        let found = if self.store.is_some() {
            space::probe(&self.place.dir)
        } else {
            self.place.open().map(|(store, image, _)| {
                self.ledger = Ledger::new(self.ledger.layout().clone(), image);
                self.store = Some(store);
            })
        };
        let fault = found.err().map(refusal);
        if fault.is_none() {
            tracing::info!(path = %self.place.dir.display(), "address store takes requests again");
        }
        let ledger = self.ledger.clone();
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Published { ledger, fault };
    }

    fn fault(&self) -> Option<Why> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }

    fn checkpoint(&mut self) -> Result<(), Why> {
        // A store that was never opened has nothing to write.
        let Some(store) = &mut self.store else { return Ok(()) };
        store.checkpoint(self.ledger.image()).map_err(refusal)
    }

    fn set_blocks(&mut self, blocks: &[Prefix], bridges: &[IpAddr]) -> Result<(), Why> {
        let layout = self.ledger.layout().with_blocks(blocks, bridges)?;
        self.ledger.set_layout(layout.clone());
        self.published.write().unwrap_or_else(PoisonError::into_inner).ledger.set_layout(layout);
        Ok(())
    }

    fn check(&self) -> Vec<Finding> {
        let mut findings = check_ledger(&self.ledger);
        let memory = self.ledger.image();
        let Some(store) = &self.store else {
            let error = self.fault().map_or_else(String::new, |why| why.to_string());
            findings.push(Finding::DatabaseDown { error });
            return findings;
        };
        if let Some(error) = store.fault() {
            findings.push(Finding::DatabaseDown { error: error.to_owned() });
        }
        let (journal, database) = store.reread();
        findings.extend(check_copy("journal", memory, journal));
        findings.extend(database.and_then(|found| check_copy("database", memory, found)));
        findings
    }
}

fn refusal(error: OpenError) -> Why {
    match error {
        OpenError::Io { path, error } => {
            Why::Store { path: path.display().to_string(), error: error.to_string() }
        }
        other => Why::Store { path: "address store".to_owned(), error: other.to_string() },
    }
}

/// Answers a caller; one that went away does not need it.
fn answer<T>(reply: &SyncSender<T>, result: T) {
    let _gone = reply.send(result);
}
