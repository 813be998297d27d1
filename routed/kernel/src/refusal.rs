//! Why the kernel did not take a route, and what to do next.

use std::fmt;

use nix::errno::Errno;

/// Why a route is not in the kernel as desired. Each says what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else has a route for the prefix at the same metric; it stays.
    Foreign {
        /// The protocol number of the other owner (`rtm_protocol`).
        protocol: u8,
    },
    /// No link reaches the gateway (`ENETUNREACH`, `EHOSTUNREACH`, or what the
    /// kernel says of an invalid gateway).
    NoWay {
        /// The kernel's own words, empty when it gave none.
        said: String,
    },
    /// The outgoing link is down (`ENETDOWN`).
    LinkDown,
    /// There is no such link (`ENODEV`).
    NoLink,
    /// routed may not write routes (`EPERM`, `EACCES`).
    NotPermitted,
    /// The kernel's routing table or memory is full.
    Full(Errno),
    /// The kernel cannot make sense of the route.
    Invalid {
        /// What the kernel returned.
        errno: Errno,
        /// The kernel's own words, empty when it gave none.
        said: String,
    },
}

impl Refusal {
    /// The refusal that an error of the kernel stands for.
    pub(crate) fn from_errno(errno: Errno, said: String) -> Self {
        match errno {
            Errno::ENETUNREACH | Errno::EHOSTUNREACH => Self::NoWay { said },
            Errno::EINVAL if said.contains("gateway") => Self::NoWay { said },
            Errno::ENETDOWN => Self::LinkDown,
            Errno::ENODEV | Errno::ENXIO => Self::NoLink,
            Errno::EPERM | Errno::EACCES => Self::NotPermitted,
            Errno::ENOMEM | Errno::ENOBUFS | Errno::ENOSPC => Self::Full(errno),
            _ => Self::Invalid { errno, said },
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { protocol } => write!(
                f,
                "another owner (protocol {protocol}) has a route for this prefix at this metric; remove that route \
                 or set another [kernel] metric, routed installs its own as soon as the other is gone"
            ),
            Self::NoWay { said } => write!(
                f,
                "no link reaches the gateway{}; give the link an address in the gateway's subnet, routed tries \
                 again when links or addresses change",
                Said(said)
            ),
            Self::LinkDown => f.write_str("the outgoing link is down; routed tries again when it comes up"),
            Self::NoLink => f.write_str("the outgoing link is gone; routed tries again when links change"),
            Self::NotPermitted => {
                f.write_str("not permitted to write routes; run routed with the capability CAP_NET_ADMIN")
            }
            Self::Full(errno) => write!(
                f,
                "the kernel has no room ({}); look at net.ipv6.route.max_size and at free memory",
                errno.desc()
            ),
            Self::Invalid { errno, said } => write!(
                f,
                "the kernel does not take the route: {}{}; look at the next hop of the route",
                errno.desc(),
                Said(said)
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// The kernel's words in brackets, or nothing.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0) }
    }
}
