//! `max_prefixes`: how many prefixes a peer may send, and what happens then.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::config::defaults;
use crate::config::diagnostic::Findings;
use crate::config::reader::{FromToml, Section};
use toml::de::DeValue;

/// `max_prefixes` of a peer: a number, or a table. It counts each family on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPrefixes {
    /// The most prefixes of one family.
    pub limit: u32,
    /// From which percentage of the limit a warning is logged.
    pub warn: u8,
    /// What happens beyond the limit.
    pub action: AtLimit,
    /// After how long a session that was shut is tried again; `None`: when
    /// the operator says so.
    pub restart: Option<Duration>,
}

/// What happens when a peer sends more than it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AtLimit {
    /// A line in the log, and the prefixes are taken.
    Warn,
    /// What is beyond the limit is not taken.
    Discard,
    /// The session ends with Cease/1 (RFC 4486 §4).
    #[default]
    Shut,
}

impl AtLimit {
    /// The word of the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Discard => "discard",
            Self::Shut => "shut",
        }
    }
}

impl Default for MaxPrefixes {
    fn default() -> Self {
        Self {
            limit: defaults::MAX_PREFIXES,
            warn: defaults::MAX_PREFIXES_WARN,
            action: AtLimit::Shut,
            restart: None,
        }
    }
}

impl MaxPrefixes {
    /// From how many prefixes on a warning is logged.
    pub fn warn_from(&self) -> usize {
        usize::try_from(u64::from(self.limit) * u64::from(self.warn) / 100).unwrap_or(usize::MAX)
    }
}

pub(super) fn read(section: &mut Section<'_>, findings: &mut Findings<'_>) -> MaxPrefixes {
    let mut max = MaxPrefixes::default();
    if !section.is_table("max_prefixes") {
        max.limit = section.get("max_prefixes", findings).unwrap_or(max.limit);
        return max;
    }
    let Some(mut table) = section.section("max_prefixes", findings) else { return max };
    if let Some(limit) = table.required::<u32>("limit", findings) {
        max.limit = limit.value;
    }
    if let Some(warn) = table.located::<u8>("warn", findings) {
        if !(1..=100).contains(&warn.value) {
            findings
                .error(&warn.span, "max_prefixes.warn: a percentage of the limit from 1 to 100 is expected");
        }
        max.warn = warn.value;
    }
    max.action = table.get("action", findings).unwrap_or_default();
    if let Some(restart) = table.located::<Duration>("restart", findings) {
        if max.action != AtLimit::Shut {
            findings.warning(&restart.span, "max_prefixes.restart: nothing is shut, so nothing starts again");
        }
        max.restart = Some(restart.value.max(Duration::from_secs(1)));
    }
    table.finish(findings);
    max
}

impl FromToml for AtLimit {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let known = [Self::Warn, Self::Discard, Self::Shut];
        let found = known.into_iter().find(|action| value.as_str() == Some(action.word()));
        found.ok_or_else(|| "\"warn\", \"discard\" or \"shut\" is expected".to_owned())
    }
}

impl Serialize for MaxPrefixes {
    /// A number where only the number was said.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        if *self == (Self { limit: self.limit, ..Self::default() }) {
            return serializer.serialize_u32(self.limit);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("limit", &self.limit)?;
        map.serialize_entry("warn", &self.warn)?;
        map.serialize_entry("action", &self.action)?;
        if let Some(restart) = self.restart {
            map.serialize_entry("restart", &restart.as_secs())?;
        }
        map.end()
    }
}
