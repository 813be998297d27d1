//! The store: two copies of the ledger's events on disk, either of which may
//! be lost.
//!
//! - the **journal** (`ipam.journal`) continues the **export** (`ipam.json`);
//!   every [`Event`] is in it, with `fdatasync`, before the answer leaves. It
//!   is the truth. After many events the export is written anew and the old
//!   pair is kept as `ipam.json.1` and `ipam.journal.1`.
//! - the **database** (`ipam/`) absorbs the same events, after the journal. It
//!   holds the lock, and it is what is left when the journal is damaged. When
//!   a write to it fails, the journal carries on alone and `check` says so.
//!
//! What start does about damage is in [`recover`]; it never throws a file
//! away, and it tells what it did as [`Recovery`].

pub mod export;
pub(crate) mod journal;
pub(crate) mod recover;
pub(crate) mod sled;
pub(crate) mod space;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use thiserror::Error;

use crate::event::{Event, Image};
use crate::pool::LayoutError;
use crate::store::journal::Journal;
use crate::store::sled::Database;

pub use recover::{Recovery, Repair};

/// Why the store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has the store.
    #[error(
        "{path}: another process has the address store open; stop the other routed, or give this one its own state_dir"
    )]
    Locked {
        /// The database directory.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: {error}; make the state directory writable for routed and see that its disk has space")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A newer routed wrote it.
    #[error(
        "{path}: written in version {found} by a newer routed, this one knows up to {known}; upgrade routed"
    )]
    Newer {
        /// The file or directory.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// The database was found damaged and could not be replaced.
    #[error(
        "{path}: {error}; move that directory away and start again, the journal beside it has everything"
    )]
    Database {
        /// The database directory.
        path: PathBuf,
        /// What went wrong.
        error: String,
    },
    /// Pools and blocks contradict each other.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl OpenError {
    /// True when the disk has no room, which may pass.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { error, .. } if matches!(error.kind(), StorageFull | QuotaExceeded))
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}

/// Names of the files in the state directory.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) old_journal: PathBuf,
    pub(crate) export: PathBuf,
    pub(crate) old_export: PathBuf,
    pub(crate) new_export: PathBuf,
}

impl Files {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            database: dir.join("ipam"),
            journal: dir.join("ipam.journal"),
            old_journal: dir.join("ipam.journal.1"),
            export: dir.join("ipam.json"),
            old_export: dir.join("ipam.json.1"),
            new_export: dir.join("ipam.json.new"),
        }
    }
}

/// An open store; one thread owns it.
pub(crate) struct Store {
    files: Files,
    node: String,
    open_timeout: Duration,
    journal: Journal,
    database: Option<Database>,
    /// Why the database does not follow the journal any more.
    fault: Option<String>,
    /// Events since the export was written.
    uncovered: u64,
}

impl Store {
    /// Makes events durable that follow `generation`: all, or none with the
    /// error and the file it happened to.
    pub(crate) fn commit(&mut self, generation: u64, events: &[Event]) -> Result<(), (PathBuf, io::Error)> {
        if let Err(error) = self.journal.append(generation, events) {
            return Err((self.journal.path().to_owned(), error));
        }
        let count = events.len() as u64;
        self.uncovered += count;
        if self.fault.is_none()
            && let Some(database) = &self.database
            && let Err(error) = database.commit(&self.node, generation + count, events)
        {
            tracing::error!(path = %self.files.database.display(), error, "address database failed; the journal carries on alone");
            self.fault = Some(error);
        }
        Ok(())
    }

    /// How many events the export does not have yet.
    pub(crate) fn uncovered(&self) -> u64 {
        self.uncovered
    }

    /// Writes the export, begins a journal that continues it, and brings a
    /// database that failed back.
    pub(crate) fn checkpoint(&mut self, image: &Image) -> Result<(), OpenError> {
        self.uncovered = 0;
        let files = &self.files;
        let image = &Image { node: self.node.clone(), ..image.clone() };
        export::write_new(&files.new_export, &export::encode(image))
            .map_err(OpenError::io(&files.new_export))?;
        // A stop between any two of these lines leaves a pair that start can
        // read: the old export and both journals, or the new export.
        for (from, to) in [
            (&files.export, &files.old_export),
            (&files.journal, &files.old_journal),
            (&files.new_export, &files.export),
        ] {
            match fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(OpenError::io(from)(error));
                }
                _ => {}
            }
        }
        self.journal = Journal::open(&files.journal, 0).map_err(OpenError::io(&files.journal))?;
        export::sync_directory(&files.dir).map_err(OpenError::io(&files.dir))?;
        self.revive(image);
        Ok(())
    }

    /// Opens a database that failed anew and fills it.
    fn revive(&mut self, image: &Image) {
        if self.fault.is_none() {
            return;
        }
        self.database = None;
        let opened = Database::open(&self.files.database, self.open_timeout);
        self.fault = match opened {
            Ok((database, _)) => {
                let filled = database.replace(image);
                self.database = Some(database);
                filled.err()
            }
            Err(failure) => Some(failure.to_string()),
        };
    }

    /// Why the database does not follow, if it does not.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// What the two copies on disk say now.
    pub(crate) fn reread(&self) -> (Result<Image, String>, Option<Result<Image, String>>) {
        let journal =
            recover::read_files(&self.files).map(|read| read.image).map_err(|error| error.to_string());
        let database = self.database.as_ref().filter(|_| self.fault.is_none());
        let content = database.map(Database::read);
        let image = content.map(|read| read.map(|content| content.image).map_err(|error| error.to_string()));
        (journal, image)
    }
}
