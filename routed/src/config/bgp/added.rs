//! Peers that operators have added and disabled over the API.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;

use super::{Around, Since, read_peer};
use crate::config::diagnostic::{Findings, Severity};
use crate::config::reader::Section;
use crate::config::{Peer, PeerOrigin};

/// Adds them to those of the file. What is wrong with one is wrong since the
/// file has changed: it is left out, and the warning says so.
pub(super) fn read<'i>(
    peers: &mut Vec<Peer>,
    around: Around<'_, 'i>,
    since: Since<'i>,
    span: &Range<usize>,
    findings: &mut Findings<'_>,
) {
    for (address, text) in since.added {
        if peers.iter().any(|peer| peer.key() == *address) {
            findings.warning(
                span,
                format!("peer {address} was added over the API and stands in the file; the file counts"),
            );
            continue;
        }
        let name = format!("peer {address}");
        let mut own = Findings::new(&name, text);
        let peer = match DeTable::parse(text) {
            Ok(table) => {
                let section = Section::new("bgp.peer", table.span(), table.into_inner());
                read_peer(section, around, &mut BTreeMap::new(), &mut own)
            }
            Err(_) => None,
        };
        let list = own.into_list();
        let sound = list.iter().all(|finding| finding.severity != Severity::Error);
        if let Some(peer) = peer.filter(|_| sound) {
            peers.push(Peer { origin: PeerOrigin::Runtime, ..peer });
        } else {
            let why: Vec<String> = list.into_iter().map(|finding| finding.message).collect();
            let message = format!("peer {address}, added over the API, is left out: {}", why.join("; "));
            findings.warning(span, message);
        }
    }
    for peer in peers {
        if let Some(words) = since.disabled.get(&peer.key()) {
            peer.shutdown.get_or_insert_with(|| words.clone());
        }
    }
}
