//! BGP messages as values (RFC 4271 §4).

use std::net::Ipv4Addr;
use std::sync::Arc;

pub use net::Nlri;
use net::{Asn, Attrs, Family};

/// One message between two speakers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// OPEN (RFC 4271 §4.2).
    Open(Open),
    /// UPDATE (RFC 4271 §4.3).
    Update(Update),
    /// NOTIFICATION (RFC 4271 §4.5).
    Notification(Notification),
    /// KEEPALIVE (RFC 4271 §4.4).
    Keepalive,
    /// ROUTE-REFRESH (RFC 2918 §3, RFC 7313 §3.2).
    RouteRefresh(RouteRefresh),
}

/// An OPEN message; what it says has not been judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The protocol version; 4.
    pub version: u8,
    /// "My Autonomous System": two octets, [`Asn::TRANS`] for a wide number.
    pub my_as: u16,
    /// The proposed hold time in seconds; 0, or 3 and more.
    pub hold_time: u16,
    /// The BGP identifier, zero not yet excluded.
    pub identifier: Ipv4Addr,
    /// The capabilities (RFC 5492), in the order of the wire.
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// The speaker's AS number: that of the four-octet capability where there
    /// is one (RFC 6793 §4.1).
    pub fn asn(&self) -> Asn {
        let wide = self.capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAs(asn) => Some(*asn),
            _ => None,
        });
        wide.unwrap_or(Asn(u32::from(self.my_as)))
    }
}

/// A capability (RFC 5492 §4). One that routed does not know stays as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Code 1 (RFC 4760 §8); numbers, because a peer may offer what we do not speak.
    Multiprotocol {
        /// Address family identifier.
        afi: u16,
        /// Subsequent address family identifier.
        safi: u8,
    },
    /// Code 2 (RFC 2918 §2).
    RouteRefresh,
    /// Code 5 (RFC 8950 §4): AFI, SAFI, and the AFI that the next hop may have.
    ExtendedNextHop(Vec<(u16, u16, u16)>),
    /// Code 6 (RFC 8654 §2).
    ExtendedMessage,
    /// Code 9 (RFC 9234 §4.1): the number, because it may be one without a name.
    Role(u8),
    /// Code 64 (RFC 4724 §3).
    GracefulRestart(GracefulRestart),
    /// Code 65 (RFC 6793 §3).
    FourOctetAs(Asn),
    /// Code 69 (RFC 7911 §4).
    AddPath(Vec<AddPath>),
    /// Code 70 (RFC 7313 §3.1).
    EnhancedRouteRefresh,
    /// Code 71 (RFC 9494 §3.1).
    LongLivedGracefulRestart(Vec<LongLived>),
    /// Code 73: the name of the speaker, for people
    /// (draft-walton-bgp-hostname-capability-02).
    Fqdn {
        /// The host name.
        host: Box<str>,
        /// The domain; may be empty.
        domain: Box<str>,
    },
    /// Code 75: the software of the speaker and its version
    /// (draft-ietf-idr-software-version).
    SoftwareVersion(Box<str>),
    /// Any other.
    Unknown {
        /// The capability code.
        code: u8,
        /// Its value.
        value: Box<[u8]>,
    },
}

/// What the add-path capability says of one family (RFC 7911 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddPath {
    /// Address family identifier.
    pub afi: u16,
    /// Subsequent address family identifier.
    pub safi: u8,
    /// The sender can receive several paths.
    pub receive: bool,
    /// The sender would like to send several paths.
    pub send: bool,
}

/// What the long-lived graceful restart capability says of one family
/// (RFC 9494 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongLived {
    /// Address family identifier.
    pub afi: u16,
    /// Subsequent address family identifier.
    pub safi: u8,
    /// The F bit: forwarding state was preserved.
    pub forwarding: bool,
    /// How long stale routes may be kept, in seconds (24 bits).
    pub stale_time: u32,
}

/// The graceful restart capability (RFC 4724 §3, RFC 8538 §2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// The R bit: the sender has restarted.
    pub restarting: bool,
    /// The N bit: NOTIFICATION does not end it (RFC 8538).
    pub notification: bool,
    /// How long the sender expects to need, in seconds (12 bits).
    pub restart_time: u16,
    /// For each family: AFI, SAFI and the F bit, forwarding state preserved.
    pub families: Vec<(u16, u8, bool)>,
}

/// What an UPDATE says, after RFC 7606 has been applied to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Prefixes that are reachable, with their attributes: at most one entry
    /// for the classic field and one for `MP_REACH_NLRI`.
    pub reach: Vec<Reach>,
    /// Prefixes that are not, by family: withdrawn, or treated so. To be
    /// applied before `reach`: a prefix that stands in both is reachable
    /// (RFC 4271 §4.3).
    pub unreach: Vec<(Family, Vec<Nlri>)>,
    /// The family whose End-of-RIB this is (RFC 4724 §2).
    pub end_of_rib: Option<Family>,
    /// What was wrong and what was done about it; empty for a sound message.
    pub faults: Vec<Fault>,
}

/// Prefixes that share their attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The family of the prefixes.
    pub family: Family,
    /// The attributes, next hop included.
    pub attrs: Arc<Attrs>,
    /// The prefixes.
    pub nlri: Vec<Nlri>,
}

/// A malformation that did not end the session (RFC 7606 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The attribute's type code, or 0 when it is not about one.
    pub attribute: u8,
    /// What was done: never [`Treatment::Reset`] here.
    pub treatment: Treatment,
    /// What was wrong, in one clause.
    pub what: &'static str,
}

/// How a malformed message is handled, weakest last (RFC 7606 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Treatment {
    /// The attribute is dropped, the routes are used.
    Discard,
    /// The routes of the message are withdrawn.
    TreatAsWithdraw,
    /// All routes of the family that the peer has told are dropped, and what
    /// else it tells of it is ignored until the session ends (RFC 4760 §7).
    Disable(Family),
    /// The session ends with a NOTIFICATION.
    Reset,
}

/// A NOTIFICATION message: the session ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Error code (RFC 4271 §4.5).
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// Data; for Cease, the shutdown communication (RFC 9003).
    pub data: Box<[u8]>,
}

/// A ROUTE-REFRESH message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// Address family identifier.
    pub afi: u16,
    /// The message subtype: 0 request, 1 begin, 2 end (RFC 7313 §3.2).
    pub subtype: u8,
    /// Subsequent address family identifier.
    pub safi: u8,
}
