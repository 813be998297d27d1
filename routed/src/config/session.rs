//! What a peer's session offers beside plain routes, and how `[bgp]` restarts:
//! the keys that become capabilities.

use std::num::NonZeroUsize;
use std::time::Duration;

use net::{Asn, Role};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::diagnostic::Findings;
use super::reader::{FromToml, Section};
use super::{defaults, print};

/// The keys of a peer that become capabilities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offers {
    /// What this node is to the peer (RFC 9234).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Several paths to a prefix (RFC 7911); `None`: one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_path: Option<AddPath>,
    /// How many paths are sent where several are; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_path_send: Option<PathLimit>,
    /// Messages of up to 65,535 octets (RFC 8654).
    pub extended_messages: bool,
    /// Begin and end of a refresh are marked (RFC 7313).
    pub enhanced_refresh: bool,
    /// IPv4 prefixes may have IPv6 next hops (RFC 8950); `None`: where the
    /// session itself runs over IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_next_hop: Option<bool>,
    /// The accumulated metric is exchanged (RFC 7311); `None`: with internal peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aigp: Option<bool>,
    /// The peer is told that we are routed, and our version
    /// (draft-ietf-idr-software-version); `None`: an internal one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<bool>,
    /// How long the peer may leave our bytes unread (RFC 9687); `None`: the
    /// larger of 8 minutes and twice the hold time.
    #[serde(serialize_with = "print::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub send_hold: Option<Duration>,
    /// How long the routes of a peer that is gone are kept as the least
    /// preferred ones (RFC 9494); `None`: not at all.
    #[serde(serialize_with = "print::optional_seconds", skip_serializing_if = "Option::is_none")]
    pub long_lived_graceful_restart: Option<Duration>,
}

/// `add_path` of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AddPath {
    /// We send several paths.
    Send,
    /// We receive several paths.
    Receive,
    /// Both.
    Both,
}

impl AddPath {
    /// We send several paths.
    pub fn sends(self) -> bool {
        self != Self::Receive
    }

    /// We receive several paths.
    pub fn receives(self) -> bool {
        self != Self::Send
    }
}

/// `add_path_send` of a peer: how many paths to a prefix it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathLimit {
    /// Every usable one that the export filter lets pass.
    All,
    /// So many of these, in the order of the decision.
    First(NonZeroUsize),
}

impl Serialize for PathLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::First(limit) => serializer.serialize_u64(limit.get() as u64),
        }
    }
}

/// `graceful_restart = { time = 120 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GracefulRestart {
    /// How long peers are asked to keep our routes, in seconds; 0: not at all.
    #[serde(serialize_with = "print::seconds")]
    pub time: Duration,
    /// NOTIFICATION keeps routes too: the N bit (RFC 8538).
    pub notification: bool,
    /// What the silence of a peer means where both have set the N bit.
    #[serde(serialize_with = "hold_expiry")]
    pub hold_expiry: HoldExpiry,
}

pub use bgp::peer::HoldExpiry;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn hold_expiry<S: Serializer>(expiry: &HoldExpiry, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match expiry {
        HoldExpiry::Reset => "reset",
        HoldExpiry::Keep => "keep",
    })
}

/// `confederation = { asn, members }` (RFC 5065).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confederation {
    /// The AS number that the world outside sees.
    pub asn: Asn,
    /// The other member ASes.
    pub members: Vec<Asn>,
}

