//! Routes in the words of the API.

use std::sync::Arc;
use std::time::Instant;

use api::v1;
use net::{Attrs, Prefix};
use rib::{CandidateView, Page, Protocol, Query, RouteView, Source, Standing, Target, Why};

use super::TableTask;
use super::ask::{PAGE, RoutesPage, RoutesQuery};

impl TableTask {
    /// A page of routes.
    pub(super) fn routes(&mut self, now: Instant, query: &RoutesQuery) -> RoutesPage {
        match query.view {
            v1::RouteView::Advertised => self.advertised(now, query),
            v1::RouteView::Received => {
                self.candidates(now, query, |candidate| candidate.path.source != Source::Local)
            }
            v1::RouteView::All => self.candidates(now, query, |_| true),
            v1::RouteView::Best | v1::RouteView::Unspecified => {
                let is_best = |candidate: &CandidateView| matches!(candidate.standing, Standing::Best(_));
                self.candidates(now, query, is_best)
            }
        }
    }

    /// The best route of a view, if it has one.
    pub(super) fn best_of(&self, now: Instant, view: &RouteView) -> Option<v1::Route> {
        view.best().map(|best| self.route(now, view, best))
    }

    fn candidates(
        &self,
        now: Instant,
        query: &RoutesQuery,
        wanted: impl Fn(&CandidateView) -> bool,
    ) -> RoutesPage {
        let peer = match query.peer.as_ref().map(|peer| self.sessions.id_of(peer)) {
            Some(None) => return RoutesPage::default(),
            Some(id) => id,
            None => None,
        };
        let page = if let Some(prefix) = query.prefix.filter(|_| !query.longer) {
            Page { items: self.table.route(prefix).into_iter().collect(), next: None }
        } else {
            let within = query.prefix;
            let wanted = Query { within, family: query.family, protocol: query.protocol, peer };
            self.table.routes(&wanted, query.after, PAGE)
        };
        let mut routes = Vec::with_capacity(page.items.len());
        for view in &page.items {
            let candidates = view.candidates.iter().filter(|candidate| {
                wanted(candidate)
                    && query.protocol.is_none_or(|protocol| candidate.path.protocol == protocol)
                    && peer.is_none_or(|id| candidate.path.source == Source::Peer(id))
            });
            routes.extend(candidates.map(|candidate| self.route(now, view, candidate)));
        }
        if query.view == v1::RouteView::Received {
            for route in &mut routes {
                self.as_received(route, query, &page.items);
            }
        }
        RoutesPage { routes, next: page.next }
    }

    /// Shows the attributes as the peer sent them, before import changed them.
    fn as_received(&self, route: &mut v1::Route, query: &RoutesQuery, views: &[RouteView]) {
        let id = query.peer.as_ref().and_then(|peer| self.sessions.id_of(peer));
        let path = views
            .iter()
            .filter(|view| view.prefix.to_string() == route.prefix)
            .flat_map(|view| &view.candidates)
            .find(|candidate| id.is_some_and(|id| candidate.path.source == Source::Peer(id)));
        if let Some(candidate) = path {
            put_attrs(route, &candidate.path.received);
            if let Some(next_hop) = candidate.path.received.next_hop {
                route.next_hops = vec![hop(Some(next_hop.address().to_string()), None)];
            }
        }
    }

    fn advertised(&mut self, now: Instant, query: &RoutesQuery) -> RoutesPage {
        let Some(id) = query.peer.as_ref().and_then(|peer| self.sessions.id_of(peer)) else {
            return RoutesPage::default();
        };
        let page = self.adj_out.advertised(&self.table, id, query.after, PAGE);
        let wanted = |prefix: Prefix| {
            let inside = |within: Prefix| within == prefix || (query.longer && within.covers(prefix));
            query.prefix.is_none_or(inside) && query.family.is_none_or(|family| family == prefix.family())
        };
        let mut routes = Vec::new();
        for rib::Advertised { nlri, path, attrs } in page.items.iter().filter(|told| wanted(told.nlri.prefix))
        {
            let Some(view) = self.table.route(nlri.prefix) else { continue };
            let Some(told) = view.candidates.iter().find(|seen| Arc::ptr_eq(&seen.path, path)) else {
                continue;
            };
            let mut route = self.route(now, &view, told);
            route.path_id = Some(nlri.path_id).filter(|id| *id != 0);
            put_attrs(&mut route, attrs);
            let next_hop = attrs.next_hop.map(|next_hop| next_hop.address().to_string());
            route.next_hops = next_hop.into_iter().map(|address| hop(Some(address), None)).collect();
            let fits = |protocol| self::protocol(protocol) as i32 == route.protocol;
            if query.protocol.is_none_or(fits) {
                routes.push(route);
            }
        }
        RoutesPage { routes, next: page.next }
    }

