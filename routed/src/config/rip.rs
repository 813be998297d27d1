//! `[rip]`: RIPv2, and RIPng beside it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use toml::de::DeValue;

use super::bfd::{self, Bfd};
use super::bgp::filter_name;
use super::diagnostic::Findings;
use super::file::{guard_key, read_file, values};
use super::reader::{FromToml, Section};
use super::{NamedFilter, Secret, print};

/// `[rip]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rip {
    /// The interfaces that it runs on; empty: that of the default route.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// `RIPng` as well, for IPv6.
    pub ng: bool,
    /// How many equal next hops share the traffic of a prefix.
    pub multipath: u8,
    /// The name of the filter that routes from neighbours pass.
    pub import: String,
    /// The name of the filter that routes to neighbours pass.
    pub export: String,
    /// The administrative distance of what is learned.
    pub distance: u8,
    /// The most routes that are taken of one neighbour.
    pub max_routes_per_neighbor: u32,
    /// How to speak, where an interface has nothing of its own.
    #[serde(flatten)]
    pub settings: RipSettings,
    /// How to speak on single interfaces, all of it: what a table leaves out
    /// is as above.
    #[serde(rename = "interface", skip_serializing_if = "BTreeMap::is_empty")]
    pub interface: BTreeMap<String, RipSettings>,
    /// BFD watches the path to each neighbour; `None`: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<Bfd>,
}

/// How to speak on an interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RipSettings {
    /// The period of regular updates.
    #[serde(serialize_with = "print::seconds")]
    pub update: Duration,
    /// A route that is not heard for so long is lost.
    #[serde(serialize_with = "print::seconds")]
    pub timeout: Duration,
    /// A lost route is told as unreachable for so long.
    #[serde(serialize_with = "print::seconds")]
    pub garbage: Duration,
    /// Neighbours to speak to by unicast instead of the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neighbors: Vec<IpAddr>,
    /// Listen only.
    #[serde(serialize_with = "print::passive")]
    pub passive: Passive,
    /// What is not told where it was heard.
    pub split_horizon: SplitHorizon,
    /// What is added to the metric of routes heard, besides 1 for the link.
    pub offset_in: u8,
    /// What is added to the metric of routes told.
    pub offset_out: u8,
    /// How packets are authenticated; RIPv2 only (RFC 2080 §3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<RipAuth>,
}

/// On which interfaces RIP only listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Passive {
    /// It speaks.
    #[default]
    No,
    /// It listens.
    Yes,
    /// It listens on these.
    On(Vec<String>),
}

impl Passive {
    /// Whether RIP only listens on an interface.
    pub fn holds_for(&self, interface: &str) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::On(names) => names.iter().any(|name| name == interface),
        }
    }
}

/// What is not told where it was heard (RFC 2453 §3.4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitHorizon {
    /// Told as unreachable.
    #[default]
    Poison,
    /// Not told.
    Simple,
    /// Told as anything else.
    Off,
}

/// How packets are authenticated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RipAuth {
    /// The mode.
    pub mode: AuthMode,
    /// The keys.
    pub keys: Vec<RipKey>,
}

/// The ways to authenticate RIPv2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// Readable by all on the link (RFC 2453 §4.1).
    Text,
    /// RFC 2082.
    KeyedMd5,
    /// RFC 4822.
    #[serde(rename = "hmac-sha-1")]
    HmacSha1,
    /// RFC 4822.
    #[serde(rename = "hmac-sha-256")]
    HmacSha256,
    /// RFC 4822.
    #[serde(rename = "hmac-sha-384")]
    HmacSha384,
    /// RFC 4822.
    #[serde(rename = "hmac-sha-512")]
    HmacSha512,
}

/// A key and when it holds, in seconds since 1970; `None`: always.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RipKey {
    /// Its number.
    pub id: u8,
    /// The file that it is in.
    pub key_file: PathBuf,
    /// The key, read from the file; never printed.
    #[serde(skip)]
    pub secret: Option<Secret>,
    /// Used for sending from then on.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "print::moment")]
    pub send_from: Option<u64>,
    /// And until then.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "print::moment")]
    pub send_until: Option<u64>,
    /// Accepted from then on.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "print::moment")]
    pub accept_from: Option<u64>,
    /// And until then.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "print::moment")]
    pub accept_until: Option<u64>,
}

