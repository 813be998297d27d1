//! Roles and the attribute that keeps a route from going up again
//! (`ONLY_TO_CUSTOMER`, RFC 9234 §5).
//!
//! The role is ours towards a peer. Without one nothing is checked or added,
//! and an attribute that is there goes along.

use net::{Asn, Attrs, Role};

use crate::{PeerInfo, Why};

/// Whether a received route has come a way that it may not come (§5, ingress
/// 1 and 2): from a customer, or from another peer than the one that it was
/// given to.
pub(crate) fn check_received(attrs: &Attrs, peer: &PeerInfo) -> Result<(), Why> {
    let Some(only_to) = attrs.only_to_customer else { return Ok(()) };
    match peer.role {
        Some(Role::Provider | Role::Rs) => Err(Why::RouteLeak { only_to, peer: peer.asn }),
        Some(Role::Peer) if only_to != peer.asn => Err(Why::RouteLeak { only_to, peer: peer.asn }),
        _ => Ok(()),
    }
}

/// What a route from above or beside is marked with, if it is not (§5, ingress 3).
pub(crate) fn mark_received(attrs: &Attrs, peer: &PeerInfo) -> Option<Asn> {
    let from_above = matches!(peer.role, Some(Role::Customer | Role::Peer | Role::RsClient));
    (from_above && attrs.only_to_customer.is_none()).then_some(peer.asn)
}

/// Whether a route may go to a peer (§5, egress 2): what is marked goes down only.
pub(crate) fn check_told(attrs: &Attrs, role: Option<Role>) -> Result<(), Why> {
    match (attrs.only_to_customer, role) {
        (Some(only_to), Some(Role::Customer | Role::Peer | Role::RsClient)) => {
            Err(Why::OnlyToCustomer(only_to))
        }
        _ => Ok(()),
    }
}

/// What a route that goes down or beside is marked with, if it is not (§5, egress 1).
pub(crate) fn mark_told(attrs: &Attrs, role: Option<Role>, local_asn: Asn) -> Option<Asn> {
    let down = matches!(role, Some(Role::Provider | Role::Peer | Role::Rs));
    attrs.only_to_customer.or(down.then_some(local_asn))
}