    fn route(&self, now: Instant, view: &RouteView, candidate: &CandidateView) -> v1::Route {
        let path = &candidate.path;
        let best = matches!(candidate.standing, Standing::Best(_));
        // The best route is shown with the next hops of all that share its traffic.
        let target = if best { view.target.as_ref() } else { candidate.target.as_ref() };
        let in_use = best || candidate.standing == Standing::Shares;
        let mut route = v1::Route {
            prefix: view.prefix.to_string(),
            protocol: protocol(path.protocol) as i32,
            next_hops: self.next_hops(target),
            metric: path.metric,
            distance: path.distance.into(),
            state: state(candidate) as i32,
            installed: in_use && self.fib.is_installed(view.prefix),
            install_error: self.fib.refusal(view.prefix).filter(|_| in_use).map(|refusal| {
                let untold =
                    if best && self.adj_out.holds(view.prefix) { "; peers are not told of it" } else { "" };
                format!("{refusal}{untold}")
            }),
            age_seconds: candidate.since.map_or(0, |since| now.saturating_duration_since(since).as_secs()),
            reason: self.reason(view.prefix, candidate),
            stale: candidate.stale,
            path_id: Some(candidate.path_id).filter(|id| *id != 0 && path.protocol == Protocol::Bgp),
            ..v1::Route::default()
        };
        if let Source::Peer(id) = path.source {
            route.peer = self.sessions.name_of(id).map(str::to_owned);
            put_attrs(&mut route, path.attrs());
            if route.next_hops.is_empty() {
                let next_hop = path.attrs().next_hop.map(|next_hop| next_hop.address().to_string());
                route.next_hops = next_hop.into_iter().map(|address| hop(Some(address), None)).collect();
            }
        }
        route
    }

    /// Why a path stands where it stands, in one clause; and that peers are
    /// not told of it, where that is so.
    fn reason(&self, prefix: Prefix, candidate: &CandidateView) -> String {
        let reason = reason(candidate);
        if matches!(candidate.standing, Standing::Best(_)) && self.adj_out.holds(prefix) {
            return format!("{reason}; peers are told of it when the kernel has it");
        }
        reason
    }

    fn next_hops(&self, target: Option<&Target>) -> Vec<v1::NextHop> {
        let Some(Target::Hops(hops)) = target else { return vec![] };
        let name = |index| self.links.by_index(index).map(|link| link.name.clone());
        hops.iter()
            .map(|via| v1::NextHop {
                weight: via.weight.into(),
                ..hop(via.gateway.map(|gateway| gateway.to_string()), name(via.ifindex))
            })
            .collect()
    }
}

fn hop(address: Option<String>, interface: Option<String>) -> v1::NextHop {
    v1::NextHop { address, interface, weight: 1 }
}

fn put_attrs(route: &mut v1::Route, attrs: &Attrs) {
    route.as_path = Some(attrs.as_path.to_string());
    route.origin = match attrs.origin {
        net::Origin::Igp => v1::Origin::Igp,
        net::Origin::Egp => v1::Origin::Egp,
        net::Origin::Incomplete => v1::Origin::Incomplete,
    } as i32;
    route.local_pref = attrs.local_pref;
    route.med = attrs.med;
    route.communities = attrs.communities.iter().map(ToString::to_string).collect();
    route.large_communities = attrs.large_communities.iter().map(ToString::to_string).collect();
    route.ext_communities = attrs.ext_communities.iter().map(ToString::to_string).collect();
    route.originator_id = attrs.originator_id.map(|id| id.to_string());
    route.cluster_list = attrs.cluster_list.iter().map(ToString::to_string).collect();
    route.aggregator = attrs.aggregator.map(|by| format!("{} {}", by.asn, by.router));
    route.atomic_aggregate = attrs.atomic_aggregate;
    route.aigp = attrs.aigp;
    route.only_to_customer = attrs.only_to_customer.map(|asn| asn.0);
    route.ipv6_ext_communities = attrs.ipv6_ext_communities.iter().map(ToString::to_string).collect();
    route.unknown_attributes = attrs.unknown.iter().map(|raw| raw.code.into()).collect();
}

fn state(candidate: &CandidateView) -> v1::RouteState {
    match &candidate.standing {
        Standing::Best(_) => v1::RouteState::Best,
        Standing::Shares => v1::RouteState::Multipath,
        Standing::Lost(_) => v1::RouteState::Eligible,
        Standing::Ineligible(
            Why::NextHopUnreachable(_)
            | Why::NextHopCircle(_)
            | Why::NoNextHop
            | Why::LinkDown(_)
            | Why::NotOnLink { .. },
        ) => v1::RouteState::Ineligible,
        Standing::Ineligible(_) => v1::RouteState::Rejected,
    }
}

/// Why a path stands where it stands, in one clause.
fn reason(candidate: &CandidateView) -> String {
    match &candidate.standing {
        Standing::Best(step) => format!("best: {}", step.text()),
        Standing::Shares => "shares the traffic with the best".to_owned(),
        Standing::Lost(step) => format!("lost to a path with {}", step.text()),
        Standing::Ineligible(why) => why.to_string(),
    }
}

/// The protocol as the API numbers it.
pub(crate) fn protocol(protocol: Protocol) -> v1::Protocol {
    match protocol {
        Protocol::Connected => v1::Protocol::Connected,
        Protocol::Local => v1::Protocol::Local,
        Protocol::Static => v1::Protocol::Static,
        Protocol::Bgp => v1::Protocol::Bgp,
        Protocol::Rip => v1::Protocol::Rip,
        Protocol::RipNg => v1::Protocol::Ripng,
    }
}
