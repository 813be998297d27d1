//! Start: what is on disk, what is wrong with it, and what is done about it.
//!
//! The ladder for the database, each rung only after the one before failed:
//! 1. open it;
//! 2. move `snap.*.generating` aside (a stop while a snapshot was written);
//! 3. move the other `snap.*` aside (the log has everything that they have);
//! 4. move the whole directory aside and begin an empty one. A database whose
//!    opening panicked or never returned comes here at once: the library may
//!    still have its hands on it.
//!
//! Then the copies are compared. A whole journal that is as new as the
//! database is the truth. A database that is newer, or as new as a damaged
//! journal, is the truth. When both are damaged, they are united: an address
//! too many is kept rather than one too few. What lost is rewritten and read
//! back: a database that holds something else then goes the way of rung 4.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, fs, io};

use crate::event::Image;
use crate::store::export::{self, ExportError};
use crate::store::journal::{Journal, Reading, replay};
use crate::store::sled::{Content, Database, Failure, SCHEMA};
use crate::store::{Files, OpenError, Store};

/// One thing that start found wrong, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Snapshots of the database were moved here.
    SnapshotsSetAside {
        /// What the library said.
        because: String,
        /// Where they are now.
        kept: PathBuf,
    },
    /// The whole database was moved here and an empty one begun.
    DatabaseSetAside {
        /// What was wrong.
        because: String,
        /// Where it is now.
        kept: PathBuf,
    },
    /// An export was damaged; the other one and both journals were read.
    ExportSetAside {
        /// What was wrong.
        because: String,
        /// Where it is now.
        kept: PathBuf,
    },
    /// The last write to a journal was cut off. It was never acknowledged.
    TornTail {
        /// How many bytes were dropped.
        bytes: u64,
    },
    /// Lines of a journal are damaged or missing.
    JournalDamaged {
        /// Lines that do not check.
        damaged: usize,
        /// Events that are in no line.
        missing: u64,
        /// A copy of the journal as it was found; none when it was the older one.
        kept: Option<PathBuf>,
    },
    /// The database was behind or different and was written anew.
    DatabaseRewritten {
        /// Its generation.
        database: u64,
        /// The generation of the journal.
        journal: u64,
    },
    /// The journal was behind, and the database was believed.
    DatabaseBelieved {
        /// Its generation.
        database: u64,
        /// The generation of the journal.
        journal: u64,
    },
    /// Both were damaged; what either of them has is allocated.
    United {
        /// Allocations that only the older copy had.
        added: usize,
    },
    /// Another node wrote the store.
    OtherNode {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SnapshotsSetAside { because, kept } => {
                write!(f, "database opened without its snapshots, kept in {}: {because}", kept.display())
            }
            Self::DatabaseSetAside { because, kept } => write!(
                f,
                "database replaced by an empty one and filled from the journal; the old one is kept in {}: {because}",
                kept.display()
            ),
            Self::ExportSetAside { because, kept } => {
                write!(
                    f,
                    "export damaged, the other one and the journals were read; kept in {}: {because}",
                    kept.display()
                )
            }
            Self::TornTail { bytes } => {
                write!(f, "journal ended in {bytes} bytes of a write that was never acknowledged; dropped")
            }
            Self::JournalDamaged { damaged, missing, kept } => {
                write!(f, "journal has {damaged} damaged lines and lacks {missing} events")?;
                kept.iter().try_for_each(|path| write!(f, "; a copy is kept in {}", path.display()))
            }
            Self::DatabaseRewritten { database, journal } => {
                write!(
                    f,
                    "database (generation {database}) written anew from the journal (generation {journal})"
                )
            }
            Self::DatabaseBelieved { database, journal } => {
                write!(
                    f,
                    "journal (generation {journal}) continued from the database (generation {database})"
                )
            }
            Self::United { added } => write!(
                f,
                "journal and database were both damaged and are united, {added} allocations came from the older; \
                 compare routectl ipam addresses with what runs"
            ),
            Self::OtherNode { name } => {
                write!(
                    f,
                    "the store was written by node {name}; its addresses outside this node's blocks are retired"
                )
            }
        }
    }
}

/// What start found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many events the state is the fold of.
    pub generation: u64,
    /// How many allocations there are.
    pub allocations: usize,
    /// What was repaired, in order; empty after a clean start.
    pub repairs: Vec<Repair>,
}

/// What the export and the journals say.
#[derive(Debug, Default)]
pub(crate) struct ReadFiles {
    pub(crate) image: Image,
    /// The generation of the export that was read.
    base: u64,
    /// About `ipam.journal` alone.
    current: Reading,
    /// Damage in any journal that counts.
    damaged: usize,
    missing: u64,
    bad_exports: Vec<(PathBuf, ExportError)>,
}

