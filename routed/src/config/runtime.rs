//! Peers that were added, and peers that were disabled, while the daemon ran.
//!
//! They are kept in the state directory, beside the user's file and never in
//! it, and are read with it: what the file says of a peer comes first.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What operators have changed of the peers over the API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Runtime {
    /// Peers, each with its keys of `[[bgp.peer]]`, the address excepted.
    pub peers: BTreeMap<IpAddr, toml::Table>,
    /// Peers that are kept down, each with the words for it (RFC 9003).
    pub disabled: BTreeMap<IpAddr, String>,
}

impl Runtime {
    /// The tables of the peers, as text.
    pub(super) fn texts(&self) -> Vec<(IpAddr, String)> {
        let text = |(address, keys): (&IpAddr, &toml::Table)| {
            let mut table = keys.clone();
            table.insert("address".to_owned(), address.to_string().into());
            // A table of values that were read from text can be written as text.
            toml::to_string(&table).map(|text| (*address, text)).ok()
        };
        self.peers.iter().filter_map(text).collect()
    }
}
