//! What passes between a peer and this node.

use api::v1;
use serde::Serialize;

use super::group::GroupView;
use super::tcp::TcpView;
use crate::view::{Cell, time};

/// What a peer has told of one family.
#[derive(Debug, Serialize)]
struct FamilyView {
    family: String,
    received: u64,
    accepted: u64,
    filtered: u64,
    rejected: u64,
    advertised: u64,
    best: u64,
    end_of_rib: bool,
    end_of_rib_sent: bool,
}

/// The ends of the session, and what has passed.
#[derive(Debug, Default, Serialize)]
pub(super) struct TrafficView {
    by_family: Vec<FamilyView>,
    announced: u64,
    withdrawn: u64,
    local_port: Option<u32>,
    local_router_id: Option<String>,
    own_next_hops: Vec<String>,
    lost_count: u64,
    last_error_seconds: Option<u64>,
    last_received_seconds: Option<u64>,
    last_sent_seconds: Option<u64>,
    unsent_bytes: u64,
    dials: u64,
    dial_failures: u64,
    collisions: u64,
    tcp: Option<TcpView>,
    update_group: Option<GroupView>,
    changes: ChangesView,
    offers_received: Vec<String>,
    offers_sent: Vec<String>,
}

/// What became of the prefixes in UPDATEs.
#[derive(Debug, Default, Serialize)]
struct ChangesView {
    filtered: u64,
    looped: u64,
    duplicates: u64,
    unknown: u64,
    sent_announced: u64,
    sent_withdrawn: u64,
}

impl TrafficView {
    /// Takes its part of a detail.
    pub(super) fn take(detail: &mut v1::PeerDetail) -> Self {
        Self {
            by_family: std::mem::take(&mut detail.by_family).into_iter().map(Into::into).collect(),
            announced: detail.announced,
            withdrawn: detail.withdrawn,
            local_port: detail.local_port,
            local_router_id: detail.local_router_id.take(),
            own_next_hops: std::mem::take(&mut detail.own_next_hops),
            lost_count: detail.lost_count,
            last_error_seconds: detail.last_error_seconds,
            last_received_seconds: detail.last_received_seconds,
            last_sent_seconds: detail.last_sent_seconds,
            unsent_bytes: detail.unsent_bytes,
            dials: detail.dials,
            dial_failures: detail.dial_failures,
            collisions: detail.collisions,
            tcp: detail.tcp.take().map(Into::into),
            update_group: detail.update_group.take().map(Into::into),
            changes: detail.changes.take().map(Into::into).unwrap_or_default(),
            offers_received: std::mem::take(&mut detail.offers_received),
            offers_sent: std::mem::take(&mut detail.offers_sent),
        }
    }

    /// The ends of the session.
    pub(super) fn ends(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("sessions lost", Cell::new(self.lost_count)),
            (
                "connections",
                Cell::new(format_args!(
                    "{} dialled, {} in vain, {} one too many",
                    self.dials, self.dial_failures, self.collisions
                )),
            ),
            ("local router id", Cell::maybe(self.local_router_id.as_ref())),
            ("local port", Cell::maybe(self.local_port)),
            ("tcp", Cell::maybe(self.tcp.as_ref().map(TcpView::line))),
            ("own next hops", Cell::list(&self.own_next_hops)),
        ]
    }

    /// What has passed.
    pub(super) fn lines(&self) -> Vec<(&'static str, Cell)> {
        let families: Vec<_> = self.by_family.iter().map(FamilyView::summary).collect();
        let since_up = format_args!(
            "{} prefixes announced, {} withdrawn since the session is up",
            self.announced, self.withdrawn
        )
        .to_string();
        vec![
            ("routes by family", Cell::maybe((!families.is_empty()).then(|| families.join("; ")))),
            ("update group", Cell::maybe(self.update_group.as_ref().map(GroupView::line))),
            ("changes received", Cell::new(since_up)),
            ("changes of no effect", Cell::new(self.changes.idle())),
            (
                "changes sent",
                Cell::new(format_args!(
                    "{} prefixes announced, {} withdrawn since the session is up",
                    self.changes.sent_announced, self.changes.sent_withdrawn
                )),
            ),
            ("offers received", Cell::maybe(said(&self.offers_received))),
            ("offers sent", Cell::maybe(said(&self.offers_sent))),
            ("last message", Cell::new(self.last())),
        ]
    }

    /// How long ago the last error was, for the end of its line.
    pub(super) fn last_error(&self, what: Option<&String>) -> Cell {
        Cell::maybe(what.map(|what| match self.last_error_seconds {
            Some(seconds) => format!("{what}, {} ago", time::age(seconds)),
            None => what.clone(),
        }))
    }

    fn last(&self) -> String {
        let ago = |seconds: Option<u64>| seconds.map_or("never".to_owned(), |s| time::age(s) + " ago");
        let (received, sent) = (ago(self.last_received_seconds), ago(self.last_sent_seconds));
        format!("received {received}, sent {sent}, {} bytes wait", self.unsent_bytes)
    }
}

/// What each capability offers; `None` without an OPEN.
fn said(offers: &[String]) -> Option<String> {
    (!offers.is_empty()).then(|| offers.join("; "))
}

impl From<v1::RouteChanges> for ChangesView {
    fn from(changes: v1::RouteChanges) -> Self {
        Self {
            filtered: changes.filtered,
            looped: changes.looped,
            duplicates: changes.duplicates,
            unknown: changes.unknown,
            sent_announced: changes.sent_announced,
            sent_withdrawn: changes.sent_withdrawn,
        }
    }
}

impl ChangesView {
    /// What came and changed nothing.
    fn idle(&self) -> String {
        let Self { filtered, looped, duplicates, unknown, .. } = self;
        format!(
            "{filtered} filtered, {looped} looped, {duplicates} told already, {unknown} withdrawn that were not there"
        )
    }
}

impl From<v1::PeerFamily> for FamilyView {
    fn from(of: v1::PeerFamily) -> Self {
        Self {
            family: of.family().to_string(),
            received: of.received,
            accepted: of.accepted,
            filtered: of.filtered,
            rejected: of.rejected,
            advertised: of.advertised,
            best: of.best,
            end_of_rib: of.end_of_rib,
            end_of_rib_sent: of.end_of_rib_sent,
        }
    }
}

impl FamilyView {
    fn summary(&self) -> String {
        let Self {
            family,
            received,
            accepted,
            filtered,
            rejected,
            advertised,
            best,
            end_of_rib,
            end_of_rib_sent,
        } = self;
        let end = if *end_of_rib { "all told" } else { "no End-of-RIB yet" };
        let ended = if *end_of_rib_sent { " (all told)" } else { "" };
        format!(
            "{family} {received} received ({end}), {accepted} accepted, {best} best, {filtered} filtered, {rejected} rejected, {advertised} advertised{ended}"
        )
    }
}