pub(super) fn read(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Offers {
    let send_hold = section.located::<Duration>("send_hold", findings);
    if let Some(time) = send_hold.as_ref().filter(|time| time.value.is_zero()) {
        findings.error(&time.span, "send_hold: at least one second is expected");
    }
    let add_path = section.get::<AddPath>("add_path", findings);
    let add_path_send = section.located::<PathLimit>("add_path_send", findings);
    if let Some(limit) = add_path_send.as_ref().filter(|_| !add_path.is_some_and(AddPath::sends)) {
        findings.error(&limit.span, "add_path_send: add_path = \"send\" or \"both\" is needed with it");
    }
    Offers {
        role: section.get("role", findings),
        add_path,
        add_path_send: add_path_send.map(|limit| limit.value),
        extended_messages: section.get("extended_messages", findings).unwrap_or(true),
        enhanced_refresh: section.get("enhanced_refresh", findings).unwrap_or(true),
        extended_next_hop: section.get("extended_next_hop", findings),
        aigp: section.get("aigp", findings),
        software_version: section.get("software_version", findings),
        send_hold: send_hold.map(|time| time.value),
        long_lived_graceful_restart: section
            .get::<LongLived>("long_lived_graceful_restart", findings)
            .and_then(|long| long.0),
    }
}

pub(super) fn graceful_restart(section: &mut Section<'_>, findings: &mut Findings<'_>) -> GracefulRestart {
    let mut restart = GracefulRestart {
        time: defaults::RESTART_TIME,
        notification: true,
        hold_expiry: HoldExpiry::default(),
    };
    let Some(mut table) = section.section("graceful_restart", findings) else { return restart };
    if let Some(time) = table.located::<Duration>("time", findings) {
        if time.value > Duration::from_secs(4095) {
            findings.error(&time.span, "bgp.graceful_restart.time: at most 4095 seconds fit (RFC 4724 §3)");
        }
        restart.time = time.value;
    }
    restart.notification = table.get("notification", findings).unwrap_or(restart.notification);
    restart.hold_expiry = table.get("hold_expiry", findings).unwrap_or(restart.hold_expiry);
    table.finish(findings);
    restart
}

/// `asn` is that of this node, a member itself.
pub(super) fn confederation(
    section: &mut Section<'_>,
    asn: Option<Asn>,
    findings: &mut Findings<'_>,
) -> Option<Confederation> {
    let mut table = section.section("confederation", findings)?;
    let id = table.required::<Asn>("asn", findings);
    let members = table.list::<Asn>("members", findings).unwrap_or_default();
    for member in &members {
        if id.as_ref().is_some_and(|id| id.value == member.value) {
            findings.error(&member.span, "members: the confederation is no member of itself");
        }
    }
    if let Some(id) = id.as_ref().filter(|id| Some(id.value) == asn) {
        let message = "confederation.asn is what the world outside sees; bgp.asn is that of the member AS";
        findings.error(&id.span, message);
    }
    table.finish(findings);
    Some(Confederation { asn: id?.value, members: members.into_iter().map(|member| member.value).collect() })
}

/// True for the default, a number of seconds, or a table with `time`.
struct LongLived(Option<Duration>);

impl FromToml for LongLived {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let time = match value {
            DeValue::Boolean(on) => return Ok(Self(on.then_some(defaults::LONG_LIVED))),
            DeValue::Table(table) => {
                u32::from_toml(table.get("time").ok_or("the table needs `time`")?.get_ref())?
            }
            number => u32::from_toml(number)?,
        };
        if time > 0x00ff_ffff {
            return Err("at most 16777215 seconds fit (RFC 9494 §3.1)".to_owned());
        }
        Ok(Self(Some(Duration::from_secs(time.into())).filter(|time| !time.is_zero())))
    }
}

impl FromToml for AddPath {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("send") => Ok(Self::Send),
            Some("receive") => Ok(Self::Receive),
            Some("both") => Ok(Self::Both),
            _ => Err("\"send\", \"receive\" or \"both\" is expected".to_owned()),
        }
    }
}

impl FromToml for PathLimit {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        if value.as_str() == Some("all") {
            return Ok(Self::All);
        }
        let limit = u32::from_toml(value).ok().and_then(|limit| NonZeroUsize::new(limit as usize));
        limit.map(Self::First).ok_or_else(|| "\"all\" or a number from 1 on is expected".to_owned())
    }
}

impl FromToml for HoldExpiry {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("reset") => Ok(Self::Reset),
            Some("keep") => Ok(Self::Keep),
            _ => Err("\"reset\" or \"keep\" is expected".to_owned()),
        }
    }
}

