//! What the two OPENs of a session agreed on.

use api::v1;
use serde::Serialize;

use super::words;
use crate::view::Cell;

/// What was agreed on.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "one for each capability, read by name")]
pub(super) struct NegotiatedView {
    hold_time: u32,
    keepalive: u32,
    families: Vec<String>,
    four_octet_asn: bool,
    route_refresh: bool,
    enhanced_route_refresh: bool,
    extended_messages: bool,
    graceful_restart: Option<GracefulRestartView>,
    add_path_receive: Vec<String>,
    add_path_send: Vec<String>,
    extended_next_hop: bool,
    role: Option<String>,
    peer_role: Option<String>,
    long_lived: Vec<LongLivedView>,
    graceful_notification: bool,
}

#[derive(Debug, Serialize)]
struct LongLivedView {
    family: String,
    time: u32,
    forwarding_preserved: bool,
}

#[derive(Debug, Serialize)]
struct GracefulRestartView {
    time: u32,
    restarting: bool,
    notification: bool,
    families: Vec<String>,
    forwarding_preserved: Vec<String>,
}

impl From<v1::Negotiated> for NegotiatedView {
    fn from(negotiated: v1::Negotiated) -> Self {
        Self {
            families: words(negotiated.families()),
            add_path_receive: words(negotiated.add_path_receive()),
            add_path_send: words(negotiated.add_path_send()),
            hold_time: negotiated.hold_time,
            keepalive: negotiated.keepalive,
            four_octet_asn: negotiated.four_octet_asn,
            route_refresh: negotiated.route_refresh,
            enhanced_route_refresh: negotiated.enhanced_route_refresh,
            extended_messages: negotiated.extended_messages,
            extended_next_hop: negotiated.extended_next_hop,
            role: negotiated.role,
            peer_role: negotiated.peer_role,
            graceful_notification: negotiated.graceful_notification,
            long_lived: negotiated
                .long_lived
                .iter()
                .map(|long| LongLivedView {
                    family: long.family().to_string(),
                    time: long.time,
                    forwarding_preserved: long.forwarding_preserved,
                })
                .collect(),
            graceful_restart: negotiated.graceful_restart.map(|restart| GracefulRestartView {
                families: words(restart.families()),
                forwarding_preserved: words(restart.forwarding_preserved()),
                time: restart.time,
                restarting: restart.restarting,
                notification: restart.notification,
            }),
        }
    }
}

impl NegotiatedView {
    /// The lines of it.
    pub(super) fn lines(&self) -> Vec<(&'static str, Cell)> {
        let switches = [
            ("four-octet-as", self.four_octet_asn),
            ("route-refresh", self.route_refresh),
            ("enhanced-route-refresh", self.enhanced_route_refresh),
            ("extended-messages", self.extended_messages),
            ("extended-next-hop", self.extended_next_hop),
        ];
        let on: Vec<_> = switches.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        let restart = self.graceful_restart.as_ref();
        vec![
            ("negotiated", Cell::list(&on)),
            ("negotiated families", Cell::list(&self.families)),
            (
                "negotiated hold",
                Cell::new(format_args!("hold {}s, keepalive {}s", self.hold_time, self.keepalive)),
            ),
            ("graceful restart", Cell::maybe(restart.map(|restart| self.restart(restart)))),
            (
                "long-lived restart",
                Cell::list(&self.long_lived.iter().map(LongLivedView::summary).collect::<Vec<_>>()),
            ),
            ("add-path", Cell::list(&self.add_path())),
            ("role", Cell::maybe(self.role.as_ref().map(|role| self.roles(role)))),
        ]
    }

    fn restart(&self, restart: &GracefulRestartView) -> String {
        let kept = if self.graceful_notification { ", over NOTIFICATION too" } else { "" };
        let restarting = if restart.restarting { ", it has just restarted" } else { "" };
        let families = match restart.families.join(",") {
            none if none.is_empty() => "no families".to_owned(),
            families => format!("families {families}"),
        };
        let preserved = match restart.forwarding_preserved.join(",") {
            none if none.is_empty() => String::new(),
            families => format!(", preserved {families}"),
        };
        format!("{}s, {families}{preserved}{kept}{restarting}", restart.time)
    }

    fn roles(&self, ours: &str) -> String {
        format!("{ours}, the peer {}", self.peer_role.as_deref().unwrap_or("has told none"))
    }

    fn add_path(&self) -> Vec<String> {
        let ways = [("receive", &self.add_path_receive), ("send", &self.add_path_send)];
        let used = ways.iter().filter(|(_, families)| !families.is_empty());
        used.map(|(way, families)| format!("{way} {}", families.join("+"))).collect()
    }
}

impl LongLivedView {
    fn summary(&self) -> String {
        format!("{} {}s", self.family, self.time)
    }
}
