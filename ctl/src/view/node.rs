//! Views of the node: status, findings, diagnostics, reload, drain.

use std::fmt;

use api::v1;
use serde::Serialize;

use super::{Cell, Column, Level, Row, Sheet, Tone, time};

/// The node's status.
#[derive(Debug, Serialize)]
pub(crate) struct StatusView {
    node: String,
    version: String,
    router_id: String,
    asn: Option<u32>,
    uptime_seconds: u64,
    protocols: Vec<ProtocolView>,
    alarms: Vec<AlarmView>,
    counts: CountsView,
    recovery: Vec<String>,
    nexthop_objects: String,
}

#[derive(Debug, Serialize)]
struct ProtocolView {
    protocol: String,
    state: String,
    neighbors: u32,
    neighbors_up: u32,
    routes: u64,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct AlarmView {
    id: String,
    severity: String,
    text: String,
    hint: String,
}

#[derive(Debug, Default, Serialize)]
struct CountsView {
    peers: u64,
    peers_established: u64,
    prefixes: u64,
    paths: u64,
    kernel_routes: u64,
    kernel_pending: u64,
    addresses: u64,
    policies: u64,
    nexthop_objects: u64,
    strangers_dropped: u64,
    strangers_closed: u64,
}

impl From<v1::NodeStatus> for StatusView {
    fn from(status: v1::NodeStatus) -> Self {
        Self {
            nexthop_objects: status.nexthop_objects().to_string(),
            node: status.node,
            version: status.version,
            router_id: status.router_id,
            asn: status.asn,
            uptime_seconds: status.uptime_seconds,
            protocols: status.protocols.into_iter().map(Into::into).collect(),
            alarms: status.alarms.into_iter().map(Into::into).collect(),
            counts: status.counts.map(Into::into).unwrap_or_default(),
            recovery: status.recovery,
        }
    }
}

impl From<v1::ProtocolSummary> for ProtocolView {
    fn from(summary: v1::ProtocolSummary) -> Self {
        Self {
            protocol: summary.protocol().to_string(),
            state: summary.state().to_string(),
            neighbors: summary.neighbors,
            neighbors_up: summary.neighbors_up,
            routes: summary.routes,
            reason: Some(summary.reason).filter(|reason| !reason.is_empty()),
        }
    }
}

impl From<v1::Alarm> for AlarmView {
    fn from(alarm: v1::Alarm) -> Self {
        Self { severity: alarm.severity().to_string(), id: alarm.id, text: alarm.text, hint: alarm.hint }
    }
}

impl From<v1::Counts> for CountsView {
    fn from(counts: v1::Counts) -> Self {
        Self {
            peers: counts.peers,
            peers_established: counts.peers_established,
            prefixes: counts.prefixes,
            paths: counts.paths,
            kernel_routes: counts.kernel_routes,
            kernel_pending: counts.kernel_pending,
            addresses: counts.addresses,
            policies: counts.policies,
            nexthop_objects: counts.nexthop_objects,
            strangers_dropped: counts.strangers_dropped,
            strangers_closed: counts.strangers_closed,
        }
    }
}

impl Sheet for StatusView {
    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let counts = &self.counts;
        let mut lines = vec![
            ("node", Cell::new(&self.node)),
            ("version", Cell::new(&self.version)),
            ("router id", Cell::new(&self.router_id)),
            ("as", Cell::maybe(self.asn)),
            ("uptime", Cell::new(time::age(self.uptime_seconds))),
        ];
        lines.extend(self.protocols.iter().map(|protocol| ("protocol", protocol.cell())));
        lines.extend([
            (
                "peers",
                Cell::new(format_args!("{} of {} established", counts.peers_established, counts.peers)),
            ),
            ("routes", Cell::new(format_args!("{} prefixes, {} paths", counts.prefixes, counts.paths))),
            (
                "kernel",
                Cell::new(format_args!("{} routes, {} pending", counts.kernel_routes, counts.kernel_pending)),
            ),
            (
                "nexthops",
                Cell::new(format_args!("{}, {} objects", self.nexthop_objects, counts.nexthop_objects)),
            ),
            ("addresses", Cell::new(counts.addresses)),
            ("policies", Cell::new(counts.policies)),
        ]);
        if self.asn.is_some() {
            let strangers =
                format!("{} dropped, {} closed", counts.strangers_dropped, counts.strangers_closed);
            lines.push(("strangers", Cell::new(strangers)));
        }
        lines.extend(self.recovery.iter().map(|note| ("recovery", Cell::new(note))));
        lines.extend(self.alarms.iter().map(|alarm| ("alarm", alarm.cell())));
        if self.alarms.is_empty() {
            lines.push(("alarms", Cell::new("none").tone(Tone::Good)));
        }
        lines
    }
}