impl ReadFiles {
    fn is_whole(&self) -> bool {
        self.damaged == 0 && self.missing == 0
    }
}

/// Opens the store in a directory, making it when it is not there.
pub(crate) fn open(
    dir: &Path,
    node: &str,
    open_timeout: Duration,
) -> Result<(Store, Image, Recovery), OpenError> {
    let files = Files::new(dir);
    fs::create_dir_all(dir).map_err(OpenError::io(dir))?;
    let mut repairs = Vec::new();
    let (database, content) = open_database(&files, open_timeout, &mut repairs)?;
    let read = read_files(&files)?;
    set_aside_damage(&files, &read, &mut repairs)?;
    let journal =
        Journal::open(&files.journal, read.current.length).map_err(OpenError::io(&files.journal))?;
    let generations = (read.image.generation, content.image.generation);
    let (clean, unsound) = (read.is_whole() && read.bad_exports.is_empty(), content.damaged > 0);
    let uncovered = read.image.generation - read.base;
    let same = content.image.same_facts(&read.image) && generations.0 == generations.1 && !unsound;
    let (image, from_journal) = choose(read, content, &mut repairs);
    let recorded = image.node.clone();
    if !recorded.is_empty() && recorded != node {
        repairs.push(Repair::OtherNode { name: recorded });
    }
    let image = Image { node: node.to_owned(), ..image };
    let (database, fault) =
        if same { (database, None) } else { rewrite(database, &image, &files, open_timeout, &mut repairs)? };
    let mut store = Store {
        node: node.to_owned(),
        open_timeout,
        journal,
        database: Some(database),
        fault,
        uncovered,
        files,
    };
    if !(clean && from_journal) {
        store.checkpoint(&image)?;
    }
    let recovery = Recovery { generation: image.generation, allocations: image.allocations.len(), repairs };
    Ok((store, image, recovery))
}

/// Which copy is the truth; true when it is the journal alone.
fn choose(read: ReadFiles, content: Content, repairs: &mut Vec<Repair>) -> (Image, bool) {
    let (journal, database) = (read.image.generation, content.image.generation);
    if read.is_whole() && journal >= database {
        let same = content.damaged == 0 && content.image.same_facts(&read.image);
        if !same || journal != database {
            repairs.push(Repair::DatabaseRewritten { database, journal });
        }
        (read.image, true)
    } else if content.damaged == 0 && database >= journal {
        repairs.push(Repair::DatabaseBelieved { database, journal });
        (content.image, false)
    } else {
        let (mut newer, older) =
            if journal >= database { (read.image, content.image) } else { (content.image, read.image) };
        let before = newer.allocations.len();
        for (address, allocation) in older.allocations {
            newer.allocations.entry(address).or_insert(allocation);
        }
        newer.reserved.extend(older.reserved);
        if newer.claims.is_empty() {
            newer.claims = older.claims;
        }
        repairs.push(Repair::United { added: newer.allocations.len() - before });
        (newer, false)
    }
}

/// Reads the newest good export and the journals that continue it.
pub(crate) fn read_files(files: &Files) -> Result<ReadFiles, OpenError> {
    let mut read = ReadFiles::default();
    let mut continues_old = true;
    for (path, is_old) in [(&files.export, false), (&files.new_export, false), (&files.old_export, true)] {
        let Some(bytes) = export::read_if_there(path).map_err(OpenError::io(path))? else { continue };
        match export::decode(&String::from_utf8_lossy(&bytes)) {
            Ok(image) if image.generation >= read.image.generation => {
                if image.generation > read.image.generation {
                    continues_old = is_old;
                }
                read.image = image;
            }
            Ok(_) => {}
            Err(ExportError::Newer { found }) => {
                return Err(OpenError::Newer { path: path.clone(), found, known: export::VERSION });
            }
            // A new export that is not whole was never put in force.
            Err(_) if path == &files.new_export => {}
            Err(error) => read.bad_exports.push((path.clone(), error)),
        }
    }
    read.base = read.image.generation;
    for path in [&files.old_journal, &files.journal] {
        let bytes = export::read_if_there(path).map_err(OpenError::io(path))?.unwrap_or_default();
        let reading = replay(&bytes, &mut read.image);
        if path == &files.journal || continues_old {
            read.damaged += reading.damaged;
        }
        read.missing += reading.missing;
        read.current = reading;
    }
    Ok(read)
}

