//! Whether the disk has room.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::OpenError;

/// The room that opening needs: the database grows by half a megabyte at a
/// time, and the journal and the export want some too.
const ROOM: usize = 1 << 20;

/// Writes as much as opening the store may write, and takes it away again: a
/// database that meets the end of the disk while it opens looks damaged.
pub(crate) fn probe(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join("ipam.space");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; ROOM])?;
        file.sync_data()
    });
    // Where it could not be made there is nothing to remove.
    let _ = fs::remove_file(&path);
    written.map_err(OpenError::io(&path))
}
