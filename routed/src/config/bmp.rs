//! `[[bmp]]`: collectors that are shown the sessions and their routes.

use std::net::SocketAddr;
use std::time::Duration;

use monitor::bmp::Rib;
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::diagnostic::Findings;
use super::print;
use super::reader::{FromToml, Section};

/// One `[[bmp]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bmp {
    /// Where it listens.
    pub collector: SocketAddr,
    /// What it is shown.
    #[serde(serialize_with = "names")]
    pub monitor: Vec<Rib>,
    /// How often it gets statistics; `None`: never.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "print::optional_seconds")]
    pub statistics: Option<Duration>,
}

/// The words of the file for what is shown.
const NAMES: [(&str, Rib); 5] = [
    ("pre-policy", Rib::AdjInPre),
    ("post-policy", Rib::AdjInPost),
    ("loc-rib", Rib::Loc),
    ("adj-rib-out-pre", Rib::AdjOutPre),
    ("adj-rib-out", Rib::AdjOutPost),
];

/// The word of the file for it.
pub(crate) fn name_of(rib: Rib) -> &'static str {
    NAMES.iter().find(|(_, other)| *other == rib).map_or("", |(name, _)| name)
}

impl FromToml for Rib {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| value.as_str() == Some(name));
        found.map(|(_, rib)| *rib).ok_or_else(|| {
            "\"pre-policy\", \"post-policy\", \"loc-rib\", \"adj-rib-out-pre\" or \"adj-rib-out\" is expected"
                .to_owned()
        })
    }
}

fn names<S: Serializer>(ribs: &[Rib], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ribs.iter().map(|rib| name_of(*rib)))
}

/// `speaks`: the node speaks BGP.
pub(super) fn read(top: &mut Section<'_>, speaks: bool, findings: &mut Findings<'_>) -> Vec<Bmp> {
    let mut list: Vec<Bmp> = Vec::new();
    for mut section in top.sections("bmp", findings) {
        if !speaks {
            findings.error(&section.span, "[[bmp]] shows BGP sessions and there is no [bgp]; add one");
        }
        let collector = section.required::<SocketAddr>("collector", findings);
        let ribs = section.list::<Rib>("monitor", findings);
        let mut monitor: Vec<Rib> = Vec::new();
        for rib in ribs.iter().flatten() {
            if monitor.contains(&rib.value) {
                findings
                    .error(&rib.span, format!("bmp.monitor has {:?} twice; keep one", name_of(rib.value)));
            } else {
                monitor.push(rib.value);
            }
        }
        if ribs.is_none() {
            monitor = vec![Rib::AdjInPre, Rib::AdjInPost];
        } else if monitor.is_empty() {
            findings
                .error(&section.span, "bmp.monitor is empty; name what is to be shown, or remove the key");
        }
        let statistics = section.get::<Duration>("statistics", findings).filter(|every| !every.is_zero());
        if let Some(collector) = collector {
            if list.iter().any(|other| other.collector == collector.value) {
                let message = format!("[[bmp]] has the collector {} twice; keep one", collector.value);
                findings.error(&collector.span, message);
            }
            list.push(Bmp { collector: collector.value, monitor, statistics });
        }
        section.finish(findings);
    }
    list
}