impl Default for RipSettings {
    fn default() -> Self {
        Self {
            update: Duration::from_secs(30),
            timeout: Duration::from_secs(180),
            garbage: Duration::from_secs(120),
            neighbors: Vec::new(),
            passive: Passive::No,
            split_horizon: SplitHorizon::Poison,
            offset_in: 0,
            offset_out: 0,
            auth: None,
        }
    }
}

impl Default for Rip {
    /// What runs without a configuration: on the interface of the default
    /// route, inside the pools, what this node owns.
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            ng: true,
            multipath: super::defaults::MULTIPATH,
            import: "cluster-only".to_owned(),
            export: "local-only".to_owned(),
            distance: 120,
            max_routes_per_neighbor: super::defaults::MAX_PREFIXES,
            settings: RipSettings::default(),
            interface: BTreeMap::new(),
            bfd: None,
        }
    }
}

impl Rip {
    /// How to speak on an interface.
    pub fn settings_of(&self, interface: &str) -> &RipSettings {
        self.interface.get(interface).unwrap_or(&self.settings)
    }

    /// The longest time for which anything that was heard holds.
    pub fn longest_timeout(&self) -> Duration {
        let own = self.interface.values().map(|settings| settings.timeout);
        own.fold(self.settings.timeout, Duration::max)
    }
}

pub(super) fn read(
    top: &mut Section<'_>,
    filters: &[NamedFilter],
    bfd: &Bfd,
    findings: &mut Findings<'_>,
) -> Option<Rip> {
    let mut section = top.section("rip", findings)?;
    let defaults = Rip::default();
    if let Some(version) = section.located::<u8>("version", findings)
        && version.value != 2
    {
        findings.error(
            &version.span,
            "rip.version: only version 2 is spoken; version 1 has neither masks nor keys",
        );
    }
    let settings = settings(&mut section, &RipSettings::default(), findings);
    let mut interface = BTreeMap::new();
    if let Some(tables) = section.section("interface", findings) {
        for (name, mut table) in tables.into_sections(findings) {
            interface.insert(name, self::settings(&mut table, &settings, findings));
            table.finish(findings);
        }
    }
    let rip = Rip {
        interfaces: section.list("interfaces", findings).map(values).unwrap_or_default(),
        ng: section.get("ng", findings).unwrap_or(defaults.ng),
        multipath: section.get("multipath", findings).unwrap_or(defaults.multipath).max(1),
        import: filter_name(&mut section, "import", &defaults.import, filters, findings),
        export: filter_name(&mut section, "export", &defaults.export, filters, findings),
        distance: section.get("distance", findings).unwrap_or(defaults.distance).max(1),
        max_routes_per_neighbor: section
            .get("max_routes_per_neighbor", findings)
            .unwrap_or(defaults.max_routes_per_neighbor),
        settings,
        interface,
        bfd: bfd::wanted(&mut section, bfd, findings),
    };
    section.finish(findings);
    Some(rip)
}

fn settings(section: &mut Section<'_>, base: &RipSettings, findings: &mut Findings<'_>) -> RipSettings {
    let span = section.span.clone();
    let mut seconds = |key, default| section.get::<Duration>(key, findings).unwrap_or(default);
    let (update, timeout) = (seconds("update", base.update), seconds("timeout", base.timeout));
    let garbage = seconds("garbage", base.garbage);
    if update.is_zero() || timeout <= update || garbage.is_zero() {
        findings.error(&span, "rip: update and garbage are at least 1 s, and timeout is longer than update");
    }
    let mut offset = |key, default| match section.located::<u8>(key, findings) {
        Some(offset) if offset.value > 15 => {
            findings.error(&offset.span, format!("rip.{key}: at most 15, because 16 is unreachable"));
            default
        }
        Some(offset) => offset.value,
        None => default,
    };
    RipSettings {
        update,
        timeout,
        garbage,
        offset_in: offset("offset_in", base.offset_in),
        offset_out: offset("offset_out", base.offset_out),
        neighbors: section.list("neighbors", findings).map_or_else(|| base.neighbors.clone(), values),
        passive: section.get("passive", findings).unwrap_or_else(|| base.passive.clone()),
        split_horizon: section.get("split_horizon", findings).unwrap_or(base.split_horizon),
        auth: auth(section, findings).or_else(|| base.auth.clone()),
    }
}

