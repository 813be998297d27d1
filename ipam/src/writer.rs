//! The handle that callers hold, and the thread behind it.
//!
//! One thread decides, one batch at a time: it applies every request that
//! waits to its own copy of the ledger, commits the events in one go, and
//! answers. When the commit fails it forgets its copy and answers with the
//! reason; readers never saw anything.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use net::Prefix;

use crate::check::{Finding, check_copy, check_ledger};
use crate::event::{Event, Op};
use crate::ledger::Ledger;
use crate::model::{AllocateRequest, Allocation, Snapshot};
use crate::pool::Layout;
use crate::store::{OpenError, Recovery, Store, export, recover};
use crate::why::Why;

/// Requests that may wait; a caller beyond that waits itself.
const QUEUE: usize = 1024;

/// Most requests that share one write to disk.
const BATCH: usize = 256;

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
    published: Arc<RwLock<Ledger>>,
    recovery: Arc<Recovery>,
}

impl Ipam {
    /// Opens the store, repairing what can be repaired; [`Ipam::recovery`]
    /// tells what that was.
    pub fn open(config: OpenConfig) -> Result<Self, OpenError> {
        let OpenConfig { dir, node, pools, blocks, bridges, open_timeout, checkpoint_every } = config;
        let layout = Layout::new(node.clone(), &pools, &blocks, &bridges)?;
        let (store, image, recovery) = recover::open(&dir, &node, open_timeout)?;
        for repair in &recovery.repairs {
            tracing::warn!(%repair, "address store repaired");
        }
        let ledger = Ledger::new(layout, image);
        let published = Arc::new(RwLock::new(ledger.clone()));
        let (requests, inbox) = sync_channel(QUEUE);
        let writer = Writer { store, ledger, published: Arc::clone(&published), checkpoint_every };
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
        self.read().image().claims.iter().copied().collect()
    }

    /// Adds what an export holds, all or nothing; the answer is what was new.
    /// Claims in it belong to the node that wrote it and are passed over.
    pub fn import(&self, text: &str) -> Result<Vec<Allocation>, Why> {
        self.change(Op::Import(export::decode(text)?))
    }

    /// Everything, as one JSON document with version and checksum.
    pub fn export(&self) -> String {
        export::encode(self.read().image())
    }

    /// What is committed now; does not touch the disk.
    pub fn snapshot(&self) -> Snapshot {
        self.read().snapshot()
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

    fn read(&self) -> RwLockReadGuard<'_, Ledger> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    store: Store,
    /// What is committed, and during a batch what it adds.
    ledger: Ledger,
    /// What is committed.
    published: Arc<RwLock<Ledger>>,
    checkpoint_every: u64,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Request>) {
        let mut batch = Vec::new();
        let closing = loop {
            let Ok(mut request) = inbox.recv() else { break None };
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
            if let Err((path, error)) = self.store.commit(generation, &events) {
                tracing::error!(path = %path.display(), %error, "addresses not stored; requests refused");
                let why = Why::Store { path: path.display().to_string(), error: error.to_string() };
                self.ledger = self.published.read().unwrap_or_else(PoisonError::into_inner).clone();
                for (_, result) in &mut answers {
                    *result = Err(why.clone());
                }
            } else {
                let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
                for event in &events {
                    published.absorb(event);
                }
            }
        }
        for (reply, result) in answers {
            answer(&reply, result);
        }
        if self.store.uncovered() >= self.checkpoint_every
            && let Err(why) = self.checkpoint()
        {
            tracing::warn!(%why, "export not written; the journal goes on");
        }
    }

    fn checkpoint(&mut self) -> Result<(), Why> {
        self.store.checkpoint(self.ledger.image()).map_err(|error| match error {
            OpenError::Io { path, error } => {
                Why::Store { path: path.display().to_string(), error: error.to_string() }
            }
            other => Why::Store { path: "address store".to_owned(), error: other.to_string() },
        })
    }

    fn set_blocks(&mut self, blocks: &[Prefix], bridges: &[IpAddr]) -> Result<(), Why> {
        let layout = self.ledger.layout().with_blocks(blocks, bridges)?;
        self.ledger.set_layout(layout.clone());
        self.published.write().unwrap_or_else(PoisonError::into_inner).set_layout(layout);
        Ok(())
    }

    fn check(&self) -> Vec<Finding> {
        let mut findings = check_ledger(&self.ledger);
        let memory = self.ledger.image();
        if let Some(error) = self.store.fault() {
            findings.push(Finding::DatabaseDown { error: error.to_owned() });
        }
        let (journal, database) = self.store.reread();
        findings.extend(check_copy("journal", memory, journal));
        findings.extend(database.and_then(|found| check_copy("database", memory, found)));
        findings
    }
}

/// Answers a caller; one that went away does not need it.
fn answer<T>(reply: &SyncSender<T>, result: T) {
    let _gone = reply.send(result);
}
