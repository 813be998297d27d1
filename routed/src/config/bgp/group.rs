//! `[[bgp.group]]`: keys that several peers have in common.
//!
//! A group is keys and nothing else. A peer that names it is read as if the
//! group's keys stood in its own table, those that it has itself excepted. So
//! the rest of the daemon knows no groups.

use std::net::IpAddr;

use net::PeerAs;

use super::Around;
use crate::config::diagnostic::Findings;
use crate::config::reader::Section;

/// The groups of the file, as they stand there.
pub(super) struct Groups<'i>(Vec<(String, Section<'i>)>);

impl<'i> Groups<'i> {
    pub(super) fn read(bgp: &mut Section<'i>, findings: &mut Findings<'_>) -> Self {
        let mut groups: Vec<(String, Section<'i>)> = Vec::new();
        for mut group in bgp.sections("group", findings) {
            let Some(name) = group.required::<String>("name", findings) else { continue };
            if groups.iter().any(|(other, _)| *other == name.value) {
                findings.error(&name.span, format!("group {:?} stands twice; keep one", name.value));
            } else {
                groups.push((name.value, group));
            }
        }
        Self(groups)
    }

    /// Finds what is wrong with groups, also with those that no peer names.
    pub(super) fn check(&self, around: Around<'_, '_>, findings: &mut Findings<'_>) {
        for (_, group) in &self.0 {
            let mut group = group.clone();
            let asn = group.get::<PeerAs>("asn", findings);
            group.get::<IpAddr>("source", findings);
            super::settings(group, asn, around, findings);
        }
    }

    /// Gives a peer the keys of the group that it names; returns the name.
    pub(super) fn inherit(&self, peer: &mut Section<'i>, findings: &mut Findings<'_>) -> Option<String> {
        let name = peer.located::<String>("group", findings)?;
        if let Some((_, group)) = self.0.iter().find(|(known, _)| *known == name.value) {
            peer.inherit(group);
        } else {
            let known: Vec<&str> = self.0.iter().map(|(known, _)| known.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("group: there is no [[bgp.group]] {:?}; there are {known}", name.value);
            findings.error(&name.span, message);
        }
        Some(name.value)
    }
}
