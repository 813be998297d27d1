//! Names of chains and sets: a word and the hash of what they hold, so that
//! the same content has the same name in every run, below the 32 bytes that
//! old kernels allow.

use std::collections::BTreeMap;

use super::Origin;

/// nft refuses longer comments.
const MAX_COMMENT: usize = 127;

/// Gives names, never one name to two contents.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    /// The name for a content: `word` (at most 14 bytes), `_`, 16 hex digits.
    /// Should two contents have one hash, the later gets the next free one.
    pub(crate) fn give(&mut self, word: &str, content: &str) -> String {
        let mut hash = fnv1a(content.as_bytes());
        loop {
            let name = format!("{word}_{hash:016x}");
            let owner = self.0.entry(name.clone()).or_insert_with(|| content.to_owned());
            if owner == content {
                return name;
            }
            hash = hash.wrapping_add(1);
        }
    }
}

/// FNV-1a, 64 bits: the same in every version and on every machine.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The comment of a counted rule: for people who read `nft list table`. The
/// front of a long policy name is cut off, never the rule.
pub(crate) fn comment(origin: &Origin) -> String {
    let text = match origin {
        Origin::Rule { policy, direction, index } => format!("{policy} {direction} {index}"),
        Origin::NoRule(direction) => format!("no {direction} rule matched"),
        Origin::Stranger => "not a known host".to_owned(),
    };
    let cut = text.len().saturating_sub(MAX_COMMENT);
    text.get(cut..).unwrap_or_default().to_owned()
}