/// Keeps copies of damaged exports and journals, and reports them.
fn set_aside_damage(files: &Files, read: &ReadFiles, repairs: &mut Vec<Repair>) -> Result<(), OpenError> {
    for (path, error) in &read.bad_exports {
        let kept = free_name(&files.dir);
        fs::rename(path, &kept).map_err(OpenError::io(path))?;
        repairs.push(Repair::ExportSetAside { because: error.to_string(), kept });
    }
    if read.current.torn > 0 {
        repairs.push(Repair::TornTail { bytes: read.current.torn });
    }
    if !read.is_whole() {
        let kept = if read.current.is_whole() {
            None
        } else {
            let kept = free_name(&files.dir);
            fs::copy(&files.journal, &kept).map_err(OpenError::io(&kept))?;
            Some(kept)
        };
        repairs.push(Repair::JournalDamaged { damaged: read.damaged, missing: read.missing, kept });
    }
    Ok(())
}

/// Climbs the ladder.
fn open_database(
    files: &Files,
    limit: Duration,
    repairs: &mut Vec<Repair>,
) -> Result<(Database, Content), OpenError> {
    let path = &files.database;
    let mut failure = match open_patiently(path, limit) {
        Ok(opened) => return Ok(opened),
        Err(failure) => failure,
    };
    for only_unfinished in [true, false] {
        let Failure::Corrupt(because) = &failure else { break };
        let snapshots = snapshots(path, only_unfinished).map_err(OpenError::io(path))?;
        if snapshots.is_empty() {
            continue;
        }
        let kept = move_into(&snapshots, &files.dir).map_err(OpenError::io(&files.dir))?;
        repairs.push(Repair::SnapshotsSetAside { because: because.clone(), kept });
        failure = match Database::open(path, limit) {
            Ok(opened) => return Ok(opened),
            Err(failure) => failure,
        };
    }
    match failure {
        Failure::Locked => Err(OpenError::Locked { path: path.clone() }),
        Failure::Io(error) => Err(OpenError::io(path)(error)),
        Failure::Newer(found) => Err(OpenError::Newer { path: path.clone(), found, known: SCHEMA }),
        Failure::Corrupt(_) | Failure::Panicked | Failure::Hung(_) => {
            begin_anew(files, limit, failure.to_string(), repairs)
        }
    }
}

/// Moves the whole database aside and begins an empty one.
fn begin_anew(
    files: &Files,
    limit: Duration,
    because: String,
    repairs: &mut Vec<Repair>,
) -> Result<(Database, Content), OpenError> {
    let path = &files.database;
    let kept = free_name(&files.dir);
    fs::rename(path, &kept).map_err(OpenError::io(path))?;
    repairs.push(Repair::DatabaseSetAside { because, kept });
    open_patiently(path, limit)
        .map_err(|failure| OpenError::Database { path: path.clone(), error: failure.to_string() })
}

/// Makes a database that differs hold the image; gives why it does not take
/// it. One that took it and holds something else is damaged where the library
/// did not notice, and makes room for an empty one.
fn rewrite(
    database: Database,
    image: &Image,
    files: &Files,
    limit: Duration,
    repairs: &mut Vec<Repair>,
) -> Result<(Database, Option<String>), OpenError> {
    let fault = database.replace(image).err();
    if fault.is_some() || database.holds(image) {
        return Ok((database, fault));
    }
    let because = "damaged (it does not hold what was written to it)".to_owned();
    let (empty, _) = begin_anew(files, limit, because, repairs)?;
    // Closing it could write, and nobody knows where.
    std::mem::forget(database);
    let fault = empty.replace(image).err();
    Ok((empty, fault))
}

/// Opens the database; one that is locked is tried again for a second, as a
/// process that ends, or a handle just closed, lets go of it a moment later.
fn open_patiently(path: &Path, limit: Duration) -> Result<(Database, Content), Failure> {
    for _ in 0..10 {
        match Database::open(path, limit) {
            Err(Failure::Locked) => std::thread::park_timeout(Duration::from_millis(100)),
            other => return other,
        }
    }
    Database::open(path, limit)
}

fn snapshots(database: &Path, only_unfinished: bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(database)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && (name.ends_with(".generating") || !only_unfinished) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn move_into(paths: &[PathBuf], dir: &Path) -> io::Result<PathBuf> {
    let kept = free_name(dir);
    fs::create_dir(&kept)?;
    for path in paths {
        fs::rename(path, kept.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(kept)
}

/// The first `ipam.corrupt-N` that is not taken.
fn free_name(dir: &Path) -> PathBuf {
    (1..=u32::MAX)
        .map(|number| dir.join(format!("ipam.corrupt-{number}")))
        .find(|path| !path.exists())
        .expect("a directory has fewer than 2^32 entries")
}
