//! The table as an MRT file, page by page (RFC 6396 §4.3).

use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use monitor::mrt::{self, Entry, Peer};
use net::{Asn, Prefix};
use rib::{CandidateView, PeerId, Protocol, Query, RouteView, Source};
use tracing::warn;

use super::TableTask;
use super::ask::PAGE;
use super::monitors::with_next_hop;

/// Where a dump is. Who asks keeps it between the pages, so that the table
/// holds nothing for a reader.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    step: Step,
    /// The peers by their place in the index; `None` for this node.
    peers: Vec<Option<PeerId>>,
    /// How many prefixes were written.
    number: u32,
    /// When it began, since 1970.
    at: Duration,
}

#[derive(Debug, Default)]
enum Step {
    #[default]
    Begin,
    After(Option<Prefix>),
    Over,
}

impl Dump {
    /// True when all has been written.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.step, Step::Over)
    }
}

impl TableTask {
    /// The next records.
    pub(super) fn dump(&mut self, now: Instant, mut dump: Box<Dump>) -> (Box<Dump>, BytesMut) {
        let mut out = BytesMut::new();
        match dump.step {
            Step::Begin => {
                // A clock before 1970 is as good as none.
                dump.at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                self.dump_peers(&mut dump, &mut out);
                dump.step = Step::After(None);
            }
            Step::After(after) => {
                let page = self.table.routes(&Query::default(), after, PAGE);
                for view in &page.items {
                    dump_prefix(now, &mut dump, view, &mut out);
                }
                dump.step = page.next.map_or(Step::Over, |next| Step::After(Some(next)));
            }
            Step::Over => {}
        }
        (dump, out)
    }

    /// This node is the first of the index, for what begins here.
    fn dump_peers(&self, dump: &mut Dump, out: &mut BytesMut) {
        let rules = self.table.rules();
        let mut index = vec![Peer {
            router_id: rules.router_id,
            address: std::net::Ipv4Addr::UNSPECIFIED.into(),
            asn: rules.asn.unwrap_or(Asn(0)),
        }];
        dump.peers = vec![None];
        for id in self.sessions.ids() {
            let Some(info) = self.table.peer(id) else { continue };
            index.push(Peer { router_id: info.router_id, address: info.address, asn: info.asn });
            dump.peers.push(Some(id));
        }
        mrt::peer_index(out, dump.at, rules.router_id, &index);
    }
}

/// The paths that import accepted; those of peers that came later are not in
/// the index and wait for the next dump.
fn dump_prefix(now: Instant, dump: &mut Dump, view: &RouteView, out: &mut BytesMut) {
    let family = view.prefix.family();
    let accepted: Vec<_> = view
        .candidates
        .iter()
        .filter_map(|candidate| {
            let attrs = candidate.path.imported.as_ref().ok()?;
            let peer = place(dump, candidate.path.source)?;
            Some((candidate, peer, with_next_hop(family, std::sync::Arc::clone(attrs))))
        })
        .collect();
    if accepted.is_empty() {
        return;
    }
    let entries: Vec<Entry<'_>> = accepted
        .iter()
        .map(|(candidate, peer, attrs)| Entry {
            peer: *peer,
            since: since(now, dump.at, candidate),
            path_id: if candidate.path.protocol == Protocol::Bgp { candidate.path_id } else { 0 },
            attrs,
        })
        .collect();
    match mrt::rib(out, dump.at, (dump.number, view.prefix), &entries) {
        Ok(()) => dump.number = dump.number.wrapping_add(1),
        Err(error) => warn!(prefix = %view.prefix, %error, "not in the MRT dump"),
    }
}

fn place(dump: &Dump, source: Source) -> Option<u16> {
    let wanted = match source {
        Source::Local => None,
        Source::Peer(id) => Some(id),
    };
    let place = dump.peers.iter().position(|peer| *peer == wanted)?;
    u16::try_from(place).ok()
}

fn since(now: Instant, at: Duration, candidate: &CandidateView) -> Duration {
    let age = candidate.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
    at.saturating_sub(age)
}
