//! `--print-config`: the effective configuration as TOML.

use std::time::Duration;

use serde::Serializer;

use super::Config;

impl Config {
    /// The configuration as a TOML file that means the same; keys are named
    /// by their files, never shown.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

pub(super) fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
pub(super) fn optional_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => seconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}
