//! How enumerations are spelled for people and in `routectl -o json`.
//!
//! `Display` writes the word; `FromStr`, where a user types one, reads it.
//! A value of a newer daemon that this build does not know is `unknown`.

use std::fmt;
use std::str::FromStr;

use crate::v1::{
    BfdState, BlockState, Direction, Family, NexthopObjects, Origin, Outcome, PeerState, Protocol,
    ProtocolState, RipAuthMode, RipSplitHorizon, RipVersion, RouteEventKind, RouteState, RuleAction,
    Severity, Verdict,
};

/// A word that is none of those which are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word} is none of: {known}")]
pub struct UnknownWord {
    /// What was written.
    pub word: String,
    /// What could have been, separated by commas.
    pub known: String,
}

/// Writes and reads each enumeration by one table.
macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal),+ $(,)? })+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $word,)+
                    Self::Unspecified => "unknown",
                })
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { word: word.into(), known: [$($word),+].join(", ") }),
                }
            }
        }
    )+};
}

words! {
    Family { Ipv4 = "ipv4", Ipv6 = "ipv6" }
    Protocol {
        Connected = "connected", Local = "local", Static = "static", Bgp = "bgp", Rip = "rip", Ripng = "ripng",
    }
    NexthopObjects { On = "on", Off = "off", Unsupported = "unsupported" }
    ProtocolState { Running = "running", Disabled = "disabled", Failed = "failed" }
    Severity { Ok = "ok", Notice = "notice", Warning = "warning", Error = "error" }
    Outcome { Created = "created", Changed = "changed", Unchanged = "unchanged", Removed = "removed" }
    PeerState {
        Idle = "Idle", Connect = "Connect", Active = "Active", OpenSent = "OpenSent",
        OpenConfirm = "OpenConfirm", Established = "Established",
    }
    Origin { Igp = "igp", Egp = "egp", Incomplete = "incomplete" }
    RouteState {
        Best = "best", Multipath = "multipath", Eligible = "eligible", Ineligible = "ineligible",
        Rejected = "rejected",
    }
    RouteEventKind {
        SnapshotEnd = "snapshot_end", Updated = "updated", Removed = "removed", Resync = "resync",
    }
    BlockState {
        Owned = "owned", Claiming = "claiming", Remote = "remote", Conflict = "conflict", Draining = "draining",
    }
    Direction { Ingress = "ingress", Egress = "egress" }
    RuleAction { Allow = "allow", Deny = "deny", Log = "log", Pass = "pass" }
    Verdict { Allow = "allow", Deny = "deny" }
    BfdState { AdminDown = "AdminDown", Down = "Down", Init = "Init", Up = "Up" }
    RipVersion { Ripv2 = "ripv2", Ripng = "ripng" }
    RipAuthMode {
        None = "none", Text = "text", KeyedMd5 = "keyed-md5", HmacSha1 = "hmac-sha-1",
        HmacSha256 = "hmac-sha-256", HmacSha384 = "hmac-sha-384", HmacSha512 = "hmac-sha-512",
    }
    RipSplitHorizon { Poison = "poison", Simple = "simple", Off = "off" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_as_what_wrote_it() {
        for protocol in [Protocol::Connected, Protocol::Static, Protocol::Ripng] {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        assert_eq!(PeerState::OpenConfirm.to_string(), "OpenConfirm");
    }

    #[test]
    fn an_unknown_word_names_the_known_ones() {
        let error = "ospf".parse::<Protocol>().expect_err("no such protocol");
        assert_eq!(error.to_string(), "ospf is none of: connected, local, static, bgp, rip, ripng");
        assert!("unknown".parse::<Protocol>().is_err());
    }
}
