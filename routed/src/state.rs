//! The state directory: a lock, and small files that survive the daemon.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another daemon uses it.
    #[error(
        "state directory {}: another routed uses it; stop that one, or give this one its own with --state-dir",
        .0.display()
    )]
    Locked(PathBuf),
    /// The file system refused.
    #[error("state directory: {}: {error}; routed must be able to write there", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
    /// A file of ours does not read back.
    #[error("state directory: {}: {reason}; move the file away to start without it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The state directory of a running daemon, held by a lock until it is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes the directory if need be and locks it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| StateError::Io { path, error }
        };
        fs::create_dir_all(path).map_err(io(path))?;
        let lock_path = path.join("lock");
        let lock = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(StateError::Io { path: lock_path, error }),
        }
    }

    /// The path of something in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A value that [`StateDir::save`] wrote, if there is one.
    pub fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| StateError::Damaged { path, reason: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError::Io { path, error }),
        }
    }

    /// Writes a value so that a crash leaves the old or the new one, never a
    /// part: to another name, synced, renamed, the directory synced.
    pub fn save<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let path = self.path(name);
        let other = self.path(&format!("{name}.new"));
        let write = || {
            let mut file = File::create(&other)?;
            file.write_all(&serde_json::to_vec_pretty(value)?)?;
            file.sync_all()?;
            fs::rename(&other, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| StateError::Io { path, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_daemons_never_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::open(dir.path()).unwrap();
        assert!(matches!(StateDir::open(dir.path()), Err(StateError::Locked(_))));
        drop(first);
        StateDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_saved_value_reads_back_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert_eq!(state.load::<Vec<u8>>("x.json").unwrap(), None);
        state.save("x.json", &vec![1u8, 2]).unwrap();
        assert_eq!(state.load::<Vec<u8>>("x.json").unwrap(), Some(vec![1, 2]));
        fs::write(state.path("x.json"), "{").unwrap();
        assert!(matches!(state.load::<Vec<u8>>("x.json"), Err(StateError::Damaged { .. })));
    }
}