impl FromToml for Role {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_str().ok_or_else(|| "a role is expected".to_owned())?.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str) -> Result<Offers, String> {
        let source = format!("[bgp]\nasn = 1\n[[bgp.peer]]\naddress = \"192.0.2.2\"\nasn = 2\n{keys}\n");
        let parsed = crate::config::parse("n1.toml", &source);
        let (config, warnings) = parsed.map_err(|findings| findings[0].to_string())?;
        assert_eq!(warnings, []);
        let printed = config.to_toml().unwrap();
        let again = crate::config::parse("printed", &printed).unwrap().0;
        assert_eq!(again, config, "what is printed is what is meant:\n{printed}");
        Ok(config.bgp.unwrap().peers.remove(0).offers)
    }

    #[test]
    fn each_key_becomes_what_it_says() {
        let plain = check("").unwrap();
        assert!(plain.extended_messages && plain.enhanced_refresh);
        assert_eq!((plain.role, plain.add_path, plain.long_lived_graceful_restart), (None, None, None));
        let all = check(
            "role = \"rs-client\"\nadd_path = \"both\"\nadd_path_send = 3\nextended_messages = false\nenhanced_refresh = false\n\
             extended_next_hop = true\naigp = true\nsoftware_version = false\nsend_hold = 60\nlong_lived_graceful_restart = 7200",
        );
        let all = all.unwrap();
        assert_eq!((all.role, all.add_path), (Some(Role::RsClient), Some(AddPath::Both)));
        assert_eq!(all.add_path_send, NonZeroUsize::new(3).map(PathLimit::First));
        let every = check("add_path = \"send\"\nadd_path_send = \"all\"").unwrap();
        assert_eq!((every.add_path_send, plain.add_path_send), (Some(PathLimit::All), None));
        assert!(!all.extended_messages && !all.enhanced_refresh);
        assert_eq!((all.extended_next_hop, all.aigp), (Some(true), Some(true)));
        assert_eq!((all.software_version, plain.software_version), (Some(false), None));
        assert_eq!(all.send_hold, Some(Duration::from_secs(60)));
        assert_eq!(all.long_lived_graceful_restart, Some(Duration::from_secs(7200)));
        for (value, seconds) in
            [("true", Some(3600)), ("false", None), ("0", None), ("{ time = 5 }", Some(5))]
        {
            let offers = check(&format!("long_lived_graceful_restart = {value}")).unwrap();
            assert_eq!(offers.long_lived_graceful_restart, seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_at_its_place() {
        for (keys, words) in [
            ("role = \"transit\"", "is no role; write provider"),
            ("add_path = \"all\"", "\"send\", \"receive\" or \"both\" is expected"),
            ("add_path_send = 0\nadd_path = \"send\"", "\"all\" or a number from 1 on is expected"),
            ("add_path_send = \"all\"\nadd_path = \"receive\"", "\"send\" or \"both\" is needed"),
            ("send_hold = 0", "at least one second"),
            ("long_lived_graceful_restart = 16777216", "at most 16777215 seconds"),
        ] {
            let finding = check(keys).unwrap_err();
            assert!(finding.starts_with("n1.toml:6:") && finding.contains(words), "{finding}");
        }
    }

    #[test]
    fn a_confederation_has_members_and_a_number_of_its_own() {
        let read = |table: &str| {
            let source = format!("[bgp]\nasn = 65001\nconfederation = {table}\n");
            let parsed = crate::config::parse("n1.toml", &source);
            parsed.map(|(config, _)| config.bgp.unwrap().confederation).map_err(|f| f[0].to_string())
        };
        let read_well = read("{ asn = 100, members = [65002, 65003] }").unwrap().unwrap();
        assert_eq!((read_well.asn, read_well.members), (Asn(100), vec![Asn(65002), Asn(65003)]));
        assert!(read("{ asn = 65001, members = [] }").unwrap_err().contains("what the world outside sees"));
        assert!(read("{ asn = 100, members = [100] }").unwrap_err().contains("no member of itself"));
        assert!(read("{ members = [] }").unwrap_err().contains("needs the key `asn`"));
    }
}
