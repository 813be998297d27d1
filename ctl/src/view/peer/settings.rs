//! What is configured for a peer.

use api::v1;
use serde::Serialize;

use crate::view::Cell;

#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the configuration, read by name")]
pub(super) struct SettingsView {
    group: Option<String>,
    range: Option<String>,
    max_prefixes: MaxPrefixesView,
    tcp_md5_keys: u32,
    tcp_md5_key: u32,
    tcp_ao_keys: u32,
    ttl_security: Option<u32>,
    multihop: Option<u32>,
    passive: bool,
    source: Option<String>,
    port: u32,
    next_hop: String,
    route_reflector_client: bool,
    allow_own_asn: u32,
    as_override: bool,
    send_communities: Vec<String>,
    shutdown: Option<String>,
    pub(super) import_note: Option<String>,
    pub(super) export_note: Option<String>,
    runtime: bool,
    keepalive: Option<u32>,
    connect_retry: u32,
    idle_hold: u32,
    send_hold: Option<u32>,
}

#[derive(Debug, Serialize)]
struct MaxPrefixesView {
    limit: u32,
    warn: u32,
    action: String,
    restart: Option<u32>,
}

impl From<v1::PeerSettings> for SettingsView {
    fn from(settings: v1::PeerSettings) -> Self {
        Self {
            group: settings.group,
            range: settings.range,
            max_prefixes: MaxPrefixesView {
                limit: settings.max_prefixes,
                warn: settings.max_prefixes_warn,
                action: settings.max_prefixes_action,
                restart: settings.max_prefixes_restart,
            },
            tcp_md5_keys: settings.tcp_md5_keys,
            tcp_md5_key: settings.tcp_md5_key,
            tcp_ao_keys: settings.tcp_ao_keys,
            ttl_security: settings.ttl_security,
            multihop: settings.multihop,
            passive: settings.passive,
            source: settings.source,
            port: settings.port,
            next_hop: settings.next_hop,
            route_reflector_client: settings.route_reflector_client,
            allow_own_asn: settings.allow_own_asn,
            as_override: settings.as_override,
            send_communities: settings.send_communities,
            shutdown: settings.shutdown,
            import_note: settings.import_note,
            export_note: settings.export_note,
            runtime: settings.runtime,
            keepalive: settings.keepalive,
            connect_retry: settings.connect_retry,
            idle_hold: settings.idle_hold,
            send_hold: settings.send_hold,
        }
    }
}

impl SettingsView {
    pub(super) fn lines(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("kept in", Cell::new(if self.runtime { "the state directory" } else { "the configuration" })),
            ("group", Cell::maybe(self.group.as_ref())),
            ("dialled in from", Cell::maybe(self.range.as_ref())),
            ("max prefixes", Cell::new(self.max_prefixes.summary())),
            ("tcp authentication", Cell::new(self.authentication())),
            ("ttl security", Cell::maybe(self.ttl_security.map(hops))),
            ("multihop", Cell::maybe(self.multihop.map(hops))),
            ("dialling", Cell::new(self.dialling())),
            ("timers set", Cell::new(self.timers())),
            ("options", Cell::list(&self.options())),
            ("communities sent", Cell::list(&self.send_communities)),
            ("shutdown", Cell::maybe(self.shutdown.as_ref())),
        ]
    }

    fn authentication(&self) -> String {
        match (self.tcp_ao_keys, self.tcp_md5_keys, self.tcp_md5_key) {
            (0, 0, _) => "off".to_owned(),
            (0, keys, 0) => format!("MD5, {keys} configured, none in use"),
            (0, keys, key) => format!("MD5, {keys} configured, number {key} in use"),
            (keys, ..) => format!("AO, {keys} configured"),
        }
    }

    fn dialling(&self) -> String {
        let from = self.source.as_ref().map(|source| format!(" from {source}")).unwrap_or_default();
        if self.passive { "the peer dials".to_owned() } else { format!("port {}{from}", self.port) }
    }

    fn timers(&self) -> String {
        let set = |time: Option<u32>, else_: &str| time.map_or(else_.to_owned(), |time| format!("{time}s"));
        let keepalive = set(self.keepalive, "a third of the hold time");
        let (retry, idle) = (self.connect_retry, self.idle_hold);
        let send_hold = set(self.send_hold, "as RFC 9687 has it");
        format!("keepalive {keepalive}, connect retry {retry}s, idle hold {idle}s, send hold {send_hold}")
    }

    fn options(&self) -> Vec<String> {
        let mut options = vec![format!("next-hop-{}", self.next_hop)];
        options.extend(self.route_reflector_client.then(|| "route-reflector-client".to_owned()));
        options.extend(self.as_override.then(|| "as-override".to_owned()));
        options.extend((self.allow_own_asn > 0).then(|| format!("allow-own-as-{}", self.allow_own_asn)));
        options
    }
}

impl MaxPrefixesView {
    fn summary(&self) -> String {
        let Self { limit, warn, action, restart } = self;
        let restart = restart.map(|seconds| format!(", tried again after {seconds}s")).unwrap_or_default();
        format!("{limit} of a family, warning from {warn}, then {action}{restart}")
    }
}

fn hops(hops: u32) -> String {
    if hops == 1 { "1 hop".to_owned() } else { format!("{hops} hops") }
}
