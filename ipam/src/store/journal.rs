//! The journal: a line for each event, on disk before the answer leaves.
//!
//! `CRC32 {"generation":N,"event":{...}}\n`: generations follow each other
//! without a hole. A line without its end is a write that was cut off: nobody
//! was told of it, and it is dropped. Any other line that does not check is
//! damage: it is skipped, counted and reported, and the next lines still
//! count, because somebody was told of them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::event::{Event, Image};

#[derive(Serialize)]
struct Line<'a> {
    generation: u64,
    event: &'a Event,
}

#[derive(Deserialize)]
struct OwnedLine {
    generation: u64,
    event: Event,
}

/// What reading a journal found besides events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Bytes up to the end of the last whole line.
    pub(crate) length: u64,
    /// Bytes after that: a write that was cut off.
    pub(crate) torn: u64,
    /// Whole lines that do not check.
    pub(crate) damaged: usize,
    /// Generations that are in no line.
    pub(crate) missing: u64,
}

impl Reading {
    /// True when every event that was acknowledged is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.damaged == 0 && self.missing == 0
    }
}

/// Folds the lines of a journal into an image; events that the image already
/// counts are passed over.
pub(crate) fn replay(bytes: &[u8], image: &mut Image) -> Reading {
    let mut reading = Reading::default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            reading.torn = line.len() as u64;
            break;
        };
        reading.length += line.len() as u64 + 1;
        match parse(line) {
            None => reading.damaged += 1,
            Some(OwnedLine { generation, event }) if generation > image.generation => {
                reading.missing += generation - image.generation - 1;
                image.absorb(&event);
                image.generation = generation;
            }
            Some(_) => {}
        }
    }
    reading
}

fn parse(line: &[u8]) -> Option<OwnedLine> {
    let (sum, json) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum.strip_suffix(b" ")?).ok()?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    if sum != crc32fast::hash(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

fn lines(mut generation: u64, events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        generation += 1;
        let json = serde_json::to_vec(&Line { generation, event }).expect("an event has only string keys");
        bytes.extend_from_slice(format!("{:08x} ", crc32fast::hash(&json)).as_bytes());
        bytes.extend_from_slice(&json);
        bytes.push(b'\n');
    }
    bytes
}

/// The journal that is written to.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes that count; what is behind them is a write that failed.
    length: u64,
    /// True when bytes behind `length` may be in the file.
    untidy: bool,
}

impl Journal {
    /// Opens or makes the journal and cuts it to `length`.
    pub(crate) fn open(path: &Path, length: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        if file.metadata()?.len() != length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        Ok(Self { path: path.to_owned(), file, length, untidy: false })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the events that follow `generation`. When this returns they are
    /// on disk; on an error none of them is, as far as later reads go.
    pub(crate) fn append(&mut self, generation: u64, events: &[Event]) -> io::Result<()> {
        self.tidy()?;
        let bytes = lines(generation, events);
        self.untidy = true;
        if let Err(error) = self.file.write_all(&bytes).and_then(|()| self.file.sync_data()) {
            // A failed cut is tried again before the next write.
            return Err(self.tidy().err().unwrap_or(error));
        }
        self.untidy = false;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Cuts what a failed write left.
    fn tidy(&mut self) -> io::Result<()> {
        if self.untidy {
            self.file.set_len(self.length)?;
            self.file.sync_data()?;
            self.untidy = false;
        }
        Ok(())
    }
}
