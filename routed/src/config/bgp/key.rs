//! `password_file`: the TCP-MD5 keys of a peer.

use std::path::PathBuf;

use crate::config::Secret;
use crate::config::diagnostic::Findings;
use crate::config::file::{guard_key, read_file};
use crate::config::reader::Section;

/// The longest TCP-MD5 key that the kernel takes (`TCP_MD5SIG_MAXKEYLEN`).
const MAX_KEY: usize = 80;

/// The files and the keys in them, in the order of the list.
pub(super) fn read(section: &mut Section<'_>, findings: &mut Findings<'_>) -> (Vec<PathBuf>, Vec<Secret>) {
    let files = section.list::<PathBuf>("password_file", findings).unwrap_or_default();
    let mut keys = Vec::with_capacity(files.len());
    for file in &files {
        guard_key(file, findings);
        let key = read_file(&file.value).and_then(|mut key| {
            while key.last().is_some_and(u8::is_ascii_whitespace) {
                key.pop();
            }
            let name = file.value.display();
            match key.len() {
                0 => Err(format!("{name}: the key file is empty; write the key into it")),
                1..=MAX_KEY => Ok(Secret::new(key)),
                length => Err(format!("{name}: the key has {length} bytes, TCP-MD5 takes {MAX_KEY}")),
            }
        });
        match key {
            Ok(key) => keys.push(key),
            Err(message) => findings.error(&file.span, format!("password_file: {message}")),
        }
    }
    (files.into_iter().map(|file| file.value).collect(), keys)
}
