//! `password_file`: the TCP-MD5 keys of a peer.

use std::path::{Path, PathBuf};

use kernel::sockopt::MD5_KEY_MAX;

use crate::config::Secret;
use crate::config::diagnostic::Findings;
use crate::config::file::{guard_key, read_file};
use crate::config::reader::Section;

/// The files and the keys in them, in the order of the list.
pub(super) fn read(section: &mut Section<'_>, findings: &mut Findings<'_>) -> (Vec<PathBuf>, Vec<Secret>) {
    if let Some(span) = section.empty_list("password_file") {
        findings.error(&span, "password_file: the list is empty; name a file, or remove the key");
    }
    let files = section.list::<PathBuf>("password_file", findings).unwrap_or_default();
    let mut keys = Vec::with_capacity(files.len());
    for file in &files {
        guard_key(file, findings);
        match of_file(&file.value, "TCP-MD5", MD5_KEY_MAX) {
            Ok(key) => keys.push(key),
            Err(message) => findings.error(&file.span, format!("password_file: {message}")),
        }
    }
    (files.into_iter().map(|file| file.value).collect(), keys)
}

/// The key in a file, without the white space at its end; `longest` is what
/// the `scheme` takes.
pub(super) fn of_file(file: &Path, scheme: &str, longest: usize) -> Result<Secret, String> {
    let mut key = read_file(file)?;
    while key.last().is_some_and(u8::is_ascii_whitespace) {
        key.pop();
    }
    let name = file.display();
    match key.len() {
        0 => Err(format!("{name}: the key file is empty; write the key into it")),
        length if length > longest => {
            Err(format!("{name}: the key has {length} bytes, {scheme} takes {longest}"))
        }
        _ => Ok(Secret::new(key)),
    }
}
