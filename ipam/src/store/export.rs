//! The export: everything in one JSON document with a version and a checksum.
//!
//! ```json
//! {"format":"routed-ipam","version":1,"crc32":"0badcafe","body":{"node":"n1","generation":7,...}}
//! ```
//! The checksum is over the body as this program writes it: white space and
//! the order of keys may change on the way, a value may not.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::Image;

/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

const FORMAT: &str = "routed-ipam";

/// Why a text is no export.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExportError {
    /// Not JSON, or not of this shape.
    #[error("this is no routed address export ({0}); give the output of routectl ipam export")]
    Malformed(String),
    /// A newer program wrote it.
    #[error("the export has version {found}, this routed reads up to {VERSION}; upgrade routed")]
    Newer {
        /// The version found.
        found: u32,
    },
    /// The content changed since it was written.
    #[error(
        "the export's checksum is {found}, its content has {computed}; it was changed or damaged, take another copy"
    )]
    Checksum {
        /// The checksum in the document.
        found: String,
        /// The checksum of its body.
        computed: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Document<B> {
    format: String,
    version: u32,
    crc32: String,
    body: B,
}

/// The export of an image.
pub fn encode(image: &Image) -> String {
    let document =
        Document { format: FORMAT.to_owned(), version: VERSION, crc32: checksum(image), body: image };
    json(&document)
}

/// The image in an export.
pub fn decode(text: &str) -> Result<Image, ExportError> {
    let malformed = |error: serde_json::Error| ExportError::Malformed(error.to_string());
    let document: Document<serde_json::Value> = serde_json::from_str(text).map_err(malformed)?;
    if document.format != FORMAT {
        return Err(ExportError::Malformed(format!("its format is {:?}", document.format)));
    }
    if document.version > VERSION {
        return Err(ExportError::Newer { found: document.version });
    }
    let image: Image = serde_json::from_value(document.body).map_err(malformed)?;
    let computed = checksum(&image);
    if computed != document.crc32 {
        return Err(ExportError::Checksum { found: document.crc32, computed });
    }
    Ok(image)
}

fn checksum(image: &Image) -> String {
    // Compact, so that the layout of the text does not count.
    let body = serde_json::to_vec(image).expect("an image has only string keys");
    format!("{:08x}", crc32fast::hash(&body))
}

fn json<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("an image has only string keys");
    text.push('\n');
    text
}

/// Writes a file so that it is there whole: data and name are on disk after.
pub(crate) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes renames in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Reads a file that may be absent.
pub(crate) fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