fn auth(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Option<RipAuth> {
    let mut table = section.section("auth", findings)?;
    let mode = table.required::<AuthMode>("mode", findings);
    let mut keys = Vec::new();
    for mut key in table.sections("keys", findings) {
        let id = key.required::<u8>("id", findings);
        keys.extend(read_key(&mut key, id.map_or(1, |id| id.value), findings));
        key.finish(findings);
    }
    if keys.is_empty() {
        let id = table.get("key_id", findings).unwrap_or(1);
        keys.extend(read_key(&mut table, id, findings));
    }
    let mut ids: Vec<u8> = keys.iter().map(|key| key.id).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        findings.error(&table.span, "auth.keys: two keys have the same id; give each its own");
    }
    table.finish(findings);
    Some(RipAuth { mode: mode?.value, keys })
}

fn read_key(section: &mut Section<'_>, id: u8, findings: &mut Findings<'_>) -> Option<RipKey> {
    let file = section.required::<PathBuf>("key_file", findings)?;
    guard_key(&file, findings);
    let secret = match read_file(&file.value) {
        Ok(mut key) => {
            while key.last().is_some_and(u8::is_ascii_whitespace) {
                key.pop();
            }
            if key.is_empty() {
                findings.error(
                    &file.span,
                    format!("{}: the key file is empty; write the key into it", file.value.display()),
                );
            }
            Some(Secret::new(key))
        }
        Err(message) => {
            findings.error(&file.span, format!("key_file: {message}"));
            None
        }
    };
    let mut moment = |key| section.get::<Moment>(key, findings).map(|moment| moment.0);
    Some(RipKey {
        id,
        key_file: file.value,
        secret,
        send_from: moment("send_from"),
        send_until: moment("send_until"),
        accept_from: moment("accept_from"),
        accept_until: moment("accept_until"),
    })
}

/// A moment in seconds since 1970, written as a TOML date-time with an offset.
struct Moment(u64);

impl FromToml for Moment {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let expected = || "a moment is expected; write 2027-01-01T00:00:00Z".to_owned();
        let text = value.as_datetime().ok_or_else(expected)?.to_string();
        let moment: jiff::Timestamp = text.parse().map_err(|_| expected())?;
        u64::try_from(moment.as_second()).map(Self).map_err(|_| expected())
    }
}

impl FromToml for AuthMode {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("text") => Ok(Self::Text),
            Some("keyed-md5") => Ok(Self::KeyedMd5),
            Some("hmac-sha-1") => Ok(Self::HmacSha1),
            Some("hmac-sha-256") => Ok(Self::HmacSha256),
            Some("hmac-sha-384") => Ok(Self::HmacSha384),
            Some("hmac-sha-512") => Ok(Self::HmacSha512),
            _ => {
                Err("\"hmac-sha-256\" (or -1, -384, -512), \"keyed-md5\" or \"text\" is expected".to_owned())
            }
        }
    }
}

impl FromToml for SplitHorizon {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("poison") => Ok(Self::Poison),
            Some("simple") => Ok(Self::Simple),
            Some("off") => Ok(Self::Off),
            _ => Err("\"poison\", \"simple\" or \"off\" is expected".to_owned()),
        }
    }
}

impl FromToml for Passive {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Boolean(true) => Ok(Self::Yes),
            DeValue::Boolean(false) => Ok(Self::No),
            DeValue::Array(names) => names
                .iter()
                .map(|name| String::from_toml(name.get_ref()))
                .collect::<Result<_, _>>()
                .map(Self::On),
            _ => Err("true, false or a list of interfaces is expected".to_owned()),
        }
    }
}
