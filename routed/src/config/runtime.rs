//! Peers that were added, and peers that were disabled, while the daemon ran.
//!
//! They are kept in the state directory, beside the user's file and never in
//! it, and are read with it: what the file says of a peer comes first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PeerKey;

/// What operators have changed of the peers over the API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Runtime {
    /// Peers, each with its keys of `[[bgp.peer]]`, but for its address or interface.
    pub peers: BTreeMap<PeerKey, toml::Table>,
    /// Peers that are kept down, each with the words for it (RFC 9003).
    pub disabled: BTreeMap<PeerKey, String>,
}

impl Runtime {
    /// The tables of the peers, as text.
    pub(super) fn texts(&self) -> Vec<(PeerKey, String)> {
        let text = |(key, keys): (&PeerKey, &toml::Table)| {
            let mut table = keys.clone();
            let name = match key {
                PeerKey::Address(_) => "address",
                PeerKey::Interface(_) | PeerKey::Link(..) => "interface",
            };
            table.insert(name.to_owned(), key.to_string().into());
            // A table of values that were read from text can be written as text.
            toml::to_string(&table).map(|text| (key.clone(), text)).ok()
        };
        self.peers.iter().filter_map(text).collect()
    }
}
