//! `[bfd]`, and `bfd` where a protocol asks for it.

use std::num::NonZeroU8;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use bfd::Interval;
use bfd::auth::{Auth, Mode};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::diagnostic::Findings;
use super::file::{guard_key, read_file};
use super::reader::{FromToml, Section, Switch};

/// How BFD speaks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bfd {
    /// The least interval between packets, in both directions.
    #[serde(rename = "interval_ms", serialize_with = "milliseconds")]
    pub interval: Interval,
    /// After how many missing packets the other end is lost.
    pub multiplier: NonZeroU8,
    /// The least TTL of packets that come over routers (RFC 5883); `None`:
    /// there is no router between (RFC 5881).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_ttl: Option<u8>,
    /// How packets are authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<BfdAuth>,
}

/// How BFD packets are authenticated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BfdAuth {
    /// The mode.
    #[serde(serialize_with = "mode_name")]
    pub mode: Mode,
    /// Where the keys are; the first one signs.
    pub keys: Vec<BfdKey>,
    /// The keys themselves; never printed.
    #[serde(skip)]
    pub auth: Auth,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BfdKey {
    /// Its number, the same at both ends.
    pub id: u8,
    /// The file that it is in.
    pub key_file: PathBuf,
}

impl Default for Bfd {
    fn default() -> Self {
        let interval = Interval::new(Duration::from_millis(100)).unwrap_or(Interval::LEAST);
        Self { interval, multiplier: NonZeroU8::MIN.saturating_add(2), minimum_ttl: None, auth: None }
    }
}

impl Bfd {
    /// The settings in the words of the machine.
    pub fn machine(&self) -> bfd::Config {
        bfd::Config {
            interval: self.interval,
            multiplier: self.multiplier,
            least_ttl: self.minimum_ttl.unwrap_or(bfd::dispatch::TTL),
            auth: self.auth.as_ref().map(|auth| auth.auth.clone()),
        }
    }

    /// Over routers, where the peer is allowed to be several hops away or a
    /// least TTL is named. Where keys keep strangers out, any TTL will do: not
    /// every sender begins at 255.
    pub(super) fn over(self, hops: Option<u8>, span: &Range<usize>, findings: &mut Findings<'_>) -> Self {
        let least = |hops: u8| if self.auth.is_some() { 1 } else { u8::MAX - (hops - 1) };
        let of_hops = hops.filter(|hops| *hops > 1).map(least);
        let minimum_ttl = self.minimum_ttl.or(of_hops);
        if minimum_ttl.is_some() && self.auth.is_none() {
            let message = "bfd: over routers anybody can send packets that end the session; \
                           set bfd.auth at both ends (RFC 5883 §6)";
            findings.warning(span, message);
        }
        Self { minimum_ttl, ..self }
    }
}

/// `[bfd]`: what holds where a protocol says `bfd = true`.
pub(super) fn read(top: &mut Section<'_>, findings: &mut Findings<'_>) -> Bfd {
    let section = top.section("bfd", findings);
    section.map_or_else(Bfd::default, |section| settings(section, &Bfd::default(), findings))
}

/// `bfd` of RIP: true, false or a table.
pub(super) fn wanted(section: &mut Section<'_>, base: &Bfd, findings: &mut Findings<'_>) -> Option<Bfd> {
    match section.switch("bfd", findings)? {
        Switch::Flag(on) => on.then(|| base.clone()),
        Switch::Table(table) => Some(settings(table, base, findings)),
    }
}

/// `bfd` of a peer, which may be behind routers: [`wanted`] with `minimum_ttl`.
pub(super) fn of_peer(section: &mut Section<'_>, base: &Bfd, findings: &mut Findings<'_>) -> Option<Bfd> {
    match section.switch("bfd", findings)? {
        Switch::Flag(on) => on.then(|| base.clone()),
        Switch::Table(mut table) => {
            let minimum_ttl = table.located::<u8>("minimum_ttl", findings);
            if let Some(zero) = minimum_ttl.as_ref().filter(|ttl| ttl.value == 0) {
                findings.error(&zero.span, "minimum_ttl: a number from 1 to 255 is expected");
            }
            let minimum_ttl = minimum_ttl.map(|ttl| ttl.value);
            Some(Bfd { minimum_ttl, ..settings(table, base, findings) })
        }
    }
}

