//! `--print-config`: the effective configuration as TOML.

use std::time::Duration;

use rib::filter;
use serde::{Serialize, Serializer};

use super::rip::Passive;
use super::{Config, SendCommunities};

impl Config {
    /// The configuration as a TOML file that means the same; keys are named
    /// by their files, never shown.
    ///
    /// The built-in filters stand at the end, as comments: what they let pass
    /// depends on the pools.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        Ok(toml::to_string(self)? + &self.built_in())
    }

    fn built_in(&self) -> String {
        let pools: Vec<String> = self
            .cluster
            .pools
            .iter()
            .map(|pool| format!("\"{pool} le {}\"", pool.family().max_length()))
            .collect();
        let rules = [
            (filter::CLUSTER_ONLY, format!("{{ prefix = [{}], action = \"accept\" }}", pools.join(", "))),
            (filter::LOCAL_ONLY, "{ protocol = \"local\", action = \"accept\" }".to_owned()),
            ("accept-all", "{ action = \"accept\" }".to_owned()),
            ("reject-all", "{ action = \"reject\" }".to_owned()),
        ];
        let mut text =
            "\n# Built in; cluster-only is the default of import, local-only that of export.\n".to_owned();
        for (name, rule) in rules {
            if !self.filters.iter().any(|filter| &*filter.filter.name == name) {
                text.extend(["# [[filter]]\n# name = \"", name, "\"\n# rules = [ ", &rule, " ]\n"]);
            }
        }
        text
    }
}

pub(super) fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

/// True for the port that need not be said.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
pub(super) fn usual_port(port: &u16) -> bool {
    *port == super::defaults::BGP_PORT
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

pub(super) fn passive<S: Serializer>(passive: &Passive, serializer: S) -> Result<S::Ok, S::Error> {
    match passive {
        Passive::No => serializer.serialize_bool(false),
        Passive::Yes => serializer.serialize_bool(true),
        Passive::On(names) => serializer.collect_seq(names),
    }
}

/// A moment as a TOML date-time.
#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
pub(super) fn moment<S: Serializer>(moment: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    let timestamp =
        moment.and_then(|seconds| jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    let Some(timestamp) = timestamp else { return serializer.serialize_none() };
    match timestamp.to_string().parse::<toml::value::Datetime>() {
        Ok(moment) => moment.serialize(serializer),
        Err(error) => Err(serde::ser::Error::custom(error)),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
pub(super) fn send_communities<S: Serializer>(
    sent: &SendCommunities,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let SendCommunities { standard, extended, large } = *sent;
    if (standard, extended, large) == (true, true, true) {
        return serializer.serialize_bool(true);
    }
    let kinds = [(standard, "standard"), (extended, "extended"), (large, "large")];
    serializer.collect_seq(kinds.iter().filter(|(sent, _)| *sent).map(|(_, kind)| kind))
}
