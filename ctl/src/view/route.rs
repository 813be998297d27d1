//! Views of routes.

use std::fmt;

use api::v1::{self, RouteEventKind, RouteState};
use serde::Serialize;

use super::{Cell, Column, Level, Row, Sheet, Tone, time};

/// One path to a prefix.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts that scripts read by name")]
pub(crate) struct RouteView {
    prefix: String,
    protocol: String,
    next_hops: Vec<NextHopView>,
    metric: u32,
    distance: u32,
    best: bool,
    state: String,
    installed: bool,
    install_error: Option<String>,
    age_seconds: u64,
    peer: Option<String>,
    as_path: Option<String>,
    origin: Option<String>,
    local_pref: Option<u32>,
    med: Option<u32>,
    communities: Vec<String>,
    large_communities: Vec<String>,
    ext_communities: Vec<String>,
    reason: String,
    stale: bool,
    path_id: Option<u32>,
    originator_id: Option<String>,
    cluster_list: Vec<String>,
    aggregator: Option<String>,
    atomic_aggregate: bool,
    aigp: Option<u64>,
    only_to_customer: Option<u32>,
    ipv6_ext_communities: Vec<String>,
    unknown_attributes: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct NextHopView {
    address: Option<String>,
    interface: Option<String>,
    weight: u32,
}

impl From<v1::NextHop> for NextHopView {
    fn from(hop: v1::NextHop) -> Self {
        Self { address: hop.address, interface: hop.interface, weight: hop.weight }
    }
}

impl From<v1::Route> for RouteView {
    fn from(route: v1::Route) -> Self {
        let origin = match route.origin() {
            v1::Origin::Unspecified => None,
            origin => Some(origin.to_string()),
        };
        Self {
            protocol: route.protocol().to_string(),
            best: matches!(route.state(), RouteState::Best | RouteState::Multipath),
            state: route.state().to_string(),
            origin,
            prefix: route.prefix,
            next_hops: route.next_hops.into_iter().map(Into::into).collect(),
            metric: route.metric,
            distance: route.distance,
            installed: route.installed,
            install_error: route.install_error,
            age_seconds: route.age_seconds,
            peer: route.peer,
            as_path: route.as_path,
            local_pref: route.local_pref,
            med: route.med,
            communities: route.communities,
            large_communities: route.large_communities,
            ext_communities: route.ext_communities,
            reason: route.reason,
            stale: route.stale,
            path_id: route.path_id,
            originator_id: route.originator_id,
            cluster_list: route.cluster_list,
            aggregator: route.aggregator,
            atomic_aggregate: route.atomic_aggregate,
            aigp: route.aigp,
            only_to_customer: route.only_to_customer,
            ipv6_ext_communities: route.ipv6_ext_communities,
            unknown_attributes: route.unknown_attributes,
        }
    }
}

impl RouteView {
    /// The gateways; with their weights where these are not the same.
    fn gateways(&self) -> String {
        let Some(first) = self.next_hops.first() else { return "discard".into() };
        let even = self.next_hops.iter().all(|hop| hop.weight == first.weight);
        let shown = |hop: &NextHopView| {
            let gateway = hop.address.as_deref().unwrap_or("direct");
            if even { gateway.to_owned() } else { format!("{gateway} weight {}", hop.weight) }
        };
        self.next_hops.iter().map(shown).collect::<Vec<_>>().join(",")
    }

    fn interfaces(&self) -> String {
        let hops = self.next_hops.iter().map(|hop| hop.interface.as_deref().unwrap_or("?"));
        hops.collect::<Vec<_>>().join(",")
    }

    fn state_cell(&self) -> Cell {
        let tone = match (self.state.as_str(), self.best && !self.installed && self.install_error.is_some()) {
            (_, true) => Tone::Bad,
            ("best" | "multipath", _) => Tone::Good,
            ("rejected", _) => Tone::Dim,
            ("ineligible", _) => Tone::Fair,
            _ => Tone::Plain,
        };
        let stale = if self.stale { ",stale" } else { "" };
        Cell::new(format_args!("{}{stale}", self.state)).tone(tone)
    }

