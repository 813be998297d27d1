//! The database: sled 0.34, used as a copy that may be lost.
//!
//! What is known of this version and done about it:
//! - `flush` does not make data durable on Linux: after it, `fdatasync` on a
//!   descriptor of our own to the same file.
//! - concurrent flushes can deadlock: one thread owns the database.
//! - opening a damaged one can fail, panic or never return: it happens in a
//!   thread of its own, with a deadline.
//! - once a write failed it refuses all others: the owner opens it anew.

use std::fs::File;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;
use std::{fmt, io, thread};

use net::Prefix;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Image};
use crate::model::Allocation;

/// The layout of the database that this program writes, and the newest it reads.
pub(crate) const SCHEMA: u32 = 1;

const META: &[u8] = b"m";
const CLAIMS: &[u8] = b"k";
const CACHE_BYTES: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
struct Meta {
    schema: u32,
    node: String,
    generation: u64,
}

/// An open database; it holds the lock of its directory.
pub(crate) struct Database {
    db: ::sled::Db,
    /// A descriptor of our own to the log file, for `fdatasync`.
    log: File,
}

/// What was read from a database.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// The image in it.
    pub(crate) image: Image,
    /// Records that could not be read.
    pub(crate) damaged: usize,
}

/// Why a database could not be opened.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another process has it.
    Locked,
    /// The system refused; the files may be sound.
    Io(io::Error),
    /// A newer program wrote it.
    Newer(u32),
    /// The library says that the files are damaged.
    Corrupt(String),
    /// The library panicked.
    Panicked,
    /// The library did not come back in time.
    Hung(Duration),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => write!(f, "another process has it open"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Newer(found) => write!(f, "schema {found} is newer than {SCHEMA}"),
            Self::Corrupt(text) => write!(f, "damaged ({text})"),
            Self::Panicked => write!(f, "damaged (reading it panicked)"),
            Self::Hung(limit) => write!(f, "damaged (opening it took more than {} s)", limit.as_secs_f32()),
        }
    }
}

impl From<::sled::Error> for Failure {
    fn from(error: ::sled::Error) -> Self {
        use io::ErrorKind::{NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match error {
            // The library has no other mark for it; its version is pinned and a test guards this.
            ::sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock") => {
                Self::Locked
            }
            ::sled::Error::Io(error)
                if matches!(
                    error.kind(),
                    NotFound | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull
                ) =>
            {
                Self::Io(error)
            }
            other => Self::Corrupt(other.to_string()),
        }
    }
}

impl Database {
    /// Opens or makes a database and reads all of it, within a time.
    pub(crate) fn open(path: &Path, limit: Duration) -> Result<(Self, Content), Failure> {
        let (sender, receiver) = sync_channel(1);
        let path = path.to_owned();
        let open = move || {
            // A late result is leaked: closing it could write into files that
            // by now belong to another database.
            if let Err(late) = sender.send(Self::open_here(&path)) {
                std::mem::forget(late);
            }
        };
        thread::Builder::new().name("ipam-open".to_owned()).spawn(open).map_err(Failure::Io)?;
        match receiver.recv_timeout(limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(Failure::Hung(limit)),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::Panicked),
        }
    }

    fn open_here(path: &PathBuf) -> Result<(Self, Content), Failure> {
        let config = ::sled::Config::new().path(path).flush_every_ms(None).cache_capacity(CACHE_BYTES);
        let db = config.open()?;
        let log = File::open(path.join("db")).map_err(Failure::Io)?;
        let database = Self { db, log };
        let content = database.read()?;
        Ok((database, content))
    }

    /// Reads all of it.
    pub(crate) fn read(&self) -> Result<Content, Failure> {
        catch_unwind(AssertUnwindSafe(|| self.read_all())).unwrap_or(Err(Failure::Panicked))
    }

    fn read_all(&self) -> Result<Content, Failure> {
        let mut content = Content::default();
        for item in &*self.db {
            let (key, value) = item?;
            if key == META {
                let meta: Option<Meta> = serde_json::from_slice(&value).ok();
                match meta {
                    Some(meta) if meta.schema > SCHEMA => return Err(Failure::Newer(meta.schema)),
                    Some(meta) => {
                        content.image.node = meta.node;
                        content.image.generation = meta.generation;
                    }
                    None => content.damaged += 1,
                }
            } else if take_in(&mut content.image, &key, &value).is_none() {
                content.damaged += 1;
            }
        }
        Ok(content)
    }

    /// Writes events that bring it to `generation`, and makes them durable.
    pub(crate) fn commit(&self, node: &str, generation: u64, events: &[Event]) -> Result<(), String> {
        let mut batch = ::sled::Batch::default();
        for event in events {
            record(&mut batch, event);
        }
        batch.insert(META, meta(node, generation));
        self.write(batch)
    }

    /// Makes it hold the image and nothing else.
    pub(crate) fn replace(&self, image: &Image) -> Result<(), String> {
        let mut batch = ::sled::Batch::default();
        for key in self.db.iter().keys() {
            batch.remove(key.map_err(|error| error.to_string())?);
        }
        for allocation in image.allocations.values() {
            batch.insert(address_key(allocation.address), json(allocation));
        }
        for prefix in &image.reserved {
            batch.insert(prefix_key(b'r', *prefix), Vec::new());
        }
        for (prefix, last) in &image.cursors {
            batch.insert(prefix_key(b'c', *prefix), last.to_string().into_bytes());
        }
        if !image.claims.is_empty() {
            batch.insert(CLAIMS, json(&image.claims));
        }
        batch.insert(META, meta(&image.node, image.generation));
        self.write(batch)
    }

    /// True when what is read back is the image and nothing else.
    pub(crate) fn holds(&self, image: &Image) -> bool {
        let sound = |content: Content| content.damaged == 0 && content.image.same_facts(image);
        self.read().is_ok_and(sound)
    }

    fn write(&self, batch: ::sled::Batch) -> Result<(), String> {
        let write = || {
            self.db.apply_batch(batch)?;
            self.db.flush()?;
            self.log.sync_data()?;
            Ok::<(), ::sled::Error>(())
        };
        match catch_unwind(AssertUnwindSafe(write)) {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err("the database library panicked".to_owned()),
        }
    }
}

