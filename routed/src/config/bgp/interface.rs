//! `interface` of a peer: whoever is at the other end of a link.

use std::net::IpAddr;

use super::name::{is_interface, link_local};
use crate::config::diagnostic::Findings;
use crate::config::reader::{Located, Section};

/// Keys that do not go with it, and why; a group's do not count.
pub(super) const ALONE: [(&str, &str); 2] = [
    ("source", "the session has the interface's own link-local address"),
    ("multihop", "link-local addresses do not leave the link"),
];

/// The key itself; what does not go with it is an error.
pub(super) fn read(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Option<Located<String>> {
    let interface = section.located::<String>("interface", findings)?;
    if !is_interface(&interface.value) {
        let message = format!("interface: {:?} is no name that an interface can have", interface.value);
        findings.error(&interface.span, message);
    }
    for (key, why) in ALONE {
        if let Some(value) = section.discard(key) {
            findings.error(&value, format!("{key}: not with `interface`, for {why}"));
        }
    }
    Some(interface)
}

/// What an interface and the other keys say of each other.
pub(super) fn check(
    interface: Option<&Located<String>>,
    address: Option<&Located<IpAddr>>,
    findings: &mut Findings<'_>,
) {
    match (interface, address) {
        (None, Some(address)) if link_local(address.value) => {
            let message = format!(
                "address: {} may be on every link; say with `interface` on which one it is",
                address.value
            );
            findings.error(&address.span, message);
        }
        (Some(interface), Some(address)) if !link_local(address.value) => {
            let message = format!(
                "interface: goes with a link-local address, or without `address` to find the peer of {}; {} \
                 needs none",
                interface.value, address.value
            );
            findings.error(&interface.span, message);
        }
        _ => {}
    }
}