    fn why(&self) -> &str {
        self.install_error.as_deref().unwrap_or(&self.reason)
    }
}

impl Row for RouteView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "PREFIX", |r| Cell::new(&r.prefix)),
        Column::text(Level::Short, "PROTOCOL", |r| Cell::new(&r.protocol)),
        Column::text(Level::Short, "NEXT_HOP", |r| Cell::new(r.gateways())),
        Column::text(Level::Short, "INTERFACE", |r| Cell::new(r.interfaces())),
        Column::number(Level::Wide, "DISTANCE", |r| Cell::new(r.distance)),
        Column::number(Level::Short, "METRIC", |r| Cell::new(r.metric)),
        Column::text(Level::Short, "STATE", Self::state_cell),
        Column::text(Level::Short, "INSTALLED", |r| Cell::new(if r.installed { "yes" } else { "no" })),
        Column::number(Level::Short, "AGE", |r| Cell::new(time::age(r.age_seconds))),
        Column::text(Level::Short, "PEER", |r| Cell::maybe(r.peer.as_ref())),
        Column::number(Level::Wide, "LOCAL_PREF", |r| Cell::maybe(r.local_pref)),
        Column::number(Level::Wide, "MED", |r| Cell::maybe(r.med)),
        Column::text(Level::Wide, "ORIGIN", |r| Cell::maybe(r.origin.as_ref())),
        Column::number(Level::Wide, "PATH_ID", |r| Cell::maybe(r.path_id)),
        Column::text(Level::Wide, "COMMUNITIES", |r| Cell::list(&r.communities)),
        Column::text(Level::Short, "AS_PATH", |r| Cell::maybe(r.as_path.as_ref())),
        Column::text(Level::Reasons, "REASON", |r| Cell::new(r.why())),
    ];
}

impl Sheet for RouteView {
    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let mut lines = vec![
            ("prefix", Cell::new(&self.prefix)),
            ("protocol", Cell::new(&self.protocol)),
            ("next hop", Cell::new(self.gateways())),
            ("interface", Cell::new(self.interfaces())),
            ("distance", Cell::new(self.distance)),
            ("metric", Cell::new(self.metric)),
            ("state", self.state_cell()),
            ("installed", Cell::new(if self.installed { "yes" } else { "no" })),
            ("age", Cell::new(time::age(self.age_seconds))),
            ("peer", Cell::maybe(self.peer.as_ref())),
            ("reason", Cell::new(self.why())),
        ];
        if let Some(as_path) = &self.as_path {
            lines.extend([
                ("as path", Cell::new(as_path)),
                ("origin", Cell::maybe(self.origin.as_ref())),
                ("local pref", Cell::maybe(self.local_pref)),
                ("med", Cell::maybe(self.med)),
                ("communities", Cell::list(&self.communities)),
                ("large communities", Cell::list(&self.large_communities)),
            ]);
            // What is rare is shown where it is there.
            lines.extend(self.path_id.map(|id| ("path id", Cell::new(id))));
            lines.extend(self.aigp.map(|metric| ("accumulated metric", Cell::new(metric))));
            lines.extend(self.only_to_customer.map(|asn| ("only to customer", Cell::new(asn))));
            if !self.unknown_attributes.is_empty() {
                lines.push(("unknown attributes", Cell::list(&self.unknown_attributes)));
            }
        }
        lines
    }
}

/// A change of a best route.
#[derive(Debug, Serialize)]
pub(crate) struct RouteEventView {
    kind: String,
    route: Option<RouteView>,
}

impl From<v1::RouteEvent> for RouteEventView {
    fn from(event: v1::RouteEvent) -> Self {
        Self { kind: event.kind().to_string(), route: event.route.map(Into::into) }
    }
}

/// `KIND PREFIX PROTOCOL via NEXT_HOP dev INTERFACE`.
impl fmt::Display for RouteEventView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        let Some(route) = &self.route else { return Ok(()) };
        write!(f, " {} {}", route.prefix, route.protocol)?;
        if self.kind != RouteEventKind::Updated.to_string() {
            return Ok(());
        }
        write!(f, " via {}", route.gateways())?;
        if !route.next_hops.is_empty() {
            write!(f, " dev {}", route.interfaces())?;
        }
        match &route.peer {
            Some(peer) => write!(f, " peer {peer}"),
            None => Ok(()),
        }
    }
}

/// What became of an announcement.
#[derive(Debug, Serialize)]
pub(crate) struct AnnouncementView {
    pub(crate) prefix: String,
    pub(crate) outcome: String,
}