fn settings(mut section: Section<'_>, base: &Bfd, findings: &mut Findings<'_>) -> Bfd {
    let mut bfd = base.clone();
    if let Some(interval) = section.located::<u32>("interval_ms", findings) {
        match Interval::new(Duration::from_millis(interval.value.into())) {
            Ok(interval) => bfd.interval = interval,
            Err(why) => findings.error(&interval.span, format!("interval_ms: {why}")),
        }
    }
    if let Some(multiplier) = section.located::<u8>("multiplier", findings) {
        match NonZeroU8::new(multiplier.value) {
            Some(multiplier) => bfd.multiplier = multiplier,
            None => findings.error(&multiplier.span, "multiplier: a number from 1 to 255 is expected"),
        }
    }
    if let Some(table) = section.section("auth", findings) {
        bfd.auth = auth(table, findings);
    }
    section.finish(findings);
    bfd
}

fn auth(mut section: Section<'_>, findings: &mut Findings<'_>) -> Option<BfdAuth> {
    let span = section.span.clone();
    let mode = section.required::<Mode>("mode", findings);
    let tables = section.sections("keys", findings);
    let mut keys = Vec::new();
    let single = tables.is_empty();
    for mut table in tables {
        let id = table.required::<u8>("id", findings);
        let file = table.required::<PathBuf>("key_file", findings);
        table.finish(findings);
        keys.extend(id.map(|id| id.value).zip(file));
    }
    if single {
        let id = section.get("key_id", findings).unwrap_or(1);
        keys.extend(section.required::<PathBuf>("key_file", findings).map(|file| (id, file)));
    }
    section.finish(findings);
    let mode = mode?.value;
    let mut secrets = Vec::new();
    for (id, file) in &keys {
        guard_key(file, findings);
        let secret = read_file(&file.value).and_then(|mut key| {
            while key.last().is_some_and(u8::is_ascii_whitespace) {
                key.pop();
            }
            let name = file.value.display();
            Auth::new(mode, [(*id, key.clone())]).map_err(|why| format!("{name}: {why}"))?;
            Ok((*id, key))
        });
        match secret {
            Ok(secret) => secrets.push(secret),
            Err(message) => findings.error(&file.span, format!("key_file: {message}")),
        }
    }
    if secrets.is_empty() || secrets.len() < keys.len() {
        return None;
    }
    let auth =
        Auth::new(mode, secrets).map_err(|why| findings.error(&span, format!("auth.keys: {why}"))).ok()?;
    let keys = keys.into_iter().map(|(id, file)| BfdKey { id, key_file: file.value }).collect();
    Some(BfdAuth { mode, keys, auth })
}

/// How the file spells the modes.
const MODES: [(&str, Mode); 5] = [
    ("meticulous-sha1", Mode::MeticulousSha1),
    ("keyed-sha1", Mode::Sha1),
    ("meticulous-md5", Mode::MeticulousMd5),
    ("keyed-md5", Mode::Md5),
    ("password", Mode::Password),
];

impl FromToml for Mode {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let found = MODES.iter().find(|(name, _)| value.as_str() == Some(name));
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names: Vec<String> = MODES.iter().map(|(name, _)| format!("{name:?}")).collect();
            format!("one of {} is expected", names.join(", "))
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn mode_name<S: Serializer>(mode: &Mode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name_of(*mode))
}

/// How the file spells a mode.
pub(crate) fn name_of(mode: Mode) -> &'static str {
    MODES.iter().find(|(_, known)| *known == mode).map_or("", |(name, _)| name)
}

fn milliseconds<S: Serializer>(interval: &Interval, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(interval.get().as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
