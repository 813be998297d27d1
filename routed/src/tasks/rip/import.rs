//! What is taken of what RIP neighbours tell: the configured filter; and what
//! they say of the pools and of this node's own prefixes, for the claim.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use net::{Attrs, Prefix};
use rib::Protocol;
use rib::filter::{Filter, Route, Verdict};
use rip::config::Judgement;
use rip::{Import, Offer};
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::config::rip::Rip;
use crate::tasks::Owned;
use crate::tasks::claim::Sighting;
use crate::tasks::table::session::filter_named;

/// The import filter of RIP.
pub(super) struct TableImport {
    filter: Arc<Filter>,
    /// The pools, where this node claims: who has which block matters then.
    claimed_of: Vec<Prefix>,
    owned: watch::Receiver<Owned>,
    sightings: mpsc::Sender<Sighting>,
    /// The metric of what a neighbour owns itself, as it arrives here.
    direct: u8,
    /// How long what is told holds: the longest timeout of all interfaces.
    holds: Duration,
}

impl TableImport {
    pub(super) fn new(
        config: &Config,
        rip: &Rip,
        owned: watch::Receiver<Owned>,
        sightings: mpsc::Sender<Sighting>,
    ) -> Self {
        Self {
            filter: filter_named(config, &rip.import),
            claimed_of: if config.ipam.claim { config.cluster.pools.clone() } else { Vec::new() },
            owned,
            sightings,
            // 1 as it is told, 1 for the link, and what the operator adds.
            direct: 2 + rip.settings.offset_in,
            holds: rip.longest_timeout(),
        }
    }

    /// What lies in a subnet or block of this node is nobody else's to tell.
    fn is_own(&self, prefix: Prefix) -> bool {
        let owned = self.owned.borrow();
        owned.subnets.iter().chain(&owned.blocks).any(|own| own.covers(prefix))
    }

    fn report(&self, offer: &Offer) {
        let concerns = |prefix: &Prefix| prefix.overlaps(offer.prefix);
        if self.claimed_of.iter().any(concerns) || self.owned.borrow().subnets.iter().any(concerns) {
            // A full queue loses news that comes again with the next update.
            let _ = self.sightings.try_send(Sighting {
                prefix: offer.prefix,
                neighbor: offer.neighbor,
                interface: offer.interface,
                direct: offer.metric <= self.direct,
                holds: self.holds,
            });
        }
    }
}

impl Import for TableImport {
    fn judge(&self, offer: &Offer) -> Judgement {
        self.report(offer);
        if self.is_own(offer.prefix) {
            return Judgement::Reject;
        }
        let protocol = match offer.prefix.family() {
            net::Family::Ipv4Unicast => Protocol::Rip,
            net::Family::Ipv6Unicast => Protocol::RipNg,
        };
        let attrs = Attrs { tag: offer.tag, med: Some(offer.metric.into()), ..Attrs::default() };
        let route = Route { prefix: offer.prefix, attrs: &attrs, protocol, peer: Some(offer.neighbor) };
        match self.filter.eval(&route) {
            Verdict::Accept(rule) => Judgement::Accept {
                metric: rule.set.med.map_or(offer.metric, |med| u8::try_from(med).unwrap_or(u8::MAX)),
                tag: rule.set.tag.unwrap_or(offer.tag),
            },
            Verdict::Reject(_) => Judgement::Reject,
        }
    }
}

impl fmt::Debug for TableImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TableImport").field(&self.filter.name).finish()
    }
}