fn take_in(image: &mut Image, key: &[u8], value: &[u8]) -> Option<()> {
    let (kind, rest) = key.split_first()?;
    match kind {
        b'a' => {
            let allocation: Allocation = serde_json::from_slice(value).ok()?;
            (address_key(allocation.address) == key).then_some(())?;
            image.allocations.insert(allocation.address, allocation);
        }
        b'r' => {
            image.reserved.insert(std::str::from_utf8(rest).ok()?.parse().ok()?);
        }
        b'k' => {
            rest.is_empty().then_some(())?;
            image.claims = serde_json::from_slice(value).ok()?;
        }
        b'c' => {
            let prefix = std::str::from_utf8(rest).ok()?.parse().ok()?;
            image.cursors.insert(prefix, std::str::from_utf8(value).ok()?.parse().ok()?);
        }
        _ => return None,
    }
    Some(())
}

fn record(batch: &mut ::sled::Batch, event: &Event) {
    let enter = |batch: &mut ::sled::Batch, allocation: &Allocation| {
        batch.insert(address_key(allocation.address), json(allocation));
    };
    match event {
        Event::Allocated { new, chosen, .. } => {
            for allocation in new {
                enter(batch, allocation);
                if chosen.contains(&allocation.address) {
                    let last = allocation.address.to_string().into_bytes();
                    batch.insert(prefix_key(b'c', allocation.block), last);
                }
            }
        }
        Event::Released(old) => {
            for allocation in old {
                batch.remove(address_key(allocation.address));
            }
        }
        Event::Reserved(prefix) => batch.insert(prefix_key(b'r', *prefix), Vec::new()),
        Event::Unreserved(prefix) => batch.remove(prefix_key(b'r', *prefix)),
        Event::Claimed(claims) => batch.insert(CLAIMS, json(claims)),
        Event::Imported { allocations, reserved } => {
            for allocation in allocations {
                enter(batch, allocation);
            }
            for prefix in reserved {
                batch.insert(prefix_key(b'r', *prefix), Vec::new());
            }
        }
    }
}

fn meta(node: &str, generation: u64) -> Vec<u8> {
    json(&Meta { schema: SCHEMA, node: node.to_owned(), generation })
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("records have only string keys")
}

fn address_key(address: IpAddr) -> Vec<u8> {
    let mut key = vec![b'a'];
    match address {
        IpAddr::V4(address) => key.extend(address.octets()),
        IpAddr::V6(address) => key.extend(address.octets()),
    }
    key
}

fn prefix_key(kind: u8, prefix: Prefix) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(prefix.to_string().into_bytes());
    key
}
