//! Why an OPEN is refused: the NOTIFICATION for the peer, the words for us.

use std::fmt;
use std::net::Ipv4Addr;

use net::{Asn, Family, PeerAs, Role, RouterId};

use super::notify;
use crate::wire::Notification;

/// What is wrong with the OPEN of a peer (RFC 4271 §6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another version than 4.
    Version(u8),
    /// An AS number that the configuration does not have, or 0 (RFC 7607 §2).
    PeerAs {
        /// The number in the OPEN.
        told: Asn,
        /// What the configuration wants.
        configured: PeerAs,
    },
    /// An identifier that is none.
    Identifier(Ipv4Addr),
    /// Our own identifier, inside the AS (RFC 6286 §2.2).
    OurIdentifier(RouterId),
    /// One or two seconds.
    HoldTime(u16),
    /// None of the families that we want.
    Families(Vec<Family>),
    /// A role that does not belong to ours, or several (RFC 9234 §4.2).
    Role {
        /// Ours.
        ours: Role,
        /// The number that the peer has told.
        told: u8,
    },
}

impl Refused {
    /// What the peer is told.
    pub(crate) fn notification(&self) -> Notification {
        match self {
            Self::Version(_) => notify::unsupported_version(),
            Self::PeerAs { .. } => notify::bad_peer_as(),
            Self::Identifier(_) | Self::OurIdentifier(_) => notify::bad_identifier(),
            Self::HoldTime(_) => notify::unacceptable_hold_time(),
            Self::Families(wanted) => notify::no_common_family(wanted),
            Self::Role { .. } => notify::role_mismatch(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "the peer speaks BGP version {version}, we speak 4"),
            Self::PeerAs { told, configured } => {
                let wanted = match configured {
                    PeerAs::Number(number) => format!("configured is AS {number}"),
                    PeerAs::External => {
                        "an external peer has a number that is not ours and not reserved".to_owned()
                    }
                    PeerAs::Internal => "an internal peer has ours".to_owned(),
                };
                write!(f, "the peer says it is AS {told}, {wanted}; correct the one that is wrong")
            }
            Self::Identifier(id) => write!(f, "the peer's router id {id} is none; set one at the peer"),
            Self::OurIdentifier(id) => {
                write!(f, "the peer has our router id {id}; give one of the two another router_id")
            }
            Self::HoldTime(seconds) => {
                write!(f, "the peer wants a hold time of {seconds} s; it must be 0 or at least 3")
            }
            Self::Role { ours, told } => {
                let told = Role::from_number(*told)
                    .map_or_else(|| format!("unknown role {told}"), |role| format!("role {role}"));
                write!(
                    f,
                    "the peer has the {told}, we are {ours} and it must be {}; correct the one that is wrong",
                    ours.opposite()
                )
            }
            Self::Families(wanted) => {
                let wanted: Vec<String> = wanted.iter().map(Family::to_string).collect();
                write!(f, "the peer speaks none of our families ({})", wanted.join(", "))
            }
        }
    }
}
