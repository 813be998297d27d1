//! RIP as the table sees it: what it learned, and what it is to tell.

use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use net::{Attrs, Family, Prefix};
use rib::filter::{Filter, Route, Verdict};
use rib::{Change, Origination, Protocol, Source, Table, Via};
use rip::{Advert, Learned};
use rustc_hash::{FxBuildHasher, FxHashMap};
use tokio::sync::Notify;

use super::TableTask;

/// What RIP has yet to hear, and how many next hops it told of each prefix.
pub(super) struct RipSide {
    export: Arc<Filter>,
    distance: u8,
    more: Arc<Notify>,
    pending: IndexMap<Prefix, Option<Advert>, FxBuildHasher>,
    told: FxHashMap<Prefix, Advert>,
    learned: FxHashMap<Prefix, u32>,
}

impl RipSide {
    pub(super) fn new(export: Arc<Filter>, distance: u8, more: Arc<Notify>) -> Self {
        Self {
            export,
            distance,
            more,
            pending: IndexMap::default(),
            told: FxHashMap::default(),
            learned: FxHashMap::default(),
        }
    }

    /// A best route changed.
    pub(super) fn change(&mut self, table: &Table, change: &Change) {
        let advert = change.new.as_ref().and_then(|best| self.advert(table, change.prefix, best));
        if advert.as_ref() == self.told.get(&change.prefix) {
            self.pending.swap_remove(&change.prefix);
        } else {
            self.pending.insert(change.prefix, advert);
        }
    }

    /// What is told of a best route: what the export filter accepts, apart
    /// from what RIP itself has learned, which it tells on by itself.
    fn advert(&self, table: &Table, prefix: Prefix, best: &rib::table::Best) -> Option<Advert> {
        let path = &best.path;
        if matches!(path.protocol, Protocol::Rip | Protocol::RipNg) {
            return None;
        }
        let peer = match path.source {
            Source::Peer(id) => table.peer(id).map(|peer| peer.address),
            Source::Local => None,
        };
        let route = Route { prefix, attrs: path.attrs(), protocol: path.protocol, peer };
        match self.export.eval(&route) {
            Verdict::Accept(rule) => {
                let mut attrs = Attrs::clone(path.attrs());
                rule.edit(&mut attrs, net::Asn(0));
                let metric = attrs.med.and_then(|med| u8::try_from(med.clamp(1, 15)).ok()).unwrap_or(1);
                Some(Advert { tag: attrs.tag, ..Advert::new(metric) })
            }
            Verdict::Reject(_) => None,
        }
    }

    /// Rings when there is something to take.
    pub(super) fn ring(&self) {
        if !self.pending.is_empty() {
            self.more.notify_one();
        }
    }

    /// What RIP has yet to hear; it counts as told.
    pub(super) fn take(&mut self) -> Vec<(Prefix, Option<Advert>)> {
        let news: Vec<_> = self.pending.drain(..).collect();
        for (prefix, advert) in &news {
            match advert {
                Some(advert) => drop(self.told.insert(*prefix, *advert)),
                None => drop(self.told.remove(prefix)),
            }
        }
        news
    }

    /// Tells a prefix once more although nothing changed.
    pub(super) fn again(&mut self, prefix: Prefix) {
        if let Some(advert) = self.told.get(&prefix) {
            self.pending.insert(prefix, Some(*advert));
        }
    }
}

fn protocol(family: Family) -> Protocol {
    match family {
        Family::Ipv4Unicast => Protocol::Rip,
        Family::Ipv6Unicast => Protocol::RipNg,
    }
}

impl TableTask {
    pub(super) fn rip_learned(&mut self, now: Instant, family: Family, routes: Vec<(Prefix, Learned)>) {
        let Some(rip) = &mut self.rip else { return };
        for (prefix, learned) in routes {
            let mut count = 0;
            for hop in &learned.next_hops {
                let via = Via::OnLink { gateway: Some(hop.address), ifindex: hop.interface };
                let origination = Origination {
                    path_id: count,
                    metric: learned.metric.into(),
                    distance: Some(rip.distance),
                    attrs: Attrs { tag: learned.tag, ..Attrs::default() },
                    ..Origination::new(protocol(family), via)
                };
                self.table.originate(now, prefix, origination);
                count += 1;
            }
            let before = rip.learned.insert(prefix, count).unwrap_or(0);
            (count..before).for_each(|path| self.table.unoriginate(prefix, protocol(family), path));
        }
    }

    pub(super) fn rip_lost(&mut self, family: Family, prefixes: &[Prefix]) {
        let Some(rip) = &mut self.rip else { return };
        for prefix in prefixes {
            let before = rip.learned.remove(prefix).unwrap_or(0);
            (0..before).for_each(|path| self.table.unoriginate(*prefix, protocol(family), path));
        }
    }

    /// Another export filter: everything is judged anew.
    pub(super) fn configure_rip(&mut self) {
        let (Some(side), Some(config)) = (&mut self.rip, &self.config.rip) else { return };
        side.export = super::session::export_named(&self.config, &config.export);
        side.distance = config.distance;
        let adverts: Vec<_> = self
            .table
            .best_routes()
            .map(|(prefix, best)| (prefix, side.advert(&self.table, prefix, &best)))
            .collect();
        for (prefix, advert) in adverts {
            if advert.as_ref() != side.told.get(&prefix) {
                side.pending.insert(prefix, advert);
            }
        }
    }
}
