//! `tcp_ao`: the TCP-AO keys of a peer (RFC 5925).

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::path::PathBuf;

use kernel::sockopt::{self, AO_KEY_MAX, AoAlgorithm};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::key;
use crate::config::Secret;
use crate::config::diagnostic::Findings;
use crate::config::file::guard_key;
use crate::config::reader::{FromToml, Section};

/// One key of `tcp_ao`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AoKey {
    /// The file that it is in.
    pub key_file: PathBuf,
    /// The `KeyID` of what we send; the peer's `receive_id`.
    pub send_id: u8,
    /// The `KeyID` of what the peer sends.
    pub receive_id: u8,
    /// How the MAC is made.
    #[serde(serialize_with = "name")]
    pub algorithm: AoAlgorithm,
    /// The key itself; never printed.
    #[serde(skip)]
    pub key: Secret,
}

impl AoKey {
    /// The key in the words of the kernel.
    pub fn raw(&self) -> sockopt::AoKey<'_> {
        let Self { send_id, receive_id, algorithm, ref key, .. } = *self;
        sockopt::AoKey { send_id, receive_id, algorithm, key: key.expose() }
    }
}

/// Why the kernel would not sign with these keys; `None`: it would.
pub(crate) fn obstacle(address: IpAddr, keys: &[AoKey]) -> Option<String> {
    let error = sockopt::try_tcp_ao(address, keys.iter().map(AoKey::raw)).err()?;
    let files: Vec<String> = keys.iter().map(|key| key.key_file.display().to_string()).collect();
    let why = if sockopt::lacks_tcp_ao(&error) {
        "this kernel has no TCP-AO; run Linux 6.7 or later with CONFIG_TCP_AO, or set password_file (TCP-MD5) \
         at both ends in place of tcp_ao"
            .to_owned()
    } else {
        format!(
            "the kernel does not take the key: {error}; look at the ids, and whether it has the algorithm"
        )
    };
    Some(format!("tcp_ao, key file {}: {why}", files.join(", ")))
}

/// A table, or a list of tables.
pub(super) fn read(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<AoKey> {
    let tables = if section.is_table("tcp_ao") {
        section.section("tcp_ao", findings).into_iter().collect()
    } else {
        section.sections("tcp_ao", findings)
    };
    let place = tables.first().map(|table| table.span.clone());
    let mut keys: Vec<AoKey> = Vec::with_capacity(tables.len());
    for table in tables {
        let span = table.span.clone();
        let Some(key) = read_one(table, findings) else { continue };
        let taken = |other: &AoKey| other.send_id == key.send_id || other.receive_id == key.receive_id;
        if keys.iter().any(taken) {
            findings.error(&span, "tcp_ao: each key needs a send_id and a receive_id of its own");
        }
        keys.push(key);
    }
    warn(&keys, place, findings);
    keys
}

/// Says at once what would keep the peer in Idle.
fn warn(keys: &[AoKey], place: Option<Range<usize>>, findings: &mut Findings<'_>) {
    // Which address it is does not matter to what the kernel has.
    let why = obstacle(Ipv4Addr::LOCALHOST.into(), keys);
    if let (Some(why), Some(place)) = (why, place) {
        findings.warning(&place, format!("{why}; until then the peer stays Idle"));
    }
}

fn read_one(mut table: Section<'_>, findings: &mut Findings<'_>) -> Option<AoKey> {
    let file = table.required::<PathBuf>("key_file", findings);
    let send_id = table.get("send_id", findings).unwrap_or(1);
    let receive_id = table.get("receive_id", findings).unwrap_or(1);
    let algorithm = table.get("algorithm", findings).unwrap_or(AoAlgorithm::HmacSha1);
    table.finish(findings);
    let file = file?;
    guard_key(&file, findings);
    let key = key::of_file(&file.value, "TCP-AO", AO_KEY_MAX);
    let key = key.map_err(|message| findings.error(&file.span, format!("tcp_ao: {message}"))).ok()?;
    Some(AoKey { key_file: file.value, send_id, receive_id, algorithm, key })
}

/// How the file spells the algorithms (RFC 5926 §2.1).
const ALGORITHMS: [(&str, AoAlgorithm); 2] =
    [("hmac-sha1-96", AoAlgorithm::HmacSha1), ("aes-128-cmac-96", AoAlgorithm::AesCmac)];

impl FromToml for AoAlgorithm {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let found = ALGORITHMS.iter().find(|(name, _)| value.as_str() == Some(name));
        found
            .map(|(_, algorithm)| *algorithm)
            .ok_or_else(|| "\"hmac-sha1-96\" or \"aes-128-cmac-96\" is expected".to_owned())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn name<S: Serializer>(algorithm: &AoAlgorithm, serializer: S) -> Result<S::Ok, S::Error> {
    let found = ALGORITHMS.iter().find(|(_, known)| known == algorithm);
    serializer.serialize_str(found.map_or("", |(name, _)| name))
}
