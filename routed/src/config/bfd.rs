//! `[bfd]`, and `bfd` where a protocol asks for it.

use std::path::PathBuf;
use std::time::Duration;

use bfd::auth::Mode;
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::Secret;
use super::diagnostic::Findings;
use super::file::read_file;
use super::reader::{FromToml, Section, Switch};

/// The least interval: below it a busy node loses sessions that are well.
const LEAST: u32 = 50;

/// How BFD speaks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bfd {
    /// The least interval between packets, in both directions.
    #[serde(rename = "interval_ms", serialize_with = "milliseconds")]
    pub interval: Duration,
    /// After how many missing packets the other end is lost.
    pub multiplier: u8,
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
    /// The number of the key, the same at both ends.
    pub key_id: u8,
    /// The file that the key is in.
    pub key_file: PathBuf,
    /// The key, read from the file; never printed.
    #[serde(skip)]
    pub secret: Option<Secret>,
}

impl Default for Bfd {
    fn default() -> Self {
        Self { interval: Duration::from_millis(100), multiplier: 3, auth: None }
    }
}

impl Bfd {
    /// The settings in the words of the machine.
    pub fn machine(&self) -> bfd::Config {
        let auth = self.auth.as_ref().map(|auth| bfd::auth::Auth {
            mode: auth.mode,
            key_id: auth.key_id,
            secret: auth.secret.as_ref().map(|secret| secret.expose().to_vec()).unwrap_or_default(),
        });
        bfd::Config { interval: self.interval, multiplier: self.multiplier, auth }
    }
}

/// `[bfd]`: what holds where a protocol says `bfd = true`.
pub(super) fn read(top: &mut Section<'_>, findings: &mut Findings<'_>) -> Bfd {
    let section = top.section("bfd", findings);
    section.map_or_else(Bfd::default, |section| settings(section, &Bfd::default(), findings))
}

/// `bfd` of a peer or of RIP: true, false or a table.
pub(super) fn wanted(section: &mut Section<'_>, base: &Bfd, findings: &mut Findings<'_>) -> Option<Bfd> {
    match section.switch("bfd", findings)? {
        Switch::Flag(on) => on.then(|| base.clone()),
        Switch::Table(table) => Some(settings(table, base, findings)),
    }
}

fn settings(mut section: Section<'_>, base: &Bfd, findings: &mut Findings<'_>) -> Bfd {
    let mut bfd = base.clone();
    if let Some(interval) = section.located::<u32>("interval_ms", findings) {
        if !(LEAST..=60_000).contains(&interval.value) {
            findings.error(&interval.span, format!("interval_ms: from {LEAST} to 60000 milliseconds"));
        }
        bfd.interval = Duration::from_millis(interval.value.into());
    }
    if let Some(multiplier) = section.located::<u8>("multiplier", findings) {
        if multiplier.value == 0 {
            findings.error(&multiplier.span, "multiplier: a number from 1 to 255 is expected");
        }
        bfd.multiplier = multiplier.value.max(1);
    }
    if let Some(table) = section.section("auth", findings) {
        bfd.auth = auth(table, findings);
    }
    section.finish(findings);
    bfd
}

fn auth(mut section: Section<'_>, findings: &mut Findings<'_>) -> Option<BfdAuth> {
    let mode = section.required::<Mode>("mode", findings);
    let key_id = section.get("key_id", findings).unwrap_or(1);
    let file = section.required::<PathBuf>("key_file", findings);
    section.finish(findings);
    let (mode, file) = (mode?.value, file?);
    let secret = read_file(&file.value).and_then(|mut key| {
        while key.last().is_some_and(u8::is_ascii_whitespace) {
            key.pop();
        }
        let (name, most) = (file.value.display(), mode.secret_size());
        match key.len() {
            0 => Err(format!("{name}: the key file is empty; write the key into it")),
            length if length > most => {
                Err(format!("{name}: the key has {length} bytes, the mode takes {most}"))
            }
            _ => Ok(Secret::new(key)),
        }
    });
    match secret {
        Ok(secret) => Some(BfdAuth { mode, key_id, key_file: file.value, secret: Some(secret) }),
        Err(message) => {
            findings.error(&file.span, format!("key_file: {message}"));
            None
        }
    }
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
    let name = MODES.iter().find(|(_, known)| known == mode).map_or("", |(name, _)| name);
    serializer.serialize_str(name)
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
