//! A file that is replaced whole: whoever reads it finds the old text or the
//! new one, also after a power cut, and the old one is kept.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct Original {
    path: PathBuf,
    text: Option<String>,
}

/// Why a file was not replaced.
#[derive(Debug)]
pub(crate) enum Unreplaced {
    /// Somebody wrote it since it was read.
    Changed,
    /// The system said no.
    Io(io::Error),
}

impl From<io::Error> for Unreplaced {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Original {
    /// Reads a file. Where the path is a link, it is what the link names that is
    /// read and replaced.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => std::path::absolute(path)?,
            other => other?,
        };
        let text = text_of(&path)?;
        Ok(Self { path, text })
    }

    /// Its text; none where the file does not exist.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Writes the new text, and names where the old one is kept. Owner and mode
    /// stay.
    pub(crate) fn replace(&self, text: &str) -> Result<Option<PathBuf>, Unreplaced> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let new = suffixed(&self.path, &format!(".new-{}", std::process::id()));
        let result = self.write(&new, text).map_err(Into::into).and_then(|()| self.swap(&new));
        if result.is_err() {
            // It may not exist; and the first error is the one to tell.
            let _ = fs::remove_file(&new);
        }
        let backup = result?;
        File::open(directory)?.sync_all()?;
        Ok(backup)
    }

    fn write(&self, new: &Path, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
        file.write_all(text.as_bytes())?;
        let mut mode = 0o644;
        if self.text.is_some() {
            let (old, new) = (fs::metadata(&self.path)?, file.metadata()?);
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            mode = old.mode() & 0o7777;
        }
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    }

    /// The backup is a second name of the old file, so the first name is never
    /// without a file.
    fn swap(&self, new: &Path) -> Result<Option<PathBuf>, Unreplaced> {
        if text_of(&self.path)? != self.text {
            return Err(Unreplaced::Changed);
        }
        let backup = self.text.as_ref().map(|_| back_up(&self.path)).transpose()?;
        fs::rename(new, &self.path).inspect_err(|_| {
            if let Some(backup) = &backup {
                // A second name too many does no harm; the first error is the one to tell.
                let _ = fs::remove_file(backup);
            }
        })?;
        Ok(backup)
    }
}

fn text_of(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An older backup is never overwritten: `.bak`, then `.bak1`, `.bak2`.
fn back_up(path: &Path) -> io::Result<PathBuf> {
    let mut backup = suffixed(path, ".bak");
    let mut number = 0_u64;
    loop {
        match fs::hard_link(path, &backup) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                number += 1;
                backup = suffixed(path, &format!(".bak{number}"));
            }
            result => return result.map(|()| backup),
        }
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_and_its_directory_are_made_without_a_backup() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("docker/daemon.json");
        let original = Original::read(&path).expect("it may be absent");
        assert_eq!(original.text(), None);
        assert_eq!(original.replace("{}\n").expect("it is written"), None);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "{}\n");
        assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o644);
        assert_eq!(names(path.parent().expect("a parent")), ["daemon.json"]);
    }

    #[test]
    fn owner_mode_and_link_stay_and_every_old_text_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("real.json"), dir.path().join("daemon.json"));
        fs::write(&real, "1").expect("a file");
        fs::set_permissions(&real, Permissions::from_mode(0o640)).expect("a mode");
        // Only root can give a file away; for others the owner is the one who runs this.
        drop(chown(&real, Some(12_345), None));
        let owner = fs::metadata(&real).expect("it is there").uid();
        symlink("real.json", &link).expect("a link");
        for (text, backup) in [("2", "real.json.bak"), ("3", "real.json.bak1")] {
            let kept = Original::read(&link).expect("it is read").replace(text).expect("it is written");
            assert_eq!(kept, Some(real.with_file_name(backup).canonicalize().expect("a backup")));
        }
        assert!(link.is_symlink());
        let after = fs::metadata(&real).expect("it is there");
        assert_eq!((after.uid(), after.mode() & 0o7777), (owner, 0o640));
        let texts = ["daemon.json", "real.json.bak", "real.json.bak1"]
            .map(|name| fs::read_to_string(dir.path().join(name)).expect("it is there"));
        assert_eq!(texts, ["3", "1", "2"]);
        assert_eq!(names(dir.path()).len(), 4, "nothing else was left");
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("daemon.json");
        for (before, meanwhile) in [(None, "theirs"), (Some("old"), "theirs")] {
            match before {
                None => drop(fs::remove_file(&path)),
                Some(text) => fs::write(&path, text).expect("a file"),
            }
            let original = Original::read(&path).expect("it is read");
            fs::write(&path, meanwhile).expect("a file");
            assert!(matches!(original.replace("ours"), Err(Unreplaced::Changed)));
            assert_eq!(fs::read_to_string(&path).expect("it is there"), "theirs");
            assert_eq!(names(dir.path()), ["daemon.json"]);
        }
    }
}