impl ProtocolView {
    fn cell(&self) -> Cell {
        let Self { protocol, state, neighbors, neighbors_up, routes, reason } = self;
        let (text, tone) = match (state.as_str(), reason) {
            ("running", _) if *neighbors == 0 => {
                (format!("{protocol} running, {routes} routes"), Tone::Plain)
            }
            ("running", _) => (
                format!("{protocol} running, {neighbors_up} of {neighbors} up, {routes} routes"),
                Tone::Plain,
            ),
            (state, Some(reason)) => (format!("{protocol} {state}: {reason}"), tone_of_state(state)),
            (state, None) => (format!("{protocol} {state}"), tone_of_state(state)),
        };
        Cell::new(text).tone(tone)
    }
}

fn tone_of_state(state: &str) -> Tone {
    if state == "failed" { Tone::Bad } else { Tone::Dim }
}

fn tone_of_severity(severity: &str) -> Tone {
    match severity {
        "ok" => Tone::Good,
        "warning" => Tone::Fair,
        "error" => Tone::Bad,
        _ => Tone::Plain,
    }
}

impl AlarmView {
    fn cell(&self) -> Cell {
        let Self { id, severity, text, hint } = self;
        let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
        Cell::new(format_args!("{severity} {id}: {text}{hint}")).tone(tone_of_severity(severity))
    }
}

/// What a check found.
#[derive(Debug, Serialize)]
pub(crate) struct FindingView {
    id: String,
    severity: String,
    finding: String,
    evidence: String,
    cure: String,
    fixable: bool,
}

impl From<v1::Finding> for FindingView {
    fn from(finding: v1::Finding) -> Self {
        Self {
            severity: finding.severity().to_string(),
            id: finding.id,
            finding: finding.finding,
            evidence: finding.evidence,
            cure: finding.cure,
            fixable: finding.fixable,
        }
    }
}

impl Row for FindingView {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text(Level::Short, "SEVERITY", |f| {
            Cell::new(&f.severity).tone(tone_of_severity(&f.severity))
        }),
        Column::text(Level::Short, "ID", |f| Cell::new(&f.id)),
        Column::text(Level::Short, "FINDING", |f| Cell::new(&f.finding)),
        Column::text(Level::Short, "EVIDENCE", |f| Cell::new(&f.evidence)),
        Column::text(Level::Short, "CURE", |f| Cell::new(&f.cure)),
    ];
}

/// A remark on a text; `FILE:LINE:COL: severity: object: text; hint`.
#[derive(Debug, Serialize)]
pub(crate) struct DiagnosticView {
    severity: String,
    file: String,
    line: Option<u32>,
    column: Option<u32>,
    object: String,
    text: String,
    hint: String,
}

impl From<v1::Diagnostic> for DiagnosticView {
    fn from(diagnostic: v1::Diagnostic) -> Self {
        Self {
            severity: diagnostic.severity().to_string(),
            file: diagnostic.file,
            line: diagnostic.line,
            column: diagnostic.column,
            object: diagnostic.object,
            text: diagnostic.text,
            hint: diagnostic.hint,
        }
    }
}

impl fmt::Display for DiagnosticView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        for place in [self.line, self.column].into_iter().flatten() {
            write!(f, "{place}:")?;
        }
        write!(f, " {}: ", self.severity)?;
        if !self.object.is_empty() {
            write!(f, "{}: ", self.object)?;
        }
        f.write_str(&self.text)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "; {}", self.hint) }
    }
}

/// What a reload did.
#[derive(Debug, Serialize)]
pub(crate) struct ReloadView {
    pub(crate) applied: bool,
    pub(crate) changes: Vec<String>,
    pub(crate) diagnostics: Vec<DiagnosticView>,
}

impl ReloadView {
    /// The changes, a line each.
    pub(crate) fn text(&self) -> String {
        match (self.applied, self.changes.is_empty()) {
            (false, _) => String::new(),
            (true, true) => "nothing changed\n".into(),
            (true, false) => self.changes.join("\n") + "\n",
        }
    }
}

/// What a drain or an undrain did.
#[derive(Debug, Serialize)]
pub(crate) struct DrainView {
    pub(crate) draining: bool,
    pub(crate) outcome: String,
    pub(crate) told: bool,
}

impl fmt::Display for DrainView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.draining { "drained" } else { "not drained" };
        write!(f, "{state} ({})", self.outcome)?;
        f.write_str(if self.told {
            "; the neighbours have been told"
        } else {
            "; not every neighbour has been told yet, routed goes on"
        })
    }
}
